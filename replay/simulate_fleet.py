"""A simulated fleet, minute by minute: who works when, what each agent does, and what is made to go wrong.

One seeded generator of events feeds both forms of output, so the Windows and the telemetry of a fleet agree. Agents
are small and sessions short-lived: memory grows with the number of agents, never with the hours simulated.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from random import Random

from replay import simulate_incidents as wrong
from replay.simulate_habits import HABITS
from replay.simulate_incidents import Incident, Shift
from replay.simulate_work import FLAVOURS, MINUTE_NS, Agent, Minute, Session, Type, Work

START_NS = 1_767_571_200_000_000_000  # a Monday, 00:00 UTC
MAX_MINUTES = 240  # of a session
EARLY = 0.35  # share of the time that passes before the first planned incident or shift


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
        self.seed = seed
        self._first = start_ns // MINUTE_NS
        self._last = self._first + round(hours * 60)
        self._work = Work(dice, self._first)
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
                if steps := self._work.steps(session, now, incident):
                    if incident is not None:
                        self._note(incident, session, now)
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
        length = int(kind.habit.minutes * self._work.spread(0.6)) + 1
        session = Session(
            agent=agent, type=kind, number=self._sessions, began=now, left=min(length, MAX_MINUTES), tool=kind.start,
            pace=self._work.spread(0.2),
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

    def _note(self, incident: Incident, session: Session, now: int) -> None:
        """The label, as far as the incident has come."""
        if not incident.windows:
            incident.session_id, incident.start_ns = session.id, now * MINUTE_NS
            self.done.append(incident)
        incident.windows += 1
        incident.end_ns = (now + 1) * MINUTE_NS
