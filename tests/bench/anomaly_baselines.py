"""What the anomaly models have to beat, told the same windows: a fixed z-score, plain Half-Space Trees, rules alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from river import anomaly, compose, preprocessing, stats

import detectors
from detectors import rule
from detectors.anomaly import Anomalies
from detectors.engine import Engine
from detectors.model import Finding, Severity, Window
from detectors.secrets import Scanner
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from replay import simulate_otlp, simulate_windows
from replay.simulate_fleet import Fleet
from replay.simulate_incidents import Incident

COUNTS = (
    "tool_calls", "llm_calls", "commands", "egress", "errors", "bytes_out", "bytes_in", "tokens_in", "tokens_out",
    "cost_micros", "denied", "skipped",
)  # fmt: skip
FEATURES = (*COUNTS, "tools", "hosts", "domains", "pairs", "hour", "minutes")
LEARNT = 30  # windows of an agent (of a type for trees) before a baseline speaks


class System(Protocol):
    """Something that is told windows and says which stand out."""

    def flag(self, windows: list[Window]) -> Iterator[tuple[int, str]]:
        """(place of the window in the batch, key of the alert it belongs to)."""
        ...


class Ours:
    """The detector under test, run by the engine; what is only a notice (info) is no alert."""

    def __init__(self) -> None:
        self.engine = Engine([Anomalies()], key=b"bench")
        self.notices: dict[str, int] = {}
        self.rules: dict[str, int] = {}

    def flag(self, windows: list[Window]) -> Iterator[tuple[int, str]]:
        places = {(one.session_id, one.end_ns): place for place, one in enumerate(windows)}
        for outcome in self.engine.run(windows):
            if isinstance(outcome, Finding):
                told = self.notices if outcome.severity is Severity.INFO else self.rules
                told[outcome.rule_id] = told.get(outcome.rule_id, 0) + 1
                if outcome.severity > Severity.INFO:
                    yield places[outcome.session_id, outcome.time_ns], f"{outcome.rule_id} {outcome.session_id}"


def vector(window: Window) -> dict[str, float]:
    """The window as numbers: logarithms of counts, and the hour; what is unknown is nothing here."""
    found = {name: math.log1p(window.counts.get(name, 0)) for name in COUNTS}
    for name, values in (("tools", window.calls), ("hosts", window.hosts), ("domains", window.domains)):
        found[name] = math.log1p(len(values))
    found["pairs"] = math.log1p(max(window.pairs.values(), default=0))
    found["hour"] = window.start_ns // 3_600_000_000_000 % 24
    found["minutes"] = math.log1p((window.start_ns - window.began_ns) / 60e9 if window.began_ns else 0.0)
    return found


class ZScore:
    """Per agent and feature a running mean and deviation; three deviations on any feature is an alert."""

    def __init__(self, limit: float = 3.0) -> None:
        self._limit = limit
        self._known: dict[str, tuple[list[int], list[float], list[float]]] = {}

    def flag(self, windows: list[Window]) -> Iterator[tuple[int, str]]:
        for place, window in enumerate(windows):
            if self._odd(window):
                yield place, window.session_id

    def _odd(self, window: Window) -> bool:
        values = vector(window).values()
        known = self._known.get(window.agent_id)
        if known is None:
            known = self._known[window.agent_id] = ([0], [0.0] * len(FEATURES), [0.0] * len(FEATURES))
        (count,), mean, square = known
        odd = False
        known[0][0] = count + 1
        for i, value in enumerate(values):
            off = value - mean[i]
            if count >= LEARNT and abs(off) > self._limit * math.sqrt(square[i] / count) and abs(off) > 1e-9:
                odd = True
            mean[i] += off / (count + 1)
            square[i] += off * (value - mean[i])
        return odd


class Trees:
    """river's HalfSpaceTrees as its documentation uses it, one per agent type, at the same budget of alerts."""

    def __init__(self, budget: float = 0.001) -> None:
        self._budget = budget
        self._types: dict[str, tuple[Any, Any, list[int]]] = {}

    def flag(self, windows: list[Window]) -> Iterator[tuple[int, str]]:
        for place, window in enumerate(windows):
            model, quantile, seen = self._types.setdefault(window.agent_type, self._new())
            values = vector(window)
            score = model.score_one(values)
            model.learn_one(values)
            seen[0] += 1
            if seen[0] > 500:
                least = quantile.get()
                if least is not None and score > least and seen[0] > 1_500:
                    yield place, window.session_id
                quantile.update(score)

    def _new(self) -> tuple[Any, Any, list[int]]:
        trees = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
        return trees, stats.Quantile(1 - self._budget), [0]


def by_rules(fleet: Fleet) -> Iterator[tuple[Window, Incident | None, list[str]]]:
    """The fleet's telemetry through ingest and every detector but the anomaly models: minutes and their alerts."""
    found = rule.read()
    ingest = Ingest(Scanner(found.secrets, b"bench"), Gateway(), b"bench")
    engine = Engine([one for one in detectors.load(found) if one.scope not in ("agent", "type")], key=b"bench")
    for minute in fleet.minutes():
        window = simulate_windows.window(minute)
        spans = ingest.traces(simulate_otlp.request(minute), "json", received_ns=window.end_ns).spans
        alerts = [
            f"{one.rule_id} {one.session_id} {one.key}"
            for one in engine.run(spans)
            if isinstance(one, Finding) and one.severity > Severity.INFO
        ]
        yield window, minute.incident, alerts


def batches(stream: Iterable[tuple[Window, Incident | None]], size: int = 512) -> Iterator[list[tuple[Window, Any]]]:
    """The stream in pieces; of each incident what it was at that window: its id, kind, strength, windows so far."""
    batch: list[tuple[Window, Any]] = []
    for window, one in stream:
        batch.append((window, None if one is None else (one.id, one.kind, one.strength, one.windows)))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
