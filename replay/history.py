"""History as records: stored spans in the order they were recorded, or OTLP files in the order they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError

from detectors.model import Span
from pipeline import offline, otlp_files
from pipeline.ingest import Ingest
from pipeline.records import Entry, Record
from pipeline.sinks.clickhouse import raised
from pipeline.sinks.reader import read_spans

FILES = "files"


class Place(NamedTuple):
    """One partition of history: its records had one engine."""

    topic: str
    partition: int


class Stored:
    """Spans of the store, partition by partition, records of one in order of offset."""

    def __init__(
        self, client: Any, database: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        self._client, self._database = client, database
        self._since_ns, self._until_ns = _nanoseconds(since), _nanoseconds(until)

    def places(self) -> list[Place]:
        """The partitions that hold anything, in a fixed order."""
        query = f"SELECT DISTINCT Topic, Partition FROM {self._database}.spans ORDER BY 1, 2"
        try:
            return [Place(*row) for row in self._client.query(query).result_rows]
        except (ClickHouseError, OSError) as error:
            raised("spans", error)

    def __iter__(self) -> Iterator[Record]:
        for topic in dict.fromkeys(place.topic for place in self.places()):
            for located in read_spans(
                self._client, self._database, topic=topic, since_ns=self._since_ns, until_ns=self._until_ns
            ):
                for (partition, offset), rows in groupby(located, key=lambda row: (row.partition, row.offset)):
                    yield Record(topic, partition, offset, Entry(spans=[row.span for row in rows]))


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


class Files:
    """Spans of OTLP files, as one partition."""

    def __init__(
        self,
        paths: Sequence[Path],
        ingest: Ingest,
        *,
        max_bytes: int,
        received_ns: int,
        report: offline.Report,
        complain: Callable[[otlp_files.Broken], None],
    ) -> None:
        self._spans = offline.spans_of(
            otlp_files.find(list(paths)),
            ingest,
            max_bytes=max_bytes,
            received_ns=received_ns,
            report=report,
            complain=complain,
        )

    def places(self) -> list[Place]:
        return [Place(FILES, 0)]

    def __iter__(self) -> Iterator[Record]:
        for offset, spans in enumerate(self._spans):
            yield Record(FILES, 0, offset, Entry(spans=spans))


def batches(records: Iterator[Record], spans: int) -> Iterator[list[Record]]:
    """Records in lists of about so many spans."""
    batch: list[Record] = []
    held = 0
    for record in records:
        batch.append(record)
        held += len(spans_in(record))
        if held >= spans:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def spans_in(record: Record) -> Sequence[Span]:
    """The spans of a record of history; it is never packed."""
    return record.payload.spans if isinstance(record.payload, Entry) else ()
