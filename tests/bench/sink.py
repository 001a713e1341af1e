"""What storing a span costs: columns built, inserted into chDB, inserted over HTTP, and read back."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.migrate import migrate
from pipeline.records import Block, Located
from pipeline.settings import ClickHouse
from pipeline.sinks import rows
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from pipeline.sinks.reader import read_spans
from tests.bench.corpus import START_NS, requests
from tests.bench.ingest import ingest
from tests.clickhouse_server import Running, for_tests

SPANS = 512
RECORDS = 16  # of one block: 8,192 spans
BLOCKS = 16
WARM = 4


def blocks() -> list[Block]:
    """Blocks as the worker writes them: records of one request each."""
    ours, made = ingest(), []
    bodies = requests(BLOCKS * RECORDS, SPANS, sessions=200, seed=1)
    for number in range(BLOCKS):
        first = number * RECORDS
        located = [
            Located(span, 0, first + i, index)
            for i, body in enumerate(bodies[first : first + RECORDS])
            for index, span in enumerate(ours.traces(body, "protobuf", received_ns=START_NS + first + i).spans)
        ]
        made.append(Block(topic="spans", partition=0, first=first, last=first + RECORDS - 1, spans=located))
    return made


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system


def _written(settings: ClickHouse, folder: Path, made: list[Block]) -> dict[str, Any]:
    """Median wall and mean CPU time of this process per span, block by block; then a full read."""
    client = connect(settings, folder)
    migrate(client, settings)
    sink = ClickHouseSink(settings, folder)
    wall, began = [], 0.0
    for number, block in enumerate(made):
        if number == WARM:
            began = _cpu()
        start = time.perf_counter()
        sink.write(block)
        wall.append((time.perf_counter() - start) / len(block.spans))
    spans = sum(len(block.spans) for block in made[WARM:])
    cpu = (_cpu() - began) / spans
    start = time.perf_counter()
    read = sum(len(batch) for batch in read_spans(client, settings.database))
    seconds = time.perf_counter() - start
    size = client.query(
        "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts\n"
        "WHERE active AND table = 'spans' AND database = {d:String}",
        parameters={"d": settings.database},
    ).result_rows[0][0]
    sink.close()
    client.close()
    median = statistics.median(wall[WARM:])
    return {
        "wall_us_per_span": round(median * 1e6, 2),
        "cpu_us_per_span": round(cpu * 1e6, 2),
        "spans_per_second": round(1 / median),
        "read_us_per_span": round(seconds / read * 1e6, 2),
        "disk_bytes_per_span": round(size),
    }


def measure() -> dict[str, Any]:
    """CPU over chDB includes the engine and its merges; over HTTP it is the client's alone."""
    made = blocks()
    stored = rows.Stored("live", "spans", 0, 0, 0, START_NS)
    built = []
    for block in made:
        start = time.perf_counter()
        rows.spans(block.spans, stored)
        built.append((time.perf_counter() - start) / len(block.spans))
    raw = [len(rows.raw_of(place.span)) for place in made[0].spans]
    result: dict[str, Any] = {
        "raw_bytes_per_span": round(statistics.mean(raw)),
        "columns_us_per_span": round(statistics.median(built) * 1e6, 2),
    }
    with tempfile.TemporaryDirectory() as folder:
        server = Running(Path(folder))
        http = _written(server.settings(), Path(folder), made)
        server.stop()
        chdb = _written(for_tests(), Path(folder), made)
    return result | {f"chdb_{k}": v for k, v in chdb.items()} | {f"http_{k}": v for k, v in http.items()}
