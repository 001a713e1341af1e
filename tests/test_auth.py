"""Bearer tokens: who a request comes from, and when the gateway may listen at all."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

import pytest

from pipeline import auth
from pipeline.auth import Identity, Tokens, check_bind, hash_of, new_token
from pipeline.errors import SettingsError


class Clock:
    """Time in the hands of a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_a_new_token_is_known_once_its_entry_stands_in_the_file(file: Path) -> None:
    """Two emitters, one with its own rate; each token proves exactly its own entry."""
    one, two = new_token("acme", "ci"), new_token("globex", "laptop-7", 12.5)
    file.write_text(one.entry + "\n" + two.entry)
    tokens = Tokens(file, limit=3)
    assert tokens.identify(f"Bearer {one.token}") == Identity("acme", "ci", 3)
    assert tokens.identify(f"bearer  {two.token} ") == Identity("globex", "laptop-7", 12.5)
    assert one.token not in file.read_text()
    assert len(one.token) >= 43


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer {}" + " x" * 400, "Bearer \udcff"]
)
def test_anything_else_is_nobody(file: Path, header: str | None) -> None:
    """No header, another scheme, a longer token, bytes that are no text."""
    made = new_token("acme", "ci")
    file.write_text(made.entry)
    assert Tokens(file).identify(header and header.replace("{}", made.token)) is None


def test_every_hash_is_compared_in_constant_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the first one fits: the place in the file cannot be measured."""
    made = [new_token("acme", f"e{i}") for i in range(5)]
    file.write_text("\n".join(m.entry for m in made))
    tokens = Tokens(file)
    compared: list[bytes] = []

    def spy(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(auth, "hmac", type("Spy", (), {"compare_digest": staticmethod(spy)}))
    assert tokens.identify(f"Bearer {made[0].token}") is not None
    assert len(compared) == 5


def test_a_changed_file_counts_without_a_restart(file: Path) -> None:
    """A revoked token stops working, a new one starts; looked at no more than once a second."""
    old, new, clock = new_token("acme", "ci"), new_token("acme", "ci"), Clock()
    file.write_text(old.entry)
    tokens = Tokens(file, clock=clock)
    file.write_text(new.entry)
    os.utime(file, ns=(1, 1))
    assert tokens.identify(f"Bearer {old.token}") is not None
    clock.now += 2
    assert tokens.identify(f"Bearer {old.token}") is None
    assert tokens.identify(f"Bearer {new.token}") is not None


def test_a_broken_change_keeps_what_was_good(file: Path) -> None:
    """Neither a half-written nor a removed file locks everybody out."""
    made, clock = new_token("acme", "ci"), Clock()
    file.write_text(made.entry)
    tokens = Tokens(file, clock=clock)
    file.write_text(made.entry + "[[tokens]]\nsha256 = ")
    clock.now += 2
    assert tokens.identify(f"Bearer {made.token}") is not None
    file.unlink()
    clock.now += 2
    assert tokens.identify(f"Bearer {made.token}") is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("not toml", "not TOML"),
        ("", "tokens"),
        ("[[tokens]]\ntenant = 'a'\nemitter = 'b'", "sha256"),
        ("[[tokens]]\nsha256 = 'abc'\ntenant = 'a'\nemitter = 'b'", "regex"),
        (f"[[tokens]]\nsha256 = '{hash_of('x')}'\ntenant = 'a b'\nemitter = 'b'", "regex"),
        (f"[[tokens]]\nsha256 = '{hash_of('x')}'\ntenant = 'a'\nemitter = 'b'\nrate = 3", "unknown field"),
        (f"[[tokens]]\nsha256 = '{hash_of('x')}'\ntenant = 'a'\nemitter = 'b'\n" * 2, "twice"),
    ],
)
def test_a_bad_file_is_refused_at_the_start(file: Path, content: str, reason: str) -> None:
    """With the file's name and what is wrong with it."""
    file.write_text(content)
    with pytest.raises(SettingsError, match=reason) as caught:
        Tokens(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_refused_at_the_start(file: Path) -> None:
    """Not taken for "no tokens": that would open the gateway."""
    with pytest.raises(SettingsError, match="No such file"):
        Tokens(file)


def test_names_that_are_no_plain_words_are_refused() -> None:
    """A tenant stands in keys and ids."""
    for tenant, emitter in (("a/b", "ci"), ("", "ci"), ("acme", 'c"i'), ("acme", "x" * 65)):
        with pytest.raises(SettingsError, match=r"^(tenant|emitter): 1 to 64 letters") as caught:
            new_token(tenant, emitter)
        assert "regex" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_without_tokens_loopback_is_allowed(host: str) -> None:
    """Nobody else can reach it."""
    check_bind(host, Tokens(None))
    assert Tokens(None).identify(None) == Identity("default", "", 0.0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "gateway.example"])
def test_without_tokens_nothing_else_is(host: str, file: Path) -> None:
    """With tokens it is."""
    with pytest.raises(SettingsError, match="tokens_file"):
        check_bind(host, Tokens(None))
    file.write_text(new_token("acme", "ci").entry)
    check_bind(host, Tokens(file))
