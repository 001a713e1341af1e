"""Sink in memory, with the promises of the real one: for replays that only compare, and for tests."""

from __future__ import annotations

import threading
from typing import Any

from detectors.model import Alert, Failure, Finding, Incident, Outcome, Sighting, Span, Window
from pipeline.errors import SinkRejected
from pipeline.records import Block, DeadLetter, Located

_TABLES = (Finding, Alert, Incident, Window, Sighting, Failure)


class MemorySink:
    """Keeps what ClickHouse would show with FINAL: a token once, a span at its first delivery, an alert at its
    highest version, an incident as the union of its rows. All rows are keyed by (run, id)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._plans: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._located: dict[str, Located] = {}
        self._rows: dict[type, dict[tuple[str, str], Any]] = {kind: {} for kind in _TABLES}
        self._dead: dict[str, DeadLetter] = {}

    def write(self, block: Block) -> None:
        unknown = {type(outcome).__name__ for outcome in block.outcomes if type(outcome) not in self._rows}
        if unknown:
            raise SinkRejected(f"no table for {', '.join(sorted(unknown))}")
        with self._lock:
            if block.token in self._tokens:
                return
            self._tokens.add(block.token)
            if block.run == "live":
                if not block.tick_ns:
                    self._plans.setdefault((block.topic, block.partition), []).append((block.first, block.last))
                for located in block.spans:
                    kept = self._located.get(located.span.id)
                    if kept is None or located.span.received_ns < kept.span.received_ns:
                        self._located[located.span.id] = located
            for outcome in block.outcomes:
                self._keep(block.run, outcome)
            for letter in block.dead_letters:
                self._dead[letter.id] = letter

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = []
        for first, last in sorted(self._plans.get((topic, partition), ()), key=lambda cut: cut[0]):
            if first >= from_offset and (not ranges or first > ranges[-1][1]):
                ranges.append((first, last))
        return ranges

    def close(self) -> None:
        """Nothing to close; what was kept can still be read."""

    def spans(self) -> list[Span]:
        """Stored spans in recorded order."""
        return [located.span for located in self.located()]

    def located(self) -> list[Located]:
        with self._lock:
            return sorted(self._located.values(), key=lambda place: place[1:])

    def rows(self, kind: type, run: str = "live") -> list[Any]:
        """Outcomes of one type and run, by id."""
        with self._lock:
            return [row for (of, _), row in sorted(self._rows[kind].items()) if of == run]

    def findings(self, run: str = "live") -> list[Finding]:
        return self.rows(Finding, run)

    def alerts(self, run: str = "live") -> list[Alert]:
        return self.rows(Alert, run)

    def incidents(self, run: str = "live") -> list[Incident]:
        return self.rows(Incident, run)

    def dead_letters(self) -> list[DeadLetter]:
        with self._lock:
            return [letter for _, letter in sorted(self._dead.items())]

    def _keep(self, run: str, outcome: Outcome) -> None:
        table, place = self._rows[type(outcome)], (run, outcome.id)
        kept = table.get(place)
        if isinstance(outcome, Alert) and kept is not None and kept.version > outcome.version:
            return
        table[place] = merged(kept, outcome) if isinstance(outcome, Incident) and kept is not None else outcome


def merged(one: Incident, other: Incident) -> Incident:
    """Union of two rows of an incident; order and repetition of rows do not matter."""
    return Incident(
        id=one.id,
        tenant=one.tenant,
        agent_id=max(one.agent_id, other.agent_id),
        agent_type=max(one.agent_type, other.agent_type),
        session_ids=tuple(sorted({*one.session_ids, *other.session_ids})),
        alert_ids=tuple(sorted({*one.alert_ids, *other.alert_ids})),
        categories=tuple(sorted({*one.categories, *other.categories})),
        severity=max(one.severity, other.severity),
        opened_ns=min(one.opened_ns, other.opened_ns),
        updated_ns=max(one.updated_ns, other.updated_ns),
        status=max(one.status, other.status),
        title=max(one.title, other.title),
    )
