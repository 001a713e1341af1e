"""Reads stored spans back in recorded order: what a replay runs over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.records import Located
from pipeline.sinks.clickhouse import raised
from pipeline.sinks.rows import span_of

BATCH = 8192


def read_spans(
    client: Any,
    database: str,
    *,
    topic: str = "spans",
    since_ns: int | None = None,
    until_ns: int | None = None,
    batch: int = BATCH,
) -> Iterator[list[Located]]:
    """Spans received in [since_ns, until_ns), each once, in order of (partition, offset, index).

    A list never spans two partitions and never splits a record, so it holds about `batch` spans or one record.
    Memory is bounded: the order is read first, as ranges of offsets, then each range's spans.
    Raises SinkUnavailable and SinkRejected as a sink does.
    """
    where = ["Topic = {topic:String}"]
    parameters: dict[str, Any] = {"topic": topic}
    for name, sign, bound in (("since", ">=", since_ns), ("until", "<", until_ns)):
        if bound is not None:
            where.append(f"ReceivedAt {sign} fromUnixTimestamp64Nano({{{name}:Int64}})")
            parameters[name] = bound
    source = f"FROM {database}.spans FINAL WHERE {' AND '.join(where)}"
    for partition, first, last in _ranges(client, source, parameters, batch):
        yield _range(client, source, {**parameters, "part": partition, "first": first, "last": last})


def _ranges(client: Any, source: str, parameters: dict[str, Any], batch: int) -> Iterator[tuple[int, int, int]]:
    """(partition, first offset, last offset) of consecutive lists of about `batch` spans."""
    query = (
        "SELECT Partition, min(RecordOffset), max(RecordOffset) FROM (\n"
        "SELECT Partition, RecordOffset, intDiv(sum(Spans) OVER "
        f"(PARTITION BY Partition ORDER BY RecordOffset) - Spans, {int(batch)}) AS Step\n"
        f"FROM (SELECT Partition, RecordOffset, count() AS Spans {source} GROUP BY Partition, RecordOffset))\n"
        "GROUP BY Partition, Step ORDER BY Partition, Step"
    )
    try:
        yield from client.query(query, parameters=parameters).result_rows
    except (ClickHouseError, OSError) as error:
        raised("spans", error)


def _range(client: Any, source: str, parameters: dict[str, Any]) -> list[Located]:
    query = (
        f"SELECT Raw, RecordOffset, RecordIndex {source} AND Partition = {{part:UInt32}}\n"
        "AND RecordOffset BETWEEN {first:Int64} AND {last:Int64} ORDER BY RecordOffset, RecordIndex"
    )
    try:
        found = client.query(query, parameters=parameters, column_formats={"Raw": "bytes"}).result_rows
    except (ClickHouseError, OSError) as error:
        raised("spans", error)
    return [Located(span_of(raw), parameters["part"], offset, index) for raw, offset, index in found]
