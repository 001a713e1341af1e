"""Data about people in a text: which kinds, and of about how many; never whose.

One scan says which kinds may be there, and only those are counted. Numbers that carry a check digit (accounts,
cards, national numbers) count where it is right; the others where a name says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import hyperscan

MAX_TEXT = 65_536  # characters read of one text
MAX_DISTINCT = 1_000  # values counted of one kind
FEW_PEOPLE, MANY_PEOPLE = 10, 100
STRONG_FEW = 5  # people whose accounts, cards, national or medical numbers make a record of its own
ADDRESSES_ALONE = 40  # addresses of a mailing list, with nothing else about the people

STRONG = frozenset({"payment card", "bank account", "national id", "medical record"})
_RESERVED = re.compile(
    r"(?:^|[@.])(?:example\.(?:com|org|net)|test|invalid|localhost|local|(?:users\.)?noreply\.[\w.-]+)$"
    r"|^(?:no-?reply|git|root|admin|info|support|postmaster|hello|contact|sales)@",
    re.IGNORECASE,
)


class Kind(NamedTuple):
    """A kind of personal data: what hints at it in the scan, and its values in a text that shows the hint."""

    name: str
    hint: str
    values: Callable[[str], Iterator[str]]


class Held(NamedTuple):
    """How many distinct values of each kind a text holds, and of how many people they are."""

    kinds: Mapping[str, int]
    people: int

    @property
    def strong(self) -> int:
        """People with a number that opens an account or tells an illness."""
        return max((count for kind, count in self.kinds.items() if kind in STRONG), default=0)

    @property
    def records(self) -> bool:
        """Whether it is a set of records about people, no mention of one or two."""
        if self.strong >= STRONG_FEW:
            return True
        several = [count for count in self.kinds.values() if count >= FEW_PEOPLE // 2]
        return self.people >= (FEW_PEOPLE if len(several) > 1 else ADDRESSES_ALONE)

    @property
    def many(self) -> bool:
        """Whether its loss is a breach by its size or by what it says."""
        return self.people >= MANY_PEOPLE or self.strong >= FEW_PEOPLE

    def __str__(self) -> str:
        counted = sorted(self.kinds.items(), key=lambda one: (-one[1], one[0]))
        return ", ".join(
            f"{count} {kind}{'' if count == 1 else 'es' if kind[-1] == 's' else 's'}" for kind, count in counted
        )


NOTHING = Held({}, 0)


def _found(pattern: str, flags: int = 0) -> Callable[[str], Iterator[str]]:
    find = re.compile(pattern, flags).finditer

    def values(text: str) -> Iterator[str]:
        for found in find(text):
            yield found[1] or ""

    return values


def _emails(text: str) -> Iterator[str]:
    if text.count("@") < FEW_PEOPLE // 2:
        return
    for found in _EMAIL.finditer(text):
        if not _RESERVED.search(found[0]) and text[found.start() - 1 : found.start()] != "<":  # authors of commits
            yield found[0].lower()


def _phones(text: str) -> Iterator[str]:
    for found in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if 9 <= len(digits) <= 15:
            yield digits


def _cards(text: str) -> Iterator[str]:
    for found in re.finditer(r"MASKED~secret\.card\.\w+~\d+~([0-9a-f]+)~", text):
        yield found[1]
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if _valid("luhn", digits) and len(set(digits)) > 3:
            yield digits


def _ibans(text: str) -> Iterator[str]:
    for found in _IBAN.finditer(text):
        if _valid("iban", found[0], check_country=False):
            yield found[0].replace(" ", "")


def _national(text: str) -> Iterator[str]:
    for found in _NATIONAL.finditer(text):
        name = found.lastgroup or ""
        if _valid(_CHECKED[name], found[name]):
            yield found[name]
    for found in _NAMED_NUMBER.finditer(text):
        yield found[1]


def _valid(module: str, value: str, **options: Any) -> bool:
    return bool(_checker(module)(value, **options))


@lru_cache(maxsize=64)
def _checker(module: str) -> Callable[..., bool]:
    checker: Callable[..., bool] = import_module(f"stdnum.{module}").is_valid
    return checker


_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w.+@/-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
_CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}([ -]?)(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})(?![\w.-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CHECKED = {  # national numbers whose form and check digit no other number has by chance
    "us": "us.ssn",
    "br": "br.cpf",
    "it": "it.codicefiscale",
    "fi": "fi.hetu",
    "es": "es.dni",
    "fr": "fr.nir",
    "se": "se.personnummer",
}
_NATIONAL = re.compile(
    r"(?<![\w./-])(?:(?P<us>\d{3}-\d{2}-\d{4})|(?P<br>\d{3}\.\d{3}\.\d{3}-\d{2})"
    r"|(?P<it>[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z])|(?P<fi>\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y])"
    r"|(?P<es>\d{8}-?[A-HJ-NP-TV-Z])|(?P<fr>[12] \d{2} \d{2} \d{2} \d{3} \d{3} \d{2})|(?P<se>\d{6}[-+]\d{4}))(?![\w/-])"
)
_NAMED_NUMBER = re.compile(
    r"(?i)(?:\b|_)(?:ssn|social[ _-]?security(?:[ _-]?(?:no|number))?|pesel|bsn|nhs[ _-]?(?:no|number)|aadhaar"
    r"|national[ _-]?id(?:[ _-]?(?:no|number))?|passport(?:[ _-]?(?:no|number))?|steuer-?id|tax[ _-]?id)"
    r"[\"']?\s{0,3}[:=#]\s{0,3}[\"']?([A-Z]{0,2}\d[\d -]{6,13}\d)"
)
_MEDICAL = (
    r"(?i)(?:\b|_)(?:mrn|medical[ _-]?record(?:[ _-]?(?:no|number|id))?|patient[ _-]?(?:id|no|number)"
    r"|health[ _-]?insurance[ _-]?(?:no|number|id))[\"']?\s{0,3}[:=#]\s{0,3}[\"']?([A-Z]{0,4}-?\d{4,12})\b"
)
_BORN = (
    r"(?i)(?:\bdob|date[ _-]?of[ _-]?birth|birth[ _-]?date|birthday|geburtsdatum)[\"']?\s{0,3}[:=]?\s{0,3}[\"']?"
    r"(\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4})"
)
_STREET = (
    r"(\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Way|Place)\b"
    r"|\b[A-Z][a-zäöü]+(?:straße|strasse|weg|allee|platz) \d{1,4}\b)"
)

KINDS = (  # a hint may say more than is there, never less
    Kind("e-mail address", r"[a-z0-9]@[a-z0-9-]+\.[a-z]", _emails),
    Kind("phone number", r"\+[1-9][0-9]{0,2}[ .(-]?[0-9]|[0-9]{3}\)? ?-?[0-9]{3}-[0-9]{4}", _phones),
    Kind("payment card", r"masked~secret\.card\.|[3-6][0-9]{3}[ -]?[0-9]{4,6}[ -]?[0-9]{4}", _cards),
    Kind("bank account", r"[a-z]{2}[0-9]{2} ?[a-z0-9]{4} ?[a-z0-9]{4}", _ibans),
    Kind(
        "national id",
        r"[0-9]{3}[.-][0-9]{2,3}[.-][0-9]{3,4}|[a-z]{6}[0-9]{2}[a-z][0-9]{2}[a-z][0-9]{3}[a-z]|[0-9]{6}[-+a][0-9]{3}"
        r"|[0-9]{8}-?[a-z]|[12] [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3}|ssn|social.?security|pesel|bsn|nhs.?n|aadhaar"
        r"|national.?id|passport|steuer-?id|tax.?id",
        _national,
    ),
    Kind("medical record", r"mrn|medical.?record|patient.?(id|no|number)|health.?insurance", _found(_MEDICAL)),
    Kind("date of birth", r"dob|date.?of.?birth|birth.?date|birthday|geburtsdatum", _found(_BORN)),
    Kind(
        "postal address",
        r"[0-9] [a-z]+ ([a-z]+ ){0,2}(st|av|road|rd|la?n|dr|b(ou)?le?v|court|way|place)"
        r"|(stra(ß|ss)e|weg|allee|platz) [0-9]",
        _found(_STREET),
    ),
)


class Reader:
    """Finds personal data in texts; one per thread, for the scan's own memory."""

    def __init__(self) -> None:
        self._database = _database()
        self._scratch = self._database.scratch.clone()

    def held(self, text: str) -> Held:
        """Personal data in the text, in its first 64 thousand characters."""
        if len(text) < 8:
            return NOTHING
        text = text[:MAX_TEXT]
        hints: list[int] = []
        self._database.scan(
            text.encode("utf-8", "replace"), match_event_handler=_note, context=hints, scratch=self._scratch
        )
        kinds: dict[str, int] = {}
        for number in sorted(set(hints)):
            values: set[str] = set()
            for value in KINDS[number].values(text):
                values.add(value)
                if len(values) >= MAX_DISTINCT:
                    break
            if values:
                kinds[KINDS[number].name] = len(values)
        return Held(kinds, max(kinds.values())) if kinds else NOTHING


@cache
def _database() -> hyperscan.Database:
    """The compiled hints; only the memory of a scan is a thread's own."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[kind.hint.encode() for kind in KINDS],
        ids=list(range(len(KINDS))),
        elements=len(KINDS),
        flags=[hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH] * len(KINDS),
    )
    return database


def _note(number: int, start: int, end: int, flag: int, hints: Any) -> None:
    hints.append(number)
