"""History as records: stored spans in the order they were recorded, or OTLP files in the order they stand."""

from __future__ import annotations

import heapq
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
from pipeline.sinks.rows import span_of

PAGE = 10_000  # spans read at once from one partition
FILES = "files"


class Place(NamedTuple):
    """One partition of history: its records had one engine."""

    topic: str
    partition: int


class Stored:
    """Spans of the store. Partitions run side by side in the order of receipt, records of one by offset."""

    def __init__(
        self, client: Any, database: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        self._client, self._table = client, f"{database}.spans"
        bounds: dict[str, datetime] = {name: at for name, at in (("since", since), ("until", until)) if at is not None}
        self._bounds = bounds
        signs = {"since": ">=", "until": "<"}
        self._where = "".join(f" AND ReceivedAt {signs[name]} {{{name}:DateTime64(9)}}" for name in bounds)

    def places(self) -> list[Place]:
        """The partitions that hold anything, in a fixed order."""
        return [Place(*row) for row in self._rows(f"SELECT DISTINCT Topic, Partition {self._from()} ORDER BY 1, 2")]

    def count(self) -> int:
        return int(self._rows(f"SELECT count() {self._from()}")[0][0])

    def __iter__(self) -> Iterator[Record]:
        def received(record: Record) -> int:
            assert isinstance(record.payload, Entry)
            return min(span.received_ns for span in record.payload.spans)

        yield from heapq.merge(*(self._records(place) for place in self.places()), key=received)

    def _records(self, place: Place) -> Iterator[Record]:
        offset = -1
        while page := self._page(place, offset):
            for offset, rows in groupby(page, key=lambda row: row[0]):
                spans = [span_of(raw) for _, _, raw in rows]
                yield Record(place.topic, place.partition, offset, Entry(spans=spans))

    def _page(self, place: Place, after: int) -> list[tuple[int, int, bytes]]:
        """Whole records behind an offset, in order."""
        query = (
            f"SELECT RecordOffset, RecordIndex, Raw {self._from()} "
            "AND Topic = {topic:String} AND Partition = {partition:UInt32} AND RecordOffset > {after:Int64} "
            f"ORDER BY RecordOffset LIMIT {PAGE} WITH TIES"
        )
        parameters = {"topic": place.topic, "partition": place.partition, "after": after}
        return sorted(self._rows(query, parameters))

    def _from(self) -> str:
        return f"FROM {self._table} FINAL WHERE 1{self._where}"

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[Any]:
        try:
            answer = self._client.query(
                query, parameters={**self._bounds, **(parameters or {})}, column_formats={"Raw": "bytes"}
            )
        except (ClickHouseError, OSError) as error:
            raised("spans", error)
        return list(answer.result_rows)


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
