"""Resident memory over two million spans of twenty thousand sessions, through ingest, engine and chDB."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pipeline import build
from pipeline.migrate import migrate
from pipeline.records import Entry, Record, encode
from pipeline.settings import ClickHouse, Settings
from pipeline.sinks.clickhouse import Clients
from pipeline.worker import Worker
from tests.bench.corpus import START_NS, requests

CHUNKS = 100
REQUESTS = 40
SPANS = 500
SESSIONS = 200  # a chunk's own; none of them returns in a later chunk, and none is idle long enough to be dropped
PAGE = os.sysconf("SC_PAGE_SIZE")
CHUNK_NS = 30_000_000_000


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def measure() -> dict[str, Any]:
    """Median resident MB of each quarter of the run, and the last against the second."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), clickhouse=ClickHouse())
        rules = build.rules(settings)
        clients = Clients(settings.clickhouse, settings.data_dir)
        migrate(clients.mine(), settings.clickhouse)
        ingest, sink = build.ingest(settings, rules), build.sink(settings)
        worker = Worker(build.engine(settings, rules), sink, build.store(settings), topic="spans", partition=0)
        worker.restore()
        samples, offset = [], 0
        for chunk in range(CHUNKS):
            for body in requests(REQUESTS, SPANS, SESSIONS, seed=chunk):
                got = ingest.traces(body, "protobuf", received_ns=START_NS + chunk * CHUNK_NS)
                payload = encode(Entry(spans=got.spans, dead_letters=got.dead_letters))
                worker.handle([Record("spans", 0, offset, payload)])
                offset += 1
            worker.checkpoint()
            samples.append(resident() / 2**20)
        quarter = CHUNKS // 4
        medians = [statistics.median(samples[i * quarter : (i + 1) * quarter]) for i in range(4)]
        spans = worker.counts.spans
        clients.close()
    return {
        "spans": spans,
        "sessions": CHUNKS * SESSIONS,
        **{f"quarter_{i + 1}_mb": round(value, 1) for i, value in enumerate(medians)},
        "last_to_second": round(medians[3] / medians[1], 3),
    }
