"""OTLP's protobuf layout with the expensive parts left as bytes, so that decoding costs a fraction of a full walk.

The field numbers are OTLP's own; what differs is the type: records, resources, scopes, attributes, events and links
are `bytes`, so each can be parsed alone, skipped when seen before, or refused without losing its neighbours, and all
text is `bytes`, so that one invalid UTF-8 sequence never fails a batch. Traces and logs share the envelope.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "spanwatch.wire"
_KIND = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _KIND.TYPE_BYTES,
    "fixed64": _KIND.TYPE_FIXED64,
    "int64": _KIND.TYPE_INT64,
    "int32": _KIND.TYPE_INT32,
    "bool": _KIND.TYPE_BOOL,
    "double": _KIND.TYPE_DOUBLE,
}

# message → field → (number, type); "*" marks a repeated field, a capital a message of this table.
_LAYOUT: dict[str, dict[str, tuple[int, str]]] = {
    "Request": {"resources": (1, "*PerResource")},
    "PerResource": {"resource": (1, "bytes"), "scopes": (2, "*PerScope")},
    "PerScope": {"scope": (1, "bytes"), "records": (2, "*bytes")},
    "Resource": {"attributes": (1, "*bytes")},
    "Scope": {"name": (1, "bytes"), "version": (2, "bytes"), "attributes": (3, "*bytes")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "bytes"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "bytes"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "*bytes"),
        "events": (11, "*bytes"),
        "links": (13, "*bytes"),
        "status": (15, "Status"),
    },
    "Status": {"message": (2, "bytes"), "code": (3, "int32")},
    "Event": {"time_unix_nano": (1, "fixed64"), "name": (2, "bytes"), "attributes": (3, "*bytes")},
    "Link": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "bytes"),
        "attributes": (4, "*bytes"),
    },
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "severity_number": (2, "int32"),
        "severity_text": (3, "bytes"),
        "body": (5, "bytes"),
        "attributes": (6, "*bytes"),
        "trace_id": (9, "bytes"),
        "span_id": (10, "bytes"),
        "observed_time_unix_nano": (11, "fixed64"),
        "event_name": (12, "bytes"),
    },
    "KeyValue": {"key": (1, "bytes"), "value": (2, "AnyValue")},
    "AnyValue": {
        "string_value": (1, "bytes"),
        "bool_value": (2, "bool"),
        "int_value": (3, "int64"),
        "double_value": (4, "double"),
        "array_value": (5, "ArrayValue"),
        "kvlist_value": (6, "KeyValueList"),
        "bytes_value": (7, "bytes"),
    },
    "ArrayValue": {"values": (1, "*AnyValue")},
    "KeyValueList": {"values": (1, "*KeyValue")},
    # The same bytes one level at a time, to tell "too deep" from "malformed".
    "FlatKeyValue": {"key": (1, "bytes"), "value": (2, "bytes")},
    "FlatAnyValue": {"array_value": (5, "bytes"), "kvlist_value": (6, "bytes")},
    "FlatList": {"values": (1, "*bytes")},
}
_ONEOF = {"AnyValue": "value", "FlatAnyValue": "value"}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="spanwatch/wire.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _LAYOUT.items():
        message = file.message_type.add(name=name)
        if name in _ONEOF:
            message.oneof_decl.add(name=_ONEOF[name])
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            field.label = _KIND.LABEL_REPEATED if kind.startswith("*") else _KIND.LABEL_OPTIONAL
            bare = kind.removeprefix("*")
            if bare in _TYPES:
                field.type = _TYPES[bare]
            else:
                field.type, field.type_name = _KIND.TYPE_MESSAGE, f".{_PACKAGE}.{bare}"
            if name in _ONEOF:
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{n}")) for n in _LAYOUT}


_classes = _build()
Request: Any = _classes["Request"]
Resource: Any = _classes["Resource"]
Scope: Any = _classes["Scope"]
Span: Any = _classes["Span"]
Event: Any = _classes["Event"]
Link: Any = _classes["Link"]
LogRecord: Any = _classes["LogRecord"]
KeyValue: Any = _classes["KeyValue"]
FlatKeyValue: Any = _classes["FlatKeyValue"]
FlatAnyValue: Any = _classes["FlatAnyValue"]
FlatList: Any = _classes["FlatList"]
