"""How far a text is from words: what tells a random token from an identifier, a label or a path."""

from __future__ import annotations

import re

from detectors.secret_trigrams import LEVELS, STEP

_BASE = 27
_PART = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")
_DIGIT, _SWITCH = 3.3, 2.5  # bits of a digit, and of a change of kind or case inside a word
_COST = tuple(int(level) * STEP for level in LEVELS)


def rarity(text: bytes) -> float:
    """Bits per character under a model of words: about 3 for identifiers and prose, 5 and more for random tokens."""
    bits, glued, total = 0.0, False, 0
    for part in _PART.findall(text):
        head = part[0]
        if head < 48 or 57 < head < 65 or 90 < head < 97 or head > 122:
            glued = False
            continue
        total += len(part)
        bits += _SWITCH if glued else 0.0
        glued = True
        if head <= 57:
            bits += _DIGIT * len(part)
            continue
        first = second = 0
        for letter in part.lower():
            third = letter - 96
            bits += _COST[(first * _BASE + second) * _BASE + third]
            first, second = second, third
    return bits / total if total else 0.0
