"""Rules on parsed acts: what must hold together holds for one act, and a span reports a rule once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import detectors
from detectors import facts
from detectors.behaviour import Matcher
from detectors.engine import Engine
from detectors.model import Finding, SecretMatch, Span
from tests.make import span
from tests.test_rules import CORRELATION, read, sigma


def told(tmp_path: Path, detection: str, monkeypatch: pytest.MonkeyPatch, acts: list[facts.Act], **about: Any) -> bool:
    """Whether the rule matches a span that does exactly these acts, alone and between others."""
    monkeypatch.setattr(facts, "of", lambda one: facts.Facts(acts=tuple(acts) if one.text("path") == "acts" else ()))
    fields = {"path": "acts", **about.pop("fields", {})}
    one = span(1, fields=fields, **about)
    rules = read(tmp_path, sigma(detection)).behaviour
    alone = bool(Matcher(rules).of(one))
    batch = Matcher(rules)
    found = batch.prepare([span(0, fields={"path": "none"}), one, span(2, fields={"path": "none"})])
    assert (1 in found) is alone
    assert not found.keys() - {1}
    return alone


RM = {"command.name": "rm", "command.flags": ("-rf", "-r", "-f"), "command.words": "rm -rf /srv"}
DRY = {"command.name": "rm", "command.flags": ("-r", "--dry-run"), "command.words": "rm -r --dry-run /srv"}
LS = {"command.name": "ls", "command.flags": ("-r",), "command.words": "ls -r"}
SAFE = {"command.name": "rm", "command.flags": (), "command.words": "rm x"}
BOTH = "s: {command.name: rm, command.flags: -r}\nd: {command.flags: --dry-run}\ncondition: s and not d"

CASES: list[tuple[str, list[facts.Act], bool]] = [
    (BOTH, [RM], True),
    (BOTH, [DRY], False),
    (BOTH, [LS, SAFE], False),
    (BOTH, [DRY, LS, RM], True),
    ("s: {tool.name: bash, command.name: rm}\ncondition: s", [LS, RM], True),
    ("s: {tool.name: fish, command.name: rm}\ncondition: s", [RM], False),
    ("s: {command.name: rm}\nt: {tool.name: bash}\ncondition: s or t", [], True),
    ("s: {command.name|exists: true}\ncondition: s", [RM], True),
    ("s: {command.name|exists: true}\ncondition: s", [], False),
    ("s: {tool.name: bash}\nn: {command.name: null}\ncondition: s and n", [RM], False),
    ("s: {command.words: 'rm -rf /srv'}\ncondition: s", [LS, RM], True),
    ("s: {command.flags|startswith: --dry}\ncondition: s", [LS, DRY], True),
]


@pytest.mark.parametrize(("detection", "acts", "holds"), CASES)
def test_conditions_about_facts_hold_for_one_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detection: str, acts: list[facts.Act], holds: bool
) -> None:
    assert told(tmp_path, detection, monkeypatch, acts, fields={"tool.name": "Bash"}) is holds


def test_a_fact_that_is_the_raw_text_is_found_in_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"path": "acts", "command.words": "acts"}
    either = "s: {path: acts}\nt: {command.words: acts}\ncondition: s and t"
    assert told(tmp_path, either, monkeypatch, [{"command.words": "acts"}], fields=same)


def test_secrets_of_the_span_count_on_each_of_its_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SecretMatch(rule_id="secret.x", where="arguments", length=20, fingerprint="0" * 16, surface="arguments")
    detection = "s: {secret.surface: arguments, command.name: rm}\ncondition: s"
    assert told(tmp_path, detection, monkeypatch, [LS, RM], secrets=(one,))
    assert not told(tmp_path, detection, monkeypatch, [LS], secrets=(one,))
    assert not told(tmp_path, detection, monkeypatch, [RM])


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *texts: str, spans: list[Span]) -> list[Finding]:
    monkeypatch.setattr(facts, "of", lambda one: facts.Facts(acts=ACTS.get(one.text("path"), ())))
    engine = Engine(detectors.load(read(tmp_path, *texts)))
    return [o for o in engine.run(spans) if isinstance(o, Finding) and o.rule_id.startswith("x.")]


ACTS: dict[str, tuple[facts.Act, ...]] = {"two": (RM, {**RM, "command.words": "rm -rf /opt"}), "list": (LS,)}


def test_a_span_reports_a_rule_once_with_the_act_that_matched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = sigma("s: {command.name: rm}\ncondition: s", "x.rm")
    (one,) = found(tmp_path, monkeypatch, text, spans=[span(0, fields={"path": "two"})])
    assert one.evidence["part"] == "rm -rf /srv"


@pytest.mark.parametrize(
    ("gap", "seconds", "holds"),
    [("30s", (0, 20, 45), True), ("30s", (0, 40, 50), False), ("30s", (0, 5, 40), False), ("1m", (0, 40, 50), True)],
)
def test_a_pause_longer_than_the_gap_breaks_a_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: str, seconds: tuple[int, ...], holds: bool
) -> None:
    steps = [sigma(f"s: {{tool.name: {c}}}\ncondition: s", f"x.{c}") for c in "abc"]
    chain = CORRELATION.format(type="temporal_ordered", more="").replace("[x.a, x.b]", "[x.a, x.b, x.c]")
    chain += f"spanwatch: {{gap: {gap}, out_of_order: 60s}}\n"
    spans = [
        span(i, at_ms=at * 1000, fields={"tool.name": c}) for i, (c, at) in enumerate(zip("abc", seconds, strict=True))
    ]
    for order in (spans, spans[::-1]):
        assert bool(found(tmp_path, monkeypatch, *steps, chain, spans=order)) is holds


def test_a_gap_looks_past_the_latest_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest step before the last is too far from the first; an earlier one is close enough to both."""
    steps = [sigma(f"s: {{tool.name: {c}}}\ncondition: s", f"x.{c}") for c in "abc"]
    chain = CORRELATION.format(type="temporal_ordered", more="").replace("[x.a, x.b]", "[x.a, x.b, x.c]")
    tools = [("a", 0), ("b", 25), ("b", 45), ("c", 50)]
    spans = [span(i, at_ms=at * 1000, fields={"tool.name": tool}) for i, (tool, at) in enumerate(tools)]
    assert found(tmp_path, monkeypatch, *steps, chain + "spanwatch: {gap: 30s}\n", spans=spans)


def correlated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, more: str, *values: dict[str, Any]) -> int:
    steps = [sigma(f"s: {{tool.name: {c}}}\ncondition: s", f"x.{c}") for c in "ab"]
    spans = [span(i, fields=one) for i, one in enumerate(values)]
    return len(found(tmp_path, monkeypatch, *steps, CORRELATION.format(type=kind, more=more), spans=spans))


def test_aliases_group_fields_of_different_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "group-by: [who]\n  aliases: {who: {x.a: user, x.b: reviewer}}"
    same = ({"tool.name": "a", "user": "dev-1"}, {"tool.name": "b", "reviewer": "dev-1"})
    other = ({"tool.name": "a", "user": "dev-1"}, {"tool.name": "b", "reviewer": "dev-2"})
    assert correlated(tmp_path, monkeypatch, "temporal", more, *same) == 1
    assert correlated(tmp_path, monkeypatch, "temporal", more, *other) == 0


def test_values_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "condition: {field: bytes.out, gte: 100}"
    big = [{"tool.name": "a", "bytes.out": 40} for _ in range(3)]
    assert correlated(tmp_path, monkeypatch, "value_sum", more, *big) == 1
    assert correlated(tmp_path, monkeypatch, "value_sum", more, *big[:2]) == 0


def test_a_count_past_what_other_rules_remember_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [{"tool.name": "a"} for _ in range(120)]
    assert correlated(tmp_path, monkeypatch, "event_count", "condition: {gte: 120}", *many) == 1
    assert correlated(tmp_path, monkeypatch, "event_count", "condition: {gte: 121}", *many) == 0


def test_a_correlation_may_be_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [sigma(f"s: {{tool.name: {c}}}\ncondition: s", f"x.{c}") for c in "abc"]
    inner = CORRELATION.format(type="temporal", more="").replace("x.chain", "x.inner")
    outer = CORRELATION.format(type="temporal_ordered", more="").replace("[x.a, x.b]", "[x.inner, x.c]")
    spans = [span(i, fields={"tool.name": c}) for i, c in enumerate("abc")]
    (one,) = found(tmp_path, monkeypatch, *steps, inner, outer, spans=spans)
    assert one.rule_id == "x.chain"
    assert not found(tmp_path, monkeypatch, *steps, inner, outer, spans=[spans[2], *spans[:1]])
