"""What a Span shows that other sessions may show too: secrets, hosts, credentials, commits, owners, feed events.

Each becomes a Sighting, and detectors of scope `entity` see all Sightings of one entity, whatever session they
come from. A new kind of entity is one function here and its fields among the triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias, cast

from detectors import accesses, changes, exposures, facts, streams
from detectors.model import Span

MAX_HOSTS = 64


class Seen(NamedTuple):
    """An entity a span shows. A session shows an entity once for each `mark`."""

    kind: str
    id: str
    detail: dict[str, str]
    mark: str = ""


def _agent(span: Span) -> Iterator[Seen]:
    """Every session shows its agent once, however little else it shows."""
    if span.agent_id and span.kind != changes.FEED:  # whoever tells of an agent is not the agent
        detail = {
            "user": span.text("user"),
            "model": span.text("model"),
            "environment": span.text("environment"),
            "version": span.resource.service_version,
        }
        yield Seen("agent", span.agent_id, detail)


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
        detail = {"host": host, "kind": span.kind, "tool": span.text("tool.name")[:200]}
        yield Seen("host", f"{span.agent_type}/{host}", detail)


def _named(span: Span) -> Iterator[Seen]:
    if value := span.fields.get("credential"):
        yield Seen("credential", str(value), {})


def _streams(span: Span) -> Iterator[Seen]:
    """A sample of each kind of record a session holds, and who was seen acting when."""
    if found := streams.sample(span):
        yield Seen("stream", found.product, found.detail, found.mark)
    for who, view, slot in streams.actors(span):
        yield Seen("presence", who, {"view": view, "source": span.resource.service}, f"{view}/{slot}")


def _changes(span: Span) -> Iterator[Seen]:
    """Commits, branches, requests, owners, leases of credentials; what the agent used."""
    for one in changes.of(span):
        yield Seen(*one)
    for one in changes.uses(span):
        yield Seen(*one)


def _exposures(span: Span) -> Iterator[Seen]:
    """Files and places of secrets, variables, MCP servers, reach, workloads, pipelines."""
    for one in exposures.of(span):
        yield Seen(*one)


def _accesses(span: Span) -> Iterator[Seen]:
    """Commands a proxy should know, targets, and who held which credential."""
    for one in accesses.of(span):
        yield Seen(*one)


def _providers(span: Span) -> Iterator[Seen]:
    if provider := span.fields.get("provider"):
        yield Seen("provider", str(provider), {"model": span.text("model"), "user": span.text("user")})


Source: TypeAlias = Callable[[Span], Iterator[Seen]]
SOURCES: tuple[Source, ...] = (_agent, _secrets, _hosts, _named, _streams, _changes, _exposures, _accesses, _providers)
TRIGGERS = (
    streams.TRIGGERS
    | changes.TRIGGERS
    | exposures.TRIGGERS
    | accesses.TRIGGERS
    | frozenset({"egress.host", "provider", "credential", "command.line", "code"})
)  # a span with none of them shows its agent and its secrets


def of(span: Span) -> Iterator[Seen]:
    """Every entity of the span."""
    for source in SOURCES:
        yield from source(span)
