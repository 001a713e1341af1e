"""What a text hides under encodings: pass one says where a run begins, the run is decoded in C and handed back.

The patterns of pass one know what encoded *text* looks like (in base64 the first character of every four can only be
one of 26), so digests, images and paths never get here. What is not text after all is given up after 64 bytes.
"""

from __future__ import annotations

import binascii
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from detectors.secret_views import Edit, Piece, Place, Seams, View, escapes, list_seams, seams, token_parts

DEPTH = 3  # decodings one inside the other
FACTOR, SPARE = 4, 1 << 16  # bytes decoded for one text: so many times its own, and so many more
_HEAD = 64


class Kind(IntEnum):
    """What pass one saw."""

    BASE64 = 0
    HEX = 1
    LISTED = 2
    ESCAPED = 3
    TOKEN_PARTS = 4
    SEAM = 5
    LIST_SEAMS = 6


class Unread(NamedTuple):
    """A range whose content would have gone over the budget."""

    start: int
    end: int


class Budget:
    """Bytes that may still be decoded for one text."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = FACTOR * size + SPARE

    def take(self, count: int) -> bool:
        if count > self.left:
            return False
        self.left -= count
        return True


_ANY = "[A-Za-z0-9+/_-]"
_QUARTET = rf"[CDI-Za-f][AC-HQS-Xgi-nwyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589]{_ANY}"  # three bytes of ASCII text
_WIDE = rf"[CDI-Za-f][AQgw][AB]{_ANY}A[ACDEFGH][AEIMQUYcgkosw048]A"  # three characters of UTF-16
_BEFORE = r"(?:^|[^A-Za-z0-9+]|\\[nrt])"
_BEFORE_HEX = r"(?:^|[^A-Za-z0-9]|\\[nrt])"
_HEX, _PRINTABLE = "[0-9a-fA-F]", "(?:[2-7][0-9a-fA-F]|0[9aAdD])"
# ASCII that decides whether something is a secret: letters, digits, % + - . / : = @ _
_CODE = r"(?:[46][1-9a-fA-F]|[57][0-9aA]|3[0-9aAdD]|2[bBdDeEfF5]|40|5[fF])"
_DECIMAL = r"(?:3[789]|4[35-9]|5[0-8]|6[14-9]|[78]\d|90|95|9[789]|1[01]\d|12[0-2])"
_LENGTH = {Kind.BASE64: 20, Kind.HEX: 20}


def triggers(prefixes: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    """Pass one's patterns: for each, that text in an encoding, or a secret in parts, stands here."""
    yield Kind.BASE64, rf"{_BEFORE}(?:{_QUARTET}){{5}}"
    yield Kind.BASE64, rf"{_BEFORE}(?:{_WIDE}){{2}}{_ANY}{{4}}"
    yield Kind.BASE64, rf"{_BEFORE}(?:H4sI|eJ[w-z]{_ANY}|eN[o-r]{_ANY}|eAE{_ANY}|eF[4-7]{_ANY}){_ANY}{{16}}"
    packed = rf"(?:1[fF]8[bB]08|789[cC]{_HEX}{{2}}|78[dD][aA]{_HEX}{{2}}){_HEX}{{14}}"
    yield Kind.HEX, rf"{_BEFORE_HEX}(?:{_PRINTABLE}{{10}}|(?:[2-7]{_HEX}00){{5}}|{packed})"
    yield Kind.LISTED, rf"(?:0[xX]{_PRINTABLE}[,;]?(?:\\{{1,24}}[nrt]|\s){{0,8}}){{6}}"
    yield Kind.ESCAPED, rf"\\u00{_CODE}|\\x{_CODE}|%{_CODE}"
    yield Kind.ESCAPED, rf"&#(?:[xX]0{{0,4}}{_CODE}|0{{0,4}}{_DECIMAL});"
    yield Kind.ESCAPED, r"&(?:colon|sol|commat|equals|lowbar|period|num|dash|hyphen|plus|percnt);"
    yield Kind.ESCAPED, r"(?:\\{1,16}[01][0-7]{2}){3}"
    yield Kind.ESCAPED, r"[A-Za-z0-9:]\\{1,24}/"
    yield Kind.ESCAPED, r"(?:^|[^\x00])\x00?(?:[\x01-\x7f]\x00){5}|(?:[\x20-\x7e]\\{1,24}(?:u0000|x00)){3}"
    for pattern in (*_SEAMS, *_CONTINUED):
        yield Kind.SEAM, pattern
    yield Kind.LIST_SEAMS, rf"[\])](?:\.join\((?:{_EMPTY})?\)|\.join[^\w(]| -join {_EMPTY})"
    opened = rf"(?:{_EMPTY},\s?|[\[(]|new |array|\[\]s|\\{{0,24}}[\"'`]\w)"
    yield Kind.LIST_SEAMS, rf"(?i)(?:join|implode|concat|paste0|strcat)\({opened}"
    for prefix in prefixes:
        yield Kind.TOKEN_PARTS, rf"(?:^|[^A-Za-z0-9]|\\[nrt]|u000[ad]){re.escape(prefix)}[A-Za-z0-9_-]{{2}}"


_GAP = r"[ \t\r\nnrt\\]{0,48}"  # blanks, or what writes them
_NAME = r"[\w.$\[\]>-]{1,64}"
_PART = r"[fFbBrRuUL@$]{0,2}\\{0,24}[\"'`][^\s\"'`,\\]"  # the next part begins
_SEAMS = (  # each with letters of its own to look for: together they halve the speed of the whole pass
    *(
        rf"[^\s\"'`,;]{quote}{blank}{sign}{_GAP}{_PART}"
        for quote in "\"'`"
        for blank in ("", " ")
        for sign in (r"\+", r"\.(?:\.|concat\()?", r"&(?: _)?", r"\|\|", "<>", "~")
    ),
    *(rf"[\"'`]{_GAP}(?:n|\n)[ \t]{{0,32}}{sign} ?{_PART}" for sign in (r"\+", r"\.", "&", r"\|\|")),
    *(rf"[A-Za-z0-9_\])] ?{sign} {{0,4}}{_PART}" for sign in (r"\+=", r"\.=")),
    rf"[A-Za-z0-9_] = {_NAME} [+.] {_PART}",
    *(
        rf"[^\s\"'`,;]{quote}(?:[ \t]|\r?\n|\\{{1,24}}n){_GAP}[fFbBrRuUL]{{0,2}}\\{{0,24}}{quote}[^\s\"'`,\\]"
        for quote in "\"'`"
    ),
)
_CONTINUED = (
    r"[^\s\\\"'`,;]\\\r?\n[ \t]{0,16}[^\s\"'`\\,]",
    *(rf"[^\s\\\"'`,;]\\{{{count}}}n[ \t]{{0,16}}[^\s\"'`\\,]" for count in (3, 6, 12)),
)
_EMPTY = r"(?:\\{0,24}[\"'`]\\{0,24}[\"'`])"


class _Run:
    """Decoded bytes of one run, and where the characters of each stood."""

    __slots__ = ("_at", "_end", "_layers", "_lines", "_size", "_unit", "_whole", "data")

    def __init__(
        self, data: bytes, lines: Sequence[tuple[int, int]], size: int, unit: tuple[int, int], layer: str
    ) -> None:
        self.data, self._size, self._unit = data, size, unit
        self._layers: tuple[str, ...] = (layer,)
        self._lines = [start for start, _ in lines]
        self._end = lines[-1][1]
        self._at = [0]
        for start, end in lines[:-1]:
            self._at.append(self._at[-1] + end - start)
        self._whole = False

    def inflated(self, data: bytes, layer: str) -> _Run:
        """The same run, its content inflated: no byte of it stands for a byte of the text any more."""
        self.data, self._whole = data, True
        self._layers = *self._layers, layer
        return self

    def place(self, start: int, end: int) -> Place | None:
        if self._whole:
            return Place(self._lines[0], self._end, self._layers)
        count, wide = self._unit
        last = -(-end // count) * wide
        stop = self._end if last >= self._size else self._stood(last - 1) + 1
        return Place(self._stood(start // count * wide), stop, self._layers)

    def _stood(self, at: int) -> int:
        line = bisect_right(self._at, at) - 1
        return self._lines[line] + at - self._at[line]


def pieces(
    text: bytes,
    start: int,
    stop: int,
    seen: Sequence[tuple[Kind, int]],
    spared: Sequence[tuple[int, int]],
    budget: Budget,
) -> Iterator[Piece | Unread]:
    """Everything hidden in the text where pass one saw something; `spared` are secrets found as they stand."""
    done = dict.fromkeys(Kind, start)
    window: list[int] = []
    parts: Seams | None = None
    for kind, to in seen:
        if kind is Kind.ESCAPED:
            if window and to - _REACH <= window[1]:
                window[1] = to + _REACH
                continue
            if window:
                yield _unescaped(text, start, stop, window, budget)
            window = [to - _REACH, to + _REACH]
        elif to <= done[kind]:
            continue
        elif kind is Kind.TOKEN_PARTS:
            view, done[kind] = token_parts(text, start, stop, to, _inside(spared, to - 1) is not None)
            if view:
                yield view if budget.take(len(view.data)) else Unread(to, view.end)
        elif kind in _SEAMED:
            more = (seams if kind is Kind.SEAM else list_seams)(text, start, stop, to)
            done[kind] = more.edits[-1].end if more else to
            if more and parts and more.start <= parts.stop:
                parts = parts.merged(more)
            elif more:
                if parts:
                    yield _closed(text, start, stop, parts, budget)
                parts = more
        elif kind is Kind.LISTED:
            listed = _LIST.search(text, max(done[kind], to - _LIST_REACH), stop)
            if listed:
                done[kind] = listed.end()
                edits = (
                    Edit(m.start(), m.end(), bytes((int(m[1], 16),)), "hex")
                    for m in _ITEM.finditer(text, *listed.span())
                )
                view = View(text, *listed.span(), edits, cut=(False, False), needed=True)
                if _is_text(view.data[:_HEAD]):
                    yield view if budget.take(len(view.data)) else Unread(*listed.span())
        else:
            begin = to - _LENGTH[kind]
            covered = _inside(spared, begin)
            if covered:
                done[kind] = covered[1]
                continue
            found, done[kind] = _decoded(text, begin, to, stop, kind, budget)
            if found:
                yield found
    if window:
        yield _unescaped(text, start, stop, window, budget)
    if parts:
        yield _closed(text, start, stop, parts, budget)


_SEAMED = (Kind.SEAM, Kind.LIST_SEAMS)
_REACH = 4096  # of the text around escapes: longer than what names a secret and most secrets
_LIST_REACH = 128
_ITEM = re.compile(rb"(?:0[xX])?([0-9a-fA-F]{2})(?:[:,; ]|\\{1,24}[nrt]|\s){0,8}")
_LIST = re.compile(rb"(?:0[xX][0-9a-fA-F]{2}(?:[,;]?(?:\\{1,24}[nrt]|\s){0,8})){6,}")


def _inside(ranges: Sequence[tuple[int, int]], at: int) -> tuple[int, int] | None:
    """The range the place is in; they are ascending and apart."""
    before = bisect_right(ranges, (at, 1 << 62)) - 1
    return ranges[before] if before >= 0 and at < ranges[before][1] else None


def _unescaped(text: bytes, start: int, stop: int, window: list[int], budget: Budget) -> View | Unread:
    low, high = max(start, window[0]), min(stop, window[1])
    if not budget.take(high - low):
        return Unread(low, high)
    return View(text, low, high, escapes(text, low, high), cut=(low > start, high < stop), needed=False)


def _closed(text: bytes, start: int, stop: int, parts: Seams, budget: Budget) -> View | Unread:
    taken = budget.take(parts.stop - parts.start)
    return parts.view(text, start, stop) if taken else Unread(parts.start, parts.stop)


_CONTROLS = bytes([*range(9), 11, 12, *range(14, 27), *range(28, 32), 127])
_ASCII = bytes([9, 10, 13, 27, *range(32, 127)])


def _is_text(head: bytes) -> bool:
    """Whether the bytes can be the beginning of text: ASCII, UTF-8 or UTF-16, hardly a control character."""
    odd = head.translate(None, _ASCII)
    if not odd:
        return True
    if odd.count(0) * 2 >= len(head) - 4 and len(odd) - odd.count(0) <= 2 + len(head) // 20:
        return not head[:1] == b"\0" == head[1:2]
    if (len(odd) - len(odd.translate(None, _CONTROLS))) * 20 > len(head):
        return False
    return len(odd) - len(odd.decode("utf-8", "ignore").encode()) <= 3 + len(head) // 20


_LINE = {Kind.BASE64: re.compile(rb"([A-Za-z0-9+/_-]+)(={0,2})"), Kind.HEX: re.compile(rb"([0-9a-fA-F]+)()")}
_WRAP = re.compile(rb"(?:\r?\n|(?:\\{1,24}r)?\\{1,24}n)[ \t]{0,32}")
_WORDS = (b" ", b",", b".", b":", b";", b"(", b"_")
_CODED = re.compile(rb"[0-9+/]|[a-z][A-Z]|[A-Z]{2}[a-z]")  # no word of prose
_LEAST_LINE = 32  # characters in a line of a wrapped run
_TO_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _decoded(
    text: bytes, begin: int, to: int, stop: int, kind: Kind, budget: Budget
) -> tuple[Piece | Unread | None, int]:
    """What the run that begins there says, and up to where there is nothing more to learn."""
    head = _bytes(text[begin : min(stop, begin + 88)], kind)
    packed = _packing(head)
    if not packed and not _is_text(head[:_HEAD]):
        return None, to
    lines = _run(text, begin, stop, kind)
    end = lines[-1][1]
    run = b"".join(text[one:other] for one, other in lines)
    if kind is Kind.BASE64 and text[end : end + 1] == b"=":  # padding is masked with what it pads
        end += 2 if text[end : end + 2] == b"==" else 1
    raw = _bytes(run, kind)
    if not budget.take(len(raw)):
        return Unread(begin, end), end
    unit, layer = ((3, 4), "base64") if kind is Kind.BASE64 else ((1, 2), "hex")
    piece = _Run(raw, [*lines[:-1], (lines[-1][0], end)], len(run), unit, layer)
    if not packed:
        return piece, end
    try:
        if not _is_text(zlib.decompressobj(wbits=47).decompress(raw, _HEAD).replace(b"\0", b"")):
            return None, end
        unpack = zlib.decompressobj(wbits=47)
        plain = unpack.decompress(raw, budget.left + 1)
    except zlib.error:
        return None, end
    if not budget.take(len(plain)):
        return Unread(begin, end), end
    return piece.inflated(plain, packed), end


def _packing(head: bytes) -> str:
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    return "zlib" if head[:1] == b"\x78" and len(head) > 1 and head[1] in b"\x01\x5e\x9c\xda" else ""


def _run(text: bytes, begin: int, stop: int, kind: Kind) -> list[tuple[int, int]]:
    """The lines of the run: one, or more where each before the last is full."""
    line, lines = _LINE[kind].match(text, begin, stop), []
    width = 0
    while line is not None:
        size = line.end(1) - line.start()
        lines.append(line.span(1))
        if line[2] or size < max(_LEAST_LINE, width) or size % 4 or (width and size > width):
            break
        width = size
        gap = _WRAP.match(text, line.end(), stop)
        line = _LINE[kind].match(text, gap.end(), stop) if gap else None
        if line is not None and (line.end(1) - line.start() > width or _prose(text, line)):
            break
    return lines


def _prose(text: bytes, line: re.Match[bytes]) -> bool:
    """Whether a line under a run is prose: its first word goes on with another, and is no encoded text by its look."""
    if text[line.end() : line.end() + 1] not in _WORDS:
        return False
    return not line[2] and (len(line[1]) % 4 != 0 or not _CODED.search(line[1]))


def _bytes(run: bytes, kind: Kind) -> bytes:
    """The run decoded, as far as it is one; what is left over at its end stands for no byte."""
    found = _LINE[kind].match(run)
    if found is None:
        return b""
    run = found[1]
    if kind is Kind.HEX:
        return binascii.unhexlify(run[: len(run) // 2 * 2])
    run = run[: len(run) - 1] if len(run) % 4 == 1 else run
    return binascii.a2b_base64(run.translate(_TO_URL_SAFE) + b"=" * (-len(run) % 4))
