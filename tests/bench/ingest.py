"""Ingest against the bare cost of parsing the same protobuf and walking its attributes, in one run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import detectors
from detectors.secret_rules import read_secrets
from detectors.secrets import Scanner
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from tests.bench.corpus import START_NS, requests

SPANS = 512
ROUNDS = 24


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    if kind == "kvlist_value":
        return {kv.key: _value(kv.value) for kv in value.kvlist_value.values}
    return getattr(value, kind)


def walk(body: bytes) -> list[dict[str, Any]]:
    """The bare cost: every span parsed in full, its scalars and attributes as Python values."""
    rows: list[dict[str, Any]] = []
    for per_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {kv.key: _value(kv.value) for kv in per_resource.resource.attributes}
        for per_scope in per_resource.scope_spans:
            rows += [_row(span, resource) for span in per_scope.spans]
    return rows


def _row(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "status": span.status.code,
        "resource": resource,
        "attributes": {kv.key: _value(kv.value) for kv in span.attributes},
    }


def ingest() -> Ingest:
    """Ingest with every secret rule we ship."""
    folder = Path(detectors.__file__).parent / "rules" / "secrets"
    return Ingest(Scanner(read_secrets(sorted(folder.glob("*.yml"))), b"bench"), Gateway(), b"bench")


def _seconds(work: Callable[[bytes], object], body: bytes) -> float:
    """Time of this thread alone: on a shared machine the wall clock measures the neighbours."""
    began = time.thread_time()
    work(body)
    return time.thread_time() - began


def measure() -> dict[str, Any]:
    """µs per span of both, taken in turn on the same bodies so that a busy machine slows both alike."""
    bodies = requests(ROUNDS + 4, SPANS, sessions=200, seed=1)
    ours = ingest()

    def run(body: bytes) -> object:
        return ours.traces(body, "protobuf", received_ns=START_NS)

    for body in bodies[:4]:
        run(body)
        walk(body)
    gc.collect()
    bare, full = [], []
    for body in bodies[4:]:
        bare.append(_seconds(walk, body))
        full.append(_seconds(run, body))
    walked, ingested = statistics.median(bare), statistics.median(full)
    return {
        "bytes_per_span": round(sum(map(len, bodies)) / len(bodies) / SPANS),
        "bare_us_per_span": round(walked / SPANS * 1e6, 2),
        "ingest_us_per_span": round(ingested / SPANS * 1e6, 2),
        "ingest_spans_per_second": round(SPANS / ingested),
        "ratio_to_bare": round(ingested / walked, 2),
    }
