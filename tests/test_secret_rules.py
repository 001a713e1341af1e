"""Secret rules as files: what is refused, with file and key path, and what examples turn into."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.errors import RuleError
from detectors.secret_rules import fill, read_secrets

GOOD = r"""
- issuer: nobody
  rotation: third_party
  runbook: r
  rules:
    - id: secret.test.token
      title: A token
      pattern: '(tt_[a-z]{8})'
      grants: g
      examples: {match: ['«tt_<lower:8>»'], no_match: ['tt_']}
"""
RULE = "$[0].rules[0]"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("grants: g", "grants: g\n      severity: awful"), f"{RULE}.severity"),
        (("      title: A token\n", ""), RULE),
        (("  runbook: r\n", ""), RULE),
        (("grants: g", "grants: g\n      colour: red"), RULE),
        (("  runbook: r", "  runbook: r\n  colour: red"), "$[0]"),
        (("(tt_[a-z]{8})", "tt_[a-z]{8}"), f"{RULE}.pattern"),
        (("(tt_[a-z]{8})", "(tt_[a-z]{8}"), f"{RULE}.pattern"),
        (("secret.test.token", "Secret Token"), f"{RULE}.id"),
        (("grants: g", "grants: g\n      check: crc_of_moon"), f"{RULE}.check"),
        (("no_match: ['tt_']", "no_match: []"), f"{RULE}.examples"),
        (("grants: g", "grants: g\n      keys: ['API_KEY']"), f"{RULE}.keys"),
        (("grants: g", "grants: g\n      near: ['Acme']"), f"{RULE}.near"),
        (("grants: g", "grants: g\n      near: ['acme']\n      keys: ['acme']"), f"{RULE}.near"),
    ],
)
def test_rule_file_errors_name_file_and_key(tmp_path: Path, change: tuple[str, str], path: str) -> None:
    """Each mistake is refused with the file and the key path."""
    file = tmp_path / "test.yml"
    file.write_text(GOOD)
    assert [rule.id for rule in read_secrets([file])] == ["secret.test.token"]
    file.write_text(GOOD.replace(*change))
    with pytest.raises(RuleError) as error:
        read_secrets([file])
    assert (error.value.file, error.value.path) == (str(file), path)


def test_what_stands_beside_the_rules_holds_for_each(tmp_path: Path) -> None:
    """A rule may say otherwise."""
    file = tmp_path / "test.yml"
    file.write_text(GOOD.replace("  runbook: r", "  runbook: r\n  severity: low\n  static: false"))
    assert [(r.severity, r.static, r.issuer, r.runbook) for r in read_secrets([file])] == [
        ("low", False, "nobody", "r")
    ]
    file.write_text(file.read_text().replace("grants: g", "grants: g\n      severity: critical"))
    assert [r.severity for r in read_secrets([file])] == ["critical"]


def test_duplicate_id_is_refused(tmp_path: Path) -> None:
    """One id, one rule, over all files; every fault of every file is told at once."""
    for name in ("a.yml", "b.yml", "c.yml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(RuleError, match="already defined") as error:
        read_secrets(sorted(tmp_path.glob("*.yml")))
    assert [Path(one.file).name for one in error.value.errors] == ["b.yml", "c.yml"]  # type: ignore[attr-defined]  # RuleErrors


def test_fill_is_a_function_of_its_seed() -> None:
    """Equal seed, equal text; another seed, another text; marks are gone."""
    assert fill("«x_<alnum:20>»", 1) == fill("«x_<alnum:20>»", 1) != fill("«x_<alnum:20>»", 2)
    assert "«" not in fill("«x_<alnum:20>»", 1)
