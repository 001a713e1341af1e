"""Reads stored spans back in recorded order: what a replay runs over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.records import Located
from pipeline.sinks.clickhouse import raised
from pipeline.sinks.rows import span_of

BATCH = 8192
SORT_BYTES = 2**29  # past this the store sorts on disk, so that history may be larger than memory


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

    A list never spans two partitions and never splits a record: it ends with the record that fills it to `batch`.
    The client is busy until the last list was taken, so whatever writes meanwhile needs another.
    Raises SinkUnavailable and SinkRejected as a sink does.
    """
    where = ["Topic = {topic:String}"]
    parameters: dict[str, Any] = {"topic": topic}
    for name, sign, bound in (("since", ">=", since_ns), ("until", "<", until_ns)):
        if bound is not None:
            where.append(f"ReceivedAt {sign} fromUnixTimestamp64Nano({{{name}:Int64}})")
            parameters[name] = bound
    query = (
        f"SELECT Raw, Partition, RecordOffset, RecordIndex FROM {database}.spans FINAL\n"
        f"WHERE {' AND '.join(where)} ORDER BY Partition, RecordOffset, RecordIndex\n"
        f"SETTINGS max_bytes_before_external_sort = {SORT_BYTES}"
    )
    taken: list[Located] = []
    try:
        stream = client.query_row_block_stream(query, parameters=parameters, column_formats={"Raw": "bytes"})
        with stream:
            for rows in stream:
                for raw, partition, offset, index in rows:
                    if taken and _ends(taken, partition, offset, batch):
                        yield taken
                        taken = []
                    taken.append(Located(span_of(raw), partition, offset, index))
    except (ClickHouseError, OSError) as error:
        raised("spans", error)
    if taken:
        yield taken


def _ends(taken: list[Located], partition: int, offset: int, batch: int) -> bool:
    """A list is done where another partition begins, or another record once it is full."""
    last = taken[-1]
    return last.partition != partition or (len(taken) >= batch and last.offset != offset)
