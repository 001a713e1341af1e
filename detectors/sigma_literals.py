"""Words an expression cannot match without: they are found in a fraction of the time the expression takes.

A scan for thousands of words costs next to nothing, one for hundreds of expressions does not. So an expression is
looked for by the rarest of its words, and itself only run where one of those shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]  # the standard library's own, which has no types
from re import _parser  # the same, and the only parser of patterns
from typing import Any

LEAST = 3  # characters of a word worth looking for
MOST = 64  # words that stand for one expression
FEW = 4  # words of a further set that is worth a look before the expression is run
_FOREIGN = re.compile(r"\\[QCpP]|\\x\{|\[\[:|\(\?[a-zA-Z]*U")  # RE2 reads these in another way than our parser


def required(pattern: str) -> list[frozenset[str]]:
    """Sets of words; every match of the pattern holds a word of each. The most telling set first."""
    if _FOREIGN.search(pattern):
        return []
    try:
        parsed = _parser.parse(pattern.replace(r"\z", r"\Z"))
    except (re.error, RecursionError, OverflowError):
        return []
    found = _sequence(parsed)
    best = _rarest(found)
    return [best, *(words for words in found if words != best and len(words) <= FEW)] if best else []


def _rarest(found: Iterable[frozenset[str]]) -> frozenset[str] | None:
    """The set whose shortest word is longest; None when no set will do."""
    fit = [words for words in found if len(words) <= MOST and min(map(len, words)) >= LEAST]
    return max(fit, key=lambda words: (min(map(len, words)), -len(words)), default=None)


def _sequence(items: Iterable[tuple[Any, Any]]) -> list[frozenset[str]]:
    """For each part of a sequence that must be there, the words of which it holds one."""
    found: list[frozenset[str]] = []
    run = ""
    for kind, value in items:
        letters = _letters(kind, value)
        if letters is not None:
            run += letters
            continue
        if run:
            found.append(frozenset((run,)))
            run = ""
        found += _part(kind, value)
    return [*found, frozenset((run,))] if run else found


def _letters(kind: Any, value: Any) -> str | None:
    """The text of an item that is nothing but text."""
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.SUBPATTERN and all(inner is op.LITERAL for inner, _ in value[3]):
        return "".join(chr(letter) for _, letter in value[3])
    return None


def _part(kind: Any, value: Any) -> Sequence[frozenset[str]]:
    if kind is op.SUBPATTERN:
        return _sequence(value[3])
    if kind is op.ATOMIC_GROUP:
        return _sequence(value)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return _sequence(value[2]) if value[0] else ()
    if kind is op.BRANCH:
        each = [_rarest(_sequence(branch)) for branch in value[1]]
        return (frozenset().union(*(words for words in each if words)),) if all(each) else ()
    return ()
