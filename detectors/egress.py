"""Where agents send: destinations that no list allows, and those that are wrong for any agent."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias

import msgspec

from detectors import policy
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting, Span
from detectors.urls import registered

Reach: TypeAlias = Literal["local", "allowed", "unlisted", "address", "metadata", "suspicious", "denied"]

METADATA = frozenset(
    {"169.254.169.254", "fd00:ec2::254", "metadata.google.internal", "metadata.goog", "100.100.100.200"}
)
LOCAL_NAMES = ("localhost", "internal", "local", "localdomain", "lan", "home.arpa", "test", "example", "invalid")
RANK: tuple[Reach, ...] = ("local", "allowed", "unlisted", "address", "suspicious", "metadata", "denied")
BY_POLICY = "policy"  # the list that says what a host is, where it is the agent type's policy


class Ai(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hosts of one AI provider or agent product: what programs call, and what people open."""

    api: tuple[str, ...] = ()
    web: tuple[str, ...] = ()


class EgressFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of destinations."""

    ai: dict[str, Ai] = {}
    allow: tuple[str, ...] = ()
    agent_types: dict[str, tuple[str, ...]] = {}
    suspicious: dict[str, tuple[str, ...]] = {}


class Destinations:
    """The lists of all files together; a name covers its subdomains, the longest name on any list decides.

    It does not cover what others register below it (x.github.io below github.io): that takes `*.github.io`.

    Where the policy of an agent type has a list of its own, that alone says what is allowed.
    """

    def __init__(self, files: Iterable[EgressFile] = (), policies: Mapping[str, policy.Policy] | None = None) -> None:
        self._policies = policies or {}
        self._allow: dict[str, str] = {}
        self._types: dict[str, set[str]] = {}
        self._suspicious: dict[str, str] = {}
        self._ai: dict[str, tuple[str, bool]] = {}
        for file in files:
            for name, hosts in file.ai.items():
                self._ai.update(dict.fromkeys(map(str.lower, hosts.api), (name, False)))
                self._ai.update(dict.fromkeys(map(str.lower, hosts.web), (name, True)))
            self._allow.update(dict.fromkeys(map(str.lower, file.allow), ""))
            for agent_type, names in file.agent_types.items():
                self._types.setdefault(agent_type, set()).update(map(str.lower, names))
            for kind, names in file.suspicious.items():
                self._suspicious.update(dict.fromkeys(map(str.lower, names), kind))
        self._ai_globs = tuple(name for name in self._ai if "*" in name)
        self.reach = lru_cache(maxsize=50_000)(self._reach)
        self.ai = lru_cache(maxsize=50_000)(self._ai_of)

    def _reach(self, host: str, agent_type: str) -> tuple[Reach, str]:
        """What kind of destination a host is for an agent type, and the list that says so."""
        reach, listed = self.listed(host, agent_type)
        ruled = policy.of(self._policies, agent_type)
        verdict = "open" if ruled is None or reach == "local" else ruled.judge("egress", host)
        if verdict == "denied":
            return "denied", BY_POLICY
        if verdict in ("allowed", "undecided") and (ruled is None or self._meant(host, ruled)):
            return "allowed", BY_POLICY
        if verdict != "open":
            return ("unlisted" if reach == "allowed" else reach), BY_POLICY
        return reach, listed

    def _meant(self, host: str, ruled: policy.Policy) -> bool:
        """Whether a policy that allows a suspicious host names it, and not only the domain it is below."""
        labels = host.split(".")
        wrong = next((s for i in range(len(labels)) if (s := ".".join(labels[i:])) in self._suspicious), None)
        names = (*(ruled.egress.allow or ()), *ruled.undecided.egress)
        return wrong is None or policy.hosted(tuple(name for name in names if len(name) >= len(wrong)), host)

    def listed(self, host: str, agent_type: str) -> tuple[Reach, str]:
        """The same by the lists of destinations alone."""
        if host in METADATA:
            return "metadata", "instance metadata"
        allowed = self._types.get(agent_type, set())
        name = host.strip("[]").rstrip(".").lower()
        address = _address(name)
        if address is not None:
            if address.is_link_local and str(address) == "169.254.169.254":
                return "metadata", "instance metadata"
            if name in allowed or name in self._allow:
                return "allowed", ""
            return ("address", "raw address") if address.is_global else ("local", "")
        if "." not in name or name.endswith(tuple("." + local for local in LOCAL_NAMES)):
            return "local", ""
        labels = name.split(".")
        owned = len(registered(name))  # below a shorter name anybody may have a site: x.github.io, x.s3.amazonaws.com
        for start in range(len(labels)):
            suffix = ".".join(labels[start:])
            if suffix in self._suspicious and suffix not in allowed:
                return "suspicious", self._suspicious[suffix]
            names = (suffix,) if len(suffix) >= owned else (f"*.{suffix}",)
            if any(one in allowed or one in self._allow for one in names):
                return "allowed", ""
        return "unlisted", ""

    def _ai_of(self, host: str) -> tuple[str, bool] | None:
        """The AI provider or product a host belongs to, and whether people open it; None for every other host."""
        host = host.rstrip(".").lower()
        labels = host.split(".")
        for start in range(len(labels) - 1):
            if found := self._ai.get(".".join(labels[start:])):
                return found
        return next((self._ai[glob] for glob in self._ai_globs if policy.named((glob,), host)), None)

    def worst(self, span: Span) -> Reach | None:
        """The worst kind among the span's destinations; None when it has none. The field `egress.class` of rules."""
        hosts = hosts_of(span)
        if not hosts:
            return None
        return max((self.reach(host, span.agent_type)[0] for host in hosts), key=RANK.index)

    def outside(self, span: Span) -> list[str]:
        """The span's destinations that are neither local nor allowed."""
        kinds = {host: self.reach(host, span.agent_type)[0] for host in hosts_of(span)}
        return [host for host, kind in kinds.items() if kind not in ("local", "allowed")]


def hosts_of(span: Span) -> list[str]:
    """Distinct destinations of a span."""
    hosts = span.text("egress.hosts") or span.text("egress.host")
    return hosts.split(",") if hosts else []


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    try:  # 2130706433 and 0x7f000001 are addresses to most clients
        return ipaddress.IPv4Address(int(name, 0)) if name[:1].isdigit() and "." not in name else None
    except ValueError:
        return None


class FirstSeen(msgspec.Struct, array_like=True):
    """The sighting that showed this host to this agent type first."""

    sighting_id: str = ""


class EgressAllowList(Detector[Sighting, FirstSeen]):
    """Destinations outside the agent type's list: low when new to the type, medium when wrong for any agent.

    Blind spots: what is sent to an allowed host (a repository on a code host, a bucket of a listed cloud); hosts
    that only a script file names; DNS tunnels; a host is reported once per session.
    """

    id = "egress.destination"
    version = "1"
    scope = "entity"

    RUNBOOK = "Ask who runs {agent} whether it needs {host}; if so add it to the agent type's list, else block it."
    rules = MappingProxyType(
        {
            f"egress.{reach}": About(
                title="Destination not on the agent type's list"
                if reach == "unlisted"
                else "Destination wrong for any agent",
                severity=Severity.LOW if reach == "unlisted" else Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "ASI02") if reach == "unlisted" else ("LLM02:2026", "ASI02", "T1567"),
                runbook="Ask who runs the agent whether it needs the host; if so list it for the type, else block it.",
                rows=("E1",),
            )
            for reach in ("unlisted", "address", "suspicious", "metadata")
        }
        | {
            "policy.egress": About(
                title="Destination outside the agent type's policy",
                severity=Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "LLM03:2026", "ASI02", "AML.T0086", "T1567"),
                runbook="Ask the agent's owner what it needs the host for; allow it in the policy, or block it.",
                rows=("E1",),
            )
        }
    )

    def __init__(self, destinations: Destinations, *, severities: Mapping[str, Severity] | None = None) -> None:
        self._destinations = destinations
        self._severities = dict(severities or {})

    def new_state(self) -> FirstSeen:
        return FirstSeen()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "host"

    def observe(self, event: Sighting, state: FirstSeen) -> Iterator[Finding]:
        if event.entity_kind != "host":
            return
        host = event.detail.get("host") or event.entity_id.rpartition("/")[2]
        kind, listed = self._destinations.reach(host, event.agent_type)
        state.sighting_id = state.sighting_id or event.id
        if kind in ("local", "allowed"):
            return
        first = state.sighting_id == event.id
        suspicious = kind != "unlisted"
        rule_id = "policy.egress" if listed == BY_POLICY else f"egress.{kind}"
        severity = Severity.MEDIUM if suspicious else Severity.LOW if first else Severity.INFO
        if listed == BY_POLICY:
            severity = Severity.HIGH if kind == "denied" else Severity.MEDIUM if suspicious or first else Severity.LOW
        yield finding(
            self,
            event,
            rule_id=rule_id,
            severity=self._severities.get(rule_id, severity),
            category=Category.DATA_EXFILTRATION,
            key=host,
            evidence={
                "who": event.agent_id or event.agent_type,
                "what": f"{event.detail.get('tool') or 'traffic'} to {host}",
                "host": host,
                "class": kind if listed == BY_POLICY else listed or kind,
                "first_seen": "yes" if first else "no",
                "agent_type": event.agent_type,
                **({"tool": event.detail["tool"]} if "tool" in event.detail else {}),
                "runbook": self.RUNBOOK.format(agent=event.agent_id or event.agent_type, host=host),
            },
        )
