"""What one simulated agent does in one minute: honest work by its type's habits, or work made to go wrong."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple, TypeAlias

import msgspec

from replay import simulate_incidents as wrong
from replay.simulate_habits import FOREIGN, ROLLED_OUT, Habit, Takes, Tool
from replay.simulate_incidents import Incident, Shift

MINUTE_NS = 60_000_000_000
WEEK_HOURS = 168
WEEK_MINUTES = 10_080
PLACES = 64  # a table of what follows a tool has this many places, shared out by weight
FLAVOURS = 8  # mixes of tools within a type; each agent has one
IDLE = 0.12  # share of a session's minutes in which nothing happens
DRAWN = 16_384  # numbers of the normal distribution, drawn once and used over and over

Step: TypeAlias = tuple[int, "Act | None", str, int, int, int]
CALL, CHAT, ASK = (
    0,
    1,
    2,
)  # (CALL, act, "", sends, gets, failed) (CHAT, -, model, in, out, micros) (ASK, act, says, ...)


class Told(NamedTuple):
    """What a call adds to a Window besides its sizes."""

    tool: str
    command: int
    hosts: tuple[str, ...]
    paths: tuple[str, ...]


class Act:
    """A tool called on one thing; `told` is what the product reads out of that, once somebody has asked."""

    __slots__ = ("takes", "told", "tool", "value")

    def __init__(self, tool: str, takes: Takes, value: str) -> None:
        self.tool, self.takes, self.value = tool, takes, value
        self.told: Told | None = None


class Agent(msgspec.Struct, gc=False):
    """What is an agent's own: its pace, the size of what it sends, its hosts, its hours."""

    number: int
    id: str
    hosts: tuple[str, ...]
    flavour: int
    pace: float
    weight: float
    zone: int  # hours its day is ahead of UTC
    model: int
    bypass: bool
    from_minute: int
    trend: float  # of its pace, a week
    sessions: int = 0


class Type:
    """One agent type at this moment: its habit, and what honest shifts have made of it."""

    def __init__(self, habit: Habit, dice: Random) -> None:
        self.habit = habit
        self.tools = (*habit.tools, ROLLED_OUT)
        self.start = len(self.tools)  # row of the tables for the first call of a session
        self.mixes = [[tool.weight * math.exp(0.5 * dice.gauss(0, 1)) for tool in habit.tools] for _ in range(FLAVOURS)]
        self.tables = [self._table(mix, 0.0) for mix in self.mixes]
        self.tail = [f"{_word(dice)}.{_word(dice)}{i}.example" for i in range(habit.tail)]
        self.acts: list[dict[str, Act]] = [{} for _ in self.tools]
        self.pace = self.tokens = 1.0
        self.model = ""
        self.moved: dict[str, str] = {}
        self.hours = _hours(habit)

    def _table(self, mix: list[float], new: float) -> list[list[int]]:
        """For each tool (and for the start) which tools follow, as often as they do."""
        rows = []
        for before in (*(tool.name for tool in self.tools), ""):
            raised = self.habit.follows.get(before, {})
            weights = [w * raised.get(tool.name, 1.0) for w, tool in zip(mix, self.habit.tools, strict=True)]
            weights.append(sum(weights) * new)
            rows.append(_shared(weights))
        return rows

    def change(self, shift: Shift) -> None:
        """From now on, as the shift says."""
        if shift.kind == "tool_rollout":
            self.tables = [self._table(mix, 0.25) for mix in self.mixes]
        elif shift.kind == "model_upgrade":
            self.model, self.tokens = f"{self.habit.models[0]}-next", 1.35
        elif shift.kind == "host_migration":
            self.moved = {self.habit.hosts[0]: f"{self.habit.hosts[0].split('.')[0]}.moved-{self.habit.name}.example"}
        else:
            self.pace = 1.8

    def act(self, place: int, value: str) -> Act:
        acts = self.acts[place]
        found = acts.get(value)
        if found is None:
            tool = self.tools[place]
            found = acts[value] = Act(tool.name, tool.takes, value)
        return found


class Session(msgspec.Struct, gc=False):
    """One run of an agent; `tool` is the row of the tables it is in."""

    agent: Agent
    type: Type
    number: int
    began: int  # minute
    left: int
    tool: int
    pace: float = 1.0
    first_ns: int = 0
    incident: Incident | None = None
    wrong_from: int = 0
    extra: bool = False  # beside the agent's usual ones

    @property
    def id(self) -> str:
        return f"{self.agent.id}/{self.number}"


class Minute(NamedTuple):
    """What one session did in one minute, in order; `incident` where it was made to go wrong."""

    session: Session
    start_ns: int
    steps: list[Step]
    incident: Incident | None

    def moment(self, place: int) -> int:
        """When a step began: spread over the minute with some jitter, at even intervals for a beacon."""
        slot = MINUTE_NS // len(self.steps)
        if self.incident is not None and self.incident.kind == "beacon":
            return self.start_ns + place * slot
        jitter = (self.session.number * 7919 + place * 104_729 + self.start_ns // MINUTE_NS * 31) % 997
        return self.start_ns + place * slot + slot * jitter // 1000


class Work:
    """Draws what agents do; `first` is the minute from which their pace drifts."""

    def __init__(self, dice: Random, first: int) -> None:
        self._random, self._first = dice.random, first
        self._z = [dice.gauss(0.0, 1.0) for _ in range(DRAWN)]

    def spread(self, width: float) -> float:
        """A factor around one, as wide as asked."""
        return math.exp(width * self._z[int(self._random() * DRAWN)])

    def steps(self, session: Session, now: int, incident: Incident | None) -> list[Step]:
        agent, kind = session.agent, session.type
        habit, random = kind.habit, self._random
        steps: list[Step] = []
        usual = habit.calls * agent.pace * session.pace * kind.pace
        usual *= 1.0 + agent.trend * (now - self._first) / WEEK_MINUTES
        calls = 0
        if random() >= IDLE:
            calls = int(usual * math.exp(0.45 * self._z[int(random() * DRAWN)]) * 0.9 + random())
        if incident is not None and incident.kind != "off_hours":
            self._wrongly(session, now, incident, max(calls, 1), usual, steps)
        elif calls:
            self._work(session, now, calls, steps)
        return steps

    def _work(self, session: Session, now: int, calls: int, steps: list[Step], weight: float = 1.0) -> None:
        """Honest work: tools by habit, each with what it sends and gets, models asked between them."""
        random, z, exp = self._random, self._z, math.exp
        agent, kind = session.agent, session.type
        habit, table, tools, moved = kind.habit, kind.tables[agent.flavour], kind.tools, kind.moved
        asks, chats = habit.asks, habit.chats
        place = session.tool
        weight *= agent.weight
        due = random()
        for _ in range(calls):
            due += chats
            while due >= 1.0:
                due -= 1.0
                steps.append(self._chat(session, now))
            place = table[place][int(random() * PLACES)]
            tool = tools[place]
            takes = tool.takes
            if takes == "url":
                if random() < habit.novel:
                    value = kind.tail[int(random() * habit.tail)]
                else:
                    value = agent.hosts[int(random() ** 2 * len(agent.hosts))]
                    if moved:
                        value = moved.get(value, value)
            elif takes == "path":
                value = habit.paths[(int(random() ** 2 * len(habit.paths)) + agent.number) % len(habit.paths)]
            elif takes == "command":
                value = habit.commands[(int(random() ** 2 * len(habit.commands)) + agent.number) % len(habit.commands)]
            else:
                value = ""
            act = kind.acts[place].get(value) or kind.act(place, value)
            if asks and random() < asks:
                steps.append((ASK, act, "skip" if agent.bypass else "deny" if random() < 0.02 else "allow", 0, 0, 0))
            steps.append((
                CALL,
                act,
                "",
                int(tool.sends * weight * exp(0.8 * z[int(random() * DRAWN)])) + 1 if tool.sends else 0,
                int(tool.gets * weight * exp(0.9 * z[int(random() * DRAWN)])) + 1 if tool.gets else 0,
                random() < tool.fails,
            ))  # fmt: skip
        session.tool = place

    def _chat(self, session: Session, now: int) -> Step:
        kind = session.type
        habit, z = kind.habit, self._z
        grown = kind.tokens * (1.0 + 0.03 * min(now - session.began, 40))
        told = int(habit.tokens[0] * grown * math.exp(0.5 * z[int(self._random() * DRAWN)])) + 1
        said = int(habit.tokens[1] * math.exp(0.6 * z[int(self._random() * DRAWN)])) + 1
        model = kind.model or habit.models[session.agent.model]
        return (CHAT, None, model, told, said, int(told * habit.price[0] + said * habit.price[1]))

    # what goes wrong

    def _wrongly(
        self, session: Session, now: int, incident: Incident, calls: int, usual: float, steps: list[Step]
    ) -> None:
        kind, size, phase = incident.kind, incident.size, now - session.wrong_from
        if kind == "burst":
            self._work(session, now, max(round(max(usual, calls) * size), 4), steps)
        elif kind == "poisoning":
            factor = size ** ((phase + 1) / incident.minutes)
            self._work(session, now, max(round(calls * factor), 1), steps, weight=factor)
        elif kind == "loop":
            self._loop(session, now, max(round(max(usual, 1.0) * size), 4), steps)
        else:
            self._work(session, now, calls, steps)
            if kind == "new_tool":
                tool = FOREIGN[int(incident.id[-5:]) % len(FOREIGN)]
                incident.tool = tool.name
                self._strange(steps, tool, [""] * max(round(size), 1))
            elif kind == "exfiltration":
                incident.host = incident.host or self._drop(session, incident)
                usually = self._sent(session, usual)
                self._strange(steps, _sending(session.type), [incident.host] * 2, sends=int(usually * size / 2))
            elif kind == "fan_out":
                hosts = [f"n{phase}-{i}.{incident.id}.example" for i in range(round(size))]
                self._strange(steps, _sending(session.type), hosts, sends=200)
            else:
                incident.host = f"c2.{incident.id}.example"
                steps.clear()
                self._strange(steps, _sending(session.type), [incident.host] * max(round(size), 1), sends=256)

    def _drop(self, session: Session, incident: Incident) -> str:
        """Where stolen bytes go: when weak a host that others of the type speak to, when strong one nobody knows."""
        others = [host for host in session.type.tail if host not in session.agent.hosts]
        if incident.strength < (wrong.WEAK + wrong.STRONG) / 2 and others:
            return others[int(self._random() * len(others))]
        return f"drop.{incident.id}.example"

    @staticmethod
    def _sent(session: Session, usual: float) -> float:
        """Bytes the agent usually sends in a minute."""
        mix, habit = session.type.mixes[session.agent.flavour], session.type.habit
        mean = sum(w * tool.sends for w, tool in zip(mix, habit.tools, strict=True)) / sum(mix)
        return max(mean * usual * session.agent.weight, 500.0)

    def _loop(self, session: Session, now: int, calls: int, steps: list[Step]) -> None:
        """The same call over and over, half of the time in vain, and the model asked each time."""
        kind = session.type
        place = int(session.number % len(kind.habit.tools))
        tool = kind.tools[place]
        act = kind.act(place, self._fixed(session, tool))
        for _ in range(calls):
            steps.append(self._chat(session, now))
            steps.append((CALL, act, "", int(tool.sends), int(tool.gets), self._random() < 0.5))
        session.tool = place

    @staticmethod
    def _fixed(session: Session, tool: Tool) -> str:
        habit, agent = session.type.habit, session.agent
        return {
            "url": agent.hosts[0],
            "path": habit.paths[0] if habit.paths else "",
            "command": habit.commands[0] if habit.commands else "",
            "text": "",
        }[tool.takes]

    @staticmethod
    def _strange(steps: list[Step], tool: Tool, values: list[str], sends: int = 0) -> None:
        steps.extend((CALL, Act(tool.name, tool.takes, value), "", sends, int(tool.gets), 0) for value in values)


def _sending(kind: Type) -> Tool:
    """The tool of the type that reaches a host; a plain web request for those that have none."""
    for tool in kind.habit.tools:
        if tool.takes == "url":
            return msgspec.structs.replace(tool, gets=200)
    return Tool("http_request", 1, "url", gets=200)


def _hours(habit: Habit) -> list[float]:
    """How likely a session begins in each hour of the week, Monday first, against the busiest one."""
    found = []
    for hour in range(WEEK_HOURS):
        day, of_day = divmod(hour, 24)
        if habit.shift is None:
            share = 0.75 + 0.25 * math.sin((of_day - 6) / 24 * 2 * math.pi)
        elif habit.shift[0] <= of_day < habit.shift[1]:
            share = 0.7 if of_day == 12 else 1.0
        else:
            near = min((habit.shift[0] - of_day) % 24, (of_day - habit.shift[1] + 1) % 24)
            share = 0.12 if near <= 1 else 0.02 if near <= 2 else 0.002
        found.append(share * (habit.weekend if day >= 5 else 1.0))
    return found


def _shared(weights: list[float]) -> list[int]:
    """Places of a table shared out by weight; every weight above nothing has at least one."""
    total = sum(weights)
    row: list[int] = []
    for place, weight in enumerate(weights):
        row += [place] * (max(round(weight / total * PLACES), 1) if weight > 0 else 0)
    row.sort(key=row.count, reverse=True)  # what is cut off or repeated is the commonest
    return (row * 2)[:PLACES] if len(row) < PLACES else row[-PLACES:]


def _word(dice: Random) -> str:
    return "".join("bcdfglmnprst"[int(dice.random() * 12)] + "aeiou"[int(dice.random() * 5)] for _ in range(3))
