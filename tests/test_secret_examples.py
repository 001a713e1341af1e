"""Every example of every secret rule, filled from several seeds, through both passes: found exactly, or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import detectors
from detectors.secret_proof import faults
from detectors.secret_rules import SecretRule, mark, read_secrets
from detectors.secrets import PLACEHOLDER, Scanner

FOLDER = Path(detectors.__file__).parent / "rules" / "secrets"
SEEDS = range(3)
RULES = read_secrets(sorted(FOLDER.glob("*.yml")))
SCANNER = Scanner(RULES, b"key of the test")
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@EACH
def test_examples_hold(rule: SecretRule) -> None:
    """A match is found at its exact range and no other rule fires; what only resembles the secret is left alone."""
    assert list(faults((rule,), SCANNER, SEEDS)) == []


@EACH
def test_match_is_masked_at_every_depth(rule: SecretRule) -> None:
    """As it stands and JSON-encoded up to three times: nothing of the secret is left, and nothing more to mask."""
    for example in rule.examples.match:
        text, place = mark(example, 11)
        assert place
        before, secret, after = text[: place[0]], text[place[0] : place[1]], text[place[1] :]
        for depth in range(4):
            if depth:
                before, secret, after = (_escaped(part) for part in (before, secret, after))
            nested = f'"{before}{secret}{after}"' if depth else text
            start = len(before) + bool(depth)
            hits = SCANNER.find(nested)
            assert (rule.id, start, start + len(secret)) in [(hit.rule.id, hit.start, hit.end) for hit in hits], depth
            masked = SCANNER.apply(nested, hits)
            assert secret not in masked
            assert SCANNER.find(masked) == [], "masked text holds nothing more to mask"
            assert len(PLACEHOLDER.findall(masked.encode())) == len(hits)


def _escaped(text: str) -> str:
    """As JSON writes it inside quotes."""
    return msgspec.json.encode(text).decode()[1:-1]


@pytest.mark.parametrize("rule", RULES[::40], ids=lambda rule: rule.id)
def test_bytes_that_are_no_text_move_nothing(rule: SecretRule) -> None:
    """Offsets in bytes stay right behind bytes that are not UTF-8."""
    text, place = mark(rule.examples.match[0], 5)
    assert place
    before = len(text[: place[0]].encode()) + 3
    end = before + len(text[place[0] : place[1]].encode())
    assert (before, end) in [(hit.start, hit.end) for hit in SCANNER.find_bytes(b"\xff\xfe\n" + text.encode())]


def test_breadth() -> None:
    """Eight hundred kinds of five hundred issuers, and thirty formats verified offline."""
    assert len(RULES) >= 800
    assert len({rule.issuer for rule in RULES}) >= 500
    assert len({rule.check for rule in RULES if rule.check}) >= 30
