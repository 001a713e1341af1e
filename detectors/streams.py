"""What shows that a stream of telemetry is still whole: samples of every kind of record, and who was active when.

Both become Sightings, so that the sessions of one product, or of one person, are seen together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from detectors.model import Span

SLOT_NS = 300_000_000_000  # activity is told once per so much time
WATCHED = (  # fields that are worth missing, in the order they are told
    *("tool.name", "arguments", "result", "command.line", "path", "prompt", "completion", "model", "user"),
    *("tokens.in", "approval.decision", "approval.source", "mcp.server", "db.statement"),
)
CONTENT = frozenset({"arguments", "result", "command.line", "path", "prompt", "completion", "db.statement"})
GROUPS = {
    **dict.fromkeys(("tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"), "call"),
    **{kind: kind for kind in ("llm_call", "prompt", "approval")},
}
MASKS = frozenset({"<REDACTED>", "[REDACTED]", "REDACTED", "__REDACTED__"})
OUTSIDE = frozenset({"litellm", "agentgateway", "envoy", "gh-aw"})  # see an agent act and are none
NEITHER = frozenset({"cicd", "jenkins", "mcp", "feed", "generic"})  # may be either, or no agent's record at all
OWN, OTHER = "own", "other"
ACTORS = (("user", "user"), ("credential", "credential"), ("host.name", "host"))
TRIGGERS = frozenset({"tool.name", "model", "approval.decision", "prompt", "user", "host.name"})


class Sample(NamedTuple):
    """The first record of a kind in a session: which product sent it, and what stood in it."""

    product: str
    detail: dict[str, str]
    mark: str


def sample(span: Span) -> Sample | None:
    """A sample of the span's kind; None for kinds and senders that nothing is expected of."""
    group = GROUPS.get(span.kind)
    product = span.resource.service
    if group is None or not product:
        return None
    fields = span.fields
    masked = MASKS.intersection([value for value in span.attributes.values() if isinstance(value, str)])
    detail = {
        "kind": f"{span.signal} {span.kind}",
        "group": group,
        "version": span.resource.service_version,
        "fields": ",".join(field for field in WATCHED if field in fields),
        "masked": "yes" if masked else "",
    }
    return Sample(product, detail, f"{span.signal} {span.kind}")


def actors(span: Span) -> Iterator[tuple[str, str, int]]:
    """(who, whose view, when) for everyone the span shows acting."""
    if span.dialect in NEITHER or span.kind not in GROUPS or span.kind == "approval":
        return
    view = OTHER if span.dialect in OUTSIDE else OWN
    slot = span.start_ns // SLOT_NS
    for field, kind in ACTORS:
        if (name := span.fields.get(field)) and not (
            field == "host.name" and view == OWN and not span.fields.get("tool.name")
        ):
            yield f"{kind}/{name}", view, slot
