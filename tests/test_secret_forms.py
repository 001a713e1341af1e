"""Secrets of unknown issuers are found in every notation at their exact range; what resembles them is left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

import detectors
from detectors.secret_rules import read_secrets
from detectors.secrets import Scanner
from tests import secret_forms

SEED = 20


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    folder = Path(detectors.__file__).parent / "rules" / "secrets"
    return Scanner(read_secrets(sorted(folder.glob("*.yml"))), b"key of the test")


def missed(scanner: Scanner, cases: Iterable[tuple[str, str, int, int]]) -> tuple[dict[str, float], float, float]:
    """Share missed by form, where any was; recall; share of exact ranges among what was found."""
    all_, found, exact = defaultdict(int), defaultdict(int), 0
    for form, text, start, end in cases:
        all_[form] += 1
        hits = scanner.find(text)
        found[form] += any(h.start < end and start < h.end for h in hits)
        exact += any((h.start, h.end) == (start, end) for h in hits)
    by_form = {form: 1 - found[form] / all_[form] for form in all_ if found[form] < all_[form]}
    total = sum(found.values())
    return by_form, total / sum(all_.values()), exact / total


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_every_notation_gives_up_its_secret(scanner: Scanner, kind: str) -> None:
    """At least 97 of 100 are found, 98 of 100 of those exactly, and no notation is lost altogether."""
    by_form, recall, exact = missed(scanner, getattr(secret_forms, kind)(SEED))
    assert recall >= 0.97, by_form
    assert exact >= 0.98
    assert max(by_form.values(), default=0.0) < 0.5, by_form


def test_what_resembles_secrets_is_left_alone(scanner: Scanner) -> None:
    """In no class more than 3 of 100 are flagged."""
    all_, flagged = defaultdict(int), defaultdict(list)
    for kind, text in secret_forms.harmless(SEED):
        all_[kind] += 1
        if hits := scanner.find(text):
            flagged[kind].append((hits[0].rule.id, text[:40]))
    assert {kind: texts for kind, texts in flagged.items() if len(texts) > 0.03 * all_[kind]} == {}
