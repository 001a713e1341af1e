"""Masked at rest: of a thousand secrets planted in every kind of field, no driver writes one down anywhere."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import hyperscan
import msgspec
import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from detectors import rule
from detectors.secret_rules import mark
from detectors.secrets import Scanner
from pipeline.embedded import LOG_FILE
from pipeline.settings import Gateway, Rules, Settings
from pipeline.sinks.clickhouse import connect
from tests import running
from tests.clickhouse_server import Running
from tests.deployment import ROOT, Deployment, Process, deployment
from tests.kafka_broker import Broker, free_ports, read
from tests.running import KEY

COUNT = 1000
REQUEST_SECRETS = 10
PROTOBUF = {"content-type": "application/x-protobuf"}


class Planted(NamedTuple):
    """A secret, and the text it stands in."""

    secret: str
    text: str


def secrets() -> list[Planted]:
    """Different secrets of all rules in turn, each in the text its rule gives as an example."""
    examples = [example for one in rule.read().secrets for example in one.examples.match if "«" in example]
    found: dict[str, Planted] = {}
    for seed in range(100):
        for example in examples:
            text, place = mark(example, seed)
            assert place is not None
            secret = text[place[0] : place[1]]
            if len(secret) >= 12:  # a shorter one may stand somewhere by chance
                found.setdefault(secret, Planted(secret, text))
            if len(found) == COUNT:
                return list(found.values())
    raise AssertionError(f"only {len(found)} different secrets")


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def traces(planted: Sequence[Planted], first: int) -> ExportTraceServiceRequest:
    """One span a secret, with the secret in everything a span can hold that is text."""
    request = ExportTraceServiceRequest()
    now = time.time_ns()
    for number, (_, plant) in enumerate(planted, first):
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.CopyFrom(text(f"service {plant}"))
        resource.resource.attributes.add(key="host.note").value.CopyFrom(text(plant))
        scope = resource.scope_spans.add()
        scope.scope.name, scope.scope.version = f"scope {plant}", f"1 {plant}"
        scope.scope.attributes.add(key="scope.note").value.CopyFrom(text(plant))
        span = scope.spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            name=f"call {plant}",
            trace_state=f"vendor={plant}",
            start_time_unix_nano=now + number,
            end_time_unix_nano=now + number + 1000,
        )
        span.status.code, span.status.message = 2, f"failed: {plant}"
        for key in ("note", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.tool.name", "user.id"):
            span.attributes.add(key=key).value.CopyFrom(text(plant))
        for key in ("gen_ai.conversation.id", "gen_ai.agent.id", "gen_ai.tool.call.id", "gen_ai.request.model"):
            span.attributes.add(key=key).value.CopyFrom(text(plant))
        span.attributes.add(key="url.full").value.CopyFrom(text(f"https://example.net/?q={plant}"))
        span.attributes.add(key=f"key {plant}").value.CopyFrom(text("value"))
        span.attributes.add(key="json").value.CopyFrom(text(json.dumps({"inside": plant})))
        span.attributes.add(key="json2").value.CopyFrom(text(json.dumps({"outer": json.dumps({"inner": plant})})))
        span.attributes.add(key="raw").value.bytes_value = plant.encode()
        nested = span.attributes.add(key="nested").value.kvlist_value.values
        nested.add(key="a").value.kvlist_value.values.add(key="b").value.CopyFrom(text(plant))
        nested.add(key=plant).value.int_value = 1
        span.attributes.add(key="list").value.array_value.values.add(string_value=plant)
        event = span.events.add(name=f"event {plant}", time_unix_nano=now)
        event.attributes.add(key="exception.message").value.CopyFrom(text(plant))
        link = span.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, trace_state=f"v={plant}")
        link.attributes.add(key="link.note").value.CopyFrom(text(plant))
    return request


def logs(planted: Sequence[Planted]) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    now = time.time_ns()
    for number, (_, plant) in enumerate(planted):
        record = scope.log_records.add(time_unix_nano=now + number, event_name=f"said {plant}", severity_text=plant)
        if number % 2:
            record.body.kvlist_value.values.add(key="message").value.CopyFrom(text(plant))
        else:
            record.body.CopyFrom(text(plant))
        record.attributes.add(key="prompt").value.CopyFrom(text(plant))
        record.attributes.add(key="session.id").value.CopyFrom(text(plant))
    return request


def post(url: str, planted: Sequence[Planted]) -> None:
    with httpx.Client(base_url=url, timeout=60, headers=PROTOBUF) as client:
        for first in range(0, len(planted), REQUEST_SECRETS):
            some = planted[first : first + REQUEST_SECRETS]
            for path, request in (("traces", traces(some, first + 1)), ("logs", logs(some))):
                assert client.post(f"/v1/{path}", content=request.SerializeToString()).status_code == 200
            # what nobody can decode must not be kept either
            assert client.post("/v1/traces", content=b"\xff" + some[0].text.encode()).status_code == 400


class Search:
    """Looks for all secrets at once, as they are, escaped once and twice for JSON, in base64 and in hex."""

    def __init__(self, planted: Iterable[Planted]) -> None:
        needles: dict[bytes, str] = {}
        for secret, _ in planted:
            for needle in variants(secret):
                needles[needle] = secret
        self._secrets = list(needles.values())
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[re.escape(needle) for needle in needles],
            ids=list(range(len(needles))),
            elements=len(needles),
            flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(needles),
        )

    def __call__(self, data: bytes) -> set[str]:
        found: set[str] = set()

        def note(number: int, *_: object) -> None:
            found.add(self._secrets[number])

        if data:
            self._database.scan(data, match_event_handler=note)
        return found


def variants(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    once = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from (raw, once.encode(), json.dumps(once, ensure_ascii=False)[1:-1].encode(), raw.hex().encode())
    for shift in range(3):  # wherever it stands in what was encoded
        whole = base64.b64encode(b"\0" * shift + raw)
        yield whole[4 if shift else 0 : -4]
    lines = [line for line in secret.splitlines() if len(line) >= 32 and not line.startswith("-----")]
    yield from (line.encode() for line in lines if line != secret)


@pytest.fixture(scope="module")
def planted() -> list[Planted]:
    return secrets()


@pytest.fixture(scope="module")
def search(planted: list[Planted]) -> Search:
    return Search(planted)


def dump(client: object, database: str) -> Iterator[bytes]:
    """Every column of every row of every table, decompressed."""
    for (table,) in client.query(f"SHOW TABLES FROM {database}").result_rows:  # type: ignore[attr-defined]
        yield client.raw_query(f"SELECT * FROM {database}.{table} FORMAT RowBinary")  # type: ignore[attr-defined]


def files(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


def fingerprints(planted: Sequence[Planted]) -> set[str]:
    scanner = Scanner(rule.read().secrets, KEY.encode())
    return {scanner.fingerprint(secret) for secret, _ in planted}


STORED = "SELECT DISTINCT arrayJoin(SecretFingerprints) FROM {db}.spans WHERE Signal = '{signal}'"


def test_the_search_finds_what_is_there(planted: list[Planted], search: Search) -> None:
    """Guards the rest: each way a secret could stand in a file is seen."""
    assert len({secret for secret, _ in planted}) == COUNT
    for secret, plant in planted[::37]:
        request = traces([Planted(secret, plant)], 1).SerializeToString()
        assert search(request) == {secret}
        assert search(b"x" + base64.b64encode(b"ab" + secret.encode() + b"c")) == {secret}
        assert search(secret.encode().hex().encode()) == {secret}


def test_a_secret_in_a_key_is_masked_whatever_its_values_are(planted: list[Planted], search: Search) -> None:
    """A number under a known key is not scanned again: a key that holds a secret must not become known."""
    ingest = running.ingest(Gateway())
    for _, plant in planted[::17]:
        for first in (1, 2):
            request = ExportTraceServiceRequest()
            for number in (first, first + 10):
                span = (
                    request.resource_spans.add()
                    .scope_spans.add()
                    .spans.add(
                        trace_id=b"\1" * 16, span_id=number.to_bytes(8, "big"), start_time_unix_nano=time.time_ns()
                    )
                )
                span.attributes.add(key=plant).value.int_value = number
            got = ingest.traces(request.SerializeToString(), "protobuf", received_ns=time.time_ns())
            assert len(got.spans) == 2
            assert search(msgspec.msgpack.encode(got.spans)) == set()


@pytest.mark.kafka
def test_live_writes_no_secret_down(
    planted: list[Planted], search: Search, broker: Broker, clickhouse_server: Running, tmp_path: Path
) -> None:
    with deployment(broker, clickhouse_server.settings(), tmp_path, rules=Rules()) as live:
        names = live.settings.kafka
        url = live.gateway()
        live.start()
        post(url, planted[: COUNT // 2])
        rest = planted[COUNT // 2 :]
        for first in range(0, len(rest), REQUEST_SECRETS):
            some = rest[first : first + REQUEST_SECRETS]
            request = traces(some, first + 5001).SerializeToString()
            live.produce(names.topic_otlp_spans, [request, some[0].text.encode()])
            live.produce(names.topic_otlp_logs, [logs(some).SerializeToString()], partition=1)
        live.settle(120)
        metrics = httpx.get(f"{url}/metrics").content
        for process in live.processes:
            assert process.terminate(10) == 0
        found = [*evidence(live), metrics]
        assert fingerprints(planted) <= stored(live, "span")
        assert fingerprints(planted) <= stored(live, "log")
    leaked = set().union(*map(search, found))
    assert leaked == set()
    if broker.data is not None:
        collected = b"".join(b"".join(files(broker.data / f"{names.topic_otlp_spans}-{p}")) for p in range(4))
        assert search(collected), "the folders searched are those of the broker"


def stored(live: Deployment, signal: str) -> set[str]:
    return {row[0] for row in live.rows(STORED.replace("{signal}", signal))}


def evidence(live: Deployment) -> Iterator[bytes]:
    """All that the live driver left: its topics as bytes and decoded, its tables, its folders and logs."""
    names = live.settings.kafka
    ours = (names.topic_spans, names.topic_activity, names.topic_dead_letters, names.topic_alerts)
    for topic in ours:
        for _, _, value in asyncio.run(read(names, topic)):
            yield value
            if topic in ours[:2]:
                yield zstandard.decompress(value)
    client = connect(live.settings.clickhouse, live.folder)
    yield from dump(client, live.settings.clickhouse.database)
    client.close()
    yield from files(live.folder)


def test_embedded_writes_no_secret_down(planted: list[Planted], search: Search, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    data = tmp_path / "data"
    # no checkpoint before the end: the log keeps everything until then
    pace = {"checkpoint_seconds": 900}
    settings = Settings(data_dir=data, key=KEY, gateway=Gateway(port=port, grpc_port=-1), worker=pace)
    process = Process("serve", settings, tmp_path / "serve.log")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_ready(url)
        post(url, planted)
        metrics = httpx.get(f"{url}/metrics").content
        log = list(log_entries(data / LOG_FILE))
        before = list(files(data))
        assert process.terminate(60) == 0
    finally:
        process.kill()
    table = tmp_path / "tables"
    subprocess.run([sys.executable, "-m", "tests.test_at_rest", str(data), str(table)], check=True, cwd=ROOT)
    rows = table.read_bytes()
    assert all(fingerprint.encode() in rows for fingerprint in fingerprints(planted))
    assert len(log) >= 2 * COUNT // REQUEST_SECRETS
    leaked = set().union(*map(search, [metrics, rows, *log, *before, *files(tmp_path)]))
    assert leaked == set()


def log_entries(path: Path) -> Iterator[bytes]:
    """What the embedded log holds, decoded."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
        for (payload,) in log.execute("SELECT payload FROM log"):
            yield zstandard.decompress(payload)


def wait_ready(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the embedded driver did not become ready")


def main(data: str, target: str) -> None:
    """All tables of a store, by a process of its own: the engine in a test process outlives the test."""
    settings = Settings(data_dir=Path(data))
    client = connect(settings.clickhouse, settings.data_dir)
    with Path(target).open("wb") as out:
        for rows in dump(client, settings.clickhouse.database):
            out.write(rows)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
