"""Behaviour rules: what one Span did, by Sigma rules whose texts are all looked for in one scan."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import is_
from types import MappingProxyType
from typing import Any, NamedTuple

import hyperscan
import msgspec

from detectors import facts
from detectors.detector import Detector, finding
from detectors.model import Category, Confidence, Finding, Scalar, Severity, Span
from detectors.sigma import Condition, Get, Sign

SEPARATOR = "\n\x00\n"
MAX_WHAT = 300
MAX_APPROVALS = 256
MAX_TOLD = 64  # calls whose approval may still come
MAX_SHAPES = 4_096  # combinations of fields remembered
MATCHED = "rule.id"  # the field that holds the rules which matched this very span


class SpanRule(msgspec.Struct, frozen=True, kw_only=True):
    """A Sigma rule ready to run. `reports` is false for a rule that is only a step of correlations.

    `approved` is the severity left when a human had allowed the very call; None when approval changes nothing.
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
    approved: Severity | None = None
    reports: bool = True
    applies: Callable[[Span], bool]
    condition: Condition
    exceptions: tuple[Condition, ...] = ()
    rows: tuple[str, ...] = ()
    file: str = ""
    at: str = ""  # key path in the file
    source: Mapping[str, Any] = {}

    @property
    def by_act(self) -> bool:
        """Whether the rule reads facts, and so is tested on one act at a time."""
        return not self.condition.fields.isdisjoint(facts.FIELDS)


class Matched(NamedTuple):
    """A rule that matches a span, and the act on which it does; no act for a rule that reads no facts."""

    rule: SpanRule
    act: facts.Act | None


def _words(values: Iterable[str]) -> tuple[str, ...] | None:
    return tuple(sorted(set(values))) or None


VIRTUAL: Mapping[str, Get] = MappingProxyType(
    {  # fields of a rule that are no entry of Span.fields
        "kind": lambda span: span.kind,
        "agent.id": lambda span: span.agent_id or None,
        "agent.type": lambda span: span.agent_type or None,
        "session.id": lambda span: span.session_id,
        "tenant": lambda span: span.tenant,
        "service": lambda span: span.resource.service or None,
        "emitter": lambda span: span.resource.emitter or None,
        "dialect": lambda span: span.dialect,
        "span.name": lambda span: span.name or None,
        "span.status": lambda span: span.status,
        "secret.rule": lambda span: _words(match.rule_id for match in span.secrets),
        "secret.surface": lambda span: _words(match.surface for match in span.secrets),
        "secret.verdict": lambda span: _words(match.verdict for match in span.secrets),
    }
)
COMPUTED_FROM: Mapping[str, tuple[str, ...]] = MappingProxyType(  # what must be there for a computed field to be
    {"egress.class": ("egress.host", "egress.hosts")}
)


class _Scan(NamedTuple):
    """What is looked for in one field: the database of all its patterns, and by pattern the rules it may mean."""

    database: Any
    scratch: Any
    rules: list[list[int]]


class _Asked(NamedTuple):
    """What is looked at in spans with the same fields."""

    scanned: tuple[str, ...]  # fields whose text is looked through
    present: tuple[int, ...]  # rules to try because a field is there
    facts: bool


class Matcher:
    """Which rules match a Span. One scan a field looks for the signs of all rules in all spans of a batch.

    A text is scanned for what rules look for in its field alone: a word that is rare in commands is common in prose.

    What it remembers of the last batch is a cache of a pure function.
    """

    def __init__(self, rules: Sequence[SpanRule]) -> None:
        self.rules = tuple(rules)
        self._scans: dict[str, _Scan] = {}  # by field
        self._present: dict[str, list[int]] = {}  # field → rules to try wherever it is present
        self._secret: list[int] = []
        self._computed: dict[str, dict[str, list[int]]] = {}  # computed field → its value → rules to try
        self._always: list[int] = []
        self._after: list[int] = []  # rules about the rules that matched
        self._batch: tuple[Span, ...] = ()
        self._ids: frozenset[int] = frozenset()
        self._by_act = [rule.by_act for rule in self.rules]
        self._shapes: dict[tuple[str, ...], _Asked] = {}
        self._index: dict[int, tuple[Matched, ...]] = {}
        self._hits: dict[int, tuple[Matched, ...]] = {}
        self._build()

    def _build(self) -> None:
        wanted: dict[str, dict[tuple[str, int], list[int]]] = {}  # field → pattern and flags → rules
        for place, rule in enumerate(self.rules):
            if MATCHED in rule.condition.fields:
                self._after.append(place)
            elif rule.condition.signs is None:
                self._always.append(place)
            else:
                for sign in sorted(rule.condition.signs, key=lambda s: (s.field, s.pattern)):
                    self._register(place, sign, wanted)
        for field, patterns in wanted.items():
            compiled = database(tuple(patterns))
            self._scans[field] = _Scan(compiled, compiled.scratch.clone(), list(patterns.values()))  # one per thread
        self._needed = frozenset(self._scans) | frozenset(self._present)
        self._facts = any(self._by_act)

    def _register(self, place: int, sign: Sign, wanted: dict[str, dict[tuple[str, int], list[int]]]) -> None:
        if sign.field.startswith("secret."):
            self._secret.append(place)
        elif sign.field in COMPUTED_FROM:
            for field in COMPUTED_FROM[sign.field]:
                self._present.setdefault(field, []).append(place)
        elif sign.field in VIRTUAL and sign.exact:
            self._computed.setdefault(sign.field, {}).setdefault(sign.exact, []).append(place)
        elif sign.field in VIRTUAL:
            self._always.append(place)
        elif not sign.pattern:
            self._present.setdefault(sign.field, []).append(place)
        else:
            pattern = (sign.pattern, flags(sign.caseless, sign.dotall))
            wanted.setdefault(sign.field, {}).setdefault(pattern, []).append(place)

    def prepare(self, spans: Sequence[Span]) -> dict[int, tuple[Matched, ...]]:
        """Rules that match, by index of the span; spans that match none are absent."""
        if len(spans) != len(self._batch) or not all(map(is_, spans, self._batch)):
            self._hits = {}
            self._batch = tuple(spans)
            self._ids = frozenset(map(id, spans))
            self._index = self._match(self._batch)
            self._hits = {id(spans[i]): rules for i, rules in self._index.items()}
        return self._index

    def of(self, span: Span) -> tuple[Matched, ...]:
        """Rules that match this span."""
        if id(span) not in self._ids:
            self.prepare((span,))
        return self._hits.get(id(span), ())

    def _match(self, spans: Sequence[Span]) -> dict[int, tuple[Matched, ...]]:
        tries = self._candidates(spans)
        if self._secret or self._always or self._computed:
            for i, span in enumerate(spans):
                if more := self._unscanned(span):
                    tries.setdefault(i, set()).update(more)
        found: dict[int, tuple[Matched, ...]] = {}
        for i, places in tries.items():
            span = spans[i]
            views = _views(span) if any(map(self._by_act.__getitem__, places)) else ()
            matched = [one for place in sorted(places) if (one := self._try(place, span, views))]
            if matched and self._after:
                named = {**span.fields, MATCHED: tuple(dict.fromkeys(one.rule.id for one in matched))}
                after = msgspec.structs.replace(span, fields=named)
                views = _views(after)
                matched += [one for place in self._after if (one := self._try(place, after, views))]
            if matched:
                found[i] = tuple(matched)
        return found

    def _try(self, place: int, span: Span, views: Iterable[tuple[facts.Act | None, Span]]) -> Matched | None:
        rule = self.rules[place]
        if not self._by_act[place]:
            return Matched(rule, None) if _holds(rule, span) else None
        for act, view in views:
            if _holds(rule, view):
                return Matched(rule, act)
        return None

    def _unscanned(self, span: Span) -> list[int]:
        """Rules to try whose sign is no text: what the span is, and that it holds secrets."""
        places = list(self._always)
        if span.secrets:
            places += self._secret
        for field, by_value in self._computed.items():
            value = VIRTUAL[field](span)
            places += by_value.get(value.lower() if isinstance(value, str) else str(value), ())
        return places

    def _candidates(self, spans: Sequence[Span]) -> dict[int, set[int]]:
        """Rules worth trying per span: those of which a sign shows."""
        tries: dict[int, set[int]] = {}
        texts: dict[str, dict[str, list[int]]] = {field: {} for field in self._scans}  # a text is scanned once
        present, shapes = self._present, self._shapes
        for i, span in enumerate(spans):
            fields = span.fields
            asked = shapes.get(shape := tuple(fields)) or self._ask(shape)
            for field in asked.scanned:
                texts[field].setdefault(_spelled(fields[field]), []).append(i)
            if asked.present:
                tries[i] = set(asked.present)
            if asked.facts and (acts := facts.of(span).acts):
                for field, text in _told(acts, self._needed):
                    if field in present:
                        tries.setdefault(i, set()).update(present[field])
                    if field in texts:
                        texts[field].setdefault(text, []).append(i)
        for field, owners in texts.items():
            if owners:
                _look(self._scans[field], owners, tries)
        return tries

    def _ask(self, shape: tuple[str, ...]) -> _Asked:
        """What a span with these fields is asked; remembered, for fields come in few combinations."""
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        found = self._shapes[shape] = _Asked(
            tuple(field for field in shape if field in self._scans),
            tuple(dict.fromkeys(place for field in shape for place in self._present.get(field, ()))),
            self._facts and not facts.SOURCES.isdisjoint(shape),
        )
        return found


def _look(scan: _Scan, owners: Mapping[str, Sequence[int]], tries: dict[int, set[int]]) -> None:
    """Look for every pattern of a field in all its texts at once."""
    starts, buffer = _join(list(owners))
    hits: list[tuple[int, int]] = []
    scan.database.scan(buffer, match_event_handler=_note, context=hits, scratch=scan.scratch)
    spans = list(owners.values())
    for number, end in dict.fromkeys(hits):
        for i in spans[bisect_right(starts, end - 1) - 1]:
            tries.setdefault(i, set()).update(scan.rules[number])


def flags(caseless: bool, dotall: bool) -> int:
    """Hyperscan flags of a sign: `^` and `$` are looser than meant, for a field is one stretch of a longer buffer."""
    wanted: int = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_MULTILINE
    if caseless:
        wanted |= hyperscan.HS_FLAG_CASELESS
    if dotall:
        wanted |= hyperscan.HS_FLAG_DOTALL
    return wanted


@lru_cache(maxsize=256)
def database(patterns: tuple[tuple[str, int], ...]) -> Any:
    """Compiled database of (pattern, flags); pattern i reports as i. Raises hyperscan.error."""
    compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    compiled.compile(
        expressions=[pattern.encode() for pattern, _ in patterns],
        ids=list(range(len(patterns))),
        elements=len(patterns),
        flags=[wanted for _, wanted in patterns],
    )
    return compiled


def _note(number: int, start: int, end: int, flag: int, hits: list[tuple[int, int]]) -> None:
    hits.append((number, end))


def _join(texts: list[str]) -> tuple[list[int], bytes]:
    """One buffer of all texts, and where in it each starts."""
    text = SEPARATOR.join(texts)
    buffer = text.encode("utf-8", "replace")
    lengths = map(len, texts) if len(buffer) == len(text) else (len(t.encode("utf-8", "replace")) for t in texts)
    starts, at = [], 0
    for length in lengths:
        starts.append(at)
        at += length + len(SEPARATOR)
    return starts, buffer


def _spelled(value: Scalar) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _told(acts: Sequence[facts.Act], needed: frozenset[str]) -> Iterable[tuple[str, str]]:
    """Every fact that a rule may look for, all its values in one text, a line each."""
    lines: dict[str, str] = {}
    for act in acts:
        for field, value in act.items():
            if field in needed:
                text = "\n".join(value) if type(value) is tuple else _spelled(value)  # type: ignore[arg-type]  # a scalar
                lines[field] = f"{lines[field]}\n{text}" if field in lines else text
    return lines.items()


def _views(span: Span) -> Sequence[tuple[facts.Act | None, Span]]:
    """The span once per act, the act's facts among its fields; once without when it does nothing that has facts."""
    acts = facts.of(span).acts
    return [(act, msgspec.structs.replace(span, fields={**span.fields, **act})) for act in acts] or [(None, span)]


def _holds(rule: SpanRule, span: Span) -> bool:
    if not (rule.applies(span) and rule.condition.test(span)):
        return False
    return not rule.exceptions or not any(e.test(span) for e in rule.exceptions)


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A finding that an approval would have made milder, and how mild; `end_ns` is the end of its call."""

    finding: Finding
    approved: Severity
    end_ns: int


class Approvals(msgspec.Struct, array_like=True):
    """Decisions heard in a session, by call: decision, source, who, when; and findings whose approval may be late."""

    calls: dict[str, tuple[str, str, str, int]] = {}
    told: dict[str, list[Told]] = {}


class BehaviourRules(Detector[Span, Approvals]):
    """Sigma rules on single Spans; knows which calls a human allowed before, also when that is delivered after.

    A decision counts when it was made before its call ended. One that is delivered after its call makes the finding
    milder then.
    Blind spots: what a command does inside a script file it runs; at most 256 decisions and 64 calls that wait for
    a late decision are remembered per session, the oldest forgotten first.
    """

    id = "behaviour.rules"
    version = "2"
    scope = "session"

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def new_state(self) -> Approvals:
        return Approvals()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        matched = self._matcher.prepare(events)
        return [i for i, span in enumerate(events) if i in matched or span.kind == "approval"]

    def observe(self, event: Span, state: Approvals) -> Iterator[Finding]:
        decided = approval(event)
        if event.kind == "approval" and event.call_id and decided[0]:
            state.calls.pop(event.call_id, None)
            state.calls[event.call_id] = (*(part[:MAX_WHAT] for part in decided), event.start_ns)  # type: ignore[assignment]  # three parts
            if len(state.calls) > MAX_APPROVALS:
                del state.calls[next(iter(state.calls))]
            yield from _corrected(event, state)
        for rule, act in self._matcher.of(event):
            if rule.reports:
                *known, at_ns = state.calls.get(event.call_id, ("", "", "", 0))
                before = decided if decided[0] else known if at_ns <= event.end_ns else ("", "", "")
                found = _report(self, rule, event, before, act)
                if rule.approved is not None and not before[0] and event.call_id:
                    state.told.setdefault(event.call_id, []).append(Told(found, rule.approved, event.end_ns))
                    if len(state.told) > MAX_TOLD:
                        del state.told[next(iter(state.told))]
                yield found


def approval(span: Span) -> tuple[str, str, str]:
    """Decision, its source and who decided, as this span tells it; empty where it does not."""
    return span.text("approval.decision"), span.text("approval.source"), span.text("user")


def _corrected(decision: Span, state: Approvals) -> Iterator[Finding]:
    """Findings of the decided call again, as they would have been had the decision come before them."""
    for told in state.told.pop(decision.call_id, ()):
        if decision.start_ns <= told.end_ns:
            approver, severity = _judged(told.finding.severity, told.approved, approval(decision))
            evidence = {**told.finding.evidence, "approver": approver}
            yield msgspec.structs.replace(told.finding, severity=severity, evidence=evidence)


def _judged(severity: Severity, approved: Severity, decided: Sequence[str]) -> tuple[str, Severity]:
    """Who decided, in words, and the severity left after that."""
    decision, source, who = decided
    if decision == "allow":
        by_human = source == "human"
        return (who if by_human and who else source or "unknown"), min(severity, approved) if by_human else severity
    if decision == "deny":
        return f"denied by {source or 'unknown'}", min(severity, Severity.LOW)
    return "none", severity


def _report(
    detector: BehaviourRules, rule: SpanRule, span: Span, decided: Sequence[str], act: facts.Act | None
) -> Finding:
    evidence, severity = describe(span, act), rule.severity
    if rule.approved is not None:
        evidence["approver"], severity = _judged(severity, rule.approved, decided)
    if rule.runbook:
        evidence["runbook"] = rule.runbook
    return finding(
        detector,
        span,
        rule_id=rule.id,
        severity=severity,
        category=rule.category,
        title=rule.title,
        confidence=rule.confidence,
        evidence=evidence,
        standards=rule.standards,
    )


def describe(span: Span, act: facts.Act | None = None) -> dict[str, str]:
    """Who did what where, for a reader: masked already, and cut short. `act` is the part that matters."""
    text = span.text
    what = text("command.line") or text("db.statement") or text("url") or text("path") or text("arguments")
    done = act or {}
    said = done.get("command.words") or done.get("path.full") or ""
    part = (" ".join(said) if isinstance(said, tuple) else str(said))[:MAX_WHAT]
    known = {
        "who": text("user") or span.agent_id or span.resource.service,
        "what": what[:MAX_WHAT],
        "part": part if part != what else "",
        "tool": text("tool.name"),
        "host": text("egress.hosts") or text("egress.host") or text("host.name"),
        "path": text("path"),
    }
    return {name: value for name, value in known.items() if value}
