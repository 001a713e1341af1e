"""What an entity detector keeps of a sighting: when, where and what, so that a later event can point back at it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from detectors.model import Sighting

MAX_NOTE = 200


class Mark(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One sighting, by time."""

    time_ns: int
    session_id: str
    span_id: str
    trace_id: str = ""
    agent_id: str = ""
    agent_type: str = ""
    what: str = ""


def mark(event: Sighting, what: str = "") -> Mark:
    said = (what or event.detail.get("what", ""))[:MAX_NOTE]
    return Mark(event.time_ns, event.session_id, event.span_id, event.trace_id, event.agent_id, event.agent_type, said)


def placed(event: Sighting, place: Mark) -> Sighting:
    """The event as if it had happened where the mark points: what is found there belongs to that session."""
    return msgspec.structs.replace(
        event,
        session_id=place.session_id,
        span_id=place.span_id,
        trace_id=place.trace_id,
        agent_id=place.agent_id,
        agent_type=place.agent_type,
        time_ns=place.time_ns,
    )


def keep(marks: list[Mark], one: Mark, most: int) -> bool:
    """Put the mark in its place; the oldest goes when there are too many. False when it was known."""
    if one in marks:
        return False
    insort(marks, one)
    del marks[:-most]
    return True


def tell(told: dict[str, None], what: str, most: int = 256) -> bool:
    """True the first time; the oldest is forgotten first."""
    if what in told:
        return False
    told[what] = None
    if len(told) > most:
        del told[next(iter(told))]
    return True


def moment(text: str) -> int:
    """Nanoseconds of an ISO time with a zone (a bare date is its start in UTC); 0 for anything else."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return 0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(when.timestamp()) * 1_000_000_000


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")


def lines(marks: Iterable[Mark], most: int = 10) -> str:
    """The marks for a reader, newest last."""
    return "; ".join(f"{iso(one.time_ns)} {one.session_id} {one.what}".strip() for one in list(marks)[-most:])
