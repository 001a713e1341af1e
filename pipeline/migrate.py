"""Brings a store to the current schema: numbered SQL files, applied once and in order, one text for every store.

The files hold five kinds of placeholder and nothing else:
`{database}`, `{retention_days}` and `{alert_retention_days}` come from the settings; `{on_cluster}`, `{local:t}`,
`{engine:E}`, `{distributed:t:key}` and `{deduplication}` are what a cluster needs differently: on a cluster a table
is `t_local` with a replicated engine, and a Distributed table `t` stands in front of it; elsewhere `t` is the table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import SinkRejected
from pipeline.settings import ClickHouse

SCHEMA = Path(__file__).parent / "schema"
WINDOW = 10_000  # inserts per table whose tokens are remembered: many times what a restart redoes

_placeholder = re.compile(r"\{([a-z_]+)(?::([^{}]*))?\}")
_engine = re.compile(r"(\w+)(?:\((.*)\))?")
_ttl = re.compile(r"^TTL (?P<expression>.+)$", re.MULTILINE)
_table = re.compile(r"CREATE TABLE IF NOT EXISTS (?P<name>\S+)")


class Migration(NamedTuple):
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return blake2b(self.text.encode(), digest_size=16).hexdigest()


def migrations(folder: Path = SCHEMA) -> list[Migration]:
    """The numbered files of a folder, in order."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.name[:4]), file.stem, file.read_text()) for file in files]


def render(text: str, settings: ClickHouse) -> list[str]:
    """Statements of one file for this store; SinkRejected names a placeholder nobody knows."""
    database, cluster = settings.database, settings.cluster
    on_cluster = f"ON CLUSTER '{cluster}'" if cluster else ""

    def local(argument: str) -> str:
        return f"{argument}_local" if cluster else argument

    def engine(argument: str) -> str:
        match = _engine.fullmatch(argument)
        if not cluster or match is None:
            return argument
        path = ["'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'"]
        return f"Replicated{match[1]}({', '.join(path + ([match[2]] if match[2] else []))})"

    def distributed(argument: str) -> str:
        table, _, key = argument.partition(":")
        if not cluster:
            return ""
        return (
            f"CREATE TABLE IF NOT EXISTS {database}.{table} {on_cluster} AS {database}.{table}_local\n"
            f"ENGINE = Distributed('{cluster}', '{database}', '{table}_local', {key})"
        )

    kind = "replicated" if cluster else "non_replicated"
    known: dict[str, Callable[[str], str]] = {
        "database": lambda _: database,
        "on_cluster": lambda _: on_cluster,
        "retention_days": lambda _: str(settings.retention_days),
        "alert_retention_days": lambda _: str(settings.alert_retention_days),
        "deduplication": lambda _: f"{kind}_deduplication_window = {WINDOW}",
        "local": local,
        "engine": engine,
        "distributed": distributed,
    }

    def substitute(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise SinkRejected(f"schema: unknown placeholder {{{match[1]}}}")
        return known[match[1]](match[2] or "")

    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    rendered = (_placeholder.sub(substitute, part).strip() for part in plain.split(";\n"))
    return [statement.rstrip(";") for statement in rendered if statement.strip(";")]


def migrate(client: Any, settings: ClickHouse, folder: Path = SCHEMA) -> list[str]:
    """Apply what is missing, bring retention to the settings, return the names applied.

    Safe to run again and from several processes; a crash midway is completed by the next run.
    Raises SinkRejected when a file that was applied has changed since.
    """
    applied = _prepare(client, settings)
    files = migrations(folder)
    for migration in files:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SinkRejected(f"schema: {migration.name} changed after it was applied; add a new file instead")
    done = []
    for migration in files:
        if migration.version in applied:
            _retain(client, settings, migration)
            continue
        for statement in render(migration.text, settings):
            client.command(statement)
        client.insert(
            f"{settings.database}.schema_migrations",
            [[migration.version, migration.name, migration.checksum, time.time_ns()]],
            column_names=["Version", "Name", "Checksum", "AppliedAt"],
            settings={"async_insert": 0},
        )
        done.append(migration.name)
    return done


def _prepare(client: Any, settings: ClickHouse) -> dict[int, str]:
    """Make the database and the list of applied files; return version -> checksum."""
    on_cluster = f"ON CLUSTER '{settings.cluster}'" if settings.cluster else ""
    engine = "ReplacingMergeTree"
    if settings.cluster:  # one copy everywhere, whatever the shard
        engine = "ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')"
    client.command(f"CREATE DATABASE IF NOT EXISTS {settings.database} {on_cluster} ENGINE = Atomic")
    client.command(
        f"CREATE TABLE IF NOT EXISTS {settings.database}.schema_migrations {on_cluster}\n"
        "(Version UInt32, Name String, Checksum String, AppliedAt DateTime64(9))\n"
        f"ENGINE = {engine} ORDER BY Version"
    )
    rows = client.query(
        f"SELECT Version, Checksum FROM {settings.database}.schema_migrations ORDER BY AppliedAt"
    ).result_rows
    return dict(rows)


def _retain(client: Any, settings: ClickHouse, migration: Migration) -> None:
    """Change the TTL of tables made earlier when the settings name another retention now."""
    for statement in render(migration.text, settings):
        table, ttl = _table.search(statement), _ttl.search(statement)
        if table is None or ttl is None:
            continue
        database, name = table["name"].split(".")
        now = client.query(
            "SELECT create_table_query FROM system.tables WHERE database = {d:String} AND name = {n:String}",
            parameters={"d": database, "n": name},
        ).result_rows
        if now and ttl["expression"] not in now[0][0]:
            on_cluster = f"ON CLUSTER '{settings.cluster}'" if settings.cluster else ""
            client.command(f"ALTER TABLE {table['name']} {on_cluster} MODIFY TTL {ttl['expression']}")
