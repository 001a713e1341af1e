"""Which detectors see an event: asked once for every shape of event, since the shapes of a fleet's spans repeat.

A shape is what an event is and which fields it has, without their values. What a detector can tell from that alone is
one look-up an event, however many detectors there are; only what is left is put to their `select`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectors.detector import Detector
from detectors.model import Sighting, Span

MAX_SHAPES = 4_096


class Dispatch:
    """The places, among all detectors, of those that see an event; for the detectors of one kind of event."""

    def __init__(self, detectors: Sequence[Detector[Any, Any]], places: Sequence[int]) -> None:
        self._detectors = detectors
        self._places = tuple(places)
        self._asks = frozenset(i for i in places if type(detectors[i]).select is not Detector.select)
        self._shapes: dict[tuple[Any, ...], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def of(self, events: Sequence[Any]) -> list[Sequence[int]]:
        """Per event the places of the detectors that see it, ascending."""
        shapes, chosen = self._shapes, list[Sequence[int]]()
        asked: dict[int, list[int]] = {}  # detector that selects → events put to it
        for i, event in enumerate(events):
            if type(event) is Span:
                shape = (event.kind, bool(event.secrets), *event.fields)
            elif type(event) is Sighting:
                shape = (event.entity_kind, False, *event.detail)
            else:
                shape = ("window", False)
            known = shapes.get(shape)
            if known is None:
                known = self._ask(shape)
            chosen.append(known[0])
            for place in known[1]:
                asked.setdefault(place, []).append(i)
        for place, indices in asked.items():
            self._select(place, indices, events, chosen)
        return chosen

    def _ask(self, shape: tuple[Any, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Detectors concerned for certain, and those that are to be asked about the event itself."""
        kind, secrets, *names = shape
        fields = frozenset(names)
        wanted = [place for place in self._places if self._concerned(place, kind, fields, secrets)]
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        known = self._shapes[shape] = (
            tuple(place for place in wanted if place not in self._asks),
            tuple(place for place in wanted if place in self._asks),
        )
        return known

    def _concerned(self, place: int, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        try:
            return self._detectors[place].concerns(kind, fields, secrets)
        except Exception:  # noqa: BLE001 - a detector may raise anything; it then sees, and fails on, each event
            return True

    def _select(self, place: int, indices: list[int], events: Sequence[Any], chosen: list[Sequence[int]]) -> None:
        """Adds a detector where its own look at the events says so."""
        whole = len(indices) == len(events)
        try:
            wanted = self._detectors[place].select(events if whole else [events[i] for i in indices])
            found = indices if wanted is None else [indices[i] for i in wanted]
        except Exception:  # noqa: BLE001 - the same
            found = indices
        for i in found:
            chosen[i] = _with(chosen[i], place)


def _with(places: Sequence[int], place: int) -> Sequence[int]:
    """The places with one more: shared tuples are copied, own lists grow."""
    own = places if type(places) is list else list(places)
    at = len(own)
    while at and own[at - 1] > place:
        at -= 1
    own.insert(at, place)
    return own
