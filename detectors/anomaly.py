"""Anomalies: what an agent does against its own past and its type's, told within a budget of alerts and explained."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from detectors import anomaly_models as models
from detectors.about import About
from detectors.anomaly_features import (
    DAY_NS,
    FEATURES,
    HOUR_NS,
    SORTS,
    Deviation,
    Judged,
    Scores,
    contributors,
    items,
    stands,
    storable,
    vector,
)
from detectors.anomaly_models import Agent, Names, Tail, Usual
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Window

BUDGET = 1 / 1000  # alerts per window of an agent type
WARMUP = 200  # windows of a type before anything is told
AGENT_WARMUP = 50  # windows of an agent before its own past decides
FIRST = 20  # windows of a type that only teach what is usual: how far from it they are says nothing yet
MAX_AGENTS = 100_000  # of one type; those seen in one window only go first
IDLE_NS = 30 * DAY_NS
FLOOD = 1_000  # windows over which newcomers are counted
FADING = 0.9  # how fast an alert fades, per window of its agent
MARGIN = 1.0  # tenths past the threshold within which an alert is one that a higher threshold would have spared
NUDGE = 0.15  # how much the threshold rises by such an alert
AIM, LOWEST = 0.65, -1.0  # share of the budget that is aimed at, and how far quiet lowers the threshold
NEVER = {"tool": "new-tool", "mode": "new-tool", "doma": "new-place"}  # of which one new to the type is told by itself,
SPARE = 0.3  # in tenths: where such take no more than half of the budget
MEDIUM = 3.0  # tenths past the threshold

TAILS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {  # kind of score → step of its histogram, and the least a tenth is
        "activity": (0.2, 0.8),
        "egress": (0.2, 0.8),
        "loop": (0.2, 0.8),
        "sustained": (0.4, 2.0),
        "new-tool": (0.05, 0.6),
        "new-step": (0.05, 0.6),
        "new-place": (0.05, 0.6),
        "off-hours": (0.05, 0.4),
        "beacon": (0.2, 1.0),
        "steady": (0.2, 1.0),
        "ramp": (0.2, 1.5),
    }
)
KINDS = tuple(TAILS)
TOTAL = (0.1, 0.4, False)


class Type(msgspec.Struct):
    """Everything known of one agent type: models its agents share, and a bounded number of its agents' pasts."""

    usual: Usual = msgspec.field(default_factory=Usual)
    names: Names = msgspec.field(default_factory=Names)
    hours: list[float] = msgspec.field(default_factory=lambda: [0.0] * models.HOURS)
    gaps: dict[int, list[float]] = {}  # minutes between two calls of a domain → how often the same came again, of
    same: list[float] = msgspec.field(default_factory=lambda: [0.5, 50.0])  # minutes that send the same again, of
    tails: dict[str, Tail] = msgspec.field(default_factory=lambda: {kind: Tail(*TAILS[kind]) for kind in KINDS})
    total: Tail = msgspec.field(default_factory=lambda: Tail(*TOTAL))
    raised: float = 0.0  # by alerts beyond the budget
    windows: int = 0
    visits: int = 0  # hours in which an agent worked, of all agents
    alerts: int = 0
    began_ns: int = 0
    flood: list[int] = msgspec.field(default_factory=lambda: [0, 0, -1])  # windows, newcomers, day last told
    agents: dict[str, Agent] = {}  # longest silent first
    newcomers: dict[str, Agent] = {}

    def agent(self, name: str, now_ns: int) -> Agent:
        """The agent's past. Newcomers are kept apart until their second window, so that a flood drives out nobody."""
        known = self.agents.pop(name, None)
        if known is None:
            known = self.newcomers.pop(name, None)
            if known is None:
                known = self.newcomers[name] = Agent(now_ns, now_ns)
                self.flood[1] += 1
                if len(self.newcomers) + len(self.agents) > MAX_AGENTS:
                    some = self.newcomers if len(self.newcomers) > 1 else self.agents
                    del some[next(iter(some))]
                return known
        self.agents[name] = known
        for some in (self.agents, self.newcomers):  # one of each, so that one wrong clock does not make all look idle
            oldest = next(iter(some), name)
            if oldest != name and now_ns - some[oldest].last_ns > IDLE_NS:
                del some[oldest]
        return known

    @property
    def full(self) -> bool:
        return len(self.newcomers) + len(self.agents) >= MAX_AGENTS


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How far the models of a type are: for reports and metrics."""

    windows: int
    warm: bool
    agents: int
    alerts: int
    threshold: float


def _about(title: str, runbook: str, *standards: str, rows: tuple[str, ...] = ("E6", "E9"), **other: Any) -> About:
    given = {"severity": Severity.LOW, "category": Category.OVERREACH, **other}
    return About(title=title, runbook=runbook, standards=standards, rows=rows, **given)


LOOK = "Read the contributors, then the spans named; an anomaly alone proves nothing and suspends nobody."


class Anomalies(Detector[Window, Type]):
    """Windows of an agent against its own past, seeded by and compared with its agent type; learns as it goes.

    Blind spots: silent for a type's first `warmup` windows; an attack that looks like the agent's usual minute; drops
    of activity; minutes without any span; a growth too slow to show over some fifty windows is learnt as normal; a
    type's models are per partition of the activity topic. Values seen only while the type warmed up count as usual.
    """

    id = "anomaly.models"
    version = "1"
    scope = "type"
    rules = MappingProxyType(
        {
            "anomaly.activity": _about(
                "An agent does far more than in its own past", LOOK, "LLM03:2026", "LLM06:2026", "ASI02", "AML.T0053"
            ),
            "anomaly.new-behaviour": _about(
                "An agent does what neither it nor its type did before", LOOK, "LLM03:2026", "ASI02", "ASI10"
            ),
            "anomaly.egress": _about(
                "An agent sends more, or to more places, than in its own past",
                LOOK,
                "LLM02:2026",
                "ASI02",
                "AML.T0086",
                "T1041",
                category=Category.DATA_EXFILTRATION,
            ),
            "anomaly.off-hours": _about("An agent runs at an hour at which it never ran", LOOK, "ASI10", "AML.T0053"),
            "anomaly.loop": _about(
                "An agent repeats the same step over and over", LOOK, "LLM06:2026", "ASI08", "AML.T0034"
            ),
            "anomaly.beacon": _about(
                "An agent calls one domain at even intervals",
                LOOK,
                "ASI10",
                "T1071.001",
                "T1102",
                category=Category.DATA_EXFILTRATION,
            ),
            "anomaly.ramp": _about(
                "An agent's usual grows steadily, window by window",
                "Compare with the agent's first weeks: a habit taught slowly is how a baseline is poisoned.",
                "LLM05:2026",
                "ASI06",
                "AML.T0070",
            ),
            "anomaly.drift": _about(
                "An agent works differently from now on, and this is its new usual",
                "Was a new version, prompt or task rolled out? If nobody knows of one, read the spans named.",
                "ASI10",
                severity=Severity.INFO,
            ),
            "health.agent-flood": _about(
                "Most windows come from agents never seen before; their pasts cannot be kept",
                "Does an emitter put a new agent id on every span? Correct it, or refuse its token.",
                "MCP08:2025",
                "T1685",
                rows=("E6", "D11"),
            ),
        }
    )

    def __init__(
        self,
        *,
        threshold: float = BUDGET,
        severity: Severity | None = None,
        warmup: int = WARMUP,
        marked: frozenset[str] = frozenset(),
    ) -> None:
        self._budget = min(max(threshold, 1e-6), 0.1)
        self._severity, self._warmup, self._marked = severity, warmup, marked

    def new_state(self) -> Type:
        return Type()

    def status(self, state: Type) -> Status:
        """What a report or a metric shows of a type's models."""
        return Status(
            windows=state.windows,
            warm=state.windows >= self._warmup,
            agents=len(state.agents) + len(state.newcomers),
            alerts=state.alerts,
            threshold=round(self._threshold(state), 3),
        )

    def observe(self, event: Window, state: Type) -> Iterator[Finding]:
        now = event.start_ns
        if not state.windows:
            state.began_ns = now
        agent = state.agent(storable(event.agent_id), now)
        yield from self._flooded(event, state)
        told, named = vector(event), items(event)
        judged = self._judge(event, state, agent, told, named)
        due = self._due(state, agent, judged)
        if due:
            state.alerts += 1
            yield self._tell(event, state, agent, judged)
        if event.session_id not in self._marked:
            changed = self._learn(event, state, agent, told, judged)
            if changed and state.windows >= self._warmup:
                yield self._changed(event, judged, changed)
        state.visits += agent.last_ns // HOUR_NS != now // HOUR_NS
        agent.windows += 1
        agent.last_ns = max(agent.last_ns, now)
        state.windows += 1

    # score

    def _judge(
        self, event: Window, state: Type, agent: Agent, told: list[tuple[int, float]], named: list[str]
    ) -> Judged:
        models.fade(agent, event.start_ns)
        found = models.deviations(agent, state.usual, told)
        rare = state.names.rarity(agent, named)
        growing = models.trends(agent, found)
        beat = models.rhythm(agent, state.gaps, event.domains, state.names, event.start_ns)
        scores = _by_kind(found)
        for rarity, item, _, _ in rare:
            scores.setdefault(SORTS[item[:4]], rarity)  # the rarest of each sort comes first
        odd = models.off_hours(agent, state.hours, state.began_ns, event.start_ns)
        if odd >= 0.0:
            scores["off-hours"] = odd
        scores["beacon"] = beat[0]
        scores["steady"], again = models.steady(agent, event.counts, state.same)
        if growing:
            scores["ramp"] = max(one[1] for one in growing)
        found_in = {kind: state.tails[kind].surprise(score) for kind, score in scores.items()}
        if found_in.get("off-hours", 0.0) > 1.0:  # told once in all its minutes: how rare is such an hour
            found_in["off-hours"] += math.log10((state.windows + 1) / (state.visits + 1))
        surprises = sorted(((far, kind) for kind, far in found_in.items()), reverse=True)
        total = surprises[0][0] + 0.3 * max(surprises[1][0] - 1.0, 0.0) + 0.2 * max(surprises[2][0] - 1.0, 0.0)
        threshold = self._threshold(state)
        spare = SPARE - math.log10(self._budget)
        for rarity, item, never, _ in rare:
            if never and rarity > spare and item[:4] in NEVER:  # so seldom that each may be told
                total = max(total, threshold + rarity - spare)
                surprises.insert(0, (max(surprises[0][0], rarity), NEVER[item[:4]]))
                break
        return Judged(found, rare, growing, beat, again, scores, surprises, total, threshold)

    def _threshold(self, state: Type) -> float:
        few = math.sqrt(self._warmup / max(state.windows, self._warmup, 1))  # what few windows say is too low
        return max(state.total.exceeded_by(self._budget), 3.0) + few + state.raised

    def _due(self, state: Type, agent: Agent, judged: Judged) -> bool:
        """Whether this window is an alert; what is no worse than the agent's last alert was, fading, is told already.

        An alert that a slightly higher threshold would have spared raises it, each window lowers it by the budget's
        share: so their number settles at the budget, while clear ones do not hide those after them.
        """
        agent.told *= FADING
        state.raised = max(state.raised - NUDGE * self._budget * AIM, LOWEST)
        over = judged.total - judged.threshold
        if state.windows < self._warmup or over <= 0.0 or judged.total <= agent.told:
            return False
        if agent.told < judged.threshold / 2:
            state.raised += NUDGE if over < MARGIN else NUDGE / 10  # a flood of clear ones must end too
        agent.told = min(judged.total, judged.threshold + MARGIN)
        return True

    # learn

    def _learn(
        self,
        event: Window,
        state: Type,
        agent: Agent,
        told: list[tuple[int, float]],
        judged: Judged,
    ) -> list[tuple[int, bool]]:
        warm = state.windows >= self._warmup
        if state.windows >= FIRST and not (warm and judged.total > judged.threshold):  # an incident sets no threshold
            for kind, score in judged.scores.items():
                state.tails[kind].add(score)
            state.total.add(judged.total)
        state.names.learn(agent, judged.rare)
        models.learn_hour(agent, state.hours, event.start_ns)
        return models.learn(agent, state.usual, told, judged.found)

    # tell

    def _tell(self, event: Window, state: Type, agent: Agent, judged: Judged) -> Finding:
        parts = contributors(event, judged)
        rule_id = "anomaly." + parts[0].rule
        over = judged.total - judged.threshold
        severity = Severity.MEDIUM if over >= MEDIUM else Severity.LOW
        known = min(agent.windows, AGENT_WARMUP)
        spans = tuple(dict.fromkeys(span for part in parts if (span := part.span))) or (event.last_span_id,)
        whole = sum(part.weight for part in parts) or 1.0
        return finding(
            self,
            event,
            rule_id=rule_id,
            severity=self._severity if self._severity is not None else self.levels.get(rule_id, severity),
            score=round(1.0 - 10.0 ** -min(judged.total, 9.0), 9),
            evidence={
                "who": event.agent_id or event.agent_type,
                "what": "; ".join(f"{part.name} {part.says}" for part in parts[:3]),
                "warmup": f"{known} of {AGENT_WARMUP} windows of this agent, {state.windows} of its type",
                "threshold": f"{judged.total:.1f} over {judged.threshold:.1f}, for {self._budget * 1000:g} in 1,000",
                **{
                    f"contributor.{part.name}": f"{part.says}, {100 * part.weight / whole:.0f} % of the score"
                    for part in parts
                },
            },
            span_ids=spans,
        )

    def _changed(self, event: Window, judged: Judged, changed: Sequence[tuple[int, bool]]) -> Finding:
        """A lasting change is told as the new usual; one that follows another soon as a growth that goes on."""
        of = {one.place: one for one in judged.found}
        again = [place for place, before in changed if before]
        names = {place: FEATURES[place].name for place, _ in changed}
        share = f"{100 / len(changed):.0f} % of the score"
        return finding(
            self,
            event,
            rule_id="anomaly.ramp" if again else "anomaly.drift",
            key=names[(again or [changed[0][0]])[0]],
            evidence={
                "who": event.agent_id or event.agent_type,
                "what": "; ".join(f"{name} {stands(of[place])}" for place, name in names.items()),
                **{f"contributor.{name}": f"{stands(of[place])}, {share}" for place, name in names.items()},
            },
            span_ids=(event.last_span_id,),
        )

    def _flooded(self, event: Window, state: Type) -> Iterator[Finding]:
        """Told once a day: most of the last windows came from agents that were never seen before."""
        flood = state.flood
        flood[0] += 1
        if flood[0] < FLOOD:
            return
        day = event.start_ns // DAY_NS
        settled = state.full or event.start_ns - state.began_ns > DAY_NS  # a fleet that starts is all new
        if flood[1] > FLOOD // 2 and settled and day != flood[2]:
            flood[2] = day
            yield finding(
                self,
                event,
                rule_id="health.agent-flood",
                evidence={
                    "who": event.agent_type,
                    "what": f"{flood[1]} new agents in {FLOOD} windows",
                },
            )
        flood[0] = flood[1] = 0

    # keep

    def dump(self, state: Type) -> bytes:
        return _encode(state)

    def load(self, blob: bytes) -> Type:
        return _decode(blob)


def _packed(value: Any) -> bytes:
    raw: bytes = value.tobytes()
    return raw


def _unpacked(_: type, raw: bytes) -> models.Numbers:
    numbers = array("f", raw)
    if len(numbers) != models.SIZE:
        raise ValueError("an agent's past of another size")
    return numbers


_encode = msgspec.msgpack.Encoder(enc_hook=_packed).encode
_decode = msgspec.msgpack.Decoder(Type, dec_hook=_unpacked).decode


def _by_kind(found: Sequence[Deviation]) -> Scores:
    """What the features of each kind add up to, the furthest first, and the longest lasting deviation of any."""
    far: dict[str, list[float]] = {"activity": [], "egress": [], "loop": []}
    lasting = 0.0
    for one in found:
        if one.z > 0.0:
            far[_KIND[one.place]].append(one.z)
        elif _DOWN[one.place]:
            far[_DOWN[one.place]].append(-one.z)
        if one.total > lasting and one.z > models.ALLOWANCE:
            lasting = one.total
    scores = {"sustained": lasting}
    for kind, some in far.items():
        some.sort(reverse=True)
        scores[kind] = sum(z * part for z, part in zip(some, (1.0, 0.5, 0.25), strict=False))
    return scores


_KIND = [feature.kind for feature in FEATURES]
_DOWN = [feature.down for feature in FEATURES]
