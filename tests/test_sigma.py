"""The rule language: modifiers, lists of conditions, and what is refused; each with what meets it and what does not."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import rule
from detectors.behaviour import Matcher
from detectors.errors import RuleErrors
from detectors.sigma_literals import required
from tests.make import span
from tests.test_rules import matches, read, sigma

WORD = "rm -rf /srv"


def encoded(text: str, before: str = "") -> str:
    return b64encode((before + text).encode()).decode()


MEANS: list[tuple[str, dict[str, Any], bool]] = [
    ("s: {egress.peer|cidr: 10.0.0.0/8}\ncondition: s", {"egress.peer": "10.2.3.4"}, True),
    ("s: {egress.peer|cidr: 10.0.0.0/8}\ncondition: s", {"egress.peer": "11.2.3.4"}, False),
    ("s: {egress.peer|cidr: 10.0.0.0/8}\ncondition: s", {"egress.peer": "ten.example"}, False),
    ("s: {egress.hosts|cidr: ['fe80::/10', 10.0.0.0/8]}\ncondition: s", {"egress.hosts": "a.example,fe80::1"}, True),
    ("s: {user|fieldref: reviewer}\ncondition: s", {"user": "Dev-1", "reviewer": "dev-1"}, True),
    ("s: {user|fieldref: reviewer}\ncondition: s", {"user": "dev-1", "reviewer": "dev-2"}, False),
    ("s: {user|fieldref: reviewer}\ncondition: s", {"user": "dev-1"}, False),
    ("s: {path|fieldref|startswith: workdir}\ncondition: s", {"path": "/srv/a", "workdir": "/srv"}, True),
    ("s: {path|fieldref|startswith: workdir}\ncondition: s", {"path": "/etc/a", "workdir": "/srv"}, False),
    ("s: {path|fieldref|endswith: file}\ncondition: s", {"path": "/etc/a", "file": "/a"}, True),
    ("s: {path|fieldref: agent.type}\ncondition: s", {"path": "test-agent"}, True),
    (f"s: {{arguments|base64: '{WORD}'}}\ncondition: s", {"arguments": encoded(WORD)}, True),
    (f"s: {{arguments|base64: '{WORD}'}}\ncondition: s", {"arguments": WORD}, False),
    (f"s: {{arguments|base64offset|contains: '{WORD}'}}\ncondition: s", {"arguments": encoded(WORD, "xy")}, True),
    (f"s: {{arguments|base64offset|contains: '{WORD}'}}\ncondition: s", {"arguments": encoded("ls", "xy")}, False),
    (
        f"s: {{arguments|wide|base64offset|contains: '{WORD}'}}\ncondition: s",
        {"arguments": b64encode(f"a{WORD}".encode("utf-16-le")).decode()},
        True,
    ),
    ("s: {command.line|windash|contains: ' -enc '}\ncondition: s", {"command.line": "powershell /enc abc"}, True),
    ("s: {command.line|windash|contains: ' -enc '}\ncondition: s", {"command.line": "powershell enc abc"}, False),
    ("a: {url|contains: a}\nb: {path|contains: b}\ncondition: 1 of them", {"path": "b"}, True),
    ("a: {url|contains: a}\nb: {path|contains: b}\ncondition: all of them", {"path": "b"}, False),
    ("s_1: {url|contains: a}\ns_2: {path|contains: b}\ncondition: all of s_*", {"path": "b", "url": "a"}, True),
    ("a: {url|contains: a}\nb: {path|contains: b}\ncondition: [a, b]", {"path": "b"}, True),
    ("a: {url|contains: a}\nb: {path|contains: b}\ncondition: [a, b]", {"path": "a"}, False),
    ("s: {tool.name|exists: true}\nn: {path|exists: false}\ncondition: s and n", {"tool.name": "x"}, True),
    ("s: {tool.name|exists: true}\nn: {path|exists: false}\ncondition: s and n", {"tool.name": "x", "path": ""}, False),
    ("s: {tool.name: x}\nn: {path|contains|neq: tmp}\ncondition: s and n", {"tool.name": "x", "path": "/tmp"}, False),
    ("s: {tool.name: x}\nn: {path|contains|neq: [a, b]}\ncondition: s and n", {"tool.name": "x", "path": "c"}, True),
    ("s: {tool.name: [Bash, Shell, Zsh]}\ncondition: s", {"tool.name": "shell"}, True),
    ("s: {tool.name: [Bash, Shell, Zsh]}\ncondition: s", {"tool.name": "fish"}, False),
    ("s: {tool.name: [kilo, shell]}\ncondition: s", {"tool.name": "\u212ailo"}, True),
    ("s: {url|contains: ['a*b', '\\*']}\ncondition: s", {"url": "xa-by"}, True),
    ("s: {url|contains: '\\*'}\ncondition: s", {"url": "x*y"}, True),
    ("s: {command.line|re: '\\Arm\\b'}\ncondition: s", {"command.line": "rm x"}, True),
    ("s: {command.line|re: '\\Arm\\b'}\ncondition: s", {"command.line": "ls\nrm x"}, False),
    ("s: {command.line|re: 'x\\z'}\ncondition: s", {"command.line": "rm x"}, True),
    ("s: {span.status: error}\ncondition: s", {"tool.name": "x"}, False),
    ("s: {span.status: [ok, UNSET]}\ncondition: s", {"tool.name": "x"}, True),
    ("s: {agent.type|startswith: test}\ncondition: s", {}, True),
    ("s: {agent.type: Test-Agent}\ncondition: s", {}, True),
]


@pytest.mark.parametrize(("detection", "fields", "holds"), MEANS)
def test_a_condition_means_what_sigma_says(tmp_path: Path, detection: str, fields: dict[str, Any], holds: bool) -> None:
    assert matches(tmp_path, detection, **fields) is holds


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ("s: {url|expand: '%hosts%'}\ncondition: s", "placeholders"),
        ("s: {feed.time|hour: 5}\ncondition: s", "time parts"),
        ("s: {feed.time|hour|gte: 20}\ncondition: s", "time parts"),
        ("s: [word]\ncondition: s", "without a field"),
    ],
)
def test_what_we_cannot_mean_is_refused_with_a_reason(tmp_path: Path, detection: str, reason: str) -> None:
    with pytest.raises(RuleErrors, match=reason):
        read(tmp_path, sigma(detection))


ODD = st.text(alphabet="abK\u212a éÄ\n", max_size=6)
FORMS = [
    "s: {url: [ab, b]}\ncondition: s",
    "s: {url|startswith: k}\ncondition: s",
    "s: {url|endswith: É}\ncondition: s",
    "s: {url|contains: [k, éb]}\ncondition: s",
    "s: {url|contains|cased: K}\ncondition: s",
    "s: {url: \u212a}\ncondition: s",
]


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> rule.RuleSet:
    return read(tmp_path_factory.mktemp("forms"), *[sigma(one, f"form.{i}") for i, one in enumerate(FORMS)])


@settings(max_examples=150, deadline=None)
@given(values=st.lists(ODD, min_size=1, max_size=4))
def test_a_text_tested_alone_and_in_a_batch_is_the_same(forms: rule.RuleSet, values: list[str]) -> None:
    spans = [span(i, fields={"url": one}) for i, one in enumerate(values)]
    matcher = Matcher(forms.behaviour)
    found = matcher.prepare(spans)
    for i, one in enumerate(spans):
        assert {m.rule.id for m in found.get(i, ())} == {r.id for r in forms.behaviour if r.condition.test(one)}


WORDS = [
    (r"\bterraform\s+destroy\b", {"terraform", "destroy"}),
    (r"(?:foo|bar)baz", {"baz"}),
    (r"(alpha|beta)+", {"alpha", "beta"}),
    (r"x?(?:abc)*d{2,}", set()),
    (r"rm\s+-rf", {"-rf"}),
    (r"(?i)Secret.*value", {"Secret", "value"}),
    (r"a\Qb.c\E", set()),
    (r"[[:alpha:]]word", set()),
]


@pytest.mark.parametrize(("pattern", "words"), WORDS)
def test_an_expression_is_looked_for_by_words_it_cannot_match_without(pattern: str, words: set[str]) -> None:
    found = required(pattern)
    assert words <= {word for some in found for word in some}
    assert bool(found) is bool(words)


PIECES = st.sampled_from(
    ["abc", "de", "[ab]", "(?:xyz|uvw)", "(abc)?", r"\s+", "b{1,3}", ".", "(?:ab|cd)*", r"\b", "K"]
)
TEXTS = st.lists(st.sampled_from(["abc", "de", "a", "b", "xyz", "uvw", " ", "ab", "cd", "K", "k"]), max_size=8)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5), text=TEXTS)
def test_a_match_holds_a_word_of_every_set(pieces: list[str], text: list[str]) -> None:
    pattern, said = "".join(pieces), "".join(text)
    if re2.search(pattern, said):
        assert all(any(word in said for word in some) for some in required(pattern))
