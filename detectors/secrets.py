"""Secrets in agent text: found in two passes, replaced by a placeholder, reported as findings.

Pass one is a single Hyperscan call over all texts of a batch joined into one buffer; it only says where a rule
may have ended. Pass two reads a bounded window there, decides, and takes the secret's exact range. Texts are
scanned as they stand, JSON-escaped or not, because a placeholder must stand where the secret stood; what pass one
saw encoded or in parts is decoded and scanned the same way, and masked where it stood in the original.
"""

from __future__ import annotations

import hmac
import html
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import hyperscan

from detectors import secret_first_pass as first_pass
from detectors.model import SecretMatch, Tier, Verdict
from detectors.secret_checks import unescape, verdict
from detectors.secret_confirm import PLACEHOLDER, Confirm, confirm, gives
from detectors.secret_decode import DEPTH, Budget, Kind, Unread, pieces, triggers
from detectors.secret_facts import facts
from detectors.secret_rules import Examples, SecretRule

MAX_CANDIDATES = 10_000  # places pass one points to, per text; what lies behind them is masked unread
_CONTINUATION = bytes(range(0x80, 0xC0))
_REMAINDER = 4  # what a better match leaves over of a weaker one is masked too, from this length on

UNSCANNED = SecretRule(
    id="unscanned",
    title="Text too dense to scan, masked whole",
    severity="low",
    tier="possible",
    pattern="(.)",
    issuer="unknown",
    rotation="third_party",
    static=False,
    standards=("LLM02:2026",),
    grants="is unknown",
    blind_spots="What the masked text held is unknown.",
    runbook="Look at the emitter: text of this kind is generated, not written.",
    examples=Examples(match=("",), no_match=("",)),
)


class Hit(NamedTuple):
    """A secret's range, the rule that found it, what its format proves, its keyed fingerprint and how sure we are.

    `layers` names what was undone to read it, outermost first (`base64`, `gzip`, ...); the range is always that of
    the text as it stood. `says` is what it tells about itself: an account, an issuer, a date.
    """

    start: int
    end: int
    rule: SecretRule
    verdict: Verdict
    fingerprint: str
    tier: Tier = "likely"
    layers: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


class _Range(NamedTuple):
    """`secret` is empty where the text's own bytes are the secret."""

    start: int
    end: int
    rule: SecretRule
    tier: Tier
    layers: tuple[str, ...] = ()
    secret: bytes = b""


class Scanner:
    """Finds and masks secrets. Immutable after construction and safe to share between threads."""

    def __init__(self, rules: Sequence[SecretRule], key: bytes, cache: first_pass.Cache | None = None) -> None:
        self.rules = tuple(rules)
        self._key = key
        self._confirm: list[Confirm | None] = [None] * len(self.rules)  # made when first needed: most never are
        self._reach = [rule.window for rule in self.rules]
        self._named = [bool(rule.near) for rule in self.rules]
        self._begun = [bool(first_pass.begun(rule)) for rule in self.rules]
        hidden = list(triggers(first_pass.prefixes(self.rules)))
        self._kinds = [kind for kind, _ in hidden]
        more = [first_pass.Numbered(len(self.rules) + at, pattern) for at, (_, pattern) in enumerate(hidden)]
        self._database = first_pass.compiled(self.rules, more, cache) if self.rules else None
        self._local = threading.local()

    def fingerprint(self, secret: str) -> str:
        """Keyed hash of the secret as it was before any escaping: equal secrets correlate, nothing is looked up."""
        return self._fingerprint(secret.encode("utf-8", "surrogatepass"))

    def _fingerprint(self, secret: bytes) -> str:
        return hmac.digest(self._key, _as_it_was(secret), "sha256")[:8].hex()

    def find(self, text: str) -> list[Hit]:
        """Secrets in the text, ascending and apart, at character offsets."""
        return self.mask_many((text,)).get(0, [])

    def find_bytes(self, data: bytes) -> list[Hit]:
        """Secrets in the bytes, ascending and apart, at byte offsets."""
        return self._hits(data, 0, len(data), self._candidates(data))

    def mask_many(self, texts: Sequence[str]) -> dict[int, list[Hit]]:
        """Hits of those texts that have any, by index: one first pass for all of them."""
        joined = "\n".join(texts)  # each text begins a line, as it would alone
        data = joined.encode("utf-8", "surrogatepass")
        candidates = self._candidates(data)
        if not candidates:
            return {}
        total = list(accumulate(map(len, texts) if len(data) == len(joined) else map(_size, texts)))
        found: dict[int, list[Hit]] = {}
        first = 0
        while first < len(candidates):
            at = (candidates[first] >> 16) - 1  # the last byte of what pass one saw
            index = bisect_left(range(len(texts)), at, key=lambda i: total[i] + i)  # i separators stand before text i
            start, end = total[index - 1] + index if index else 0, total[index] + index
            last = bisect_left(candidates, (end + 1) << 16, first + 1)
            hits = self._hits(data, start, end, candidates[first:last])
            if hits:
                found[index] = list(_in_characters(data, start, hits, texts[index].isascii()))
            first = last
        return found

    def apply(self, text: str, hits: Sequence[Hit]) -> str:
        """The text with a placeholder in the place of every hit."""
        parts: list[str] = []
        done = 0
        for hit in hits:
            parts += text[done : hit.start], placeholder(hit)
            done = hit.end
        return "".join(parts) + text[done:]

    def mask(self, text: str, where: str) -> tuple[str, tuple[SecretMatch, ...]]:
        """The masked text and what was masked in it."""
        hits = self.find(text)
        if not hits:
            return text, ()
        return self.apply(text, hits), tuple(match(hit, where) for hit in hits)

    def _candidates(self, data: bytes) -> list[int]:
        """Pass one: (end offset, rule number) packed into one int each, ascending."""
        found: list[int] = []
        if not data or self._database is None:
            return found
        add = found.append

        def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add(end << 16 | number)

        self._database.scan(data, match_event_handler=on_match, scratch=self._scratch())
        found.sort()
        return found

    def _scratch(self) -> hyperscan.Scratch:
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            assert self._database is not None
            scratch = self._local.scratch = self._database.scratch.clone()  # one per thread, never shared
        return scratch

    def _hits(self, data: bytes, start: int, stop: int, candidates: Sequence[int]) -> list[Hit]:
        """Pass two over one text, decodings included, then one owner for every byte."""
        found = self._search(data, start, stop, candidates, None, 0)
        return [self._hit(data, one) for one in _apart(data, found)] if found else []

    def _search(
        self, data: bytes, start: int, stop: int, candidates: Sequence[int], budget: Budget | None, depth: int
    ) -> list[_Range]:
        """Everything found in the text as it stands and in what it hides."""
        hidden: list[tuple[Kind, int]] = []
        plain: list[int] = []
        asked, given = -1, False  # where an issuer is named, and whether it is given anything there
        for one in candidates:
            number = one & 0xFFFF
            if number < len(self._named):
                if self._named[number]:
                    if one >> 16 != asked:
                        asked = one >> 16
                        given = gives(data, asked, stop)
                    if not given:
                        continue
                plain.append(one)
                if self._begun[number]:
                    hidden.append((Kind.TOKEN_PARTS, one >> 16))
            else:
                hidden.append((self._kinds[number - len(self._named)], one >> 16))
        found = self._resolve(data, start, stop, plain)
        if hidden and depth < DEPTH:
            found += self._hidden(data, start, stop, hidden, found, budget or Budget(stop - start), depth)
        return found

    def _hidden(
        self,
        data: bytes,
        start: int,
        stop: int,
        seen: Sequence[tuple[Kind, int]],
        found: Sequence[_Range],
        budget: Budget,
        depth: int,
    ) -> list[_Range]:
        """What was found in decoded parts of the text: all of one level are joined and scanned in one call."""
        spared = _merged((one.start, one.end) for one in found if _alone(one))
        parts = list(pieces(data, start, stop, seen, spared, budget))
        deep = [_Range(*one, UNSCANNED, "possible") for one in parts if isinstance(one, Unread)]
        read = [one for one in parts if not isinstance(one, Unread)]
        joined = b"\0".join(one.data for one in read)
        candidates = self._candidates(joined)
        begin = at = 0
        for piece in read:
            end = begin + len(piece.data)
            last = bisect_left(candidates, (end + 1) << 16, at)
            if last > at:
                for one in self._search(joined, begin, end, candidates[at:last], budget, depth + 1):
                    place = piece.place(one.start - begin, one.end - begin)
                    if place:
                        secret = one.secret or joined[one.start : one.end]
                        layers = place.layers + one.layers
                        deep.append(
                            _Range(place.start, place.end, one.rule, one.tier, layers, (layers and secret) or b"")
                        )
            at, begin = last, end + 1
        return deep

    def _resolve(self, data: bytes, start: int, stop: int, candidates: Sequence[int]) -> list[_Range]:
        """Pass two over one text as it stands."""
        left = max(MAX_CANDIDATES, (stop - start) // 64)
        found: list[_Range] = []
        done: dict[int, int] = {}
        last = -1
        for packed in candidates:
            to, number = packed >> 16, packed & 0xFFFF
            if to != last:  # many rules may ask about one place: a name with several kinds of keys
                last, left = to, left - 1
                if left < 0:
                    found.append(_Range(max(start, to - UNSCANNED.window), stop, UNSCANNED, "possible"))
                    break
            rule = self.rules[number]
            confirmed = self._confirm[number]
            if confirmed is None:
                self._reach[number] = first_pass.reach(rule)
                confirmed = self._confirm[number] = confirm(rule)
            begin = max(start, to - self._reach[number], done.get(number, start))
            if begin < to:
                done[number] = to  # every start before `to` is judged now, with a whole window ahead of it
                for one, end, tier in confirmed(data, begin, to, stop):
                    found.append(_Range(one, end, rule, tier))
                    done[number] = max(to, end)
        return found

    def _hit(self, data: bytes, one: _Range) -> Hit:
        secret = one.secret or data[one.start : one.end]
        proof = verdict(one.rule.check, secret)
        tier: Tier = "verified" if proof == "valid" else "possible" if proof == "invalid" else one.tier
        says = () if proof == "invalid" else facts(one.rule.check, secret)
        return Hit(one.start, one.end, one.rule, proof, self._fingerprint(secret), tier, one.layers, says)


def _alone(one: _Range) -> bool:
    """Whether it is an issuer's token, recognised by itself: then nothing else is inside."""
    return one.tier != "possible" and not one.rule.keys and not one.rule.near


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending and apart."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


_ENTITY = re.compile(rb"&(?:lt|gt|quot|apos|amp|#3[49]);")


def _as_it_was(secret: bytes) -> bytes:
    """The secret before JSON, a URL or XML wrote it in their way: every spelling has one fingerprint."""
    plain = unescape(secret)
    if b"%" in plain:
        plain = unquote_to_bytes(plain)
    return _ENTITY.sub(lambda found: html.unescape(found[0].decode()).encode(), plain) if b"&" in plain else plain


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _rank(one: _Range) -> tuple[int, int, int, str, int]:
    named = 2 if one.rule.near else 1 if one.rule.keys or one.rule.check == "pem" else 0  # armour is anybody's
    doubtful = 3 if one.rule.tier != "possible" else 5 if one.rule.issuer == "unknown" else 4  # a key of any name: last
    weight = 6 if one.rule is UNSCANNED else doubtful if one.tier == "possible" else named
    return weight, one.start - one.end, one.start, one.rule.id, -len(one.layers)


def _apart(data: bytes, found: list[_Range]) -> list[_Range]:
    """Non-overlapping ranges: the vendor's form before a key name, then the longer; the rest keep what is left."""
    low, high = min(one.start for one in found), max(one.end for one in found)
    taken = [(m.start(), m.end()) for m in PLACEHOLDER.finditer(data, max(0, low - 256), high + 256)]
    kept: list[_Range] = []
    for one in sorted(set(found), key=_rank):
        for start, end in _left_over(one.start, one.end, taken):
            if (start, end) == (one.start, one.end) or end - start >= _REMAINDER:
                kept.append(one._replace(start=start, end=end))
                at = bisect_right(taken, (start, end))
                taken.insert(at, (start, end))
    return sorted(kept)


def _left_over(start: int, end: int, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Parts of start..end that no taken range covers; `taken` is ascending and apart."""
    at = max(0, bisect_right(taken, (start, start)) - 1)
    while at < len(taken) and taken[at][0] < end:
        if taken[at][1] > start:
            if taken[at][0] > start:
                yield start, taken[at][0]
            start = max(start, taken[at][1])
        at += 1
    if start < end:
        yield start, end


def _in_characters(data: bytes, start: int, hits: Sequence[Hit], ascii_only: bool) -> Iterator[Hit]:
    """Hits at byte offsets of the buffer as hits at character offsets of the text that begins at `start`."""
    at, characters = start, 0
    for hit in hits:
        if ascii_only:
            yield hit._replace(start=hit.start - start, end=hit.end - start)
            continue
        first = characters + len(data[at : hit.start].translate(None, _CONTINUATION))
        characters = first + len(data[hit.start : hit.end].translate(None, _CONTINUATION))
        at = hit.end
        yield hit._replace(start=first, end=characters)


def placeholder(hit: Hit) -> str:
    """What stands in a text in the place of a secret."""
    return f"MASKED~{hit.rule.id}~{hit.end - hit.start}~{hit.fingerprint}~"


def match(hit: Hit, where: str, surface: str = "attribute") -> SecretMatch:
    """The hit as a Span carries it."""
    return SecretMatch(
        rule_id=hit.rule.id,
        where=where,
        length=hit.end - hit.start,
        fingerprint=hit.fingerprint,
        verdict=hit.verdict,
        severity=hit.rule.level,
        surface=surface,
        tier=hit.tier,
        layers=hit.layers,
        says=hit.says,
    )
