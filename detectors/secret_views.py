"""Text as it reads once escapes are undone or seams are closed, and the way back to where each byte stood.

A view never stands for the text it was made of: what is found in it is masked in the original, from the first to the
last byte the secret took up there.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """A range of the text one level further out, and what was undone to read it."""

    start: int
    end: int
    layers: tuple[str, ...]


class Piece(Protocol):
    """Bytes that were hidden in a text."""

    @property
    def data(self) -> bytes: ...

    def place(self, start: int, end: int) -> Place | None:
        """Where that range of `data` stood; None where the find is an artefact of cutting the piece out."""


class Edit(NamedTuple):
    """Bytes `start` to `end` of the text read as `plain`."""

    start: int
    end: int
    plain: bytes
    layer: str


class View:
    """Bytes `start` to `stop` of a text with some of them replaced."""

    __slots__ = ("_begins", "_cut", "_layers", "_needed", "_stood", "data", "end")

    def __init__(
        self, text: bytes, start: int, stop: int, edits: Iterable[Edit], *, cut: tuple[bool, bool], needed: bool
    ) -> None:
        """`cut` says whether text goes on before and behind; `needed`, that only finds over an edit count."""
        out: list[bytes] = []
        self._begins, self._stood = [0], [start]  # after each edit: here, and in the text
        self._layers = [""]
        done, size = start, 0
        for edit in edits:
            out += text[done : edit.start], edit.plain
            size += edit.start - done + len(edit.plain)
            done = edit.end
            self._begins.append(size)
            self._stood.append(done)
            self._layers.append(edit.layer)
        out.append(text[done:stop])
        self.data = b"".join(out)
        self._cut, self._needed = cut, needed
        self.end = done  # of the last edit, in the text

    def place(self, start: int, end: int) -> Place | None:
        if (start == 0 and self._cut[0]) or (end == len(self.data) and self._cut[1]):
            return None
        before, after = bisect_right(self._begins, start) - 1, bisect_left(self._begins, end)
        first = self._stood[before] + start - self._begins[before]
        if after < len(self._begins) and self._begins[after] == end:
            last = self._stood[after]
        else:
            after -= 1
            last = self._stood[after] + end - self._begins[after]
        layers = tuple(dict.fromkeys(self._layers[before + 1 : after + 1]))
        return None if self._needed and not layers else Place(first, last, layers)


# Escapes of ASCII, at any depth of JSON; quotes and line ends in JSON's short form are left to the rules, which need
# their depth. NUL goes because UTF-16 read as bytes has one beside every letter.
_ESCAPE = re.compile(
    rb"(?P<utf16>\x00|(?<!\\)\\{1,64}(?:u0000|x00)|%00)"
    rb"|(?<!\\)\\{1,64}(?:u00(?P<unicode>[0-7][0-9a-fA-F])|x(?P<hex>[0-7][0-9a-fA-F])|(?P<octal>[01][0-7]{2})"
    rb"|(?P<json>/))"
    rb"|%(?P<percent>[0-7][0-9a-fA-F])|&(?P<html>#x?[0-9a-fA-F]{2,7}|[A-Za-z]{2,8});"
)
_SIXTEEN = frozenset({"unicode", "hex", "percent"})


def escapes(text: bytes, start: int, stop: int) -> Iterator[Edit]:
    """Every escape of the range, undone."""
    for found in _ESCAPE.finditer(text, start, stop):
        layer = found.lastgroup or ""
        code = found[layer]
        if layer in _SIXTEEN:
            plain = bytes((int(code, 16),))
        elif layer == "utf16":
            plain = b""
        elif layer == "octal":
            plain = bytes((int(code, 8),))
        elif layer == "json":
            plain = code
        else:
            plain = html.unescape(found[0].decode("ascii")).encode("utf-8", "replace")
            if plain == found[0]:
                continue
        yield Edit(found.start(), found.end(), plain, layer)


TOKEN = rb"A-Za-z0-9_.+/=~-"
_BLANK = rb"(?:[ \t\r\n]|(?<!\\)\\{1,24}[nrt])"
_QUOTE = rb"(?:(?<!\\)\\{0,24}[\"'`])"
_CONTINUED = rb"(?:(?<!\\)(?:\\\r?\n|(?:\\{3}|\\{6}|\\{12})n)[ \t]{0,16})"
_JOINED = _QUOTE + _BLANK + rb"{0,24}(?:[+.&]|\\)?" + _BLANK + rb"{0,24}" + _QUOTE
_LISTED = _QUOTE + _BLANK + rb"{0,24}," + _BLANK + rb"{0,24}" + _QUOTE
_WRAPPED = rb"(?:(?:\r?\n|(?<!\\)(?:\\{1,24}r)?\\{1,24}n)[ \t]{0,8})"
_TOKEN_SEAM = re.compile(
    rb"(?:%b|%b|(?P<list>%b)|(?P<wrap>%b))(?=[%b])" % (_CONTINUED, _JOINED, _LISTED, _WRAPPED, TOKEN)
)
_VALUE_SEAM = re.compile(rb"(?:%b|%b)" % (_CONTINUED, _JOINED))
_TOKEN_PART = re.compile(rb"[%b]{1,512}" % TOKEN)
_VALUE_PART = re.compile(rb"[^\s\"'`\\,;\x00]{1,512}")
_GIVEN = re.compile(
    rb"%b?\]?[ \t]{0,8}(?::=|=>|[:=>])?[ \t]{0,8}\(?%b{0,16}[A-Za-z]{0,2}%b(?=[^\s\"'`\\,;\x00]{1,512}(?:%b|%b))"
    % (_QUOTE, _BLANK, _QUOTE, _CONTINUED, _JOINED)
)
_RANDOM = re.compile(rb"(?s)[A-Z].*[0-9]|[0-9].*[0-9A-Z]")  # what follows is no list of words
_MAX_PARTS = 64
_AROUND = 96  # of the text before and behind the parts: a name, a sign, a boundary
_NARROW = 40  # no terminal wraps lines shorter than this


def token_parts(text: bytes, start: int, stop: int, at: int, whole: bool) -> tuple[View | None, int]:
    """The parts of a token whose beginning pass one saw up to `at`, joined, and up to where nothing is to be seen anew.

    `whole` says that the first part is a token by itself: then what follows in a list or on the next line is not its.
    """
    first = _TOKEN_PART.match(text, at, stop)
    end = first.end() if first else at
    seam = _TOKEN_SEAM.match(text, end, min(stop, end + 128))
    if seam is None:
        return None, end
    begin = max(start, at - 128)
    begin = at - (at - begin - len(text[begin:at].rstrip(_TOKEN_BYTES)))
    loose = bool(seam["list"] or seam["wrap"])
    if loose and (whole or (seam["wrap"] and not _wide(text, end))):
        return None, end
    view = _closed(text, start, stop, begin, end, _TOKEN_SEAM, _TOKEN_PART)
    if view is None:
        return None, end
    random = not loose or _RANDOM.search(text, seam.end(), min(stop, view.end + 64))
    return view if random else None, view.end


def value_parts(text: bytes, start: int, stop: int, at: int) -> View | None:
    """The parts of the value given to the name pass one saw up to `at`, joined; None where it is in one piece."""
    given = _GIVEN.match(text, at, stop)
    first = given and _VALUE_PART.match(text, given.end(), stop)
    if first is None:
        return None
    return _closed(text, start, stop, at, first.end(), _VALUE_SEAM, _VALUE_PART)


def _closed(
    text: bytes, start: int, stop: int, begin: int, end: int, seams: re.Pattern[bytes], parts: re.Pattern[bytes]
) -> View | None:
    edits: list[Edit] = []
    seam = seams.match(text, end, min(stop, end + 128))
    while seam is not None and len(edits) < _MAX_PARTS:
        part = parts.match(text, seam.end(), stop)
        if part is None:
            break
        edits.append(Edit(seam.start(), seam.end(), b"", "split"))
        end = part.end()
        seam = seams.match(text, end, min(stop, end + 128))
    if not edits:
        return None
    low, high = max(start, begin - _AROUND), min(stop, end + _AROUND)
    return View(text, low, high, edits, cut=(low > start, high < stop), needed=True)


_TOKEN_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+/=~-"


def _wide(text: bytes, end: int) -> bool:
    """Whether the line that ends at `end` is long enough that a terminal may have wrapped it."""
    line = text[max(0, end - 256) : end]
    return len(line) - 1 - max(line.rfind(b"\n"), line.rfind(b"\\n") + 1) >= _NARROW
