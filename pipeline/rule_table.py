"""Rules as people see them: `rules list` as a table, as lines or as JSON, and what `rules check` proves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from detectors.model import Severity
from detectors.rule import RuleSet
from detectors.secret_proof import faults
from detectors.secrets import Scanner
from pipeline.settings import Settings


def rows(found: RuleSet, kind: str | None) -> list[dict[str, str]]:
    """One mapping a rule, by id; the columns are those all of them share, or those of one kind."""
    if kind == "secret":
        return [
            {
                "id": rule.id,
                "issuer": rule.issuer,
                "severity": rule.level.label,
                "tier": rule.tier,
                "rotation": rule.rotation,
                "lifetime": "static" if rule.static else "short-lived",
                "check": rule.check or "-",
                "title": rule.title,
            }
            for rule in sorted(found.secrets, key=lambda rule: rule.id)
        ]
    chosen: dict[str, Sequence[Any]] = {"behaviour": found.behaviour, "correlation": found.correlation}
    if kind:
        return [
            {
                "id": rule.id,
                "severity": rule.severity.label,
                "status": rule.status,
                "category": rule.category.name.lower(),
                "standards": ",".join(rule.standards),
                "title": rule.title,
            }
            for rule in sorted(chosen[kind], key=lambda rule: rule.id)
        ]
    every: list[tuple[str, Severity, str, str]] = []
    every += [(rule.id, rule.level, rule.status, rule.title) for rule in found.secrets]
    every += [(rule.id, rule.severity, rule.status, rule.title) for rule in found.behaviour]
    every += [(rule.id, rule.severity, rule.status, rule.title) for rule in found.correlation]
    return [
        {"id": name, "severity": level.label, "status": status, "title": title}
        for name, level, status, title in sorted(every)
    ]


def show(found: Sequence[dict[str, str]], *, as_json: bool) -> None:
    """A table on a terminal; into a pipe a rule is a line, for grep and awk, nothing folded at some width."""
    if as_json or not sys.stdout.isatty():
        for row in found:
            print(msgspec.json.encode(row).decode() if as_json else "\t".join(row.values()))
        return
    table = Table(*found[0], box=None) if found else Table()
    for row in found:
        table.add_row(*row.values())
    Console().print(table)


def unproved(found: RuleSet, settings: Settings) -> list[str]:
    """Examples of secret rules that do not hold, a line each."""
    scanner = Scanner(found.secrets, settings.deployment_key())
    return [f"{one.rule_id}: examples.{one.example}: {one.reason}" for one in faults(found.secrets, scanner)]
