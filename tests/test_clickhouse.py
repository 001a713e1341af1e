"""The sinks: one set of promises, kept in memory, by chDB in this process, and by a server over HTTP."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detectors.model import (
    Alert,
    Category,
    Failure,
    Finding,
    Incident,
    Outcome,
    Resource,
    SecretMatch,
    Severity,
    Sighting,
    Span,
    Window,
    digest,
)
from pipeline.errors import SettingsError, SinkRejected, SinkUnavailable
from pipeline.migrate import migrate
from pipeline.records import Block, DeadLetter, Located, Sink
from pipeline.settings import ClickHouse
from pipeline.sinks import rows
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from pipeline.sinks.memory import MemorySink, merged
from pipeline.sinks.reader import read_spans
from pipeline.sinks.rows import Rows
from tests.clickhouse_server import Running, for_tests
from tests.make import T0, span

DAY = 86_400 * 10**9


# --- things to store


def finding(name: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "id": digest("finding", name),
        "detector_id": "secrets",
        "detector_version": "1",
        "rule_id": "secret.test",
        "severity": Severity.HIGH,
        "category": Category.CREDENTIAL_EXPOSURE,
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "trace_id": digest("trace"),
        "span_id": "ab" * 8,
        "time_ns": T0,
        "evidence": {"where": "arguments"},
        "span_ids": ("ab" * 8,),
        "standards": ("LLM02",),
    }
    return Finding(**{**values, **changes})


def alert(version: int, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": digest("alert"),
        "version": version,
        "rule_id": "secret.test",
        "detector_id": "secrets",
        "title": "A token",
        "severity": Severity.HIGH,
        "category": Category.CREDENTIAL_EXPOSURE,
        "confidence": "confirmed",
        "score": 0.5,
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "trace_id": digest("trace"),
        "span_id": "ab" * 8,
        "time_ns": T0,
        "first_ns": T0,
        "last_ns": T0 + version,
        "count": version,
        "finding_ids": tuple(digest("finding", str(i)) for i in range(version)),
        "incident_id": digest("incident"),
    }
    return Alert(**{**values, **changes})


def incident(*alerts: str, **changes: Any) -> Incident:
    values: dict[str, Any] = {
        "id": digest("incident"),
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_ids": ("s1",),
        "alert_ids": alerts,
        "categories": (Category.OVERREACH,),
        "severity": Severity.MEDIUM,
        "opened_ns": T0,
        "updated_ns": T0,
        "title": "Chain",
    }
    return Incident(**{**values, **changes})


def window(name: str = "w", **changes: Any) -> Window:
    values: dict[str, Any] = {
        "id": digest("window", name),
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "start_ns": T0,
        "end_ns": T0 + 60 * 10**9,
        "counts": {"spans": 3},
        "tools": ("Bash",),
        "hosts": ("example.org",),
    }
    return Window(**{**values, **changes})


def sighting(name: str = "x") -> Sighting:
    return Sighting(
        id=digest("sighting", name),
        tenant="default",
        entity_kind="secret",
        entity_id="0123456789abcdef",
        agent_id="a1",
        agent_type="test-agent",
        session_id="s1",
        trace_id=digest("trace"),
        span_id="ab" * 8,
        time_ns=T0,
        detail={"rule": "secret.test"},
    )


def failure() -> Failure:
    return Failure(
        id=digest("failure"),
        detector_id="bad",
        tenant="default",
        session_id="s1",
        span_id="ab" * 8,
        time_ns=T0,
        reason="ValueError",
    )


def letter(name: str = "x") -> DeadLetter:
    return DeadLetter(
        id=digest("letter", name),
        reason="protobuf",
        detail="truncated",
        origin="http:/v1/traces",
        tenant="default",
        emitter="",
        size=17,
        fingerprint="0123456789abcdef",
        received_ns=T0,
    )


def block(first: int, last: int, *outcomes: Outcome, seqs: range | None = None, **changes: Any) -> Block:
    """A block of one-span records: record at offset i holds span i."""
    values: dict[str, Any] = {
        "topic": "spans",
        "partition": 1,
        "first": first,
        "last": last,
        "spans": [Located(span(i), 1, i, 0) for i in (range(first, last + 1) if seqs is None else seqs)],
        "outcomes": outcomes,
    }
    return Block(**{**values, **changes})


# --- the three sinks behind one face


class Store(Protocol):
    """A sink and what can be seen in it."""

    def sink(self) -> Sink: ...

    def reopen(self) -> None: ...

    def located(self) -> list[Located]: ...

    def ids(self, kind: type, run: str = "live") -> list[str]: ...

    def alerts(self, run: str = "live") -> list[tuple[str, int, int]]: ...

    def incidents(self, run: str = "live") -> list[Incident]: ...


class InMemory:
    def __init__(self) -> None:
        self._sink = MemorySink()

    def sink(self) -> MemorySink:
        return self._sink

    def reopen(self) -> None:
        """What memory holds lives as long as the sink."""

    def located(self) -> list[Located]:
        return self._sink.located()

    def ids(self, kind: type, run: str = "live") -> list[str]:
        if kind is DeadLetter:
            return [dead.id for dead in self._sink.dead_letters()]
        return [row.id for row in self._sink.rows(kind, run)]

    def alerts(self, run: str = "live") -> list[tuple[str, int, int]]:
        return [(a.id, a.version, a.count) for a in self._sink.alerts(run)]

    def incidents(self, run: str = "live") -> list[Incident]:
        return self._sink.incidents(run)


class InClickHouse:
    tables: ClassVar[dict[type, str]] = {
        Finding: "findings",
        Alert: "alerts",
        Incident: "incidents",
        Window: "windows",
        Sighting: "sightings",
        Failure: "failures",
        DeadLetter: "dead_letters",
    }

    def __init__(self, settings: ClickHouse, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self._sinks: list[ClickHouseSink] = []
        self.client = connect(settings, folder)
        migrate(self.client, settings)

    def sink(self) -> ClickHouseSink:
        self._sinks.append(ClickHouseSink(self.settings, self.folder))
        return self._sinks[-1]

    def reopen(self) -> None:
        self.close()
        self.client = connect(self.settings, self.folder)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
        self.client.close()

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        found = self.client.query(query.replace("{db}", self.settings.database), parameters=parameters)
        return [tuple(row) for row in found.result_rows]

    def count(self, table: str) -> int:
        """Rows of a table as they lie there, without FINAL."""
        return int(self.rows(f"SELECT count() FROM {{db}}.{table}")[0][0])

    def located(self) -> list[Located]:
        return [place for batch in read_spans(self.client, self.settings.database) for place in batch]

    def ids(self, kind: type, run: str = "live") -> list[str]:
        where = "" if kind is DeadLetter else f"WHERE Run = '{run}'"
        return [row[0] for row in self.rows(f"SELECT Id FROM {{db}}.{self.tables[kind]} FINAL {where} ORDER BY Id")]

    def alerts(self, run: str = "live") -> list[tuple[str, int, int]]:
        query = "SELECT Id, Version, FindingCount FROM {db}.alerts FINAL WHERE Run = {run:String} ORDER BY Id"
        return [(i, v, c) for i, v, c in self.rows(query, run=run)]

    def incidents(self, run: str = "live") -> list[Incident]:
        query = (
            "SELECT Id, Tenant, AgentId, AgentType, arraySort(SessionIds), arraySort(AlertIds),\n"
            "arraySort(arrayMap(c -> toUInt8(c), Categories)), toUInt8(Severity),\n"
            "toUnixTimestamp64Nano(OpenedAt), toUnixTimestamp64Nano(UpdatedAt), Status, Title\n"
            "FROM {db}.incidents FINAL WHERE Run = {run:String} ORDER BY Id"
        )
        return [
            Incident(
                id=row[0],
                tenant=row[1],
                agent_id=row[2],
                agent_type=row[3],
                session_ids=tuple(row[4]),
                alert_ids=tuple(row[5]),
                categories=tuple(Category(c) for c in row[6]),
                severity=Severity(row[7]),
                opened_ns=row[8],
                updated_ns=row[9],
                status=row[10],
                title=row[11],
            )
            for row in self.rows(query, run=run)
        ]


class Place(NamedTuple):
    """Where stores of one kind are made."""

    kind: str
    folder: Path
    server: Running | None

    def make(self) -> InClickHouse:
        return InClickHouse(self.server.settings() if self.server else for_tests(), self.folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the chDB of this file lies; one client stays open, so that the engine starts once."""
    folder = tmp_path_factory.mktemp("store")
    client = connect(ClickHouse(), folder)
    yield folder
    client.close()


@pytest.fixture(params=["chdb", "http"])
def place(request: pytest.FixtureRequest, folder: Path) -> Place:
    server = request.getfixturevalue("clickhouse_server") if request.param == "http" else None
    return Place(request.param, folder, server)


@pytest.fixture
def store(place: Place) -> Iterator[InClickHouse]:
    store = place.make()
    yield store
    store.close()


@pytest.fixture(params=["memory", "chdb", "http"])
def any_store(request: pytest.FixtureRequest, folder: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield InMemory()
        return
    server = request.getfixturevalue("clickhouse_server") if request.param == "http" else None
    store = Place(request.param, folder, server).make()
    yield store
    store.close()


# --- promises of every sink


def test_everything_in_a_block_is_stored(any_store: Store) -> None:
    """One of each kind goes in and is found by its id, and spans come back as they were."""
    outcomes = [finding("a"), alert(1), incident("x"), window(), sighting(), failure()]
    written = block(3, 5, *outcomes, dead_letters=[letter()])
    any_store.sink().write(written)
    assert any_store.located() == written.spans
    for item in (*outcomes, letter()):
        assert any_store.ids(type(item)) == [item.id]


def test_an_empty_block_is_only_planned(any_store: Store) -> None:
    sink = any_store.sink()
    sink.write(Block(topic="spans", partition=1, first=4, last=9))
    assert sink.planned("spans", 1, 0) == [(4, 9)]
    assert any_store.located() == []


def test_one_token_is_stored_once(any_store: Store) -> None:
    sink = any_store.sink()
    written = block(0, 4, finding("a"), alert(2), incident("x"))
    sink.write(written)
    sink.write(written)
    any_store.reopen()
    any_store.sink().write(written)
    assert any_store.located() == written.spans
    assert any_store.ids(Finding) == [finding("a").id]
    assert any_store.alerts() == [(alert(2).id, 2, 2)]


def test_ranges_cut_differently_store_each_span_once(any_store: Store) -> None:
    """Two owners of a partition overlap: ids are the second belt."""
    sink = any_store.sink()
    sink.write(block(0, 9, finding("a"), finding("b")))
    sink.write(block(5, 14, finding("b"), finding("c")))
    assert any_store.located() == block(0, 14).spans
    assert any_store.ids(Finding) == sorted(finding(name).id for name in "abc")


def test_the_first_delivery_keeps_its_place(any_store: Store) -> None:
    """An exporter that sends again later does not move a span in history."""
    first, again = span(1), span(1, received_ns=T0 + 3600 * 10**9)
    sink = any_store.sink()
    sink.write(block(0, 0, spans=[Located(first, 1, 0, 0)]))
    sink.write(block(9, 9, spans=[Located(again, 1, 9, 0)]))
    assert any_store.located() == [Located(first, 1, 0, 0)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_highest_version_of_an_alert_counts(any_store: Store, order: tuple[int, ...]) -> None:
    sink = any_store.sink()
    for offset, version in enumerate(order):
        sink.write(block(offset, offset, alert(version), seqs=range(0)))
    assert any_store.alerts() == [(alert(3).id, 3, 3)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 0, 2, 0)])
def test_rows_of_an_incident_merge_by_union(any_store: Store, order: tuple[int, ...]) -> None:
    """Any order, any repetition: the same incident."""
    parts = [
        incident("x", "y", severity=Severity.LOW, updated_ns=T0 + 5, title="A"),
        incident("y", "z", categories=(Category.DATA_EXFILTRATION,), severity=Severity.CRITICAL, title="B"),
        incident("x", session_ids=("s2",), opened_ns=T0 - 7),
    ]
    sink = any_store.sink()
    for offset, index in enumerate(order):
        sink.write(block(offset, offset, parts[index], seqs=range(0)))
    (stored,) = any_store.incidents()
    assert stored == incident(
        "x",
        "y",
        "z",
        session_ids=("s1", "s2"),
        categories=(Category.DATA_EXFILTRATION, Category.OVERREACH),
        severity=Severity.CRITICAL,
        opened_ns=T0 - 7,
        updated_ns=T0 + 5,
        title="Chain",
    )


def test_runs_do_not_meet(any_store: Store) -> None:
    """A replay's results lie beside the live ones, under tokens of their own, and history is left alone."""
    sink = any_store.sink()
    sink.write(block(0, 2, finding("a"), alert(1), incident("x")))
    sink.write(block(0, 2, finding("b"), alert(2), incident("y"), run="trial"))
    assert any_store.ids(Finding) == [finding("a").id]
    assert any_store.ids(Finding, "trial") == [finding("b").id]
    assert (any_store.alerts()[0][1], any_store.alerts("trial")[0][1]) == (1, 2)
    assert any_store.incidents("trial")[0].alert_ids == ("y",)
    assert any_store.located() == block(0, 2).spans


def test_a_replay_adds_no_spans_and_no_plan(any_store: Store) -> None:
    sink = any_store.sink()
    sink.write(block(0, 2, run="trial"))
    assert any_store.located() == []
    assert sink.planned("spans", 1, 0) == []


def test_planned_ranges_are_those_of_the_place_ascending(any_store: Store) -> None:
    sink = any_store.sink()
    for first, last in ((5, 7), (0, 4), (8, 20)):
        sink.write(block(first, last, seqs=range(0)))
    sink.write(block(0, 99, seqs=range(0), partition=2))
    sink.write(block(0, 99, seqs=range(0), topic="activity"))
    assert sink.planned("spans", 1, 0) == [(0, 4), (5, 7), (8, 20)]
    assert sink.planned("spans", 1, 5) == [(5, 7), (8, 20)]
    assert sink.planned("spans", 1, 21) == []
    assert sink.planned("spans", 3, 0) == []


def test_overlapping_plans_give_ranges_that_do_not(any_store: Store) -> None:
    sink = any_store.sink()
    for first, last in ((0, 4), (3, 9), (10, 12)):
        sink.write(block(first, last, seqs=range(0)))
    assert sink.planned("spans", 1, 0) == [(0, 4), (10, 12)]


def test_an_outcome_without_a_table_is_rejected(any_store: Store) -> None:
    with pytest.raises(SinkRejected, match="Resource"):
        any_store.sink().write(block(0, 0, Resource()))  # type: ignore[arg-type]  # the mistake under test
    assert any_store.located() == []


def test_two_threads_write_side_by_side(any_store: Store) -> None:
    sink = any_store.sink()
    errors: list[BaseException] = []

    def work(partition: int) -> None:
        try:
            for i in range(6):
                seqs = range(100 * partition + i, 100 * partition + i + 1)
                spans = [Located(span(seq), partition, i, 0) for seq in seqs]
                sink.write(block(i, i, finding(f"{partition}-{i}"), partition=partition, spans=spans))
        except BaseException as error:  # noqa: BLE001  # handed to the test, which fails on any
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(any_store.located()) == 12
    assert len(any_store.ids(Finding)) == 12


# --- promises only a store on disk can keep


def texts(limit: int = 40) -> st.SearchStrategy[str]:
    """Any text that is Unicode: controls, astral planes, right-to-left, the empty string."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=limit)


scalars = texts() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
mappings = st.dictionaries(texts(12), scalars, max_size=5)
matches = st.builds(
    SecretMatch,
    rule_id=texts(8),
    where=texts(8),
    length=st.integers(0, 2**31),
    fingerprint=texts(8),
    verdict=st.sampled_from(["valid", "invalid", "unchecked"]),
    severity=st.sampled_from(Severity),
    surface=texts(8),
)
times = st.integers(0, 2**64 - 1)
any_spans = st.builds(
    Span,
    id=st.uuids().map(lambda u: u.hex),
    signal=st.sampled_from(["span", "log"]),
    trace_id=texts(),
    span_id=texts(),
    parent_id=texts(),
    session_id=texts(),
    session_from=st.sampled_from(["attribute", "trace", "trace_id", "none"]),
    agent_id=texts(),
    agent_type=texts(),
    resource=st.builds(
        Resource, tenant=texts(8), emitter=texts(8), service=texts(8), service_version=texts(8), attributes=mappings
    ),
    scope=texts(),
    scope_version=texts(),
    dialect=texts(),
    name=texts(),
    kind=texts(),
    status=st.sampled_from(["unset", "ok", "error"]),
    start_ns=times,
    end_ns=times,
    received_ns=st.integers(T0 - 3 * DAY, T0),
    call_id=texts(),
    fields=mappings,
    attributes=mappings,
    secrets=st.lists(matches, max_size=3).map(tuple),
    truncated=st.booleans(),
)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans=st.lists(any_spans, min_size=1, max_size=6, unique_by=lambda s: s.id))
def test_a_span_comes_back_exactly(store: InClickHouse, spans: list[Span]) -> None:
    """Whatever is in a Span, ints stay ints and floats floats, times no column can hold included."""
    located = [Located(each, 7, 0, index) for index, each in enumerate(spans)]
    store.client.command(f"TRUNCATE TABLE {store.settings.database}.spans")
    first = random.getrandbits(60)  # a token no other example used
    located = [place._replace(offset=first) for place in located]
    store.sink().write(Block(topic="spans", partition=7, first=first, last=first, spans=located))
    back = store.located()
    assert back == located
    for was, now in zip(located, back, strict=True):
        for name in ("fields", "attributes"):
            before, after = getattr(was.span, name), getattr(now.span, name)
            assert [type(v) for v in before.values()] == [type(v) for v in after.values()]


def test_numbers_json_cannot_hold_come_back(store: InClickHouse) -> None:
    """NaN and infinity are legal attribute values."""
    odd = span(0, attributes={"nan": math.nan, "inf": math.inf, "minus": -math.inf, "note": "null"})
    store.sink().write(block(0, 0, spans=[Located(odd, 1, 0, 0)]))
    (back,) = store.located()
    assert repr(back.span) == repr(odd)


def test_text_that_is_not_unicode_is_spelled_out(store: InClickHouse) -> None:
    """Lone surrogates cannot be stored as text; they neither stop the block nor vanish."""
    odd = span(0, name="a\ud800b", attributes={"k\udfff": "\ud83d"})
    written = block(
        0, 1, finding("a", evidence={"x": "\udc80"}), spans=[Located(odd, 1, 0, 0), Located(span(1), 1, 1, 0)]
    )
    store.sink().write(written)
    back = store.located()
    assert back[1].span == span(1)
    assert back[0].span.name == "a\\ud800b"
    assert back[0].span.attributes == {"k\\udfff": "\\ud83d"}
    assert store.rows("SELECT Evidence['x'] FROM {db}.findings") == [("\\udc80",)]


def test_columns_say_what_the_span_says(store: InClickHouse) -> None:
    """The columns people query, the aliases included, under the names the Collector's exporter uses."""
    shown = span(
        0,
        status="error",
        parent_id="cd" * 8,
        scope="lib",
        scope_version="2",
        resource=Resource(tenant="t", emitter="e", service="svc", attributes={"host.name": "h1"}),
        fields={"tool.name": "Bash", "egress.hosts": "a.example,b.example", "exit_code": 3},
        attributes={"x.y": "z", "ok": True, "status.message": "boom"},
        secrets=(SecretMatch(rule_id="secret.a", where="x.y", length=9, fingerprint="ff", surface="arguments"),),
    )
    store.sink().write(block(0, 0, spans=[Located(shown, 1, 0, 0)]))
    query = (
        "SELECT TraceId, SpanId, ParentSpanId, SpanName, ServiceName, ScopeName, ScopeVersion, StatusCode,\n"
        "StatusMessage, Duration, toUnixTimestamp64Nano(Timestamp), Tenant, Emitter, SessionId, AgentId, ToolName,\n"
        "EgressHosts, SecretRules, SecretSurfaces, SecretFingerprints, Fields, SpanAttributes, ResourceAttributes\n"
        "FROM {db}.spans"
    )
    (row,) = store.rows(query)
    assert row[:10] == (
        shown.trace_id,
        shown.span_id,
        "cd" * 8,
        "execute_tool",
        "svc",
        "lib",
        "2",
        "Error",
        "boom",
        10_000_000,
    )
    assert row[10:16] == (shown.start_ns, "t", "e", "s1", "a1", "Bash")
    assert row[16:20] == (["a.example", "b.example"], ["secret.a"], ["arguments"], ["ff"])
    assert row[20]["exit_code"] == "3"
    assert row[21] == {"x.y": "z", "ok": "true", "status.message": "boom"}
    assert row[22] == {"host.name": "h1"}


def test_absurd_times_make_no_partitions(store: InClickHouse) -> None:
    """Emitters may claim any time; partitions go by when we received."""
    claims = [0, 1, 2**63, 2**64 - 1, T0, T0 - 40_000 * DAY]
    spans = [span(i, start_ns=start, end_ns=0, received_ns=T0) for i, start in enumerate(claims)]
    windows = [window(str(start), start_ns=start, end_ns=start) for start in claims]
    store.sink().write(block(0, 0, *windows, spans=[Located(each, 1, 0, i) for i, each in enumerate(spans)]))
    assert store.located() == [Located(each, 1, 0, i) for i, each in enumerate(spans)]
    for table in ("spans", "windows"):
        query = (
            "SELECT uniqExact(partition) FROM system.parts\n"
            "WHERE active AND database = {d:String} AND table = {t:String}"
        )
        assert store.rows(query, d=store.settings.database, t=table) == [(1,)]


def test_a_window_of_absurd_sums_is_stored(store: InClickHouse) -> None:
    """Sums of asserted numbers can pass 64 bits; that must not stop the worker."""
    store.sink().write(block(0, 0, window(counts={"bytes_out": 2**70, "spans": 1}), seqs=range(0)))
    assert store.rows("SELECT Counts['bytes_out'], Counts['spans'] FROM {db}.windows") == [(2**63 - 1, 1)]


def test_one_token_makes_one_row_even_without_final(store: InClickHouse) -> None:
    """Exact for materialised views too: the second insert never becomes a part."""
    written = block(0, 4, finding("a"), incident("x"), window(), dead_letters=[letter()])
    store.sink().write(written)
    store.reopen()
    store.sink().write(written)
    tables = ("spans", "findings", "incidents", "windows", "dead_letters", "plan")
    assert [store.count(table) for table in tables] == [5, 1, 1, 1, 1, 1]


class Dying(ClickHouseSink):
    """Ends before the insert into one table, as a killed process would."""

    before = ""

    def _insert(self, made: Rows, token: str) -> None:
        if made.table == self.before:
            raise KeyboardInterrupt
        super()._insert(made, token)


@pytest.mark.parametrize("table", ["spans", "windows", "findings", "alerts", "incidents", "dead_letters"])
def test_a_block_cut_short_is_completed(store: InClickHouse, table: str) -> None:
    """Killed between two tables: the next process finds the plan, writes the same range, and nothing is there twice."""
    written = block(0, 4, window(), finding("a"), alert(1), incident("x"), dead_letters=[letter()])
    dying = Dying(store.settings, store.folder)
    dying.before = table
    with pytest.raises(KeyboardInterrupt):
        dying.write(written)
    dying.close()
    assert store.count(table) == 0
    sink = store.sink()
    assert sink.planned("spans", 1, 0) == [(0, 4)]
    sink.write(written)
    tables = ("plan", "spans", "windows", "findings", "alerts", "incidents", "dead_letters")
    assert [store.count(name) for name in tables] == [1, 5, 1, 1, 1, 1, 1]
    times = store.rows("SELECT DISTINCT StoredAt FROM (SELECT StoredAt FROM {db}.plan UNION ALL\n"
                       "SELECT StoredAt FROM {db}.alerts UNION ALL SELECT StoredAt FROM {db}.windows)")  # fmt: skip
    assert len(times) == 1  # redone rows belong to the day they were first planned, so to the same partition


def test_what_was_stored_is_there_after_reopening(store: InClickHouse) -> None:
    store.sink().write(block(0, 3))
    store.reopen()
    assert store.located() == block(0, 3).spans


def test_history_is_read_in_recorded_order(store: InClickHouse) -> None:
    """By partition, offset, index, whatever the order of arrival or of sessions; a record is never split."""
    sink = store.sink()
    places: list[Located] = []
    for partition in (2, 1):
        for offset in range(5):
            records = [
                Located(
                    span(offset * 3 + i, session=f"{9 - i}-{partition}", received_ns=T0 + offset), partition, offset, i
                )
                for i in range(3)
            ]
            places += records
            sink.write(block(offset, offset, partition=partition, spans=records[::-1]))
    lists = list(read_spans(store.client, store.settings.database, batch=5))
    assert [place for batch in lists for place in batch] == sorted(places, key=lambda place: place[1:])
    for batch in lists:
        assert len({place.partition for place in batch}) == 1
        assert len(batch) % 3 == 0
        assert len(batch) <= 6


def test_history_is_cut_by_time_received(store: InClickHouse) -> None:
    spans = [Located(span(i, received_ns=T0 + i), 1, i, 0) for i in range(6)]
    store.sink().write(block(0, 5, spans=spans))
    part = read_spans(store.client, store.settings.database, since_ns=T0 + 2, until_ns=T0 + 4)
    assert [place for batch in part for place in batch] == spans[2:4]
    assert list(read_spans(store.client, store.settings.database, topic="otlp_spans")) == []


def test_a_drifted_table_is_rejected_without_quoting_data(store: InClickHouse) -> None:
    """A column that is gone: our bug or someone's ALTER. The error names the table and holds no value."""
    planted = "planted-value-7731"
    sink = store.sink()
    store.client.command(f"ALTER TABLE {store.settings.database}.spans DROP COLUMN ToolName")
    with pytest.raises(SinkRejected) as error:
        sink.write(block(0, 0, spans=[Located(span(0, name=planted, attributes={"k": planted}), 1, 0, 0)]))
    assert str(error.value).startswith("spans: refused by the store (code ")
    assert planted not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_values_of_the_wrong_type_are_rejected(store: InClickHouse, caplog: pytest.LogCaptureFixture) -> None:
    """And neither the error nor the driver's log says which value."""
    planted = "planted-value-7731"
    with pytest.raises(SinkRejected, match="findings: a value does not fit its column") as error:
        store.sink().write(block(0, 0, finding("a", score=planted), seqs=range(0)))
    assert planted not in str(error.value)
    assert planted not in caplog.text


# --- chDB alone


OWNER = """
import sys
from pathlib import Path
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import connect
client = connect(ClickHouse(), Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_store_another_process_owns_is_a_clear_error(tmp_path: Path) -> None:
    """chDB allows one process per store, and does not say so; we do, and the path with it."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    root = Path(__file__).parent.parent
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, cwd=root, check=False)
    finally:
        owner.communicate()
    last = second.stderr.strip().splitlines()[-1]
    assert second.returncode == 1
    assert last.startswith(
        f"pipeline.errors.SettingsError: {tmp_path / 'chdb'}: the store cannot be opened: another process"
    )


def test_a_data_dir_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="Not a directory"):
        connect(ClickHouse(), tmp_path / "file")


# --- a server alone


@pytest.fixture
def remote(folder: Path, clickhouse_server: Running) -> Iterator[InClickHouse]:
    store = Place("http", folder, clickhouse_server).make()
    yield store
    if not clickhouse_server.real:
        clickhouse_server.control("none")
    store.close()


@pytest.mark.parametrize("mode", ["refuse", "drop"])
def test_a_refusing_server_is_unavailable_then_served(
    remote: InClickHouse, clickhouse_server: Running, mode: str
) -> None:
    sink, written = remote.sink(), block(0, 4, finding("a"))
    sink.planned("spans", 1, 0)
    clickhouse_server.control(mode)
    with pytest.raises(SinkUnavailable):
        sink.write(written)
    with pytest.raises(SinkUnavailable):
        sink.planned("spans", 1, 0)
    clickhouse_server.control("none")
    sink.write(written)
    assert [remote.count(table) for table in ("plan", "spans", "findings")] == [1, 5, 1]


def test_an_answer_that_got_lost_is_not_stored_twice(remote: InClickHouse, clickhouse_server: Running) -> None:
    """The server did the work and hung up: whether the client or the worker tries again, once is once."""
    sink, written = remote.sink(), block(0, 4, finding("a"))
    for count in (1, 2, 3, 100):
        clickhouse_server.control("lose", count=count)
        try:
            sink.write(written)
        except SinkUnavailable:
            clickhouse_server.control("none")
            sink.write(written)
    clickhouse_server.control("none")
    assert [remote.count(table) for table in ("plan", "spans", "findings")] == [1, 5, 1]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(252, SinkUnavailable), (241, SinkUnavailable), (242, SinkUnavailable), (60, SinkRejected), (53, SinkRejected)],
)
def test_errors_are_named_by_what_to_do(
    remote: InClickHouse, clickhouse_server: Running, code: int, expected: type[Exception]
) -> None:
    """Too many parts, memory, read-only: wait. No such table, wrong type: stop."""
    sink = remote.sink()
    sink.planned("spans", 1, 0)
    clickhouse_server.control("error", code=code, count=1)
    with pytest.raises(expected, match=f"code {code} AS_TOLD"):
        sink.write(block(0, 0))


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    sink = ClickHouseSink(ClickHouse(interface="http", port=1), tmp_path)
    with pytest.raises(SinkUnavailable):
        sink.write(block(0, 0))


def test_a_killed_server_comes_back_with_what_it_acknowledged(tmp_path: Path) -> None:
    server = Running(tmp_path)
    if server.real:
        pytest.skip("a real server is not ours to kill")
    store = InClickHouse(server.settings(), tmp_path)
    sink = store.sink()
    sink.write(block(0, 4))
    server.kill()
    with pytest.raises(SinkUnavailable):
        sink.write(block(5, 9))
    server.start()
    sink.write(block(5, 9))
    sink.write(block(0, 4))
    assert store.located() == block(0, 9).spans
    store.close()
    server.stop()


def test_a_wrong_password_is_a_settings_error(tmp_path: Path) -> None:
    server = Running(tmp_path, password="right")
    try:
        connect(server.settings(), tmp_path).close()
        with pytest.raises(SettingsError, match="refused user or password"):
            connect(server.settings(password="wrong"), tmp_path)
    finally:
        server.stop()


def test_compressed_inserts_arrive(remote: InClickHouse) -> None:
    """Beyond loopback inserts are compressed; the rows are the same."""
    import clickhouse_connect

    settings = remote.settings
    client = clickhouse_connect.get_client(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        password=settings.password.get_secret_value(),
        compress="lz4",
    )
    stored = rows.Stored("live", "spans", 1, 0, 0, T0)
    made = rows.spans(block(0, 4).spans, stored)
    client.insert(
        f"{settings.database}.spans",
        made.columns,
        column_names=made.names,
        column_type_names=made.types,
        column_oriented=True,
    )
    client.close()
    assert remote.located() == block(0, 4).spans


# --- the union itself


incidents: st.SearchStrategy[Incident] = st.builds(
    incident,
    session_ids=st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
    alert_ids=st.lists(st.sampled_from("xyz"), max_size=3).map(tuple),
    categories=st.lists(st.sampled_from(Category), max_size=3).map(tuple),
    severity=st.sampled_from(Severity),
    opened_ns=st.integers(0, 9),
    updated_ns=st.integers(0, 9),
    title=st.sampled_from(["", "one", "two"]),
)


@given(parts=st.lists(incidents, min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
def test_merging_incidents_is_a_union(parts: list[Incident], seed: random.Random) -> None:
    """Commutative, associative, idempotent: so rows may come late, twice and from two engines."""

    def fold(rows: list[Incident], join: Callable[[Incident, Incident], Incident] = merged) -> Incident:
        result = join(rows[0], rows[0])
        for row in rows[1:]:
            result = join(result, row)
        return result

    shuffled = parts + parts[: seed.randint(0, len(parts))]
    seed.shuffle(shuffled)
    assert fold(shuffled) == fold(parts)
