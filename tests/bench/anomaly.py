"""Anomaly models over simulated fleets no test knows: what they find, their noise, their cost, beside baselines."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from detectors.model import Window
from replay.simulate_fleet import MINUTE_NS, Fleet
from replay.simulate_windows import windows
from tests.bench import anomaly_page, nab
from tests.bench.anomaly_baselines import Ours, System, Trees, ZScore, batches, by_rules
from tests.bench.anomaly_scoring import WARM, Score

SEEDS: Final = (1001, 1002, 1003, 1004, 1005)
AGENTS, HOURS, INCIDENTS = 48, 24 * 21, 64
RULES_AGENTS, RULES_HOURS = 12, 96
SIZES: Final = (100, 1_000, 10_000, 100_000)
BLOCK, BLOCKS = 2_048, 9
FILL: Final = {100: 150, 1_000: 150, 10_000: 12, 100_000: 3}  # windows of each agent before the cost is taken
RUN = 3  # windows of one agent before the next copy of it has its turn: agents come in sessions


def quality(seeds: tuple[int, ...] = SEEDS) -> dict[str, Any]:
    """Every system over the same fleets, each fleet new to it."""
    scores = {name: Score() for name in ("spanwatch", "z-score of 3", "HalfSpaceTrees")}
    told: dict[str, dict[str, int]] = {"rules": {}, "notices": {}}
    for seed in seeds:
        fleet = Fleet(agents=AGENTS, hours=HOURS, seed=seed, incidents=INCIDENTS)
        from_ns = fleet.start_ns + int((fleet.end_ns - fleet.start_ns) * WARM)
        ours = Ours()
        systems: dict[str, System] = {"spanwatch": ours, "z-score of 3": ZScore(), "HalfSpaceTrees": Trees()}
        for score in scores.values():
            score.fleet(from_ns, fleet.shifts)
        for batch in batches(windows(fleet)):
            only = [window for window, _ in batch]
            for name, system in systems.items():
                alerts: dict[int, list[str]] = {}
                for place, key in system.flag(only):
                    alerts.setdefault(place, []).append(key)
                for place, (window, incident) in enumerate(batch):
                    scores[name].note(window, incident, alerts.get(place, []))
        for kind, counted in (("rules", ours.rules), ("notices", ours.notices)):
            for rule_id, count in counted.items():
                told[kind][rule_id] = told[kind].get(rule_id, 0) + count
        print(f"anomaly: fleet {seed} done", file=sys.stderr)
    return {**{name: score.figures() for name, score in scores.items()}, "told": told}


def rules_alone(seed: int = SEEDS[0]) -> dict[str, Any]:
    """Nothing but rules, over the telemetry of a smaller fleet: they learn nothing, so it needs no past."""
    fleet = Fleet(agents=RULES_AGENTS, hours=RULES_HOURS, seed=seed, incidents=INCIDENTS, early=0.1)
    score = Score()
    score.fleet(fleet.start_ns, fleet.shifts)
    for window, one, alerts in by_rules(fleet):
        score.note(window, None if one is None else (one.id, one.kind, one.strength, one.windows), alerts)
    return score.figures()


def _source(agents: int) -> list[Window]:
    """Windows of a hundred agents, to be had again under other names: the same work whatever the number of agents."""
    fleet = Fleet(agents=100, hours=24, seed=agents, shifts=False, hires=0.0, start_ns=1_767_657_600_000_000_000)
    return [window for window, _ in islice(windows(fleet), 12_000)]


def _stream(agents: int) -> Any:
    """Windows of so many agents without end, in turn, each agent's own in order of time."""
    copies = max(agents // 100, 1)
    source = _source(7)
    length = source[-1].end_ns - source[0].start_ns
    turn: dict[str, int] = {}
    for round_, window in ((i // len(source), one) for i, one in enumerate(cycle(source))):
        turn[window.agent_id] = seen = turn.get(window.agent_id, -1) + 1
        copy = seen // RUN % copies
        later = round_ * (length // MINUTE_NS + 1) * MINUTE_NS
        name = f"{window.agent_id}-{copy}"
        yield msgspec.structs.replace(
            window,
            id=f"{window.id}{seen}",
            agent_id=name,
            session_id=f"{window.session_id}-{round_}-{copy}",
            start_ns=window.start_ns + later,
            end_ns=window.end_ns + later,
            began_ns=window.began_ns + later,
        )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _bytes(value: Any) -> int:
    """Bytes of an object and of everything it holds."""
    size = sys.getsizeof(value)
    if isinstance(value, msgspec.Struct):
        return size + sum(_bytes(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return size + sum(_bytes(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return size + sum(map(_bytes, value))
    return size


def _mature(system: Ours) -> dict[str, int]:
    """Bytes of an agent's own part of the state, in the middle and at most; bytes its type's models take."""
    types = [state for slot in system.engine._types.values() for state in slot.states.values()]
    agents = [_bytes(one) + _bytes(name) for state in types for name, one in state.agents.items()]
    return {
        "agents": len(agents),
        "agent": round(statistics.median(agents)),
        "agent_at_most": max(agents),
        "type_at_most": max(_bytes(state) - _bytes(state.agents) for state in types),
    }


def cost() -> dict[str, Any]:
    """µs of processor time per window, sizes taking turns block by block; bytes of state."""
    sizes = SIZES
    streams = {size: _stream(size) for size in sizes}
    systems = {size: Ours() for size in sizes}
    figures: dict[str, Any] = {}
    for size in sizes:
        for _ in range(BLOCK // 256):
            next(streams[size])
        gc.collect()
        before = _resident()
        filled = size * FILL[size] // BLOCK * BLOCK
        for _ in range(filled // BLOCK):
            systems[size].engine.run(list(islice(streams[size], BLOCK)))
        gc.collect()
        grown = _resident() - before
        engine = systems[size].engine
        figures[str(size)] = {
            "windows_per_agent": round(filled / size),
            "resident_mb": round(grown / 1e6, 1),
            "resident_bytes_per_agent": round(grown / size),
            "snapshot_bytes_per_agent": round(len(engine.snapshot()) / size),
        }
    times: dict[int, list[float]] = {size: [] for size in sizes}
    spans = counted = 0
    for _ in range(BLOCKS):
        for size in sizes:
            block = list(islice(streams[size], BLOCK))
            spans, counted = spans + sum(one.counts["spans"] for one in block), counted + len(block)
            gc.collect()
            began = time.process_time()
            systems[size].engine.run(block)
            times[size].append((time.process_time() - began) / BLOCK * 1e6)
    per_window = spans / counted
    for size in sizes:
        median = statistics.median(times[size])
        figures[str(size)] |= {
            "us_per_window": round(median, 2),
            "us_per_span": round(median / per_window, 2),
        }
    first, last = figures[str(sizes[0])]["us_per_window"], figures[str(sizes[-1])]["us_per_window"]
    return {
        "sizes": figures,
        "ratio": round(last / first, 3),
        "spans_per_window": round(per_window, 2),
        "state": _mature(systems[1_000]),
    }


def measure(nab_folder: Path | None = None) -> dict[str, Any]:
    """All figures of docs/detection-quality.md about anomalies."""
    costs = cost()  # first, while the process is small
    figures = {"quality": quality(), "cost": costs, "nab": nab.measure(nab_folder)}
    figures["quality"]["rules alone"] = rules_alone()
    print(anomaly_page.text(figures), file=sys.stderr)
    return figures
