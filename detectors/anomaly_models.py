"""What is usual, learnt as the stream runs: for each agent in packed numbers, for each agent type in a few models."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from detectors.anomaly_features import (
    COUNT,
    DAY_NS,
    FEATURES,
    HOUR_NS,
    LARGEST,
    MINUTE_NS,
    SORTS,
    TREND,
    Deviation,
    Rare,
    hour,
)

if TYPE_CHECKING:
    Numbers: TypeAlias = array[float]
else:
    Numbers = array  # takes no subscript when run

SEED = 12.0  # windows of its own that weigh as much as what the agent's type is like
MEMORY = 200.0  # windows an agent's baseline looks back
TYPE_MEMORY, SURE = 5_000.0, 2_000.0
CLIP = 4.0  # spreads beyond which a value teaches no more: one burst must not become the habit
SETTLED = 20.0  # windows from which deviations of an agent are added up
ALLOWANCE = 0.75  # spreads a value may stay above the usual for ever
SHIFT, SHIFT_RUN = 14.0, 10  # sum of deviations, and windows in a row, that make a lasting change
AGAIN, FORGET = 1.4, 0.985  # changes for good, of which an older one counts less by every window like it
BLOCK, BLOCKS = 6, 8  # windows whose mean is one point of a trend, and points looked at
HOURS = 48  # weekdays' and weekends'
SLOTS = 64  # named things remembered of an agent
NEAR = ((0, 1.0), (-1, 0.5), (1, 0.5), (-2, 0.25), (2, 0.25), (-3, 0.1), (3, 0.1))  # hours away, and how alike
NEAR_ALL = sum(part for _, part in NEAR)
DOMAINS = 6  # domains whose rhythm is followed
RARE = 15.0  # windows of its own that outweigh what its type does, for named things
MAX_ITEMS = 4_096  # named things remembered of a type
FRESH = 3_000.0  # windows over which it is counted how often a thing of some sort is new
GAIN = 1.0 / (1.0 - 1.0 / FRESH)
KNOWN = 150.0  # scores of a kind from which it has a say
HALVE = 20_000.0  # windows after which what was counted counts half

_MEAN, _VAR, _N, _SUM, _RUN, _RUNSUM, _SHIFTS = (COUNT * i for i in range(7))
_TREND = COUNT * 7
_PER_TREND = 2 + BLOCKS
_HOURS = _TREND + len(TREND) * _PER_TREND
_RHYTHM = _HOURS + HOURS
_ITEMS = _RHYTHM + DOMAINS * 3
_HOURS_SUM, _ITEMS_SUM = _ITEMS + SLOTS, _ITEMS + SLOTS + 1
_SAME, _SAME_RUN, _ODD = _ITEMS_SUM + 1, _ITEMS_SUM + 2, _ITEMS_SUM + 3
SIZE = _ODD + 1
_BLANK = bytes(4 * SIZE)
_FLOORS = [feature.floor**2 for feature in FEATURES]
_LASTS = [feature.lasts for feature in FEATURES]
_TREND_AT = {place: _TREND + i * _PER_TREND for i, place in enumerate(TREND)}


class Agent(msgspec.Struct):
    """One agent's past in about 2 kB: `numbers` holds every model's, single precision, side by side."""

    began_ns: int
    last_ns: int
    windows: int = 0
    told: float = 0.0  # how far the last alert went, fading: what is no worse is not told again
    numbers: Numbers = msgspec.field(default_factory=lambda: array("f", _BLANK))
    keys: bytearray = msgspec.field(default_factory=lambda: bytearray(4 * SLOTS))  # of its named things
    rhythm: bytearray = msgspec.field(default_factory=lambda: bytearray(4 * DOMAINS))


class Usual(msgspec.Struct, array_like=True):
    """Mean, variance and weight of every feature over all agents of a type: what a new one is held to."""

    mean: list[float] = msgspec.field(default_factory=lambda: [0.0] * COUNT)
    var: list[float] = msgspec.field(default_factory=lambda: [0.0] * COUNT)
    n: list[float] = msgspec.field(default_factory=lambda: [0.0] * COUNT)
    turn: int = 0


def deviations(agent: Agent, usual: Usual, told: Sequence[tuple[int, float]]) -> list[Deviation]:
    """Every feature the window tells against the agent's past, or its type's where it has little of its own."""
    own, out = agent.numbers, []
    means, variances, weights = usual.mean, usual.var, usual.n
    floors, lasts, sqrt = _FLOORS, _LASTS, math.sqrt
    for place, value in told:
        n = own[_N + place]
        seed = weights[place]
        if seed > SEED:
            seed = SEED
        weight = n + seed
        if weight < 2.0:
            continue
        mean = (n * own[place] + seed * means[place]) / weight
        var = (n * own[_VAR + place] + seed * variances[place]) / weight
        spread = sqrt((var + floors[place]) * (1.0 + 1.0 / weight))
        z = (value - mean) / spread
        total = 0.0
        if n >= SETTLED and lasts[place]:
            total = own[_SUM + place]
            if z > ALLOWANCE:
                total += (z if z < CLIP else CLIP) - ALLOWANCE
            else:  # what is over is soon forgotten
                total = 0.6 * total + z - ALLOWANCE
        out.append(Deviation(place, value, z, mean, spread, total if total > 0.0 else 0.0))
    return out


def learn(
    agent: Agent, usual: Usual, told: Sequence[tuple[int, float]], found: Sequence[Deviation]
) -> list[tuple[int, bool]]:
    """Take the window into both baselines; places of features that changed for good, which are the usual from now.

    With each whether it did not long ago too: what changes for good again and again is on its way somewhere.
    """
    own = agent.numbers
    means, variances, weights = usual.mean, usual.var, usual.n
    skip = usual.turn = (usual.turn + 1) % 4  # what thousands of windows say, each fourth says as well
    changed: list[tuple[int, bool]] = []
    following = iter(found)  # in the order of what was told
    one = next(following, None)
    for place, value in told:
        taken = value
        if one is not None and one.place == place:
            if one.z > CLIP:
                taken = one.mean + CLIP * one.spread
            elif one.z < -CLIP:
                taken = one.mean - CLIP * one.spread
            total = one.total
            one = next(following, None)
            if (total > 0.0 or own[_SUM + place] > 0.0) and _accumulate(own, place, value, total):
                own[_SHIFTS + place] += 1.0
                changed.append((place, again := own[_SHIFTS + place] >= AGAIN))
                if again:
                    own[_SHIFTS + place] = 0.0
                continue
        n = own[_N + place]
        rate = 1.0 / (n + 1.0)
        off = taken - own[place]
        own[place] += rate * off
        own[_VAR + place] = (1.0 - rate) * (own[_VAR + place] + rate * off * off)
        if n < MEMORY:
            own[_N + place] = n + 1.0
        n = weights[place]
        if skip and n > SURE:
            continue
        rate = 1.0 / (n + 1.0)
        off = taken - means[place]
        means[place] += rate * off
        variances[place] = (1.0 - rate) * (variances[place] + rate * off * off)
        if n < TYPE_MEMORY:
            weights[place] = n + 1.0
    return changed


def _accumulate(own: Numbers, place: int, value: float, total: float) -> bool:
    """Page and Hinkley's test, upwards; where it tells of a change the baseline starts from the new level."""
    own[_SUM + place] = total
    own[_SHIFTS + place] *= FORGET
    if total <= 0.0:
        own[_RUN + place] = own[_RUNSUM + place] = 0.0
        return False
    run = own[_RUN + place] + 1.0
    summed = own[_RUNSUM + place] + value
    own[_RUN + place], own[_RUNSUM + place] = run, summed
    if run < SHIFT_RUN or total < SHIFT:
        return False
    mean = summed / run
    own[_VAR + place] = max(own[_VAR + place], (mean - own[place]) ** 2 / 4)  # what changed once may change back
    own[place] = mean
    own[_N + place] = min(own[_N + place], SETTLED)
    own[_SUM + place] = own[_RUN + place] = own[_RUNSUM + place] = 0.0
    return True


def fade(agent: Agent, now_ns: int) -> None:
    """After a silence the past counts for less: half of it after thirty days."""
    if now_ns - agent.last_ns > DAY_NS:
        keep = 0.5 ** min((now_ns - agent.last_ns) / (30 * DAY_NS), 8.0)
        for place in range(_N, _N + COUNT):
            agent.numbers[place] *= keep


# slow growth


def trends(agent: Agent, found: Sequence[Deviation]) -> list[tuple[int, float, float, float]]:
    """Features whose means over blocks of windows only grow: place, score, first and last mean."""
    own, out = agent.numbers, []
    for one in found:
        at = _TREND_AT.get(one.place)
        if at is None:
            continue
        own[at] += one.value
        own[at + 1] += 1.0
        if own[at + 1] % BLOCK:
            continue
        blocks = int(own[at + 1]) // BLOCK
        ring = at + 2
        own[ring : ring + BLOCKS] = array("f", [*own[ring + 1 : ring + BLOCKS], own[at] / BLOCK])
        own[at] = 0.0
        if blocks < BLOCKS:
            continue
        own[at + 1] = float(BLOCK * BLOCKS)
        points = own[ring : ring + BLOCKS].tolist()
        grown = (points[-1] + points[-2] - points[0] - points[1]) / 2
        order = sum((b > a) - (b < a) for i, a in enumerate(points) for b in points[i + 1 :]) if grown > 0.0 else 0
        if order <= 0:
            continue
        growing = order / (BLOCKS * (BLOCKS - 1) / 2)
        slope = (points[-1] - points[0]) / (BLOCKS - 1)
        bend = math.sqrt(sum((point - points[0] - slope * i) ** 2 for i, point in enumerate(points)) / BLOCKS)
        noise = max(bend, 0.25 * one.spread / math.sqrt(BLOCK))
        jump = grown / max(max(b - a for a, b in pairwise(points)), 1e-9)  # a step has all its growth in one place
        score = growing**3 * grown / noise * min(grown / one.spread, 1.0) * min(jump / 3.0, 1.0)
        out.append((one.place, score, points[0], points[-1]))
    return out


# named things


class Names(msgspec.Struct, array_like=True):
    """How many windows of a type showed each named thing, and how often one of each sort was new; bounded."""

    seen: dict[str, tuple[float, bytes]] = {}
    windows: float = 0.0
    gain: float = 1.0  # what one counts below: more by every window, so that what is past counts less
    fresh: dict[str, float] = msgspec.field(default_factory=lambda: dict.fromkeys(SORTS, 0.0))  # new to the type
    first: dict[str, float] = msgspec.field(default_factory=lambda: dict.fromkeys(SORTS, 0.0))  # new to an agent

    def rarity(self, agent: Agent, items: Sequence[str]) -> list[Rare]:
        """Rarest first: how many tenths a thing has left of being expected, and whether its type ever showed it.

        Last its place among the agent's, below 0 where it has none.
        """
        own, keys, out = agent.numbers, agent.keys, []
        past = own[_ITEMS_SUM]
        total = self.windows + 2.0
        span = min(total, FRESH)
        for item in items:
            known = self.seen.get(item)
            if known is None:
                out.append((-math.log10((self.fresh[item[:4]] / self.gain + 0.5) / span), item, True, -1))
                continue
            at = _slot(keys, known[1])
            chance = ((own[_ITEMS + at] if at >= 0 else 0.0) + RARE * known[0] / total) / (past + RARE)
            if at < 0 and chance < (often := (self.first[item[:4]] / self.gain + 0.5) / span):
                chance = often
            out.append((-math.log10(chance) if chance < 1.0 else 0.0, item, False, at))
        out.sort(reverse=True)
        return out

    def learn(self, agent: Agent, rare: Sequence[Rare]) -> None:
        own, seen = agent.numbers, self.seen
        new: set[str] = set()
        first: set[str] = set()
        for _, item, _, at in rare:
            known = seen.get(item)
            if known is None:
                new.add(item[:4])
                known = 0.0, blake2b(item.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            seen[item] = known[0] + 1.0, known[1]
            if (at < 0 or first) and (at := _slot(agent.keys, known[1])) < 0:
                first.add(item[:4])
                weights = own[_ITEMS : _ITEMS + SLOTS].tolist()
                at = weights.index(min(weights))
                agent.keys[4 * at : 4 * at + 4] = known[1]
                own[_ITEMS + at] = 0.0
            own[_ITEMS + at] += 1.0
        self.gain *= GAIN
        for counted, sorts in ((self.fresh, new), (self.first, first)):
            for sort in sorts:
                counted[sort] += self.gain
        own[_ITEMS_SUM] += 1.0
        if own[_ITEMS_SUM] >= 4 * MEMORY:
            for place in (*range(_ITEMS, _ITEMS + SLOTS), _ITEMS_SUM):
                own[place] *= 0.5
        self.windows += 1.0
        if self.windows >= HALVE or len(seen) > MAX_ITEMS:
            self._forget()

    def _forget(self) -> None:
        """The rarest go where there are too many; what is left counts half after a long time."""
        if self.windows >= HALVE:
            self.windows /= 2
            for counted in (self.fresh, self.first):
                counted.update({sort: count / self.gain for sort, count in counted.items()})
            self.gain = 1.0
            self.seen = {item: (count / 2, key) for item, (count, key) in self.seen.items()}
        if len(self.seen) > MAX_ITEMS:
            kept = sorted(self.seen.items(), key=lambda one: -one[1][0])[: MAX_ITEMS // 2]
            self.seen = dict(kept)


def _slot(keys: bytearray, key: bytes) -> int:
    at = keys.find(key)
    while at >= 0 and at & 3:
        at = keys.find(key, at + 1)
    return at >> 2 if at >= 0 else -1


# hours


def off_hours(agent: Agent, hours: Sequence[float], began_ns: int, time_ns: int) -> float:
    """How rare the hour is for the agent, in tenths, worked out once an hour; below 0 while too few days are known."""
    own = agent.numbers
    if not agent.windows or agent.last_ns // HOUR_NS != time_ns // HOUR_NS:
        own[_ODD] = _odd(own, hours, (time_ns - began_ns) / DAY_NS, hour(time_ns))
    return own[_ODD]


def _odd(own: Numbers, hours: Sequence[float], days: float, at: int) -> float:
    if days < 1.0:
        return -1.0
    # before every day of the week was seen, a weekday and a day of the weekend are held to be alike
    bases = (at - at % 24,) if days >= 9.0 else (0, 24)
    of_day = at % 24
    ours_all = NEAR_ALL * sum(sum(hours[base : base + 24]) for base in bases)
    if ours_all < 100.0:
        return -1.0
    mine_all = NEAR_ALL * sum(sum(own[_HOURS + base : _HOURS + base + 24]) for base in bases)
    mine = ours = 0.0
    for away, part in NEAR:
        for base in bases:
            one = base + (of_day + away) % 24
            mine += part * own[_HOURS + one]
            ours += part * hours[one]
    chance = (mine + 8.0 * (ours + 0.5) / (ours_all + 24.0)) / (mine_all + 8.0)
    return max(-math.log10(24.0 * chance), 0.0) * min(days / 2.0, 1.0)


def learn_hour(agent: Agent, hours: list[float], time_ns: int) -> None:
    own, at = agent.numbers, hour(time_ns)
    hours[at] += 1.0
    if hours[at] >= HALVE:
        hours[:] = [count / 2 for count in hours]
    own[_HOURS + at] += 1.0
    own[_HOURS_SUM] += 1.0
    if own[_HOURS_SUM] >= 4_000.0:
        for place in (*range(_HOURS, _HOURS + HOURS), _HOURS_SUM):
            own[place] *= 0.5


# rhythm


def rhythm(
    agent: Agent, gaps: dict[int, list[float]], domains: Sequence[str], names: Names, now_ns: int
) -> tuple[float, str, float, float]:
    """The domain called at the most even intervals: score, domain, minutes between, times in a row; learns them."""
    own, keys = agent.numbers, agent.rhythm
    now = float((now_ns - agent.began_ns) // MINUTE_NS)
    best = (0.0, "", 0.0, 0.0)
    total = names.windows + 1.0
    for domain in domains[:DOMAINS]:
        known = names.seen.get("domain:" + domain)
        key = (
            known[1] if known else blake2b(b"domain:" + domain.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        )
        slot = _slot(keys, key)
        if slot < 0:
            lasts = [own[_RHYTHM + 3 * i] for i in range(DOMAINS)]
            slot = lasts.index(min(lasts))
            keys[4 * slot : 4 * slot + 4] = key
            at = _RHYTHM + 3 * slot
            own[at], own[at + 1], own[at + 2] = now, 0.0, 0.0
            continue
        at = _RHYTHM + 3 * slot
        gap = now - own[at]
        if gap < 1.0:
            continue
        before, run = own[at + 1], own[at + 2]
        own[at], own[at + 1] = now, gap
        if not before:
            continue
        sort = min(int(gap), 12)
        even = abs(gap - before) <= max(0.5, 0.15 * before)
        counted = gaps.setdefault(sort, [1.0, 2.0 if sort == 1 else 4.0])
        chance = counted[0] / counted[1]
        run = own[at + 2] = run + 1.0 if even else 0.0
        counted[0] += even
        counted[1] += 1.0
        if counted[1] >= HALVE:
            counted[:] = [count / 2 for count in counted]
        score = -math.log10(min(chance, 1.0)) * run * (1.0 - (known[0] if known else 0.0) / total)
        if score > best[0]:
            best = (score, domain, gap, run)
    return best


def steady(agent: Agent, counts: Mapping[str, float], same: list[float]) -> tuple[float, float]:
    """Minutes that send the same again, to the byte, as no work does: score, and how many in a row; learns them."""
    sent, requests = counts.get("bytes_out", 0), counts.get("egress", 0)
    if not 0 < sent < LARGEST or not 0 < requests < LARGEST:
        return 0.0, 0.0
    own = agent.numbers
    mark = float(sent % 8_388_593 + requests % 1_021)  # as much of both as single precision holds
    again = mark == own[_SAME]
    chance = same[0] / same[1]
    own[_SAME], own[_SAME_RUN] = mark, own[_SAME_RUN] + 1.0 if again else 0.0
    same[0] += again
    same[1] += 1.0
    if same[1] >= HALVE:
        same[:] = [count / 2 for count in same]
    return -math.log10(min(chance, 1.0)) * own[_SAME_RUN], own[_SAME_RUN] + 1.0


# thresholds


class Tail(msgspec.Struct, array_like=True):
    """How scores are spread, as counts over even steps: what one in ten and one in a hundred exceed.

    Beyond one in a hundred the tail is taken to fall evenly by tenths, so that the few scores up there, which may be
    the incidents looked for, do not set their own threshold.
    """

    step: float
    least: float  # a tenth less likely is at least this much further out
    far: bool = True  # whether what one in a thousand exceeds is looked at too
    bins: list[float] = []  # a hundred, when there is anything to count
    total: float = 0.0
    waiting: int = 0
    tenth: float = 0.0
    hundredth: float = 0.0
    scale: float = 0.0  # what a tenth less likely is further out

    def add(self, score: float) -> None:
        if not self.bins:
            self.bins = [0.0] * 100
        at = int(score / self.step)
        self.bins[at if at < 99 else 99] += 1.0
        self.total += 1.0
        self.waiting += 1
        if self.waiting >= 16 and self.waiting * 16 >= min(self.total, 8_192):
            self._measure()

    def _measure(self) -> None:
        self.waiting = 0
        self.tenth, self.hundredth = self._at(0.1), self._at(0.01)
        self.scale = max(self.hundredth - self.tenth, self.least)
        if self.far and self.total >= 2_000:
            self.scale = max(self.scale, self._at(0.001) - self.hundredth)
        if self.total >= HALVE:
            self.bins = [held / 2 for held in self.bins]
            self.total /= 2

    def _at(self, share: float) -> float:
        """The score this share exceeds."""
        above, sought = 0.0, share * self.total
        for at in range(99, -1, -1):
            held = self.bins[at]
            if held and above + held >= sought:
                return self.step * (at + 1 - (sought - above) / held)
            above += held
        return 0.0

    def surprise(self, score: float) -> float:
        """In tenths: 2 is what one window in a hundred exceeds, 3 one in a thousand; 0 while too few are known."""
        if self.total < KNOWN:
            return 0.0
        if score > self.hundredth:
            return 2.0 + (score - self.hundredth) / self.scale
        if score > self.tenth:
            return 1.0 + (score - self.tenth) / max(self.hundredth - self.tenth, self.least)
        return score / self.tenth if self.tenth > 0.0 else 0.0

    def exceeded_by(self, share: float) -> float:
        """The score that this share of windows exceeds."""
        return self.hundredth + max(self.scale, self.least) * (-math.log10(share) - 2.0)
