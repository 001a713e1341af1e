"""Writes a labelled fleet of agents to files: telemetry that `detect` and any gateway read, and what is true of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from detectors.model import Window
from replay import simulate_otlp, simulate_windows
from replay.simulate_fleet import Fleet
from replay.simulate_incidents import Incident

__all__ = ["Fleet", "Incident", "labels", "windows", "write"]

_json = msgspec.json.Encoder().encode


def windows(fleet: Fleet) -> Iterator[tuple[Window, Incident | None]]:
    """The fleet as the engine's Windows, each with the incident it is part of. A fleet runs once."""
    return simulate_windows.windows(fleet)


def labels(fleet: Fleet) -> Iterator[dict[str, Any]]:
    """What is true of a fleet that has run: incidents that happened, honest shifts, agents that joined late."""
    for incident in fleet.done:
        yield {"label": "incident", **msgspec.structs.asdict(incident)}
    for shift in fleet.shifts:
        yield {"label": "shift", **msgspec.structs.asdict(shift)}
    for agent in fleet.hired():
        yield {"label": "hire", "agent_id": agent.id, "start_ns": agent.from_minute * 60_000_000_000}


def write(fleet: Fleet, out: Path, truth: Path | None) -> tuple[int, int]:
    """Telemetry line by line into `out` (- is standard output), labels into `truth`; how many lines of each."""
    lines = 0
    with ExitStack() as files:
        put: Callable[[bytes], Any]
        put = sys.stdout.buffer.write if str(out) == "-" else files.enter_context(out.open("wb")).write
        for line in simulate_otlp.requests(fleet):
            put(line + b"\n")
            lines += 1
    told = [_json(label) + b"\n" for label in labels(fleet)]
    if truth is not None:
        truth.write_bytes(b"".join(told))
    return lines, len(told)
