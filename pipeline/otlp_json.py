"""OTLP/JSON to the same Items as `decode.py`: attributes stay raw JSON text until the vocabulary has need of them.

The first attempt decodes the whole body into typed structs. A body that resists (wrong types in one record, nesting
beyond any use, invalid UTF-8, lone surrogates) is repaired and taken apart level by level, so that only the records
that are beyond help are lost.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from detectors.model import Scalar
from pipeline.decode import (
    TOO_DEEP,
    Broken,
    Event,
    Group,
    Item,
    Link,
    Origin,
    bounded,
    bounded_int,
    bytes_text,
    compact,
    hex_id,
)
from pipeline.errors import DecodeError

_Raws = list[msgspec.Raw] | None
_Number = int | str | None
_ABSENT = msgspec.Raw(b"")  # msgspec takes no `Raw | None`
_STATUS = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_KINDS = {
    f"SPAN_KIND_{name}": n
    for n, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_MAX_TOKENS = 2_000_000
_MAX_OBJECTS = 4_000_000  # of a whole request, braces in texts included
_UINT64 = (1 << 64) - 1
_T = TypeVar("_T")


class _Json(msgspec.Struct, rename="camel", gc=False):
    pass


class _Status(_Json, rename="camel", gc=False):
    message: str | None = None
    code: _Number = 0


class _Event(_Json, rename="camel", gc=False):
    time_unix_nano: _Number = 0
    name: str | None = None
    attributes: _Raws = None


class _Link(_Json, rename="camel", gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: _Raws = None


class _Span(_Json, rename="camel", gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: _Number = 0
    start_time_unix_nano: _Number = 0
    end_time_unix_nano: _Number = 0
    attributes: _Raws = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None


class _Log(_Json, rename="camel", gc=False):
    time_unix_nano: _Number = 0
    observed_time_unix_nano: _Number = 0
    severity_number: _Number = 0
    severity_text: str | None = None
    body: msgspec.Raw = _ABSENT
    attributes: _Raws = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class _Resource(_Json, rename="camel", gc=False):
    attributes: _Raws = None


class _Scope(_Json, rename="camel", gc=False):
    name: str | None = None
    version: str | None = None
    attributes: _Raws = None


class _PerScope(_Json, rename="camel", gc=False):
    scope: msgspec.Raw = _ABSENT
    spans: _Raws = None
    log_records: _Raws = None


class _PerResource(_Json, rename="camel", gc=False):
    resource: msgspec.Raw = _ABSENT
    scope_spans: _Raws = None
    scope_logs: _Raws = None


class _Request(_Json, rename="camel", gc=False):
    resource_spans: _Raws = None
    resource_logs: _Raws = None


class _SpanScope(_Json, rename="camel", gc=False):
    scope: msgspec.Raw = _ABSENT
    spans: list[_Span] | None = None


class _SpanResource(_Json, rename="camel", gc=False):
    resource: msgspec.Raw = _ABSENT
    scope_spans: list[_SpanScope] | None = None


class _SpanRequest(_Json, rename="camel", gc=False):
    resource_spans: list[_SpanResource] | None = None


class _KeyValue(_Json, rename="camel", gc=False):
    key: str | None = None
    value: msgspec.Raw = _ABSENT


class _AnyValue(_Json, rename="camel", gc=False):
    string_value: str | msgspec.UnsetType | None = msgspec.UNSET
    bool_value: bool | str | msgspec.UnsetType | None = msgspec.UNSET
    int_value: int | float | str | msgspec.UnsetType | None = msgspec.UNSET
    double_value: float | str | msgspec.UnsetType | None = msgspec.UNSET
    array_value: msgspec.Raw = _ABSENT
    kvlist_value: msgspec.Raw = _ABSENT
    bytes_value: str | msgspec.UnsetType | None = msgspec.UNSET


_request = msgspec.json.Decoder(_Request)
_span_request = msgspec.json.Decoder(_SpanRequest)
_per_resource = msgspec.json.Decoder(_PerResource)
_per_scope = msgspec.json.Decoder(_PerScope)
_one_span = msgspec.json.Decoder(_Span)
_one_log = msgspec.json.Decoder(_Log)
_one_resource = msgspec.json.Decoder(_Resource | None)
_one_scope = msgspec.json.Decoder(_Scope | None)
_one_pair = msgspec.json.Decoder(_KeyValue)
_one_value = msgspec.json.Decoder(_AnyValue | None)
_FAILED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.S)
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})(?:\\u([0-9a-fA-F]{4}))?|.)", re.S)


def spans(body: bytes, limit: int, max_depth: int) -> tuple[list[Group], list[Broken]]:
    """Spans of an OTLP/JSON traces request; see `decode.spans`. DecodeError("json") when it is no such thing."""
    _check_size(body)
    try:
        request = _span_request.decode(body)
    except _FAILED:
        return _apart(repair(body, max_depth), "resource_spans", "scope_spans", "spans", _one_span, _span, limit)
    groups: list[Group] = []
    broken: list[Broken] = []
    count = 0
    for per_resource in request.resource_spans or ():
        resource = bytes(per_resource.resource)
        count = bounded(count + 1)
        for per_scope in per_resource.scope_spans or ():
            items = []
            count = bounded(count + 1 + len(per_scope.spans or ()))
            for span in per_scope.spans or ():
                try:
                    items.append(_span(span, limit))
                except ValueError:
                    broken.append(Broken("id", "trace or span id, or a number, is none", b""))
            if items:
                groups.append(Group(resource, bytes(per_scope.scope), items))
    return groups, broken


def logs(body: bytes, limit: int, max_depth: int) -> tuple[list[Group], list[Broken]]:
    """Log records of an OTLP/JSON logs request; see `decode.logs`."""
    _check_size(body)
    names = ("resource_logs", "scope_logs", "log_records", _one_log, _log, limit)
    try:
        _request.decode(body)
        clean = body
    except _FAILED:
        clean = repair(body, max_depth)
    return _apart(clean, *names)


def _apart(
    body: bytes, resources: str, scopes: str, records: str, one: Any, read: Callable[[Any, int], Item], limit: int
) -> tuple[list[Group], list[Broken]]:
    """The body level by level: what fails alone becomes a Broken, what is around it stays."""
    broken: list[Broken] = []
    count = 0

    def each(raws: _Raws, decoder: msgspec.json.Decoder[_T]) -> Iterator[tuple[_T, bytes]]:
        nonlocal count
        count = bounded(count + len(raws or ()))
        for raw in raws or ():
            try:
                yield decoder.decode(raw), bytes(raw)
            except _FAILED:
                broken.append(Broken("json", "wrong shape", bytes(raw)))

    try:
        request = _request.decode(body)
    except _FAILED:
        raise DecodeError("json", "malformed request") from None
    groups = []
    for per_resource, _ in each(getattr(request, resources), _per_resource):
        resource = bytes(per_resource.resource)
        for per_scope, _ in each(getattr(per_resource, scopes), _per_scope):
            items = []
            for record, raw in each(getattr(per_scope, records), one):
                try:
                    items.append(read(record, limit))
                except ValueError:
                    broken.append(Broken("id", "trace or span id, or a number, is none", raw))
            if items:
                groups.append(Group(resource, bytes(per_scope.scope), items))
    return groups, broken


def _check_size(body: bytes) -> None:
    """Refuse what would take many times its size in memory, before it does."""
    if body.count(b"{") > _MAX_OBJECTS:
        raise DecodeError("too_large", f"more than {_MAX_OBJECTS} objects in one request")


def repair(body: bytes, max_depth: int) -> bytes:
    """The body as valid UTF-8 without lone surrogates, nesting cut at a depth no record needs."""
    try:
        body.decode()
    except UnicodeDecodeError:
        body = body.decode("utf-8", "replace").encode()
    if b"\\u" in body:
        body = _ESCAPE.sub(_whole_surrogates, body)
    if body.count(b"[") + body.count(b"{") + body.count(b'"') // 2 > _MAX_TOKENS:
        return body  # too much to look through: what nests too deep in it fails as a whole
    return _prune(body, 16 + 4 * max_depth)


def _whole_surrogates(match: re.Match[bytes]) -> bytes:
    """Escapes with a lone surrogate replaced: no encoder could write it out again."""
    first, second = match[1], match[2]
    if first is None:
        return match[0]
    high = 0xD800 <= int(first, 16) < 0xDC00
    low = second is not None and 0xDC00 <= int(second, 16) < 0xE000
    if high and low:
        return match[0]
    # A pair of two escapes that belong apart: judge the second on its own.
    rest = _ESCAPE.sub(_whole_surrogates, b"\\u" + second) if second is not None else b""
    return (b"\\ufffd" if 0xD800 <= int(first, 16) < 0xE000 else b"\\u" + first) + rest


def _prune(body: bytes, depth: int) -> bytes:
    """The JSON text with every array or object nested deeper than `depth` replaced by a marker string."""
    out, level, kept, cut = [], 0, 0, -1
    for match in _TOKEN.finditer(body):
        token = body[match.start() : match.start() + 1]
        if token in b"[{":
            level += 1
            if level == depth + 1:
                cut = match.start()
        elif token in b"]}":
            level -= 1
            if level == depth and cut >= 0:
                out += [body[kept:cut], b'"' + TOO_DEEP.encode() + b'"']
                kept, cut = match.end(), -1
    return b"".join([*out, body[kept:]]) if out else body


def _hex(value: str | None) -> str:
    return hex_id(bytes.fromhex(value)) if value else ""


def _number(value: _Number, names: dict[str, int] | None = None) -> int:
    """An unsigned number however JSON spelt it; ValueError when it is none or has more than 64 bits."""
    if type(value) is str:
        value = names[value] if names and value in names else int(value)
    number = int(value or 0)
    if not 0 <= number <= _UINT64:
        raise ValueError("number out of range")
    return number


def _bytes(raws: _Raws, limit: int) -> list[bytes]:
    return list(map(bytes, raws[:limit])) if raws else []


def string_pair(key: str, value: str) -> bytes:
    """A KeyValue with a string as JSON text."""
    return msgspec.json.encode({"key": key, "value": {"stringValue": value}})


def _span(span: _Span, limit: int) -> Item:
    attributes = _bytes(span.attributes, limit)
    events, links = span.events or (), span.links or ()
    item = Item(
        _hex(span.trace_id),
        _hex(span.span_id),
        _hex(span.parent_span_id),
        span.name or "",
        _number(span.kind, _KINDS),
        0,
        _number(span.start_time_unix_nano),
        _number(span.end_time_unix_nano),
        attributes,
        [Event(e.name or "", _number(e.time_unix_nano), _bytes(e.attributes, limit)) for e in events[:limit]],
        [
            Link(_hex(k.trace_id), _hex(k.span_id), k.trace_state or "", _bytes(k.attributes, limit))
            for k in links[:limit]
        ],
        truncated=len(events) > limit or len(links) > limit or len(span.attributes or ()) > limit,
    )
    if span.status:
        item.status = _number(span.status.code, _STATUS)
        if span.status.message:
            attributes.append(string_pair("status.message", span.status.message))
    if span.trace_state:
        attributes.append(string_pair("trace.state", span.trace_state))
    return item


def _log(log: _Log, limit: int) -> Item:
    time_ns = _number(log.time_unix_nano) or _number(log.observed_time_unix_nano)
    attributes = _bytes(log.attributes, limit)
    item = Item(
        _hex(log.trace_id),
        _hex(log.span_id),
        "",
        log.event_name or "",
        0,
        _number(log.severity_number),
        time_ns,
        time_ns,
        attributes,
        truncated=len(log.attributes or ()) > limit,
    )
    if body := bytes(log.body):
        attributes.append(b'{"key":"body","value":' + body + b"}")
    if log.severity_text:
        attributes.append(string_pair("severity.text", log.severity_text))
    return item


def resource(raw: bytes, limit: int) -> list[bytes]:
    """KeyValues of a Resource's JSON text; DecodeError when it has the wrong shape."""
    try:
        found = _one_resource.decode(raw) if raw else None
    except _FAILED:
        raise DecodeError("json", "malformed resource") from None
    return _bytes(found.attributes, limit) if found else []


def scope(raw: bytes, limit: int) -> Origin:
    """An InstrumentationScope's JSON text; DecodeError when it has the wrong shape."""
    try:
        found = _one_scope.decode(raw) if raw else None
    except _FAILED:
        raise DecodeError("json", "malformed scope") from None
    if found is None:
        return Origin("", "", [])
    return Origin(found.name or "", found.version or "", _bytes(found.attributes, limit))


def pair(raw: bytes, max_depth: int) -> tuple[str, Scalar | None]:
    """Key and scalar of one KeyValue's JSON text; see `decode.pair`."""
    try:
        found = _one_pair.decode(raw)
        return found.key or "", _scalar(found.value, max_depth)
    except (*_FAILED, ValueError, OverflowError):
        raise DecodeError("json", "malformed attribute") from None


def _scalar(raw: msgspec.Raw, depth: int) -> Scalar | None:
    plain = _plain(raw, depth)
    return compact(plain) if isinstance(plain, list | dict) else plain


def _plain(raw: msgspec.Raw, depth: int) -> Any:
    value = _one_value.decode(raw) if bytes(raw) else None
    if value is None:
        return None
    if depth <= 0:
        return TOO_DEEP
    if isinstance(value.string_value, str):
        return value.string_value
    if isinstance(value.int_value, int | float | str):
        return bounded_int(int(value.int_value))
    if isinstance(value.bool_value, bool | str):
        return value.bool_value in (True, "true")
    if isinstance(value.double_value, int | float | str):
        return float(value.double_value)
    if isinstance(value.bytes_value, str):
        return _base64(value.bytes_value)
    if bytes(value.array_value):
        inner = msgspec.json.decode(value.array_value, type=_Array)
        return [_plain(v, depth - 1) for v in inner.values or ()]
    if bytes(value.kvlist_value):
        inner = msgspec.json.decode(value.kvlist_value, type=_Array)
        found = {}
        for one in inner.values or ():
            kv = _one_pair.decode(one)
            found[kv.key or ""] = _plain(kv.value, depth - 1)
        return found
    return None


class _Array(_Json, rename="camel", gc=False):
    values: _Raws = None


def _base64(value: str) -> str:
    """A bytesValue as text; kept as it stands when it is not base64, so that it is scanned all the same."""
    try:
        return bytes_text(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return value
