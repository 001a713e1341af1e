"""The real OpenTelemetry SDK exporters deliver to the embedded driver, and a leaked secret becomes an alert."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from detectors.secret_rules import fill
from pipeline.auth import new_token
from pipeline.settings import Settings
from tests.running import KEY, RunningEmbedded, embedded

RESOURCE = Resource.create({"service.name": "sdk-agent", "service.instance.id": "sdk-1"})
TENANT = "acme"


class Setup:
    """A running driver that wants tokens, and what an SDK must be told to reach it."""

    def __init__(self, running: RunningEmbedded, data_dir: Path, token: str) -> None:
        self.running, self.data_dir = running, data_dir
        self.headers = {"authorization": f"Bearer {token}"}

    def spans(self, transport: str) -> Any:
        if transport == "grpc":
            return GrpcSpans(f"http://{self.running.grpc}", insecure=True, headers=self.headers)
        compression = Compression.Gzip if transport == "http-gzip" else Compression.NoCompression
        return HttpSpans(f"{self.running.url}/v1/traces", headers=self.headers, compression=compression)

    def logs(self, transport: str) -> Any:
        if transport == "grpc":
            return GrpcLogs(f"http://{self.running.grpc}", insecure=True, headers=self.headers)
        compression = Compression.Gzip if transport == "http-gzip" else Compression.NoCompression
        return HttpLogs(f"{self.running.url}/v1/logs", headers=self.headers, compression=compression)

    def metrics(self, transport: str) -> Any:
        if transport == "grpc":
            return GrpcMetrics(f"http://{self.running.grpc}", insecure=True, headers=self.headers)
        return HttpMetrics(f"{self.running.url}/v1/metrics", headers=self.headers)

    def found(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query once there are any; fails after a time no healthy run needs."""
        deadline = time.monotonic() + 30
        while not (rows := self.running.embedded.query(query, **parameters)):
            assert time.monotonic() < deadline, query
            time.sleep(0.02)
        return rows

    def value(self, name: str, **labels: str) -> float:
        return self.running.embedded.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def running_setup(folder: Path) -> Iterator[Setup]:
    made = new_token(TENANT, "sdk-emitter")
    (folder / "tokens.toml").write_text(made.entry)
    data_dir = folder / "data"
    settings = Settings(
        data_dir=data_dir,
        key=KEY,
        gateway={"port": 0, "grpc_port": 0, "tokens_file": folder / "tokens.toml"},
        worker={"batch_seconds": 0.05, "checkpoint_seconds": 3600},  # entries stay in the log and can be looked at
    )
    with embedded(settings) as running:
        yield Setup(running, data_dir, made.token)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with running_setup(tmp_path_factory.mktemp("sdk")) as made:
        yield made


def traced(exporter: Any, work: Callable[[Any], None]) -> None:
    """Run `work` with a tracer whose spans all leave through the exporter before this returns."""
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    work(provider.get_tracer("sdk-scope", "1.2.3"))
    assert provider.force_flush()
    provider.shutdown()


TRANSPORTS = ["http", "http-gzip", "grpc"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_spans_arrive_with_all_the_sdk_says(setup: Setup, transport: str) -> None:
    """Parent and child, attributes, events; under the token's tenant."""
    session = f"spans-{transport}"

    def work(tracer: Any) -> None:
        with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.conversation.id": session}):
            for i in range(700):  # more than one export batch
                attributes = {"gen_ai.conversation.id": session, "gen_ai.tool.name": "calc", "n": i}
                with tracer.start_as_current_span("execute_tool calc", attributes=attributes) as span:
                    span.add_event("done", {"ok": True})

    traced(setup.spans(transport), work)
    setup.running.wait_processed()
    rows = setup.running.embedded.query(
        "SELECT count(), uniqExact(SpanId), any(Tenant), any(Emitter), any(ServiceName), any(ScopeName),"
        " countIf(ParentSpanId = '') FROM spanwatch.spans WHERE SessionId = {session:String}",
        session=session,
    )
    assert rows == [(701, 701, TENANT, "sdk-emitter", "sdk-agent", "sdk-scope", 1)]
    ((attributes,),) = setup.running.embedded.query(
        "SELECT SpanAttributes FROM spanwatch.spans WHERE SessionId = {session:String} AND SpanAttributes['n'] = '13'",
        session=session,
    )
    assert attributes["events.0.name"] == "done"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_logs_arrive(setup: Setup, transport: str) -> None:
    """Log events with attributes become rows beside the spans."""
    session = f"logs-{transport}"
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(setup.logs(transport)))
    logger = provider.get_logger("sdk-logs")
    for i in range(20):
        logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                body=f"tool finished {i}",
                attributes={"gen_ai.conversation.id": session},
            )
        )
    assert provider.force_flush()
    provider.shutdown()
    setup.running.wait_processed()
    rows = setup.running.embedded.query(
        "SELECT count(), uniqExact(Id), any(Signal), any(Tenant) FROM spanwatch.spans"
        " WHERE SessionId = {session:String}",
        session=session,
    )
    assert rows == [(20, 20, "log", TENANT)]


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_metrics_are_taken_and_dropped(setup: Setup, transport: str) -> None:
    """An SDK that exports metrics too is not told off."""
    before = setup.value("spanwatch_points_dropped_total")
    reader = PeriodicExportingMetricReader(setup.metrics(transport), export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=RESOURCE)
    provider.get_meter("m").create_counter("tokens").add(5)
    assert provider.force_flush()
    provider.shutdown()
    assert setup.value("spanwatch_points_dropped_total") > before


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_leaked_secret_is_an_alert_and_nowhere_else(setup: Setup, transport: str) -> None:
    """An SDK-exported span with a planted secret is an alert row; no file of the store, the log or the key holds it."""
    session = f"leak-{transport}"
    secret = fill("ghp_<alnum:36>", TRANSPORTS.index(transport) + 100)

    def work(tracer: Any) -> None:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "read_file",
            "gen_ai.conversation.id": session,
            "gen_ai.tool.call.result": f"GH_TOKEN={secret}",
        }
        with tracer.start_as_current_span("execute_tool read_file", attributes=attributes) as span:
            span.add_event(f"read {secret}", {f"key {secret}": secret})
            span.set_status(Status(StatusCode.ERROR, f"failed at {secret}"))

    traced(setup.spans(transport), work)
    rows = setup.found(
        "SELECT RuleId, Category, Tenant FROM spanwatch.alerts FINAL WHERE SessionId = {session:String}",
        session=session,
    )
    assert TENANT in {row[2] for row in rows}
    assert "credential_exposure" in {row[1] for row in rows}
    needle = secret.encode()
    files = [path for path in setup.data_dir.rglob("*") if path.is_file()]
    assert any(path.name == "log.sqlite" for path in files)
    assert [path for path in files if needle in path.read_bytes()] == []
    entries = [zstandard.decompress(payload) for _, payload in setup.running.embedded.entries.read(0, 2**30)]
    assert any(session.encode() in entry for entry in entries)
    assert not any(needle in entry for entry in entries)
    ((raw, placeholders),) = setup.running.embedded.query(
        "SELECT Raw, SecretRules FROM spanwatch.spans WHERE SessionId = {session:String}", session=session
    )
    assert secret not in str(raw)
    assert "MASKED~" in str(raw)
    assert placeholders
    assert secret not in setup.running.embedded.metrics.exposition().decode()


def test_an_unknown_token_is_refused(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK gives up at once: 401 is not retried."""
    setup.headers, good = {"authorization": "Bearer unknown"}, setup.headers
    try:
        exporter = setup.spans("http")
    finally:
        setup.headers = good
    with caplog.at_level(logging.ERROR):
        traced(exporter, lambda tracer: tracer.start_span("lost").end())
    assert "401" in caplog.text
