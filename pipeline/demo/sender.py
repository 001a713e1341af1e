"""One source of telemetry: a resource, a tracer and a logger of the real OpenTelemetry SDK over OTLP/HTTP."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

Attributes = Mapping[str, Any]
QUEUE = 20_000  # more than the fleet ever holds: nothing is dropped before it is sent


class Tally:
    """What the exporters of all senders delivered, and what the receiver refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.spans = self.logs = self.failed = 0

    def note(self, *, spans: int = 0, logs: int = 0, delivered: bool) -> None:
        with self._lock:
            if delivered:
                self.spans, self.logs = self.spans + spans, self.logs + logs
            else:
                self.failed += spans + logs


class _SeededIds(IdGenerator):
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def generate_span_id(self) -> int:
        return self._dice.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._dice.getrandbits(128) or 1


class Sender:
    """Spans and log events of one resource. Times are given, so a session may be older than its sending."""

    def __init__(
        self, endpoint: str, resource: Attributes, *, scope: str, version: str, seed: str, tally: Tally
    ) -> None:
        sender = self
        self.exported_ns = 0  # when the last export call came back

        class Spans(OTLPSpanExporter):
            def export(self, spans: Sequence[Any]) -> Any:
                result = super().export(spans)
                sender.exported_ns = time.time_ns()
                tally.note(spans=len(spans), delivered=result.name == "SUCCESS")
                return result

        class Logs(OTLPLogExporter):
            def export(self, batch: Sequence[Any]) -> Any:
                result = super().export(batch)
                sender.exported_ns = time.time_ns()
                tally.note(logs=len(batch), delivered=result.name == "SUCCESS")
                return result

        described = Resource(dict(resource))
        gzip = Compression.Gzip
        self._traces = TracerProvider(resource=described, id_generator=_SeededIds(random.Random(seed)))
        self._traces.add_span_processor(
            BatchSpanProcessor(
                Spans(endpoint=f"{endpoint}/v1/traces", compression=gzip),
                max_queue_size=QUEUE,
                schedule_delay_millis=500,
            )
        )
        self._logs = LoggerProvider(resource=described)
        self._logs.add_log_record_processor(
            BatchLogRecordProcessor(
                Logs(endpoint=f"{endpoint}/v1/logs", compression=gzip), max_queue_size=QUEUE, schedule_delay_millis=500
            )
        )
        self._tracer = self._traces.get_tracer(scope, version)
        self._logger = self._logs.get_logger(scope, version)

    def begin(
        self,
        name: str,
        *,
        at_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: trace.Span | None = None,
        attributes: Attributes,
    ) -> trace.Span:
        """A span that is ended later; without a parent it starts a trace."""
        context = trace.set_span_in_context(parent) if parent is not None else Context()
        return self._tracer.start_span(name, context=context, kind=kind, start_time=at_ns, attributes=dict(attributes))

    def span(
        self,
        name: str,
        *,
        at_ns: int,
        end_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: trace.Span | None = None,
        attributes: Attributes,
        events: Sequence[tuple[str, Attributes]] = (),
        error: str = "",
    ) -> trace.Span:
        """A whole span."""
        span = self.begin(name, at_ns=at_ns, kind=kind, parent=parent, attributes=attributes)
        for event, about in events:
            span.add_event(event, dict(about), timestamp=end_ns)
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end_ns)
        return span

    def log(self, body: str | None, *, at_ns: int, attributes: Attributes, parent: trace.Span | None = None) -> None:
        """A log event, inside a span when `parent` is given."""
        self._logger.emit(
            LogRecord(
                timestamp=at_ns,
                observed_timestamp=at_ns,
                context=trace.set_span_in_context(parent) if parent is not None else Context(),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=body,
                attributes=dict(attributes),
            )
        )

    def flush(self) -> int:
        """Export what is queued now; returns when the last export call came back, as wall-clock nanoseconds."""
        self._traces.force_flush()
        self._logs.force_flush()
        return self.exported_ns

    def close(self) -> None:
        self._traces.shutdown()
        self._logs.shutdown()
