"""The live driver on a real broker: what Faust promises, what the Collector's topics become, how a process ends."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detectors.secret_rules import fill
from tests import otlp
from tests.clickhouse_server import Running
from tests.deployment import Deployment, deployment
from tests.kafka_broker import Broker, free_ports, read
from tests.make import span

pytestmark = pytest.mark.kafka
TOKEN = "swtok_<alnum:32>"


@pytest.fixture
def live(broker: Broker, clickhouse_server: Running, tmp_path: Path) -> Iterator[Deployment]:
    with deployment(broker, clickhouse_server.settings(), tmp_path) as running:
        yield running


def batch(count: int, **changes: Any) -> list[Any]:
    now = time.time_ns()
    times = {"start_ns": now, "end_ns": now, "received_ns": now}
    return [span(seq, session=f"s{seq % 8}", **times, **changes) for seq in range(count)]


def stored(live: Deployment) -> int:
    return int(live.rows("SELECT count() FROM {db}.spans")[0][0])


def topic(live: Deployment, name: str) -> list[Any]:
    return [json.loads(value) for _, _, value in asyncio.run(read(live.settings.kafka, name))]


def test_a_batch_that_fails_ends_the_process_and_is_delivered_again(
    live: Deployment, clickhouse_server: Running
) -> None:
    """Guards against a Faust that acknowledges what raised: everything here rests on it."""
    spans = live.settings.kafka.topic_spans
    clickhouse_server.control("error", code=60, seconds=60)  # a table is gone: SinkRejected, not to be waited for
    try:
        live.submit([batch(80)])
        failing = live.start()
        assert failing.wait(60) == 1
    finally:
        clickhouse_server.control("none")
    # Faust may still commit what it fetched while it went down (decision 7), so the checkpoint is what counts.
    assert not any(live.checkpoints(spans).values())
    assert live.committed(spans) != live.ends(spans)
    assert stored(live) == 0
    live.start()
    live.settle()
    assert stored(live) == 80
    live.wait(lambda: live.committed(spans) == live.ends(spans), "acknowledged")


def test_sigterm_ends_with_everything_acknowledged(live: Deployment) -> None:
    worker = live.start()
    live.submit([batch(80)])
    live.wait(lambda: stored(live) == 80, "stored")
    assert worker.terminate(5) == 0
    assert live.checkpoints(live.settings.kafka.topic_spans) == live.ends(live.settings.kafka.topic_spans)


def test_a_worker_shows_its_metrics_where_it_is_told_to(live: Deployment) -> None:
    (port,) = free_ports(1)
    pace = live.settings.worker.model_copy(update={"metrics_port": port})
    live.start(worker=pace)
    live.submit([batch(80)])
    live.wait(lambda: stored(live) == 80, "stored")
    assert "spanwatch_spans_stored_total 80.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_sigterm_does_not_wait_for_a_store_that_refuses(live: Deployment, clickhouse_server: Running) -> None:
    clickhouse_server.control("refuse", seconds=60)
    worker = live.start()
    live.submit([batch(80)])
    live.wait(lambda: "store unavailable" in live.logs(), "a first try")
    status = worker.terminate(5)
    clickhouse_server.control("none")
    assert status == 0
    assert set(live.committed(live.settings.kafka.topic_spans).values()) == {0}


def test_sigterm_does_not_wait_for_a_store_that_never_answers(live: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        worker = live.start(clickhouse=live.settings.clickhouse.model_copy(update={"port": port}))
        live.submit([batch(8)])
        silent.settimeout(60)
        asked, _ = silent.accept()  # the worker is now inside a call that does not come back
        assert worker.terminate(5) == 0
        asked.close()


def test_the_collectors_topics_become_masked_spans(live: Deployment) -> None:
    names = live.settings.kafka
    secret = fill(TOKEN, 1)
    live.produce(names.topic_otlp_spans, [otlp.traces(3, session="proto", **{"gen_ai.tool.call.result": secret})])
    live.produce(names.topic_otlp_spans, [b"  " + otlp.traces_json(2, session="json")], partition=1)
    live.produce(names.topic_otlp_logs, [otlp.logs(4, body=f"said {secret}")], partition=2)
    live.start()
    live.settle()
    assert stored(live) == 9
    assert live.rows("SELECT DISTINCT SessionId FROM {db}.spans ORDER BY ALL") == [("json",), ("proto",), ("s1",)]
    assert live.rows("SELECT DISTINCT SecretRules FROM {db}.spans WHERE SessionId != 'json'") == [
        (["secret.test.token"],)
    ]
    assert secret.encode() not in b"".join(value for _, _, value in asyncio.run(read(names, names.topic_spans)))
    raw = [row[0] for row in live.rows("SELECT Raw FROM {db}.spans")]
    assert not any(secret in text for text in raw)


def test_what_cannot_be_read_becomes_a_dead_letter_with_reason_and_origin(live: Deployment) -> None:
    names = live.settings.kafka
    live.produce(names.topic_otlp_spans, [b"\xff\xff garbage", otlp.traces(2, session="good")])
    live.produce(names.topic_otlp_logs, [b'{"resourceLogs": ['])
    live.produce(names.topic_spans, [b"no record of ours"])
    live.start()
    live.settle()
    assert stored(live) == 2
    expected = {f"{names.topic_otlp_spans}/0/0", f"{names.topic_otlp_logs}/0/0", f"{names.topic_spans}/0/0"}
    assert {row[0] for row in live.rows("SELECT Origin FROM {db}.dead_letters FINAL")} == expected
    letters = topic(live, names.topic_dead_letters)
    assert {letter["origin"] for letter in letters} == expected
    assert all(letter["reason"] for letter in letters)


def test_alerts_leave_as_detection_findings(live: Deployment) -> None:
    names = live.settings.kafka
    live.submit([batch(16, kind="command", fields={"tool.name": "shell", "command.line": "rm -rf / "})])
    live.start()
    live.settle()
    alerts = live.rows("SELECT Id, RuleId, FindingCount FROM {db}.alerts FINAL ORDER BY ALL")
    assert len(alerts) == 8
    newest = {event["finding_info"]["uid"]: event for event in topic(live, names.topic_alerts)}
    assert {event["class_uid"] for event in newest.values()} == {2004}
    seen = [(uid, event["finding_info"]["analytic"]["uid"], event["count"]) for uid, event in sorted(newest.items())]
    assert seen == alerts


def test_the_gateway_hands_over_and_ends_when_told(live: Deployment) -> None:
    url = live.gateway()
    kind = {"content-type": "application/x-protobuf"}
    assert httpx.post(f"{url}/v1/traces", content=otlp.traces(5, session="by-http"), headers=kind).status_code == 200
    assert httpx.post(f"{url}/v1/traces", content=b"\xff\xff", headers=kind).status_code == 400
    live.start()
    live.settle()
    assert live.rows("SELECT SessionId, count() FROM {db}.spans GROUP BY ALL") == [("by-http", 5)]
    assert live.rows("SELECT Origin FROM {db}.dead_letters FINAL") == [("http:traces",)]
    assert live.processes[0].terminate(5) == 0
