"""Generated OTLP requests as protobuf messages, and the same requests as OTLP/JSON: two wires, one meaning."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

_ID_FIELDS = ("traceId", "spanId", "parentSpanId")

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
keys = st.one_of(
    st.sampled_from(
        (
            "gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.conversation.id",
            "gen_ai.input.messages", "url.full", "http.request.method", "db.system", "mcp.method.name", "session.id",
            "process.command_args", "event.name", "tool_parameters", "gen_ai.usage.input_tokens", "server.address",
        )
    ),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)  # fmt: skip


def _value(**one: Any) -> AnyValue:
    return AnyValue(**one)


any_values = st.recursive(
    st.one_of(
        st.just(AnyValue()),
        texts.map(lambda v: _value(string_value=v)),
        st.sampled_from(
            ("execute_tool", "chat", "Bash", '{"command":"curl http://a.example/"}', "[]", "https://x.example:1/")
        ).map(lambda v: _value(string_value=v)),
        st.booleans().map(lambda v: _value(bool_value=v)),
        st.integers(-(1 << 63), (1 << 63) - 1).map(lambda v: _value(int_value=v)),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda v: _value(double_value=v)),
        st.binary(max_size=40).map(lambda v: _value(bytes_value=v)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda vs: _value(array_value=ArrayValue(values=vs))),
        st.lists(st.tuples(keys, inner), max_size=4).map(
            lambda kvs: _value(kvlist_value=KeyValueList(values=[KeyValue(key=k, value=v) for k, v in kvs]))
        ),
    ),
    max_leaves=8,
)
attributes = st.lists(st.builds(lambda k, v: KeyValue(key=k, value=v), keys, any_values), max_size=8)
times = st.one_of(st.integers(0, (1 << 64) - 1), st.integers(1_790_000_000 * 10**9, 1_800_000_000 * 10**9))


@st.composite
def traces(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Any request an exporter could send, and some none would."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        per_resource = request.resource_spans.add()
        per_resource.resource.attributes.extend(draw(attributes))
        for _ in range(draw(st.integers(0, 2))):
            per_scope = per_resource.scope_spans.add()
            per_scope.scope.name, per_scope.scope.version = draw(texts), draw(texts)
            per_scope.scope.attributes.extend(
                draw(st.lists(st.builds(lambda k, v: KeyValue(key=k, value=v), keys, any_values), max_size=2))
            )
            for _ in range(draw(st.integers(0, 3))):
                span = per_scope.spans.add(
                    trace_id=draw(st.binary(min_size=16, max_size=16)),
                    span_id=draw(st.binary(min_size=8, max_size=8)),
                    parent_span_id=draw(st.sampled_from((b"", b"12345678"))),
                    name=draw(texts),
                    kind=draw(st.integers(0, 5)),
                    start_time_unix_nano=draw(times),
                    end_time_unix_nano=draw(times),
                    trace_state=draw(texts),
                )
                span.attributes.extend(draw(attributes))
                span.status.code, span.status.message = draw(st.integers(0, 2)), draw(texts)
                for _ in range(draw(st.integers(0, 2))):
                    event = span.events.add(name=draw(texts), time_unix_nano=draw(times))
                    event.attributes.extend(draw(attributes))
                for _ in range(draw(st.integers(0, 1))):
                    link = span.links.add(trace_id=draw(st.binary(min_size=16, max_size=16)), trace_state=draw(texts))
                    link.attributes.extend(draw(attributes))
    return request


@st.composite
def logs(draw: st.DrawFn) -> ExportLogsServiceRequest:
    """Log records of every shape a body can have."""
    request = ExportLogsServiceRequest()
    per_resource = request.resource_logs.add()
    per_resource.resource.attributes.extend(draw(attributes))
    per_scope = per_resource.scope_logs.add()
    per_scope.scope.name = draw(texts)
    for _ in range(draw(st.integers(0, 3))):
        record = per_scope.log_records.add(
            time_unix_nano=draw(times),
            observed_time_unix_nano=draw(times),
            severity_number=draw(st.integers(0, 24)),
            severity_text=draw(texts),
            event_name=draw(texts),
            trace_id=draw(st.sampled_from((b"", b"0123456789abcdef"))),
        )
        record.attributes.extend(draw(attributes))
        if draw(st.booleans()):
            record.body.CopyFrom(draw(any_values))
    return request


def as_json(request: Any) -> bytes:
    """The message as OTLP/JSON: ids in hex, enums as integers, the rest as protobuf's own JSON has it."""
    plain = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_ids(plain, lambda v: base64.b64decode(v).hex()), ensure_ascii=False).encode()


def as_protobuf(body: bytes, signal: str) -> bytes:
    """An OTLP/JSON body as protobuf, by protobuf's own JSON parser."""
    plain = _ids(json.loads(body), lambda v: base64.b64encode(bytes.fromhex(v)).decode())
    request = ExportTraceServiceRequest() if signal == "traces" else ExportLogsServiceRequest()
    done: bytes = json_format.ParseDict(plain, request).SerializeToString()
    return done


def _ids(plain: Any, change: Any) -> Any:
    if isinstance(plain, list):
        return [_ids(v, change) for v in plain]
    if isinstance(plain, dict):
        return {k: change(v) if k in _ID_FIELDS else _ids(v, change) for k, v in plain.items()}
    return plain
