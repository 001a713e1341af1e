"""From masked attributes of any dialect to canonical fields: the only room that knows foreign attribute names.

It sees text after masking, so whatever it takes apart, joins or turns into an id cannot hold a secret.
Fields are added, attributes never dropped; unknown is absent, never "" or 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from detectors.model import Scalar, SecretMatch
from pipeline import approval, messages, targets
from pipeline.dialect import Dialect, Dialects, Plan, Target, matcher

CLIENT, SERVER = 3, 2
MAX_PLANS = 4096
MAX_UNKNOWN = 2000
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))
_DURATION = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(ns|us|µs|ms|s|m)?\s*\Z")
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, None: 1.0}
_TOOL_KINDS = frozenset(("tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"))
_SURFACES = ("command.line", "url", "arguments", "result", "prompt", "completion")
_TEXTS = {"messages.in": "prompt", "messages.out": "completion", "command.args": "command.line"}


class Place:
    """One scope of one resource: what its records share, worked out once."""

    __slots__ = ("attributes", "lent", "mark", "scope", "service", "version")

    def __init__(self, scope: str, service: str, version: str, attributes: Mapping[str, Scalar]) -> None:
        self.scope, self.service, self.version, self.attributes = scope, service, version, attributes
        self.mark = (scope, service, version, tuple(attributes))
        self.lent: dict[str, tuple[dict[str, Scalar], dict[str, Any]]] = {}


class Meaning(NamedTuple):
    """What a record says in our words."""

    plan: Plan
    kind: str
    fields: dict[str, Scalar]
    event: str
    session: str
    weak_session: str
    agent_id: str
    agent_instance: str
    agent_name: str
    call_id: str


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
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._places: dict[int, Place] = {}
        self._marks = matcher(glob for d in dialects.all for glob in d.detect.span)
        self._name_mark = lru_cache(8192)(lambda name: name if self._marks and self._marks.match(name) else "")
        self._span_kind = lru_cache(8192)(dialects.span_kind)
        self._tool_kind = lru_cache(8192)(dialects.tool_kind)

    def read(
        self, place: Place, log: bool, name: str, span_kind: int, failed: bool | None, attributes: dict[str, Scalar]
    ) -> Meaning:
        """The meaning of one masked record. `name` is a span's name or a log's event name."""
        event = self._event(name, attributes) if log else ""
        keys = tuple(attributes)
        key = (place.mark, event if log else self._name_mark(name), keys)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(place, log, name, event, keys, attributes)
        plan.seen[0] += 1
        dialect = plan.dialect
        fields, aside = self._take(plan, name, attributes)
        lent, lent_aside = place.lent.get(dialect.name) or self._lend(place, dialect)
        if lent:
            fields = {**lent, **fields}
        if lent_aside:
            aside = {**lent_aside, **aside}
        event = self._bare(event, dialect)
        kind = self._kind(dialect, log, name, event, span_kind, fields, aside, attributes)
        kind = self._detail(dialect, kind, span_kind, place, fields, aside, attributes)
        if "decision" in aside or "error.type" in fields or "deferral" in aside:
            approval.decide(dialect, event, aside, fields)
        if failed is not None and "success" not in fields and kind in _TOOL_KINDS:
            fields["success"] = not failed
        session = aside.get("session", "")
        if not session and dialect.session_from_run and "ci.run" in fields:
            session = str(fields["ci.run"])
        if dialect.agent_entity and kind == "agent" and "agent.name" not in aside:
            attribute, value, key_of_name = dialect.agent_entity
            if attributes.get(attribute) == value:
                aside["agent.name"] = str(attributes.get(key_of_name, ""))
        call_id = aside.get("call_id", "")
        if not call_id and "jsonrpc.request.id" in attributes and "mcp.session" in fields:
            call_id = f"{fields['mcp.session']}/{attributes['jsonrpc.request.id']}"
        return Meaning(
            plan,
            kind,
            fields,
            event,
            session,
            aside.get("session.weak", ""),
            aside.get("agent.id", ""),
            aside.get("agent.instance", ""),
            aside.get("agent.name", ""),
            call_id,
        )

    def settle(self) -> None:
        """Count the unknown keys of the records read since the last call; drop plans when there are too many."""
        for key, plan in self._plans.items():
            if plan.unknown and plan.seen[0]:
                self.unknown.add(key[0][0], key[0][2], plan.unknown, plan.seen[0])
            plan.seen[0] = 0
        if len(self._plans) > MAX_PLANS:
            self._plans.clear()

    def surface(self, match: SecretMatch, meaning: Meaning) -> str:
        """Which way a secret was going: the canonical field its text became, else where it stood."""
        where = match.where
        fed = meaning.plan.feeds.get(where, "")
        field = _TEXTS.get(fed) or meaning.plan.dialect.not_tool.get(fed, fed) if fed else ""
        mark = f"MASKED~{match.rule_id}~{match.length}~{match.fingerprint}~"
        holding = [f for f in _SURFACES if f in meaning.fields and mark in str(meaning.fields[f])]
        if field in ("arguments", "") and holding:
            return holding[0]
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
        return body if isinstance(body, str) and len(body) < 64 and "." in body and " " not in body else ""

    @staticmethod
    def _bare(event: str, dialect: Dialect) -> str:
        for prefix in dialect.strip_event:
            event = event.removeprefix(prefix)
        return event

    def _plan(
        self, place: Place, log: bool, name: str, event: str, keys: tuple[str, ...], attributes: Mapping[str, Scalar]
    ) -> Plan:
        body = attributes.get("body", "") if log else ""
        mark = event
        if isinstance(body, str) and len(body) < 64 and "." not in event:
            mark = body
        found = self.dialects.detect(place.scope, place.service, "" if log else name, mark, keys, place.attributes)
        return self.dialects.plan(found, keys)

    def _take(
        self, plan: Plan, name: str, attributes: Mapping[str, Scalar]
    ) -> tuple[dict[str, Scalar], dict[str, Any]]:
        """Canonical fields and asides that the keys hold, first usable alias wins."""
        fields: dict[str, Scalar] = {}
        aside: dict[str, Any] = {}
        redacted = self.dialects.common.redacted
        names = plan.dialect.redacted_names
        for field, key, paths, target, is_aside in plan.steps:
            into = aside if is_aside else fields
            if field in into:
                continue
            value: Any = name if key == "@name" else attributes[key]
            if paths:
                value = _inside(value, paths)
            if target == "text":
                if type(value) is not str:
                    value = _text(value)
                if not value or value in redacted or (names and value in names and field != "arguments"):
                    continue
            else:
                value = coerce(value, target)
                if value is None:
                    continue
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
        span_kind: int,
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
        if not kind and not log:
            kind = self._span_kind(dialect.name, name)
        if not kind and (operation := aside.get("operation")):
            kind = kinds.operations.get(operation) or common.operations.get(operation, "")
        if not kind and kinds.presence:
            kind = next((k for key, k in kinds.presence.items() if key in attributes), "")
        if not kind and "model" in fields and "tokens.in" in fields and "tool.name" not in fields:
            kind = "llm_call"
        if not kind and ("deferral" in aside or "gen_ai.guardrail.triggered" in attributes):
            kind = "approval" if "deferral" in aside else "guardrail"
        return kind

    def _detail(
        self,
        dialect: Dialect,
        kind: str,
        span_kind: int,
        place: Place,
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
        if kind in ("agent", "prompt", "guardrail", "retrieval"):
            if kind == "retrieval" and "retrieval.query" in aside:
                fields.setdefault("prompt", aside["retrieval.query"])
            return kind
        if kind == "approval":
            self._call(dialect, "tool_call", span_kind, place, fields, aside)
            return kind
        if kind or "tool.name" in fields or "mcp.method" in fields:
            return self._call(dialect, kind, span_kind, place, fields, aside)
        return self._plain(dialect, span_kind, fields, aside)

    def _said(
        self, dialect: Dialect, fields: dict[str, Scalar], aside: Mapping[str, Any], attributes: Mapping[str, Scalar]
    ) -> None:
        """Prompt and completion from message arrays or numbered keys."""
        if "messages.in" in aside and (said := messages.last_user(aside["messages.in"])):
            fields["prompt"] = said
        if "messages.out" in aside and (said := messages.spoken(aside["messages.out"])):
            fields["completion"] = said
        if flat := dialect.flat_messages:
            if said := messages.flat(attributes, *flat.into, of="user"):
                fields["prompt"] = said
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

    def _call(
        self,
        dialect: Dialect,
        kind: str,
        span_kind: int,
        place: Place,
        fields: dict[str, Scalar],
        aside: Mapping[str, Any],
    ) -> str:
        """A tool call: its command, path, URL and hosts, and the class of its tool."""
        tool = str(fields.get("tool.name", ""))
        mcp = self._mcp(dialect, tool, span_kind, place, fields, aside)
        tool_kind = self._tool_kind(tool) if tool else ""
        if aside.get("file.operation"):
            tool_kind = "file_read" if aside["file.operation"] == "read" else "file_write"
        text = fields.get("arguments", "")
        arguments = targets.open_json(text) if isinstance(text, str) else None
        names = self.dialects.common.arguments
        self._command(tool_kind, arguments, str(text), fields, aside)
        if "path" not in fields and tool_kind != "command":
            path = targets.argument(arguments, names["path"]) or targets.patched_path(str(text))
            if not path and text and arguments is None:
                path = targets.cut_argument(str(text), names["path"])
            if path:
                fields["path"] = path
        statement = targets.argument(arguments, names["statement"]) if tool_kind == "db_query" else ""
        if statement:
            fields.setdefault("db.statement", statement)
        self._aim(tool_kind, arguments, str(text), fields, aside)
        if mcp and tool_kind in ("file_read", "file_write"):
            return "mcp_call"
        if tool_kind and (not mcp or fields.keys() & {"command.line", "url", "db.statement"}):
            return tool_kind
        if mcp:
            uri = str(aside.get("mcp.uri", ""))
            if uri.startswith("file:"):
                fields.setdefault("path", targets.file_path(uri))
                return "file_read" if fields.get("mcp.method") == "resources/read" else "mcp_call"
            return "mcp_call"
        if "command.line" in fields and kind in ("", "tool_call"):
            return "command"
        return kind or "tool_call"

    def _mcp(
        self,
        dialect: Dialect,
        tool: str,
        span_kind: int,
        place: Place,
        fields: dict[str, Scalar],
        aside: Mapping[str, Any],
    ) -> bool:
        """Whether the call goes to an MCP server; its server is filled in where anything names it."""
        kind = str(fields.get("tool.type", ""))
        marked = kind == "mcp" or (dialect.mcp_tool_type and kind == dialect.mcp_tool_type)
        is_mcp = bool(marked or "mcp.method" in fields or "mcp.server" in fields or tool.startswith("mcp__"))
        if is_mcp and "mcp.server" not in fields:
            if tool.startswith("mcp__"):
                server = tool.split("__")[1]
            elif span_kind == SERVER:
                server = place.service
            else:
                server = str(aside.get("url.host", ""))
            if server:
                fields["mcp.server"] = server
        if is_mcp:
            fields.pop("egress.port", None)
        return is_mcp

    def _command(
        self, tool_kind: str, arguments: Any, text: str, fields: dict[str, Scalar], aside: Mapping[str, Any]
    ) -> None:
        names = self.dialects.common.arguments["command"]
        line = ""
        if tool_kind == "command":
            line = targets.argument(arguments, names)
            if not line and arguments is None and text:
                line = targets.cut_argument(text, names) or ("" if text.lstrip().startswith("{") else text)
            if not line and isinstance(arguments, list):
                line = targets.command_line(arguments)
        if "command.args" in aside:
            line = line or targets.command_line(aside["command.args"])
        if len(line) > len(str(fields.get("command.line", ""))):
            fields["command.line"] = line

    def _aim(
        self, tool_kind: str, arguments: Any, text: str, fields: dict[str, Scalar], aside: Mapping[str, Any]
    ) -> None:
        """URL and hosts of a tool call or command."""
        if "url" not in fields and arguments is not None:
            url = targets.argument(arguments, self.dialects.common.arguments["url"])
            if url and "://" in url:
                fields["url"] = url

        def found() -> Iterator[str]:
            if "url" in fields and (place := targets.endpoint(str(fields["url"]))):
                yield place.host
            if "command.line" in fields:
                yield from targets.command_hosts(str(fields["command.line"]))
            elif tool_kind == "http_egress":
                yield from targets.hosts(text)

        if hosts := targets.distinct(found()):
            fields["egress.host"] = hosts[0]
            fields["egress.hosts"] = ",".join(hosts)
            if tool_kind == "http_egress" and "url" not in fields:
                fields["url"] = next(iter(targets.urls(text)), hosts[0])

    def _plain(self, dialect: Dialect, span_kind: int, fields: dict[str, Scalar], aside: Mapping[str, Any]) -> str:
        """What is no agent's own record: traffic, queries, processes, files, pipelines."""
        if "db.system" in fields:
            fields.pop("egress.port", None)
            return "db_query"
        if "command.args" in aside or "command.line" in fields:
            self._command("", None, "", fields, aside)
            self._aim("", None, "", fields, aside)
            return "command"
        if dialect.name in ("cicd", "jenkins") or "ci.task" in fields:
            if "ci.task" in fields or "ci.task.run" in aside:
                return "ci_step"
            return "ci_run" if "ci.pipeline" in fields else "other"
        if "http.method" in fields or "url" in fields:
            return self._traffic(dialect, span_kind, fields, aside)
        if "path" in fields:
            return "file_read"
        return "other"

    def _traffic(self, dialect: Dialect, span_kind: int, fields: dict[str, Scalar], aside: Mapping[str, Any]) -> str:
        """HTTP as seen by a client or a proxy; a server's view is no egress and its bytes run the other way."""
        if span_kind == SERVER and dialect.name != "agentgateway":
            out, back = fields.pop("bytes.out", None), fields.pop("bytes.in", None)
            if out is not None:
                fields["bytes.in"] = out
            if back is not None:
                fields["bytes.out"] = back
            fields.pop("egress.port", None)
            fields.pop("egress.peer", None)
            return "other"
        named = str(fields.get("url") or aside.get("url.host", ""))
        found = targets.endpoint(named) or targets.endpoint(str(aside.get("url.host", "")))
        if found:
            fields["egress.host"] = fields["egress.hosts"] = found.host
            if found.port is not None:
                fields.setdefault("egress.port", found.port)
        else:
            fields.pop("egress.port", None)
        if "url" not in fields and found and "url.path" in aside:
            fields["url"] = f"http://{found.host}{aside['url.path']}"
        return "http_egress"


def _inside(value: Any, paths: Sequence[str]) -> Any:
    """The first of the paths inside a JSON object; None where there is none."""
    opened = targets.open_json(value) if isinstance(value, str) else None
    if not isinstance(opened, Mapping):
        return targets.cut_argument(value, paths) if isinstance(value, str) else None
    return next((opened[path] for path in paths if opened.get(path) not in (None, "")), None)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def coerce(value: Any, target: Target) -> Scalar | None:
    """The value as what the field holds, whatever the wire said; None when it is no such thing."""
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
