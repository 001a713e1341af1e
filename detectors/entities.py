"""What a Span shows that other sessions may show too: secrets, hosts, credentials, commits, owners, feed events.

Each becomes a Sighting, and detectors of scope `entity` see all Sightings of one entity, whatever session they
come from. A new kind of entity is one function here and its fields among the triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias, cast

from detectors import accesses, changes, exposures, facts, streams
from detectors.model import Span
from detectors.seen import Detail, Seen

MAX_HOSTS = 64


def _agent(span: Span) -> Iterator[Seen]:
    """Every session shows its agent once, however little else it shows."""
    if span.agent_id and span.kind != changes.FEED:  # whoever tells of an agent is not the agent
        yield Seen("agent", span.agent_id, partial(_described, span))


def _described(span: Span) -> Detail:
    return {
        "user": span.text("user"),
        "model": span.text("model"),
        "environment": span.text("environment"),
        "version": span.resource.service_version,
    }


def _secrets(span: Span) -> Iterator[Seen]:
    for match in span.secrets:
        detail = {"rule_id": match.rule_id, "surface": match.surface, "severity": match.severity.label}
        yield Seen("secret", match.fingerprint, detail)


def _hosts(span: Span) -> Iterator[Seen]:
    hosts = span.fields.get("egress.hosts") or span.fields.get("egress.host")
    named = hosts.split(",") if isinstance(hosts, str) else []
    for act in facts.of(span).acts:
        if "egress.host" in act and "effect" in act:  # what a script or command talks to without saying a URL
            named += [host for host in cast(tuple[str, ...], act["egress.host"]) if "." in host and host not in named]
    for host in named[:MAX_HOSTS]:
        yield Seen("host", f"{span.agent_type}/{host}", partial(_called, span, host))


def _called(span: Span, host: str) -> Detail:
    return {"host": host, "kind": span.kind, "tool": span.text("tool.name")[:200]}


def _named(span: Span) -> Iterator[Seen]:
    if value := span.fields.get("credential"):
        yield Seen("credential", str(value), {})


def _streams(span: Span) -> Iterator[Seen]:
    """A sample of each kind of record a session holds."""
    if found := streams.sample(span):
        yield found


def _actors(span: Span) -> Iterator[Seen]:
    """Who was seen acting when."""
    for who, view, slot in streams.actors(span):
        yield Seen("presence", who, {"view": view, "source": span.resource.service}, f"{view}/{slot}")


def _providers(span: Span) -> Iterator[Seen]:
    if provider := span.fields.get("provider"):
        yield Seen("provider", str(provider), partial(_asked, span))


def _asked(span: Span) -> Detail:
    return {"model": span.text("model"), "user": span.text("user")}


Source: TypeAlias = Callable[[Span], Iterator[Seen]]
Wants: TypeAlias = Callable[[str, frozenset[str], bool], bool]  # kind, names of fields, whether it holds secrets


def _always(kind: str, fields: frozenset[str], secrets: bool) -> bool:
    return True


def _any(names: frozenset[str]) -> Wants:
    return lambda kind, fields, secrets: not names.isdisjoint(fields)


SOURCES: tuple[tuple[Source, Wants], ...] = (  # each with the spans of which it can show anything
    (_agent, _always),
    (_secrets, lambda kind, fields, secrets: secrets),
    (_hosts, _any(facts.SOURCES)),
    (_named, _any(frozenset({"credential"}))),
    (_streams, lambda kind, fields, secrets: kind in streams.GROUPS),
    (
        _actors,
        lambda kind, fields, secrets: kind in streams.GROUPS and not fields.isdisjoint(f for f, _ in streams.ACTORS),
    ),
    (changes.of, changes.concerns),
    (changes.uses, lambda kind, fields, secrets: kind in changes.ACTING),
    (exposures.of, exposures.concerns),
    (accesses.of, accesses.concerns),
    (_providers, _any(frozenset({"provider"}))),
)
TRIGGERS = (
    streams.TRIGGERS
    | changes.TRIGGERS
    | exposures.TRIGGERS
    | accesses.TRIGGERS
    | frozenset({"egress.host", "provider", "credential"})
)  # a span with none of them shows its agent and its secrets
MAX_PLANS = 4_096
Plan: TypeAlias = tuple[Source, ...]


class Plans:
    """The sources a span is put to, worked out once for every kind of span with the same fields."""

    def __init__(self) -> None:
        self._plans: dict[tuple[Any, ...], tuple[Plan, Plan]] = {}

    def of(self, span: Span, new: bool) -> Plan:
        """Sources of the span; `new` when its agent is not the one its session showed last."""
        shape = (span.kind, bool(span.secrets), *span.fields)
        known = self._plans.get(shape)
        if known is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            known = self._plans[shape] = _plan(span.kind, bool(span.secrets), tuple(span.fields))
        return known[new]


def _plan(kind: str, secrets: bool, names: tuple[str, ...]) -> tuple[Plan, Plan]:
    """What a span of the shape is put to when its session showed its agent last, and when it did not."""
    fields = frozenset(names)
    every = tuple(source for source, wants in SOURCES if wants(kind, fields, secrets))
    return (every[1:] if secrets or not fields.isdisjoint(TRIGGERS) else ()), every


def of(span: Span) -> Iterator[Seen]:
    """Every entity of the span."""
    for source, _ in SOURCES:
        yield from source(span)
