"""Tool burst: an agent calls tools far faster than in its own past."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from types import MappingProxyType

import msgspec
from river import anomaly

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Window

DECIDING = "tool_calls"
FEATURES = (DECIDING, "commands", "egress", "bytes_out", "errors")
LEAST_SPREAD = 0.25  # of log(1 + count): an agent that never varied is not surprised by one call more
CONTRIBUTES = 3.0  # standard deviations
MAX_KNOWN = 32


class Baseline(msgspec.Struct):
    """What an agent usually does in a minute in which it does anything: one small model per feature."""

    models: dict[str, anomaly.StandardAbsoluteDeviation]
    windows: int = 0
    known: dict[str, None] = {}  # windows learnt last, so that one delivered twice teaches once


class ToolBurst(Detector[Window, Baseline]):
    """An agent's tool calls per minute, against its own past; counts are compared by their logarithm.

    Blind spots: silent for an agent's first `warmup` windows; slow drift is learnt as normal; minutes without any
    span are not seen, so an agent that wakes at an odd hour is not odd; a new agent has no past.
    """

    id = "anomaly.tool_burst"
    version = "1"
    scope = "agent"
    rules = MappingProxyType(
        {
            id: About(
                title="An agent calls tools far faster than in its own past",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "LLM06:2026", "ASI02", "AML.T0053"),
                runbook="Look at what the session did in this minute; a loop and a theft both look like this.",
                rows=("E6",),
            )
        }
    )

    def __init__(self, *, threshold: float = 0.9999, warmup: int = 50, severity: Severity = Severity.LOW) -> None:
        self._threshold, self._warmup, self._severity = threshold, warmup, severity

    def new_state(self) -> Baseline:
        return Baseline({name: anomaly.StandardAbsoluteDeviation() for name in FEATURES})

    def observe(self, event: Window, state: Baseline) -> Iterator[Finding]:
        if event.id in state.known:
            return
        state.known[event.id] = None
        if len(state.known) > MAX_KNOWN:
            del state.known[next(iter(state.known))]
        far = {name: _deviation(state.models[name], event.counts.get(name, 0)) for name in FEATURES}
        expected = {name: math.expm1(state.models[name].sub_stat.get() or 0.0) for name in FEATURES}
        seen = state.windows
        state.windows += 1
        for name in FEATURES:  # learn always, also from a burst: else one honest change of work alarms for ever
            value = math.log1p(max(event.counts.get(name, 0), 0))
            state.models[name].learn_one(None, value)  # type: ignore[no-untyped-call]  # river
        score = math.erf(max(far[DECIDING], 0.0) / math.sqrt(2))
        if seen < self._warmup or score < self._threshold:
            return
        odd = sorted((name for name in FEATURES if far[name] >= CONTRIBUTES), key=lambda name: -far[name])
        yield finding(
            self,
            event,
            rule_id=self.id,
            severity=self._severity,
            category=Category.OVERREACH,
            score=round(score, 6),
            evidence={
                "who": event.agent_id or event.agent_type,
                "what": f"{event.counts.get(DECIDING, 0)} tool calls in a minute",
                "windows_learnt": str(seen),
                "warmup": str(self._warmup),
                **{
                    f"contributor.{name}": f"{event.counts.get(name, 0)} (expected {expected[name]:.1f})"
                    for name in odd
                },
            },
        )

    def dump(self, state: Baseline) -> bytes:
        """River models have no other form; the engine authenticates a snapshot before any of it is unpickled."""
        return pickle.dumps((state.models, state.windows, state.known), protocol=5)

    def load(self, blob: bytes) -> Baseline:
        models, windows, known = pickle.loads(blob)
        return Baseline(models, windows, known)


def _deviation(model: anomaly.StandardAbsoluteDeviation, count: int) -> float:
    """Standard deviations above the usual; negative below it."""
    value = math.log1p(max(count, 0))
    off = value - (model.sub_stat.get() or 0.0)
    size = min(model.score_one(None, value), abs(off) / LEAST_SPREAD)  # type: ignore[no-untyped-call]  # river
    return math.copysign(float(size), off)
