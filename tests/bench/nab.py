"""The Numenta Anomaly Benchmark's corpus, where a copy is at hand: its format, its score, our models on its series.

A series is one agent that does nothing but one thing: each row becomes a Window whose only count is the row's value.
What our models look at besides (tools, hosts, hours, types) has no counterpart there.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.model import Window
from tests.bench.anomaly_baselines import Ours, System, ZScore

PROBATION: Final = 0.15  # of a series, of 5,000 rows at most
WEIGHTS: Final = {"standard": (1.0, 0.11, 1.0), "few false": (1.0, 0.22, 1.0), "few missed": (1.0, 0.11, 2.0)}
LEAST, LARGEST = 1_000, 1_000_000  # what a series lies between and how far: counts are compared by logarithm
PUBLISHED: Final = (  # detector, then its three scores, as the benchmark's own page lists them
    ("ARTime", 74.9, 65.1, 80.4),
    ("Numenta HTM", 70.5, 62.6, 75.2),
    ("CAD OSE", 69.9, 67.0, 73.2),
    ("KNN CAD", 58.0, 43.4, 64.8),
    ("Random Cut Forest", 51.7, 38.4, 59.7),
    ("Windowed Gaussian", 39.6, 20.9, 47.4),
    ("Bayesian Changepoint", 17.7, 3.2, 32.2),
    ("random", 11.0, 1.2, 19.5),
)


class Series(NamedTuple):
    """One file: moments in nanoseconds, values, and the stretches (first and last row) in which something is wrong."""

    name: str
    times: list[int]
    values: list[float]
    wrong: list[tuple[int, int]]


def read(folder: Path) -> Iterator[Series]:
    """Every series of the corpus that has labels: data/<group>/<file>.csv, labels/combined_windows.json."""
    labels = json.loads((folder / "labels/combined_windows.json").read_text("utf-8"))
    for name in sorted(labels):
        path = folder / "data" / name
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [(_moment(row["timestamp"]), float(row["value"])) for row in csv.DictReader(lines)]
        times = [moment for moment, _ in rows]
        wrong = []
        for first, last in labels[name]:
            inside = [i for i, moment in enumerate(times) if _moment(first) <= moment <= _moment(last)]
            if inside:
                wrong.append((inside[0], inside[-1]))
        yield Series(name, times, [value for _, value in rows], wrong)


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000


def probation(rows: int) -> int:
    return int(min(math.floor(PROBATION * rows), PROBATION * 5_000))


def _worth(place: float) -> float:
    """What a detection is worth: most at a window's left edge (-1), nothing at its right edge (0), then a loss."""
    return -1.0 if place >= 3 else 2 / (1 + math.exp(5 * place)) - 1


def score(series: Series, flagged: Sequence[int], weights: tuple[float, float, float]) -> tuple[float, float, float]:
    """Points of these detections, of none at all, and of a perfect detector."""
    hit, false, missed = weights
    from_row = probation(len(series.values))
    counted = [one for one in series.wrong if one[1] >= from_row]
    total = 0.0
    best = dict.fromkeys(counted, -missed)
    for row in flagged:
        if row < from_row:
            continue
        inside = next((one for one in counted if one[0] <= row <= one[1]), None)
        if inside is not None:
            place = -(inside[1] - row + 1) / (inside[1] - inside[0] + 1)
            best[inside] = max(best[inside], _worth(place) / _worth(-1.0) * hit)
            continue
        before = [one for one in series.wrong if one[1] < row]
        past = 3.0 if not before else (row - before[-1][1]) / max(before[-1][1] - before[-1][0], 1)
        total += _worth(past) * false
    return total + sum(best.values()), -missed * len(counted), hit * len(counted)


def windows(series: Series) -> Iterator[Window]:
    """The series as one agent's Windows, values between a thousand and a million more."""
    low, high = min(series.values), max(series.values)
    for i, (moment, value) in enumerate(zip(series.times, series.values, strict=True)):
        count = LEAST + round((value - low) / ((high - low) or 1.0) * LARGEST)
        yield Window(
            id=f"{series.name}/{i}",
            tenant="nab",
            agent_id=series.name,
            agent_type=series.name,
            session_id=f"{series.name}/{i}",
            start_ns=moment,
            end_ns=moment + 60_000_000_000,
            began_ns=moment,
            counts={"spans": 1, "bytes_out": count},
        )


def flagged(series: Series, system: System) -> list[int]:
    """Rows that the system tells."""
    return sorted({place for place, _ in system.flag(list(windows(series)))})


def measure(folder: Path | None) -> dict[str, Any]:
    """Normalised scores over the corpus: 0 is to say nothing, 100 is perfect. A line where there is no corpus."""
    if folder is None or not (folder / "labels/combined_windows.json").is_file():
        line = "NAB: not run, NAB names no folder with the corpus (data/*/*.csv, labels/combined_windows.json)"
        print(line, file=sys.stderr)
        return {"skipped": line}
    sums: dict[str, dict[str, list[float]]] = {}
    count = 0
    for series in read(folder):
        count += 1
        systems: dict[str, System] = {"spanwatch": Ours(), "z-score of 3": ZScore()}
        for name, system in systems.items():
            rows = flagged(series, system)
            for profile, weights in WEIGHTS.items():
                whole = sums.setdefault(name, {}).setdefault(profile, [0.0, 0.0, 0.0])
                for i, part in enumerate(score(series, rows, weights)):
                    whole[i] += part
    scores = {
        name: {
            profile: round(100 * (got - none) / (perfect - none), 1) for profile, (got, none, perfect) in one.items()
        }
        for name, one in sums.items()
    }
    return {"series": count, "scores": scores}
