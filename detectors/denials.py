"""A call that was refused, and then the same thing done in other words."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors import sameness
from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span

MAX_DENIED = 32
MAX_DECIDED = 128
WITHIN_NS = 900_000_000_000
ALIKE = 0.6  # share of words two commands must have in common where facts tell nothing
DOES = frozenset({"command", "db_query", "http_egress", "file_write", "mcp_call", "tool_call"})


class Denied(msgspec.Struct, frozen=True, array_like=True):
    """A refused call: what it wanted, and who refused it."""

    call_id: str
    span_id: str
    text: str
    tool: str
    aims: tuple[str, ...]
    at_ns: int
    by: str


class Refusals(msgspec.Struct, array_like=True):
    """Refused calls of a session, those a human allowed, and refused calls whose words are still to come."""

    denied: list[Denied] = []
    allowed: dict[str, None] = {}
    refused: dict[str, tuple[int, str]] = {}


class EvasionAfterDeny(Detector[Span, Refusals]):
    """A denied call, and within fifteen minutes one that aims at the same thing without a human's word.

    The same aim is the same effect on half of the targets, as far as commands parse; else six words in ten in common.
    Blind spots: emitters that tell neither the refused command nor its call id; a variant in another session; a goal
    reached by means that share neither words nor targets; per session the newest 32 refusals are remembered.
    """

    id = "approval.evasion"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "approval.evasion": About(
                title="A denied command, then a rewritten variant of it",
                severity=Severity.HIGH,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI02", "ASI09", "ASI10"),
                runbook="Stop the session; undo what the variant did, and deny the goal, not the wording.",
                rows=("D9",),
            )
        }
    )

    def __init__(self, *, within_ns: int = WITHIN_NS) -> None:
        self._within_ns = within_ns

    def new_state(self) -> Refusals:
        return Refusals()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        # A refusal in a session makes its later calls worth looking at: state decides, so every call is.
        return kind == "approval" or kind in DOES

    def observe(self, event: Span, state: Refusals) -> Iterator[Finding]:
        decision = event.fields.get("approval.decision")
        call = event.call_id
        if decision == "deny":
            self._deny(event, state)
            return
        if decision == "allow" and call and event.text("approval.source") == "human":
            _keep(state.allowed, call)
        if event.kind == "approval":
            return
        if call in state.refused:  # the refused call itself, told again with its words
            at_ns, by = state.refused[call]
            self._remember(event, state, at_ns, by)
            return
        if state.denied and call not in state.allowed:
            yield from self._evades(event, state)

    def _deny(self, event: Span, state: Refusals) -> None:
        by = event.text("user") if event.text("approval.source") == "human" else ""
        by = by or event.text("approval.source") or "unknown"
        if event.call_id:
            state.refused[event.call_id] = (event.start_ns, by)
            if len(state.refused) > MAX_DECIDED:
                del state.refused[next(iter(state.refused))]
        self._remember(event, state, event.start_ns, by)

    def _remember(self, event: Span, state: Refusals, at_ns: int, by: str) -> None:
        text = sameness.plain(sameness.said(event))[:1000]
        if not text or any(one.text == text for one in state.denied):
            return
        aims = tuple(sorted(sameness.aims(event)))[:32]
        state.denied.append(Denied(event.call_id, event.span_id, text, event.text("tool.name")[:100], aims, at_ns, by))
        del state.denied[:-MAX_DENIED]

    def _evades(self, event: Span, state: Refusals) -> Iterator[Finding]:
        text = sameness.plain(sameness.said(event))
        if not text:
            return
        aims = sameness.aims(event)
        for denied in reversed(state.denied):
            if not 0 <= event.start_ns - denied.at_ns <= self._within_ns:
                continue
            shared = sorted(aims.intersection(denied.aims))
            likeness = sameness.likeness(text, denied.text)
            same = len(shared) * 2 >= min(len(aims), len(denied.aims)) > 0
            if same or (likeness >= ALIKE and (not denied.aims or bool(aims))):
                yield finding(
                    self,
                    event,
                    rule_id="approval.evasion",
                    confidence="confirmed" if same and text != denied.text else "suspected",
                    evidence={
                        **describe(event),
                        "denied": denied.text[:300],
                        "denied_by": denied.by,
                        "same": ", ".join(shared[:5]) or f"{likeness:.0%} of the words",
                        "approver": f"denied by {denied.by}",
                        "step_1": f"{denied.span_id} denied: {denied.text[:160]}".strip(),
                        "step_2": f"{event.span_id} {text[:160]}".strip(),
                    },
                    span_ids=tuple(one for one in (denied.span_id, event.span_id) if one),
                )
                return


def _keep(known: dict[str, None], call: str) -> None:
    known[call] = None
    if len(known) > MAX_DECIDED:
        del known[next(iter(known))]
