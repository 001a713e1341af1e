"""Secrets of many families planted in raw agent JSON lines, and the score of whoever looks for them there."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.secrets import Hit, Scanner
from tests.bench.carriers import CARRIERS, SPLIT, Parts, fits, text_of
from tests.bench.families import FAMILIES, OUTSIDE, SECRET
from tests.bench.transcripts import clean_lines, line_around

EACH: Final = 3  # secrets of one family in one carrier
CLEAN: Final = 12_000
SEED: Final = 20261103


class Case(NamedTuple):
    """One line and where in it the secret is; `parts` is empty in a clean line."""

    line: str
    family: str
    carrier: str
    parts: Parts

    def ranges(self, *kinds: int) -> list[tuple[int, int]]:
        at, found = 0, []
        for text, kind in self.parts:
            if kind in kinds and text:
                found.append((at, at + len(text)))
            at += len(text)
        return found


def cases(folder: Path | None, each: int = EACH, clean: int = CLEAN) -> list[Case]:
    """Planted and clean lines, shuffled; the same arguments give the same lines."""
    made = []
    for family in FAMILIES:
        for name, carry in CARRIERS.items():
            if not fits(name, family):
                continue
            for number in range(each):
                rng = random.Random(f"{SEED}/{family.name}/{name}/{number}")
                parts = line_around(rng, carry(rng, family, family.make(rng)))
                made.append(Case(text_of(parts), family.name, name, parts))
    made += [Case(line, "", "", []) for line in clean_lines(folder, clean, SEED)]
    random.Random(SEED).shuffle(made)
    return made


class Judged(NamedTuple):
    """What the hits in one line are worth."""

    case: Case
    masked: bool  # nothing of the secret is left
    exact: bool  # and nothing beside it is gone
    hits: list[Hit]
    false: list[Hit]


def judge(case: Case, hits: Sequence[Hit]) -> Judged:
    secret = case.ranges(SECRET)
    allowed = [(at, at + len(text)) for at, text in _places(case.parts, OUTSIDE)]
    true, false = [], []
    for hit in hits:
        inside = any(hit.start < end and start < hit.end for start, end in case.ranges(SECRET, 1, SPLIT))
        (true if inside else false).append(hit)
    masked = bool(secret) and all(_covered(start, end, true) for start, end in secret)
    clear = not any(hit.start < end and start < hit.end for hit in true for start, end in allowed)
    return Judged(case, masked, masked and clear, true, false)


def _places(parts: Parts, wanted: int) -> Iterable[tuple[int, str]]:
    at = 0
    for text, kind in parts:
        if kind == wanted and text:
            yield at, text
        at += len(text)


def _covered(start: int, end: int, hits: Sequence[Hit]) -> bool:
    for hit in sorted(hits):
        if hit.start <= start < hit.end:
            start = hit.end
    return start >= end


def score(scanner: Scanner, every: Sequence[Case]) -> tuple[dict[str, Any], list[Judged]]:
    """Recall overall, per carrier and per family; precision over hits; tiers; decodings undone."""
    judged = [judge(case, scanner.find(case.line)) for case in every]
    planted = [one for one in judged if one.case.parts]
    hits, false = sum(len(one.hits) for one in planted), [hit for one in judged for hit in one.false]
    tiers = Counter(min((_ORDER.index(hit.tier) for hit in one.hits), default=3) for one in planted if one.masked)
    carriers = _by(planted, lambda one: one.case.carrier)
    layers = Counter("+".join(hit.layers) or "none" for one in planted for hit in one.hits)
    return {
        "planted": len(planted),
        "clean_lines": len(judged) - len(planted),
        "recall": ratio(sum(one.masked for one in planted), len(planted)),
        "recall_verified_or_likely": ratio(sum(tiers[n] for n in (0, 1)), len(planted)),
        "found_by_line": ratio(sum(bool(one.hits) for one in planted), len(planted)),
        "exact_of_masked": ratio(sum(one.exact for one in planted), sum(one.masked for one in planted)),
        "precision": ratio(hits, hits + len(false)),
        "false_hits": len(false),
        "false_lines": sum(bool(one.false) for one in judged),
        "tiers": {name: tiers[number] for number, name in enumerate(_ORDER)},
        "worst_carrier": min((row["recall"] for row in carriers.values()), default=0.0),
        "carriers": carriers,
        "families": _by(planted, lambda one: one.case.family),
        "false_rules": dict(Counter(f"{hit.rule.id} {hit.tier}" for hit in false).most_common(20)),
        "layers": dict(layers.most_common()),
    }, judged


_ORDER: Final = ("verified", "likely", "possible")


def ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _by(planted: Sequence[Judged], key: Any) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in planted:
        groups[key(one)].append(one)
    return {
        name: {
            "planted": len(some),
            "recall": ratio(sum(one.masked for one in some), len(some)),
            "exact": ratio(sum(one.exact for one in some), sum(one.masked for one in some)),
        }
        for name, some in sorted(groups.items())
    }
