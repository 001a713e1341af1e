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

    __slots__ = ("_begins", "_cut", "_layers", "_needed", "_reads", "_stood", "data", "end")

    def __init__(
        self, text: bytes, start: int, stop: int, edits: Iterable[Edit], *, cut: tuple[bool, bool], needed: bool
    ) -> None:
        """`cut` says whether text goes on before and behind; `needed`, that only finds over an edit count."""
        out: list[bytes] = []
        self._begins, self._stood = [0], [start]  # after each edit: here, and in the text
        self._layers, self._reads = [""], [True]  # false where nothing stands for the edit: no secret ends with it
        done, size = start, 0
        for edit in edits:
            out += text[done : edit.start], edit.plain
            size += edit.start - done + len(edit.plain)
            done = edit.end
            self._begins.append(size)
            self._stood.append(done)
            self._layers.append(edit.layer)
            self._reads.append(bool(edit.plain))
        out.append(text[done:stop])
        self.data = b"".join(out)
        self._cut, self._needed = cut, needed
        self.end = done  # of the last edit, in the text

    def place(self, start: int, end: int) -> Place | None:
        if (start == 0 and self._cut[0]) or (end == len(self.data) and self._cut[1]):
            return None
        before, after = bisect_right(self._begins, start) - 1, bisect_left(self._begins, end)
        first = self._stood[before] + start - self._begins[before]
        if after < len(self._begins) and self._begins[after] == end and self._reads[after]:
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
_BLANK = rb"(?:[ \t\r\n]|\\(?=\r?\n)|\\{1,24}[nrt])"
_BLANKS = rb"(?:%b{0,48})" % _BLANK
_QUOTE = rb"(?:(?<!\\)\\{0,24}[\"'`])"
_OPENS = rb"(?:[fFbBrRuUL@$]{0,2}\\{0,24}[\"'`])"
_CONTINUED = rb"(?:(?<!\\)(?:\\\r?\n|(?:\\{3}|\\{6}|\\{12})n)[ \t]{0,16})"
_ADDED = _QUOTE + _BLANKS + rb"(?:\+|\.\.?|&(?: _)?|\|\||<>|~|\.concat\()" + _BLANKS + _OPENS
_APPENDED = (
    _QUOTE + rb";?" + _BLANKS + rb"[\w.$\[\]>-]{1,64}[ \t]{0,8}(?:\+=|\.=|=[ \t]{0,8}[\w.$>-]{1,64}[ \t]{0,8}[+.])"
    rb"[ \t]{0,8}" + _OPENS
)
_BESIDE = (  # as deep in escapes, and the second is no key of JSON
    rb"(?P<beside>(?<!\\)\\{0,24}[\"'`])%b{1,48}[fFbBrRuUL]{0,2}(?P=beside)(?![^\s\"'`\\]{1,64}(?P=beside)[ \t]?:)"
    % _BLANK
)
_LISTED = rb"(?P<quote>(?<!\\)\\{0,24}[\"'`])" + _BLANKS + rb"," + _BLANKS + rb"(?P=quote)"
_WRAPPED = rb"(?:(?:\r?\n|(?<!\\)(?:\\{1,24}r)?\\{1,24}n)[ \t]{0,8})"
_BARE = rb"[^\s\"'`\\,\x00]"
_LOOSE_SEAM = re.compile(rb"(?:%b|%b)(?=[%b])" % (rb"(?P<list>%b)" % _LISTED, rb"(?P<wrap>%b)" % _WRAPPED, TOKEN))
_SEAM = re.compile(rb"(?:%b|%b|%b|%b)(?=%b)" % (_CONTINUED, _ADDED, _APPENDED, _BESIDE, _BARE))
_LIST_SEAM = re.compile(rb"(?:%b|%b|%b)(?=%b)" % (_LISTED, _CONTINUED, _ADDED, _BARE))
_TOKEN_PART = re.compile(rb"[%b]{1,512}" % TOKEN)
_PART = re.compile(rb"%b{1,1024}" % rb"(?:[^\s\"'`\\\x00]|\\{1,24}/)")
_ENDS_PART = (b'"', b"'", b"`", b" ", b"\n", b"\t")
_RANDOM = re.compile(rb"(?s)[A-Z].*[0-9]|[0-9].*[0-9A-Z]")  # what follows is no list of words
_MAX_PARTS = 64
_AROUND = 96  # of the text before and behind the parts: a name, a sign, a boundary
_NARROW = 40  # no terminal wraps lines shorter than this


def token_parts(text: bytes, start: int, stop: int, at: int, whole: bool) -> tuple[View | None, int]:
    """The parts, in a list or on lines, of a token whose beginning pass one saw up to `at`, joined, and up to where
    nothing is to be seen anew.

    `whole` says that the first part is a token by itself: then what follows in a list or on the next line is not its.
    """
    first = _TOKEN_PART.match(text, at, stop)
    end = first.end() if first else at
    seam = None if whole else _LOOSE_SEAM.match(text, end, min(stop, end + 128))
    if seam is None or (seam["wrap"] and not _wide(text, end)):
        return None, end
    if b"=" in text[at:end].rstrip(b"="):  # NAME=value: the name only looks like a token's beginning
        return None, end
    begin = max(start, at - 128)
    begin += len(text[begin:at].rstrip(_TOKEN_BYTES))
    edits = _chain(text, end, stop, _LOOSE_SEAM, _TOKEN_PART)
    if not edits:
        return None, end
    last = edits[-1].end
    if not _RANDOM.search(text, seam.end(), min(stop, last + 64)):
        return None, last
    low, high = max(start, begin - _AROUND), min(stop, _part_end(text, last, stop) + _AROUND)
    return View(text, low, high, edits, cut=(low > start, high < stop), needed=True), last


class Seams(NamedTuple):
    """Seams between parts of one value, and the range of the text it takes to tell what the value is."""

    start: int
    stop: int
    edits: list[Edit]

    def view(self, text: bytes, start: int, stop: int) -> View:
        edits: list[Edit] = []
        for edit in sorted(self.edits):
            if not edits or edit.start >= edits[-1].end:
                edits.append(edit)
        return View(text, self.start, self.stop, edits, cut=(self.start > start, self.stop < stop), needed=True)

    def merged(self, other: Seams) -> Seams:
        """Both, where they overlap: bytes between two seams are read once."""
        self.edits.extend(other.edits)
        return Seams(min(self.start, other.start), max(self.stop, other.stop), self.edits)


def seams(text: bytes, start: int, stop: int, at: int) -> Seams | None:
    """The seam that pass one saw up to `at`, and those that follow it part after part."""
    if not _ODD.search(text, max(start, at - 64), min(stop, at + 64)):
        return None  # words on both sides
    seam = _seam_at(text, max(start, at - 40), at, stop) or _seam_at(text, max(start, at - _WIDEST), at, stop)
    if seam is None:
        return None
    return _around(text, start, stop, seam.start(), _chain(text, seam.start(), stop, _SEAM, _PART))


_ODD = re.compile(rb"[0-9]|[A-Z]{4}|[A-Za-z]{16}|[!#$%^&*?][A-Za-z]|[A-Za-z][!#$^&*?]")


def _seam_at(text: bytes, begin: int, at: int, stop: int) -> re.Match[bytes] | None:
    """The last seam that begins in the range: most are short, and a wide search takes long."""
    seam = None
    for found in _SEAM.finditer(text, begin, min(stop, at + 64)):
        if found.start() >= at:
            break
        seam = found
    return seam


def list_seams(text: bytes, start: int, stop: int, at: int) -> Seams | None:
    """The seams of the list that is joined to one text by the call pass one saw up to `at`: before it, or its own."""
    call = None
    for found in _CALL.finditer(text, max(start, at - 64), min(stop, at + 128)):
        if found.start() >= at:
            break
        call = found
    if call is None:
        return None
    if call["of"]:
        opened = text.rfind(_OPENING[call[0][:1]], max(start, call.start() - _LONGEST), call.start())
        quote = _FIRST.match(text, opened + 1, call.start()) if opened >= 0 else None
        edits = []
    else:
        opened, quote = call.start(), _FIRST.match(text, call.end(), stop)
        edits = [Edit(call.start(), call.end(), b"", "split")]
    part = quote and _PART.match(text, quote.end(), stop)
    if part is None:
        return None
    chained = _chain(text, part.end(), stop, _LIST_SEAM, _PART)
    return _around(text, start, stop, opened, [*edits, *chained]) if chained else None


_WIDEST, _LONGEST = 192, 4096  # bytes of a seam, of a list that is joined
_OPENING = {b"]": b"[", b")": b"("}
_EMPTY = rb"(?:\\{0,24}[\"'`]\\{0,24}[\"'`])"
_FIRST = re.compile(_BLANKS + _OPENS)
_CALL = re.compile(
    rb"(?P<of>[\])](?:\.join(?:\((?:%b)?\)|(?![\w(]))|[ \t]-join[ \t]%b))"
    rb"|(?:%b\.|[A-Za-z][A-Za-z.:]{0,24}?(?:\.|::))?\b(?i:join|implode|concat|paste0|strcat)\((?:%b,[ \t]{0,4})?"
    rb"(?:(?:\[\]string|new[ \t](?:string|String)?\[\][ \t]?)\{|\[|\(|array\()?(?=%b%b)"
    % (_EMPTY, _EMPTY, _EMPTY, _EMPTY, _BLANKS, _OPENS)
)


def _around(text: bytes, start: int, stop: int, begin: int, edits: list[Edit]) -> Seams | None:
    if not edits:
        return None
    front = text[max(start, begin - 1024) : begin]
    low = begin - len(front) + 1 + max(map(front.rfind, _ENDS_PART))
    end = _part_end(text, edits[-1].end, stop)
    return Seams(max(start, low - _AROUND), min(stop, end + _AROUND), edits)


def _part_end(text: bytes, at: int, stop: int) -> int:
    part = _PART.match(text, at, stop)
    return part.end() if part else at


def _chain(text: bytes, end: int, stop: int, seams: re.Pattern[bytes], parts: re.Pattern[bytes]) -> list[Edit]:
    """Seam, part, seam, part, as far as they follow one another."""
    edits: list[Edit] = []
    seam = seams.match(text, end, min(stop, end + _WIDEST))
    while seam is not None and len(edits) < _MAX_PARTS:
        part = parts.match(text, seam.end(), stop)
        if part is None:
            break
        edits.append(Edit(seam.start(), seam.end(), b"", "split"))
        end = part.end()
        seam = seams.match(text, end, min(stop, end + _WIDEST))
    return edits


_TOKEN_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+/=~-"


def _wide(text: bytes, end: int) -> bool:
    """Whether the line that ends at `end` is long enough that a terminal may have wrapped it."""
    line = text[max(0, end - 256) : end]
    return len(line) - 1 - max(line.rfind(b"\n"), line.rfind(b"\\n") + 1) >= _NARROW
