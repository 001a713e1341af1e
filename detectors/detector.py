"""The contract every detector keeps; `tests/test_contract.py` runs it on each one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import msgspec

from detectors.about import About
from detectors.model import (
    Category,
    Confidence,
    Event,
    Finding,
    Severity,
    Sighting,
    Span,
    Window,
    digest,
)

MAX_EVIDENCE = 1000  # characters of one entry

Scope: TypeAlias = Literal["span", "session", "agent", "type", "entity"]
E = TypeVar("E", bound=Event)
S = TypeVar("S")


class Detector(ABC, Generic[E, S]):
    """Settings in the constructor, memory in `state`, answers out. Nothing else.

    Scopes: span (sees Span, stateless), session (Span, state per session), agent (Window, per agent), type (Window,
    per agent type: models that its agents share), entity (Sighting, per entity). `state` is mutated in place by
    `observe`; the engine owns and stores it.
    """

    id: ClassVar[str]
    version: ClassVar[str] = "1"  # change it when old state no longer fits
    scope: ClassVar[Scope]
    rules: ClassVar[Mapping[str, About]] = MappingProxyType({})  # every rule id it may report that is in no rule file
    levels: Mapping[str, Severity] = MappingProxyType({})  # severities one deployment has given some of them
    silenced: frozenset[str] = frozenset()  # those it has switched off

    def new_state(self) -> S:
        """Blank state of one key; None for stateless detectors."""
        return None  # type: ignore[return-value]  # S is None for stateless detectors

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        """Whether an event of this shape may matter to this detector: a span's kind and the names of its fields, or a
        sighting's entity kind and the names of its details; and whether the span holds secrets.

        The engine asks once per shape and remembers the answer, so it depends on nothing else. Like `select`, which
        is asked only about the events that are left, it must not change any answer of `observe`.
        """
        return True

    def select(self, events: Sequence[E]) -> Iterable[int] | None:
        """Ascending indices of the events this detector has anything to do with; None is all of them.

        The engine calls it once per batch, so work that is cheaper in bulk (one scan over many spans) goes here.
        It must not change any answer of `observe`, which may also be called without it.
        """
        return None

    @abstractmethod
    def observe(self, event: E, state: S) -> Iterable[Finding]:
        """Findings about this event. Must not mutate `event`; may mutate `state`."""

    def dump(self, state: S) -> bytes:
        """State of one key as bytes for a checkpoint."""
        return msgspec.msgpack.encode(state)

    def load(self, blob: bytes) -> S:
        """State of one key back from `dump`; raises on bytes that do not fit."""
        fresh: Any = self.new_state()
        loaded: S = msgspec.msgpack.decode(blob, type=type(fresh))
        return loaded


def finding(
    detector: Detector[Any, Any],
    event: Event,
    *,
    rule_id: str,
    severity: Severity | None = None,
    category: Category | None = None,
    title: str = "",
    confidence: Confidence = "suspected",
    score: float | None = None,
    key: str = "",
    subject: str = "",
    evidence: dict[str, str] | None = None,
    span_ids: tuple[str, ...] = (),
    standards: tuple[str, ...] = (),
) -> Finding:
    """A Finding about `event` whose id is a function of what was found and where, not of how it was delivered.

    The id hashes detector, version, rule, tenant, session, `key` and the subject: by default the tool-call id
    (so the span and the log event of one call agree), else the span's id, the window's or the sighting's.
    `evidence` is for people and not part of the id; it never holds a secret and is cut short.
    Severity, category, title, standards and runbook are those of `detector.rules[rule_id]` unless given; a severity
    the deployment set wins.
    """
    about = detector.rules[rule_id] if severity is None or category is None else detector.rules.get(rule_id)
    told = evidence or {}
    if about is not None:
        severity = about.severity if severity is None else severity
        category = about.category if category is None else category
        title, standards = title or about.title, standards or about.standards
        severity = detector.levels.get(rule_id, severity)
        if about.runbook:
            told = {"runbook": about.runbook, **told}
    if isinstance(event, Span):
        subject = subject or event.call_id or event.id
        trace_id, span_id, time_ns, tenant = event.trace_id, event.span_id, event.start_ns, event.tenant
    elif isinstance(event, Window):
        subject = subject or event.id
        trace_id, span_id, time_ns = event.last_trace_id, event.last_span_id, event.end_ns
        tenant = event.tenant
    else:
        subject = subject or event.id
        trace_id, span_id, time_ns, tenant = event.trace_id, event.span_id, event.time_ns, event.tenant
    return Finding(
        id=digest(detector.id, detector.version, rule_id, tenant, event.session_id, key, subject),
        detector_id=detector.id,
        detector_version=detector.version,
        rule_id=rule_id,
        title=title,
        severity=severity,  # type: ignore[arg-type]  # filled above
        category=category,  # type: ignore[arg-type]  # the same
        confidence=confidence,
        score=score,
        tenant=tenant,
        agent_id=event.agent_id,
        agent_type=event.agent_type,
        session_id=event.session_id,
        trace_id=trace_id,
        span_id=span_id,
        time_ns=time_ns,
        key=key,
        evidence={name: value[:MAX_EVIDENCE] for name, value in told.items()},
        span_ids=span_ids,
        standards=standards,
    )


__all__ = ["About", "Detector", "Scope", "Sighting", "Span", "Window", "finding"]
