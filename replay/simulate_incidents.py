"""What goes wrong, and what honestly changes, in a simulated fleet: eight kinds of incidents at any strength."""

from __future__ import annotations

from random import Random
from typing import Literal, get_args

import msgspec

Kind = Literal[
    "burst", "new_tool", "exfiltration", "fan_out", "beacon", "off_hours", "loop", "poisoning"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
WEAK, STRONG = 1.0, 2.0


class Sort(msgspec.Struct, frozen=True):
    """A kind of incident: how long it lasts in minutes, its size when weak and when strong, and where it shows."""

    minutes: int
    weak: float
    strong: float
    feature: str
    what: str


SORTS: dict[Kind, Sort] = {
    "burst": Sort(5, 4, 12, "tool_calls", "times the agent's usual calls"),
    "new_tool": Sort(4, 2, 8, "tools", "calls a minute of a tool that agents of this type do not have"),
    "exfiltration": Sort(25, 5, 20, "bytes_out", "times the usual bytes out, to one host new to the agent"),
    "fan_out": Sort(3, 6, 25, "hosts", "hosts a minute that the agent never spoke to"),
    "beacon": Sort(30, 1, 4, "hosts", "equal requests a minute at equal intervals to one host nobody knows"),
    "off_hours": Sort(20, 1, 2, "hour", "times the usual pace, 4 hours outside the working day, 8 when strong"),
    "loop": Sort(10, 2.5, 8, "pairs", "times the usual calls, all of one tool on one thing, half of them failing"),
    "poisoning": Sort(60, 4, 12, "bytes_out", "times the usual calls and bytes at the end of an even, slow ramp"),
}


class Incident(msgspec.Struct, kw_only=True):
    """The label of one incident. `windows` counts the windows in which it showed; times are theirs."""

    id: str
    kind: Kind
    strength: float
    size: float
    feature: str
    agent_id: str
    agent_type: str
    at_ns: int  # planned; it begins with the agent's next session
    minutes: int
    session_id: str = ""
    start_ns: int = 0
    end_ns: int = 0
    windows: int = 0
    host: str = ""
    tool: str = ""


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """An honest, lasting change of one agent type: nothing after it is wrong."""

    kind: Literal["tool_rollout", "model_upgrade", "host_migration", "busier"]
    agent_type: str
    start_ns: int
    what: str


SHIFTS: tuple[tuple[Literal["tool_rollout", "model_upgrade", "host_migration", "busier"], str], ...] = (
    ("tool_rollout", "every agent of the type has a new tool and uses it for a fifth of its calls"),
    ("model_upgrade", "every agent of the type uses a new model that reads a third more tokens"),
    ("host_migration", "the type's busiest host has moved to another domain"),
    ("busier", "every agent of the type calls tools 1.8 times as often"),
)


def size(kind: Kind, strength: float) -> float:
    """How big an incident of this strength is: weak at 1, strong at 2, between and beyond them in even ratios."""
    sort = SORTS[kind]
    return float(sort.weak * (sort.strong / sort.weak) ** (strength - WEAK))


def plan(
    dice: Random,
    *,
    count: int,
    agents: list[tuple[str, str, bool]],
    from_ns: int,
    until_ns: int,
    strengths: tuple[float, ...],
) -> list[Incident]:
    """Incidents spread over the agents and the time: kinds in turn, each of them in all strengths.

    `agents` are id, type and whether it has a working day; only those that do can be up at an odd hour.
    """
    found = []
    daily = [one for one in agents if one[2]]
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        strength = strengths[number // len(KINDS) % len(strengths)]
        among = daily if kind == "off_hours" else agents
        if not among:
            continue
        agent_id, agent_type, _ = among[int(dice.random() * len(among))]
        found.append(
            Incident(
                id=f"incident-{number:05d}",
                kind=kind,
                strength=strength,
                size=round(size(kind, strength), 3),
                feature=SORTS[kind].feature,
                agent_id=agent_id,
                agent_type=agent_type,
                at_ns=from_ns + int(dice.random() * max(until_ns - from_ns, 1)),
                minutes=SORTS[kind].minutes,
            )
        )
    return found
