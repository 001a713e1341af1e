"""The decoders: the lite one means what a full walk means, JSON what protobuf means; a bad record falls alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from detectors.model import Span
from pipeline import decode, otlp_json
from pipeline.errors import DecodeError
from pipeline.settings import Gateway
from tests import otlp_messages
from tests.dialects import SAMPLES, TRACE, any_value
from tests.test_golden import RECEIVED_NS, ingest

_slow = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
DEEP = 10_000


def _plain(value: Any) -> Any:
    """An AnyValue by a full walk of the official messages."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(v) for v in value.array_value.values]
    if kind == "kvlist_value":
        return {kv.key: _plain(kv.value) for kv in value.kvlist_value.values}
    if kind == "bytes_value":
        return value.bytes_value.decode("utf-8", "backslashreplace")
    return getattr(value, kind) if kind else None


def _scalar(value: Any) -> Any:
    plain = _plain(value)
    return msgspec.json.encode(plain).decode() if isinstance(plain, list | dict) else plain


@_slow
@given(otlp_messages.traces())
def test_lite_is_full(request: ExportTraceServiceRequest) -> None:
    """The lite decoder yields what a walk of the official messages yields."""
    groups, broken = decode.spans(request.SerializeToString(), 1024)
    assert not broken
    found = []
    for group in groups:
        for item in group.items:
            pairs = dict(decode.pair(raw, 32) for raw in item.attributes)
            pairs.pop("status.message", None)
            pairs.pop("trace.state", None)
            events = [(e.name, e.time_ns, [decode.pair(raw, 32) for raw in e.attributes]) for e in item.events]
            found.append((item.name, item.kind, item.status, item.start_ns, item.end_ns, item.span_id, pairs, events))
    walked = []
    for span in (s for r in request.resource_spans for c in r.scope_spans for s in c.spans):
        pairs = {kv.key: _scalar(kv.value) for kv in span.attributes}
        pairs.pop("status.message", None)
        pairs.pop("trace.state", None)
        events = [(e.name, e.time_unix_nano, [(kv.key, _scalar(kv.value)) for kv in e.attributes]) for e in span.events]
        span_id = span.span_id.hex() if any(span.span_id) else ""
        times = (span.start_time_unix_nano, span.end_time_unix_nano)
        walked.append((span.name, span.kind, span.status.code, *times, span_id, pairs, events))
    assert found == walked


@_slow
@given(otlp_messages.traces())
def test_json_spans_are_protobuf_spans(request: ExportTraceServiceRequest) -> None:
    """One request on either wire becomes the same Spans."""
    protobuf = ingest().traces(request.SerializeToString(), "protobuf", received_ns=RECEIVED_NS)
    as_json = ingest().traces(otlp_messages.as_json(request), "json", received_ns=RECEIVED_NS)
    assert as_json == protobuf


@_slow
@given(otlp_messages.logs())
def test_json_logs_are_protobuf_logs(request: ExportLogsServiceRequest) -> None:
    """One logs request on either wire becomes the same Spans, ids included."""
    protobuf = ingest().logs(request.SerializeToString(), "protobuf", received_ns=RECEIVED_NS)
    as_json = ingest().logs(otlp_messages.as_json(request), "json", received_ns=RECEIVED_NS)
    assert as_json == protobuf


@pytest.mark.parametrize("dialect", SAMPLES)
def test_dialects_on_either_wire(dialect: str) -> None:
    """Every dialect's request means the same in protobuf as in JSON."""
    sample = SAMPLES[dialect]
    other = otlp_messages.as_protobuf(sample.body, sample.signal)
    in_json = getattr(ingest(), sample.signal)(sample.body, "json", received_ns=RECEIVED_NS)
    in_protobuf = getattr(ingest(), sample.signal)(other, "protobuf", received_ns=RECEIVED_NS)
    assert in_json == in_protobuf
    assert in_json.spans


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.text(st.characters(exclude_categories=("Cs",)), max_size=140))
def test_pair_integers(number: int, key: str) -> None:
    """Integers of every size are read alike by hand and by the parser."""
    raw = KeyValue(key=key, value={"int_value": number}).SerializeToString()
    assert decode.pair(raw, 32) == (key, number)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=130), st.integers(0, 40_000))
def test_pair_strings(key: str, size: int) -> None:
    """Strings of every length class are read alike by hand and by the parser."""
    raw = KeyValue(key=key, value={"string_value": "ä" + "x" * size}).SerializeToString()
    assert decode.pair(raw, 32) == (key, "ä" + "x" * size)


def _request(**attributes: bytes) -> bytes:
    """A protobuf request with one span; attributes given as encoded AnyValues."""
    now = RECEIVED_NS.to_bytes(8, "little")
    body = b"\x0a\x10" + bytes.fromhex(TRACE) + b"\x12\x0812345678\x2a\x04name\x39" + now + b"\x41" + now
    for key, value in attributes.items():
        body += _sized(b"\x4a", decode.key_value(key.encode(), value))
    return _sized(b"\x0a", _sized(b"\x12", _sized(b"\x12", body)))


def _sized(tag: bytes, body: bytes) -> bytes:
    return tag + decode._varint(len(body)) + body


def _one(body: bytes, encoding: str = "protobuf") -> Span:
    done = ingest().traces(body, encoding, received_ns=RECEIVED_NS)  # type: ignore[arg-type]
    assert not done.dead_letters
    (span,) = done.spans
    return span


def test_invalid_utf8() -> None:
    """Text that is no UTF-8 is kept as far as it can be read, its neighbours untouched."""
    span = _one(_request(good=b"\x0a\x02ok", bad=b"\x0a\x04\xff\xfeok"))
    assert span.attributes == {"good": "ok", "bad": "\ufffd\ufffdok"}


def test_invalid_utf8_json() -> None:
    """The same in JSON, lone surrogates included."""
    body = json.dumps(_spans(span(a="\ud800x", b="fine"))).encode().replace(b"fine", b"fi\xffne")
    found = _one(body, "json")
    assert found.attributes == {"a": "\ufffdx", "b": "fi\ufffdne"}


def span(**attributes: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE.upper(),
        "spanId": "00000000000000aa",
        "name": "n",
        "startTimeUnixNano": str(RECEIVED_NS),
        "endTimeUnixNano": str(RECEIVED_NS),
        "attributes": [{"key": k, "value": v if isinstance(v, dict) else any_value(v)} for k, v in attributes.items()],
    }


def _spans(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def test_one_malformed_span() -> None:
    """A malformed span is a dead letter; the two around it are kept."""
    good = _sized(b"\x12", b"\x0a\x10" + bytes.fromhex(TRACE) + b"\x12\x08aaaaaaaa")
    body = _sized(b"\x0a", _sized(b"\x12", good + _sized(b"\x12", b"\x0a\x7fshort") + good))
    done = ingest().traces(body, "protobuf", received_ns=RECEIVED_NS, origin="test")
    assert len(done.spans) == 2
    assert done.records == 3
    (letter,) = done.dead_letters
    assert (letter.reason, letter.origin, letter.size) == ("protobuf", "test", 7)


def test_one_malformed_attribute() -> None:
    """A span with a malformed attribute is a dead letter, not a span without it."""
    broken = _sized(b"\x12", b"\x0a\x10" + bytes.fromhex(TRACE) + _sized(b"\x4a", b"\x0a\x7fx"))
    fine = _sized(b"\x12", b"\x0a\x10" + bytes.fromhex(TRACE))
    done = ingest().traces(_sized(b"\x0a", _sized(b"\x12", broken + fine)), "protobuf", received_ns=RECEIVED_NS)
    assert (len(done.spans), [x.reason for x in done.dead_letters]) == (1, ["protobuf"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"traceId": "xyz"},
        {"traceId": 7},
        {"spanId": "ghp_hidden"},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": -1},
        {"attributes": [{"key": "a", "value": {"intValue": "many"}}]},
        {"attributes": [{"key": 1}]},
        {"attributes": 3},
        {"traceId": "ab" * 40},
        {"events": [{"name": {}}]},
    ],
)
def test_one_malformed_json_span(wrong: dict[str, Any]) -> None:
    """A JSON span of the wrong shape is a dead letter that quotes nothing of it; its neighbours are kept."""
    body = json.dumps(_spans(span(a="1"), {**span(), **wrong}, span(b="2"))).encode()
    done = ingest().traces(body, "json", received_ns=RECEIVED_NS)
    assert [s.attributes for s in done.spans] == [{"a": "1"}, {"b": "2"}]
    (letter,) = done.dead_letters
    assert "hidden" not in repr(letter)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"3", b'"x"', b"{", b"\xff\xfe", b'{"resourceSpans":3}', b"{}{}"]
)
def test_json_that_is_none(body: bytes) -> None:
    """What is no request at all is refused whole."""
    with pytest.raises(DecodeError) as caught:
        otlp_json.spans(body, 10, 10)
    assert caught.value.reason == "json"


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\x12\x05", b'{"resourceSpans":[]}'])
def test_protobuf_that_is_none(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode.spans(body, 10)
    assert caught.value.reason == "protobuf"


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"", "protobuf"), (b"{}", "json"), (b'{"resourceSpans":null}', "json")]
)
def test_empty_request(body: bytes, encoding: Any) -> None:
    """An empty request is a success with nothing in it."""
    assert ingest().traces(body, encoding, received_ns=RECEIVED_NS).records == 0


def test_json_spellings() -> None:
    """Numbers as strings or numbers, enums as names or numbers, ids in any case, no value at all: all are read."""
    record = {
        **span(
            i={"intValue": 5}, j={"intValue": "6"}, d={"doubleValue": 1}, n={}, b={"bytesValue": "aGk="}, u={"new": 1}
        ),
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": RECEIVED_NS,
        "endTimeUnixNano": str(RECEIVED_NS + 1),
        "status": {"code": "STATUS_CODE_ERROR", "message": None},
        "events": None,
        "flags": 1,
    }
    found = _one(json.dumps(_spans(record)).encode(), "json")
    assert found.attributes == {"i": 5, "j": 6, "d": 1.0, "b": "hi"}
    assert (found.trace_id, found.status, found.end_ns - found.start_ns) == (TRACE, "error", 1)


def test_number_beyond_any_column() -> None:
    """An integer no 64-bit column could hold is kept as its digits."""
    body = json.dumps(_spans(span(n={"intValue": "9" * 30}))).encode()
    assert _one(body, "json").attributes == {"n": "9" * 30}


def _nested_json(depth: int) -> bytes:
    value = '{"arrayValue":{"values":[' * depth + '{"stringValue":"x"}' + "]}}" * depth
    body = json.dumps(_spans({**span(a="DEEP"), "name": "deep"}, span(b="2")))
    return body.replace('{"stringValue": "DEEP"}', value).encode()


@pytest.mark.parametrize("depth", [40, 300, DEEP])
def test_deep_json(depth: int) -> None:
    """However deep one value is nested, it becomes a marker and its neighbours are kept."""
    done = ingest().traces(_nested_json(depth), "json", received_ns=RECEIVED_NS)
    assert not done.dead_letters
    deep, other = done.spans
    assert decode.TOO_DEEP in str(deep.attributes["a"])
    assert other.attributes == {"b": "2"}


@pytest.mark.parametrize("depth", [40, 300, DEEP])
def test_deep_protobuf(depth: int) -> None:
    value = b"\x0a\x01x"
    for _ in range(depth):
        value = _sized(b"\x2a", _sized(b"\x0a", value))
    found = _one(_request(a=value, b=b"\x0a\x012"))
    assert decode.TOO_DEEP in str(found.attributes["a"])
    assert found.attributes["b"] == "2"


def test_deep_json_elsewhere() -> None:
    """Nesting where nothing is expected does not matter; in a JSON text inside an attribute neither."""
    noise = "[" * DEEP + "]" * DEEP
    body = json.dumps(_spans(span(**{"gen_ai.tool.call.arguments": noise}))).encode()
    body = body.replace(b'"resourceSpans"', b'"other":' + noise.encode() + b',"resourceSpans"', 1)
    found = _one(body, "json")
    assert found.fields["arguments"] == noise


def test_within_depth() -> None:
    """Nesting up to the limit is kept whole."""
    depth = Gateway().max_depth - 1
    done = ingest().traces(_nested_json(depth), "json", received_ns=RECEIVED_NS)
    text = str(done.spans[0].attributes["a"])
    assert text == "[" * depth + '"x"' + "]" * depth
