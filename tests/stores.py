"""The three sinks behind one face: what can be written to them, and what is then seen in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import pytest

from detectors.model import (
    Alert,
    Category,
    Failure,
    Finding,
    Incident,
    Severity,
    Sighting,
    Window,
)
from pipeline.migrate import migrate
from pipeline.records import DeadLetter, Located, Sink
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from pipeline.sinks.memory import MemorySink
from pipeline.sinks.reader import read_spans
from tests.clickhouse_server import Running, for_tests


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
