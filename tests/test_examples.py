"""Every example in a rule file is a test: it runs through the Engine and fires its own rule, or does not."""

from __future__ import annotations

from typing import Any

import pytest

import detectors
from detectors import rule
from detectors.behaviour import Matcher
from detectors.engine import Engine
from detectors.model import Finding
from detectors.sigma_proof import example

RULES = rule.read()
BY_ID = {one.id: one for one in (*RULES.behaviour, *RULES.correlation)}
LOADED = detectors.load(RULES)


def fired(chain: list[dict[str, Any]], seed: int) -> set[str]:
    """Rules of rule files that reported something about a session made of these examples."""
    spans = [example(values, seq, seed) for seq, values in enumerate(chain)]
    return {o.rule_id for o in Engine(LOADED).run(spans) if isinstance(o, Finding) and o.rule_id in BY_ID}


def cases(part: str) -> list[Any]:
    found = []
    for one in BY_ID.values():
        for number, given in enumerate(one.source["spanwatch"]["examples"][part]):
            chain = given if isinstance(given, list) else [given]
            found.append(pytest.param(one.id, chain, id=f"{one.id}-{part}-{number}"))
    return found


def matched(name: str, chain: list[dict[str, Any]]) -> bool:
    """Whether a rule that only serves as a step matches the example."""
    return any(one.rule.id == name for one in Matcher(RULES.behaviour).of(example(chain[0])))


@pytest.mark.parametrize(("name", "chain"), cases("match"))
def test_an_example_fires_its_rule_and_no_other(name: str, chain: list[dict[str, Any]]) -> None:
    one = BY_ID[name]
    if not getattr(one, "reports", True):
        assert matched(name, chain)
        return
    allowed = {name, *one.source["spanwatch"].get("also", ())}
    for seed in range(3):
        rules = fired(chain, seed)
        assert name in rules
        if len(chain) == 1:
            assert rules <= allowed


@pytest.mark.parametrize(("name", "chain"), cases("no_match"))
def test_a_counterexample_does_not_fire_its_rule(name: str, chain: list[dict[str, Any]]) -> None:
    if not getattr(BY_ID[name], "reports", True):
        assert not matched(name, chain)
    for seed in range(3):
        assert name not in fired(chain, seed)


@pytest.mark.parametrize("name", sorted(BY_ID))
def test_a_built_in_rule_says_what_to_do_what_it_misses_and_what_it_breaks(name: str) -> None:
    """Category, standards, runbook, blind spots and examples of both kinds are there."""
    one = BY_ID[name]
    assert one.runbook
    assert one.blind_spots
    assert one.standards
    assert one.description
    assert one.source["spanwatch"]["category"]
    assert one.source["spanwatch"]["examples"]["match"]
    assert one.source["spanwatch"]["examples"]["no_match"]
