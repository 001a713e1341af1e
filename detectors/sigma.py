"""Sigma rules made executable: a tested condition over one Span, and the cheap sign that it may hold.

pySigma parses; this module supports the subset below and refuses the rest, because a condition understood half is
a rule that never fires. Modifiers: contains, startswith, endswith, re (with i, m, s), cased, all, neq, exists, lt,
lte, gt, gte; wildcards, numbers, booleans and null. Values compare without case unless `cased` or `re`.
A field of several values meets a condition when one of its values does.
Not supported: keywords without a field, cidr, base64, wide, windash, expand, fieldref, time parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
import re2
from sigma import conditions as sc
from sigma import types as st

from detectors.model import Scalar, Span

Get: TypeAlias = Callable[[Span], Scalar | tuple[str, ...] | None]
Test: TypeAlias = Callable[[Span], bool]

FLAGS = {
    st.SigmaRegularExpressionFlag.IGNORECASE: "i",
    st.SigmaRegularExpressionFlag.MULTILINE: "m",
    st.SigmaRegularExpressionFlag.DOTALL: "s",
}
ORDER: dict[str, Callable[[float, float], bool]] = {
    "LT": lambda a, b: a < b,
    "LTE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GTE": lambda a, b: a >= b,
}
_LITERAL = re2.compile(r"[A-Za-z0-9_ ./:@=-]+")
_CLASS = re2.compile(r"\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{[^}]*\}|\(\?[a-zA-Z:<>!=]*")
_BOUNDS = re2.compile(r"\\.|\{(\d+),(\d+)\}")
WIDE = 8  # a repeat up to more than this is looked for as one without end: the scan's automaton stays small


class Unsupported(Exception):
    """A construct outside the supported subset, said in words for the author of the rule."""


class Sign(msgspec.Struct, frozen=True):
    """Where a necessary text is looked for: a pattern for the scan over one field, or with none, the bare field.

    The scan may find more than the pattern means (it knows no field ends); it never finds less.
    """

    field: str
    pattern: str = ""
    caseless: bool = True
    dotall: bool = False


class Condition(msgspec.Struct, frozen=True):
    """An executable condition. `signs`: unless one of them shows, `test` is false; None when it may always hold."""

    test: Test
    signs: frozenset[Sign] | None
    weight: float = 0.0  # how rare its signs are thought to be; the rarest of an AND is the one looked for
    fields: frozenset[str] = frozenset()


def compile_condition(node: Any, virtual: Mapping[str, Get]) -> Condition:
    """Condition of a parsed Sigma condition tree. `virtual` are fields computed from a Span. Raises Unsupported."""
    if isinstance(node, sc.ConditionNOT):
        inner = compile_condition(node.args[0], virtual)
        return Condition(lambda span: not inner.test(span), None, 0.0, inner.fields)
    if isinstance(node, sc.ConditionAND | sc.ConditionOR):
        parts = [compile_condition(arg, virtual) for arg in node.args if arg is not None]
        fields = frozenset().union(*(part.fields for part in parts))
        tests = tuple(part.test for part in parts)
        signed = [part for part in parts if part.signs is not None]
        if isinstance(node, sc.ConditionAND):
            best = max(signed, key=lambda part: part.weight, default=None)
            signs, weight = (best.signs, best.weight) if best else (None, 0.0)
            return Condition(lambda span: all(test(span) for test in tests), signs, weight, fields)
        either = (
            frozenset().union(*(part.signs for part in signed if part.signs)) if len(signed) == len(parts) else None
        )
        weight = min((part.weight for part in signed), default=0.0)
        return Condition(lambda span: any(test(span) for test in tests), either, weight, fields)
    if isinstance(node, sc.ConditionFieldEqualsValueExpression):
        return _leaf(node.field, node.value, virtual)
    if isinstance(node, sc.ConditionValueExpression):
        raise Unsupported("a keyword without a field: bind every condition to a named field")
    raise Unsupported(f"{type(node).__name__} in the condition")


def _leaf(field: str, value: st.SigmaType, virtual: Mapping[str, Get]) -> Condition:
    """A computed field is no text to scan for: its sign is that what it is computed from is there."""
    if field not in virtual:
        return _test(field, value, lambda span: span.fields.get(field))
    tested = _test(field, value, virtual[field])
    signs = None if tested.signs is None else frozenset((Sign(field),))
    return Condition(tested.test, signs, 0.3 if field.startswith(("secret.", "egress.")) else 0.01, tested.fields)


def _test(field: str, value: st.SigmaType, get: Get) -> Condition:
    fields = frozenset((field,))
    present = frozenset((Sign(field),))
    if isinstance(value, st.SigmaNull):
        return Condition(lambda span: get(span) is None, None, 0.0, fields)
    if isinstance(value, st.SigmaExists):
        if bool(value):
            return Condition(lambda span: get(span) is not None, present, 0.2, fields)
        return Condition(lambda span: get(span) is None, None, 0.0, fields)
    if isinstance(value, st.SigmaBool):
        wanted = bool(value)
        words = ("true", True) if wanted else ("false", False)
        return Condition(lambda span: any(_lower(one) in words for one in _each(get(span))), present, 0.2, fields)
    if isinstance(value, st.SigmaNumber):
        number = float(value.number)
        return Condition(lambda span: any(_number(one) == number for one in _each(get(span))), present, 0.2, fields)
    if isinstance(value, st.SigmaCompareExpression):
        if value.op.name not in ORDER:
            raise Unsupported(f"{field}: comparison {value.op.name.lower()}")
        limit, holds = float(value.number.number), ORDER[value.op.name]

        def compare(span: Span) -> bool:
            numbers = map(_number, _each(get(span)))
            return any(one is not None and holds(one, limit) for one in numbers)

        return Condition(compare, present, 0.2, fields)
    if isinstance(value, st.SigmaRegularExpression):
        return _regex(field, get, str(value.regexp), {FLAGS[flag] for flag in value.flags})
    if isinstance(value, st.SigmaString):
        return _string(field, get, value)
    raise Unsupported(f"{field}: {type(value).__name__.removeprefix('Sigma')} values")


def _regex(field: str, get: Get, pattern: str, flags: set[str]) -> Condition:
    prefix = f"(?{''.join(sorted(flags))})" if flags else ""
    try:
        search = re2.compile(prefix + pattern).search
    except re2.error as error:
        raise Unsupported(f"{field}: regular expression: {error}") from None

    def test(span: Span) -> bool:
        return any(search(_text(one)) is not None for one in _each(get(span)))

    if search("") is not None:
        return Condition(test, frozenset((Sign(field),)), 0.1, frozenset((field,)))
    weight = max((len(run.group()) for run in _LITERAL.finditer(_CLASS.sub("\x00", pattern))), default=0)
    sign = Sign(field, _BOUNDS.sub(_unbound, pattern), "i" in flags, "s" in flags)
    return Condition(test, frozenset((sign,)), 0.5 + weight, frozenset((field,)))


def _unbound(found: Any) -> str:
    low, high = found.group(1), found.group(2)
    return f"{{{low},}}" if high is not None and int(high) > WIDE else str(found.group())


def _string(field: str, get: Get, value: st.SigmaString) -> Condition:
    cased = isinstance(value, st.SigmaCasedString)
    parts = list(value.s)
    if any(isinstance(part, st.Placeholder) for part in parts):
        raise Unsupported(f"{field}: placeholders")
    regex = "".join(_part(part) for part in parts)
    whole = re2.compile(("(?s)" if cased else "(?si)") + f"^(?:{regex})$").search
    literals = [part for part in parts if isinstance(part, str)]

    def test(span: Span) -> bool:
        return any(whole(_text(one)) is not None for one in _each(get(span)))

    fields = frozenset((field,))
    if not literals:
        return Condition(test, frozenset((Sign(field),)), 0.1, fields)
    exact = parts == literals
    longest = max(literals, key=len)
    pattern = f"^{re2.escape(longest)}$" if exact and "\n" not in longest else re2.escape(longest)
    weight = (0.3 if exact else 0.5) + len(longest)
    return Condition(test, frozenset((Sign(field, pattern, not cased),)), weight, fields)


def _part(part: str | st.SpecialChars | st.Placeholder) -> str:
    if isinstance(part, str):
        return str(re2.escape(part))
    return ".*" if part == st.SpecialChars.WILDCARD_MULTI else "."


def _each(value: Scalar | tuple[str, ...] | None) -> tuple[Scalar, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _lower(value: Scalar | None) -> Scalar | None:
    return value.lower() if isinstance(value, str) else value


def _number(value: Scalar | None) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def walk(node: Any) -> Iterator[Any]:
    """Every node of a condition tree."""
    yield node
    for arg in getattr(node, "args", ()):
        if not isinstance(arg, str):
            yield from walk(arg)
