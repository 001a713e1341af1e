"""What a client is told, and the bodies OTLP has for it in protobuf and JSON."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

Kind: TypeAlias = Literal[
    "ok", "unauthenticated", "invalid", "too_large", "unsupported", "limited", "full", "unavailable"
]
SignalName: TypeAlias = Literal["traces", "logs", "metrics"]
Encoding: TypeAlias = Literal["protobuf", "json"]
Transport: TypeAlias = Literal["http", "grpc"]

SIGNALS: tuple[SignalName, ...] = ("traces", "logs", "metrics")
CODES: dict[Kind, int] = {
    "ok": code_pb2.OK,
    "unauthenticated": code_pb2.UNAUTHENTICATED,
    "invalid": code_pb2.INVALID_ARGUMENT,
    "too_large": code_pb2.RESOURCE_EXHAUSTED,
    "unsupported": code_pb2.UNIMPLEMENTED,
    "limited": code_pb2.RESOURCE_EXHAUSTED,
    "full": code_pb2.RESOURCE_EXHAUSTED,
    "unavailable": code_pb2.UNAVAILABLE,
}
_RESPONSES: dict[SignalName, tuple[Any, str, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


class Answer(NamedTuple):
    """What to tell the client. `rejected` records of an accepted request became dead letters.

    `retry_after` is in seconds; 0 means that sending the same again can never succeed (or was not needed).
    """

    kind: Kind
    message: str = ""
    rejected: int = 0
    retry_after: int = 0


def body(answer: Answer, signal: SignalName, encoding: Encoding) -> bytes:
    """An Export*ServiceResponse when all or part was accepted, else a google.rpc.Status."""
    if answer.kind != "ok":
        if encoding == "json":
            return msgspec.json.encode({"code": CODES[answer.kind], "message": answer.message})
        return bytes(status_pb2.Status(code=CODES[answer.kind], message=answer.message).SerializeToString())
    response, name, json_name = _RESPONSES[signal]
    if not answer.message:
        return b"{}" if encoding == "json" else b""
    if encoding == "json":  # 64-bit integers are strings in OTLP/JSON
        partial = {json_name: str(answer.rejected), "errorMessage": answer.message}
        return msgspec.json.encode({"partialSuccess": partial})
    return bytes(response(partial_success={name: answer.rejected, "error_message": answer.message}).SerializeToString())
