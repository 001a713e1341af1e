"""Detectors that break one promise each; the contract suite must fail on every one of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span

_SEEN: list[str] = []


class _Bad(Detector[Span, Any]):
    """Blind spots: everything but the tool `bad`."""

    id = "bad"
    scope = "session"
    rules = MappingProxyType(
        {
            id: About(
                title="Bad",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("ASI02",),
                runbook="None.",
            )
        }
    )

    def tell(self, event: Span, **more: Any) -> Finding:
        given: dict[str, Any] = {"rule_id": "bad", "severity": Severity.LOW, "category": Category.OVERREACH}
        return finding(self, event, **(given | more))


class Hoards(_Bad):
    """Keeps every span it saw. Blind spots: none it knows of."""

    def new_state(self) -> list[str]:
        return []

    def observe(self, event: Span, state: list[str]) -> Iterator[Finding]:
        state.append(event.id)
        yield self.tell(event)


class Mutates(_Bad):
    """Writes into the span it was given. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        event.fields["seen"] = True
        yield self.tell(event)


class UsesGlobal(_Bad):
    """Remembers in the module instead of the state. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        _SEEN.append(event.id)
        yield self.tell(event, key=str(len(_SEEN)))


class RemembersInSelf(_Bad):
    """Remembers in itself, so that sessions meet. Blind spots: none it knows of."""

    def __init__(self) -> None:
        self.last = ""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        if self.last:
            yield self.tell(event, key=self.last)
        self.last = event.session_id


class DependsOnOrder(_Bad):
    """Takes the first field there is. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, key=next(iter(event.fields), ""))


class UnstableIds(_Bad):
    """Rolls dice. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, key=str(random.random()))


class SameIds(_Bad):
    """Gives every finding one id. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, subject="always")


class Raises(_Bad):
    """Expects a field to be there. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, key=str(event.fields["tool.name"]))


class ForgetsOnDump(_Bad):
    """Leaves out of its checkpoint what it needs. Blind spots: none it knows of."""

    class Count(msgspec.Struct):
        seen: int = 0

    def new_state(self) -> Count:
        return self.Count()

    def observe(self, event: Span, state: Count) -> Iterator[Finding]:
        state.seen += 1
        if state.seen > 3:
            yield self.tell(event)

    def dump(self, state: Count) -> bytes:
        return msgspec.msgpack.encode(self.Count())


class Silent(_Bad):
    """Never says anything. Blind spots: all."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        return iter(())


class Shouts(_Bad):
    """Finds everything bad. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, severity=Severity.CRITICAL)


class Boasts(_Bad):
    """Knows everything."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event)


class CountsTwice(_Bad):
    """Numbers its findings, so that a delivery repeated is a finding more. Blind spots: none it knows of."""

    class Count(msgspec.Struct):
        seen: int = 0

    def new_state(self) -> Count:
        return self.Count()

    def observe(self, event: Span, state: Count) -> Iterator[Finding]:
        state.seen += 1
        yield self.tell(event, key=str(state.seen % 50))


class SelectChangesAnswers(_Bad):
    """Counts in `select`. Blind spots: none it knows of."""

    def __init__(self) -> None:
        self.batch = 0

    def select(self, events: Any) -> None:
        self.batch = len(events)

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, key=str(self.batch))


class Undescribed(_Bad):
    """Reports a rule that nobody described. Blind spots: none it knows of."""

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        yield self.tell(event, rule_id="bad.undescribed")


BAD: dict[type[_Bad], str] = {  # detector → the promise it breaks
    Hoards: "bounded",
    Mutates: "input_untouched",
    UsesGlobal: "two_runs_equal",
    RemembersInSelf: "keys_apart",
    DependsOnOrder: "order_of_fields_means_nothing",
    UnstableIds: "two_runs_equal",
    SameIds: "ids_unique",
    Raises: "tolerant",
    ForgetsOnDump: "snapshot_changes_nothing",
    Silent: "fires",
    Shouts: "quiet_on_benign",
    Boasts: "says_what_it_misses",
    CountsTwice: "delivered_twice_found_once",
    SelectChangesAnswers: "select_changes_nothing",
    Undescribed: "findings_are_described",
}
