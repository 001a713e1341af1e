"""What spanwatch says about itself: every metric declared once with unit and meaning, and the set-up of its log.

Neither may ever carry what the telemetry of others carries. Metric labels take values from fixed sets only; log
values of any type but plain words and numbers are reduced to their type's name, and an exception to its type and
the places it passed, because the message of an exception can quote what it choked on.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from detectors.model import Alert, Failure, Finding
from pipeline.records import Block

MAX_TEXT = 300  # longer log values are cut: a name, a reason, a path are shorter
MAX_FRAMES = 12
PLACE = re.compile(r"['\"]?%(?:\(\w+\))?[-#0+]*\d*(?:\.\d+)?[srdifgxc]['\"]?")  # where an argument would stand
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Unknown(Protocol):
    """Keys no dialect knows, as Ingest counts them."""

    counts: Counts[tuple[str, str, str]]
    overflow: int


class Counting(Protocol):
    """What Ingest counts while it works."""

    counts: Counts[str]
    masked: Counts[str]

    @property
    def unknown(self) -> Unknown: ...


class Metrics:
    """All metrics of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = on = CollectorRegistry()
        self.requests = Counter(
            "spanwatch_requests_answered_total",
            "OTLP requests answered, by transport (http, grpc), signal and outcome.",
            ["transport", "signal", "outcome"],
            registry=on,
        )
        self.request_bytes = Counter(
            "spanwatch_bytes_received_total",
            "Bytes of OTLP request bodies as they came over the wire, before decompression.",
            ["transport", "signal"],
            registry=on,
        )
        self.request_seconds = Histogram(
            "spanwatch_request_seconds",
            "Seconds from a complete request body to its answer: decoding, masking and the durable hand-over.",
            ["signal"],
            buckets=SECONDS,
            registry=on,
        )
        self.request_errors = Counter(
            "spanwatch_requests_failed_total",
            "Requests answered 503 because of an unexpected exception, by exception type.",
            ["exception"],
            registry=on,
        )
        self.records_accepted = Counter(
            "spanwatch_records_accepted_total",
            "Spans and log records decoded, masked and handed over durably, by signal.",
            ["signal"],
            registry=on,
        )
        self.records_rejected = Counter(
            "spanwatch_records_rejected_total",
            "Spans, log records or whole bodies that could not be used and became dead letters, by reason.",
            ["signal", "reason"],
            registry=on,
        )
        self.points_dropped = Counter(
            "spanwatch_points_dropped_total",
            "Metric data points received on /v1/metrics or its gRPC service: accepted, counted, dropped.",
            registry=on,
        )
        self.log_bytes = Gauge(
            "spanwatch_log_bytes",
            "Bytes of payload in the embedded log that no checkpoint covers yet.",
            registry=on,
        )
        self.log_lag = Gauge(
            "spanwatch_log_lag_entries",
            "Entries of the embedded log that are committed and not yet stored.",
            registry=on,
        )
        self.spans_stored = Counter(
            "spanwatch_spans_stored_total", "Spans and log events written to the store.", registry=on
        )
        self.outcomes_stored = Counter(
            "spanwatch_outcomes_stored_total",
            "What the engine concluded and the store took, by kind (Finding, Alert, Incident, Window, ...).",
            ["kind"],
            registry=on,
        )
        self.alerts_stored = Counter(
            "spanwatch_alerts_stored_total",
            "Alerts stored, by severity and category; an alert that grew counts once.",
            ["severity", "category"],
            registry=on,
        )
        self.findings_stored = Counter(
            "spanwatch_findings_stored_total", "Findings stored, by detector.", ["detector"], registry=on
        )
        self.detectors_failed = Counter(
            "spanwatch_detectors_failed_total",
            "Events on which a detector raised; the engine went on without it.",
            ["detector"],
            registry=on,
        )
        self.dead_letters_stored = Counter(
            "spanwatch_dead_letters_stored_total", "Dead letters written to the store.", registry=on
        )
        self.storing_delay = Histogram(
            "spanwatch_storing_delay_seconds",
            "Seconds from the receipt of a block's oldest span to the block's rows being readable.",
            buckets=SECONDS,
            registry=on,
        )
        self.handling_seconds = Histogram(
            "spanwatch_handling_seconds",
            "Seconds the worker took for one step: decoding, detecting and writing.",
            buckets=SECONDS,
            registry=on,
        )
        self.writes_retried = Counter(
            "spanwatch_writes_retried_total", "Steps repeated because the store was unavailable.", registry=on
        )
        self.checkpoints_saved = Counter(
            "spanwatch_checkpoints_saved_total", "Times the engine's state was saved with its offset.", registry=on
        )

        self.rules_reloaded = Counter(
            "spanwatch_rules_reloaded_total",
            "Times changed rule files were read, by outcome (loaded, refused).",
            ["outcome"],
            registry=on,
        )
        self.rules_refused = Gauge(
            "spanwatch_rules_refused",
            "1 while the rule files on disk are broken and the rules before them run on, else 0.",
            registry=on,
        )

    def stored(self, block: Block) -> None:
        """Count a block that was just written; fits `Worker(after=...)`."""
        self.spans_stored.inc(len(block.spans))
        self.dead_letters_stored.inc(len(block.dead_letters))
        for outcome in block.outcomes:
            self.outcomes_stored.labels(type(outcome).__name__).inc()
            if isinstance(outcome, Finding):
                self.findings_stored.labels(outcome.detector_id).inc()
            elif isinstance(outcome, Alert):
                if outcome.version <= 1:
                    self.alerts_stored.labels(outcome.severity.label, outcome.category.name.lower()).inc()
            elif isinstance(outcome, Failure):
                self.detectors_failed.labels(outcome.detector_id).inc()
        if block.spans:
            oldest = min(located.span.received_ns for located in block.spans)
            self.storing_delay.observe(max(0.0, (time.time_ns() - oldest) / 1e9))

    def watch(self, ingest: Counting) -> None:
        """Export what ingest counts by itself, read at each scrape."""
        self.registry.register(_IngestCounts(ingest))

    def watch_allowed(self, spared: Callable[[], Mapping[str, int]]) -> None:
        """Export how often allow-lists withheld a finding, by rule, read at each scrape."""
        self.registry.register(_Allowed(spared))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class _IngestCounts(Collector):
    """Counters that live in Ingest, where counting must cost nothing."""

    def __init__(self, ingest: Counting) -> None:
        self._ingest = ingest

    def collect(self) -> Iterable[Metric]:
        events = CounterMetricFamily(
            "spanwatch_ingest_events_total",
            "What ingest met in the records it decoded, by kind of event (spans, truncated, clamped, unresolved, ...).",
            labels=["event"],
        )
        for event, count in sorted(self._ingest.counts.copy().items()):
            events.add_metric([event], count)
        yield events
        masked = CounterMetricFamily(
            "spanwatch_secrets_masked_total", "Secrets masked before anything was written, by rule.", labels=["rule"]
        )
        for rule, count in sorted(self._ingest.masked.copy().items()):
            masked.add_metric([rule], count)
        yield masked
        unknown = self._ingest.unknown
        yield CounterMetricFamily(
            "spanwatch_unknown_attributes_total",
            "Attributes under a key that no dialect knows.",
            value=sum(unknown.counts.copy().values()) + unknown.overflow,
        )
        yield GaugeMetricFamily(
            "spanwatch_unknown_keys",
            "Keys that no dialect knows, distinct per scope and product version; bounded.",
            value=len(unknown.counts),
        )


class _Allowed(Collector):
    """Counters that live in the detector of secrets."""

    def __init__(self, spared: Callable[[], Mapping[str, int]]) -> None:
        self._spared = spared

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "spanwatch_findings_allowed_total",
            "Findings about secrets that an allow-list entry withheld, by rule.",
            labels=["rule"],
        )
        for rule, count in sorted(dict(self._spared()).items()):
            family.add_metric([rule], count)
        yield family


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["console", "json"] = "console",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and, through it, the standard library's log; libraries speak from warning on only."""
    out = stream or sys.stderr
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        plain_values,
    ]
    render: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    handler.addFilter(_without_arguments)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(minimum, logging.WARNING))


def failure(error: BaseException) -> dict[str, str]:
    """An exception as log values: its type and the places it passed, never its message."""
    return {"raised": type(error).__name__, "at": _places(error)}


def plain_values(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Keep words and numbers; reduce every other value to its type, an exception to type and places."""
    info = event.pop("exc_info", None)
    if info:
        error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else sys.exc_info()[1])
        if error is not None:
            event.update(failure(error))
    event.pop("stack_info", None)
    for key, value in event.items():
        event[key] = _plain(value)
    return event


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    return f"<{type(value).__name__}>"


def _places(error: BaseException) -> str:
    frames: Iterator[traceback.FrameSummary] = iter(traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:])
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def _without_arguments(record: logging.LogRecord) -> bool:
    """A library's log line keeps the first line of its template: arguments can be anything, also input."""
    template = str(record.msg).partition("\n")[0]
    record.msg, record.args = PLACE.sub("…", template) if record.args else template, None
    return True
