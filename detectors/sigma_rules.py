"""Sigma documents become rules ready to run: ours and a security team's own, each fault told with its key path."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec
from sigma.collection import deep_dict_update
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule, SigmaCorrelationType
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetection, SigmaDetections, SigmaRule

from detectors import standards
from detectors.behaviour import MATCHED, VIRTUAL, SpanRule
from detectors.correlation import LATENESS_NS, MAX_COUNTED, CorrelationRule, Kind
from detectors.model import Category, Confidence, Severity, Span
from detectors.rule_file import convert
from detectors.sigma import Condition, Get, Unsupported, compile_condition, either

Wrong: TypeAlias = Callable[[str, str, str], None]  # told file, key path and reason
Document: TypeAlias = tuple[str, str, Any]  # file, key path, content

LEVELS = {"informational": "INFO"}
SIGMA_KEYS = frozenset(
    {"title", "id", "name", "taxonomy", "related", "status", "description", "license", "references", "tags", "author"}
    | {"date", "modified", "fields", "falsepositives", "level", "scope", "logsource", "detection", "correlation"}
    | {"spanwatch"}
)
ABOUT = {"level": "level", "status": "status", "date": "date", "identifier": "id", "title": "title", "name": "name"}
ITEMS = frozenset({"modifier", "value", "type", "regularexpression", "detection", "condition", "placeholder"})
COUNTING = frozenset({"event_count", "value_count", "value_sum"})
KINDS: Mapping[SigmaCorrelationType, Kind] = MappingProxyType(
    {
        SigmaCorrelationType.TEMPORAL_ORDERED: "temporal_ordered",
        SigmaCorrelationType.TEMPORAL: "temporal",
        SigmaCorrelationType.EVENT_COUNT: "event_count",
        SigmaCorrelationType.VALUE_COUNT: "value_count",
        SigmaCorrelationType.VALUE_SUM: "value_sum",
    }
)
NOT_CALLS = frozenset({"approval", "llm_call", "prompt", "agent", "guardrail", "retrieval", "ci_run", "commit"})
CATEGORIES: Mapping[str, Callable[[Span], bool]] = MappingProxyType(
    {
        "": lambda span: True,
        "tool_call": lambda span: span.kind not in NOT_CALLS,
        "llm_call": lambda span: span.kind == "llm_call",
        "permission": lambda span: span.kind == "approval",
        "mcp": lambda span: span.kind == "mcp_call" or "mcp.server" in span.fields,
        "egress": lambda span: "egress.host" in span.fields,
        "vcs": lambda span: span.kind == "commit" or "commit.sha" in span.fields,
        "ci": lambda span: span.kind in ("ci_run", "ci_step"),
        "proxy": lambda span: span.kind in ("http_egress", "llm_call", "mcp_call"),
        "sensor": lambda span: True,
    }
)
_SPAN_OF_TIME = re.compile(r"(\d+)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
MAX_LATE_NS = 3_600_000_000_000


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spans as mappings of the fields a rule reads; for a correlation, short lists of such mappings."""

    match: tuple[Any, ...] = ()
    no_match: tuple[Any, ...] = ()


class Extra(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The block `spanwatch` of a Sigma rule.

    `gap` is the longest pause allowed between two steps of a `temporal_ordered` correlation, `out_of_order` how much
    later than what came after it, in event time, a step may arrive: 30s, 5m, 1h.
    """

    category: Category = Category.OVERREACH
    confidence: Confidence = "suspected"
    blind_spots: str = ""
    runbook: str = ""
    standards: tuple[str, ...] = ()
    approved: Literal["info", "low", "medium", "high", "critical"] | None = None
    examples: Examples = Examples()
    also: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()  # what of the requirement catalogue the rule shows
    gap: str = ""
    out_of_order: str = ""


class SigmaReader:
    """Reads the Sigma documents of one set of rules; what is wrong goes to `wrong`."""

    def __init__(
        self,
        wrong: Wrong,
        computed: Mapping[str, Get],
        excepted: Mapping[str, Sequence[dict[str, Any]]],
        overrides: str = "overrides",
    ) -> None:
        self._wrong, self._excepted, self._overrides = wrong, excepted, overrides
        self._virtual = {**VIRTUAL, **computed}

    def read(self, documents: Sequence[Document]) -> tuple[list[SpanRule], list[CorrelationRule]]:
        """Rules and correlations, in order; a rule that is only a step of correlations does not report."""
        spans: list[SpanRule] = []
        correlations: list[CorrelationRule] = []
        quiet: set[str] = set()
        for file, path, raw in self._merged(documents):
            if not self._known_keys(file, path, raw):
                continue
            extra, faults = convert(raw.get("spanwatch", {}), Extra)
            for at, reason in faults:
                self._wrong(file, f"{path}.spanwatch{at}", reason)
            if "correlation" in raw:
                found = self._correlation(file, path, raw, extra or Extra())
                if found and extra:
                    correlations.append(found)
                    if not raw["correlation"].get("generate"):
                        quiet.update(found.steps)
            elif (rule := self._span_rule(file, path, raw, extra or Extra())) and extra:
                spans.append(rule)
        self._steps(spans, correlations)
        return [_quieted(rule, quiet) for rule in spans], [_quieted(rule, quiet) for rule in correlations]

    def _merged(self, documents: Sequence[Document]) -> Iterator[Document]:
        """Documents with what an `action: global` before them in their file says for all, as Sigma collections do."""
        shared: dict[str, Any] = {}
        before: dict[str, Any] = {}
        last = ""
        for file, path, raw in documents:
            if file != last:
                shared, before, last = {}, {}, file
            if not isinstance(raw, dict):
                self._wrong(file, path, "expected a mapping")
                continue
            own = {key: value for key, value in raw.items() if key != "action"}
            match raw.get("action"):
                case None:
                    before = own if "correlation" in raw else deep_dict_update(own, shared)
                    yield file, path, before
                case "global":
                    shared = before = own
                case "reset":
                    shared = {}
                case "repeat":
                    before = deep_dict_update(dict(before), own)
                    yield file, path, before
                case other:
                    self._wrong(file, f"{path}.action", f"{other}: only global, reset and repeat are known")

    def _known_keys(self, file: str, path: str, raw: Mapping[str, Any]) -> bool:
        unknown = [str(key) for key in raw if key not in SIGMA_KEYS]
        for key in unknown:
            reason = (
                "Sigma filters are not supported: use `except` of an override" if key == "filter" else "unknown key"
            )
            self._wrong(file, f"{path}.{key}", reason)
        return not unknown

    def _common(self, file: str, path: str, raw: dict[str, Any], parsed: Any, extra: Extra) -> dict[str, Any] | None:
        """What span rules and correlations share; None (and errors) when it is not all right."""
        wrong = [*self._headed(path, raw, parsed)]
        for key, ids, what in (
            ("standards", standards.unknown(extra.standards), "is in no pinned edition"),
            ("rows", standards.no_rows(extra.rows), "is no row of the requirement catalogue"),
        ):
            wrong += [(f"{path}.spanwatch.{key}", f"{one} {what}") for one in ids]
        tagged = [one for tag in parsed.tags or () if (one := standards.from_tag(str(tag)))]
        for at, reason in wrong:
            self._wrong(file, at, reason)
        if wrong:
            return None
        level = parsed.level.name
        return {
            "id": parsed.name or str(parsed.id),
            "title": parsed.title,
            "severity": Severity[LEVELS.get(level.lower(), level)],
            "category": extra.category,
            "confidence": extra.confidence,
            "standards": tuple(dict.fromkeys((*extra.standards, *(t for t in tagged if t in standards.IDS)))),
            "description": parsed.description or "",
            "blind_spots": extra.blind_spots,
            "runbook": extra.runbook,
            "status": parsed.status.name.lower() if parsed.status else "stable",
            "rows": extra.rows,
            "file": file,
            "at": path,
            "source": raw,
        }

    @staticmethod
    def _headed(path: str, raw: Mapping[str, Any], parsed: Any) -> Iterator[tuple[str, str]]:
        """(key path, reason) of what is wrong with a document's head, in pySigma's words where it has them."""
        for error in parsed.errors:
            about = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
            inner = "correlation" if "correlation" in raw else "detection"
            key = ABOUT.get(about) or (about if about in raw else "")
            if not key and inner == "detection" and about in ITEMS:
                continue  # told per item, where it stands
            if not key and about == "timespan":
                key = "correlation.timespan"
            elif not key and about.startswith("correlation"):
                key = inner
            yield f"{path}.{key}".rstrip("."), str(error)
        if not parsed.name and not parsed.id:
            yield path, "a rule needs a name or an id"
        if parsed.level is None and "level" not in raw:
            yield f"{path}.level", "missing"

    def _span_rule(self, file: str, path: str, raw: dict[str, Any], extra: Extra) -> SpanRule | None:
        parsed = SigmaRule.from_dict(raw, collect_errors=True)
        common = self._common(file, path, raw, parsed, extra)
        condition = self._condition(file, f"{path}.detection", raw.get("detection"))
        source = parsed.logsource
        if condition is not None and parsed.errors and common is not None:  # something our own look at it did not see
            self._wrong(file, f"{path}.detection", str(parsed.errors[0]))
        if common is None or condition is None or source is None or parsed.errors:
            return None
        if source.product != "ai_agent":
            self._wrong(file, f"{path}.logsource.product", f"{source.product or 'none'}: only ai_agent is known")
            return None
        applies = CATEGORIES.get(source.category or "")
        if applies is None:
            known = ", ".join(name for name in CATEGORIES if name)
            self._wrong(file, f"{path}.logsource.category", f"{source.category}: not a category of ai_agent ({known})")
            return None
        if source.service:
            applies = _of_dialect(applies, source.service)
        exceptions = [
            self._exception(f"{common['id']}.except[{i}]", one)
            for i, one in enumerate(self._excepted.get(common["id"], ()))
        ]
        return SpanRule(
            **common,
            approved=Severity[extra.approved.upper()] if extra.approved else None,
            applies=applies,
            condition=condition,
            exceptions=tuple(one for one in exceptions if one),
        )

    def _condition(self, file: str, path: str, raw: Any) -> Condition | None:
        """The whole detection, compiled; each part that cannot be is told by itself."""
        faults = list(_faults(raw, path, self._virtual))
        if not faults:
            try:
                detections = SigmaDetections.from_dict(raw)
                found = either([compile_condition(one.parsed, self._virtual) for one in detections.parsed_condition])
            except (SigmaError, Unsupported) as error:
                faults = [(f"{path}.condition" if isinstance(raw, dict) and "condition" in raw else path, str(error))]
        for at, reason in faults:
            self._wrong(file, at, reason)
        if faults:
            return None
        if found.signs is None and MATCHED not in found.fields and "kind" not in found.fields:
            self._wrong(file, path, "nothing positive to look for: every part is negated or about an absent field")
            return None
        return found

    def _exception(self, path: str, raw: dict[str, Any]) -> Condition | None:
        try:
            detections = SigmaDetections({"s": SigmaDetection.from_definition(raw)}, ["s"])
            return compile_condition(detections.parsed_condition[0].parsed, self._virtual)
        except (SigmaError, Unsupported) as error:
            self._wrong(self._overrides, path, str(error))
            return None

    def _correlation(self, file: str, path: str, raw: dict[str, Any], extra: Extra) -> CorrelationRule | None:
        try:
            parsed = SigmaCorrelationRule.from_dict(raw, collect_errors=True)
        except (SigmaError, TypeError) as error:  # some faults are raised even when errors are collected
            self._wrong(file, f"{path}.correlation", str(error))
            return None
        common = self._common(file, path, raw, parsed, extra)
        if common is None:
            return None
        reasons = [*_unsupported(parsed, raw["correlation"]), *_pauses(parsed, extra)]
        for key, reason in reasons:
            self._wrong(file, f"{path}.{key}", reason)
        if reasons:
            return None
        kind, condition = KINDS[parsed.type], parsed.condition
        at_least, field = 0.0, ""
        if kind in COUNTING and isinstance(condition, SigmaCorrelationCondition):
            at_least = float(condition.count)
            if condition.op.name == "GT":
                at_least = math.nextafter(at_least, math.inf) if kind == "value_sum" else at_least + 1
            field = str(condition.fieldref or "")
        return CorrelationRule(
            **common,
            kind=kind,
            steps=tuple(reference.reference for reference in parsed.rules or ()),
            timespan_ns=parsed.timespan.seconds * 1_000_000_000,
            group_by=tuple(name for name in parsed.group_by or () if name != "session.id"),
            aliases={alias.alias: {str(k.reference): v for k, v in alias.mapping.items()} for alias in parsed.aliases},
            at_least=at_least,
            field=field,
            gap_ns=_ns(extra.gap) or 0,
            late_ns=_ns(extra.out_of_order) or LATENESS_NS,
        )

    def _steps(self, spans: Sequence[SpanRule], correlations: Sequence[CorrelationRule]) -> None:
        """Every step is a rule or another correlation, and none leads back to itself."""
        by_id = {one.id: one for one in correlations}
        names = {rule.id for rule in spans} | by_id.keys()
        for one in correlations:
            for i, step in enumerate(one.steps):
                if step not in names:
                    self._wrong(one.file, f"{one.at}.correlation.rules[{i}]", f"no rule is named {step}")
            if _leads_to(one.id, one, by_id, set()):
                self._wrong(one.file, f"{one.at}.correlation.rules", f"{one.id} is a step of itself")


def _leads_to(name: str, rule: CorrelationRule, by_id: Mapping[str, CorrelationRule], seen: set[str]) -> bool:
    for step in rule.steps:
        if step == name:
            return True
        if step in by_id and step not in seen:
            seen.add(step)
            if _leads_to(name, by_id[step], by_id, seen):
                return True
    return False


def _quieted(rule: Any, quiet: set[str]) -> Any:
    return msgspec.structs.replace(rule, reports=False) if rule.id in quiet else rule


def _of_dialect(applies: Callable[[Span], bool], dialect: str) -> Callable[[Span], bool]:
    return lambda span: span.dialect == dialect and applies(span)


def _faults(raw: Any, path: str, virtual: Mapping[str, Get]) -> Iterator[tuple[str, str]]:
    """(key path, reason) of every single item of a detection that cannot be read or run."""
    if not isinstance(raw, dict):
        yield path, "missing" if raw is None else "expected a mapping of selections and their condition"
        return
    if "condition" not in raw:
        yield path, "no condition"
    for name, definition in raw.items():
        if name not in ("condition", "timeframe"):
            for at, part in _items(definition, f"{path}.{name}"):
                try:
                    alone = SigmaDetections({"s": SigmaDetection.from_definition(part)}, ["s"])
                    compile_condition(alone.parsed_condition[0].parsed, virtual)
                except (SigmaError, Unsupported, TypeError) as error:
                    yield at, str(error)


def _items(definition: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The parts of a selection that stand for themselves: one field with its values each."""
    if isinstance(definition, dict) and definition:
        for key, value in definition.items():
            yield f"{path}.{key}", {key: value}
    elif isinstance(definition, list) and definition:
        for i, one in enumerate(definition):
            yield from _items(one, f"{path}[{i}]")
    else:
        yield path, definition


def _unsupported(parsed: SigmaCorrelationRule, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, reason) of everything in a correlation that is outside the supported subset."""
    kind, condition = KINDS.get(parsed.type), parsed.condition
    if kind is None:
        known = ", ".join(sorted(KINDS.values()))
        yield "correlation.type", f"{parsed.type.name.lower()} is not supported: a stream has no last event ({known})"
        return
    if not parsed.rules or not isinstance(condition, SigmaCorrelationCondition):
        yield "correlation.condition", "extended conditions are not supported: name the rules, every one must occur"
        return
    if kind not in COUNTING and raw.get("condition") is not None:
        yield "correlation.condition", f"{kind} takes none: every step must occur"
    if kind in COUNTING and condition.op.name not in ("GTE", "GT"):
        yield "correlation.condition", "only gte and gt are supported: what is still too few may yet become enough"
    if kind in COUNTING and isinstance(condition.fieldref, list):
        yield "correlation.condition.field", "only one field is supported"
    if kind in ("event_count", "value_count") and condition.count > MAX_COUNTED:
        yield "correlation.condition", f"at most {MAX_COUNTED} are remembered, so more are never counted"
    steps = {one.reference for one in parsed.rules}
    for alias in parsed.aliases:
        for step in alias.mapping:
            if step.reference not in steps:
                yield f"correlation.aliases.{alias.alias}", f"{step.reference} is none of the rules"


def _pauses(parsed: SigmaCorrelationRule, extra: Extra) -> Iterator[tuple[str, str]]:
    """The same of the pauses our own block allows."""
    for name in ("gap", "out_of_order"):
        said = getattr(extra, name)
        length = _ns(said)
        if said and not length:
            yield f"spanwatch.{name}", f"{said}: a number and s, m or h, such as 30s"
        elif name == "gap" and length and KINDS.get(parsed.type) != "temporal_ordered":
            yield "spanwatch.gap", "only steps in order have a pause between them (temporal_ordered)"
        elif name == "out_of_order" and length and length > MAX_LATE_NS:
            yield "spanwatch.out_of_order", "at most 1h"


def _ns(said: str) -> int | None:
    found = _SPAN_OF_TIME.fullmatch(said)
    return int(found[1]) * _SECONDS[found[2]] * 1_000_000_000 if found else None
