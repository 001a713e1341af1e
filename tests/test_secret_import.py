"""Another scanner's rules become ours: they find what they found, and what is lost is named."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from detectors.errors import RuleError
from detectors.secret_import import Unsupported, convert, translate
from detectors.secret_proof import faults
from detectors.secret_rules import read_secrets
from detectors.secrets import Scanner

HEX = sha256(b"an example").hexdigest()[:32]
GITLEAKS = r"""
title = "a team's own"
[extend]
useDefault = true
[[rules]]
id = "Acme Key"
description = "Acme key"
regex = '''(?i)[\w.-]{0,50}?(?:acme)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:)[\x60'"\s]{0,5}([a-f0-9]{32})(?:['"\s;]|$)'''
entropy = 3
keywords = ["acme"]
[[rules.allowlists]]
stopwords = ["dummy"]
[[rules]]
id = "acme-path"
path = '''\.acme$'''
[[rules]]
id = "acme-look"
regex = '''(?<!x)acme_([a-z]{10})'''
[[rules]]
id = "acme-two"
regex = '''(acme|Acme)_(?i)v([[:alnum:]]{20})\b'''
secretGroup = 2
"""
KINGFISHER = r"""
rules:
  - name: Acme key
    id: kingfisher.acme.1
    pattern: |
      (?xi)
      \b acme (?:.|[\n\r]){0,16}? key   # the name, then
      (?:.|[\n\r]){0,8}?
      (?P<TOKEN> [a-f0-9]{32} )
      \b
    min_entropy: 2.5
    confidence: medium
    examples: ['acme_key = HEX']
    validation: {type: Http}
  - name: backwards
    id: kingfisher.acme.2
    pattern: '(a)\1'
"""


@pytest.fixture(params=["gitleaks", "kingfisher"])
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[tuple[str, str, bool]]]:
    source = tmp_path / "source"
    source.write_text(GITLEAKS if request.param == "gitleaks" else KINGFISHER.replace("HEX", HEX))
    made = convert(request.param, source)
    out = tmp_path / "ours.yml"
    out.write_text(made.text)
    return out, [tuple(one) for one in made.left]


def test_imported_rules_hold_their_examples_and_find_the_secret(
    imported: tuple[Path, list[tuple[str, str, bool]]],
) -> None:
    """The file reads as ours, every example holds, and the secret alone is found in an assignment."""
    rules = read_secrets([imported[0]])
    scanner = Scanner(rules, b"k")
    assert list(faults(rules, scanner)) == []
    text = "x\nACME_key: '" + HEX + "'\n"
    [hit] = scanner.find(text)
    assert re.fullmatch("[0-9a-f]{32}", text[hit.start : hit.end])


def test_what_is_lost_is_named(imported: tuple[Path, list[tuple[str, str, bool]]]) -> None:
    """Rules left out, and parts of rules without a counterpart, each with its rule."""
    ids = {rule.id for rule in read_secrets([imported[0]])}
    left = {name: whole for name, _, whole in imported[1]}
    if "imported.gitleaks.acme-key" in ids:
        assert ids == {"imported.gitleaks.acme-key", "imported.gitleaks.acme-two"}
        assert left == {"*": False, "Acme Key": False, "acme-path": True, "acme-look": True}
    else:
        assert ids == {"imported.kingfisher.acme.1"}
        assert left == {"kingfisher.acme.1": False, "kingfisher.acme.2": True}


@pytest.mark.parametrize(
    ("pattern", "group", "want"),
    [
        ("abc", 0, "(abc)"),
        ("a(b)(c)", 0, "a(b)(?:c)"),
        ("a(b)(c)", 2, "a(?:b)(c)"),
        ("a(?P<x>b)(?<token>c)", 0, "a(?:b)(c)"),
        ("x(?i)a|b", 0, "(x(?i:a)|(?i:b))"),
        ("(x(?i)a|b)c", 0, "(x(?i:a)|(?i:b))c"),
        (r"(?x) a \  b # words", 0, r"(a\ b)"),
        (r"([[:alpha:]_]+)\z", 0, r"([A-Za-z_]+)\Z"),
        (r"(\x{7e}[)(])", 0, r"(\x7e[)(])"),
        ("(?i-s:(a))", 0, "(?i-s:(a))"),
    ],
)
def test_translate(pattern: str, group: int, want: str) -> None:
    """One capture group, the secret; flags hold as long as they did; nothing of another grammar is left."""
    assert translate(pattern, group) == want


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<=a)b", "(?>a)", r"\pL", "a)b", "(?U)a+", "[[:moon:]]", "(a", "ä"])
def test_refused_patterns(pattern: str) -> None:
    """What has no counterpart is refused in words."""
    with pytest.raises(Unsupported):
        translate(pattern)


@pytest.mark.parametrize(
    ("tool", "text"), [("gitleaks", "x = ["), ("gitleaks", "a = 1"), ("kingfisher", "rules: 3"), ("kingfisher", "[")]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, tool: str, text: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(RuleError):
        convert(tool, tmp_path / "f")  # type: ignore[arg-type]  # the two words
