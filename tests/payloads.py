"""OTLP requests as protobuf messages, and as the JSON a client would write of them: what tests put into files."""

from __future__ import annotations

import base64
import json
import random
from typing import Any
from zlib import crc32

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from detectors.secret_checksums import BASE62, digits
from tests.make import T0


def token(seed: int) -> str:
    """A GitHub token with a right checksum, made here and nowhere valid."""
    body = "".join(random.Random(seed).choices(BASE62, k=30))
    return "_".join(("ghp", body + digits(crc32(body.encode()), BASE62, 6)))


def traces(*tools: dict[str, Any], session: str = "s1", service: str = "agent") -> ExportTraceServiceRequest:
    """One request with a tool call by the GenAI conventions for each mapping of attributes."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    for number, attributes in enumerate(tools):
        span = scope.spans.add()
        span.trace_id, span.span_id = session.encode().ljust(16, b"."), f"{session}{number}".encode().ljust(8, b".")[:8]
        span.name, span.kind = "execute_tool", 1
        span.start_time_unix_nano = T0 + number * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + 10**7
        known = {"gen_ai.operation.name": "execute_tool", "gen_ai.conversation.id": session, "gen_ai.tool.name": "run"}
        for key, value in {**known, **attributes}.items():
            span.attributes.add(key=key).value.string_value = str(value)
    return request


def logs(*bodies: str, service: str = "agent") -> ExportLogsServiceRequest:
    """One request with a log record for each body."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add()
    for number, body in enumerate(bodies):
        record = scope.log_records.add()
        record.time_unix_nano = T0 + number * 10**9
        record.body.string_value = body
    return request


def as_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest, *, pretty: bool = False) -> bytes:
    """The request as OTLP/JSON: ids in hex, not in base64."""

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: base64.b64decode(item).hex() if key in ("traceId", "spanId", "parentSpanId") else hexed(item)
                for key, item in value.items()
            }
        return [hexed(item) for item in value] if isinstance(value, list) else value

    return json.dumps(hexed(json.loads(MessageToJson(request))), indent=1 if pretty else None).encode()
