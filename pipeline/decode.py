"""OTLP protobuf to Items: records whose attributes are still wire bytes, ready for the vocabulary.

Nothing here interprets or masks text; that happens once per distinct KeyValue in `vocabulary.py`.
A record that cannot be parsed becomes a Broken, its neighbours stay; only a body whose envelope is torn raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from google.protobuf.message import DecodeError as WireError

from detectors.model import Scalar
from pipeline import wire
from pipeline.errors import DecodeError

TOO_DEEP = "[too deep]"
MAX_ID_BYTES = 32
MAX_RECORDS = 100_000  # of one request, its resources and scopes counted in: empty ones cost two bytes to send
_I64 = 1 << 63
_NO_ID = frozenset((b"", bytes(8), bytes(16)))


class Event(NamedTuple):
    """A span event; `name` raw text, attributes as wire bytes."""

    name: str
    time_ns: int
    attributes: list[bytes]


class Link(NamedTuple):
    """A span link: where it points to, its trace state as raw text, attributes as wire bytes."""

    trace_id: str
    span_id: str
    state: str
    attributes: list[bytes]


class Item(msgspec.Struct, gc=False):
    """One span or log record before masking. Every text in it is raw; `attributes` hold encoded KeyValues."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    status: int
    start_ns: int
    end_ns: int
    attributes: list[bytes]
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()
    size: int = 0
    truncated: bool = False


class Broken(NamedTuple):
    """A record that can never become a Span: why, and its bytes for size and fingerprint only."""

    reason: str
    detail: str
    raw: bytes


class Group(NamedTuple):
    """The records of one scope of one resource; both still encoded, so that they can be cached by their bytes."""

    resource: bytes
    scope: bytes
    items: list[Item]


class Origin(NamedTuple):
    """A decoded scope: raw name and version, attributes as wire bytes."""

    name: str
    version: str
    attributes: list[bytes]


def text(raw: bytes) -> str:
    """Text of a proto string that may not be valid UTF-8."""
    return raw.decode("utf-8", "replace")


def hex_id(raw: bytes) -> str:
    """Hex of a trace or span id; empty for none or all zeros. ValueError when it is too long to be an id."""
    if len(raw) > MAX_ID_BYTES:
        raise ValueError("id too long")
    return "" if raw in _NO_ID else raw.hex()


def string_pair(key: bytes, value: bytes) -> bytes:
    """A KeyValue with a string, encoded: how texts outside the attributes join them."""
    return key_value(key, b"\x0a" + _varint(len(value)) + value)


def key_value(key: bytes, any_value: bytes) -> bytes:
    """A KeyValue around an encoded AnyValue."""
    return b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(any_value)) + any_value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def spans(body: bytes, limit: int) -> tuple[list[Group], list[Broken]]:
    """Spans of an ExportTraceServiceRequest; `limit` bounds attributes, events and links of one span.

    Raises DecodeError("protobuf") when the envelope is malformed.
    """
    return _records(body, limit, _span)


def logs(body: bytes, limit: int) -> tuple[list[Group], list[Broken]]:
    """Log records of an ExportLogsServiceRequest, as `spans` does."""
    return _records(body, limit, _log)


def _records(body: bytes, limit: int, read: Any) -> tuple[list[Group], list[Broken]]:
    try:
        request = wire.Request.FromString(body)
    except WireError:
        raise DecodeError("protobuf", "malformed request") from None
    groups, broken = [], []
    count = bounded(len(request.resources))
    for per_resource in request.resources:
        resource = per_resource.resource
        count = bounded(count + len(per_resource.scopes))
        for per_scope in per_resource.scopes:
            items = []
            count = bounded(count + len(per_scope.records))
            for raw in per_scope.records:
                try:
                    items.append(read(raw, limit))
                except WireError:
                    broken.append(Broken("protobuf", "malformed record", raw))
                except ValueError:
                    broken.append(Broken("id", "trace or span id is no id", raw))
            if items:
                groups.append(Group(resource, per_scope.scope, items))
    return groups, broken


def bounded(count: int) -> int:
    """The number of records so far; DecodeError when no honest request has as many."""
    if count > MAX_RECORDS:
        raise DecodeError("too_large", f"more than {MAX_RECORDS} records in one request")
    return count


def _span(raw: bytes, limit: int) -> Item:
    span = wire.Span.FromString(raw)
    attributes: list[bytes] = span.attributes[: limit + 1]
    parent = span.parent_span_id
    item = Item(
        hex_id(span.trace_id),
        hex_id(span.span_id),
        hex_id(parent) if parent else "",
        span.name.decode("utf-8", "replace"),
        span.kind,
        0,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes,
    )
    if len(attributes) > limit:
        del attributes[limit:]
        item.truncated = True
    if span.HasField("status"):
        item.status = span.status.code
        if message := span.status.message:
            attributes.append(string_pair(b"status.message", message))
    if state := span.trace_state:
        attributes.append(string_pair(b"trace.state", state))
    if events := span.events:
        item.events = [_event(e, limit) for e in events[:limit]]
        item.truncated |= len(events) > limit
    if links := span.links:
        item.links = [_link(e, limit) for e in links[:limit]]
        item.truncated |= len(links) > limit
    item.size = len(raw)
    return item


def _event(raw: bytes, limit: int) -> Event:
    event = wire.Event.FromString(raw)
    return Event(text(event.name), event.time_unix_nano, list(event.attributes[:limit]))


def _link(raw: bytes, limit: int) -> Link:
    link = wire.Link.FromString(raw)
    attributes = list(link.attributes[:limit])
    return Link(hex_id(link.trace_id), hex_id(link.span_id), text(link.trace_state), attributes)


def _log(raw: bytes, limit: int) -> Item:
    log = wire.LogRecord.FromString(raw)
    time_ns = log.time_unix_nano or log.observed_time_unix_nano
    attributes = list(log.attributes[:limit])
    item = Item(
        hex_id(log.trace_id),
        hex_id(log.span_id),
        "",
        text(log.event_name),
        0,
        log.severity_number,
        time_ns,
        time_ns,
        attributes,
        size=len(raw),
        truncated=len(log.attributes) > limit,
    )
    if body := log.body:
        attributes.append(key_value(b"body", body))
    if severity := log.severity_text:
        attributes.append(string_pair(b"severity.text", severity))
    return item


def resource(raw: bytes, limit: int) -> list[bytes]:
    """KeyValues of an encoded Resource; DecodeError when malformed."""
    try:
        return list(wire.Resource.FromString(raw).attributes[:limit])
    except WireError:
        raise DecodeError("protobuf", "malformed resource") from None


def scope(raw: bytes, limit: int) -> Origin:
    """An encoded InstrumentationScope; DecodeError when malformed."""
    try:
        found = wire.Scope.FromString(raw)
    except WireError:
        raise DecodeError("protobuf", "malformed scope") from None
    return Origin(text(found.name), text(found.version), list(found.attributes[:limit]))


def pair(raw: bytes, max_depth: int) -> tuple[str, Scalar | None]:
    """Key and scalar of one encoded KeyValue; None for no value.

    Strings and integers under short keys, the great majority, are read by hand; upb reads the rest.
    Raises DecodeError("protobuf") when it is malformed. Too deep a value becomes a marker.
    """
    # 0a <length> key 12 <length> 0a <length> string, or 18 <int>; lengths below 128, of the value also of two bytes
    try:
        if raw[0] == 10 and raw[1] < 128:
            edge = at = raw[1] + 2
            size = raw[at + 1]
            if size > 127:
                size = (size & 127) | raw[at + 2] << 7
                at += 1
            if raw[edge] == 18 and at + 2 + size == len(raw) and raw[at + 2] == 10:
                at += 3
                size = raw[at]
                if size > 127:
                    size = (size & 127) | raw[at + 1] << 7
                    at += 1
                if at + 1 + size == len(raw) and size < 16_384:
                    return raw[2:edge].decode(), raw[at + 1 :].decode()
            elif raw[edge] == 18 and raw[at + 2] == 24 and at + 2 + size == len(raw):
                digits = raw[at + 3 :]
                if len(digits) < 9 and digits[-1] < 128 and (len(digits) == 1 or min(digits[:-1]) > 127):
                    number = 0
                    for byte in reversed(digits):
                        number = number << 7 | byte & 127
                    return raw[2:edge].decode(), number
    except (IndexError, UnicodeDecodeError):
        pass
    try:
        found = wire.KeyValue.FromString(raw)
    except WireError:
        return _deep_pair(raw, max_depth)
    return text(found.key), scalar(found.value, max_depth)


def _deep_pair(raw: bytes, max_depth: int) -> tuple[str, Scalar | None]:
    """A KeyValue the parser refused: the marker when following its widest branch goes too deep, else DecodeError."""
    try:
        found = wire.FlatKeyValue.FromString(raw)
        value = found.value
        for _ in range(max_depth):
            level = wire.FlatAnyValue.FromString(value)
            inner = level.array_value or level.kvlist_value
            value = max(wire.FlatList.FromString(inner).values, key=len, default=b"")
            if level.kvlist_value:
                value = wire.FlatKeyValue.FromString(value).value
    except WireError:
        raise DecodeError("protobuf", "malformed attribute") from None
    if not value:
        raise DecodeError("protobuf", "malformed attribute")
    return text(found.key), TOO_DEEP


def scalar(value: Any, max_depth: int) -> Scalar | None:
    """Scalar of an AnyValue message: arrays and maps as compact JSON text, bytes as text, None for no value."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "string_value":
        return text(value.string_value)
    if kind == "bytes_value":
        return bytes_text(value.bytes_value)
    if kind in ("array_value", "kvlist_value"):
        return compact(_plain(value, max_depth))
    found: Scalar = getattr(value, kind)
    return found


def bytes_text(raw: bytes) -> str:
    """Bytes as text that a rule can still read: UTF-8 where it is, backslash escapes elsewhere."""
    return raw.decode("utf-8", "backslashreplace")


def compact(value: Any) -> str:
    """Compact JSON text of decoded nested values."""
    return msgspec.json.encode(value).decode()


def _plain(value: Any, depth: int) -> Any:
    if depth <= 0:
        return TOO_DEEP
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(v, depth - 1) for v in value.array_value.values]
    if kind == "kvlist_value":
        return {text(kv.key): _plain(kv.value, depth - 1) for kv in value.kvlist_value.values}
    return scalar(value, depth)


def bounded_int(number: int) -> Scalar:
    """The number, or its digits as text when no 64-bit column could hold it."""
    return number if -_I64 <= number < _I64 else str(number)
