"""Turns a block into columns, table by table: the one place that knows which value stands in which column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeVar

import msgspec

from detectors.model import Alert, Failure, Finding, Incident, Sighting, Span, Window
from pipeline.errors import SinkRejected
from pipeline.records import Block, DeadLetter, Located

# The types of the schema's columns, spelled as ClickHouse does.
TEXT = "String"
WORD = "LowCardinality(String)"
TIME = "DateTime64(9)"
WORDS = "Array(LowCardinality(String))"
TEXTS = "Array(String)"
MAP = "Map(LowCardinality(String), String)"
SEVERITY = "Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4)"
CATEGORY = (
    "Enum8('data_exfiltration' = 1, 'hallucination' = 2, 'overreach' = 3, 'credential_exposure' = 4, 'shadow_ai' = 5)"
)
CONFIDENCE = "Enum8('suspected' = 1, 'confirmed' = 2)"

LAST_NS = (2**32 - 1) * 10**9  # the last second ClickHouse's DateTime can hold, in 2106
_STATUS = {"unset": "Unset", "ok": "Ok", "error": "Error"}  # as the Collector's exporter writes them

S = TypeVar("S", bound=msgspec.Struct)
PART = 256  # spans whose columns are read together
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_from_json = msgspec.json.Decoder(Span)
_from_msgpack = msgspec.msgpack.Decoder(Span)


class Column(NamedTuple):
    """One column of a table: its name, its type, and how its value is read from an item of that table."""

    name: str
    type: str
    read: Callable[[Any, Stored], Any]


class Stored(NamedTuple):
    """What every row of one block shares."""

    run: str
    topic: str
    partition: int
    first: int
    last: int
    at_ns: int


class Rows(NamedTuple):
    """Rows of one table, as columns."""

    table: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    columns: list[list[Any]]


def raw_of(span: Span) -> bytes:
    """The Span as bytes: JSON, so that the store can look inside; MessagePack where JSON would lose a float.

    Raises UnicodeEncodeError when some text is not valid Unicode.
    """
    for values in (span.fields, span.attributes, span.resource.attributes):
        for value in values.values():
            if type(value) is float and not isfinite(value):  # JSON has neither NaN nor infinity
                return _msgpack.encode(span)
    return _json.encode(span)


def span_of(raw: bytes) -> Span:
    """The Span that `raw_of` made these bytes of; SinkRejected when they are not such bytes."""
    try:
        return _from_json.decode(raw) if raw[:1] == b"[" else _from_msgpack.decode(raw)
    except msgspec.MsgspecError as error:
        raise SinkRejected(f"spans: stored span cannot be read: {type(error).__name__}") from None


def clean(item: S) -> S:
    """The same value with text that is not valid Unicode (lone surrogates) spelled out as ``\\udXXX``."""
    return msgspec.convert(_clean(msgspec.to_builtins(item)), type(item))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return value


def _valid(item: S) -> S:
    try:
        _msgpack.encode(item)
    except (UnicodeEncodeError, OverflowError):
        return clean(item)
    return item


def _time(ns: int) -> int:
    """Asserted times can be absurd: what the store cannot hold stands at the edge; Raw keeps it exact."""
    return 0 if ns < 0 else min(ns, LAST_NS)


def _counts(window: Window) -> dict[str, int]:
    """Sums of asserted numbers can pass what a column holds; they stop at its edge."""
    return {name: max(-(2**63), min(value, 2**63 - 1)) for name, value in window.counts.items()}


def _hosts(span: Span) -> list[str]:
    hosts = span.fields.get("egress.hosts") or span.fields.get("egress.host")
    return str(hosts).split(",") if hosts else []


# Columns of the tables filled from outcomes and dead letters; x is the item, s what the block's rows share.
_COLUMNS: dict[type, tuple[str, tuple[Column, ...]]] = {
    Window: (
        "windows",
        (
            Column("Timestamp", TIME, lambda x, s: _time(x.start_ns)),
            Column("EndedAt", TIME, lambda x, s: _time(x.end_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Run", WORD, lambda x, s: s.run),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("AgentId", WORD, lambda x, s: x.agent_id),
            Column("AgentType", WORD, lambda x, s: x.agent_type),
            Column("SessionId", TEXT, lambda x, s: x.session_id),
            Column("LastTraceId", TEXT, lambda x, s: x.last_trace_id),
            Column("LastSpanId", TEXT, lambda x, s: x.last_span_id),
            Column("Counts", "Map(LowCardinality(String), Int64)", lambda x, s: _counts(x)),
            Column("Tools", WORDS, lambda x, s: x.tools),
            Column("Hosts", WORDS, lambda x, s: x.hosts),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
    Sighting: (
        "sightings",
        (
            Column("Timestamp", TIME, lambda x, s: _time(x.time_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Run", WORD, lambda x, s: s.run),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("EntityKind", WORD, lambda x, s: x.entity_kind),
            Column("EntityId", TEXT, lambda x, s: x.entity_id),
            Column("AgentId", WORD, lambda x, s: x.agent_id),
            Column("AgentType", WORD, lambda x, s: x.agent_type),
            Column("SessionId", TEXT, lambda x, s: x.session_id),
            Column("TraceId", TEXT, lambda x, s: x.trace_id),
            Column("SpanId", TEXT, lambda x, s: x.span_id),
            Column("Detail", MAP, lambda x, s: x.detail),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
    Finding: (
        "findings",
        (
            Column("Timestamp", TIME, lambda x, s: _time(x.time_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Run", WORD, lambda x, s: s.run),
            Column("DetectorId", WORD, lambda x, s: x.detector_id),
            Column("DetectorVersion", WORD, lambda x, s: x.detector_version),
            Column("RuleId", WORD, lambda x, s: x.rule_id),
            Column("Title", WORD, lambda x, s: x.title),
            Column("Severity", SEVERITY, lambda x, s: int(x.severity)),
            Column("Category", CATEGORY, lambda x, s: int(x.category)),
            Column("Confidence", CONFIDENCE, lambda x, s: x.confidence),
            Column("Score", "Nullable(Float64)", lambda x, s: x.score),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("AgentId", WORD, lambda x, s: x.agent_id),
            Column("AgentType", WORD, lambda x, s: x.agent_type),
            Column("SessionId", TEXT, lambda x, s: x.session_id),
            Column("TraceId", TEXT, lambda x, s: x.trace_id),
            Column("SpanId", TEXT, lambda x, s: x.span_id),
            Column("GroupKey", TEXT, lambda x, s: x.key),
            Column("Evidence", MAP, lambda x, s: x.evidence),
            Column("SpanIds", TEXTS, lambda x, s: x.span_ids),
            Column("Standards", WORDS, lambda x, s: x.standards),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
    Alert: (
        "alerts",
        (
            Column("Timestamp", TIME, lambda x, s: _time(x.time_ns)),
            Column("FirstAt", TIME, lambda x, s: _time(x.first_ns)),
            Column("LastAt", TIME, lambda x, s: _time(x.last_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Version", "UInt64", lambda x, s: x.version),
            Column("Run", WORD, lambda x, s: s.run),
            Column("RuleId", WORD, lambda x, s: x.rule_id),
            Column("DetectorId", WORD, lambda x, s: x.detector_id),
            Column("Title", WORD, lambda x, s: x.title),
            Column("Severity", SEVERITY, lambda x, s: int(x.severity)),
            Column("Category", CATEGORY, lambda x, s: int(x.category)),
            Column("Confidence", CONFIDENCE, lambda x, s: x.confidence),
            Column("Score", "Nullable(Float64)", lambda x, s: x.score),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("AgentId", WORD, lambda x, s: x.agent_id),
            Column("AgentType", WORD, lambda x, s: x.agent_type),
            Column("SessionId", TEXT, lambda x, s: x.session_id),
            Column("TraceId", TEXT, lambda x, s: x.trace_id),
            Column("SpanId", TEXT, lambda x, s: x.span_id),
            Column("FindingCount", "UInt64", lambda x, s: x.count),
            Column("FindingIds", TEXTS, lambda x, s: x.finding_ids),
            Column("IncidentId", TEXT, lambda x, s: x.incident_id),
            Column("Evidence", MAP, lambda x, s: x.evidence),
            Column("Standards", WORDS, lambda x, s: x.standards),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
    Incident: (
        "incidents",
        (
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Run", WORD, lambda x, s: s.run),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("AgentId", TEXT, lambda x, s: x.agent_id),
            Column("AgentType", TEXT, lambda x, s: x.agent_type),
            Column("SessionIds", TEXTS, lambda x, s: x.session_ids),
            Column("AlertIds", TEXTS, lambda x, s: x.alert_ids),
            Column("Categories", f"Array({CATEGORY})", lambda x, s: [int(c) for c in x.categories]),
            Column("Severity", SEVERITY, lambda x, s: int(x.severity)),
            Column("OpenedAt", TIME, lambda x, s: _time(x.opened_ns)),
            Column("UpdatedAt", TIME, lambda x, s: _time(x.updated_ns)),
            Column("Status", TEXT, lambda x, s: x.status),
            Column("Title", TEXT, lambda x, s: x.title),
            Column("StoredOn", "Date32", lambda x, s: s.at_ns // 86_400_000_000_000),
        ),
    ),
    Failure: (
        "failures",
        (
            Column("Timestamp", TIME, lambda x, s: _time(x.time_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Run", WORD, lambda x, s: s.run),
            Column("DetectorId", WORD, lambda x, s: x.detector_id),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("SessionId", TEXT, lambda x, s: x.session_id),
            Column("SpanId", TEXT, lambda x, s: x.span_id),
            Column("Reason", TEXT, lambda x, s: x.reason),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
    DeadLetter: (
        "dead_letters",
        (
            Column("ReceivedAt", TIME, lambda x, s: _time(x.received_ns)),
            Column("Id", TEXT, lambda x, s: x.id),
            Column("Reason", WORD, lambda x, s: x.reason),
            Column("Detail", TEXT, lambda x, s: x.detail),
            Column("Origin", TEXT, lambda x, s: x.origin),
            Column("Tenant", WORD, lambda x, s: x.tenant),
            Column("Emitter", WORD, lambda x, s: x.emitter),
            Column("Size", "UInt64", lambda x, s: x.size),
            Column("Fingerprint", TEXT, lambda x, s: x.fingerprint),
            Column("StoredAt", TIME, lambda x, s: s.at_ns),
        ),
    ),
}

_SPAN_COLUMNS: tuple[tuple[str, str], ...] = (
    ("Timestamp", TIME),
    ("TraceId", TEXT),
    ("SpanId", TEXT),
    ("ParentSpanId", TEXT),
    ("SpanName", WORD),
    ("ServiceName", WORD),
    ("ScopeName", WORD),
    ("ScopeVersion", WORD),
    ("Duration", "UInt64"),
    ("StatusCode", WORD),
    ("Id", TEXT),
    ("Signal", WORD),
    ("Tenant", WORD),
    ("Emitter", WORD),
    ("SessionId", TEXT),
    ("SessionFrom", WORD),
    ("AgentId", WORD),
    ("AgentType", WORD),
    ("Dialect", WORD),
    ("Kind", WORD),
    ("CallId", TEXT),
    ("ToolName", WORD),
    ("EgressHosts", WORDS),
    ("SecretRules", WORDS),
    ("SecretSurfaces", WORDS),
    ("SecretFingerprints", TEXTS),
    ("ReceivedAt", TIME),
    ("Topic", WORD),
    ("Partition", "UInt32"),
    ("RecordOffset", "Int64"),
    ("RecordIndex", "UInt32"),
    ("Raw", TEXT),
)
_PLAN_COLUMNS: tuple[tuple[str, str], ...] = (
    ("Run", WORD),
    ("Topic", WORD),
    ("Partition", "UInt32"),
    ("FirstOffset", "Int64"),
    ("LastOffset", "Int64"),
    ("StoredAt", TIME),
)


def layout() -> dict[str, tuple[tuple[str, str], ...]]:
    """Table -> (column, type) of everything the sink writes."""
    tables = {table: tuple((c.name, c.type) for c in columns) for table, columns in _COLUMNS.values()}
    return {"spans": _SPAN_COLUMNS, "plan": _PLAN_COLUMNS, **tables}


def plan(stored: Stored) -> Rows:
    """The row that goes in first: which range of offsets is about to be written."""
    names, types = zip(*_PLAN_COLUMNS, strict=True)
    values = (stored.run, stored.topic, stored.partition, stored.first, stored.last, stored.at_ns)
    return Rows("plan", names, types, [[value] for value in values])


def rows(block: Block, stored: Stored) -> list[Rows]:
    """The rows of a block, one entry per table that gets any.

    A replay reads history and never adds to it: spans are stored by the live run alone.
    """
    made = [spans(block.spans, stored)] if block.spans and block.run == "live" else []
    by_type: dict[type, list[Any]] = {}
    for item in (*block.outcomes, *block.dead_letters):
        by_type.setdefault(type(item), []).append(item)
    for kind, (table, columns) in _COLUMNS.items():
        items = [_valid(item) for item in by_type.pop(kind, ())]
        if items:
            values = [[column.read(item, stored) for item in items] for column in columns]
            made.append(Rows(table, tuple(c.name for c in columns), tuple(c.type for c in columns), values))
    if by_type:
        raise SinkRejected(f"no table for {', '.join(sorted(t.__name__ for t in by_type))}")
    return made


def spans(located: Sequence[Located], stored: Stored) -> Rows:
    """The spans of a block; hot, so column by column, and in parts that stay in the processor's cache meanwhile."""
    columns: list[list[Any]] = [[] for _ in _SPAN_COLUMNS]
    for first in range(0, len(located), PART):
        for column, values in zip(columns, _span_columns(located[first : first + PART], stored), strict=True):
            column += values
    names, types = zip(*_SPAN_COLUMNS, strict=True)
    return Rows("spans", names, types, columns)


def _span_columns(located: Sequence[Located], stored: Stored) -> list[list[Any]]:
    """The columns of a part, in the order of `_SPAN_COLUMNS`; a comprehension wherever one will do."""
    items = [place.span for place in located]
    try:
        raws = [raw_of(span) for span in items]
    except UnicodeEncodeError:
        items = [_valid(span) for span in items]
        raws = [raw_of(span) for span in items]
    resources = [span.resource for span in items]
    secrets = [span.secrets for span in items]
    none: list[str] = []
    return [
        [_time(span.start_ns) for span in items],
        [span.trace_id for span in items],
        [span.span_id for span in items],
        [span.parent_id for span in items],
        [span.name for span in items],
        [resource.service for resource in resources],
        [span.scope for span in items],
        [span.scope_version for span in items],
        [min(max(span.end_ns - span.start_ns, 0), 2**63) for span in items],
        [_STATUS[span.status] for span in items],
        [span.id for span in items],
        [span.signal for span in items],
        [resource.tenant for resource in resources],
        [resource.emitter for resource in resources],
        [span.session_id for span in items],
        [span.session_from for span in items],
        [span.agent_id for span in items],
        [span.agent_type for span in items],
        [span.dialect for span in items],
        [span.kind for span in items],
        [span.call_id for span in items],
        [span.text("tool.name") for span in items],
        [_hosts(span) for span in items],
        [[match.rule_id for match in found] if found else none for found in secrets],
        [[match.surface for match in found] if found else none for found in secrets],
        [[match.fingerprint for match in found] if found else none for found in secrets],
        [_time(span.received_ns) or stored.at_ns for span in items],
        [stored.topic] * len(items),
        [place.partition for place in located],
        [place.offset for place in located],
        [place.index for place in located],
        raws,
    ]
