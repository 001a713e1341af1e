"""Data on its way out: records about people, labelled text and secrets, to model providers and into messages."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from detectors import policy
from detectors.about import About
from detectors.channels import channel
from detectors.detector import Detector, finding
from detectors.labels import label
from detectors.model import Category, Confidence, Finding, SecretMatch, Severity, Span
from detectors.personal_data import Held, Reader

MAX_TEXTS = 64  # texts of a session remembered as read, and results waiting for a model call
MAX_READ = 128  # fingerprints of a session
ANSWERS = frozenset(("tool_call", "mcp_call", "command", "file_read", "db_query", "http_egress", "retrieval"))
ASKED = frozenset(("llm_call", "prompt"))
_LEFT = ("LLM02:2026", "ASI02", "AML.T0057", "AML.T0086", "T1567")


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """Data a tool gave the agent, which the next request to a model carries."""

    data: str
    amount: str
    tool: str
    span_id: str
    many: bool


class Sent(msgspec.Struct, array_like=True):
    """What a session has read and sent."""

    texts: dict[int, None] = {}
    waiting: dict[int, Waiting] = {}
    secrets: dict[str, str] = {}  # fingerprint → where it was read


class DataLeaving(Detector[Span, Sent]):
    """Records about people and labelled text in what a model provider receives, and in messages with secrets.

    Quiet about one person's data: an agent that serves a customer handles it; about what an agent type's policy lets
    a provider have (`data`); about data nobody captured.
    Blind spots: data in images or encoded; names alone; records in a language whose labels are not known; of a text
    the first 64 thousand characters; per session 64 texts and 128 fingerprints are remembered, the oldest forgotten
    first.
    """

    id = "data.leaving"
    scope = "session"
    rules = MappingProxyType(
        {
            "data.personal-to-provider": About(
                title="Records about people were sent to a model provider",
                severity=Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "ASI02", "AML.T0057", "AML.T0024"),
                runbook="Ask the data's owner whether this provider may have it; if not, start the privacy process "
                "with the amount told here, and give the agent masked or fewer records.",
                rows=("E5", "E4"),
            ),
            "data.labelled-to-provider": About(
                title="Text labelled as confidential was sent to a model provider",
                severity=Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "ASI02", "AML.T0057", "AML.T0024"),
                runbook="Ask the owner of the text whether this provider may have it; else keep it out of the agent's "
                "reach and ask the provider for deletion.",
                rows=("E5", "E4"),
            ),
            "data.personal-in-message": About(
                title="Records about people left in a message",
                severity=Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=_LEFT,
                runbook="Find who received the message, have it deleted, and start the privacy process with the amount "
                "told here.",
                rows=("E3", "E4"),
            ),
            "data.labelled-in-message": About(
                title="Text labelled as confidential left in a message",
                severity=Severity.MEDIUM,
                category=Category.DATA_EXFILTRATION,
                standards=_LEFT,
                runbook="Find who received the message, have it deleted, and ask the owner of the text what follows.",
                rows=("E3", "E4"),
            ),
            "data.secret-in-message": About(
                title="A secret left in a message",
                severity=Severity.HIGH,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI02", "ASI03", "AML.T0086", "T1552", "T1567"),
                runbook="Revoke the secret now, delete the message, then list who could read it.",
                rows=("E3",),
            ),
        }
    )

    def __init__(self, policies: Mapping[str, policy.Policy] | None = None) -> None:
        self._policies = policies or {}
        self._people = Reader()

    def new_state(self) -> Sent:
        return Sent()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ASKED or ("result" in fields and kind in ANSWERS) or "arguments" in fields

    def observe(self, event: Span, state: Sent) -> Iterator[Finding]:
        if event.kind in ASKED:
            yield from self._asked(event, state)
            return
        by, fields = channel(event), event.fields
        if not (("result" in fields and event.kind in ANSWERS) or ("arguments" in fields and by)):
            return
        if fields.get("approval.decision") == "deny":
            return
        if by:
            yield from self._spoken(event, by, state)
        for match in event.secrets:
            if match.surface == "result":
                state.secrets.setdefault(match.fingerprint, event.span_id)
                if len(state.secrets) > MAX_READ:
                    del state.secrets[next(iter(state.secrets))]
        self._answered(event, state)

    def _asked(self, event: Span, state: Sent) -> Iterator[Finding]:
        """A request to a model: what it asks, and what tools had given since the last one."""
        text = event.text("prompt")
        if text and (mark := _first(text, state)):
            people = self._people.held(text)
            if people.records:
                yield from self._provided(event, _waiting(people, "", event.span_id), str(mark))
            if bears := label(text):
                yield from self._provided(event, _labelled(bears, text, "", event.span_id), str(mark))
        if event.kind == "llm_call":
            for number, one in state.waiting.items():
                yield from self._provided(event, one, str(number))
            state.waiting.clear()

    def _provided(self, event: Span, one: Waiting, mark: str) -> Iterator[Finding]:
        provider = _provider(event)
        kind = "personal" if one.data == "personal" else "labelled"
        ruled = policy.of(self._policies, event.agent_type)
        if ruled is not None and ruled.may_have(one.data, provider):
            return
        severity = Severity.LOW if one.tool and not one.many else Severity.HIGH if one.many else Severity.MEDIUM
        yield finding(
            self,
            event,
            rule_id=f"data.{kind}-to-provider",
            severity=severity,
            key=f"{provider}/{one.tool}",
            subject=mark,
            evidence={
                "what": f"{one.data} data to {provider}: {one.amount}",
                "data": one.data,
                "amount": one.amount,
                "provider": provider,
                "tool": one.tool or "none, it stood in the prompt",
                "user": event.text("user") or "unknown",
                "came_from": one.tool or "prompt",
            },
            span_ids=tuple(dict.fromkeys(name for name in (one.span_id, event.span_id) if name)),
        )

    def _spoken(self, event: Span, by: str, state: Sent) -> Iterator[Finding]:
        """A message to people or systems outside."""
        text = event.text("arguments")
        people = self._people.held(text)
        if people.records:
            severity = Severity.HIGH if people.many else Severity.MEDIUM
            yield self._told(event, by, "personal", str(people), severity=severity)
        if bears := label(text):
            yield self._told(event, by, "labelled", f"{len(text)} characters labelled {bears}")
        told: set[str] = set()
        for match in event.secrets:
            if match.surface != "arguments" or not _carried(event, match) or match.fingerprint in told:
                continue
            told.add(match.fingerprint)
            read = state.secrets.get(match.fingerprint, "")
            yield self._told(
                event,
                by,
                "secret",
                "1 secret",
                confidence="confirmed" if read else "suspected",
                key=match.fingerprint,
                extra={
                    "fingerprint": match.fingerprint,
                    "type": match.rule_id,
                    "seen_earlier": read or "not in this session",
                },
            )

    def _told(
        self,
        event: Span,
        by: str,
        data: str,
        amount: str,
        *,
        severity: Severity | None = None,
        confidence: Confidence = "suspected",
        key: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> Finding:
        return finding(
            self,
            event,
            rule_id=f"data.{data}-in-message",
            severity=severity,
            confidence=confidence,
            key=key or by,
            evidence={
                "what": f"{data} data by {by}: {amount}",
                "data": data,
                "amount": amount,
                "provider": event.text("egress.host") or event.text("mcp.server") or by,
                "tool": by,
                "user": event.text("user") or "unknown",
                **(extra or {}),
            },
        )

    def _answered(self, event: Span, state: Sent) -> None:
        """Remember records and labelled text that a tool gave, for the next request to a model."""
        text = event.text("result")
        if not text or not (mark := _first(text, state)):
            return
        people = self._people.held(text)
        if people.records:
            state.waiting[mark] = _waiting(people, event.text("tool.name") or event.kind, event.span_id)
        elif bears := label(text):
            tool = event.text("tool.name") or event.kind
            state.waiting[mark] = _labelled(bears, text, tool, event.span_id)
        if len(state.waiting) > MAX_TEXTS:
            del state.waiting[next(iter(state.waiting))]


def _first(text: str, state: Sent) -> int:
    """The mark of a text the session has not shown before; 0 for one it has. Histories repeat themselves."""
    mark = zlib.crc32(text.encode("utf-8", "replace")) + 1
    if mark in state.texts:
        return 0
    state.texts[mark] = None
    if len(state.texts) > MAX_TEXTS:
        del state.texts[next(iter(state.texts))]
    return mark


def _waiting(people: Held, tool: str, span_id: str) -> Waiting:
    return Waiting("personal", f"about {people.people} people: {people}", tool[:200], span_id, people.many)


def _labelled(bears: str, text: str, tool: str, span_id: str) -> Waiting:
    return Waiting("labelled", f"{len(text)} characters labelled {bears}", tool[:200], span_id, many=False)


def _provider(span: Span) -> str:
    known = span.text("provider") or span.text("llm.host") or span.text("model")
    return known[:200] or f"the provider of {span.agent_type or span.resource.service or 'the agent'}"


def _carried(span: Span, match: SecretMatch) -> bool:
    """Whether the message carries the secret, and it is no part of the address it is sent to."""
    return f"~{match.fingerprint}~" not in span.text("url") and match.tier != "possible" and match.verdict != "invalid"
