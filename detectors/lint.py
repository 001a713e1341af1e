"""What is wrong with rules that read well: fields nobody fills, conditions nothing meets, words nobody will read.

A fault keeps a rule from ever being right; a note is what a security team may leave as it is in rules of its own,
and a fault in ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from sigma import conditions as sc
from sigma import types as st
from sigma.rule import SigmaDetections

from detectors import facts
from detectors.behaviour import MATCHED, SpanRule
from detectors.correlation import CorrelationRule
from detectors.errors import RuleError

Fault: TypeAlias = tuple[bool, str, str]  # whether the rule is of no use so, the key path, the reason
WORDS = ("description", "blind_spots", "runbook", "standards")
NEAREST = 3


class Lint(NamedTuple):
    """Faults and notes, each with file, key path and reason."""

    faults: list[RuleError]
    notes: list[RuleError]


def lint(
    behaviour: Iterable[SpanRule],
    correlation: Iterable[CorrelationRule],
    *,
    fields: Collection[str],
    dialects: Collection[str],
    builtin: Path,
) -> Lint:
    """Look at every rule. `fields` are those somebody fills, `dialects` the names of dialects, `builtin` our folder."""
    found = Lint([], [])
    looked: list[tuple[SpanRule | CorrelationRule, Iterator[Fault]]] = []
    looked += [(rule, _of_span(rule, fields, dialects)) for rule in behaviour]
    looked += [(rule, _of_correlation(rule, fields)) for rule in correlation]
    for rule, wrong in looked:
        ours = Path(rule.file).is_relative_to(builtin)
        for fatal, at, reason in (*wrong, *_unsaid(rule)):
            kept = found.faults if fatal or ours else found.notes
            kept.append(RuleError(rule.file, f"{rule.at}.{at}", f"{rule.id}: {reason}"))
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that name the nearest known ones; empty when nothing is near."""
    near = get_close_matches(name, sorted(known), NEAREST, 0.6)
    return f"; nearest: {', '.join(near)}" if near else ""


def _unsaid(rule: Any) -> Iterator[Fault]:
    """What a reader of a finding, or of the rule, will miss."""
    for word in WORDS:
        if not getattr(rule, word):
            yield False, word if word == "description" else f"spanwatch.{word}", f"no {word.replace('_', ' ')}"
    block = rule.source.get("spanwatch") or {}
    if "category" not in block:
        yield False, "spanwatch.category", "no incident category; 3 (overreach) is assumed"
    examples = block.get("examples") or {}
    for part in ("match", "no_match"):
        if not examples.get(part):
            yield False, f"spanwatch.examples.{part}", f"no {part} examples"


def _of_span(rule: SpanRule, known: Collection[str], dialects: Collection[str]) -> Iterator[Fault]:
    service = (rule.source.get("logsource") or {}).get("service")
    if service and service not in dialects:
        yield True, "logsource.service", f"no dialect is named {service}{nearest(service, dialects)}"
    detection = rule.source["detection"]
    trees = [one.parsed for one in SigmaDetections.from_dict(detection).parsed_condition]
    fires = any(_can(tree, known)[0] for tree in trees)
    for field in sorted(rule.condition.fields - set(known)):
        yield not fires, _place(detection, field), f"no dialect fills {field}{nearest(field, known)}"
    if fires and all(_contradicts(tree) for tree in trees):
        yield True, "detection.condition", "contradicts itself: nothing can meet it"


def _of_correlation(rule: CorrelationRule, known: Collection[str]) -> Iterator[Fault]:
    named = [("correlation.group-by", name) for name in rule.group_by if name not in rule.aliases]
    named += [(f"correlation.aliases.{alias}", name) for alias, by in rule.aliases.items() for name in by.values()]
    named += [("correlation.condition.field", rule.field)] if rule.field else []
    for at, name in named:
        if name not in known:
            yield True, at, f"no dialect fills {name}{nearest(name, known)}"


def _can(node: Any, known: Collection[str]) -> tuple[bool, bool]:
    """Whether the node can be true, and whether it can be false, when a field that is not known is never there."""
    if isinstance(node, sc.ConditionNOT):
        yes, no = _can(node.args[0], known)
        return no, yes
    if isinstance(node, sc.ConditionAND | sc.ConditionOR):
        parts = [_can(arg, known) for arg in node.args if arg is not None]
        if isinstance(node, sc.ConditionAND):
            return all(yes for yes, _ in parts), any(no for _, no in parts)
        return any(yes for yes, _ in parts), all(no for _, no in parts)
    field = getattr(node, "field", None)
    if field is None or field in known:
        return True, True
    absent = isinstance(node.value, st.SigmaNull) or (isinstance(node.value, st.SigmaExists) and not bool(node.value))
    return absent, not absent


def _contradicts(node: Any) -> bool:
    """Whether an AND asks for a thing and its opposite, or for two words in a field that has one."""
    if isinstance(node, sc.ConditionOR):
        return all(_contradicts(arg) for arg in node.args if arg is not None)
    if not isinstance(node, sc.ConditionAND):
        return False
    wanted: dict[str, frozenset[str]] = {}
    asked, refused = set(), set()
    for part in _flat(node):
        if isinstance(part, sc.ConditionNOT):
            refused.add(_spelled(part.args[0]))
            continue
        asked.add(_spelled(part))
        field, words = _words(part)
        if words and field not in facts.FIELDS and field != MATCHED and not field.startswith("secret."):
            wanted[field] = wanted[field] & words if field in wanted else words
            if not wanted[field]:
                return True
        if isinstance(part, sc.ConditionOR) and _contradicts(part):
            return True
    return bool(asked & refused)


def _flat(node: Any) -> Iterator[Any]:
    """The parts of an AND, those of an AND inside it too."""
    for arg in node.args:
        if isinstance(arg, sc.ConditionAND):
            yield from _flat(arg)
        elif arg is not None:
            yield arg


def _words(node: Any) -> tuple[str, frozenset[str]]:
    """The field and the whole words it may be, where the node says just that."""
    args = [arg for arg in node.args if arg is not None] if isinstance(node, sc.ConditionOR) else [node]
    fields = {getattr(arg, "field", None) for arg in args}
    values = [getattr(arg, "value", None) for arg in args]
    plain = all(type(v) is st.SigmaString and len(v.s) == 1 and isinstance(v.s[0], str) for v in values)
    if len(fields) != 1 or None in fields or not plain:
        return "", frozenset()
    return str(fields.pop()), frozenset(str(v.s[0]).lower() for v in values if v is not None)


def _spelled(node: Any) -> str:
    """The node as text: equal for equal conditions."""
    if hasattr(node, "field"):
        return f"{node.field}={type(node.value).__name__}:{node.value}"
    return f"{type(node).__name__}({','.join(sorted(_spelled(a) for a in node.args if a is not None))})"


def _place(detection: Mapping[str, Any], field: str) -> str:
    """Key path of the first item about a field."""
    for name, definition in detection.items():
        for at, key in _keys(definition, f"detection.{name}"):
            if key.split("|", 1)[0] == field:
                return f"{at}.{key}"
    return "detection"


def _keys(definition: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(definition, dict):
        yield from ((at, str(key)) for key in definition)
    elif isinstance(definition, list):
        for i, one in enumerate(definition):
            yield from _keys(one, f"{at}[{i}]")
