"""Correlations inside one session: steps that mean little alone and much together, in whatever order they arrive."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec

from detectors.about import About
from detectors.behaviour import VIRTUAL, Matcher, approval, describe
from detectors.detector import Detector, finding
from detectors.egress import Destinations
from detectors.facts import Act
from detectors.model import Category, Confidence, Finding, Severity, Span

Kind: TypeAlias = Literal["temporal_ordered", "temporal", "event_count", "value_count"]

LATENESS_NS = 300_000_000_000  # a step may arrive this much later, in event time, than what came after it
MAX_HITS = 64  # per step; the oldest in event time are forgotten first
MAX_WAITING = (
    16  # of an ordered rule's step while nothing before it was seen: most sessions reach out and read no secret
)
MAX_TRACKS = 64  # groups of one rule in one session
MAX_TOLD = 256
MAX_PASSES = 16  # times one secret was read, or sent
MAX_NOTE = 160


class CorrelationRule(msgspec.Struct, frozen=True, kw_only=True):
    """A Sigma correlation ready to run; its steps are names of span rules."""

    id: str
    title: str
    severity: Severity
    category: Category
    confidence: Confidence = "suspected"
    standards: tuple[str, ...] = ()
    description: str = ""
    blind_spots: str = ""
    runbook: str = ""
    status: str = "stable"
    kind: Kind
    steps: tuple[str, ...]
    timespan_ns: int
    group_by: tuple[str, ...] = ()
    at_least: int = 0  # events or distinct values, for the counting kinds
    field: str = ""  # whose distinct values are counted
    rows: tuple[str, ...] = ()
    file: str = ""
    source: Mapping[str, Any] = {}


class Hit(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One span that matched a step: enough to report it when the rest of the chain comes later."""

    time_ns: int
    subject: str
    trace_id: str
    span_id: str
    what: str = ""
    value: str = ""


class Track(msgspec.Struct, array_like=True):
    """Hits per step, in event time, and the deciding spans already told."""

    steps: list[list[Hit]]
    told: dict[str, None] = {}


class Tracks(msgspec.Struct, array_like=True):
    """Tracks of a session by rule and group."""

    tracks: dict[str, Track] = {}
    watermark_ns: int = 0
    allowed: dict[str, None] = {}  # calls a human allowed


class Correlations(Detector[Span, Tracks]):
    """Sigma correlations over the spans of one session.

    Blind spots: steps in different sessions; a step that arrives more than five minutes of event time late may be
    missed; per rule and step the newest 64 hits are remembered, 16 while the step before was not seen; a call that
    was denied is no step, nor is one that a human had allowed where the step's rule says so (`approved`).
    """

    id = "correlation.rules"
    version = "1"
    scope = "session"

    def __init__(self, matcher: Matcher, rules: Sequence[CorrelationRule]) -> None:
        self._matcher = matcher
        self._by_step: dict[str, list[tuple[CorrelationRule, int]]] = {}
        for rule in rules:
            for place, step in enumerate(rule.steps):
                self._by_step.setdefault(step, []).append((rule, place))

    def new_state(self) -> Tracks:
        return Tracks()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        matched = self._matcher.prepare(events)
        steps = {i for i, rules in matched.items() if any(one.rule.id in self._by_step for one in rules)}
        return [i for i, span in enumerate(events) if i in steps or span.kind == "approval"]

    def observe(self, event: Span, state: Tracks) -> Iterator[Finding]:
        decision, source, _ = approval(event)
        by_human = (decision, source) == ("allow", "human")
        if event.kind == "approval":
            if by_human and event.call_id:
                _tell(state.allowed, event.call_id)
            return
        if decision == "deny":
            return
        touched: dict[str, tuple[CorrelationRule, Track]] = {}
        for matched, act in self._matcher.of(event):
            if matched.approved is not None and (by_human or event.call_id in state.allowed):
                continue
            for rule, place in self._by_step.get(matched.id, ()):
                key, track = self._track(rule, event, state)
                hit = _hit(event, rule.field, act)
                if _remember(track, place, hit, rule, state.watermark_ns):
                    touched[key] = (rule, track)
        state.watermark_ns = max(state.watermark_ns, event.start_ns)
        for rule, track in touched.values():
            for chain in _chains(rule, track):
                deciding = chain[-1]
                if deciding.subject in track.told:
                    continue
                _tell(track.told, deciding.subject)
                yield _report(self, rule, event, chain)

    def _track(self, rule: CorrelationRule, event: Span, state: Tracks) -> tuple[str, Track]:
        group = [VIRTUAL[name](event) if name in VIRTUAL else event.fields.get(name) for name in rule.group_by]
        key = "\x1f".join((rule.id, *("" if value is None else str(value)[:200] for value in group)))
        track = state.tracks.get(key)
        if track is None:
            if len(state.tracks) >= MAX_TRACKS:
                del state.tracks[next(iter(state.tracks))]
            track = state.tracks[key] = Track([[] for _ in rule.steps])
        return key, track


def _hit(span: Span, field: str = "", act: Act | None = None) -> Hit:
    what = describe(span, act)
    return Hit(
        span.start_ns,
        span.call_id or span.id,
        span.trace_id,
        span.span_id,
        (what.get("part") or what.get("what") or what.get("tool") or span.name)[:MAX_NOTE],
        span.text(field)[:200] if field else what.get("host", ""),
    )


def _tell(known: dict[str, None], one: str) -> None:
    known[one] = None
    if len(known) > MAX_TOLD:
        del known[next(iter(known))]


def _remember(track: Track, place: int, hit: Hit, rule: CorrelationRule, watermark_ns: int) -> bool:
    """Put the hit in its place; False when it is known or too old to matter."""
    hits = track.steps[place]
    if any(known.subject == hit.subject for known in hits):
        return False
    # Without a step before it, a hit waits only for one that comes late; what is older than that cannot matter.
    waiting = rule.kind == "temporal_ordered" and place > 0 and not track.steps[place - 1]
    reach, most = (0, MAX_WAITING) if waiting else (rule.timespan_ns, MAX_HITS)
    horizon = max(watermark_ns, hit.time_ns) - reach - LATENESS_NS
    if hit.time_ns < horizon:
        return False
    insort(hits, hit)
    while hits[0].time_ns < horizon or len(hits) > most:
        del hits[0]
    return hit in hits


def _chains(rule: CorrelationRule, track: Track) -> Iterator[list[Hit]]:
    """Every complete chain, deciding span last; at most one per deciding span."""
    if rule.kind in ("temporal_ordered", "temporal") and not all(track.steps):
        return
    if rule.kind == "temporal_ordered":
        for last in track.steps[-1]:
            chain = [last]
            for hits in reversed(track.steps[:-1]):
                before = _before(hits, chain[0], {one.subject for one in chain})
                if before is None or last.time_ns - before.time_ns > rule.timespan_ns:
                    break
                chain.insert(0, before)
            else:
                yield chain
        return
    everything = sorted({hit for hits in track.steps for hit in hits})
    for end, last in enumerate(everything):
        inside = [hit for hit in everything[: end + 1] if last.time_ns - hit.time_ns <= rule.timespan_ns]
        if rule.kind == "temporal":
            steps = [[hit for hit in hits if hit in inside] for hits in track.steps]
            if all(steps):
                yield sorted({*(hits[-1] for hits in steps), last})
        elif rule.kind == "event_count":
            if len({hit.subject for hit in inside}) >= rule.at_least:
                yield inside
        elif len({hit.value for hit in inside if hit.value}) >= rule.at_least:
            yield inside


def _before(hits: list[Hit], later: Hit, taken: set[str]) -> Hit | None:
    """The latest hit not after `later` that is not one of the chain's own spans."""
    place = bisect_right(hits, later.time_ns, key=lambda hit: hit.time_ns)
    return next((hit for hit in reversed(hits[:place]) if hit.subject not in taken), None)


def _report(detector: Correlations, rule: CorrelationRule, event: Span, chain: list[Hit]) -> Finding:
    deciding = chain[-1]
    about = msgspec.structs.replace(
        event, start_ns=deciding.time_ns, trace_id=deciding.trace_id, span_id=deciding.span_id
    )
    steps = {f"step_{i}": f"{hit.span_id} {hit.what}".strip() for i, hit in enumerate(chain[-8:], 1)}
    return finding(
        detector,
        about,
        rule_id=rule.id,
        severity=rule.severity,
        category=rule.category,
        title=rule.title,
        confidence=rule.confidence,
        subject=deciding.subject,
        evidence={
            "who": event.text("user") or event.agent_id or event.resource.service,
            "what": deciding.what,
            **({"host": deciding.value} if deciding.value and not rule.field else {}),
            **steps,
            "approver": "none",
            **({"runbook": rule.runbook} if rule.runbook else {}),
        },
        span_ids=tuple(hit.span_id for hit in chain if hit.span_id),
        standards=rule.standards,
    )


class Leaving(msgspec.Struct, array_like=True):
    """Secrets that came into the session, and secrets that went out, by fingerprint."""

    read: dict[str, list[Hit]] = {}
    sent: dict[str, list[Hit]] = {}
    told: dict[str, None] = {}


def _keep(store: dict[str, list[Hit]], mark: str, hit: Hit) -> None:
    hits = store.setdefault(mark, [])
    if all(known.subject != hit.subject for known in hits):
        insort(hits, hit)
        del hits[:-MAX_PASSES]
    if len(store) > MAX_TOLD:
        del store[next(iter(store))]


OUTWARD = frozenset({"arguments", "command.line", "url", "header", "body", "attribute"})


class SecretSent(Detector[Span, Leaving]):
    """A secret the agent read, and later that very secret on its way to a destination nobody allowed.

    Confirmed by the keyed fingerprint, so nothing is guessed.
    Blind spots: a secret sent encoded or in parts; sent to an allowed destination; read in another session; per
    session 256 fingerprints are remembered, the oldest forgotten first.
    """

    id = "correlation.secret_sent"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "exfiltration.secret-sent": About(
                title="A secret the agent had read was sent to a destination nobody allowed",
                severity=Severity.CRITICAL,
                category=Category.DATA_EXFILTRATION,
                standards=("LLM02:2026", "ASI02", "ASI03", "AML.T0086", "T1552", "T1567"),
                runbook="Revoke the secret now, block the host, then list what else this session sent.",
                rows=("E3",),
            )
        }
    )

    def __init__(self, destinations: Destinations, *, within_ns: int = 1_800_000_000_000) -> None:
        self._destinations = destinations
        self._within_ns = within_ns

    def new_state(self) -> Leaving:
        return Leaving()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, span in enumerate(events) if span.secrets]

    def observe(self, event: Span, state: Leaving) -> Iterator[Finding]:
        outside = self._destinations.outside(event)
        hit = msgspec.structs.replace(_hit(event), value=",".join(outside))
        for match in event.secrets:
            mark = match.fingerprint
            if outside and match.surface in OUTWARD:
                _keep(state.sent, mark, hit)
            elif match.surface == "result" and event.kind not in ("llm_call", "approval"):
                _keep(state.read, mark, hit)
            yield from self._leaks(event, mark, state)

    def _leaks(self, event: Span, mark: str, state: Leaving) -> Iterator[Finding]:
        for sent in state.sent.get(mark, ()):
            read = _before(state.read.get(mark, []), sent, {sent.subject})
            told = f"{mark}/{sent.subject}"
            if read is None or sent.time_ns - read.time_ns > self._within_ns or told in state.told:
                continue
            _tell(state.told, told)
            about = msgspec.structs.replace(event, start_ns=sent.time_ns, trace_id=sent.trace_id, span_id=sent.span_id)
            yield finding(
                self,
                about,
                rule_id="exfiltration.secret-sent",
                confidence="confirmed",
                subject=sent.subject,
                key=mark,
                evidence={
                    "who": event.text("user") or event.agent_id or event.resource.service,
                    "what": sent.what,
                    "host": sent.value,
                    "fingerprint": mark,
                    "step_1": f"{read.span_id} {read.what}".strip(),
                    "step_2": f"{sent.span_id} {sent.what}".strip(),
                    "approver": "none",
                },
                span_ids=tuple(one for one in (read.span_id, sent.span_id) if one),
            )
