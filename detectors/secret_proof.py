"""Secret rules proved by their own examples: each is filled, masked and compared, through both passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detectors.secret_rules import SecretRule, mark
from detectors.secrets import Scanner

SEEDS = range(3)


class Fault(NamedTuple):
    """An example that does not hold: `example` is its place in the rule (``match[0]``)."""

    rule_id: str
    example: str
    reason: str


def faults(rules: Sequence[SecretRule], scanner: Scanner, seeds: Sequence[int] = SEEDS) -> Iterator[Fault]:
    """What is wrong with the examples of `rules`, under the scanner that holds them and all others."""
    for rule in rules:
        for number, example in enumerate(rule.examples.match):
            if reason := next((r for seed in seeds if (r := _missed(rule, example, scanner, seed))), ""):
                yield Fault(rule.id, f"match[{number}]", reason)
        for number, example in enumerate(rule.examples.no_match):
            if any(hit.rule.id == rule.id for seed in seeds for hit in scanner.find(mark(example, seed)[0])):
                yield Fault(rule.id, f"no_match[{number}]", "the rule fires")


def _missed(rule: SecretRule, example: str, scanner: Scanner, seed: int) -> str:
    """Why a match example does not hold, or nothing."""
    text, secret = mark(example, seed)
    if secret is None:
        return "marks no secret with « and »"
    found = [(hit.rule.id, hit.start, hit.end) for hit in scanner.find(text)]
    mine = [one for one in found if one[0] == rule.id]
    if not mine:
        others = ", ".join(sorted({one[0] for one in found}))
        return f"fires {others} instead" if others else "nothing fires"
    if (rule.id, *secret) not in mine:
        return "another range is found than the marked one"
    beside = sorted({one[0] for one in found} - {rule.id, *rule.also})
    return f"also fires {', '.join(beside)}" if beside else ""
