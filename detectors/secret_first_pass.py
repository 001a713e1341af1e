"""Pass one of the secret scan: the Hyperscan patterns of the rules, compiled into one database.

A pattern of pass one only has to fire where its rule might match, once and early; it may fire too often, never
too seldom. So it is the rule's pattern without what follows its shortest form, since every match is a call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import hyperscan

from detectors.errors import RuleError
from detectors.secret_values import triggers

NEAR = 48  # bytes between an issuer's name and its token


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
    if rule.trigger:
        return (rule.trigger,)
    if rule.near:
        names = re.sub(r"\(\?<[!=][^()]*\)", "", "|".join(rule.near))  # pass one knows no look-behind
        return (rf"(?i:{names})[\x00-\xff]{{0,{NEAR}}}{_cut(rule.pattern)}",)
    return triggers(rule.keys) if rule.keys else (_cut(rule.pattern),)


def compiled(rules: Sequence[Patterned]) -> hyperscan.Database:
    """One database for the rules, a pattern's number being its rule's place; RuleError names a rule it refuses."""
    numbered = tuple((number, pattern) for number, rule in enumerate(rules) for pattern in patterns(rule))
    try:
        return _database(numbered)
    except hyperscan.error as error:
        for number, rule in enumerate(rules):
            if reason := refused(rule):
                raise RuleError(rule.id, f"$[{number}].pattern", reason) from error
        raise RuleError("rules", "$", f"refused by Hyperscan together: {error}") from error


@lru_cache(maxsize=64)
def _database(numbered: tuple[tuple[int, str], ...]) -> hyperscan.Database:
    """Compiled once per content in a process."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[pattern.encode("ascii") for _, pattern in numbered],
        ids=[number for number, _ in numbered],
        elements=len(numbered),
        flags=0,
    )
    return database


def refused(rule: Patterned) -> str:
    """Why pass one cannot use the rule, or nothing."""
    try:
        _database(tuple((0, pattern) for pattern in patterns(rule)))
    except (hyperscan.error, UnicodeEncodeError) as error:
        return f"refused by Hyperscan: {error}"
    return ""
