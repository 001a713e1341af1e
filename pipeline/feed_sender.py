"""Sends feed files to a gateway, through the exporter every OpenTelemetry emitter uses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from pipeline import feeds
from pipeline.errors import SettingsError, SinkUnavailable

SERVICE = "spanwatch-feed"
BATCH = 500  # events a request
STDIN = Path("-")


def read(files: Sequence[Path]) -> list[feeds.Event]:
    """Every event of the files; DecodeError names the first line that is none."""
    events: list[feeds.Event] = []
    for file in files:
        if file == STDIN:
            events += feeds.read(sys.stdin.buffer, "standard input")
            continue
        try:
            with file.open("rb") as lines:
                events += feeds.read(lines, str(file))
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}") from None
    return events


def send(files: Sequence[Path], *, to: str, token: str = "") -> int:
    """Send what the files hold, whole or not at all as far as their lines go; the number of events sent.

    Raises SinkUnavailable when the gateway did not take a request; what was sent before it stays sent, and sending
    the file again is safe: an event is known by its content.
    """
    events = read(files)
    logging.getLogger("opentelemetry.exporter.otlp.proto.http").setLevel(logging.CRITICAL)  # said below, in one line
    exporter = OTLPLogExporter(
        endpoint=to.rstrip("/") + "/v1/logs",
        headers={"Authorization": f"Bearer {token}"} if token else None,
        compression=Compression.Gzip,
    )
    home = Resource({"service.name": SERVICE})
    try:
        for start in range(0, len(events), BATCH):
            if exporter.export([_record(one, home) for one in events[start : start + BATCH]]).name != "SUCCESS":
                raise SinkUnavailable(f"{to}: the gateway took {start:,} of {len(events):,} events, then refused")
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # the exporter has no types here
    return len(events)


def _record(event: feeds.Event, home: Resource) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=event.time_ns,
        observed_timestamp=event.time_ns,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name=event.name,
        attributes=event.attributes,
    )
    return ReadableLogRecord(record, home)
