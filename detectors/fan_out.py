"""Fan-out: one agent puts the same change or command onto many services or repositories within a short time."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import Mark, keep, mark

MAX_PLACES = 64
WITHIN_NS = 3_600_000_000_000
AT_LEAST = 5


class Spread(msgspec.Struct, array_like=True):
    """Where the change went, newest last, and which of the places failed."""

    places: dict[str, Mark] = {}
    failed: dict[str, None] = {}
    told_ns: int = 0
    told_failed: bool = False


class FanOut(Detector[Sighting, Spread]):
    """The same patch, edit or command on at least five services, hosts or repositories within an hour.

    High once one of the places failed. Blind spots: changes adapted to each place; a script that does all places in
    one call; services named by nothing but the working directory's content.
    """

    id = "change.fan_out"
    scope = "entity"
    rules = MappingProxyType(
        {
            "change.fan-out": About(
                title="An agent put the same change onto many services at once",
                severity=Severity.MEDIUM,
                category=Category.HALLUCINATION,
                standards=("ASI08", "LLM07:2026", "ASI02"),
                runbook="Hold the roll-out, check one place by hand, and keep the list of places for a revert.",
                rows=("F10",),
            )
        }
    )

    def __init__(self, *, at_least: int = AT_LEAST, within_ns: int = WITHIN_NS) -> None:
        self._at_least, self._within_ns = at_least, within_ns

    def new_state(self) -> Spread:
        return Spread()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "patch"

    def observe(self, event: Sighting, state: Spread) -> Iterator[Finding]:
        if event.entity_kind != "patch":
            return
        where = event.detail.get("where", "")
        if not where:
            return
        state.places.pop(where, None)
        state.places[where] = mark(event, where)
        if event.detail.get("result") in ("failure", "failed", "error"):
            state.failed[where] = None
        newest = max(one.time_ns for one in state.places.values())
        near: list[Mark] = []
        for name, one in list(state.places.items()):
            if newest - one.time_ns > self._within_ns or len(state.places) > MAX_PLACES:
                del state.places[name]
                state.failed.pop(name, None)
            else:
                keep(near, one, MAX_PLACES)
        if len(near) < self._at_least:
            return
        failed = bool(state.failed)
        again = state.told_ns and newest - state.told_ns <= self._within_ns
        if again and (state.told_failed or not failed):
            return
        state.told_ns, state.told_failed = newest, failed
        yield finding(
            self,
            event,
            rule_id="change.fan-out",
            severity=Severity.HIGH if failed else None,
            key=event.entity_id[-16:],
            subject=f"{near[0].time_ns}/{failed}",
            evidence={
                "who": event.detail.get("agent") or event.agent_id,
                "what": event.detail.get("what")
                or event.detail.get("message")
                or f"the same change, {event.entity_id}",
                "places": ", ".join(one.what for one in near),
                "failed": ", ".join(state.failed) or "none so far",
                "sessions": ", ".join(dict.fromkeys(one.session_id for one in near)),
            },
            span_ids=tuple(one.span_id for one in near if one.span_id),
        )
