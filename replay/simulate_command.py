"""The command `spanwatch simulate`: a labelled fleet of agents, written to files."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def _start(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="telemetry, OTLP/JSON lines; - is standard output")],
    labels: Annotated[Path | None, typer.Option(help="what is true of it: incidents, honest shifts, hires")] = None,
    agents: Annotated[int, typer.Option(min=1, help="how many agents")] = 12,
    hours: Annotated[float, typer.Option(min=0.1, help="how long the fleet works")] = 24.0,
    seed: Annotated[int, typer.Option(help="the fleet's dice; the same seed, the same fleet")] = 1,
    incidents: Annotated[int, typer.Option(min=0, help="how many incidents are planned, kinds in turn")] = 8,
    strength: Annotated[
        list[float] | None, typer.Option(min=0, help="1 is weak, 2 strong; may be given again; default: both")
    ] = None,
    shifts: Annotated[bool, typer.Option(help="honest lasting changes, one for each agent type")] = True,
    start: Annotated[
        datetime | None, typer.Option(parser=_start, metavar="ISO-TIME", help="first moment; default: a Monday")
    ] = None,
) -> None:
    """Write the telemetry of a simulated fleet of agents, with eight kinds of incidents, and the labels of it.

    Feed it to `detect`, or to a gateway; memory does not grow with the hours.
    """
    from replay import simulate as simulating
    from replay.simulate_fleet import START_NS

    fleet = simulating.Fleet(
        agents=agents,
        hours=hours,
        seed=seed,
        incidents=incidents,
        strengths=tuple(strength or (1.0, 2.0)),
        shifts=shifts,
        start_ns=START_NS if start is None else int(start.timestamp()) * 1_000_000_000,
    )
    lines, told = simulating.write(fleet, out, labels)
    print(f"spanwatch: {lines:,} requests, {told:,} labels, {len(fleet.done):,} incidents", file=sys.stderr)
