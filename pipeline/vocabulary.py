"""Every KeyValue and name decoded and masked once: a cache from wire bytes to masked (key, value).

Telemetry repeats itself: three quarters of the KeyValues of a request were seen before. What is new in a request is
decoded, joined into one text per KeyValue (`key=value`, so that rules which know a secret by its name see the name)
and scanned in one call. Only masked text is ever kept here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from detectors.model import Scalar, SecretMatch
from detectors.secrets import Hit, Scanner, match, placeholder
from pipeline.errors import DecodeError
from pipeline.settings import Gateway

MAX_KEY = 1024
MAX_NAME = 4096
MAX_KEPT_BYTES = 256  # longer KeyValues are not worth remembering
MAX_PAIRS = 50_000
MAX_VALUES_PER_KEY = 1000
MIN_SECRET = 8  # no rule finds less


class Note(NamedTuple):
    """What is special about a KeyValue: it has no value, was cut, or held secrets."""

    null: bool = False
    truncated: bool = False
    secrets: tuple[SecretMatch, ...] = ()


class Range(NamedTuple):
    """A range of a text to be replaced by a hit's placeholder."""

    start: int
    end: int
    hit: Hit


def _merge(ranges: list[Range]) -> list[Range]:
    """Ascending ranges without overlap; what overlaps becomes one range under the longest of its hits."""
    merged: list[Range] = []
    for one in sorted(ranges, key=lambda r: (r.start, -r.end)):
        last = merged[-1] if merged else None
        if last is None or one.start >= last.end:
            merged.append(one)
            continue
        longest = max(last, one, key=lambda r: r.end - r.start)
        merged[-1] = Range(last.start, max(last.end, one.end), longest.hit)
    return merged


def _replace(text: str, ranges: Sequence[Range], most: int) -> str:
    """The text with placeholders in place, and nothing of what stood behind its first `most` characters."""
    parts: list[str] = []
    done = 0
    for one in ranges:
        if one.start >= most:
            break
        parts += text[done : one.start], placeholder(one.hit)
        done = one.end
    return "".join(parts) + text[done:most]


class Vocabulary:
    """The KeyValues of one encoding. `pairs` maps wire bytes to (masked key, masked value) for one C-speed lookup."""

    def __init__(
        self,
        scanner: Scanner,
        limits: Gateway,
        pair: Callable[[bytes, int], tuple[str, Scalar | None]],
        masked: Counter[str],
    ) -> None:
        self.pairs: dict[bytes, tuple[str, Scalar]] = {}
        self.names: dict[str, str] = {}
        self.notes: dict[bytes, Note] = {}
        self.name_secrets: dict[str, tuple[SecretMatch, ...]] = {}
        self.broken: dict[bytes, DecodeError] = {}
        self._scanner, self._limits, self._pair, self._masked = scanner, limits, pair, masked
        self._values: dict[str, int] = {}
        self._passing: list[bytes] = []  # learnt for this request only
        self._passing_names: list[str] = []

    def learn(self, pairs: Iterable[bytes], names: Iterable[str]) -> None:
        """Decode and mask what is not known yet; raises nothing, malformed KeyValues go to `broken`."""
        raws: list[bytes] = []
        found: list[tuple[str, Scalar | None]] = []
        texts: list[str] = []
        odd: list[int] = []
        alone: dict[str, None] = {}
        pair, depth, values, passing = self._pair, self._limits.max_depth, self._values, self._passing
        room = self._limits.max_value_bytes // 4  # characters that fit however they are encoded
        for raw in pairs:
            try:
                entry = pair(raw, depth)
            except DecodeError as error:
                self.broken[raw] = error
                continue
            key, value = entry
            seen = values.get(key, 0)
            # A number under a key that was scanned before has nothing to hide.
            texts.append(f"{key}={value}" if not seen or type(value) is str else "")
            if not seen and len(key) >= MIN_SECRET:
                alone[key] = None
            size = len(raw)
            if value is None or size > room or (size > MAX_KEY and len(key) > MAX_KEY):
                odd.append(len(raws))
            raws.append(raw)
            found.append(entry)
            if size > MAX_KEPT_BYTES or seen >= MAX_VALUES_PER_KEY:
                passing.append(raw)
            else:
                values[key] = seen + 1
        new_names = list(names)
        texts += new_names
        texts += alone  # by itself too: some rules refuse a secret that "=" follows
        hits = self._hits(texts)
        self._join_keys(hits, found, list(alone), len(raws) + len(new_names))
        self.pairs.update(zip(raws, found, strict=True))  # type: ignore[arg-type]  # None is replaced right below
        self._keep_names(new_names)
        for index in odd:
            self._store(raws[index], *found[index], ())
        for index, ranges in hits.items():
            if index < len(raws):
                self._mask_pair(raws[index], *found[index], ranges)
            else:
                self._mask_name(new_names[index - len(raws)], ranges)

    def _join_keys(
        self, hits: dict[int, list[Range]], found: Sequence[tuple[str, Scalar | None]], alone: Sequence[str], base: int
    ) -> None:
        """Carry what was found in a key over to every KeyValue of this request that has it."""
        keys = {key: ranges for place, key in enumerate(alone) if (ranges := hits.pop(base + place, None))}
        for index, ranges in hits.items():
            if index < len(found) and (inside := [r for r in ranges if r.end <= len(found[index][0])]):
                keys.setdefault(found[index][0], []).extend(inside)
        if not keys:
            return
        for index, (key, _) in enumerate(found):
            if key in keys:
                hits[index] = _merge([*hits.get(index, ()), *keys[key]])
                self._values.pop(key, None)  # never taken for a key that was scanned before

    def end_request(self) -> None:
        """Forget what was only worth knowing for one request, and everything when the cache is full."""
        if len(self.pairs) - len(self._passing) > MAX_PAIRS:
            self.pairs.clear()
            self.notes.clear()
            self._values.clear()
        else:
            for raw in self._passing:
                self.pairs.pop(raw, None)
            if self.notes:
                for raw in self._passing:
                    self.notes.pop(raw, None)
        self._passing.clear()
        self.broken.clear()
        for name in self._passing_names:
            self.names.pop(name, None)
            self.name_secrets.pop(name, None)
        self._passing_names.clear()
        if len(self.names) > MAX_PAIRS // 5:
            self.names.clear()
            self.name_secrets.clear()

    def _keep_names(self, names: list[str]) -> None:
        """Store the names as they are, cut; those with hits are overwritten right after."""
        for name in names:
            self.names[name] = name[:MAX_NAME]
            if len(name) > MAX_KEPT_BYTES:
                self._passing_names.append(name)

    def _store(
        self, raw: bytes, key: str, value: Scalar | None, secrets: tuple[SecretMatch, ...], cut: bool = False
    ) -> None:
        """Store a masked KeyValue, cut to its bounds now that masking is done."""
        truncated = cut or len(key) > MAX_KEY
        if isinstance(value, str):
            most = self._limits.max_value_bytes
            if len(value) > most // 4:
                encoded = value.encode("utf-8", "replace")
                if len(encoded) > most:
                    value, truncated = encoded[:most].decode("utf-8", "ignore"), True
        self.pairs[raw] = (key[:MAX_KEY], "" if value is None else value)
        if secrets or truncated or value is None:
            self.notes[raw] = Note(value is None, truncated, secrets)

    def _mask_pair(self, raw: bytes, key: str, value: Scalar | None, ranges: list[Range]) -> None:
        edge = len(key)  # where "=" stands
        in_key = [Range(r.start, min(r.end, edge), r.hit) for r in ranges if r.start < edge]
        in_value = [Range(max(r.start - edge - 1, 0), r.end - edge - 1, r.hit) for r in ranges if r.end > edge + 1]
        masked_key = _replace(key, in_key, edge)
        text, most = "" if value is None else str(value), self._limits.max_value_bytes
        masked = _replace(text, in_value, most) if value is not None and in_value else value
        self._store(raw, masked_key, masked, self._matches(ranges, masked_key), len(text) > most)
        self._passing.append(raw)  # the cache is keyed by raw bytes: no secret outlives its request there

    def _mask_name(self, name: str, ranges: list[Range]) -> None:
        self.names[name] = _replace(name, ranges, self._limits.max_value_bytes)[:MAX_NAME]
        self._passing_names.append(name)
        self.name_secrets[name] = self._matches(ranges, "name")

    def _matches(self, ranges: list[Range], where: str) -> tuple[SecretMatch, ...]:
        for one in ranges:
            self._masked[one.hit.rule.id] += 1
        return tuple(match(one.hit, where) for one in ranges)

    def _hits(self, texts: list[str]) -> dict[int, list[Range]]:
        """Ranges to replace, by index of the text."""
        found = self._scanner.mask_many(texts)
        return {index: [Range(hit.start, hit.end, hit) for hit in hits] for index, hits in found.items()}
