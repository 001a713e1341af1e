"""Sigma rules made executable: a tested condition over one Span, and the cheap sign that it may hold.

pySigma parses; this module supports the subset below and refuses the rest, because a condition understood half is
a rule that never fires. Modifiers: contains, startswith, endswith, re (with i, m, s), cased, all, neq, exists, lt,
lte, gt, gte, cidr, fieldref, base64, base64offset, wide, utf16, windash; wildcards, numbers, booleans and null.
Values compare without case unless `cased` or `re`. A field of several values meets a condition when one of them does.
Not supported: keywords without a field, expand, time parts (minute, hour, day, week, month, year).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import re2
from sigma import conditions as sc
from sigma import types as st

from detectors.model import Scalar, Span
from detectors.sigma_literals import required

Value: TypeAlias = Scalar | tuple[str, ...] | None
Get: TypeAlias = Callable[[Span], Value]
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
FEW = frozenset(  # fields of few values: that one of them shows says little
    {"sql.kind", "sql.target", "code.language", "path.class", "flow.class", "approval.decision", "approval.source"}
)
COMMON = frozenset(  # fields of a handful of values, which most acts have: that one shows says next to nothing
    {"effect", "command.effect", "origin", "command.origin", "sql.bounded", "parsed", "path.scope", "path.action"}
    | {"egress.scheme", "egress.scope", "flow.scope"}
)
_INLINE = re2.compile(r"\(\?[a-zA-Z]*i")  # an expression that says itself that case means nothing
_LOOSE = re2.compile(r"\\.|\{(\d+),(\d+)\}|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\^")
_OVER_LINES = re2.compile(r"\[\^|\\[DW]|\(\?[imU]*s")  # may run on over the end of a line
_ENDS = {r"\A": "^", r"\z": "$"}  # a field is one stretch of the text that is scanned
WIDE = 8  # a repeat up to more than this is looked for as one without end: the scan's automaton stays small


class Unsupported(Exception):
    """A construct outside the supported subset, said in words for the author of the rule."""


class Sign(msgspec.Struct, frozen=True):
    """Where a necessary text is looked for: a pattern for the scan over one field, or with none, the bare field.

    The scan may find more than the pattern means (it knows no field ends); it never finds less. `exact` is the value,
    in lower case, that a computed field must have; such a field is no text to scan.
    """

    field: str
    pattern: str = ""
    caseless: bool = True
    dotall: bool = False
    exact: str = ""


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
        args = [arg for arg in node.args if arg is not None]
        if isinstance(node, sc.ConditionAND):
            return _joined([compile_condition(arg, virtual) for arg in args], every=True)
        words, rest = _words(args)
        parts = [_one_of(field, values, virtual) for field, values in words.items()]
        return either([*parts, *(compile_condition(arg, virtual) for arg in rest)])
    if isinstance(node, sc.ConditionFieldEqualsValueExpression):
        return _leaf(node.field, node.value, virtual)
    if isinstance(node, sc.ConditionValueExpression):
        raise Unsupported("a keyword without a field: bind every condition to a named field")
    raise Unsupported(f"{type(node).__name__} in the condition")


def either(parts: Sequence[Condition]) -> Condition:
    """Holds where one of the conditions does."""
    return parts[0] if len(parts) == 1 else _joined(parts, every=False)


def _joined(parts: Sequence[Condition], *, every: bool) -> Condition:
    """AND or OR of the parts."""
    fields = frozenset().union(*(part.fields for part in parts))
    signed = [part for part in parts if part.signs is not None]
    tests = tuple(part.test for part in parts)
    if every:
        best = max(signed, key=lambda part: part.weight, default=None)
        signs, weight = (best.signs, best.weight) if best else (None, 0.0)
        return Condition(_all(tests), signs, weight, fields)
    signs = frozenset().union(*(part.signs for part in signed if part.signs)) if len(signed) == len(parts) else None
    weight = min((part.weight for part in signed), default=0.0)
    return Condition(_any(tests), signs, weight, fields)


def _all(tests: Sequence[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda span: first(span) and second(span)

    def every(span: Span) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs as much as the tests
            if not test(span):
                return False
        return True

    return every


def _any(tests: Sequence[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda span: first(span) or second(span)

    def some(span: Span) -> bool:
        for test in tests:  # noqa: SIM110 - the same
            if test(span):
                return True
        return False

    return some


def _words(args: Sequence[Any]) -> tuple[dict[str, list[st.SigmaString]], list[Any]]:
    """Plain ASCII words a field may equal, by field, and the alternatives that are something else."""
    words: dict[str, list[st.SigmaString]] = {}
    rest: list[Any] = []
    for arg in args:
        value = arg.value if isinstance(arg, sc.ConditionFieldEqualsValueExpression) else None
        if type(value) is st.SigmaString and len(value.s) == 1 and isinstance(value.s[0], str) and value.s[0].isascii():
            words.setdefault(arg.field, []).append(value)
        else:
            rest.append(arg)
    return words, rest


def _one_of(field: str, values: Sequence[st.SigmaString], virtual: Mapping[str, Get]) -> Condition:
    """The field equals one of the words: one look-up, however many they are."""
    parts = [_leaf(field, value, virtual) for value in values]
    if len(parts) == 1:
        return parts[0]
    whole = _joined(parts, every=False)
    wanted = frozenset(str(value.s[0]).lower() for value in values)
    get = virtual.get(field) or _reader(field)
    slow = whole.test

    def test(span: Span) -> bool:
        value = get(span)
        if value is None:
            return False
        texts = value if type(value) is tuple else (value,)
        for one in texts:
            if type(one) is not str or not one.isascii():
                return slow(span)
            if one.lower() in wanted:
                return True
        return False

    return Condition(test, whole.signs, whole.weight, whole.fields)


def _reader(field: str) -> Get:
    return lambda span: span.fields.get(field)


def _leaf(field: str, value: st.SigmaType, virtual: Mapping[str, Get]) -> Condition:
    """A computed field is no text to scan for: its sign is its value where that is given whole, else the field."""
    if isinstance(value, st.SigmaFieldReference):
        return _same(
            field, value, virtual.get(field) or _reader(field), virtual.get(value.field) or _reader(value.field)
        )
    if field not in virtual:
        return _test(field, value, _reader(field))
    tested = _test(field, value, virtual[field])
    exact = ""
    if type(value) is st.SigmaString and len(value.s) == 1 and isinstance(value.s[0], str) and value.s[0].isascii():
        exact = value.s[0].lower()
    signs = None if tested.signs is None else frozenset((Sign(field, exact=exact),))
    rare = field.startswith(("secret.", "egress."))
    return Condition(tested.test, signs, 0.3 if rare else 0.02 if exact else 0.01, tested.fields)


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
    if isinstance(value, st.SigmaTimestampPart):
        raise Unsupported(f"{field}: time parts: a span's time is an instant, and no rule says whose clock is meant")
    if isinstance(value, st.SigmaNumber):
        number = float(value.number)
        return Condition(lambda span: any(_number(one) == number for one in _each(get(span))), present, 0.2, fields)
    if isinstance(value, st.SigmaExpansion):  # one value written in several ways: base64offset, windash
        return either([_test(field, one, get) for one in value.values])
    if isinstance(value, st.SigmaCompareExpression):
        return _compare(field, value, get)
    if isinstance(value, st.SigmaCIDRExpression):
        return Condition(_inside(value.network, get), present, 0.2, fields)
    if isinstance(value, st.SigmaRegularExpression):
        return _regex(field, get, str(value.regexp), {FLAGS[flag] for flag in value.flags})
    if isinstance(value, st.SigmaString):
        return _string(field, get, value)
    raise Unsupported(f"{field}: {type(value).__name__.removeprefix('Sigma')} values")


def _compare(field: str, value: st.SigmaCompareExpression, get: Get) -> Condition:
    if value.op.name not in ORDER:
        raise Unsupported(f"{field}: comparison {value.op.name.lower()}")
    if isinstance(value.number, st.SigmaTimestampPart):
        raise Unsupported(f"{field}: time parts: a span's time is an instant, and no rule says whose clock is meant")
    limit, holds = float(value.number.number), ORDER[value.op.name]

    def test(span: Span) -> bool:
        numbers = map(_number, _each(get(span)))
        return any(one is not None and holds(one, limit) for one in numbers)

    return Condition(test, frozenset((Sign(field),)), 0.2, frozenset((field,)))


def _inside(network: ipaddress.IPv4Network | ipaddress.IPv6Network, get: Get) -> Test:
    """Whether an address of the field, which may name several with commas between, lies in the network."""

    def holds(text: str) -> bool:
        try:
            return ipaddress.ip_address(text.strip().strip("[]")) in network
        except ValueError:
            return False

    return lambda span: any(holds(part) for one in _each(get(span)) for part in _text(one).split(","))


def _same(field: str, value: st.SigmaFieldReference, get: Get, other: Get) -> Condition:
    """Whether the field equals another field of the same span, or begins or ends with it; without case."""

    def test(span: Span) -> bool:
        theirs = [_text(one).lower() for one in _each(other(span))]
        for one in _each(get(span)):
            mine = _text(one).lower()
            if value.starts_with and value.ends_with:
                found = any(their in mine for their in theirs)
            elif value.starts_with:
                found = mine.startswith(tuple(theirs))
            elif value.ends_with:
                found = mine.endswith(tuple(theirs))
            else:
                found = mine in theirs
            if found:
                return True
        return False

    return Condition(test, frozenset((Sign(field),)), 0.1, frozenset((field, value.field)))


def _regex(field: str, get: Get, pattern: str, flags: set[str]) -> Condition:
    prefix = f"(?{''.join(sorted(flags))})" if flags else ""
    try:
        search = re2.compile(prefix + pattern).search
    except re2.error as error:
        raise Unsupported(f"{field}: regular expression: {error}") from None

    caseless = "i" in flags or _INLINE.search(pattern) is not None
    words = required(pattern)

    def test(span: Span) -> bool:
        for one in _each(get(span)):
            text = _text(one)
            if (caseless or _holds(text, words)) and search(text) is not None:
                return True
        return False

    if search("") is not None:
        return Condition(test, frozenset((Sign(field),)), 0.1, frozenset((field,)))
    if words:
        signs = frozenset(Sign(field, re2.escape(word), caseless) for word in words[0])
        return Condition(test, signs, _rarity(field, min(map(len, words[0]))), frozenset((field,)))
    sign = Sign(field, _LOOSE.sub(_loosened, pattern), "i" in flags, "s" in flags)
    return Condition(test, frozenset((sign,)), _rarity(field, 1), frozenset((field,)))


def _holds(text: str, words: Sequence[frozenset[str]]) -> bool:
    """Whether the text has a word of every set: told much sooner than by the expression."""
    return all(any(word in text for word in some) for some in words)


def _loosened(found: Any) -> str:
    if (low := found.group(1)) is not None and int(found.group(2)) > WIDE:
        return f"{{{low},}}"
    return _ENDS.get(found.group(), str(found.group()))


def _rarity(field: str, literal: int) -> float:
    if field in COMMON:
        return 0.21 + literal / 1000
    return (0.25 if field in FEW else 0.5) + (literal / 100 if field in FEW else literal)


def _string(field: str, get: Get, value: st.SigmaString) -> Condition:
    cased = isinstance(value, st.SigmaCasedString)
    parts = list(value.s)
    if any(isinstance(part, st.Placeholder) for part in parts):
        raise Unsupported(f"{field}: placeholders (expand) stand for values that are nowhere given; write them out")
    literals = [part for part in parts if isinstance(part, str)]
    fields = frozenset((field,))
    if not literals:
        return Condition(_matcher(get, parts, cased), frozenset((Sign(field),)), 0.1, fields)
    exact = parts == literals
    longest = max(literals, key=len)
    pattern = f"^{re2.escape(longest)}$" if exact and "\n" not in longest else re2.escape(longest)
    sign = Sign(field, pattern, not cased)
    return Condition(_matcher(get, parts, cased), frozenset((sign,)), _rarity(field, len(longest)), fields)


def _matcher(get: Get, parts: Sequence[Any], cased: bool) -> Test:
    """Whether a value of the field has this form; the forms rules mostly have are looked at without an expression."""
    regex = "".join(_part(part) for part in parts)
    whole = re2.compile(("(?s)" if cased else "(?si)") + f"^(?:{regex})$").search
    quick = None if cased else _quick(parts)
    if quick is None:
        return lambda span: any(whole(_text(one)) is not None for one in _each(get(span)))

    def test(span: Span) -> bool:
        value = get(span)
        if value is None:
            return False
        for one in value if type(value) is tuple else (value,):
            text = one if type(one) is str else _text(one)  # type: ignore[arg-type]  # a tuple's entries are scalars
            if quick(text.lower()) if text.isascii() else whole(text) is not None:
                return True
        return False

    return test


def _quick(parts: Sequence[Any]) -> Callable[[str], bool] | None:
    """The test of an ASCII text in lower case where the form is a word, its beginning, its end or its middle."""
    if not all(part.isascii() for part in parts if isinstance(part, str)):
        return None
    match parts:
        case [str(word)]:
            word = word.lower()
            return lambda text: text == word
        case [str(word), st.SpecialChars.WILDCARD_MULTI]:
            word = word.lower()
            return lambda text: text.startswith(word)
        case [st.SpecialChars.WILDCARD_MULTI, str(word)]:
            word = word.lower()
            return lambda text: text.endswith(word)
        case [st.SpecialChars.WILDCARD_MULTI, str(word), st.SpecialChars.WILDCARD_MULTI]:
            word = word.lower()
            return lambda text: word in text
    return None


def _part(part: str | st.SpecialChars | st.Placeholder) -> str:
    if isinstance(part, str):
        return str(re2.escape(part))
    return ".*" if part == st.SpecialChars.WILDCARD_MULTI else "."


def _each(value: Value) -> tuple[Scalar, ...]:
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
