"""Writes the figures of one run into docs/detection-quality.md, between its marks; the words around stay as written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs/detection-quality.md"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.4g}" if cell < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


# What was asked: its name, where it stands among the figures, the least (or, with <=, the most) allowed, the unit.
BARS: Final = (
    ("kinds of credential", "breadth kinds", ">=", 800, ""),
    ("issuers", "breadth issuers", ">=", 500, ""),
    ("formats verified offline", "breadth checks", ">=", 30, ""),
    ("planted: recall", "planted recall", ">=", 0.98, ""),
    ("planted: recall in the worst carrier", "planted worst_carrier", ">=", 0.93, ""),
    ("planted: precision", "planted precision", ">=", 0.995, ""),
    ("planted: exact byte range", "planted exact_of_masked", ">=", 0.95, ""),
    ("clean text: verified and likely", "clean sources all upper_per_mb", "<=", 0.2, " per MB"),
    ("clean text: all tiers", "clean sources all different_per_mb", "<=", 1, " different per MB"),
    ("forms of vendors without a rule: recall", "unseen recall", ">=", 0.8, ""),
    ("the same: flag rate on negatives", "unseen flag_rate", "<=", 0.15, ""),
    ("masking agent JSON lines", "speed lines mb_per_second", ">=", 100, " MB/s"),
    ("all rules against sixty", "speed lines cost_of_all_to_sixty_rules", "<=", 1.5, " times the cost"),
    ("record of 5 kB, p99", "speed records_5kb p99_ms", "<=", 0.3, " ms"),
    ("span without a candidate", "speed spans alone_us", "<=", 4, " µs"),
    ("adversarial text, 1 MB against 250 kB", "speed growth worst_ratio", "<=", 6, " times the time"),
    ("against Kingfisher 1.112 with decoding", "against Kingfisher 1.112|ours_is_times", ">=", 2, " times as fast"),
    ("against Betterleaks", "against Betterleaks|ours_is_times", ">=", 10, " times as fast"),
)


def _found(figures: dict[str, Any], path: str) -> Any:
    """The figure at the path; nothing where that part was not run."""
    at: Any = figures
    first, _, rest = path.partition(" ")
    for name in [first, *(rest.split("|") if "|" in rest else rest.split(" "))]:
        if not isinstance(at, dict) or name not in at:
            return None
        at = at[name]
    return at


def asked(figures: dict[str, Any]) -> str:
    """The bars and what was reached."""
    rows = []
    for name, path, sign, bar, unit in BARS:
        value = _found(figures, path)
        if value is not None:
            met = value >= bar if sign == ">=" else value <= bar
            rows.append((name, f"{'≥' if sign == '>=' else '≤'} {bar}{unit}", value, "met" if met else "missed"))
    return table(("figure", "asked", "reached", ""), rows)


def carriers(figures: dict[str, Any]) -> str:
    """Per carrier: ours by bytes masked, everybody by lines."""
    planted, peers = figures["planted"], figures.get("peers", {})
    head = ("carrier", "planted", "masked", "exact", "ours by line", *peers)
    rows = [
        (name, row["planted"], row["recall"], row["exact"], planted["carriers_by_line"][name],
         *(peer["carriers"][name] for peer in peers.values()))
        for name, row in sorted(planted["carriers"].items())
    ]  # fmt: skip
    return table(head, rows)


def families(figures: dict[str, Any]) -> str:
    rows = ((name, row["planted"], row["recall"], row["exact"]) for name, row in figures["planted"]["families"].items())
    return table(("family", "planted", "masked", "exact"), rows)


def layers(figures: dict[str, Any]) -> str:
    return table(("decodings undone", "hits"), figures["planted"]["layers"].items())


def tiers(figures: dict[str, Any]) -> str:
    return table(("tier", "planted secrets masked"), figures["planted"]["tiers"].items())


def compared(figures: dict[str, Any]) -> str:
    """Recall, precision and speed of all on the same lines and text."""
    planted, against, peers = figures["planted"], figures["against"], figures.get("peers", {})
    ours = ("spanwatch", "", planted["found_by_line"], planted["precision"], planted["false_hits"])
    rows = [
        ours,
        *(
            (name, one["version"], one["recall_by_line"], one["precision"], one["false_hits"])
            for name, one in peers.items()
        ),
    ]
    full = [
        (
            *row,
            against[row[0]]["mb_per_second"],
            against[row[0]]["mb_per_second_with_start"],
            against[row[0]]["ours_is_times"],
        )
        for row in rows
    ]
    return table(
        (
            "scanner",
            "version",
            "recall by line",
            "precision",
            "false",
            "MB/s",
            "with start-up",
            "times slower than ours",
        ),
        full,
    )


def clean(figures: dict[str, Any]) -> str:
    names = (
        "megabytes",
        "verified",
        "likely",
        "possible",
        "different",
        "upper_per_mb",
        "all_per_mb",
        "different_per_mb",
    )
    rows = ((source, *(row[name] for name in names)) for source, row in figures["clean"]["sources"].items())
    return table(("source", *(name.replace("_", " ") for name in names)), rows)


def false_rules(figures: dict[str, Any]) -> str:
    rows = [*figures["clean"]["rules"].items()][:15]
    return table(("rule and tier", "findings in clean text"), rows) if rows else "None."


def breadth(figures: dict[str, Any]) -> str:
    return table(
        ("breadth", ""),
        (
            (
                name.replace("_", " "),
                value if isinstance(value, int) else ", ".join(f"{k} {v:,}" for k, v in value.items()),
            )
            for name, value in figures["breadth"].items()
        ),
    )


def machine(figures: dict[str, Any]) -> str:
    one = figures["machine"]
    return f"{one['cpu']}, {one['cores']} cores shared with other work, {one['system']}, Python {one['python']}."


def unseen(figures: dict[str, Any]) -> str:
    """Forms of vendors without a rule, and what only resembles them."""
    one = figures["unseen"]
    rows = [
        (name, one[name]["planted"], one[name]["recall"], one[name]["exact"], one[name]["recall_upper"])
        for name in ("tokens", "passwords")
    ]
    made = table(("planted", "texts", "recall", "exact", "verified or likely"), rows)
    total = ("all", one["harmless"], one["flag_rate"], one["flag_rate_upper"])
    return made + "\n\n" + table(("harmless", "texts", "flag rate", "verified or likely"), [total])


BLOCKS: Final = (asked, unseen, carriers, families, layers, tiers, compared, clean, false_rules, breadth, machine)


def filled(page: str, figures: dict[str, Any], blocks: Sequence[Callable[[dict[str, Any]], str]] = BLOCKS) -> str:
    """The page with every marked stretch of these blocks written anew."""
    for block in blocks:
        begin, end = f"<!-- figures: {block.__name__} -->", "<!-- end -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text = f"{begin}\n{block(figures)}\n{end}"
        page = pattern.sub(lambda _, text=text: text, page)  # type: ignore[misc]
    return page


def write(figures: dict[str, Any], blocks: Sequence[Callable[[dict[str, Any]], str]] = BLOCKS) -> None:
    PAGE.write_text(filled(PAGE.read_text("utf-8"), figures, blocks), "utf-8")
