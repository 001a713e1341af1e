"""Text hidden in a word: base64, hex, percent signs, one inside the other.

Only what decodes to readable text counts: digests, keys and pictures do not. Bounds: 3 decodings, 16,384 characters.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote

from detectors.programs import PROGRAMS

DEPTH, MAX_TEXT, MAX_RUNS, LEAST = 3, 16_384, 8, 16

_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile(r"(?:0x)?((?:[2-7][0-9a-fA-F]|0[9aAdD]){8,})")
_ESCAPED = re.compile(r"(?:\\x[0-7][0-9a-fA-F]){4,}")
_PERCENT = re.compile(r"(?:%[2-7][0-9a-fA-F])")
_READABLE = re.compile(r"[\t\n\r\x20-\x7e\u00a0-\ud7ff]+")
_WORDS = re.compile(r"\s*(?:sudo\s+)?([\w./-]+)(?:\s|$)")


def plain(text: str, depth: int = DEPTH) -> Iterator[str]:
    """What the text hides, the outermost first."""
    if depth <= 0 or len(text) < LEAST:
        return
    text = text[:MAX_TEXT]
    found = [one for one in _pieces(text) if one != text]
    for one in found[:MAX_RUNS]:
        yield one
        yield from plain(one, depth - 1)


def _pieces(text: str) -> Iterator[str]:
    for run in _RUN.finditer(text):
        data = run[0]
        if len(data) % 2 == 0 and (digits := _HEX.fullmatch(data)):
            plain = _readable(bytes.fromhex(digits[1]))
        elif len(data) % 4 == 1 or (data.isalpha() and (data.islower() or data.isupper())):
            continue
        else:
            try:
                plain = _readable(base64.b64decode(data.translate(_URL_SAFE) + "=" * (-len(data) % 4)))
            except (ValueError, binascii.Error):
                continue
        if plain:
            yield plain
    if "\\x" in text:
        for escaped in _ESCAPED.finditer(text):
            if plain := _readable(bytes.fromhex(escaped[0].replace("\\x", ""))):
                yield plain
    if text.count("%") >= 4 and len(_PERCENT.findall(text)) >= 4:
        yield unquote(text)


_URL_SAFE = str.maketrans("-_", "+/")


def _readable(raw: bytes) -> str:
    """The bytes as text; empty where they are none."""
    if raw[1:2] == b"\0" and raw[3:4] == b"\0":
        try:
            raw = raw.decode("utf-16-le").encode()
        except UnicodeError:
            return ""
    try:
        said = raw.decode("utf-8")
    except UnicodeError:
        return ""
    return said if len(said) >= 6 and _READABLE.fullmatch(said) else ""


def is_command(text: str) -> bool:
    """Whether a decoded text reads like a shell line: it begins with a known program and says more."""
    found = _WORDS.match(text)
    if found is None:
        return False
    name = found[1].rpartition("/")[2]
    return (name in PROGRAMS and len(text) > len(found[0])) or text.startswith("#!")
