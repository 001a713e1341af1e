"""Correlations inside one session: steps that mean little alone and much together, in whatever order they arrive."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from detectors.about import About
from detectors.behaviour import VIRTUAL, Matcher, approval, describe
from detectors.detector import Detector, finding
from detectors.egress import Destinations
from detectors.facts import Act
from detectors.model import Category, Confidence, Finding, Severity, Span

Kind: TypeAlias = Literal["temporal_ordered", "temporal", "event_count", "value_count", "value_sum"]

LATENESS_NS = 300_000_000_000  # a step may arrive this much later, in event time, than what came after it
MAX_HITS = 64  # per step; the oldest in event time are forgotten first
MAX_WAITING = (
    16  # of an ordered rule's step while nothing before it was seen: most sessions reach out and read no secret
)
MAX_COUNTED = 1_000  # events or values a counting rule may ask for
MAX_SUMMED = 256  # events whose values are summed
MAX_TRACKS = 64  # groups of one rule in one session
MAX_ALL_TRACKS = 1_024  # groups of all rules in one session
MAX_TOLD = 256
MAX_PASSES = 16  # times one secret was read, or sent
MAX_NOTE = 160


class CorrelationRule(msgspec.Struct, frozen=True, kw_only=True):
    """A Sigma correlation ready to run; its steps are names of span rules or of other correlations.

    `gap_ns`: longest pause between two steps in order, 0 for any. `late_ns`: how much later than what came after it,
    in event time, a step may arrive. `aliases`: name in `group_by` → step → its field. `reports` is false for one
    that is only a step.
    """

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
    aliases: Mapping[str, Mapping[str, str]] = {}
    at_least: float = 0  # events, distinct values or their sum, for the counting kinds
    field: str = ""  # whose values are counted or summed
    gap_ns: int = 0
    late_ns: int = LATENESS_NS
    reports: bool = True
    rows: tuple[str, ...] = ()
    file: str = ""
    at: str = ""  # key path in the file
    source: Mapping[str, Any] = {}


class Hit(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One span that matched a step: enough to report it when the rest of the chain comes later."""

    time_ns: int
    subject: str
    trace_id: str
    span_id: str
    what: str = ""
    value: str = ""
    marks: tuple[str, ...] = ()  # fingerprints of the secrets it showed


class Track(msgspec.Struct, array_like=True):
    """Hits per step, in event time, and the deciding spans already told."""

    steps: list[list[Hit]]
    told: dict[str, None] = {}


class Tracks(msgspec.Struct, array_like=True):
    """Tracks of a session by rule and group."""

    tracks: dict[str, Track] = {}
    watermark_ns: int = 0
    allowed: dict[str, None] = {}  # calls a human allowed


class _Touched(NamedTuple):
    """A track that has new hits, and the earliest of them in event time."""

    rule: CorrelationRule
    track: Track
    since_ns: int


class Correlations(Detector[Span, Tracks]):
    """Sigma correlations over the spans of one session.

    Blind spots: steps in different sessions; a step that arrives more than five minutes of event time late (or what
    the rule says) may be missed; per rule and step the newest 64 hits are remembered (a rule that counts: as many as
    it counts), 16 while the step before was not seen; per session 64 groups of a rule and 1,024 of all rules, the
    oldest forgotten first; a call that was denied is no step, nor is one that a human had allowed where the step's
    rule says so (`approved`).
    """

    id = "correlation.rules"
    version = "2"
    scope = "session"

    def __init__(self, matcher: Matcher, rules: Sequence[CorrelationRule]) -> None:
        self._matcher = matcher
        self._by_step: dict[str, list[tuple[CorrelationRule, int]]] = {}
        for rule in rules:
            for place, step in enumerate(rule.steps):
                self._by_step.setdefault(step, []).append((rule, place))
        by_id = {rule.id: rule for rule in rules}
        self._depth = {rule.id: _depth(rule, by_id) for rule in rules}  # steps are worked out before their rules

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
        touched: dict[str, _Touched] = {}
        for matched, act in self._matcher.of(event):
            if matched.approved is not None and (by_human or event.call_id in state.allowed):
                continue
            self._take(matched.id, event, act, None, state, touched)
        state.watermark_ns = max(state.watermark_ns, event.start_ns)
        while touched:
            rule, track, since = touched.pop(min(touched, key=lambda key: self._depth[touched[key].rule.id]))
            for chain in _chains(rule, track, since):
                deciding = chain[-1]
                if deciding.subject in track.told:
                    continue
                _tell(track.told, deciding.subject)
                self._take(rule.id, event, None, deciding, state, touched)
                if rule.reports:
                    yield _report(self, rule, event, chain)

    def _take(
        self,
        step: str,
        event: Span,
        act: Act | None,
        came: Hit | None,
        state: Tracks,
        touched: dict[str, _Touched],
    ) -> None:
        """Put what happened (or the hit that completed another correlation) where it is a step."""
        for rule, place in self._by_step.get(step, ()):
            key, track = self._track(rule, step, event, act, state)
            hit = _hit(event, rule.field, act)
            if came is not None:
                hit = msgspec.structs.replace(came, subject=f"{step}/{came.subject}", value=hit.value)
            if _remember(track, place, hit, rule, state.watermark_ns):
                since = min(hit.time_ns, touched[key].since_ns) if key in touched else hit.time_ns
                touched[key] = _Touched(rule, track, since)

    def _track(
        self, rule: CorrelationRule, step: str, event: Span, act: Act | None, state: Tracks
    ) -> tuple[str, Track]:
        group = [_value(event, rule.aliases.get(name, {}).get(step, name), act) for name in rule.group_by]
        key = "\x1f".join((rule.id, *(value[:200] for value in group)))
        track = state.tracks.get(key)
        if track is None:
            same = _of_rule(rule.id, state) if len(state.tracks) >= MAX_TRACKS else []
            if len(same) >= MAX_TRACKS:
                del state.tracks[same[0]]
            elif len(state.tracks) >= MAX_ALL_TRACKS:
                del state.tracks[next(iter(state.tracks))]
            track = state.tracks[key] = Track([[] for _ in rule.steps])
        return key, track


def _of_rule(rule_id: str, state: Tracks) -> list[str]:
    """Keys of the rule's tracks, oldest first."""
    begins = rule_id + "\x1f"
    return [one for one in state.tracks if one.startswith(begins) or one == rule_id]


def _depth(rule: CorrelationRule, by_id: Mapping[str, CorrelationRule]) -> int:
    """How many correlations lie below; the rules were read, so none leads back to itself."""
    return max((1 + _depth(by_id[step], by_id) for step in rule.steps if step in by_id), default=0)


def _value(span: Span, field: str, act: Act | None) -> str:
    """A field of the span, computed or of the act that matched, as text."""
    if act is not None and field in act:
        value: Any = act[field]
    else:
        value = VIRTUAL[field](span) if field in VIRTUAL else span.fields.get(field)
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _hit(span: Span, field: str = "", act: Act | None = None) -> Hit:
    what = describe(span, act)
    return Hit(
        span.start_ns,
        span.call_id or span.id,
        span.trace_id,
        span.span_id,
        (what.get("part") or what.get("what") or what.get("tool") or span.name)[:MAX_NOTE],
        _value(span, field, act)[:200] if field else what.get("host", ""),
        tuple(sorted({one.fingerprint for one in span.secrets})[:MAX_PASSES]),
    )


def _tell(known: dict[str, None], one: str) -> None:
    known[one] = None
    if len(known) > MAX_TOLD:
        del known[next(iter(known))]


def _most(rule: CorrelationRule) -> int:
    """Hits a step remembers."""
    if rule.kind == "value_sum":
        return MAX_SUMMED
    return max(MAX_HITS, int(rule.at_least)) if rule.kind in ("event_count", "value_count") else MAX_HITS


def _remember(track: Track, place: int, hit: Hit, rule: CorrelationRule, watermark_ns: int) -> bool:
    """Put the hit in its place; False when it is known or too old to matter."""
    hits = track.steps[place]
    if any(known.subject == hit.subject for known in hits):
        return False
    # Without a step before it, a hit waits only for one that comes late; what is older than that cannot matter.
    waiting = rule.kind == "temporal_ordered" and place > 0 and not track.steps[place - 1]
    reach, most = (0, MAX_WAITING) if waiting else (rule.timespan_ns, _most(rule))
    horizon = max(watermark_ns, hit.time_ns) - reach - rule.late_ns
    if hit.time_ns < horizon:
        return False
    insort(hits, hit)
    while hits[0].time_ns < horizon or len(hits) > most:
        del hits[0]
    return hit in hits


def _chains(rule: CorrelationRule, track: Track, since_ns: int) -> Iterator[list[Hit]]:
    """Complete chains that end no earlier than the newest hit, deciding span last; at most one per deciding span."""
    if rule.kind in ("temporal_ordered", "temporal") and not all(track.steps):
        return
    if rule.kind == "temporal_ordered":
        ordered = _paced if rule.gap_ns else _ordered
        for last in _from(track.steps[-1], since_ns):
            if last.subject not in track.told and (found := ordered(rule, track.steps, last)):
                yield found
        return
    everything = track.steps[0] if len(track.steps) == 1 else sorted({hit for hits in track.steps for hit in hits})
    for last in _from(everything, since_ns):
        if last.subject in track.told or last.time_ns - since_ns > rule.timespan_ns:
            continue
        begin = bisect_left(everything, last.time_ns - rule.timespan_ns, key=lambda hit: hit.time_ns)
        inside = everything[begin : everything.index(last) + 1]
        if rule.kind == "temporal":
            steps = [[hit for hit in hits if hit in inside] for hits in track.steps]
            if all(steps):
                yield sorted({*(hits[-1] for hits in steps), last})
        elif _enough(rule, inside):
            yield inside


def _from(hits: Sequence[Hit], since_ns: int) -> Sequence[Hit]:
    return hits[bisect_left(hits, since_ns, key=lambda hit: hit.time_ns) :]


def _enough(rule: CorrelationRule, inside: Sequence[Hit]) -> bool:
    if rule.kind == "event_count":
        return len({hit.subject for hit in inside}) >= rule.at_least
    if rule.kind == "value_count":
        return len({hit.value for hit in inside if hit.value}) >= rule.at_least
    return sum({hit.subject: _amount(hit.value) for hit in inside}.values()) >= rule.at_least


def _amount(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0


def _ordered(rule: CorrelationRule, steps: Sequence[list[Hit]], last: Hit) -> list[Hit] | None:
    """The closest chain before `last`: of each step the latest hit that fits."""
    chain = [last]
    for hits in reversed(steps[:-1]):
        before = _before(hits, chain[0], {one.subject for one in chain})
        if before is None or last.time_ns - before.time_ns > rule.timespan_ns:
            return None
        chain.insert(0, before)
    return chain


def _paced(rule: CorrelationRule, steps: Sequence[list[Hit]], last: Hit) -> list[Hit] | None:
    """The same where no pause may be longer than the gap: of each hit the chain that starts latest is carried on."""
    chains: list[list[Hit]] = [[last]]
    for hits in reversed(steps[:-1]):
        longer: list[list[Hit]] = []
        for hit in reversed(hits):
            fits = (
                chain
                for chain in chains
                if 0 <= chain[0].time_ns - hit.time_ns <= rule.gap_ns
                and last.time_ns - hit.time_ns <= rule.timespan_ns
                and all(hit.subject != one.subject for one in chain)
            )
            if (chain := next(fits, None)) is not None:
                longer.append([hit, *chain])
        chains = longer
    return chains[0] if chains else None


def _before(hits: list[Hit], later: Hit, taken: set[str]) -> Hit | None:
    """The latest hit not after `later` that is not one of the chain's own spans."""
    place = bisect_right(hits, later.time_ns, key=lambda hit: hit.time_ns)
    return next((hit for hit in reversed(hits[:place]) if hit.subject not in taken), None)


def _report(detector: Correlations, rule: CorrelationRule, event: Span, chain: list[Hit]) -> Finding:
    deciding = chain[-1]
    same = sorted({mark for hit in chain[:-1] for mark in hit.marks}.intersection(deciding.marks))
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
        confidence="confirmed" if same else rule.confidence,  # the secret that was found is the one that was used
        subject=deciding.subject,
        evidence={
            "who": event.text("user") or event.agent_id or event.resource.service,
            "what": deciding.what,
            **({"fingerprint": same[0]} if same else {}),
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
    refused: list[int] = []  # when a call failed for lack of rights
    destroying: dict[str, None] = {}  # calls that a rule about destruction matched


def _keep(store: dict[str, list[Hit]], mark: str, hit: Hit) -> None:
    hits = store.setdefault(mark, [])
    if all(known.subject != hit.subject for known in hits):
        insort(hits, hit)
        del hits[:-MAX_PASSES]
    if len(store) > MAX_TOLD:
        del store[next(iter(store))]


REFUSED, DESTROYS = "step.auth-error", "destructive."
OUTWARD = frozenset({"arguments", "command.line", "url", "header", "body", "attribute"})


class SecretSent(Detector[Span, Leaving]):
    """A secret the agent read, and later that very secret on its way to a destination nobody allowed.

    Confirmed by the keyed fingerprint, so nothing is guessed. A secret found after a refusal and then used to destroy
    something is the matter of `destructive.stolen-credential`, which names all of its steps.
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

    def __init__(
        self, destinations: Destinations, matcher: Matcher | None = None, *, within_ns: int = 1_800_000_000_000
    ) -> None:
        self._destinations = destinations
        self._matcher = matcher or Matcher(())
        self._within_ns = within_ns

    def new_state(self) -> Leaving:
        return Leaving()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        matched = self._matcher.prepare(events)
        refused = {i for i, rules in matched.items() if any(one.rule.id == REFUSED for one in rules)}
        return [i for i, span in enumerate(events) if span.secrets or i in refused]

    def observe(self, event: Span, state: Leaving) -> Iterator[Finding]:
        rules = {matched.rule.id for matched in self._matcher.of(event)}
        if REFUSED in rules:
            insort(state.refused, event.start_ns)
            del state.refused[MAX_PASSES:]  # the earliest ones tell most
        outside = self._destinations.outside(event)
        if outside and any(one.startswith(DESTROYS) for one in rules):
            _tell(state.destroying, event.call_id or event.id)
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
            if sent.subject in state.destroying and state.refused and state.refused[0] <= read.time_ns:
                continue
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
