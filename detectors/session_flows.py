"""Outbound flows of the machine, workload or credential of an agent's session, while the session runs."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.egress import Destinations
from detectors.exposures import SLOT_NS
from detectors.model import Category, Finding, Severity, Sighting

GRACE_NS = 300_000_000_000
MAX_SESSIONS = 32
MAX_FLOWS = 64
MAX_TOLD = 256


class Ran(msgspec.Struct, array_like=True):
    """When a session was seen on this workload."""

    first_ns: int
    last_ns: int
    agent_id: str
    agent_type: str
    span_id: str
    user: str = ""


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """A connection that left the workload."""

    time_ns: int
    destination: str
    bytes: str
    source: str
    same: str
    session_id: str
    span_id: str


class Workload(msgspec.Struct, array_like=True):
    """Sessions and flows of one host, workload or credential."""

    sessions: dict[str, Ran] = {}
    flows: list[Flow] = []
    told: dict[str, None] = {}


class SessionFlows(Detector[Sighting, Workload]):
    """Flows that leave a session's host, workload or credential while it runs, five minutes of grace on either side.

    One finding per session and destination: low where no list allows the destination, information otherwise.
    Blind spots: a host that many share shows the flows of all; a host that goes by different names in the flow log
    and in the agent's telemetry; 32 sessions and 64 flows of a host are remembered, the oldest forgotten first.
    """

    id = "egress.flows"
    scope = "entity"
    rules = MappingProxyType(
        {
            "egress.session-flow": About(
                title="A flow left the host, workload or credential of an agent's session",
                severity=Severity.LOW,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "ASI02", "T1041"),
                runbook="List all flows of the session with `spanwatch report flows --session`, then tell those that "
                "the agent's own calls explain from the rest.",
                rows=("E2",),
            )
        }
    )

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    def new_state(self) -> Workload:
        return Workload()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "workload"

    def observe(self, event: Sighting, state: Workload) -> Iterator[Finding]:
        if event.entity_kind != "workload":
            return
        detail = event.detail
        if detail.get("view") == "session":
            ran = state.sessions.pop(event.session_id, None)
            if ran is None:
                ran = Ran(
                    event.time_ns,
                    event.time_ns,
                    event.agent_id,
                    event.agent_type,
                    event.span_id,
                    detail.get("user", ""),
                )
            ran.first_ns, ran.last_ns = min(ran.first_ns, event.time_ns), max(ran.last_ns, event.time_ns)
            state.sessions[event.session_id] = ran
            if len(state.sessions) > MAX_SESSIONS:
                del state.sessions[next(iter(state.sessions))]
            for flow in state.flows:
                yield from self._inside(event, event.session_id, ran, flow, state)
        elif to := detail.get("flow", ""):
            flow = Flow(
                event.time_ns, to, detail.get("bytes", ""), detail.get("from", ""), detail.get("same", ""),
                event.session_id, event.span_id,
            )  # fmt: skip
            state.flows.append(flow)
            del state.flows[:-MAX_FLOWS]
            for session, ran in state.sessions.items():
                yield from self._inside(event, session, ran, flow, state)

    def _inside(self, event: Sighting, session: str, ran: Ran, flow: Flow, state: Workload) -> Iterator[Finding]:
        """The finding for a flow inside a session's window; none for the session's own calls, which it shows itself."""
        outside = not ran.first_ns - GRACE_NS <= flow.time_ns <= ran.last_ns + SLOT_NS + GRACE_NS
        mark = f"{session}/{flow.destination}"
        if outside or flow.session_id == session or mark in state.told:
            return
        reach, _ = self._destinations.reach(flow.destination, ran.agent_type)
        if reach == "local":
            return
        state.told[mark] = None
        if len(state.told) > MAX_TOLD:
            del state.told[next(iter(state.told))]
        about = msgspec.structs.replace(
            event,
            session_id=session,
            agent_id=ran.agent_id,
            agent_type=ran.agent_type,
            span_id=flow.span_id,
            time_ns=flow.time_ns,
        )
        yield finding(
            self,
            about,
            rule_id="egress.session-flow",
            severity=Severity.INFO if reach == "allowed" else Severity.LOW,
            key=flow.destination[:200],
            subject=mark,
            evidence={
                "who": ran.user or ran.agent_id or ran.agent_type,
                "what": f"flow to {flow.destination} from {event.entity_id}",
                "host": flow.destination,
                "workload": event.entity_id,
                "same": flow.same or "host",
                "amount": f"{flow.bytes} bytes sent" if flow.bytes else "unknown",
                "told_by": flow.source or "flow log",
                "session_seen": ran.span_id,
            },
            span_ids=tuple(one for one in (ran.span_id, flow.span_id) if one),
        )
