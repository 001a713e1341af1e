"""What only a server can do to a sink: refuse, hang up, lose an answer, die and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import SettingsError, SinkRejected, SinkUnavailable
from pipeline.settings import ClickHouse
from pipeline.sinks import rows
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from tests.clickhouse_server import Running
from tests.make import T0
from tests.outcomes import block, finding
from tests.stores import InClickHouse, Place


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
        with pytest.raises(SinkRejected, match="refused user or password"):
            ClickHouseSink(server.settings(password="wrong"), tmp_path).write(block(0, 0))
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
