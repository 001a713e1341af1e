"""What only a store on disk promises: exact spans, completed blocks, recorded order, clear refusals."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detectors.model import (
    Resource,
    SecretMatch,
    Severity,
    Span,
)
from pipeline.errors import SettingsError, SinkRejected
from pipeline.records import Block, Located
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from pipeline.sinks.reader import read_spans
from pipeline.sinks.rows import Rows
from tests.make import T0, span
from tests.outcomes import alert, block, finding, incident, letter, window
from tests.stores import InClickHouse

DAY = 86_400 * 10**9


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
