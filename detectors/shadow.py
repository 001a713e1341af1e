"""AI nobody approved: providers, models, agent products, MCP servers and private accounts; how bad is what they got.

What counts as approved is the inventory's list `approved`; where an agent type's policy has a list of its own for
models, providers or MCP servers, that list decides and its own rules speak.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from detectors import facts, policy
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.egress import Destinations, hosts_of
from detectors.inventory import Approved, Inventory, covered
from detectors.labels import label
from detectors.model import Category, Finding, Severity, Sighting, Span
from detectors.personal_data import Reader
from detectors.policy import Policy
from detectors.uses import values

MAX_KNOWN = 32  # things told of per session
MAX_PERSONAL = 20_000  # characters of a prompt that are read for personal data
PRIVATE_MAIL = frozenset(
    (
        *(
            "gmail.com",
            "googlemail.com",
            "outlook.com",
            "hotmail.com",
            "live.com",
            "msn.com",
            "yahoo.com",
            "icloud.com",
        ),
        *("me.com", "proton.me", "pm.me", "protonmail.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "aol.com"),
        *("qq.com", "163.com", "126.com", "yandex.ru", "mail.ru", "fastmail.com", "tuta.io", "hey.com", "zoho.com"),
    )
)
WEIGHT = {  # how bad it is that such data met AI nobody approved
    "secrets": Severity.HIGH,
    "personal data": Severity.HIGH,
    "labelled text": Severity.HIGH,
    "source code": Severity.MEDIUM,
}
STANDARDS = ("ASI04", "MCP09:2025", "AML.T0103")


class Thing(NamedTuple):
    """Something used that nobody approved: the rule it falls under, its name, and how it was noticed."""

    rule: str
    name: str
    by: str


class Session(msgspec.Struct, array_like=True):
    """Kinds of data the session held, and unapproved things it used: how badly each was told of."""

    data: dict[str, None] = {}
    things: dict[str, tuple[str, str, str, int]] = {}


def _about(title: str, runbook: str) -> About:
    return About(
        title=title,
        severity=Severity.LOW,
        category=Category.SHADOW_AI,
        standards=STANDARDS,
        runbook=runbook,
        rows=("O4", "O5"),
    )


ASK = "Investigate, do not suspend: ask what it is used for and what it was given; "


class ShadowAi(Detector[Span, Session]):
    """AI that is on no approved list. Severity follows the data of the session, not the tool: low when it held none
    of note, medium with source code, high with secrets, personal data or labelled text; it rises when that comes later.

    Blind spots: what no proxy, agent or MCP client tells; hosts of no known provider; an approved provider under a
    private key; what is not in the organisation's list when it has none (then only new providers are told, once).
    """

    id = "shadow.ai"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "shadow.provider": _about(
                "AI provider that nobody approved", ASK + "approve the provider or block its hosts."
            ),
            "shadow.model": _about(
                "Model that nobody approved", ASK + "approve the model or take it out of the settings."
            ),
            "shadow.agent": _about("Agent product that nobody approved", ASK + "approve the product or remove it."),
            "shadow.mcp-server": _about("MCP server that nobody approved", ASK + "read where it is configured."),
            "shadow.personal-account": _about(
                "AI used under a private account", ASK + "move the work to the organisation's account."
            ),
        }
    )

    def __init__(
        self,
        destinations: Destinations,
        inventory: Inventory,
        policies: Mapping[str, Policy] | None = None,
        *,
        severities: Mapping[str, Severity] | None = None,
    ) -> None:
        self._destinations = destinations
        self._approved = inventory.approved or Approved()
        self._servers = frozenset(one.name for one in inventory.mcp_servers if one.approved)
        self._refused = frozenset(one.name for one in inventory.mcp_servers if not one.approved)
        self._domains = frozenset(domain.lower().lstrip("@") for domain in inventory.email_domains)
        self._policies = policies or {}
        self._severities = dict(severities or {})
        self._people = Reader()

    def new_state(self) -> Session:
        return Session()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        kinds = ("llm_call", "file_read", "file_write")
        return kind in kinds or secrets or "mcp.server" in fields or "egress.host" in fields

    def observe(self, event: Span, state: Session) -> Iterator[Finding]:
        things = list(self._things(event))
        before = len(state.data)
        for kind in self._data(event, bool(things or state.things)):
            state.data[kind] = None
        for thing in things:
            if thing.rule + thing.name not in state.things and len(state.things) < MAX_KNOWN:
                state.things[thing.rule + thing.name] = (*thing, -1)
        if things or (len(state.data) > before and state.things):
            yield from self._tell(event, state)

    def _tell(self, event: Span, state: Session) -> Iterator[Finding]:
        """Each thing that is new, or worse than it was told."""
        worst = max((WEIGHT[kind] for kind in state.data), default=Severity.LOW)
        for mark, (rule, name, by, told) in state.things.items():
            if told >= worst:
                continue
            state.things[mark] = (rule, name, by, int(worst))
            yield finding(
                self,
                event,
                rule_id=rule,
                severity=self._severities.get(rule, worst),
                key=name,
                subject=f"{mark}/{worst.label}",
                evidence={
                    "who": event.text("user") or event.agent_id or event.resource.service,
                    "what": f"{name}, known by {by}",
                    "name": name,
                    "noticed_by": by,
                    "data": ", ".join(state.data) or "none of note",
                    **({"tool": tool} if (tool := event.text("tool.name")) else {}),
                },
            )

    def _things(self, event: Span) -> Iterator[Thing]:
        approved, ruled = self._approved, policy.of(self._policies, event.agent_type)
        products = approved.products if event.kind == "llm_call" and event.agent_type else ()
        if products and not covered(event.agent_type, products):
            yield Thing("shadow.agent", event.agent_type, "its telemetry")
        provider, model = event.text("provider"), event.text("model")
        if event.kind == "llm_call":
            if approved.models and model and not covered(model, approved.models) and not _ruled(ruled, "models"):
                yield Thing("shadow.model", model, "a model call")
            yield from self._account(event)
        if not _ruled(ruled, "providers"):
            if event.kind == "llm_call" and provider and self._unknown(provider, event.text("llm.host")):
                yield Thing("shadow.provider", provider, "a model call")
            for host in hosts_of(event):
                if (found := self._destinations.ai(host)) and (not found[1] or _traffic(event)):
                    if self._unknown(found[0], host):
                        yield Thing("shadow.provider", found[0], f"traffic to {host}")
                    if found[1]:
                        yield from self._account(event, host)
        server = event.text("mcp.server")
        if server and not self._serves(server) and not _ruled(ruled, "mcp_servers"):
            yield Thing("shadow.mcp-server", server, f"a call of {event.text('tool.name') or 'it'}"[:200])

    def _serves(self, server: str) -> bool:
        """Whether an MCP server is approved; with no list of approved ones, all are that nobody refused."""
        listed = self._approved.mcp_servers
        return server not in self._refused and (not listed or server in self._servers or covered(server, listed))

    def _unknown(self, name: str, host: str) -> bool:
        approved = self._approved
        if not (approved.providers or approved.hosts):
            return False
        if covered(name, (*approved.providers, *approved.products)):
            return False
        return not (host and policy.hosted(approved.hosts, host))

    def _account(self, event: Span, host: str = "") -> Iterator[Thing]:
        """A private account: mail of a private domain, another organisation's id, or what people open at home."""
        organisation = str(event.attributes.get("organization.id", ""))
        if self._approved.accounts and organisation and not covered(organisation, self._approved.accounts):
            yield Thing(
                "shadow.personal-account", "another organisation's account", f"organisation {organisation}"[:200]
            )
        domain = event.text("user").rpartition("@")[2].lower() if "@" in event.text("user") else ""
        if domain and (domain not in self._domains if self._domains else domain in PRIVATE_MAIL):
            yield Thing("shadow.personal-account", f"account at {domain}"[:200], "the account's mail domain")
        elif host and self._approved.hosts and not policy.hosted(self._approved.hosts, host):
            yield Thing("shadow.personal-account", f"account at {host}"[:200], f"traffic to {host}")

    def _data(self, event: Span, close: bool) -> Iterator[str]:
        """Kinds of data the record shows; prompts are read only where something unapproved is near."""
        if event.secrets:
            yield "secrets"
        acts = facts.of(event).acts if event.kind in ("file_read", "file_write") else ()
        if any("source" in values(act, "path.class") for act in acts):
            yield "source code"
        if close and (text := event.text("prompt")[:MAX_PERSONAL]):
            if self._people.held(text).records:
                yield "personal data"
            if label(text):
                yield "labelled text"


def _ruled(ruled: Policy | None, matter: policy.Matter) -> bool:
    """Whether a policy has a list of its own for the matter, so that its rules speak."""
    return ruled is not None and (bool(ruled.names(matter).deny) or not ruled.names(matter).unlimited)


def _traffic(event: Span) -> bool:
    """Whether a proxy saw it, and not an agent's tool: an agent that reads a provider's page does not use it."""
    return "tool.name" not in event.fields and "command.line" not in event.fields


class First(msgspec.Struct, array_like=True):
    """Whether the provider was told of."""

    told: bool = False


class NewAi(Detector[Sighting, First]):
    """The first session of a tenant that uses an AI provider, where the organisation approved none by name.

    Blind spots: everything after the first session; providers of no known host that no emitter names.
    """

    id = "shadow.new"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "shadow.new-provider": About(
                title="AI provider seen for the first time",
                severity=Severity.INFO,
                category=Category.SHADOW_AI,
                standards=STANDARDS,
                runbook="Nothing is approved yet: put what may be used on the inventory's list `approved`.",
                rows=("O4",),
            )
        }
    )

    def __init__(
        self, destinations: Destinations, inventory: Inventory, *, severities: Mapping[str, Severity] | None = None
    ) -> None:
        self._destinations = destinations
        self._listed = bool(inventory.approved and (inventory.approved.providers or inventory.approved.hosts))
        self._severities = dict(severities or {})

    def new_state(self) -> First:
        return First()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return not self._listed and kind in ("provider", "host")

    def select(self, events: Sequence[Sighting]) -> Iterable[int]:
        return () if self._listed else [i for i, event in enumerate(events) if self._provider(event)]

    def _provider(self, event: Sighting) -> str:
        """The provider a sighting is of; of hosts only those that a proxy saw, for agents read providers' pages."""
        if event.entity_kind == "provider":
            return event.entity_id
        if event.entity_kind == "host" and "tool" not in event.detail:
            found = self._destinations.ai(event.detail.get("host", ""))
            return found[0] if found else ""
        return ""

    def observe(self, event: Sighting, state: First) -> Iterator[Finding]:
        provider = self._provider(event)
        if self._listed or not provider or state.told:
            return
        state.told = True
        yield finding(
            self,
            event,
            rule_id="shadow.new-provider",
            severity=self._severities.get("shadow.new-provider"),
            key=provider,
            evidence={
                "who": event.detail.get("user") or event.agent_id or event.agent_type,
                "what": f"{provider}, model {event.detail.get('model') or 'not told'}",
                "name": provider,
                "first_seen": "yes",
            },
        )
