"""Every example of every secret rule, filled from several seeds, through both passes: found exactly, or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import detectors
from detectors.secret_rules import SecretRule, mark, read_secrets
from detectors.secrets import PLACEHOLDER, Scanner

FOLDER = Path(detectors.__file__).parent / "rules" / "secrets"
SEEDS = range(8)
RULES = read_secrets(sorted(FOLDER.glob("*.yml")))


def examples(kind: str) -> list[object]:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{kind}-{number}")
        for rule in RULES
        for number, example in enumerate(getattr(rule.examples, kind))
    ]


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(RULES, b"key of the test")


@pytest.mark.parametrize(("rule", "example"), examples("match"))
def test_match_is_found_exactly(scanner: Scanner, rule: SecretRule, example: str) -> None:
    """The rule finds the marked secret at its exact range, no other rule fires, and nothing of it is left."""
    for seed in SEEDS:
        text, range_ = mark(example, seed)
        assert range_, "a match example marks its secret with « and »"
        hits = scanner.find(text)
        assert [(h.rule.id, h.start, h.end) for h in hits if h.rule.id not in rule.also] == [(rule.id, *range_)]
        masked, found = scanner.mask(text, "here")
        assert text[range_[0] : range_[1]] not in masked
        assert [m.where for m in found] == ["here"] * len(hits)
        assert scanner.find(masked) == [], "masked text holds nothing more to mask"
        assert len(PLACEHOLDER.findall(masked.encode())) == len(hits)
        at = [(h.start, h.end) for h in scanner.find_bytes(b"\xff\xfe\n" + text.encode())]
        before = len(text[: range_[0]].encode()) + 3
        assert (before, before + len(text[range_[0] : range_[1]].encode())) in at


@pytest.mark.parametrize(("rule", "example"), examples("no_match"))
def test_no_match_is_left_alone(scanner: Scanner, rule: SecretRule, example: str) -> None:
    """The rule does not fire on what only resembles its secret."""
    for seed in SEEDS:
        text, _ = mark(example, seed)
        assert [h for h in scanner.find(text) if h.rule.id == rule.id] == []


def test_breadth() -> None:
    """At least eighty formats a vendor made, beside the forms anyone uses."""
    assert sum(1 for rule in RULES if rule.tier == "likely") >= 80


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize(("rule", "example"), examples("match"))
def test_match_is_found_under_escapes(scanner: Scanner, rule: SecretRule, example: str, depth: int) -> None:
    """A text JSON-encoded several times over still gives up its secret, in place."""
    text, range_ = mark(example, 1)
    assert range_
    before, secret, after = text[: range_[0]], text[range_[0] : range_[1]], text[range_[1] :]
    for _ in range(depth):
        before, secret, after = (_escaped(part) for part in (before, secret, after))
    nested = '"' * bool(depth) + before + secret + after + '"' * bool(depth)
    start = bool(depth) + len(before)
    hits = [(h.rule.id, h.start, h.end) for h in scanner.find(nested)]
    assert (rule.id, start, start + len(secret)) in hits


def _escaped(text: str) -> str:
    """As JSON writes it inside quotes."""
    return msgspec.json.encode(text).decode()[1:-1]
