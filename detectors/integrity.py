"""Records whose own times or content cannot be right: clocks that jump, and content where the policy wants none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from detectors import policy
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span
from detectors.policy import Policy

CLAMPED = "spanwatch.original_start_ns"  # ingest's note that the times of a record could not be meant
AHEAD_NS = 300_000_000_000
BACK_NS = 3_600_000_000_000
LIVE_NS = 1_000_000_000
STEADY = 2  # records on time before one that is late by an hour is odd
SAMPLED = ("3", "b")  # last digits of the ids of records that are on time and looked at: one in eight
CONTENT = ("prompt", "completion", "result")
STANDARDS = ("ASI10", "MCP08:2025", "T1685", "AML.M0024")


def _about(title: str, runbook: str, severity: Severity = Severity.LOW) -> About:
    return About(
        title=title, severity=severity, category=Category.OVERREACH, standards=STANDARDS, runbook=runbook, rows=("D11",)
    )


class Clock(msgspec.Struct, array_like=True):
    """How a session's records arrive, and what was told about them."""

    first_received_ns: int = 0
    steady: int = 0
    told: dict[str, None] = {}


class RecordIntegrity(Detector[Span, Clock]):
    """Clocks ahead, back in time, durations below zero; prompts and results where the policy turns content off.

    Whether a clock is off is judged only where records arrive one after the other: files that are read in one go all
    arrive at once, and their times say nothing about clocks. A duration below zero counts everywhere.
    Blind spots: a clock that is wrong by less than five minutes, or wrong all the time and behind; records that wait
    an hour in an emitter's queue look like a clock that went back; of records on time one in eight is looked at.
    """

    id = "integrity.records"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "integrity.clock": _about(
                "Times of records cannot be right",
                "Check the emitter's clock; until then read the session by arrival; rules over time may miss.",
            ),
            "integrity.content-unexpected": _about(
                "Content in the telemetry of an agent type whose policy turns it off",
                "Turn the emitter's content switches off, and delete what was kept if it must not be.",
                Severity.MEDIUM,
            ),
        }
    )

    def __init__(
        self, policies: Mapping[str, Policy] | None = None, *, severities: Mapping[str, Severity] | None = None
    ) -> None:
        self._off = {name for name, one in (policies or {}).items() if one.content == "off"}
        self._severities = dict(severities or {})

    def new_state(self) -> Clock:
        return Clock()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        off = bool(self._off)
        return [
            i
            for i, event in enumerate(events)
            if off or _odd(event) or event.id.endswith(SAMPLED) or CLAMPED in event.attributes
        ]

    def observe(self, event: Span, state: Clock) -> Iterator[Finding]:
        if CLAMPED in event.attributes and event.received_ns != event.start_ns:
            yield from self._tell(event, state, "integrity.clock", "duration", "ends before it starts")
        elif event.received_ns and (event.id.endswith(SAMPLED) or _odd(event)):
            yield from self._clock(event, state)
        if self._off and (event.agent_type in self._off or policy.EVERY_TYPE in self._off):
            for field in CONTENT:
                if field in event.fields:
                    what = f"{field} of a {event.kind} record"
                    yield from self._tell(event, state, "integrity.content-unexpected", field, what)

    def _clock(self, event: Span, state: Clock) -> Iterator[Finding]:
        """An emitter exports what has ended, so that a record arrives after its end, and mostly soon."""
        received, late = event.received_ns, event.received_ns - event.end_ns
        state.first_received_ns = state.first_received_ns or received
        if abs(received - state.first_received_ns) < LIVE_NS:
            return
        if late <= -AHEAD_NS:
            yield from self._tell(event, state, "integrity.clock", "ahead", f"{-late // 10**9} s ahead of its arrival")
        elif late >= BACK_NS:
            if state.steady >= STEADY:
                what = f"{late // 10**9} s behind its arrival, after {state.steady} or more records on time"
                yield from self._tell(event, state, "integrity.clock", "back", what)
        elif state.steady < STEADY:
            state.steady += 1

    def _tell(self, event: Span, state: Clock, rule: str, key: str, what: str) -> Iterator[Finding]:
        """Once per session and kind of fault."""
        mark = f"{rule}/{key}"
        if mark in state.told:
            return
        state.told[mark] = None
        yield finding(
            self,
            event,
            rule_id=rule,
            severity=self._severities.get(rule),
            key=key,
            subject=mark,
            evidence={
                "who": event.text("user") or event.agent_id or event.resource.service,
                "what": what,
                "emitter": event.resource.emitter or event.resource.service,
                "record": event.name[:200],
            },
        )


def _odd(span: Span) -> bool:
    """Whether a record does not arrive soon after its end."""
    return not -AHEAD_NS < span.received_ns - span.end_ns < BACK_NS
