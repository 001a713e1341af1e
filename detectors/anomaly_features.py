"""What the anomaly models look at, a Window as numbers and named things, and how what they found is put in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from detectors.model import Window

LARGEST = 1e15  # more is no count
MAX_ITEMS = 16  # of one sort, of one window
MIN_PAIRS = 6  # fewer transitions say nothing about a loop
MINUTE_NS, HOUR_NS, DAY_NS = 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000
TOLD = 6  # contributors
NAME = 80  # characters of one's name
SORTS = {  # sort of a named thing → the score it counts for
    "told": "new-tool",
    "tool": "new-tool",
    "mode": "new-tool",
    "step": "new-step",
    "doma": "new-place",
    "path": "new-place",
}
Scores: TypeAlias = dict[str, float]
Rare: TypeAlias = tuple[float, str, bool, int]  # tenths, named thing, never seen of its type, place of the agent's


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a window. `floor` is the least spread it is held to have: a habit is never exact.

    `log` counts are compared by their logarithm. `kind` is the rule it speaks for when it is what stands out, and
    `down` one that less of it speaks for. `trend` features are watched for slow growth;
    what only grows within a session, or is all or nothing, does not `last`: it is not added up over windows.
    """

    name: str
    kind: str
    floor: float
    log: bool = True
    down: str = ""
    trend: bool = False
    lasts: bool = True


FEATURES = (
    Feature(name="tool_calls", kind="activity", floor=0.2, trend=True),
    Feature(name="tools", kind="activity", floor=0.2),
    Feature(name="llm_calls", kind="activity", floor=0.2),
    Feature(name="commands", kind="activity", floor=0.25, trend=True),
    Feature(name="error_share", kind="activity", floor=0.1, log=False),
    Feature(name="tokens", kind="activity", floor=0.25, trend=True),
    Feature(name="cost_micros", kind="activity", floor=0.25),
    Feature(name="entropy", kind="activity", floor=0.15, log=False, down="loop"),
    Feature(name="path_classes", kind="activity", floor=0.25),
    Feature(name="skipped_share", kind="activity", floor=0.1, log=False, lasts=False),
    Feature(name="denied", kind="activity", floor=0.3),
    Feature(name="repeated_step", kind="loop", floor=0.08, log=False),
    Feature(name="calls_per_tool", kind="loop", floor=0.2),
    Feature(name="session_minutes", kind="loop", floor=0.5, lasts=False),
    Feature(name="egress", kind="egress", floor=0.2, trend=True),
    Feature(name="bytes_out", kind="egress", floor=0.25, trend=True),
    Feature(name="bytes_in", kind="egress", floor=0.3),
    Feature(name="hosts", kind="egress", floor=0.2, trend=True),
    Feature(name="domains", kind="egress", floor=0.2),
    Feature(name="bytes_per_request", kind="egress", floor=0.2, trend=True),
)
COUNT = len(FEATURES)
INDEX = {feature.name: place for place, feature in enumerate(FEATURES)}
TREND = tuple(place for place, feature in enumerate(FEATURES) if feature.trend)
PRESENT = ("egress", "commands", "bytes_out", "skipped", "denied")  # told at all: itself something to be new
_SUMS = ("tool_calls", "llm_calls", "commands", "cost_micros", "denied", "egress", "bytes_out", "bytes_in")
_PLACES = tuple((name, INDEX[name]) for name in _SUMS)


def vector(window: Window) -> list[tuple[int, float]]:
    """Place and value of every feature the window tells, counts as logarithms; what it does not tell is left out."""
    counts, told = window.counts, []
    log1p = math.log1p
    known: dict[str, float] = {name: value for name, value in counts.items() if 0 <= value < LARGEST}  # no NaN either
    for name, place in _PLACES:
        if name in known:
            told.append((place, log1p(known[name])))
    spans = known.get("spans", 0)
    if spans:
        told.append((_ERRORS, min(known.get("errors", 0) / spans, 1.0)))
    if "tokens_in" in known or "tokens_out" in known:
        told.append((_TOKENS, log1p(known.get("tokens_in", 0) + known.get("tokens_out", 0))))
    decided = known.get("skipped", 0) + known.get("allowed", 0) + known.get("denied", 0)
    if decided:
        told.append((_SKIPPED, known.get("skipped", 0) / decided))
    if window.calls:
        told.extend(_mix(window.calls, window.pairs))
    if window.hosts:
        told.append((_HOSTS, log1p(len(window.hosts))))
        told.append((_DOMAINS, log1p(len(window.domains))))
    if window.paths:
        told.append((_PATHS, log1p(len(window.paths))))
    if known.get("egress") and "bytes_out" in known:
        told.append((_PER_REQUEST, log1p(known["bytes_out"] / known["egress"])))
    if 0 < window.began_ns <= window.end_ns:
        told.append((_SESSION, log1p((window.end_ns - window.began_ns) / MINUTE_NS)))
    return told


def _mix(calls: Mapping[str, int], pairs: Mapping[str, int]) -> Iterator[tuple[int, float]]:
    """How many tools, how evenly they are used, and how far one step from tool to tool outweighs the rest."""
    sizes = [size for size in calls.values() if 0 < size < LARGEST]
    total = sum(sizes)
    if not total:
        return
    yield _TOOLS, math.log1p(len(sizes))
    yield _PER_TOOL, math.log1p(max(sizes))
    if total > 1:
        yield _ENTROPY, -sum(size / total * math.log2(size / total) for size in sizes)
    steps = [size for size in pairs.values() if 0 < size < LARGEST]
    if (made := sum(steps)) >= MIN_PAIRS:
        yield _REPEATED, max(steps) / made


_ERRORS, _TOKENS, _SKIPPED = INDEX["error_share"], INDEX["tokens"], INDEX["skipped_share"]
_TOOLS, _PER_TOOL, _ENTROPY, _REPEATED = (
    INDEX["tools"],
    INDEX["calls_per_tool"],
    INDEX["entropy"],
    INDEX["repeated_step"],
)
_HOSTS, _DOMAINS, _PATHS = INDEX["hosts"], INDEX["domains"], INDEX["path_classes"]
_PER_REQUEST, _SESSION = INDEX["bytes_per_request"], INDEX["session_minutes"]


def items(window: Window) -> list[str]:
    """Named things of the window, each as sort and name: what a new one of is worth telling."""
    counts = window.counts
    out = [f"told:{name}" for name in PRESENT if name in counts]
    out += ["tool:" + tool for tool in list(window.calls)[:MAX_ITEMS]]
    out += ["step:" + pair for pair in list(window.pairs)[:MAX_ITEMS]]
    out += ["domain:" + domain for domain in window.domains[:MAX_ITEMS]]
    out += ["path:" + path for path in window.paths[:MAX_ITEMS]]
    out += ["model:" + model for model in window.models[:MAX_ITEMS]]
    return out if "".join(out).isascii() else [storable(one) for one in out]


def storable(name: str) -> str:
    """The name as a checkpoint can hold it: half a surrogate pair is no text."""
    return name if name.isascii() else name.encode("utf-8", "replace").decode()


def shown_by(window: Window, item: str) -> str:
    """The span that showed a named thing first in the window; empty where that is not known."""
    sort, _, name = item.partition(":")
    if sort == "step":
        return window.shown.get("tool:" + name.rpartition(">")[2], "")
    if sort == "domain":
        for host in window.hosts:
            if host == name or host.endswith("." + name):
                return window.shown.get("host:" + host, "")
        return ""
    return window.shown.get(item, "")


def plain(place: int, value: float) -> str:
    """A feature's value as people write it: counts as counts again."""
    feature = FEATURES[place]
    if not feature.log:
        return f"{value:.2f}"
    count = math.expm1(min(max(value, 0.0), 40.0))
    return f"{count:,.0f}" if count >= 10 else f"{count:.1f}".removesuffix(".0")


# in words


class Deviation(msgspec.Struct, frozen=True, gc=False):
    """How far a feature is from the usual, in spreads; `total` is what its recent windows add up to."""

    place: int
    value: float
    z: float
    mean: float
    spread: float
    total: float


def hour(time_ns: int) -> int:
    """Which of a weekday's or a weekend day's hours, in UTC."""
    day = time_ns // DAY_NS
    weekend = (day + 3) % 7 >= 5  # the epoch was a Thursday
    return 24 * weekend + time_ns // HOUR_NS % 24


class Judged(msgspec.Struct):
    """What one window looked like before it was learnt."""

    found: list[Deviation]
    rare: list[Rare]
    growing: list[tuple[int, float, float, float]]
    beat: tuple[float, str, float, float]
    again: float  # minutes in a row that sent the same
    scores: Scores
    surprises: list[tuple[float, str]]  # strongest first
    total: float
    threshold: float


class Part(msgspec.Struct, frozen=True):
    """One contributor: the rule it speaks for, its share, its name, what it is, and the span that shows it."""

    rule: str
    weight: float
    name: str
    says: str
    span: str = ""


def contributors(event: Window, judged: Judged) -> list[Part]:
    """What made the score, most first: each surprising kind by the features and things behind it."""
    parts: dict[str, Part] = {}
    for surprise, kind in judged.surprises[:3]:
        if surprise < 1.0:
            continue
        some = _behind(kind, event, judged)
        whole = sum(part.weight for part in some) or 1.0
        for part in some:
            weight = surprise * part.weight / whole
            if part.name not in parts or weight > parts[part.name].weight:
                parts[part.name] = msgspec.structs.replace(part, weight=weight)
    most = sorted(parts.values(), key=lambda part: -part.weight)[:TOLD]
    return most or [Part("activity", 1.0, "minute", "unusual as a whole (expected otherwise)", event.last_span_id)]


def _behind(kind: str, event: Window, judged: Judged) -> list[Part]:
    last = event.last_span_id
    if kind.startswith("new-"):
        return [_named(event, *one[:3]) for one in judged.rare if one[0] > 0.5 and SORTS[one[1][:4]] == kind][:3]
    if kind == "off-hours":
        at = hour(event.start_ns)
        says = f"{at % 24:02d}:00 UTC{' at a weekend' if at >= 24 else ''} (expected at other hours)"
        return [Part("off-hours", 1.0, "hour", says, last)]
    if kind == "beacon":
        _, domain, gap, run = judged.beat
        says = f"every {gap:.0f} minutes, {run + 2:.0f} times (expected uneven)"
        return [Part("beacon", 1.0, domain, says, _first(event, domain))]
    if kind == "steady":
        sent = f"{event.counts['egress']} requests, {event.counts['bytes_out']} bytes"
        says = f"{sent}, {judged.again:.0f} minutes in a row (expected to vary)"
        return [Part("beacon", 1.0, "bytes_out", says, _at(event, "bytes_out"))]
    if kind == "ramp":
        return [
            Part(
                "ramp",
                score,
                FEATURES[place].name,
                f"{plain(place, now)}, up from {plain(place, was)} without a pause (expected even)",
                last,
            )
            for place, score, was, now in judged.growing
        ]
    return _deviating(kind, event, judged)


def _deviating(kind: str, event: Window, judged: Judged) -> list[Part]:
    """Features by how far they are out; for what lasts, by what their windows add up to."""
    parts = []
    for one in judged.found:
        feature = FEATURES[one.place]
        rule = feature.kind if one.z > 0.0 or not feature.down else feature.down
        if kind == "sustained":
            weight = one.total
        else:
            weight = abs(one.z) if rule == kind and (one.z > 0.0 or feature.down) else 0.0
        if weight > 0.5:
            parts.append(Part(rule, weight, feature.name, stands(one), _at(event, feature.name)))
    return sorted(parts, key=lambda part: -part.weight)[:TOLD]


def stands(one: Deviation) -> str:
    low, high = one.mean - 2 * one.spread, one.mean + 2 * one.spread
    return f"{plain(one.place, one.value)} (expected {plain(one.place, low)} to {plain(one.place, high)})"


def _named(event: Window, rarity: float, item: str, never: bool) -> Part:
    sort, _, name = item.partition(":")
    says = f"{'never seen of its type' if never else 'rare'} (expected in 1 of {10 ** min(rarity, 9.0):,.0f} windows)"
    return Part("new-behaviour", rarity, f"{sort} {name}"[:NAME], says, shown_by(event, item) or event.last_span_id)


def _first(event: Window, domain: str) -> str:
    return shown_by(event, "domain:" + domain) or event.last_span_id


def _at(event: Window, feature: str) -> str:
    """The span to look at for a number: of calls, one of the tool called most; else the window's last."""
    if event.calls and feature in ("tool_calls", "calls_per_tool", "repeated_step", "entropy"):
        most = max(event.calls, key=lambda tool: event.calls[tool])
        return event.shown.get("tool:" + most, "") or event.last_span_id
    if event.hosts and feature in ("egress", "bytes_out", "hosts", "domains", "bytes_per_request"):
        return event.shown.get("host:" + event.hosts[-1], "") or event.last_span_id
    return event.last_span_id
