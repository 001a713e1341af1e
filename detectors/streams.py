"""What shows that a stream of telemetry is still whole: samples of every kind of record, and who was active when.

Both become Sightings, so that the sessions of one product, or of one person, are seen together.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from detectors.model import Span
from detectors.seen import Detail, Seen

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


def sample(span: Span) -> Seen | None:
    """A sample of the kind, once a session; None for kinds and senders that nothing is expected of."""
    group = GROUPS.get(span.kind)
    product = span.resource.service
    if group is None or not product:
        return None
    mark = f"{span.signal} {span.kind}"
    return Seen("stream", product, partial(_sampled, span, group, mark), mark)


def _sampled(span: Span, group: str, kind: str) -> Detail:
    masked = MASKS.intersection([value for value in span.attributes.values() if isinstance(value, str)])
    return {
        "kind": kind,
        "group": group,
        "version": span.resource.service_version,
        "fields": ",".join(field for field in WATCHED if field in span.fields),
        "masked": "yes" if masked else "",
    }


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
