"""A simulated fleet, minute by minute: who works when, what each agent does, and what is made to go wrong.

One seeded generator of events feeds both forms of output, so the Windows and the telemetry of a fleet agree. Agents
are small and sessions short-lived: memory grows with the number of agents, never with the hours simulated.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import NamedTuple, TypeAlias

import msgspec

from replay import simulate_incidents as wrong
from replay.simulate_habits import FOREIGN, HABITS, ROLLED_OUT, Habit, Takes, Tool
from replay.simulate_incidents import Incident, Shift

START_NS = 1_767_571_200_000_000_000  # a Monday, 00:00 UTC
MINUTE_NS = 60_000_000_000
WEEK_HOURS = 168
PLACES = 64  # a table of what follows a tool has this many places, shared out by weight
FLAVOURS = 8  # mixes of tools within a type; each agent has one
MAX_MINUTES = 240  # of a session
IDLE = 0.12  # share of a session's minutes in which nothing happens
EARLY = 0.35  # share of the time that passes before the first planned incident or shift

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


class Fleet:
    """`agents` agents of the usual types over `hours` hours from `start_ns`, with `incidents` planned incidents.

    The same arguments give the same events. `shifts` turns on honest lasting changes, `hires` is the share of agents
    that join later. `done` holds the labels of incidents that happened, `shifts` those of honest changes.
    """

    def __init__(
        self,
        *,
        agents: int,
        hours: float,
        seed: int,
        incidents: int = 0,
        strengths: tuple[float, ...] = (wrong.WEAK, wrong.STRONG),
        shifts: bool = True,
        hires: float = 0.05,
        start_ns: int = START_NS,
        early: float = EARLY,
    ) -> None:
        self._dice = dice = Random(seed)
        self._random = dice.random
        self._z = [dice.gauss(0.0, 1.0) for _ in range(16_384)]
        self.seed = seed
        self._first = start_ns // MINUTE_NS
        self._last = self._first + round(hours * 60)
        self.start_ns, self.end_ns = self._first * MINUTE_NS, self._last * MINUTE_NS
        self._types = [Type(habit, dice) for habit in HABITS]
        self.agents = [self._agent(number, hires) for number in range(agents)]
        from_ns = self.start_ns + int((self.end_ns - self.start_ns) * early)
        until_ns = self.start_ns + int((self.end_ns - self.start_ns) * 0.9)  # each begins with a session still to come
        self.shifts = self._plan_shifts(from_ns) if shifts else []
        here = [(one.id, (kind := self.type_of(one)).habit.name, kind.habit.shift is not None) for one in self.agents]
        planned = wrong.plan(
            dice, count=incidents, agents=here, from_ns=from_ns, until_ns=until_ns, strengths=strengths
        )
        self._wrong: dict[str, list[Incident]] = defaultdict(list)
        for one in sorted(planned, key=lambda one: one.at_ns, reverse=True):
            self._wrong[one.agent_id].append(one)
        self.done: list[Incident] = []
        self._sessions = 0

    def type_of(self, agent: Agent) -> Type:
        return self._types[agent.number % len(self._types)]

    def hired(self) -> list[Agent]:
        """Agents that joined after the fleet began."""
        return [one for one in self.agents if one.from_minute > self._first]

    def _agent(self, number: int, hires: float) -> Agent:
        dice, kind = self._dice, self._types[number % len(self._types)]
        habit = kind.habit
        own = [kind.tail[int(dice.random() * habit.tail)] for _ in range(max(habit.settled - len(habit.hosts), 0))]
        joins = dice.random()
        hired = self._first + int((self._last - self._first) * (0.3 + 0.6 * dice.random()))
        return Agent(
            number=number,
            id=f"{habit.name}-{number:06d}",
            hosts=tuple(dict.fromkeys((*habit.hosts, *own))),
            flavour=int(dice.random() * FLAVOURS),
            pace=math.exp(0.3 * dice.gauss(0, 1)),
            weight=math.exp(0.5 * dice.gauss(0, 1)),
            zone=int(dice.random() * 3) * 8 - 8 if dice.random() < 0.3 else int(dice.random() * 3),
            model=int(dice.random() * len(habit.models)),
            bypass=dice.random() < habit.bypass,
            from_minute=hired if joins < hires else self._first,
            trend=0.03 * dice.gauss(0, 1),
        )

    def _plan_shifts(self, from_ns: int) -> list[Shift]:
        """One honest change for each type in turn, apart from each other in time."""
        found = []
        for place, kind in enumerate(self._types):
            sort, what = wrong.SHIFTS[place % len(wrong.SHIFTS)]
            at_ns = from_ns + int((self.end_ns - from_ns) * (0.15 + 0.6 * place / len(self._types)))
            found.append(Shift(kind=sort, agent_type=kind.habit.name, start_ns=at_ns - at_ns % MINUTE_NS, what=what))
        return found

    # time

    def minutes(self) -> Iterator[Minute]:
        """Every minute of every session in which something happens, in order of time. Runs once."""
        agenda: dict[int, list[Session | Agent]] = defaultdict(list)
        for agent in self.agents:
            agenda[self._next(agent, agent.from_minute)].append(agent)
            for one in [one for one in self._wrong.get(agent.id, ()) if one.kind == "off_hours"]:
                self._wrong[agent.id].remove(one)
                agenda[self._odd_hour(agent, one)].append(self._odd_session(agent, one))
        shifts = sorted(self.shifts, key=lambda shift: -shift.start_ns)
        by_name = {kind.habit.name: kind for kind in self._types}
        for now in range(self._first, self._last):
            while shifts and shifts[-1].start_ns <= now * MINUTE_NS:
                shift = shifts.pop()
                by_name[shift.agent_type].change(shift)
            for item in agenda.pop(now, ()):
                session = self._session(item, now) if isinstance(item, Agent) else item
                incident = self._going_wrong(session, now)
                if steps := self._steps(session, now, incident):
                    minute = Minute(session, now * MINUTE_NS, steps, incident)
                    if not session.first_ns:
                        session.first_ns = minute.moment(0)
                    yield minute
                session.left -= 1
                if session.left > 0:
                    agenda[now + 1].append(session)
                elif not session.extra:
                    agenda[self._next(session.agent, now + 1)].append(session.agent)

    def _next(self, agent: Agent, now: int) -> int:
        """When the agent's next session begins: often in its working hours, seldom outside them."""
        kind, random = self.type_of(agent), self._random
        hours, length = kind.hours, len(kind.hours)
        rate = kind.habit.sessions / (kind.habit.shift[1] - kind.habit.shift[0] if kind.habit.shift else 24) / 60
        at = float(now)
        offset = agent.zone * 60
        while at < self._last:
            at -= math.log(1.0 - random()) / rate
            if random() < hours[int((at - START_NS // MINUTE_NS + offset) // 60) % length]:
                break
        return int(at) + 1

    def _odd_hour(self, agent: Agent, incident: Incident) -> int:
        """The first minute after the planned one that lies well outside the agent's working day."""
        shift = self.type_of(agent).habit.shift or (0, 0)
        after = 4 if incident.strength < (wrong.WEAK + wrong.STRONG) / 2 else 8
        gap = 24 - (shift[1] - shift[0])
        wanted = (shift[1] + min(after, gap // 2)) % 24
        minute = incident.at_ns // MINUTE_NS
        hour = (minute - START_NS // MINUTE_NS + agent.zone * 60) // 60 % 24
        return int(minute + (wanted - hour) % 24 * 60)

    def _odd_session(self, agent: Agent, incident: Incident) -> Session:
        kind = self.type_of(agent)
        agent.sessions += 1
        self._sessions += 1
        return Session(
            agent=agent, type=kind, number=self._sessions, began=0, left=incident.minutes, tool=kind.start,
            pace=incident.size, incident=incident, wrong_from=-1, extra=True,
        )  # fmt: skip

    def _session(self, agent: Agent, now: int) -> Session:
        kind = self.type_of(agent)
        agent.sessions += 1
        self._sessions += 1
        length = int(kind.habit.minutes * math.exp(0.6 * self._z[int(self._random() * 16_384)])) + 1
        session = Session(
            agent=agent, type=kind, number=self._sessions, began=now, left=min(length, MAX_MINUTES), tool=kind.start,
            pace=math.exp(0.2 * self._z[int(self._random() * 16_384)]),
        )  # fmt: skip
        planned = self._wrong.get(agent.id)
        if planned and planned[-1].at_ns <= now * MINUTE_NS:
            session.incident = planned.pop()
            session.wrong_from = now + 2 + int(self._random() * 5)
            session.left = max(session.left, session.wrong_from - now + session.incident.minutes + 1)
        return session

    def _going_wrong(self, session: Session, now: int) -> Incident | None:
        incident = session.incident
        if incident is None or now < session.wrong_from:
            return None
        if session.wrong_from < 0:
            session.wrong_from, session.began = now, now
        return incident if now < session.wrong_from + incident.minutes else None

    # what is done

    def _steps(self, session: Session, now: int, incident: Incident | None) -> list[Step]:
        agent, kind = session.agent, session.type
        habit, random = kind.habit, self._random
        steps: list[Step] = []
        usual = habit.calls * agent.pace * session.pace * kind.pace
        usual *= 1.0 + agent.trend * (now - self._first) / 10_080
        calls = 0
        if random() >= IDLE:
            calls = int(usual * math.exp(0.45 * self._z[int(random() * 16_384)]) * 0.9 + random())
        if incident is not None and incident.kind != "off_hours":
            self._wrongly(session, now, incident, max(calls, 1), usual, steps)
        elif calls:
            self._work(session, now, calls, steps)
        if incident is not None and steps:
            if not incident.windows:
                incident.session_id, incident.start_ns = self.session_id(session), now * MINUTE_NS
                self.done.append(incident)
            incident.windows += 1
            incident.end_ns = (now + 1) * MINUTE_NS
        return steps

    @staticmethod
    def session_id(session: Session) -> str:
        return f"{session.agent.id}/{session.number}"

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
                int(tool.sends * weight * exp(0.8 * z[int(random() * 16_384)])) + 1 if tool.sends else 0,
                int(tool.gets * weight * exp(0.9 * z[int(random() * 16_384)])) + 1 if tool.gets else 0,
                random() < tool.fails,
            ))  # fmt: skip
        session.tool = place

    def _chat(self, session: Session, now: int) -> Step:
        kind = session.type
        habit, z = kind.habit, self._z
        grown = kind.tokens * (1.0 + 0.03 * min(now - session.began, 40))
        told = int(habit.tokens[0] * grown * math.exp(0.5 * z[int(self._random() * 16_384)])) + 1
        said = int(habit.tokens[1] * math.exp(0.6 * z[int(self._random() * 16_384)])) + 1
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
