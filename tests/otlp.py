"""Small OTLP requests in protobuf and JSON for tests of what receives them."""

from __future__ import annotations

from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.make import T0

SERVICE = [KeyValue(key="service.name", value=AnyValue(string_value="test-agent"))]


def attributes(values: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def traces(count: int = 1, *, session: str = "s1", broken: int = 0, start: int = 0, **values: str) -> bytes:
    """A request of `count` tool-call spans, then `broken` ones whose trace id no system makes."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(SERVICE)
    scope = resource.scope_spans.add()
    for i in range(start, start + count + broken):
        whole = i < start + count
        scope.spans.add(
            trace_id=session.encode().ljust(16, b"\1")[:16] if whole else b"\1" * 99,
            span_id=(i + 1).to_bytes(8, "big"),
            name="execute_tool",
            start_time_unix_nano=T0 + i * 1_000_000,
            end_time_unix_nano=T0 + i * 1_000_000 + 1000,
            attributes=attributes(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "read_file",
                    "gen_ai.tool.call.id": f"{session}-{i}",
                    "gen_ai.conversation.id": session,
                }
                | values
            ),
        )
    return request.SerializeToString()


def traces_json(count: int = 1, *, session: str = "s1") -> bytes:
    spans = [
        {
            "traceId": f"{7:032x}",
            "spanId": f"{i + 1:016x}",
            "name": "execute_tool",
            "startTimeUnixNano": str(T0 + i),
            "endTimeUnixNano": str(T0 + i + 1),
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}},
                {"key": "gen_ai.conversation.id", "value": {"stringValue": session}},
            ],
        }
        for i in range(count)
    ]
    return msgspec.json.encode({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


def logs(count: int = 1, *, body: str = "claude_code.tool_result", **values: str) -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.extend(SERVICE)
    scope = resource.scope_logs.add()
    for i in range(count):
        scope.log_records.add(
            time_unix_nano=T0 + i,
            body=AnyValue(string_value=body),
            attributes=attributes({"session.id": "s1"} | values),
        )
    return request.SerializeToString()


def metrics() -> bytes:
    """A gauge of two points and a sum of one."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    gauge = scope.metrics.add(name="a").gauge
    gauge.data_points.add(as_int=1)
    gauge.data_points.add(as_int=2)
    scope.metrics.add(name="b").sum.data_points.add(as_double=1.5)
    return request.SerializeToString()


def metrics_json() -> bytes:
    points: dict[str, Any] = {"dataPoints": [{"asInt": "1"}, {"asInt": 2}]}
    return msgspec.json.encode(
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": points}, {"sum": points}]}]}]}
    )
