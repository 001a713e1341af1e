"""The schema: one text for chDB, one server and a cluster; applied once, in order, never changed afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detectors.model import Resource, Span
from pipeline.errors import SinkRejected
from pipeline.migrate import SCHEMA, migrate, migrations, render
from pipeline.settings import ClickHouse
from pipeline.sinks import rows
from pipeline.sinks.clickhouse import connect
from tests.clickhouse_server import for_tests

TABLES = {
    "spans",
    "windows",
    "sightings",
    "findings",
    "alerts",
    "incidents",
    "dead_letters",
    "failures",
    "plan",
    "checkpoints",
}


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Any]:
    client = connect(ClickHouse(), folder)
    yield client
    client.close()


@pytest.fixture
def settings() -> ClickHouse:
    return for_tests()


def tables(client: Any, settings: ClickHouse) -> dict[str, str]:
    found = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {d:String}",
        parameters={"d": settings.database},
    )
    return dict(found.result_rows)


def test_migrate_makes_every_table_once(client: Any, settings: ClickHouse) -> None:
    """The first run applies every file, the second none."""
    assert migrate(client, settings) == [m.name for m in migrations()]
    assert set(tables(client, settings)) == TABLES | {"schema_migrations"}
    assert migrate(client, settings) == []


def test_files_are_numbered_without_gaps() -> None:
    files = migrations()
    assert [m.version for m in files] == list(range(1, len(files) + 1))
    assert {path.stem for path in SCHEMA.iterdir()} == {m.name for m in files}


def test_a_changed_applied_file_is_refused(client: Any, settings: ClickHouse, tmp_path: Path) -> None:
    """A file is history once applied; the error names it and nothing further is applied."""
    file = tmp_path / "0001_first.sql"
    file.write_text(
        "CREATE TABLE IF NOT EXISTS {database}.{local:a} (X UInt8) ENGINE = {engine:MergeTree} ORDER BY X;\n"
    )
    migrate(client, settings, tmp_path)
    file.write_text(file.read_text().replace("UInt8", "UInt16"))
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE {database}.b (X UInt8) ENGINE = Memory;\n")
    with pytest.raises(SinkRejected, match="0001_first changed"):
        migrate(client, settings, tmp_path)
    assert "b" not in tables(client, settings)


def test_a_later_file_is_added(client: Any, settings: ClickHouse, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE {database}.a (X UInt8) ENGINE = Memory;\n")
    assert migrate(client, settings, tmp_path) == ["0001_first"]
    (tmp_path / "0002_second.sql").write_text("ALTER TABLE {database}.a ADD COLUMN IF NOT EXISTS Y UInt8;\n")
    assert migrate(client, settings, tmp_path) == ["0002_second"]
    assert "`Y` UInt8" in tables(client, settings)["a"]


def test_a_crash_midway_is_completed(client: Any, settings: ClickHouse, tmp_path: Path) -> None:
    """Statements of a file may have run without the file being noted as applied."""
    client.command(f"CREATE DATABASE {settings.database} ENGINE = Atomic")
    client.command(render(migrations()[1].text, settings)[0])
    assert migrate(client, settings) == [m.name for m in migrations()]


def test_retention_follows_the_settings(client: Any, settings: ClickHouse) -> None:
    migrate(client, settings)
    shorter = settings.model_copy(update={"retention_days": 7, "alert_retention_days": 8})
    migrate(client, shorter)
    made = tables(client, settings)
    assert "TTL ReceivedAt + toIntervalDay(7)" in made["spans"]
    assert "TTL StoredOn + toIntervalDay(8)" in made["incidents"]
    assert "TTL StoredAt + toIntervalDay(30)" in made["plan"]


def test_what_the_sink_writes_is_what_the_schema_holds(client: Any, settings: ClickHouse) -> None:
    """Names and types of the columns written are those of the tables; what is left out computes itself."""
    migrate(client, settings)
    for table, columns in rows.layout().items():
        found = client.query(
            "SELECT name, type FROM system.columns WHERE database = {d:String} AND table = {t:String}\n"
            "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')",
            parameters={"d": settings.database, "t": table},
        ).result_rows
        plain = {name: re.sub(r"^SimpleAggregateFunction\(\w+, (.*)\)$", r"\1", type_) for name, type_ in found}
        assert dict(columns) == plain, table


def test_aliases_look_at_the_right_places_of_a_span() -> None:
    """Raw is positional: the schema's indices (from 1) must be those of the structs."""
    text = migrations()[0].text
    span, resource = Span.__struct_fields__, Resource.__struct_fields__
    at = f"{span.index('resource') + 1}, {resource.index('attributes') + 1}"
    assert f"JSONExtract(Raw, {at}, 'Map" in text
    assert f"JSONExtract(Raw, {span.index('fields') + 1}, 'Map" in text
    assert f"JSONExtract(Raw, {span.index('attributes') + 1}, 'Map" in text
    assert f"JSONExtractString(Raw, {span.index('attributes') + 1}, 'status.message')" in text


def test_partitions_never_follow_asserted_time() -> None:
    """Timestamp is what an emitter claims; partitions and retention go by when we received or stored."""
    for migration in migrations():
        for line in migration.text.splitlines():
            if line.startswith(("PARTITION BY", "TTL")):
                assert re.search(r"\b(ReceivedAt|StoredAt|StoredOn)\b", line), line
                assert "Timestamp" not in line


def test_every_table_remembers_tokens() -> None:
    for migration in migrations():
        made = [s for s in render(migration.text, ClickHouse()) if s.startswith("CREATE TABLE")]
        assert made
        assert all("non_replicated_deduplication_window = 10000" in s for s in made)


def test_on_a_cluster_every_table_is_local_and_distributed(client: Any) -> None:
    """On a cluster: ON CLUSTER everywhere, replicated local tables, one Distributed table in front of each.

    The engine parses each statement; running them needs a cluster.
    """
    settings = ClickHouse(cluster="soc", database="watch")
    statements = [s for m in migrations() for s in render(m.text, settings)]
    local, distributed = set(), set()
    for statement in statements:
        parsed = client.query("SELECT formatQuery({q:String})", parameters={"q": statement}).result_rows[0][0]
        name = re.match(r"CREATE TABLE IF NOT EXISTS watch\.(\w+) ON CLUSTER soc\b", parsed)
        assert name, parsed
        if "ENGINE = Distributed(" in parsed:
            distributed.add(name[1])
            assert f"Distributed('soc', 'watch', '{name[1]}_local', cityHash64(" in parsed
        else:
            local.add(name[1].removesuffix("_local"))
            assert re.search(r"ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/\{shard\}/", parsed), parsed
            assert "replicated_deduplication_window = 10000" in parsed
            assert "non_replicated" not in parsed
    assert local == distributed == TABLES


def test_an_engine_argument_stays_behind_the_replication_path() -> None:
    text = (
        "CREATE TABLE {database}.{local:a} {on_cluster} (V UInt8) ENGINE = {engine:ReplacingMergeTree(V)} ORDER BY V;\n"
    )
    (statement,) = render(text, ClickHouse(cluster="soc"))
    assert "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', V)" in statement


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(SinkRejected, match="datbase"):
        render("CREATE TABLE {datbase}.a (X UInt8) ENGINE = Memory;\n", ClickHouse())
