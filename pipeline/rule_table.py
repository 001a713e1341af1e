"""Rules as people see them: `rules list` as a table, as lines or as JSON, and what `rules check` proves."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

import detectors
from detectors import secret_proof, sigma_proof, standards
from detectors.errors import RuleError
from detectors.lint import lint
from detectors.rule import BUILTIN, RuleSet
from detectors.rule_file import located
from detectors.secrets import Scanner
from pipeline import known_fields
from pipeline.settings import Settings

NAME: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
SECRET_ROWS = ("K1", "K2")  # a secret rule speaks wherever a credential shows


def rows(found: RuleSet, kind: str | None) -> list[dict[str, str]]:
    """One mapping a rule, by id; the columns are those all of them share, or those of secrets alone."""
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
    every: list[dict[str, str]] = []
    if kind is None:
        every += [_row(rule, "secret", rule.level.label, rule.status, SECRET_ROWS) for rule in found.secrets]
    if kind in (None, "behaviour"):
        every += [_row(rule, "behaviour", rule.severity.label, rule.status, rule.rows) for rule in found.behaviour]
    if kind in (None, "correlation"):
        every += [_row(rule, "correlation", rule.severity.label, rule.status, rule.rows) for rule in found.correlation]
    if kind in (None, "detector"):
        for detector in detectors.load(found):
            for name, about in detector.rules.items():
                every.append({**_row(about, "detector", about.severity.label, "stable", about.rows), "id": name})
    return sorted(every, key=lambda row: row["id"])


def _row(rule: Any, kind: str, severity: str, status: str, shown: Sequence[str]) -> dict[str, str]:
    return {
        "id": getattr(rule, "id", ""),
        "kind": kind,
        "severity": severity,
        "category": f"{rule.category} {rule.category.name.lower().replace('_', ' ')}",
        "standards": ",".join(standards.from_tag(one) or one for one in rule.standards),
        "rows": ",".join(shown) or "-",
        "status": status,
        "title": rule.title,
    }


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


def checked(found: RuleSet, settings: Settings) -> tuple[list[str], list[str]]:
    """Faults and notes, a line each: lint, and examples that do not hold."""
    looked = lint(
        found.behaviour,
        found.correlation,
        fields=known_fields.every(),
        dialects=known_fields.dialects(),
        builtin=BUILTIN,
    )
    wrong = [*looked.faults, *_described(found)]
    for one in sigma_proof.faults(found.behaviour, found.correlation):
        at = f"{one.rule.at}.spanwatch.examples.{one.example}"
        wrong.append(RuleError(one.rule.file, at, f"{one.rule.id}: {one.reason}"))
    scanner = Scanner(found.secrets, settings.deployment_key())
    unproved = [
        f"{one.rule_id}: examples.{one.example}: {one.reason}" for one in secret_proof.faults(found.secrets, scanner)
    ]
    return [*map(str, located(wrong)), *unproved], [*map(str, located(looked.notes))]


def _described(found: RuleSet) -> Iterator[RuleError]:
    """Standards and rows of detectors in code that are in no edition or catalogue."""
    for detector in detectors.load(found):
        module = type(detector).__module__
        for name, about in detector.rules.items():
            for one in standards.unknown(about.standards):
                yield RuleError(module, name, f"{one} is in no pinned edition")
            for one in standards.no_rows(about.rows):
                yield RuleError(module, name, f"{one} is no row of the requirement catalogue")


def skeleton(name: str) -> str:
    """A rule to fill in. Raises RuleError for a name no rule can have."""
    if not NAME.fullmatch(name):
        raise RuleError(name, "$", "a name is theme.thing: lower-case letters, digits, hyphen; one dot at least")
    return sigma_proof.SKELETON.format(name=name, uuid=uuid.uuid4())
