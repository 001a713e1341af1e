"""Scores of whatever flags windows of a simulated fleet: what it found of each incident, how soon, how noisily."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

from detectors.model import Window
from replay.simulate_incidents import KINDS, STRONG, WEAK, Shift

GRACE_NS = 3 * 60_000_000_000  # an alert this soon after an incident's end, in its session, is about it
WARM = 0.25  # of the time: not scored
AFTER = ((1, 20), (21, 40), (41, 100))  # windows of an agent after its type's honest shift

Mark = tuple[str, str, float, int]  # incident: id, kind, strength, how many of its windows so far


class Score:
    """Sums over fleets. An alert is what a person reads: one per rule and session, however often it is told."""

    def __init__(self) -> None:
        self.windows = 0
        self.spans = 0
        self.alerts: dict[tuple[int, str], bool] = {}  # fleet and key → whether it is about an incident
        self.happened: dict[tuple[int, str], tuple[str, float]] = {}
        self.soon: dict[tuple[int, str], int] = {}
        self.shifted: dict[str, list[int]] = defaultdict(lambda: [0, 0])  # stretch → windows, alerts
        self._fleet = 0
        self._recent: dict[str, tuple[str, int]] = {}
        self._from_ns = 0
        self._shifts: dict[str, int] = {}
        self._since: dict[str, int] = {}

    def fleet(self, from_ns: int, shifts: list[Shift]) -> None:
        """The next fleet begins; nothing before `from_ns` counts."""
        self._fleet += 1
        self._recent.clear()
        self._since.clear()
        self._from_ns, self._shifts = from_ns, {one.agent_type: one.start_ns for one in shifts}

    def note(self, window: Window, incident: Mark | None, alerts: list[str]) -> None:
        """One window and the alerts it raised."""
        if incident is not None:
            self._recent[window.session_id] = (incident[0], window.end_ns)
            self.happened[self._fleet, incident[0]] = (incident[1], incident[2])
        about = self._recent.get(window.session_id)
        near = about is not None and window.start_ns - about[1] <= GRACE_NS
        if about is not None and near and alerts:
            self.soon.setdefault((self._fleet, about[0]), incident[3] if incident else 10_000)
        if window.start_ns < self._from_ns:
            return
        self.windows += 1
        self.spans += window.counts["spans"]
        fresh = 0
        for key in alerts:
            whole = (self._fleet, key)
            fresh += whole not in self.alerts
            self.alerts[whole] = self.alerts.get(whole, False) or near
        if not near and (at := self._shifts.get(window.agent_type)):
            self._shifted(window, at, fresh)

    def _shifted(self, window: Window, at: int, alerts: int) -> None:
        if window.start_ns < at:
            name = "before"
        else:
            nth = self._since[window.agent_id] = self._since.get(window.agent_id, 0) + 1
            name = next((f"{first} to {last}" for first, last in AFTER if first <= nth <= last), "later")
        self.shifted[name][0] += 1
        self.shifted[name][1] += alerts

    def figures(self) -> dict[str, Any]:
        right = sum(self.alerts.values())
        wrong = len(self.alerts) - right
        cells: dict[str, dict[str, list[int]]] = {kind: {"weak": [0, 0], "strong": [0, 0]} for kind in KINDS}
        soon: list[int] = []
        for key, (kind, strength) in self.happened.items():
            cell = cells[kind]["weak" if strength < (WEAK + STRONG) / 2 else "strong"]
            cell[1] += 1
            if key in self.soon:
                cell[0] += 1
                soon.append(self.soon[key])
        return {
            "windows": self.windows,
            "spans_per_window": round(self.spans / max(self.windows, 1), 2),
            "incidents": len(self.happened),
            "recall_strong": _share([one["strong"] for one in cells.values()]),
            "recall_weak": _share([one["weak"] for one in cells.values()]),
            "false_per_1000": round(wrong / max(self.windows, 1) * 1000, 3),
            "precision": round(right / max(len(self.alerts), 1), 4),
            "alerts": len(self.alerts),
            "false": wrong,
            "median_windows": statistics.median(soon) if soon else None,
            "kinds": {
                kind: {name: {"hits": hit, "of": of} for name, (hit, of) in one.items()} for kind, one in cells.items()
            },
            "after_shift": {
                name: {"windows": seen, "alerts": told, "per_1000": round(told / max(seen, 1) * 1000, 3)}
                for name, (seen, told) in self.shifted.items()
            },
        }


def _share(cells: list[list[int]]) -> float:
    hits, of = sum(hit for hit, _ in cells), sum(of for _, of in cells)
    return round(hits / max(of, 1), 4)
