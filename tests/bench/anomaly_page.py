"""Figures of one run over simulated fleets as tables, for the terminal and the page on detection quality."""

from __future__ import annotations

from typing import Any, Final

from tests.bench.nab import PUBLISHED
from tests.bench.quality_page import table

SYSTEMS: Final = ("spanwatch", "z-score of 3", "HalfSpaceTrees", "rules alone")


def anomaly_asked(figures: dict[str, Any]) -> str:
    """The bars and what was reached."""
    found, cost = figures["quality"], figures["cost"]
    ours = found["spanwatch"]
    best = max(found[name]["precision"] for name in SYSTEMS[1:])
    largest = cost["sizes"][max(cost["sizes"], key=int)]
    state, grown = cost["state"], largest["resident_mb"]
    most = state["agent_at_most"]
    whole = state["agent"] / 10 + 6 * state["type_at_most"] / 1e6
    after = ours["after_shift"]
    late = [after[name] for name in ("21 to 40", "41 to 100") if name in after]
    extra = sum(one["alerts"] for one in late) / max(sum(one["windows"] for one in late), 1) * 1000
    soon = ours["median_windows"]
    before = after.get("before", {}).get("per_1000", 0.0)
    rows = [
        ("recall, strong incidents", "≥ 0.90", ours["recall_strong"], ours["recall_strong"] >= 0.9),
        ("recall, weak incidents", "≥ 0.60", ours["recall_weak"], ours["recall_weak"] >= 0.6),
        ("false alerts per 1,000 windows", "≤ 1", ours["false_per_1000"], ours["false_per_1000"] <= 1),
        (
            "precision, against the best baseline's",
            "≥ 2 times",
            f"{ours['precision'] / best:.2f} times ({ours['precision']} against {best})" if best else "no baseline hit",
            ours["precision"] >= 2 * best,
        ),
        (
            "alerts per 1,000 windows, the agent's 21st to 100th after an honest shift",
            "≤ 1",
            f"{extra:.2f} ({before:.2f} before it)",
            extra <= 1,
        ),
        ("incident's start to alert, median", "≤ 2 windows", soon, soon is not None and soon <= 2),
        ("cost per window, 100,000 agents", "≤ 60 µs", largest["us_per_window"], largest["us_per_window"] <= 60),
        ("cost per span, 100,000 agents", "≤ 1.5 µs", largest["us_per_span"], largest["us_per_span"] <= 1.5),
        ("cost at 100,000 agents against 100", "≤ 1.2 times", cost["ratio"], cost["ratio"] <= 1.2),
        ("state of an agent after 150 windows, bytes", "≤ 4,096", most, most <= 4_096),
        ("100,000 such agents of six types, reckoned", "≤ 600 MB", f"{whole:.0f} MB", whole <= 600),
        ("100,000 agents of 3 windows, growth of resident memory in MB", "≤ 600", grown, grown <= 600),
    ]
    return table(("figure", "asked", "reached", ""), [(*row, "met" if met else "missed") for *row, met in rows])


def anomaly_systems(figures: dict[str, Any]) -> str:
    """Everybody over the same fleets."""
    names = (
        "windows", "incidents", "recall_strong", "recall_weak", "alerts", "false_per_1000", "precision",
        "median_windows",
    )  # fmt: skip
    found = figures["quality"]
    head = ("detector", *(name.replace("_", " ") for name in names))
    shown = [(name, *("-" if (value := found[name][one]) is None else value for one in names)) for name in SYSTEMS]
    return table(head, shown)


def anomaly_kinds(figures: dict[str, Any]) -> str:
    """Incidents found, by kind and strength."""
    found = figures["quality"]
    head = ("incident", *(f"{name}, {how}" for name in SYSTEMS for how in ("strong", "weak")))
    rows = [
        (kind, *(_of(found[name]["kinds"][kind][how]) for name in SYSTEMS for how in ("strong", "weak")))
        for kind in found["spanwatch"]["kinds"]
    ]
    return table(head, rows)


def _of(cell: dict[str, int]) -> str:
    return f"{cell['hits']}/{cell['of']}" if cell["of"] else "-"


def anomaly_shifts(figures: dict[str, Any]) -> str:
    """Alerts around honest lasting changes, and what was told."""
    after = figures["quality"]["spanwatch"]["after_shift"]
    names = ("before", "1 to 20", "21 to 40", "41 to 100", "later")
    rows = [(name, *(after[name][one] for one in ("windows", "alerts", "per_1000"))) for name in names if name in after]
    told = figures["quality"]["told"]
    counted = [
        (name, note, n) for what, note in (("rules", ""), ("notices", "notice")) for name, n in told[what].items()
    ]
    return "\n\n".join(
        (
            table(("windows of an agent, seen from its type's shift", "windows", "alerts", "per 1,000"), rows),
            table(("rule", "", "findings, all fleets"), sorted(counted)),
        )
    )


def anomaly_cost(figures: dict[str, Any]) -> str:
    cost = figures["cost"]
    names = (
        "windows_per_agent", "us_per_window", "us_per_span", "resident_mb", "resident_bytes_per_agent",
        "snapshot_bytes_per_agent",
    )  # fmt: skip
    rows = [(int(size), *(one[name] for name in names)) for size, one in cost["sizes"].items()]
    state = cost["state"]
    told = (
        f"After 150 windows each, an agent's own part is {state['agent']:,} bytes in the middle and "
        f"{state['agent_at_most']:,} at most, objects and all; "
        f"the models of a type are {state['type_at_most']:,} at most."
    )
    return told + "\n\n" + table(("agents", *(name.replace("_", " ").replace("us ", "µs ") for name in names)), rows)


def anomaly_nab(figures: dict[str, Any]) -> str:
    """The score on the public corpus beside the published ones, or why there is none."""
    found = figures["nab"]
    if "skipped" in found:
        return f"{found['skipped']}."
    ours = [(name, *one.values(), "measured here") for name, one in found["scores"].items()]
    rows = [*ours, *((*one, "published") for one in PUBLISHED)]
    return table(("detector", "standard", "few false", "few missed", ""), rows)


BLOCKS: Final = (anomaly_asked, anomaly_systems, anomaly_kinds, anomaly_shifts, anomaly_cost, anomaly_nab)


def text(figures: dict[str, Any]) -> str:
    """All tables, as they stand on the page."""
    return "\n\n".join(f"## {block.__name__.replace('_', ' ')}\n\n{block(figures)}" for block in BLOCKS)
