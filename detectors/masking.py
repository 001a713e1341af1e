"""Masking that did not mask: secrets and people's data in what a gateway that masks let through, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span
from detectors.personal_data import Reader

MAX_EMITTERS = 32
MAX_HELD = 32  # texts with something in them, seen before their gateway was known to mask
MAX_COUNTED = 256  # calls of one emitter
FEW = 3  # distinct values of one kind that a masker would have taken out
WAYS = {"response": ("result", "completion"), "request": ("prompt",)}  # and the fields that carry it
_MASKS = ("mask", "redact", "anonymi", "sanitiz", "sanitis", "intervened", "tokeniz")
_CARRIES = frozenset(("llm_call", "tool_call", "mcp_call", "db_query", "http_egress", "retrieval", "command"))


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """Something that passed an emitter unmasked."""

    way: str  # response or request
    what: str
    data: str
    subject: str
    time_ns: int
    trace_id: str
    span_id: str
    tool: str
    mark: str = ""


class Emitter(msgspec.Struct, array_like=True):
    """What an emitter of this session was seen to do."""

    masks: dict[str, str] = {}  # way → name of the guardrail
    held: list[Passed] = []
    seen: dict[str, None] = {}  # calls that carried text
    failed: dict[str, None] = {}


class Gateways(msgspec.Struct, array_like=True):
    """Emitters of a session, by service and MCP server."""

    emitters: dict[str, Emitter] = {}


class MaskingFailed(Detector[Span, Gateways]):
    """A secret or personal data in a response (or request) of an emitter whose guardrail masks responses (requests).

    Says with each finding which share of the session's texts came through the emitter with nothing left in them.
    An emitter masks where a guardrail span of its own says so, or the inventory does (`masking`).
    Blind spots: an emitter that tells nothing of its guardrails; texts it did not capture; fewer than three values of
    a kind without a check digit; 32 emitters a session, and 32 texts each that came before the guardrail told.
    """

    id = "data.masking"
    scope = "session"
    rules = MappingProxyType(
        {
            "masking.failed": About(
                title="Masking failed: a secret or personal data passed a gateway that masks",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "MCP10:2025", "AML.T0057", "T1552"),
                runbook="Add the form that slipped through to the gateway's guardrail, revoke the secret if it is one, "
                "then list who read the response.",
                rows=("D7",),
            )
        }
    )

    def __init__(self, masking: Iterable[str] = ()) -> None:
        self._known = frozenset(masking)
        self._people = Reader()

    def new_state(self) -> Gateways:
        return Gateways()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, span in enumerate(events) if self._concerns(span)]

    def _concerns(self, span: Span) -> bool:
        return span.dialect in _GATEWAYS or not self._known.isdisjoint(_names(span))

    def observe(self, event: Span, state: Gateways) -> Iterator[Finding]:
        if not self._concerns(event):
            return
        name = event.resource.service or event.text("mcp.server")
        emitter = state.emitters.get(name)
        if emitter is None:
            if len(state.emitters) >= MAX_EMITTERS:
                del state.emitters[next(iter(state.emitters))]
            emitter = state.emitters[name] = Emitter()
        for known in sorted(_names(event) & self._known):
            emitter.masks.setdefault("response", f"inventory: {known}")
        if event.kind == "guardrail":
            for way in _ways(event):
                emitter.masks.setdefault(way, (event.text("guardrail.name") or event.name)[:200])
        elif event.kind in _CARRIES:
            self._pass(event, emitter)
        for one in [one for one in emitter.held if one.way in emitter.masks]:
            emitter.held.remove(one)
            yield self._report(event, emitter, one, name)

    def _pass(self, event: Span, emitter: Emitter) -> None:
        subject = event.call_id or event.id
        for way, fields in WAYS.items():
            texts = [text for field in fields if (text := event.text(field))]
            if not texts:
                continue
            _bounded(emitter.seen, f"{way}/{subject}")
            left = self._left(event, texts, fields)
            if not left:
                continue
            _bounded(emitter.failed, f"{way}/{subject}")
            for data, what, mark in left:
                emitter.held.append(
                    Passed(
                        way, what, data, subject, event.start_ns, event.trace_id, event.span_id,
                        (event.text("tool.name") or event.text("model") or event.kind)[:200], mark,
                    )
                )  # fmt: skip
            del emitter.held[:-MAX_HELD]

    def _left(self, event: Span, texts: list[str], fields: tuple[str, ...]) -> list[tuple[str, str, str]]:
        """What a masker should have taken out of the texts: kind of data, in words, and what tells it apart."""
        found = {
            match.fingerprint: ("secret", f"{match.rule_id} of {match.length} characters", match.fingerprint)
            for match in event.secrets
            if match.surface in fields and match.tier != "possible" and match.verdict != "invalid"
        }
        people = [held for text in texts if (held := self._people.held(text)).strong or held.people >= FEW]
        if people:
            found["personal"] = ("personal", str(max(people, key=lambda held: held.people)), "")
        return list(found.values())

    def _report(self, event: Span, emitter: Emitter, one: Passed, name: str) -> Finding:
        about = msgspec.structs.replace(event, start_ns=one.time_ns, trace_id=one.trace_id, span_id=one.span_id)
        seen = sum(call.startswith(one.way) for call in emitter.seen)
        failed = sum(call.startswith(one.way) for call in emitter.failed)
        return finding(
            self,
            about,
            rule_id="masking.failed",
            key=f"{name[:200]}/{one.way}",
            subject=f"{one.subject}/{one.way}/{one.data}/{one.mark}",
            evidence={
                "who": event.agent_id or name,
                "what": f"{one.data} left in a {one.way}: {one.what}",
                "data": one.data,
                "amount": one.what,
                "emitter": name,
                "guardrail": emitter.masks[one.way],
                "tool": one.tool,
                "coverage": f"{max(seen - failed, 0)} of {seen} {one.way}s of this session held nothing",
                **({"fingerprint": one.mark} if one.mark else {}),
            },
        )


_GATEWAYS = frozenset(("litellm", "agentgateway"))  # dialects of proxies that tell of their guardrails


def _names(span: Span) -> set[str]:
    return {span.resource.service, span.text("mcp.server")} - {""}


def _ways(span: Span) -> list[str]:
    """Which texts a guardrail masks, as its span tells: what the model gets, what it answers, or both."""
    action = f"{span.text('guardrail.action')} {span.text('guardrail.masked')} {span.text('guardrail.name')}".lower()
    if not any(word in action for word in _MASKS):
        return []
    mode = span.text("guardrail.mode").lower()
    if "logging" in mode:
        return []
    if "pre" in mode and "post" not in mode:
        return ["request"]
    return ["response"] if "post" in mode else ["response", "request"]


def _bounded(known: dict[str, None], one: str) -> None:
    known[one] = None
    if len(known) > MAX_COUNTED:
        del known[next(iter(known))]
