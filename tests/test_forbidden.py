"""Which sentences of a prompt forbid something, and what they forbid."""

from __future__ import annotations

import pytest

from detectors.forbidden import bans


@pytest.mark.parametrize(
    ("sentence", "verb", "effect", "names"),
    [
        ("Never push to main.", "push", "git push", ("main",)),
        ("Please don\N{RIGHT SINGLE QUOTATION MARK}t ever drop tables!", "drop", "sql:drop", ()),
        ("You must not delete or truncate any rows.", "delete", "sql:delete", ()),
        ("- Do not delete files in migrations/.", "delete", "delete", ("migrations/",)),
        ("never deploy to production without my approval", "deploy", "kubectl apply", ("production",)),
        ("Never delete anything unless the user asked for it", "delete", "delete", ()),
        ("Avoid installing new packages", "install", "install", ()),
    ],
)
def test_a_sentence_that_forbids(sentence: str, verb: str, effect: str, names: tuple[str, ...]) -> None:
    found = bans(sentence)[0]
    assert (found.verb, found.names) == (verb, names)
    assert effect in found.effects


@pytest.mark.parametrize(
    "sentence",
    [
        "can't you just change the last commit?",
        "Do not commit if tests fail.",
        "Avoid committing secrets.",
        "Do not remove the user's booking.",
        "Do not write comments.",
        "Push to main when you are done.",
        "You should not need to push anything",
    ],
)
def test_a_sentence_that_forbids_nothing_we_could_see(sentence: str) -> None:
    """Questions, conditions, and bans on things no effect is known for."""
    assert not bans(sentence)
