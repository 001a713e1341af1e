"""The nouns every part shares: what arrives (Span), what is derived, and what is reported.

All are frozen and keyword-only; times are `int` nanoseconds since the epoch and end in `_ns`; ids are `str`.
"""

from __future__ import annotations

import enum
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

Scalar: TypeAlias = str | int | float | bool
Confidence: TypeAlias = Literal["suspected", "confirmed"]
Verdict: TypeAlias = Literal["valid", "invalid", "unchecked"]
Tier: TypeAlias = Literal["verified", "likely", "possible"]
Signal: TypeAlias = Literal["span", "log"]


class Severity(enum.IntEnum):
    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        """Lower-case word used in every output: info, low, medium, high, critical."""
        return self.name.lower()


class Category(enum.IntEnum):
    """The five incident categories of the product."""

    DATA_EXFILTRATION = 1
    HALLUCINATION = 2
    OVERREACH = 3
    CREDENTIAL_EXPOSURE = 4
    SHADOW_AI = 5


def digest(*parts: str | int) -> str:
    """Deterministic 128-bit hex id of the parts, length-prefixed so that no two part lists collide."""
    h = blake2b(digest_size=16)
    for part in parts:
        raw = str(part).encode("utf-8", "surrogatepass")
        h.update(len(raw).to_bytes(4, "big"))
        h.update(raw)
    return h.hexdigest()


class SecretMatch(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One masked secret. `where` is the attribute key or part ("name", "body", "resource.x") it stood in.

    `surface` is the canonical field that text became (arguments, result, prompt, completion, command.line, url,
    header, resource, name, body, attribute): what a reader needs to know which way the secret was going.
    `fingerprint` is HMAC-SHA-256 of the secret under the deployment's key, first 16 hex digits. `layers` names the
    encodings it stood in, outermost first. `says` is what the secret tells about itself: account, issuer, expiry.
    """

    rule_id: str
    where: str
    length: int
    fingerprint: str
    verdict: Verdict = "unchecked"
    severity: Severity = Severity.HIGH
    surface: str = "attribute"
    tier: Tier = "likely"
    layers: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


class Resource(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Who sent the telemetry. `tenant` and `emitter` are authenticated by the receiver; the rest is asserted."""

    tenant: str = "default"
    emitter: str = ""
    service: str = ""
    service_version: str = ""
    attributes: dict[str, Scalar] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One normalised, masked span or log event: the cut between ingest and everything after it.

    `id` is trace id + span id for spans and a hash of the record for log events; equal id = the same delivery.
    `kind` is the most specific canonical label (pipeline/normalise.py lists them), `fields` the canonical
    fields, `attributes` every original attribute under its own name (events flattened as ``events.<i>.<key>``).
    `session_id` is never empty: asserted, else taken from the trace, else the trace id, else one per service.
    """

    id: str
    signal: Signal = "span"
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    session_id: str
    session_from: Literal["attribute", "trace", "trace_id", "none"] = "attribute"
    agent_id: str = ""
    agent_type: str = ""
    resource: Resource
    scope: str = ""
    scope_version: str = ""
    dialect: str = "generic"
    name: str = ""
    kind: str = "other"
    status: Literal["unset", "ok", "error"] = "unset"
    start_ns: int
    end_ns: int
    received_ns: int = 0
    call_id: str = ""
    fields: dict[str, Scalar] = {}
    attributes: dict[str, Scalar] = {}
    secrets: tuple[SecretMatch, ...] = ()
    truncated: bool = False

    @property
    def tenant(self) -> str:
        return self.resource.tenant

    @property
    def session_key(self) -> str:
        """Key of session state and of the Kafka partition: sessions of two tenants never meet."""
        return f"{self.resource.tenant}/{self.session_id}"

    def text(self, field: str) -> str:
        """Canonical field as text; empty when absent."""
        value = self.fields.get(field, "")
        return value if isinstance(value, str) else str(value)


class Window(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One session's activity in one 60 s window of event time, keyed by agent for stage two.

    `counts` holds spans, tool_calls, llm_calls, commands, egress, errors, bytes_out, bytes_in, tokens_in,
    tokens_out, cost_micros (millionths of a dollar), denied, allowed and skipped (calls that ran by a bypass);
    unknown is missing, not zero. `calls` is tool → calls, `pairs` is "one>next" → times, `hosts`, `domains`, `paths`
    (classes of files) and `models` are distinct values, all bounded. `began_ns` is the session's first span.
    `shown` is a value ("tool:x", "host:y", "path:c", "model:m") → the span that showed it first in this window.
    """

    id: str
    tenant: str
    agent_id: str
    agent_type: str
    session_id: str
    start_ns: int
    end_ns: int
    last_span_id: str = ""
    last_trace_id: str = ""
    counts: dict[str, int] = {}
    calls: dict[str, int] = {}
    pairs: dict[str, int] = {}
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    began_ns: int = 0
    shown: dict[str, str] = {}

    @property
    def tools(self) -> tuple[str, ...]:
        """Distinct tools called."""
        return tuple(self.calls)

    @property
    def type_key(self) -> str:
        return f"{self.tenant}/{self.agent_type}"

    @property
    def agent_key(self) -> str:
        return f"{self.tenant}/{self.agent_id}"


class Sighting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An entity (secret fingerprint, credential subject, egress host, commit) was seen in a session."""

    id: str
    tenant: str
    entity_kind: str
    entity_id: str
    agent_id: str
    agent_type: str
    session_id: str
    trace_id: str
    span_id: str
    time_ns: int
    detail: dict[str, str] = {}

    @property
    def entity_key(self) -> str:
        return f"{self.tenant}/{self.entity_kind}/{self.entity_id}"


class Finding(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One detector's statement about one place. `key` groups findings of a rule within a session to one alert."""

    id: str
    detector_id: str
    detector_version: str
    rule_id: str
    title: str = ""
    severity: Severity
    category: Category
    confidence: Confidence = "suspected"
    score: float | None = None
    tenant: str
    agent_id: str
    agent_type: str
    session_id: str
    trace_id: str
    span_id: str
    time_ns: int
    key: str = ""
    evidence: dict[str, str] = {}
    span_ids: tuple[str, ...] = ()
    standards: tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Findings of one rule and key in one session. `version` rises with every change of the same `id`."""

    id: str
    version: int
    rule_id: str
    detector_id: str
    title: str
    severity: Severity
    category: Category
    confidence: Confidence
    score: float | None
    tenant: str
    agent_id: str
    agent_type: str
    session_id: str
    trace_id: str
    span_id: str
    time_ns: int
    first_ns: int
    last_ns: int
    count: int
    finding_ids: tuple[str, ...]
    incident_id: str
    evidence: dict[str, str] = {}
    standards: tuple[str, ...] = ()


class Incident(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Alerts of one session that belong together. Rows of one `id` merge: union of alerts, worst severity."""

    id: str
    tenant: str
    agent_id: str
    agent_type: str
    session_ids: tuple[str, ...]
    alert_ids: tuple[str, ...]
    categories: tuple[Category, ...]
    severity: Severity
    opened_ns: int
    updated_ns: int
    status: str = "open"
    title: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A detector raised on an event; the engine went on. `reason` names the exception type, never a value."""

    id: str
    detector_id: str
    tenant: str
    session_id: str
    span_id: str
    time_ns: int
    reason: str


Event: TypeAlias = Span | Window | Sighting
Outcome: TypeAlias = Finding | Alert | Incident | Window | Sighting | Failure
