"""Hostile text costs in proportion to its length: counted in calls and bytes, for every rule and every decoding."""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import detectors
from detectors import secret_confirm
from detectors.secret_decode import FACTOR, SPARE
from detectors.secret_rules import SecretRule, fill, mark, read_secrets
from detectors.secrets import MAX_CANDIDATES, Scanner

RULES = read_secrets(sorted((Path(detectors.__file__).parent / "rules" / "secrets").glob("*.yml")))
SMALL, LARGE = 250_000, 1_000_000
ALL = "SPANWATCH_TEST_ALL_RULES" in os.environ  # minutes: every rule, not one in forty
SLOWEST = 60.0  # seconds for 1 MB; a net, the measure is the work


class Counted(Scanner):
    """Counts what it does: matches of pass one, bytes scanned by it, calls of pass two and the bytes those may read."""

    def __init__(self, rules: Sequence[SecretRule]) -> None:
        super().__init__(rules, b"k")
        self._confirm = [self._counting(rule, secret_confirm.confirm(rule)) for rule in self.rules]
        self.matches = self.scanned = self.calls = self.read = 0

    def _counting(self, rule: SecretRule, inner: secret_confirm.Confirm) -> secret_confirm.Confirm:
        def counted(data: bytes, begin: int, to: int, stop: int) -> Iterator[secret_confirm.Found]:
            self.calls += 1
            self.read += min(stop, to + rule.window) - begin
            return inner(data, begin, to, stop)

        return counted

    def _candidates(self, data: bytes) -> list[int]:
        found = super()._candidates(data)
        self.matches += len(found)
        self.scanned += len(data)
        return found

    def work(self, text: str) -> tuple[int, int, int, int]:
        self.matches = self.scanned = self.calls = self.read = 0
        started = time.perf_counter()
        self.find(text)
        assert time.perf_counter() - started < SLOWEST
        return self.matches, self.scanned, self.calls, self.read


def in_proportion(scanner: Counted, unit: str) -> None:
    """Four times the text is at most about four times the work, and every part of it has a ceiling."""
    small = scanner.work(unit * (SMALL // len(unit)))
    large = scanner.work(unit * (LARGE // len(unit)))
    for before, after, slack in zip(small, large, (64, SPARE, 64, 64 * 1024), strict=True):
        assert after <= 4.4 * before + slack
    _, scanned, calls, read = large
    size = len(unit.encode("utf-8", "surrogatepass")) * (LARGE // len(unit))
    assert scanned <= (FACTOR + 1) * size + SPARE
    assert calls <= max(MAX_CANDIDATES, scanned // 64) + scanned // 64 + 64
    assert read <= (1024 + 2 * max(rule.window for rule in scanner.rules)) * calls


def hostile(rule: SecretRule) -> Iterator[str]:
    """Texts made to keep the rule busy: its beginning over and over, and its secret with the end spoilt."""
    example, place = mark(rule.examples.match[0], 1)
    assert place
    start, end = place
    yield example[: start + 6]
    yield example[: end - 1] + "!" + example[end:]


CHOSEN = [rule for rule in RULES if ALL or zlib.crc32(rule.id.encode()) % 40 == 0 or rule.id == "secret.fly.token"]


@pytest.mark.parametrize("rule", CHOSEN, ids=lambda rule: rule.id)
def test_every_rule(rule: SecretRule) -> None:
    """No rule makes the work grow faster than the text that was made for it."""
    scanner = Counted([rule])
    for unit in hostile(rule):
        in_proportion(scanner, unit)


HOSTILE = {
    "prefix": "ghp_",
    "jwt": "eyJeyJ.eyJaaaaaaaaaaa",
    "jwt-long": "eyJ" * 300 + ".eyJaaaaaaaaaaa",
    "begin": "-----BEGIN PRIVATE KEY-----\n",
    "begin-body": '-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA"',
    "putty": "PuTTY-User-Key-File-2: ",
    "password": 'password="',
    "password-run": "password=",
    "escapes": '\\\\\\\\\\\\\\\\"password\\\\\\\\\\"',
    "url": "postgres://a:bcd",
    "url-at": "a://b:cdefg@",
    "curl": "curl -u a:",
    "dsn": "server=a;password=",
    "bearer": "bearer aaaaaaaaaaaaaaaaaaaa",
    "openai": "sk-T3BlbkFJaaaaaaaaaaaaaaaaaaaaaaaa",
    "cask": "A" * 70 + "JQQJ9",
    "placeholder": "MASKED~a~1~0123456789abcdef~",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_unit(scanner: Counted, name: str) -> None:
    """Beginnings that never end, with all rules."""
    small, large = (scanner.work(HOSTILE[name] * (size // len(HOSTILE[name]))) for size in (SMALL, LARGE))
    for before, after, slack in zip(small, large, (64, SPARE, 64, 64 * 1024), strict=True):
        assert after <= 4.4 * before + slack


def nested(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.dumps({"k": text})
    return text


TOKEN = fill("ghp_<alnum:36>", 1)
TEXT = base64.b64encode(f"password=hunter22 {TOKEN} and more of it".encode()).decode()
SHAPES: dict[str, Callable[[int], str]] = {
    "base64 run": lambda size: (TEXT.rstrip("=") * (size // len(TEXT)))[:size],
    "base64 runs": lambda size: f"{TEXT} " * (size // len(TEXT)),
    "base64 lines": lambda size: "\n".join([TEXT[:64]] * (size // 65)),
    "base64 with slashes": lambda size: f"{TEXT[:20]}/" * (size // 21),
    "base64 spoilt": lambda size: f"{TEXT[:20]}{'x' * 60}/" * (size // 81),
    "random letters": lambda size: ("QmFzZTY0IHJ1bg" * (size // 14))[:size],
    "hex run": lambda size: ("67687020" * (size // 8))[:size],
    "hex list": lambda size: "0x67, " * (size // 6),
    "gzip beginnings": lambda size: "H4sIAAAAAAAAAAAAAAAAAAAA " * (size // 25),
    "backslashes": lambda size: "\\" * size,
    "quotes": lambda size: '"' * size,
    "escaped quotes": lambda size: '\\"' * (size // 2),
    "percent": lambda size: "%" * size,
    "percent codes": lambda size: "%67" * (size // 3),
    "percent of percent": lambda size: "%2525" * (size // 5),
    "unicode codes": lambda size: "\\u0067" * (size // 6),
    "ampersands": lambda size: "&#103" * (size // 5),
    "html": lambda size: "&#103;" * (size // 6),
    "nul": lambda size: "g\0" * (size // 2),
    "only nul": lambda size: "\0" * size,
    "surrogates": lambda size: "\ud800" * (size // 3),
    "parts": lambda size: '"ghp_ab" + ' * (size // 11),
    "parts of a list": lambda size: '["ghp_ab1", ' + '"Cd23", ' * (size // 8),
    "lists": lambda size: '["ghp_ab1", "Cd23"], ' * (size // 21),
    "values in parts": lambda size: 'password="a" + "b" + ' * (size // 21),
    "seams between words": lambda size: 'ab" + "cd ' * (size // 11),
    "joined lists": lambda size: '["ab", "cd"].join("") ' * (size // 22),
    "joined by a call": lambda size: '"".join(["ab", "cd"]) ' * (size // 22),
    "joined for nothing": lambda size: '["ab"' + '].join("")' * (size // 10),
    "appended": lambda size: 'ab";\nx += "cd"\n' * (size // 16),
    "continuations": lambda size: "ghp_ab\\\n" * (size // 8),
    "wrapped": lambda size: f"{'ghp_' * 15}\n" * (size // 61),
    "nested JSON": lambda size: nested(TEXT * (size // 4 // len(TEXT)), 8),
    "deep JSON": lambda size: '{"a":' * (size // 5),
    "tokens": lambda size: f"{TOKEN} " * (size // 41),
    "passwords": lambda size: "password=hunter22 " * (size // 18),
    "begin lines": lambda size: "-----BEGIN PRIVATE KEY-----\n" * (size // 28),
}


@pytest.fixture(scope="module")
def scanner() -> Counted:
    return Counted(RULES)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(scanner: Counted, shape: str) -> None:
    """With all rules and everything on, no shape of text makes the work grow faster than the text."""
    small = scanner.work(SHAPES[shape](SMALL))
    large = scanner.work(SHAPES[shape](LARGE))
    for before, after, slack in zip(small, large, (64, SPARE, 64, 64 * 1024), strict=True):
        assert after <= 4.4 * before + slack
    assert large[1] <= (FACTOR + 1) * LARGE * 3 + SPARE
