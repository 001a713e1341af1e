"""From masked attributes of any dialect to canonical fields: the only room that knows foreign attribute names.

It sees text after masking, so whatever it takes apart, joins or turns into an id cannot hold a secret.
Fields are added, attributes never dropped; unknown is absent, never "" or 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from detectors.model import Scalar, SecretMatch, digest
from pipeline import approval, commits, feeds, messages, targets
from pipeline.calls import Calls
from pipeline.dialect import Dialect, Dialects, Plan, Target, matcher

MAX_PLANS = 4096
MAX_PLAN_KEYS = 200_000  # of them together
MAX_UNKNOWN = 2000
MAX_EVENT = 64  # characters of a body that is nothing but an event's name
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))
_DURATION = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(ns|us|µs|ms|s|m)?\s*\Z")
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, None: 1.0}
_TOOL_KINDS = frozenset(("tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"))
_SAID = frozenset(("agent", "prompt", "guardrail", "retrieval", "feed"))
_SURFACES = ("command.line", "code", "url", "arguments", "result", "prompt", "completion")
_TEXTS = {"messages.in": "prompt", "messages.out": "completion", "command.args": "command.line"}
_LONGEST_MARK = 16  # no redaction mark is longer: spares hashing long texts


class Place:
    """One scope of one resource: what its records share, worked out once."""

    __slots__ = ("attributes", "lent", "mark", "scope", "service", "version")

    def __init__(self, mark: int, scope: str, service: str, version: str, attributes: Mapping[str, Scalar]) -> None:
        self.mark = mark  # equal for places whose records read alike
        self.scope, self.service, self.version, self.attributes = scope, service, version, attributes
        self.lent: dict[str, tuple[dict[str, Scalar], dict[str, Any]]] = {}


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What a record says in our words."""

    plan: Plan
    kind: str
    fields: dict[str, Scalar]
    event: str
    session: str
    call_id: str
    agent_name: str
    aside: dict[str, Any]


class Unknown:
    """Keys no dialect knows, counted per (scope, product version, key); bounded, the rest in `overflow`."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.overflow = 0

    def add(self, scope: str, version: str, keys: Sequence[str], times: int) -> None:
        for key in keys:
            entry = (scope, version, key)
            if entry in self.counts or len(self.counts) < MAX_UNKNOWN:
                self.counts[entry] += times
            else:
                self.overflow += times


class Normaliser:
    """Reads records; keeps plans per set of keys, and nothing about any single record."""

    def __init__(self, dialects: Dialects) -> None:
        self.dialects = dialects
        self.unknown = Unknown()
        self._plans: dict[tuple[int, str, tuple[str, ...]], Plan] = {}
        self._plan_keys = 0
        self._alike: dict[tuple[Any, ...], int] = {}
        self._marks = 0
        self._calls = Calls(dialects)
        self._strange: list[tuple[Place, Plan]] = []
        self._bodies = dialects.common.bodies
        self._name_mark = lru_cache(8192)(_marker(glob for d in dialects.all for glob in d.detect.span))
        self._body_mark = lru_cache(8192)(_marker(glob for d in dialects.all for glob in d.detect.event))
        self._span_kind = lru_cache(8192)(dialects.span_kind)

    def place(self, scope: str, service: str, version: str, attributes: Mapping[str, Scalar]) -> Place:
        """The place of records with this scope and resource."""
        key = (scope, service, version, tuple(attributes))
        if len(self._alike) > MAX_PLANS and key not in self._alike:
            self._alike.clear()
            self._plans.clear()
        if key not in self._alike:
            self._alike[key] = self._marks = self._marks + 1  # never given twice: places may outlive this table
        return Place(self._alike[key], scope, service, version, attributes)

    def read(
        self, place: Place, log: bool, name: str, span_kind: int, failed: bool | None, attributes: dict[str, Scalar]
    ) -> Meaning:
        """The meaning of one masked record. `name` is a span's name or a log's event name."""
        event = self._event(name, attributes) if log else ""
        keys = tuple(attributes)
        mark = self._log_mark(event, attributes) if log else self._name_mark(name)
        key = (place.mark, mark, keys)
        plan = self._plans.get(key)
        if plan is None:
            span, event_mark = ("", mark) if log else (mark, "")
            found = self.dialects.detect(place.scope, place.service, span, event_mark, keys, place.attributes)
            plan = self._plans[key] = self.dialects.plan(found, keys)
            self._plan_keys += len(keys)
        if plan.unknown:
            self._strange.append((place, plan))
        dialect = plan.dialect
        fields, aside = self._take(plan, name, attributes)
        lent, lent_aside = place.lent.get(dialect.name) or self._lend(place, dialect)
        if lent:
            fields = {**lent, **fields}
        if lent_aside:
            aside = {**lent_aside, **aside}
        if str(fields.get("workdir", ""))[:1] == "[":
            fields["workdir"] = _first(str(fields["workdir"]))
        if event:
            for prefix in dialect.strip_event:
                event = event.removeprefix(prefix)
        kind = self._kind(dialect, log, name, event, fields, aside, attributes)
        if event in self._bodies and "body" in attributes:
            body = str(attributes["body"])
            fields.setdefault(self._bodies[event], messages.spoken(body) or body)
        kind = self._detail(dialect, kind, span_kind, place.service, fields, aside, attributes)
        if "decision" in aside or "error.type" in fields or "deferral" in aside or "guardrail" in aside:
            approval.decide(dialect, aside, fields)
        if "approval.mode" in fields:
            approval.mode(dialect, aside, fields)
        if plan.config:
            fields["config.digest"] = _configured(tuple((key, str(attributes[key])) for key in plan.config))
        if failed is not None and "success" not in fields and kind in _TOOL_KINDS:
            fields["success"] = not failed
        if kind == "agent" and dialect.agent_entity and "agent.name" not in aside:
            attribute, value, named = dialect.agent_entity
            if attributes.get(attribute) == value:
                aside["agent.name"] = str(attributes.get(named, ""))
        session = aside.get("session", "")
        if not session and dialect.session_from_run and "ci.run" in fields:
            session = str(fields["ci.run"])
        if kind == "feed" and not session:
            session = feeds.subject(fields)
        call_id = aside.get("call_id", "")
        if not call_id and "mcp.session" in fields and "jsonrpc.request.id" in attributes:
            call_id = f"{fields['mcp.session']}/{attributes['jsonrpc.request.id']}"
        return Meaning(plan, kind, fields, event, session, call_id, aside.get("agent.name", ""), aside)

    def settle(self) -> None:
        """Count the unknown keys of the records read since the last call; drop plans when there are too many."""
        for place, plan in self._strange:
            self.unknown.add(place.scope, place.version, plan.unknown, 1)
        self._strange.clear()
        if len(self._plans) > MAX_PLANS or self._plan_keys > MAX_PLAN_KEYS:
            self._plans.clear()
            self._plan_keys = 0

    def surface(self, match: SecretMatch, meaning: Meaning) -> str:
        """Which way a secret was going: the canonical field its text became, else where it stood."""
        where = match.where
        fed = meaning.plan.feeds.get(where, "")
        field = _TEXTS.get(fed) or meaning.plan.dialect.not_tool.get(fed, fed) if fed else ""
        mark = f"MASKED~{match.rule_id}~{match.length}~{match.fingerprint}~"
        holding = [f for f in _SURFACES if f in meaning.fields and mark in str(meaning.fields[f])]
        if holding and (field == "arguments" or field not in _SURFACES):
            return "command.line" if holding[0] == "code" else holding[0]
        if field in _SURFACES:
            return field
        if where in ("name", "body"):
            return where
        if where.startswith("resource."):
            return "resource"
        return "header" if "header" in where else "attribute"

    @staticmethod
    def _event(name: str, attributes: Mapping[str, Scalar]) -> str:
        """Event name of a log record: its own attribute, the OTLP field, or a body that is nothing but a name."""
        named = attributes.get("event.name")
        if isinstance(named, str) and named:
            return named
        if name:
            return name
        body = attributes.get("body")
        return body if isinstance(body, str) and len(body) < MAX_EVENT and "." in body and " " not in body else ""

    def _log_mark(self, event: str, attributes: Mapping[str, Scalar]) -> str:
        """What a log record's dialect is known by: its event's full name, in the attribute or in the body."""
        if "." not in event:
            body = attributes.get("body")
            if isinstance(body, str) and len(body) < MAX_EVENT:
                return self._body_mark(body) or event
        return event

    def _take(
        self, plan: Plan, name: str, attributes: Mapping[str, Scalar]
    ) -> tuple[dict[str, Scalar], dict[str, Any]]:
        """Canonical fields and asides that the keys hold, first usable alias wins."""
        fields: dict[str, Scalar] = {}
        aside: dict[str, Any] = {}
        absent = plan.absent
        value: Any
        for plain, into in ((plan.texts, fields), (plan.asides, aside)):
            for field, key in plain:
                value = attributes[key]
                if type(value) is not str:
                    value = _text(value)
                if value and (len(value) > _LONGEST_MARK or value not in absent):
                    into[field] = value
        for field, key, paths, target, is_aside in plan.steps:
            into = aside if is_aside else fields
            if field in into:
                continue
            value = name if key == "@name" else attributes[key]
            if paths:
                value = _inside(value, paths)
            if target != "text":
                if (value := coerce(value, target)) is not None:
                    into[field] = value
                continue
            if type(value) is not str:
                value = _text(value)
            if value and (len(value) > _LONGEST_MARK or value not in absent):
                into[field] = value
        return fields, aside

    def _lend(self, place: Place, dialect: Dialect) -> tuple[dict[str, Scalar], dict[str, Any]]:
        """What the resource lends to its records."""
        plan = self.dialects.plan(dialect, tuple(place.attributes))
        fields, aside = self._take(plan, "", place.attributes)
        allowed = self.dialects.common.from_resource
        if not dialect.session_on_resource:
            aside.pop("session", None)
        lent = {k: v for k, v in fields.items() if k in allowed}, {k: v for k, v in aside.items() if k in allowed}
        place.lent[dialect.name] = lent
        return lent

    def _kind(
        self,
        dialect: Dialect,
        log: bool,
        name: str,
        event: str,
        fields: Mapping[str, Scalar],
        aside: Mapping[str, Any],
        attributes: Mapping[str, Scalar],
    ) -> str:
        """The kind a record claims, before its tool and targets are looked at; empty when it claims none."""
        common = self.dialects.common.kinds
        kinds = dialect.kinds
        kind = ""
        if log and event:
            kind = kinds.events.get(event) or common.events.get(event, "")
            if (part := attributes.get("event.kind")) and part not in kinds.complete:
                return "other"  # a piece of a streamed answer
        if not kind and kinds.attribute:
            kind = kinds.values.get(str(attributes.get(kinds.attribute, "")), "")
        if not kind and not log and kinds.spans:
            kind = self._span_kind(dialect.name, name)
        if not kind and (operation := aside.get("operation")):
            kind = kinds.operations.get(operation) or common.operations.get(operation, "")
        if not kind and kinds.presence:
            kind = next((k for key, k in kinds.presence.items() if key in attributes), "")
        if not kind and "model" in fields and "tokens.in" in fields and "tool.name" not in fields:
            kind = "llm_call"
        if not kind and ("deferral" in aside or "guardrail" in aside):
            kind = "approval" if "deferral" in aside else "guardrail"
        return kind

    def _detail(
        self,
        dialect: Dialect,
        kind: str,
        span_kind: int,
        service: str,
        fields: dict[str, Scalar],
        aside: dict[str, Any],
        attributes: Mapping[str, Scalar],
    ) -> str:
        """Fill what follows from the kind and narrow it down to the most specific one."""
        if dialect.not_tool and kind not in ("tool_call", ""):
            for field, meant in dialect.not_tool.items():
                if field in fields:
                    fields.setdefault(meant, fields.pop(field))
            fields.pop("tool.name", None)
        if kind == "llm_call" or "messages.in" in aside or "messages.out" in aside or dialect.flat_messages:
            self._said(dialect, fields, aside, attributes)
        if kind == "llm_call":
            self._model_call(dialect, fields, aside)
            return kind
        if kind in _SAID:
            if kind == "retrieval" and "retrieval.query" in aside:
                fields.setdefault("prompt", aside["retrieval.query"])
            return kind
        if kind == "approval":
            self._calls.call(dialect, "tool_call", span_kind, service, fields, aside)
            return kind
        if kind or "tool.name" in fields or "mcp.method" in fields:
            kind = self._calls.call(dialect, kind, span_kind, service, fields, aside)
            commits.tell(fields)
            return kind
        return self._calls.plain(dialect, span_kind, fields, aside)

    def _said(
        self, dialect: Dialect, fields: dict[str, Scalar], aside: dict[str, Any], attributes: Mapping[str, Scalar]
    ) -> None:
        """Prompt and completion from message arrays or numbered keys."""
        for name, field, read in (
            ("messages.in", "prompt", messages.last_user),
            ("messages.out", "completion", messages.spoken),
        ):
            if name not in aside:
                continue
            if field == "prompt" and "instructions" not in fields and (told := messages.instructions(aside[name])):
                fields["instructions"] = told
            if field == "prompt" and (heard := messages.results(aside[name])):
                fields["tool.results"] = heard
            if said := read(aside[name]):
                fields[field] = said
            elif targets.open_json(aside[name]) is None:  # cut off, or never messages: what there is of it
                fields[field] = aside[name]
                aside["truncated"] = True
        if flat := dialect.flat_messages:
            if said := messages.flat(attributes, *flat.into, of="user"):
                fields["prompt"] = said
            if said := messages.flat(attributes, *flat.into, of="system"):
                fields.setdefault("instructions", said[: messages.MAX_INSTRUCTIONS])
            if said := messages.flat(attributes, *flat.out, of=""):
                fields["completion"] = said

    def _model_call(self, dialect: Dialect, fields: dict[str, Scalar], aside: Mapping[str, Any]) -> None:
        """The provider in one spelling, its host, and input tokens that include cached ones."""
        fields.pop("egress.port", None)
        fields.pop("egress.peer", None)
        host = aside.get("url.host") or aside.get("url.llm") or fields.get("url")
        if host and (found := targets.endpoint(str(host))):
            fields["llm.host"] = found.host
        if provider := fields.get("provider"):
            provider = str(provider).lower()
            fields["provider"] = self.dialects.common.providers.get(provider, provider)
        if dialect.tokens_exclude_cache and "tokens.in" in fields:
            parts = (fields.get(f"tokens.{name}", 0) for name in ("in", "cache_read", "cache_write"))
            fields["tokens.in"] = sum(int(n) for n in parts)


@lru_cache(4096)
def _configured(settings: tuple[tuple[str, str], ...]) -> str:
    """Digest of how an agent is set up; equal settings, equal digest."""
    return digest(*(part for setting in settings for part in setting))[:16]


def _marker(globs: Iterable[str]) -> Callable[[str], str]:
    """A function that gives back what fits one of the globs, and nothing for the rest."""
    pattern = matcher(globs)
    return lambda text: text if pattern and pattern.match(text) else ""


def _inside(value: Any, paths: Sequence[str]) -> Any:
    """The first of the paths inside a JSON object; None where there is none."""
    opened = targets.open_json(value) if isinstance(value, str) else None
    if not isinstance(opened, Mapping):
        return targets.cut_argument(value, paths) if isinstance(value, str) else None
    return next((opened[path] for path in paths if opened.get(path) not in (None, "")), None)


def _first(text: str) -> str:
    """The first of a list of directories, the one an agent was started in."""
    opened = targets.open_json(text)
    return str(opened[0]) if isinstance(opened, list) and opened else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def coerce(value: Any, target: Target) -> Scalar | None:
    """The value as what the field holds, whatever the wire said; None when it is no such thing."""
    if type(value) is int and target == "int":
        return value
    if target == "bool":
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        found = _DURATION.match(value)
        if found is None:
            return None
        try:
            value = float(found[1]) * _UNITS[found[2]] if target == "float" or found[2] else float(found[1])
        except ValueError:
            return None
    if target == "float":
        return float(value)
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if -(1 << 63) <= number < 1 << 63 else None
