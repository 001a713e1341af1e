"""Masked at rest: of a thousand secrets planted in every kind of field and encoding, no driver writes one down."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

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
from tests.bench.carriers import CARRIERS, fits, text_of
from tests.bench.families import FAMILIES, SECRET
from tests.clickhouse_server import Running
from tests.deployment import ROOT, Deployment, Process, deployment
from tests.kafka_broker import Broker, free_ports, read
from tests.running import KEY

COUNT = 1000  # secrets sent through a whole deployment
LEAST = 12  # characters: anything shorter may stand somewhere by chance
REQUEST_SECRETS = 10
PROTOBUF = {"content-type": "application/x-protobuf"}


LAYERS = (
    *("base64", "base64url", "base64 wrapped", "double base64", "gzip base64", "hex", "unicode escapes", "hex escapes"),
    *("percent", "html", "concatenation", "array", "line continuation"),
)


class Planted(NamedTuple):
    """A secret, the text it stands in, and what else of that text gives it away: its encoded form, its parts."""

    secret: str
    text: str
    shown: tuple[str, ...] = ()


def secrets() -> list[Planted]:
    """Secrets of all rules, each in a text its rule gives as an example."""
    examples = [example for one in rule.read().secrets for example in one.examples.match if "«" in example]
    found: dict[str, Planted] = {}
    for example in examples:
        text, place = mark(example, 0)
        assert place is not None
        secret = text[place[0] : place[1]]
        if len(secret) >= LEAST:
            found.setdefault(secret, Planted(secret, text))
    return list(found.values())


def hidden() -> list[Planted]:
    """Secrets of many families under every encoding, and cut in parts."""
    found = []
    for carrier in LAYERS:
        for family in FAMILIES:
            if family.kind == "token" and fits(carrier, family):
                rng = random.Random(f"{carrier}/{family.name}")
                secret = family.make(rng)
                parts = CARRIERS[carrier](rng, family, secret)
                shown = tuple(piece for piece, kind in parts if kind == SECRET and len(piece) >= LEAST)
                found.append(Planted(text_of(secret), text_of(parts), shown))
    texts = [one.text for one in found]
    own = (
        one._replace(shown=tuple(piece for piece in one.shown if sum(piece in text for text in texts) == 1))
        for one in found
    )  # the header of a JWT is every JWT's
    return [one for one in own if one.shown]  # else its parts are too short to be looked for


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def traces(planted: Sequence[Planted], first: int) -> ExportTraceServiceRequest:
    """One span a secret, with the secret in everything a span can hold that is text."""
    request = ExportTraceServiceRequest()
    now = time.time_ns()
    for number, (_, plant, _) in enumerate(planted, first):
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
    for number, (_, plant, _) in enumerate(planted):
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
        for secret, _, shown in planted:
            for needle in (*variants(secret), *(one.encode() for one in shown)):
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
    """As many as a deployment gets: of the rules' own examples, and under every encoding."""
    every, under = secrets(), hidden()
    random.Random(1).shuffle(every)
    random.Random(2).shuffle(under)
    return [*every[: COUNT * 3 // 4], *under[: COUNT // 4]]


@pytest.fixture(scope="module")
def search(planted: list[Planted]) -> Search:
    return Search(planted)


def dump(client: object, database: str) -> Iterator[bytes]:
    """Every column of every row of every table, decompressed."""
    for (table,) in client.query(f"SHOW TABLES FROM {database}").result_rows:  # type: ignore[attr-defined]
        yield client.raw_query(f"SELECT * FROM {database}.{table} FORMAT RowBinary")  # type: ignore[attr-defined]


def files(folder: Path) -> Iterator[bytes]:
    paths = (Path(at) / name for at, _, names in os.walk(folder) for name in names)  # a folder may go meanwhile
    for path in sorted(paths):
        with contextlib.suppress(FileNotFoundError):
            yield path.read_bytes()


@cache
def known() -> Scanner:
    return Scanner(rule.read().secrets, KEY.encode())


def unseen(planted: Sequence[Planted], stored: Container[str]) -> list[str]:
    """Texts whose secret is not known by its fingerprint, that of the secret itself, whatever it was hidden under."""
    scanner = known()
    spelled = ((one.text, {one.secret, unquote(one.secret)}) for one in planted)
    return [text for text, said in spelled if not any(scanner.fingerprint(secret) in stored for secret in said)]


STORED = "SELECT DISTINCT arrayJoin(SecretFingerprints) FROM {db}.spans WHERE Signal = '{signal}'"


def test_the_search_finds_what_is_there(planted: list[Planted], search: Search) -> None:
    """Guards the rest: each way a secret could stand in a file is seen."""
    assert len({one.secret for one in planted}) == COUNT
    for one in planted[::37]:
        secret = one.secret
        assert search(traces([one], 1).SerializeToString()) == {secret}
        assert search(b"x" + base64.b64encode(b"ab" + secret.encode() + b"c")) == {secret}
        assert search(secret.encode().hex().encode()) == {secret}


@pytest.mark.parametrize(("source", "step"), [(secrets, 6), (hidden, 2)])
def test_no_rule_and_no_layer_lets_a_secret_through(source: Callable[[], list[Planted]], step: int) -> None:
    """Examples of rules of every issuer, and every encoding: what leaves ingest knows each secret and holds none."""
    ingest, every = running.ingest(Gateway()), source()
    every = every if "SPANWATCH_TEST_ALL_RULES" in os.environ else every[::step]
    look = Search(every)
    for first in range(0, len(every), REQUEST_SECRETS):
        some = every[first : first + REQUEST_SECRETS]
        request = traces(some, first + 1).SerializeToString()
        spans = ingest.traces(request, "protobuf", received_ns=time.time_ns()).spans
        assert look(msgspec.msgpack.encode(spans)) == set()
        assert unseen(some, {match.fingerprint for span in spans for match in span.secrets}) == []


def test_a_secret_in_a_key_is_masked_whatever_its_values_are(planted: list[Planted], search: Search) -> None:
    """A number under a known key is not scanned again: a key that holds a secret must not become known."""
    ingest = running.ingest(Gateway())
    for _, plant, _ in planted[::17]:
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
        assert unseen(planted, stored(live, "span")) == []
        assert unseen(planted, stored(live, "log")) == []
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
    assert unseen(planted, rows.decode("latin-1")) == []
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
