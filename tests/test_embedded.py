"""The embedded driver: nothing accepted is lost or stored twice, and it says when it cannot store."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detectors.model import Alert, Finding
from detectors.secret_rules import fill
from pipeline import drain
from pipeline.errors import SinkRejected, SinkUnavailable
from pipeline.records import Block
from pipeline.settings import Settings
from pipeline.sinks.memory import MemorySink
from pipeline.state import MemoryStore
from tests import otlp
from tests.running import RunningEmbedded, embedded, settings

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def quick(data_dir: Path, **sections: Any) -> Settings:
    """Small steps, so that much happens in little time."""
    made = settings(data_dir)
    worker = {"batch_spans": 100, "batch_seconds": 0.02, "checkpoint_seconds": 0.1}
    return Settings(data_dir=data_dir, key=made.key, gateway=made.gateway, **({"worker": worker} | sections))


def secret(seed: int) -> str:
    """A secret no rule author wrote down, made anew from a hole."""
    return "export GH_TOKEN=" + fill("ghp_<alnum:36>", seed)


LEAK = {"gen_ai.tool.call.result": secret(0)}


def bodies(count: int) -> list[bytes]:
    """Requests of interleaving sessions; every third carries a secret."""
    return [
        otlp.traces(
            10,
            session=f"session-{i % 4}",
            start=i * 10,
            **({"gen_ai.tool.call.result": secret(i % 5)} if i % 3 == 0 else {}),
        )
        for i in range(count)
    ]


def post(url: str, body: bytes) -> httpx.Response:
    # verify=False: plain HTTP needs no certificates, and reading them costs more than the request
    return httpx.post(url + "/v1/traces", content=body, headers=PROTOBUF, timeout=30, verify=False)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Moody(MemorySink):
    """A sink that raises what it is told to before it works."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: Exception | None = None
        self.blocks: list[Block] = []

    def write(self, block: Block) -> None:
        if self.mood:
            raise self.mood
        super().write(block)
        self.blocks.append(block)


def stored(sink: Moody) -> tuple[list[str], set[str], dict[str, int]]:
    """Span ids in order, finding ids, alert id → highest version."""
    outcomes = [o for block in sink.blocks for o in block.outcomes]
    alerts: dict[str, int] = {}
    for alert in outcomes:
        if isinstance(alert, Alert):
            alerts[alert.id] = max(alert.version, alerts.get(alert.id, 0))
    spans = [located.span.id for block in sink.blocks for located in block.spans]
    return spans, {o.id for o in outcomes if isinstance(o, Finding)}, alerts


@pytest.fixture
def sink() -> Moody:
    return Moody()


def test_handed_over_or_read_back_the_results_are_equal(
    tmp_path: Path, sink: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded spans passed in memory and entries read from the file lead to the same rows."""
    cold = Moody()
    with embedded(quick(tmp_path / "warm"), sink=sink, store=MemoryStore()) as running:
        for body in bodies(30):
            assert post(running.url, body).status_code == 200
        running.wait_processed()
    monkeypatch.setattr(drain, "WARM_BATCHES", 0)
    monkeypatch.setattr("pipeline.embedded.WARM_BATCHES", 0)
    with embedded(quick(tmp_path / "cold"), sink=cold, store=MemoryStore()) as running:
        for body in bodies(30):
            assert post(running.url, body).status_code == 200
        running.wait_processed()
    assert stored(cold) == stored(sink)
    spans, findings, alerts = stored(sink)
    assert len(spans) == len(set(spans)) == 300
    assert findings
    assert alerts


def test_while_the_store_is_away_it_takes_until_the_bound_and_then_refuses(tmp_path: Path, sink: Moody) -> None:
    """429 with Retry-After, readiness says why, and once the store is back everything taken is stored once."""
    chosen = quick(tmp_path / "data", log={"max_bytes": 20_000})
    with embedded(chosen, sink=sink, store=MemoryStore()) as running:
        sink.mood = SinkUnavailable("the store is away")
        taken = 0
        for i in range(1000):
            response = post(running.url, otlp.traces(10, start=10 * i))
            if response.status_code != 200:
                break
            taken += 1
        assert response.status_code == 429
        assert response.headers["retry-after"] == "2"
        assert taken > 3
        eventually(lambda: "sink" in httpx.get(running.url + "/readyz").json()["reasons"])
        reasons = httpx.get(running.url + "/readyz").json()["reasons"]
        assert reasons["sink"] == "the store is away"
        assert not stored(sink)[0]
        sink.mood = None
        running.wait_processed()
        eventually(lambda: httpx.get(running.url + "/readyz").status_code == 200)
        assert post(running.url, otlp.traces(1, start=10**6)).status_code == 200
        running.wait_processed()
    spans = stored(sink)[0]
    assert len(spans) == len(set(spans)) == 10 * taken + 1


def test_what_a_stop_left_is_done_by_the_next_start(tmp_path: Path, sink: Moody) -> None:
    """A stop while the store is away ends at once and loses nothing."""
    store = MemoryStore()
    sink.mood = SinkUnavailable("the store is away")
    with embedded(quick(tmp_path / "data"), sink=sink, store=store) as running:
        for body in bodies(5):
            assert post(running.url, body).status_code == 200
        eventually(lambda: httpx.get(running.url + "/readyz").status_code == 503)
    assert not stored(sink)[0]
    sink.mood = None
    with embedded(quick(tmp_path / "data"), sink=sink, store=store) as running:
        running.wait_processed()
    assert len(stored(sink)[0]) == 50


def test_a_store_that_refuses_for_good_stops_the_worker_loudly(tmp_path: Path, sink: Moody) -> None:
    """Readiness, the failure itself, and the log keeps what was taken."""
    with embedded(quick(tmp_path / "data"), sink=sink, store=MemoryStore()) as running:
        sink.mood = SinkRejected("no such column")
        assert post(running.url, otlp.traces(3)).status_code == 200
        with pytest.raises(SinkRejected):
            running.wait_processed()
        assert running.embedded.failed.is_set()
        response = httpx.get(running.url + "/readyz")
        assert response.status_code == 503
        assert "SinkRejected" in response.json()["reasons"]["worker"]


def test_checkpoints_trim_the_log_and_a_restart_goes_on(tmp_path: Path) -> None:
    """Entries that a checkpoint covers leave the log; an alert goes on counting after the restart."""
    chosen = quick(tmp_path / "data")
    seen: list[Block] = []

    def broken(block: Block) -> None:
        raise ZeroDivisionError

    leak = {"gen_ai.tool.call.result": secret(1)}
    with embedded(chosen, listeners=[broken, seen.append]) as running:
        assert post(running.url, otlp.traces(4, **leak)).status_code == 200
        running.wait_processed()
        eventually(lambda: "spanwatch_log_bytes 0.0" in httpx.get(running.url + "/metrics").text)
    assert sum(len(block.spans) for block in seen) == 4
    with embedded(chosen, listeners=[seen.append]) as running:
        assert post(running.url, otlp.traces(4, start=4, **leak)).status_code == 200
        running.wait_processed()
        spans = running.embedded.query("SELECT count() FROM spanwatch.spans")
        alerts = running.embedded.query("SELECT FindingCount FROM spanwatch.alerts FINAL")
    assert spans == [(8,)]
    assert (8,) in alerts
    assert (4,) not in alerts
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


class Process:
    """The driver in its own process on a port that stays the same over restarts."""

    def __init__(self, data_dir: Path, *more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.data_dir, self.more = data_dir, more
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.embedded_process", str(self.data_dir), str(self.port), *self.more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def listening(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == b"%d" % self.port

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        os.kill(self.process.pid, number)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path / "data")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def exported(url: str, body: bytes) -> None:
    """Send as an exporter does: again after every failure to connect, cut connection and retryable status."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if post(url, body).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("not delivered")


def test_a_signal_ends_it_cleanly(process: Process, tmp_path: Path) -> None:
    """Status 0, and everything it had said 200 to is in the store."""
    process.start()
    process.listening()
    for body in bodies(20):
        exported(process.url, body)
    assert process.end(signal.SIGTERM) == 0
    with embedded(quick(tmp_path / "data")) as running:
        assert running.embedded.query("SELECT count() FROM spanwatch.spans") == [(200,)]


def test_a_drifted_schema_ends_the_process_with_status_1(tmp_path: Path) -> None:
    """Loudly: never on and on with nothing stored."""
    process = Process(tmp_path / "data", "spanwatch.findings")
    process.start()
    process.listening()
    exported(process.url, otlp.traces(2, **{"gen_ai.tool.call.result": secret(1)}))
    assert process.process is not None
    assert process.process.wait(60) == 1
    assert process.process.stdout is not None
    process.process.stdout.close()


def results(running: RunningEmbedded) -> dict[str, list[tuple[Any, ...]]]:
    """Everything stored that must not depend on how the process fared."""
    query = running.embedded.query
    return {
        "spans": query("SELECT Id, SessionId, SpanName, Timestamp FROM spanwatch.spans FINAL ORDER BY Id"),
        "findings": query("SELECT Id, RuleId, SessionId, Timestamp FROM spanwatch.findings FINAL ORDER BY Id"),
        "alerts": query(
            "SELECT Id, RuleId, SessionId, FindingCount, arraySort(FindingIds), FirstAt, LastAt"
            " FROM spanwatch.alerts FINAL ORDER BY Id"
        ),
        "incidents": query(
            "SELECT Id, arraySort(groupUniqArrayArray(AlertIds)) FROM spanwatch.incidents GROUP BY Id ORDER BY Id"
        ),
    }


def test_killed_at_random_moments_the_store_ends_up_the_same(process: Process, tmp_path: Path) -> None:
    """Six kills while four exporters send: spans, findings, alerts and incidents equal those of an undisturbed run.

    Each session has an exporter of its own, which keeps its order; together they keep the worker behind.
    """
    sessions = [
        [otlp.traces(20, session=f"session-{n}", start=i * 20, **LEAK if (i + n) % 3 == 0 else {}) for i in range(32)]
        for n in range(4)
    ]
    with embedded(quick(tmp_path / "undisturbed")) as running:
        for body in (body for group in sessions for body in group):
            assert post(running.url, body).status_code == 200
        running.wait_processed()
        expected = results(running)
    delivered: list[None] = []

    def export(group: list[bytes]) -> None:
        for body in group:
            exported(process.url, body)
            delivered.append(None)

    senders = [threading.Thread(target=export, args=(group,)) for group in sessions]
    process.start()
    for sender in senders:
        sender.start()
    dice = random.Random(11)
    for kill in range(1, 7):
        process.listening()
        eventually(lambda kill=kill: len(delivered) >= kill * 16)  # type: ignore[misc]  # bound early
        time.sleep(dice.uniform(0, 0.05))
        process.end(signal.SIGKILL)
        process.start()
    assert len(delivered) < 128
    for sender in senders:
        sender.join()
    process.end(signal.SIGTERM)
    with embedded(quick(tmp_path / "data")) as running:
        running.wait_processed()
        assert results(running) == expected
    assert len(expected["spans"]) == 2560
    assert len(expected["alerts"]) >= 4
