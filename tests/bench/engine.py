"""The engine with every detector on, against the bare parse-and-walk of the same spans, in one run."""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import detectors
from detectors import rule
from detectors.engine import Engine
from detectors.model import Sighting, Span, Window
from tests.bench import rules
from tests.bench.corpus import START_NS, requests
from tests.bench.ingest import ingest, walk

SPANS = 512
ROUNDS = 24
SESSIONS = 200


def measure() -> dict[str, Any]:
    """µs per span of both in turn; stage two (windows and sightings handed back) is part of the engine's cost."""
    bodies = requests(ROUNDS + 4, SPANS, sessions=SESSIONS, seed=2)
    ours = ingest()
    batches: list[list[Span]] = [
        ours.traces(body, "protobuf", received_ns=START_NS + i * 1_000_000_000).spans for i, body in enumerate(bodies)
    ]
    engine = Engine(detectors.load(rule.read()), key=b"bench")
    bare, full, single = [], [], []
    findings = 0
    for i, (body, spans) in enumerate(zip(bodies, batches, strict=True)):
        gc.collect()
        began = time.perf_counter()
        walk(body)
        walked = time.perf_counter()
        out = engine.run(spans)
        back = [one for one in out if isinstance(one, Window | Sighting)]
        out += engine.run(back)
        done = time.perf_counter()
        findings += len(out) - len(back)
        if i >= 4:
            bare.append(walked - began)
            full.append(done - walked)
    alone = Engine(detectors.load(rule.read()), key=b"bench")
    for spans in batches[:4]:
        began = time.perf_counter()
        for span in spans:
            alone.step(span)
        single.append(time.perf_counter() - began)
    began = time.perf_counter()
    blob = engine.snapshot()
    saved = time.perf_counter() - began
    walked, ran = statistics.median(bare), statistics.median(full)
    return {
        "bare_us_per_span": round(walked / SPANS * 1e6, 2),
        "engine_us_per_span": round(ran / SPANS * 1e6, 2),
        "engine_spans_per_second": round(SPANS / ran),
        "ratio_to_bare": round(ran / walked, 2),
        "one_at_a_time_us_per_span": round(statistics.median(single) / SPANS * 1e6, 2),
        "snapshot_bytes_per_session": round(len(blob) / SESSIONS),
        "snapshot_us_per_session": round(saved / SESSIONS * 1e6, 1),
        "other_outcomes": findings,
        "rules": rules.measure(),
    }
