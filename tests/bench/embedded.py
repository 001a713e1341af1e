"""The embedded driver end to end: HTTP requests into one process, rows in chDB, and how soon an alert can be read.

The load comes from this process over keep-alive connections with bodies built beforehand, so both share the
machine's cores: the rate is what two cores give to server and client together.
"""

from __future__ import annotations

import http.client
import json
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectors.secret_rules import fill
from tests import otlp
from tests.bench.corpus import requests

SPANS = 512
FULL_REQUESTS = 256
CONNECTIONS = 4
HALF_RATE = 7_500
HALF_SECONDS = 15
PROBES_PER_SECOND = 12
HEADERS = {"Content-Type": "application/x-protobuf"}


class Server:
    """The server process and the two ways to it."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, "-m", "tests.bench.embedded_server", str(data_dir)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port: int = json.loads(self._process.stdout.readline())["port"]
        self.readable: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            (self.readable if "session" in said else self._answers).put(said)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ask(self, line: str) -> dict[str, Any]:
        self.tell(line)
        return self._answers.get(timeout=60)

    def stored(self) -> float:
        """Spans stored, by the server's own metric."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(float(line.split()[1]) for line in lines if line.startswith("spanwatch_spans_stored_total "))

    def wait_stored(self, spans: float) -> None:
        while self.stored() < spans:
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def deliver(connection: http.client.HTTPConnection, body: bytes) -> None:
    """Post; on 429 or 503 wait as told and post again."""
    while True:
        connection.request("POST", "/v1/traces", body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            return
        if answer.status not in (429, 503):
            raise RuntimeError(f"status {answer.status}")
        time.sleep(int(answer.headers["Retry-After"]))


def send_all(port: int, bodies: Sequence[bytes]) -> None:
    """As fast as the server answers, over a few connections."""
    todo: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        todo.put(body)

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            try:
                deliver(connection, todo.get_nowait())
            except queue.Empty:
                connection.close()
                return

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def send_paced(port: int, bodies: Sequence[bytes], per_second: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.monotonic()
    for number, body in enumerate(bodies):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        deliver(connection, body)
    connection.close()


def probe(server: Server, count: int) -> list[float]:
    """Milliseconds from the 200 for a span with a secret to its alert being readable, one session each."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    accepted: dict[str, int] = {}
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / PROBES_PER_SECOND - time.monotonic()))
        session = f"probe-{number}"
        secret = "export GH_TOKEN=" + fill("ghp_<alnum:36>", number)
        body = otlp.traces(1, session=session, **{"gen_ai.tool.call.result": secret})
        server.tell(f"watch {session}")
        deliver(connection, body)
        accepted[session] = time.time_ns()
    connection.close()
    times = []
    for _ in range(count):
        said = server.readable.get(timeout=60)
        times.append((said["readable_ns"] - accepted[said["session"]]) / 1e6)
    return times


def throughput(server: Server) -> dict[str, Any]:
    bodies = requests(FULL_REQUESTS, SPANS, sessions=400, seed=11)
    before, used = server.stored(), server.ask("use")["cpu"]
    began = time.monotonic()
    send_all(server.port, bodies)
    answered = time.monotonic() - began
    server.wait_stored(before + FULL_REQUESTS * SPANS)
    seconds = time.monotonic() - began
    total = FULL_REQUESTS * SPANS
    return {
        "spans": total,
        "spans_per_second": round(total / seconds),
        "accepted_spans_per_second": round(total / answered),
        "server_cpu_us_per_span": round((server.ask("use")["cpu"] - used) / total * 1e6, 1),
    }


def latency(server: Server) -> dict[str, Any]:
    bodies = requests(HALF_RATE * HALF_SECONDS // SPANS, SPANS, sessions=400, seed=12)
    load = threading.Thread(target=send_paced, args=(server.port, bodies, HALF_RATE / SPANS))
    load.start()
    times = sorted(probe(server, (HALF_SECONDS - 1) * PROBES_PER_SECOND))
    load.join()
    return {
        "half_load_spans_per_second": HALF_RATE,
        "probes": len(times),
        "alert_readable_p50_ms": round(statistics.median(times)),
        "alert_readable_p99_ms": round(statistics.quantiles(times, n=100)[98]),
        "alert_readable_max_ms": round(times[-1]),
    }


def measure() -> dict[str, Any]:
    """Throughput with rows counted in the store, then the latency of alerts at half the wanted load."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data")
        try:
            warm = requests(24, SPANS, sessions=50, seed=10)
            send_all(server.port, warm)
            server.wait_stored(len(warm) * SPANS)
            result = throughput(server) | latency(server)
            rows = server.ask("rows")["rows"]
            result["rows_missing"] = round(server.stored()) - rows
            result["server_peak_mib"] = round(server.ask("use")["rss_mib"])
        finally:
            server.stop()
    return result
