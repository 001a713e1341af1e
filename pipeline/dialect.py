"""Dialects as data: reads `dialects/*.yml` once and turns a record's set of keys into a plan of look-ups.

Records of one emitter carry the same keys over and over, so everything that depends on the keys alone (which dialect,
which key feeds which field, which keys nobody knows) is worked out once per set of keys and kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from importlib import resources
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import yaml

Target: TypeAlias = Literal["text", "int", "float", "bool"]

TARGETS: dict[str, Target] = {
    **dict.fromkeys(
        (
            "egress.port", "http.status", "bytes.out", "bytes.in", "tokens.in", "tokens.out", "tokens.cache_read",
            "tokens.cache_write", "tokens.reasoning", "exit_code",
        ),
        "int",
    ),
    **dict.fromkeys(("duration_ms", "cost.usd"), "float"),
    "success": "bool",
}  # fmt: skip
# Looked up like fields but only to work something else out; never part of Span.fields.
ASIDES = frozenset(
    (
        "call_id", "agent.id", "agent.name", "sandbox", "session", "session.weak", "operation",
        "messages.in", "messages.out", "command.args", "url.host", "url.path", "url.llm", "mcp.uri", "decision",
        "decision.source", "deferral", "file.operation", "retrieval.query", "ci.task.run", "guardrail",
    )
)  # fmt: skip


class Detect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Globs; one that fits makes the record this dialect's."""

    scope: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    span: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()


class Kinds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a record's event, operation, span name or kind attribute makes of it.

    `complete`: the `event.kind`s that stand for a whole answer; others are pieces of one.
    """

    events: dict[str, str] = {}
    operations: dict[str, str] = {}
    spans: dict[str, str] = {}
    presence: dict[str, str] = {}
    complete: tuple[str, ...] = ()
    attribute: str = ""
    values: dict[str, str] = {}


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spellings of a decision, of who took it and of the mode a session asks in: lower case, without separators."""

    decisions: dict[str, str] = {}
    sources: dict[str, str] = {}
    source: str = ""
    modes: dict[str, str] = {}


class FlatMessages(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages spread over numbered keys: (prefix, role key, content keys)."""

    into: tuple[str, str, tuple[str, ...]] = msgspec.field(name="in")
    out: tuple[str, str, tuple[str, ...]]


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One emitter family: how to recognise it and what its own keys mean, put before the common ones.

    `agent_entity`: (attribute, value, key): where the attribute has the value, the key names the agent.
    `proxy`: its records are about agents, and it is none.
    `config`: keys that say how the agent is set up; their digest is the record's `config.digest`.
    """

    name: str
    order: int
    detect: Detect
    strip_event: tuple[str, ...] = ()
    redacted_names: tuple[str, ...] = ()
    tokens_exclude_cache: bool = False
    session_on_resource: bool = True
    session_from_run: bool = False
    proxy: bool = False
    mcp_tool_type: str = ""
    agent_entity: tuple[str, str, str] | None = None
    config: tuple[str, ...] = ()
    fields: dict[str, tuple[str, ...]] = {}
    without: dict[str, tuple[str, ...]] = {}
    kinds: Kinds = Kinds()
    approval: Approval = Approval()
    not_tool: dict[str, str] = {}
    flat_messages: FlatMessages | None = None
    known: tuple[str, ...] = ()


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every dialect shares."""

    pinned: str
    redacted: frozenset[str]
    fields: dict[str, tuple[str, ...]]
    kinds: Kinds
    bodies: dict[str, str]
    config: tuple[str, ...]
    from_resource: tuple[str, ...]
    agent_services: frozenset[str]
    providers: dict[str, str]
    tools: dict[str, tuple[str, ...]]
    arguments: dict[str, tuple[str, ...]]
    known: tuple[str, ...]


class Step(NamedTuple):
    """Take `key` (or the first of `paths` inside its JSON) as `field`."""

    field: str
    key: str
    paths: tuple[str, ...]
    target: Target
    aside: bool


class Plan:
    """All that a set of keys settles.

    `texts` and `asides` are the fields with one candidate only and no path, which need no second thought;
    `steps` are the rest. `absent` are values that are none. `feeds` tells for each key the field it feeds.
    """

    __slots__ = ("absent", "asides", "config", "dialect", "feeds", "steps", "texts", "unknown")

    def __init__(
        self,
        dialect: Dialect,
        steps: Sequence[Step],
        unknown: tuple[str, ...],
        absent: frozenset[str],
        config: tuple[str, ...],
    ) -> None:
        candidates = Counter(step.field for step in steps)
        plain = [
            s for s in steps if candidates[s.field] == 1 and s.target == "text" and not s.paths and s.key[0] != "@"
        ]
        self.dialect = dialect
        self.texts = tuple((s.field, s.key) for s in plain if not s.aside)
        self.asides = tuple((s.field, s.key) for s in plain if s.aside)
        self.steps = tuple(s for s in steps if s not in plain)
        self.feeds = {step.key: step.field for step in reversed(steps)}
        self.unknown = unknown
        self.absent = absent
        self.config = config


def matcher(globs: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for all the globs; None for none."""
    patterns = [translate(glob) for glob in globs]
    return re.compile("|".join(patterns)) if patterns else None


_NUMBER = re.compile(r"\.\d+(?=\.|$)")
_EVENT = re.compile(r"events\.\d+\.")


@lru_cache(maxsize=20_000)
def _spelling(key: str) -> str:
    """The key as an alias spells it: numbers as `*`, attributes of span events under `event.`."""
    if found := _EVENT.match(key):
        return "event." + key[found.end() :]
    return _NUMBER.sub(".*", key)


class Dialects:
    """All dialects in the order in which they are tried."""

    def __init__(self, common: Common, dialects: Sequence[Dialect]) -> None:
        self.common = common
        self.all = tuple(sorted(dialects, key=lambda d: d.order))
        self._detect = [
            (
                dialect,
                matcher(dialect.detect.scope),
                frozenset(dialect.detect.service),
                matcher(dialect.detect.span),
                matcher(dialect.detect.event),
                matcher(dialect.detect.attribute),
                matcher(dialect.detect.resource),
            )
            for dialect in self.all
        ]
        self._aliases = {dialect.name: self._merge(dialect) for dialect in self.all}
        everything = {_base(k) for aliases in self._aliases.values() for keys in aliases.values() for k in keys}
        self._known_keys = frozenset(everything)
        self._known = matcher([*common.known, *(glob for d in self.all for glob in d.known)])
        self._tools = _named_kinds({tool: kind for kind, tools in common.tools.items() for tool in tools})
        self._span_kinds = {d.name: _named_kinds(d.kinds.spans) for d in self.all}

    def _merge(self, dialect: Dialect) -> dict[str, tuple[str, ...]]:
        aliases = {}
        for field in {**dialect.fields, **self.common.fields}:
            without = dialect.without.get(field, ())
            shared = tuple(k for k in self.common.fields.get(field, ()) if k not in without)
            aliases[field] = (*dialect.fields.get(field, ()), *shared)
        return aliases

    def detect(
        self, scope: str, service: str, name: str, event: str, keys: Iterable[str], resource: Iterable[str]
    ) -> Dialect:
        """The first dialect of which any mark is present."""
        keys, resource = list(keys), list(resource)
        for dialect, by_scope, services, by_span, by_event, by_key, by_resource in self._detect:
            if (
                (by_scope and by_scope.match(scope))
                or service in services
                or (by_span and name and by_span.match(name))
                or (by_event and event and by_event.match(event))
                or (by_key and any(by_key.match(k) for k in keys))
                or (by_resource and any(by_resource.match(k) for k in resource))
            ):
                return dialect
        return self.all[-1]

    def plan(self, dialect: Dialect, keys: Sequence[str]) -> Plan:
        """Which of these keys feed which fields, in order of preference."""
        present: dict[str, list[str]] = {}
        for key in keys:
            present.setdefault(key, []).append(key)
            if (spelling := _spelling(key)) != key:
                present.setdefault(spelling, []).append(key)
        steps: list[Step] = []
        for field, aliases in self._aliases[dialect.name].items():
            for alias in aliases:
                base, _, paths = alias.partition(">")
                for key in ["@name"] if base == "@name" else present.get(base, ()):
                    target = TARGETS.get(field, "text")
                    steps.append(Step(field, key, tuple(paths.split("|")) if paths else (), target, field in ASIDES))
        unknown = tuple(k for k in keys if k not in self._known_keys and not (self._known and self._known.match(k)))
        config = tuple(sorted(present.keys() & {*dialect.config, *self.common.config}))
        return Plan(dialect, steps, unknown, self.common.redacted.union(dialect.redacted_names), config)

    def tool_kind(self, tool: str) -> str:
        """The class of a tool by its name; empty for one we know nothing about."""
        return _find(self._tools, tool.lower())

    def span_kind(self, dialect: str, name: str) -> str:
        """What the dialect of this name makes of a span's name alone."""
        return _find(self._span_kinds[dialect], name)


def _named_kinds(kinds: Mapping[str, str]) -> tuple[dict[str, str], list[tuple[re.Pattern[str] | None, str]]]:
    """Kinds by name, apart: exact names, and those with a glob."""
    exact = {name: kind for name, kind in kinds.items() if "*" not in name}
    return exact, [(matcher([name]), kind) for name, kind in kinds.items() if "*" in name]


def _find(kinds: tuple[dict[str, str], list[tuple[re.Pattern[str] | None, str]]], name: str) -> str:
    exact, globs = kinds
    if kind := exact.get(name):
        return kind
    return next((kind for glob, kind in globs if glob and glob.match(name)), "")


def _base(alias: str) -> str:
    return alias.partition(">")[0]


@lru_cache(maxsize=1)
def load() -> Dialects:
    """The dialects this version ships; a key the schema does not know is an error."""
    folder = resources.files("pipeline") / "dialects"
    texts = {file.name: yaml.safe_load(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yml")}
    common = msgspec.convert(texts.pop("common.yml"), Common)
    return Dialects(common, [msgspec.convert(texts[name], Dialect) for name in sorted(texts)])
