"""The live driver end to end: HTTP requests into a gateway process, Kafka, one worker process, rows in a store process.

Six processes share the machine: this one, gateway, broker (a JVM), worker, store, and the kernel's own work for the
bytes between them. Store processes are chDB behind ClickHouse's HTTP interface (tests/clickhouse_server.py).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.settings import Rules
from tests import clickhouse_server, kafka_broker
from tests.bench.corpus import requests
from tests.bench.embedded import send_all
from tests.deployment import Deployment, deployment

SPANS = 512
WARM_REQUESTS = 16
REQUESTS = 240


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def stored(live: Deployment) -> int:
    return int(live.rows("SELECT count() FROM {db}.spans")[0][0])


def wait_stored(live: Deployment, spans: int) -> None:
    live.wait(lambda: stored(live) >= spans, f"{spans} spans", seconds=300)


def measure() -> dict[str, Any]:
    """Spans per second from the first request to the last row, and where the processor time went."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("broker", "store", "live"):
            (place / name).mkdir()
        broker = kafka_broker.start(place / "broker")
        store = clickhouse_server.Running(place / "store")
        try:
            pace = {"batch_seconds": 0.2, "checkpoint_seconds": 5}
            with deployment(broker, store.settings(), place / "live", rules=Rules(), **pace) as live:
                return _run(live, {"broker": broker.pid, "store": store.pid})
        finally:
            broker.stop()
            store.stop()


def _run(live: Deployment, others: dict[str, int | None]) -> dict[str, Any]:
    url = live.gateway()
    worker = live.start()
    port = int(url.rpartition(":")[2])
    bodies = requests(WARM_REQUESTS + REQUESTS, SPANS, sessions=200, seed=1)
    send_all(port, bodies[:WARM_REQUESTS])
    wait_stored(live, WARM_REQUESTS * SPANS)
    given = {"gateway": live.processes[0].pid, "worker": worker.pid, **others}
    pids = {name: pid for name, pid in given.items() if pid is not None}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    began = time.perf_counter()
    send_all(port, bodies[WARM_REQUESTS:])
    accepted = time.perf_counter() - began
    total = REQUESTS * SPANS
    wait_stored(live, WARM_REQUESTS * SPANS + total)
    seconds = time.perf_counter() - began
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return {
        "spans": total,
        "spans_per_second": total / seconds,
        "accepted_spans_per_second": total / accepted,
        **{f"{name}_cpu_us_per_span": 1e6 * spent / total for name, spent in used.items()},
    }
