"""Nothing lost, nothing twice: workers that are killed and a store that is away end where an undisturbed one does."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from detectors.model import SecretMatch, Span
from tests.clickhouse_server import Running
from tests.deployment import Deployment, Process, deployment
from tests.kafka_broker import Broker
from tests.make import span

pytestmark = pytest.mark.kafka

KILLS = 20
SESSIONS = 40
REQUEST_SPANS = 40
SEED = 20261120


def stream() -> list[list[Span]]:
    """Requests of interleaved sessions; some show secrets, remove everything, or read a credential and send."""
    dice = random.Random(SEED)
    left = {session: dice.randint(60, 90) for session in range(SESSIONS)}
    opened: set[int] = set()
    spans: list[Span] = []
    now = time.time_ns()
    while left:
        session = dice.choice(sorted(left))
        left[session] -= 1
        if not left[session]:
            del left[session]
        spans.append(one(session, len(spans), now, dice, opened))
    return [spans[at : at + REQUEST_SPANS] for at in range(0, len(spans), REQUEST_SPANS)]


def one(session: int, seq: int, now: int, dice: random.Random, opened: set[int]) -> Span:
    fields: dict[str, Any] = {"tool.name": "shell"}
    changes: dict[str, Any] = {"kind": "command"}
    chance = dice.random()
    if session % 4 == 0 and chance < 0.05:  # the same secret again, in a session of its own
        fingerprint = f"{session:08x}{dice.randint(0, 2):08x}"
        changes["secrets"] = (
            SecretMatch(
                rule_id="secret.test.token", where="result", surface="result", length=38, fingerprint=fingerprint
            ),
        )
    elif session % 4 == 1 and chance < 0.04:
        fields["command.line"] = "rm -rf / --no-preserve-root"
    elif session % 4 == 2 and session not in opened and chance < 0.2:
        opened.add(session)
        fields["command.line"] = "cat .env"
    elif session in opened and chance < 0.1:  # a host no other session calls: who was first is then no race
        changes["kind"] = "http_egress"
        fields |= {"egress.host": f"h{session}.example.net", "egress.hosts": f"h{session}.example.net"}
    at = now + seq * 1_000_000
    return span(
        seq,
        session=f"session-{session}",
        agent=f"agent-{session % 7}",
        fields=fields,
        start_ns=at,
        end_ns=at + 500_000,
        received_ns=now,
        **changes,
    )


STREAM = stream()
Results: TypeAlias = dict[str, list[tuple[Any, ...]]]
ROWS = {
    "findings": "SELECT Id, RuleId, SessionId, toString(Severity) FROM {db}.findings FINAL ORDER BY ALL",
    "alerts": "SELECT Id, RuleId, FindingCount, arraySort(FindingIds), toString(Severity)"
    " FROM {db}.alerts FINAL ORDER BY ALL",
    "spans": "SELECT Id FROM {db}.spans FINAL ORDER BY ALL",
    "sightings": "SELECT Id FROM {db}.sightings FINAL ORDER BY ALL",
}


def results(running: Deployment) -> Results:
    return {name: running.rows(query) for name, query in ROWS.items()}


@pytest.fixture(scope="module")
def undisturbed(broker: Broker, clickhouse_server: Running, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What one worker makes of the stream when nothing happens to it."""
    with deployment(broker, clickhouse_server.settings(), tmp_path_factory.mktemp("undisturbed")) as running:
        running.submit(STREAM)
        running.start()
        running.settle()
        found = results(running)
    rules = {row[1] for row in found["alerts"]}
    assert {
        "secret.test.token",
        "destructive.test-removal",
        "exfiltration.test-opened-then-sent",
        "egress.unlisted",
    } <= rules
    return found


def fed(running: Deployment, pause: float) -> threading.Thread:
    """The stream, produced little by little, so that every kill has something to interrupt."""
    thread = threading.Thread(target=running.submit, args=(STREAM,), kwargs={"pause": pause})
    thread.start()
    return thread


def equal(running: Deployment, expected: Results) -> None:
    found = results(running)
    for name, rows in expected.items():
        assert found[name] == rows, name
    # Not only after ReplacingMergeTree: each block went in once, so no row is there twice to begin with.
    assert running.rows("SELECT count() FROM {db}.spans") == [(len(expected["spans"]),)]


def await_work(worker: Process, seconds: float = 6) -> None:
    """Until the worker has a partition, at most so long: the next kill then interrupts work, not only starts."""
    end = time.monotonic() + seconds
    while "partition opened" not in worker.log.read_text() and time.monotonic() < end:
        time.sleep(0.05)


def test_two_workers_killed_one_after_the_other_lose_and_repeat_nothing(
    broker: Broker, clickhouse_server: Running, tmp_path: Path, undisturbed: Results
) -> None:
    dice = random.Random(SEED)
    with deployment(broker, clickhouse_server.settings(), tmp_path) as running:
        workers = [running.start(), running.start()]
        feeding = fed(running, 0.8)
        progress = []
        for kill in range(KILLS):
            if kill % 4:  # else at once, while it starts or while partitions change hands
                await_work(workers[(kill + 1) % 2])
            time.sleep(dice.uniform(0.0, 1.5))
            workers[kill % 2].kill()
            workers[kill % 2] = running.start()
            progress.append(running.rows("SELECT count() FROM {db}.spans")[0][0])
        feeding.join()
        running.settle(90)
        equal(running, undisturbed)
    assert len(set(progress)) > 3, "the kills came while the stream was worked on"


def disturbed(
    broker: Broker,
    server: Running,
    folder: Path,
    expected: Results,
    trouble: Callable[[], None],
) -> None:
    with deployment(broker, server.settings(), folder) as running:
        running.start()
        feeding = fed(running, 0.05)
        for _ in range(4):
            time.sleep(1.5)
            trouble()
        feeding.join()
        time.sleep(1.5)  # our own queries are refused too
        running.settle(90)
        equal(running, expected)
        assert all(process.running for process in running.processes)


@pytest.mark.parametrize("mode", ["refuse", "drop", "lose"])
def test_a_store_that_is_away_for_a_while_changes_nothing(
    mode: str,
    broker: Broker,
    clickhouse_server: Running,
    tmp_path: Path,
    undisturbed: Results,
) -> None:
    """It refuses, hangs up, or does the work and hangs up before it says so; the worker waits and asks again."""
    disturbed(broker, clickhouse_server, tmp_path, undisturbed, lambda: clickhouse_server.control(mode, seconds=1))
