"""What a proxy in front of databases and hosts recorded, held against what agents did there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors import sameness
from detectors.about import About
from detectors.accesses import AGENT, FLOW, PROXY, SETTLED
from detectors.detector import Detector, finding
from detectors.inventory import Inventory, covered
from detectors.model import Category, Finding, Severity, Sighting, digest

WITHIN_NS = 120_000_000_000  # the proxy's record of a command lies no further from it
SECONDS_NS = 30_000_000_000  # the same command, by a human and by an agent, this close is one command
MAX_RECORDS = 64
MAX_WHAT = 600


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One side's record of a command: who, when, where, and enough to name it."""

    time_ns: int
    user: str
    target: str
    record: str
    session_id: str
    span_id: str
    agent_id: str
    what: str
    mark: str = ""


class Both(msgspec.Struct, array_like=True):
    """Records of one command, or of one target, by agents and by the proxy, in event time."""

    agents: list[Record] = []
    proxy: list[Record] = []
    first_ns: int = 0  # of the proxy's records: before it nobody said that a proxy stands there


def _record(event: Sighting) -> Record:
    told = event.detail.get
    return Record(
        event.time_ns,
        told("user", ""),
        told("target", ""),
        told("record", "") or told("call", ""),
        event.session_id,
        event.span_id,
        event.agent_id,
        told("what", "")[:MAX_WHAT],
        told("mark", ""),
    )


def _add(records: list[Record], one: Record) -> None:
    if one not in records:
        records.append(one)
        records.sort(key=lambda record: record.time_ns)
        del records[:-MAX_RECORDS]


def _human(user: str, agent_id: str) -> bool:
    """Whether the identity a proxy saw is a human's, as far as its name tells."""
    name = user.casefold()
    machine = ("[bot]", "-bot", "spiffe://", "serviceaccount", "svc-", "svc_", "service-", "-agent", "agent-", "robot")
    return bool(name) and name != agent_id.casefold() and not any(sign in name for sign in machine)


class AgentAsHuman(Detector[Sighting, Both]):
    """A command a proxy recorded under a human's identity, and the agent's call that ran that very command.

    Both are the same by the digest of the command (literals of SQL left out) and lie within thirty seconds.
    Blind spots: commands shorter than twelve characters, which everybody says; a proxy that rewrites commands; a human
    who really typed what the agent ran at the same moment; identities whose names hide that they are machines'.
    """

    id = "proxy.agent_as_human"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.agent-as-human": About(
                title="Agent acting as human: its command stands in the proxy's log under a human's identity",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("ASI03", "ASI09", "LLM03:2026", "T1078.004"),
                runbook="Give the agent an identity of its own at the proxy, and read the human's log as the agent's.",
                rows=("I4",),
            )
        }
    )

    def __init__(self, *, seconds_ns: int = SECONDS_NS) -> None:
        self._seconds_ns = seconds_ns

    def new_state(self) -> Both:
        return Both()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "command"

    def observe(self, event: Sighting, state: Both) -> Iterator[Finding]:
        view = event.detail.get("view")
        if event.entity_kind != "command" or view not in (AGENT, PROXY):
            return
        one = _record(event)
        _add(state.agents if view == AGENT else state.proxy, one)
        for other in state.proxy if view == AGENT else state.agents:
            agent, human = (one, other) if view == AGENT else (other, one)
            if abs(agent.time_ns - human.time_ns) > self._seconds_ns or not _human(human.user, agent.agent_id):
                continue
            if agent.target and human.target and not _alike(agent.target, human.target):
                continue
            yield self._tell(event, agent, human)

    def _tell(self, event: Sighting, agent: Record, human: Record) -> Finding:
        at_agent = msgspec.structs.replace(
            event,
            session_id=agent.session_id,
            span_id=agent.span_id,
            agent_id=agent.agent_id,
            time_ns=agent.time_ns,
            detail={},
        )
        return finding(
            self,
            at_agent,
            rule_id="identity.agent-as-human",
            confidence="confirmed" if agent.target and human.target else "suspected",
            subject=f"{agent.record}/{human.record}",
            evidence={
                "who": f"{agent.agent_id} as {human.user}",
                "what": agent.what,
                "tag": "agent acting as human",
                "human": human.user,
                "owner": agent.user,
                "target": human.target or agent.target,
                "step_1": f"{agent.span_id} {agent.agent_id}: {agent.what}"[:300],
                "step_2": f"{human.record} {human.user}: {human.what}"[:300],
                "apart_ms": str(abs(agent.time_ns - human.time_ns) // 1_000_000),
            },
            span_ids=tuple(one for one in (agent.span_id, human.span_id) if one),
        )


def _alike(one: str, other: str) -> bool:
    """Whether two names may mean one target: a host with and without its domain, a database with its host."""
    left, right = one.split(":")[0], other.split(":")[0]
    return left == right or left.split(".")[0] == right.split(".")[0] or left in right or right in left


class AuditGap(Detector[Sighting, Both]):
    """A command or statement of an agent at a target behind a proxy, of which the proxy has no record.

    A target is behind a proxy when the inventory says so, or when the proxy had recorded commands for it before. The
    access is judged once the minute it lies in has closed (thirty seconds of event time later, or when the session
    has been silent for ninety seconds); the proxy's records may lie two minutes before or after it.
    Blind spots: a proxy whose records come later than that looks like a gap; commands shorter than twelve characters
    at targets only the inventory knows; a statement repeated within a minute counts once.
    """

    id = "proxy.audit_gap"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "proxy.audit-gap": About(
                title="Audit gap: an agent's command at a protected target is not in the proxy's records",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("ASI03", "ASI10", "MCP08:2025", "LLM03:2026"),
                runbook="Find the way round the proxy and close it; until then take its credential for it away.",
                rows=("D5",),
            )
        }
    )

    def __init__(self, inventory: Inventory, *, within_ns: int = WITHIN_NS) -> None:
        self._inventory = inventory
        self._within_ns = within_ns

    def new_state(self) -> Both:
        return Both()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("command", "target") and "view" in fields

    def select(self, events: Sequence[Sighting]) -> Iterable[int]:
        return [
            i
            for i, event in enumerate(events)
            if event.entity_kind in ("command", "target") and event.detail.get("view") in (PROXY, SETTLED)
        ]

    def observe(self, event: Sighting, state: Both) -> Iterator[Finding]:
        told = event.detail
        view = told.get("view")
        if event.entity_kind not in ("command", "target"):
            return
        if view == PROXY:
            state.first_ns = min(state.first_ns or event.time_ns, event.time_ns)
            _add(state.proxy, _record(event))
            return
        if view != SETTLED:
            return
        protected = self._inventory.protects(told["target"]) if told.get("target") else None
        # The command's own entity knows every record of it, whatever the proxy calls the target; the target's knows
        # whether a proxy was ever seen there.
        if event.entity_kind == "command" and protected is None:
            return
        if event.entity_kind == "target" and (
            (protected is not None and told.get("mark")) or not 0 < state.first_ns < event.time_ns
        ):
            return
        near = [one for one in state.proxy if abs(one.time_ns - event.time_ns) <= self._within_ns]
        if event.entity_kind == "command" and near:
            return
        if event.entity_kind == "target" and any(self._same(told, one) for one in near):
            return
        yield finding(
            self,
            event,
            rule_id="proxy.audit-gap",
            confidence="confirmed" if protected else "suspected",
            key=told.get("target", ""),
            subject=told.get("call", ""),
            evidence={
                "who": told.get("user") or event.agent_id,
                "what": told.get("what", ""),
                "statement": told.get("what", ""),
                "target": told.get("target", ""),
                "known_by": "inventory" if protected else "earlier records of the proxy",
                "window_s": str(self._within_ns // 1_000_000_000),
            },
        )

    @staticmethod
    def _same(told: dict[str, str], one: Record) -> bool:
        """Whether a proxy's record may be of this access: the same words, as far as both have any."""
        marks = {sameness.mark(part) for part in sameness.carried(one.what)} - {""}
        return not told.get("mark") or not marks or told["mark"] in marks


class ProxyBypass(Detector[Sighting, None]):
    """Traffic of an agent, or of its workload, straight to the address of a target the inventory protects.

    Blind spots: targets no inventory names; addresses behind a name the inventory does not list; flows of hosts that
    neither the flow log nor the inventory calls an agent's.
    """

    id = "proxy.bypass"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "proxy.bypass": About(
                title="Proxy bypass: an agent reached a protected target directly",
                severity=Severity.HIGH,
                category=Category.OVERREACH,
                standards=("ASI02", "ASI03", "ASI10", "LLM03:2026"),
                runbook="Block the direct way in the network, revoke the credential used, list what was done there.",
                rows=("D6",),
            )
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return bool(self._inventory.protected) and kind in ("host", "target")

    def observe(self, event: Sighting, state: None) -> Iterator[Finding]:
        told = event.detail
        view = told.get("view", AGENT)
        if event.entity_kind not in ("host", "target") or view not in (AGENT, FLOW):
            return
        where = (told.get("host", "") if event.entity_kind == "host" else told.get("target", "")).lower()
        protected = self._inventory.protects(where) if where else None
        if protected is None or not covered(where, protected.hosts) or covered(where, protected.proxy):
            return
        who = event.agent_id
        if view == FLOW:
            source = told.get("workload") or told.get("host", "")
            if covered(told.get("host", ""), protected.proxy) or covered(source, protected.proxy):
                return
            names = (told.get("agent", ""), told.get("workload", ""), told.get("host", ""), told.get("credential", ""))
            who = next((one for one in names if one and (one == names[0] or self._inventory.agent(one))), "")
        if not who:
            return
        yield finding(
            self,
            event,
            rule_id="proxy.bypass",
            confidence="confirmed",
            key=f"{who}/{where}",
            subject=digest(event.id, where),
            evidence={
                "who": who,
                "what": told.get("what") or f"connection to {where}:{told.get('port', '')}".rstrip(":"),
                "target": protected.name,
                "host": where,
                **({"source": told.get("workload") or told.get("host", "")} if view == FLOW else {}),
                **({"way": ", ".join(protected.proxy)} if protected.proxy else {}),
                **({"bytes": told["bytes"]} if told.get("bytes") else {}),
            },
        )
