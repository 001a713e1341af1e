"""Pass one of the secret scan: the Hyperscan patterns of the rules, compiled into one database.

A pattern of pass one only has to fire where its rule might match, once and early; it may fire too often, never
too seldom. So it is the issuer's name or a telling prefix alone where there is one, and else the rule's pattern
without what follows its shortest form, since every match is a call.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from re import _parser  # the standard library's own, and the only parser of patterns
from typing import Any, NamedTuple, Protocol

import hyperscan

from detectors.errors import RuleError
from detectors.secret_values import triggers

NEAR = 64  # bytes between an issuer's name and its token


class Cache(Protocol):
    """Where compiled databases outlive the process, by a digest of what was compiled."""

    def load(self, content: bytes) -> hyperscan.Database | None:
        """The database, if it is there and can be trusted."""
        ...

    def save(self, content: bytes, database: hyperscan.Database) -> None:
        """Keep the database; that it cannot be kept is no error."""
        ...


class Patterned(Protocol):
    """What pass one needs of a rule."""

    @property
    def id(self) -> str: ...
    @property
    def pattern(self) -> str: ...
    @property
    def trigger(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def near(self) -> tuple[str, ...]: ...
    @property
    def window(self) -> int: ...


_AHEAD = re.compile(r"\(\?[!=](?:[^()\\]|\\.)*\)$")
_OPTIONAL = re.compile(r"(?:\[(?:[^\]\\]|\\.)+\]|\\.|[^\\()\[\]{}|?*+])(?:\{0,\d*\}|\?|\*)(\)*)$")


def _cut(pattern: str) -> str:
    """The pattern for pass one: no trailing look-ahead, nothing optional at the end, the last repeat at its least."""
    cut = _AHEAD.sub("", pattern)
    while (shorter := _OPTIONAL.sub(r"\1", cut)) != cut:
        cut = shorter
    cut = re.sub(r"\{(\d+),\d*\}(\)*)$", r"{\1}\2", cut)
    return re.sub(r"\+(\)*)$", r"\1", cut)


def patterns(rule: Patterned) -> tuple[str, ...]:
    """The Hyperscan patterns that stand for the rule in pass one."""
    if rule.near:
        # The name alone: thousands of names with what follows each take a minute to compile, and names are rare.
        names = (_AFTER_NO.sub(r"(?:^|[^\1]|\\\\[nrt])", name) for name in rule.near)
        return tuple(f"(?i){_MAY_END.sub('', _AROUND.sub('', name))}" for name in names)
    if rule.keys:
        return (rule.trigger,) if rule.trigger else triggers(rule.keys)
    # What the token begins with is enough where that is telling: literals are found far faster than what follows.
    return tuple(map(re.escape, begun(rule))) or (rule.trigger or _cut(rule.pattern),)


_AFTER_NO = re.compile(r"^\(\?<!\[([a-z0-9_.-]+)\]\)")  # at the beginning it can be said without look-behind
_MAY_END = re.compile(r"(?:\[[^]]*\]\??)?\(\?:[^()]*\)\?$")  # a name ends before what may follow it, too
_AROUND = re.compile(r"\(\?<?[!=][^()]*\)")  # pass one knows no look-around


def reach(rule: Patterned) -> int:
    """How far before the end pass one reports a match of the rule can begin: never more than its window."""
    if rule.trigger or rule.keys:
        return rule.window
    wide = max(_parser.parse(pattern).getwidth()[1] for pattern in patterns(rule))
    return min(int(wide), rule.window + NEAR if rule.near else rule.window)


class Numbered(NamedTuple):
    """One pattern of pass one and the number it is reported under."""

    number: int
    pattern: str


def compiled(
    rules: Sequence[Patterned], more: Sequence[Numbered] = (), cache: Cache | None = None
) -> hyperscan.Database:
    """One database for the rules, a pattern's number being its rule's place; RuleError names a rule it refuses."""
    numbered = *(Numbered(number, pattern) for number, rule in enumerate(rules) for pattern in patterns(rule)), *more
    try:
        return _database(numbered, cache)
    except hyperscan.error as error:
        for number, rule in enumerate(rules):
            if reason := refused(rule):
                raise RuleError(rule.id, f"$[{number}].pattern", reason) from error
        raise RuleError("rules", "$", f"refused by Hyperscan together: {error}") from error


_KEPT: OrderedDict[bytes, hyperscan.Database] = OrderedDict()  # compiled in this process, by content
_MOST_KEPT = 16
_LOCK = threading.Lock()


def _database(numbered: tuple[Numbered, ...], cache: Cache | None = None) -> hyperscan.Database:
    """Compiled once per content in a process, and once per machine where there is a folder to keep it in."""
    name = hashlib.sha256(repr([tuple(one) for one in numbered]).encode()).digest()
    with _LOCK:
        kept = _KEPT.get(name)
        if kept is not None:
            _KEPT.move_to_end(name)
            return kept
    database = cache.load(name) if cache else None
    if database is None:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[one.pattern.encode("ascii") for one in numbered],
            ids=[one.number for one in numbered],
            elements=len(numbered),
            flags=0,
        )
        if cache:
            cache.save(name, database)
    with _LOCK:
        _KEPT[name] = database
        if len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return database


def refused(rule: Patterned) -> str:
    """Why pass one cannot use the rule, or nothing."""
    try:
        _database(tuple(Numbered(0, pattern) for pattern in patterns(rule)))
    except (hyperscan.error, UnicodeEncodeError) as error:
        return f"refused by Hyperscan: {error}"
    return ""


_TOKEN_PREFIX = re.compile(r"(?=.*[A-Za-z])(?![a-z]*$)[A-Za-z0-9_.~-]+")  # a mere word begins too much
_COMMON = frozenset(
    {"test_", "auto_", "prod_", "standard_", "live_", "res_", "re_", "up_", "at_", "production_", "db2"}
)
_LEAST_PREFIX, _MOST_PREFIXES = 3, 16  # characters of one; of one pattern
_TELLING = 4  # characters of a prefix pass one is content with


def begun(rule: Patterned) -> list[str]:
    """What the rule's tokens begin with, if that tells a token from a word: then pass one looks for nothing else."""
    if rule.keys or rule.near:
        return []
    found = _literals(_parser.parse(rule.pattern))[0]
    return sorted(found) if all(len(one) >= _TELLING and _tells(one) for one in found) else []


def prefixes(rules: Iterable[Patterned]) -> list[str]:
    """Beginnings of tokens that stand for themselves, ascending: they tell a part of a secret from a word.

    Without those pass one reports anyway (`begun`).
    """
    found: set[str] = set()
    for rule in rules:
        if not (rule.keys or rule.near or begun(rule)):
            found |= _literals(_parser.parse(rule.pattern))[0]
    return sorted(one for one in found if len(one) >= _LEAST_PREFIX and _tells(one))


def _tells(prefix: str) -> bool:
    return _TOKEN_PREFIX.fullmatch(prefix) is not None and prefix not in _COMMON


def _literals(parsed: Iterable[tuple[Any, Any]]) -> tuple[set[str], bool]:
    """Texts one of which everything the pattern matches begins with, and whether they are all of the pattern."""
    grown = {""}
    for operation, argument in parsed:
        name, whole = str(operation), True
        if name == "LITERAL":
            more = {chr(argument)}
        elif name == "IN" and all(str(kind) == "LITERAL" for kind, _ in argument):
            more = {chr(code) for _, code in argument}
        elif name == "SUBPATTERN":
            more, whole = _literals(argument[3])
        elif name == "BRANCH":
            each = [_literals(one) for one in argument[1]]
            more, whole = set().union(*(texts for texts, _ in each)), all(complete for _, complete in each)
        elif name == "AT":
            continue
        else:
            return grown, False
        if len(grown) * len(more) > _MOST_PREFIXES:
            return grown, False
        grown = {before + after for before in grown for after in more}
        if not whole:
            return grown, False
    return grown, True
