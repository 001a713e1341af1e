"""`rules check`: fields nobody fills, conditions nothing meets, missing words, and every fault with its line."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import detectors
from detectors import facts, rule, standards
from detectors.errors import RuleErrors
from detectors.lint import Lint, lint
from detectors.rule_file import located
from pipeline import dialect, known_fields, rule_table
from tests.stories import RULES
from tests.test_rules import CORRELATION, FOREIGN, folder, read, sigma

FIELDS, DIALECTS = known_fields.every(), known_fields.dialects()
ROOT = Path(__file__).parents[1]


def looked(rules: rule.RuleSet, builtin: Path = rule.BUILTIN) -> Lint:
    return lint(rules.behaviour, rules.correlation, fields=FIELDS, dialects=DIALECTS, builtin=builtin)


def test_the_rules_that_come_with_spanwatch_have_no_fault() -> None:
    """Each can fire on a field some dialect fills, and says what it misses, what to do and how it is proved."""
    assert [str(one) for one in located(looked(RULES).faults)] == []


def test_detectors_in_code_cite_pinned_editions_and_known_rows() -> None:
    for detector in detectors.load(RULES):
        for name, about in detector.rules.items():
            assert not standards.unknown(about.standards), name
            assert not standards.no_rows(about.rows), name


def test_what_the_normaliser_works_out_is_a_known_field() -> None:
    """Every field any module of the pipeline assigns by name can be read by a rule."""
    assigned = set()
    for file in (ROOT / "pipeline").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else ()
            for one in targets:
                if isinstance(one, ast.Subscript) and getattr(one.value, "id", "") == "fields":
                    key = one.slice
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        assigned.add(key.value)
    assert assigned - {"requests_per_second"} <= FIELDS  # a setting of a token
    assert {"agent.id", *facts.FIELDS} >= dialect.ASIDES & FIELDS


UNKNOWN: list[tuple[str, bool, str]] = [
    ("s: {tool.nme: x}\ncondition: s", True, "no dialect fills tool.nme; nearest: tool.name"),
    ("s: {process.command_line|contains: x}\ncondition: s", True, "no dialect fills process.command_line"),
    ("s: {tool.name: x}\nt: {toolname: x}\ncondition: s and t", True, "toolname"),
    ("s: {tool.name: x}\nt: {toolname: x}\ncondition: s or t", False, "toolname"),
    ("s: {tool.name: x}\nt: {toolname: x}\ncondition: s and not t", False, "toolname"),
    ("s: {tool.name: x}\nt: {toolname: null}\ncondition: s and t", False, "toolname"),
    ("s: {tool.name: x}\nt: {toolname|exists: true}\ncondition: s and t", True, "toolname"),
]


@pytest.mark.parametrize(("detection", "fatal", "reason"), UNKNOWN)
def test_a_rule_that_no_dialect_can_make_fire_is_a_fault(
    tmp_path: Path, detection: str, fatal: bool, reason: str
) -> None:
    found = looked(read(tmp_path, sigma(detection)))
    assert any(reason in str(one) for one in (found.faults if fatal else found.notes))
    assert bool(found.faults) is fatal


CONTRADICTIONS: list[tuple[str, bool]] = [
    ("s: {tool.name: x}\nt: {tool.name: y}\ncondition: s and t", True),
    ("s: {tool.name: [x, y]}\nt: {tool.name: [y, z]}\ncondition: s and t", False),
    ("s: {tool.name: x}\ncondition: s and not s", True),
    ("s: {tool.name: x}\nt: {path|contains: x}\ncondition: s and not t", False),
    ("s: {command.flags: -r}\nt: {command.flags: -f}\ncondition: s and t", False),
    ("s: {tool.name: x}\nt: {tool.name: y}\nu: {path: z}\ncondition: (s and t) or u", False),
    ("s: {tool.name: x}\nt: {tool.name: y}\nu: {path: z}\ncondition: (s or u) and s and t", True),
]


@pytest.mark.parametrize(("detection", "contradicts"), CONTRADICTIONS)
def test_a_condition_that_contradicts_itself_is_a_fault(tmp_path: Path, detection: str, contradicts: bool) -> None:
    found = looked(read(tmp_path, sigma(detection)))
    assert any("contradicts itself" in str(one) for one in found.faults) is contradicts


def test_what_is_missing_is_a_note_in_a_team_s_rule_and_a_fault_in_ours(tmp_path: Path) -> None:
    rules = read(tmp_path, FOREIGN)
    foreign, ours = looked(rules), looked(rules, builtin=tmp_path)
    assert not foreign.faults
    assert {one.path.rsplit(".", 1)[-1] for one in foreign.notes} >= {"runbook", "blind_spots", "match", "no_match"}
    assert {str(one) for one in ours.faults} == {str(one) for one in foreign.notes}


def test_a_service_that_is_no_dialect_is_a_fault(tmp_path: Path) -> None:
    text = sigma("s: {tool.name: x}\ncondition: s").replace("ai_agent}", "ai_agent, service: claude-cod}")
    (fault,) = looked(read(tmp_path, text)).faults
    assert "no dialect is named claude-cod; nearest: claude-code" in str(fault)


def test_a_correlation_over_a_field_nobody_fills_is_a_fault(tmp_path: Path) -> None:
    steps = [sigma("s: {url|contains: a}\ncondition: s", f"x.{c}") for c in "ab"]
    more = "group-by: [usr]\n  condition: {field: hst, gte: 2}"
    found = looked(read(tmp_path, *steps, CORRELATION.format(type="value_count", more=more)))
    assert {one.path for one in found.faults} == {
        "documents[0].correlation.group-by",
        "documents[0].correlation.condition.field",
    }


MANY = """
title: Wrong in many places
name: x.many
level: loud
status: stable
logsource: {product: ai_agent}
detection:
  first:
    url|bogus: a
    path|re: '(?=a)b'
  second:
    - tool.name|expand: '%x%'
    - tool.name: fine
  condition: first or second
spanwatch:
  categroy: 3
  standards: [LLM03:2025]
  rows: [Z9]
  examples:
    match: 5
    nomatch: []
"""


def test_every_fault_of_a_rule_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors) as caught:
        read(tmp_path, MANY)
    lines = MANY.splitlines()
    told = [(lines[one.line - 1].strip().split(":")[0], one.reason) for one in caught.value.errors]
    assert [key for key, _ in told] == [
        "level",
        "url|bogus",
        "path|re",
        "- tool.name|expand",
        "categroy",
        "match",
        "nomatch",
    ]
    assert all(f"rule0.yml:{one.line}: " in str(one) for one in caught.value.errors)


def test_standards_and_rows_are_told_by_name(tmp_path: Path) -> None:
    text = sigma("s: {url: a}\ncondition: s", more="spanwatch:\n  standards: [LLM03:2025, ASI11]\n  rows: [D1, Z9]\n")
    with pytest.raises(RuleErrors) as caught:
        read(tmp_path, text)
    assert [(one.line, one.reason.split()[0]) for one in caught.value.errors] == [
        (11, "LLM03:2025"),
        (11, "ASI11"),
        (12, "Z9"),
    ]


@pytest.mark.parametrize(
    ("room", "text", "told"),
    [
        ("policies", "version: one\nagent_type: a\nsurprise: 1\n", {(1, "int"), (3, "surprise")}),
        ("inventory", "surprise: 1\nother: 2\n", {(1, "surprise"), (2, "other")}),
        ("egress", "allow: 5\nsuspicious:\n  tunnels: [a]\n  pastes: b\n", {(1, "array"), (4, "array")}),
        ("secrets", "- issuer: a\n  rotation: never\n  rules: []\n", {(2, "never")}),
    ],
)
def test_every_other_file_tells_lines_too(tmp_path: Path, room: str, text: str, told: set[tuple[int, str]]) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "a.yml").write_text(text)
    with pytest.raises(RuleErrors) as caught:
        rule.read([tmp_path], builtin=False)
    found = caught.value.errors
    assert len(found) == len(told)
    assert all(any(one.line == line and word in one.reason for one in found) for line, word in told), found


def test_overrides_tell_lines(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors) as caught:
        read(
            folder(tmp_path / "r", sigma("s: {url: a}\ncondition: s")) if (tmp_path / "r").mkdir() else tmp_path / "r",
            sigma("s: {url: a}\ncondition: s"),
            overrides="x.rule:\n  severity: loud\n  enabled: perhaps\nx.none: {enabled: false}\n",
        )
    assert [one.line for one in caught.value.errors] == [2, 3, 4]


def test_a_list_shows_category_standards_and_rows_also_of_detectors_in_code() -> None:
    rows = {row["id"]: row for row in rule_table.rows(RULES, None)}
    assert rows["exfiltration.secret-sent"]["kind"] == "detector"
    assert rows["exfiltration.secret-sent"]["category"] == "1 data exfiltration"
    assert rows["egress.metadata"]["rows"] == "E1"
    assert "ASI02" in rows["destructive.recursive-delete"]["standards"]
    assert rows["secret.github.pat"]["standards"].endswith("T1552.001,T1528")
    assert all(row["category"][0] in "12345" for row in rows.values())


def spanwatch(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    code = "import sys; from pipeline import cli; cli.main(sys.argv[1:])"
    env = {"PATH": "/usr/bin:/bin", "SPANWATCH_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


def test_a_new_rule_is_refused_until_its_examples_are_real(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert spanwatch(tmp_path, "rules", "new", "x.fresh", "--out", mine / "x.yml").returncode == 0
    assert spanwatch(tmp_path, "rules", "new", "x.fresh", "--out", mine / "x.yml").returncode == 4, "never overwritten"
    done = spanwatch(tmp_path, "rules", "check", mine)
    assert done.returncode == 4
    text = (mine / "x.yml").read_text()
    line = 1 + next(i for i, one in enumerate(text.splitlines()) if "must find" in one)
    assert f"x.yml:{line}: documents[0].spanwatch.examples.match[0]: x.fresh: the rule does not fire" in done.stderr
    assert "no_match[0]: x.fresh: the rule fires" in done.stderr
    text = text.replace("a command the rule must find", "name-of-a-program --its-flag")
    text = text.replace("name-of-a-program --its-flag and all: an honest one it must pass over", "name-of-a-program")
    (mine / "x.yml").write_text(text)
    assert "x.fresh" not in spanwatch(tmp_path, "rules", "check", mine).stderr
    assert spanwatch(tmp_path, "rules", "new", "NoTheme").returncode == 4


def test_a_list_in_a_pipe_is_json_lines(tmp_path: Path) -> None:
    done = spanwatch(tmp_path, "rules", "list", "--kind", "detector", "--json")
    assert {"id", "kind", "severity", "category", "standards", "rows", "status", "title"} == set(
        json.loads(done.stdout.splitlines()[0])
    )
