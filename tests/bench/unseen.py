"""Secrets of vendors nobody made a rule for, in every notation, and texts that only resemble secrets."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from detectors.secrets import Scanner
from tests import secret_forms
from tests.bench.planted import ratio

SEEDS: Final = range(20)


def measure(scanner: Scanner) -> dict[str, Any]:
    """Recall and exact range over forms, tokens and chosen passwords apart; flag rate over what is harmless."""
    result: dict[str, Any] = {}
    planted, found = 0, 0
    for name, make in (("tokens", secret_forms.tokens), ("passwords", secret_forms.passwords)):
        count, masked, exact, upper = 0, 0, 0, 0
        for seed in SEEDS:
            for _, text, start, end in make(seed):
                hits = [hit for hit in scanner.find(text) if hit.start < end and start < hit.end]
                count += 1
                masked += bool(hits) and min(h.start for h in hits) <= start and end <= max(h.end for h in hits)
                exact += any((hit.start, hit.end) == (start, end) for hit in hits)
                upper += any(hit.tier != "possible" for hit in hits)
        result[name] = {
            "planted": count,
            "recall": ratio(masked, count),
            "exact": ratio(exact, masked),
            "recall_upper": ratio(upper, count),
        }
        planted, found = planted + count, found + masked
    texts: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    above = 0
    for seed in SEEDS:
        for kind, text in secret_forms.harmless(seed):
            hits = scanner.find(text)
            texts[kind] += 1
            flagged[kind] += bool(hits)
            above += any(hit.tier != "possible" for hit in hits)
    return {
        **result,
        "recall": ratio(found, planted),
        "harmless": texts.total(),
        "flag_rate": ratio(flagged.total(), texts.total()),
        "flag_rate_upper": ratio(above, texts.total()),
        "flagged": {kind: ratio(flagged[kind], count) for kind, count in texts.items()},
    }
