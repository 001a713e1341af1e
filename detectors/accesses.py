"""What agents, proxies and networks say about reaching databases and hosts, and who holds which credential.

The same command is known on both sides by a digest of its words, literals left out, since drivers leave them out too.
"""

from __future__ import annotations

from collections.abc import Iterator

from detectors import sameness
from detectors.model import SecretMatch, Span
from detectors.seen import Seen

MINUTE_NS, DAY_NS = 60_000_000_000, 86_400_000_000_000
MAX_WHAT = 600
ACTING = frozenset({"tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"})
OUTWARD = frozenset({"arguments", "command.line", "url", "header"})  # where a credential in use stands
PROXIES = frozenset({"litellm", "envoy", "agentgateway", "gh-aw"})
WORKLOAD = ("spiffe://", "system:serviceaccount:", ":assumed-role/", ".gserviceaccount.com", "workloadidentity")
TRIGGERS = frozenset(
    {"db.system", "db.statement", "command.line", "credential", "feed.command", "feed.destination"}
) | {"feed.principal"}
PROXY, AGENT, SETTLED, FLOW = "proxy", "agent", "settled", "flow"


def concerns(kind: str, fields: frozenset[str], secrets: bool) -> bool:
    """Whether `of` can show anything of a span with these fields."""
    return secrets or kind in ("feed", "db_query") or "command.line" in fields or "credential" in fields


def of(span: Span) -> Iterator[Seen]:
    """Commands that a proxy should know, targets that were reached, credentials and who held them."""
    if span.kind == "feed":
        yield from _feed(span)
        return
    if span.kind == "db_query" or (span.kind == "command" and sameness.is_carrier(span.text("command.line"))):
        yield from _reached(span)
    yield from _held(span)


def _feed(span: Span) -> Iterator[Seen]:
    text = span.text
    if span.name == "proxy_command":
        said = text("feed.command")
        told = {
            "view": PROXY,
            "user": text("feed.user"),
            "target": text("feed.target").lower(),
            "client": text("feed.client"),
            "record": text("feed.record") or span.id,
            "what": said[:MAX_WHAT],
        }
        for mark in dict.fromkeys(found for one in sameness.carried(said) if (found := sameness.mark(one))):
            yield Seen("command", mark, told, span.id)
        if told["target"]:
            yield Seen("target", told["target"], told, span.id)
    elif span.name == "flow" and (destination := text("feed.destination").lower()):
        told = {name: text(f"feed.{name}") for name in ("host", "workload", "port", "bytes", "agent", "credential")}
        yield Seen("target", destination, {"view": FLOW, "target": destination, **told}, span.id)
    elif span.name == "cloud_audit" and (principal := text("feed.principal")):
        actor = "agent" if text("feed.agent") else "human" if _by_hand(text("feed.client")) else ""
        told = {"actor": actor, "what": f"{text('feed.action')} {text('feed.resource')}".strip()[:MAX_WHAT]}
        if actor:
            told["user"] = text("feed.owner") or text("feed.client") if actor == "human" else ""
            yield Seen("holder", principal, told, f"{actor}/{span.start_ns // DAY_NS}")


def _by_hand(client: str) -> bool:
    """Whether a call came from a browser or a console."""
    return any(word in client.lower() for word in ("mozilla", "console", "signin"))


def _reached(span: Span) -> Iterator[Seen]:
    """An agent's command or statement on its way to another host or database."""
    text = span.text
    target = (text("db.host") or sameness.target(text("command.line")) or text("db.namespace")).lower()
    marks = sameness.marks(span)
    told = {
        "view": AGENT,
        "user": text("user"),
        "target": target,
        "call": span.call_id or span.id,
        "what": sameness.said(span)[:MAX_WHAT],
        "mark": marks[-1] if marks else "",
    }
    minute = span.start_ns // MINUTE_NS
    for mark in marks:
        yield Seen("command", mark, told, f"{minute}/{told['call']}" if span.call_id else str(minute))
    if target:
        yield Seen("target", target, told, f"{minute}/{told['mark'] or told['call']}")
    if told["mark"] or target:  # looked at again when whatever a proxy has to say must have come
        where = ("command", told["mark"]) if told["mark"] else ("target", target)
        yield Seen(*where, {**told, "view": SETTLED}, f"settled/{minute}/{told['mark'] or told['call']}")
        if told["mark"] and target:
            yield Seen("target", target, {**told, "view": SETTLED}, f"settled/{minute}/{told['mark']}")


def _held(span: Span) -> Iterator[Seen]:
    """Who used which credential: by the subject the telemetry names, and by the fingerprint of a secret on its way."""
    subject = span.text("credential")
    if not subject and not span.secrets:
        return
    actor = _actor(span)
    if not actor:
        return
    text, day = span.text, span.start_ns // DAY_NS
    deployment = text("ci.run") or text("tool.version") or span.resource.service_version
    told = {
        "actor": actor,
        "user": text("user"),
        "instance": text("agent.instance"),
        "deployment": deployment[:100],
        "what": sameness.said(span)[:MAX_WHAT],
        "dialect": span.dialect,
    }
    who = f"{span.agent_id}/{told['user']}/{day}/{told['deployment']}"
    if subject:
        form = "workload" if any(sign in subject for sign in WORKLOAD) else "subject"
        form = "key" if span.dialect == "litellm" else form
        yield Seen("holder", subject, {**told, "form": form}, who)
    for match in span.secrets:
        if match.surface in OUTWARD and span.kind in ACTING:
            yield Seen("holder", match.fingerprint, {**told, "form": "secret", **_secret(match)}, who)


def _secret(match: SecretMatch) -> dict[str, str]:
    lasts = "short" if any(one.startswith(("temporary", "expires")) for one in match.says) else ""
    return {"rule_id": match.rule_id, "surface": match.surface, "tier": match.tier, "lasts": lasts}


def _actor(span: Span) -> str:
    """agent, ci, or nothing where the record is a proxy's own and tells no agent."""
    if span.kind in ("ci_run", "ci_step") or span.dialect in ("cicd", "jenkins"):
        return "ci"
    if not span.agent_id or (span.dialect in PROXIES and span.agent_id == span.resource.service):
        return ""
    return "agent"
