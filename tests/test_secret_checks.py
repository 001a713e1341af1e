"""Every verifiable format: its own tokens are valid, a damaged twin is not, random look-alikes hardly ever are."""

from __future__ import annotations

import base64
import json
import random
import string
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.secret_azure import marvin32
from detectors.secret_checks import CHECKS, MAX_LENGTH, verdict
from detectors.secret_facts import facts
from detectors.secret_rules import read_secrets
from detectors.secret_structures import aws_account
from detectors.secrets import Scanner, match
from tests.secret_mint import MINTS, Mint, part
from tests.secret_mint_keys import crc16
from tests.secret_parts import HEX, some

REFUTES = {"aws_key_id", "card"}  # what passes them is not proved


@pytest.mark.parametrize("name", MINTS)
def test_minted_tokens_are_valid(name: str) -> None:
    """A token made from the format's definition passes."""
    mint, rng = MINTS[name], random.Random(name)
    assert [verdict(mint.check, mint.make(rng).encode()) for _ in range(20)] == ["valid"] * 20


@pytest.mark.parametrize("name", MINTS)
def test_damaged_twins_are_not(name: str) -> None:
    """One letter off where there is a checksum, a random body where there is structure: refused."""
    mint, rng = MINTS[name], random.Random(name)
    for _ in range(20):
        token = mint.damage(mint.make(rng), rng)
        assert verdict(mint.check, token.encode()) == ("invalid" if CHECKS[mint.check].refutes else "unchecked"), name


@pytest.mark.parametrize("name", sorted(MINTS.keys() - {"phrase-12", "phrase-24"}))
def test_look_alikes_hardly_ever_pass(name: str) -> None:
    """Letters and digits thrown again, everything else kept: fewer than four in a thousand are valid."""
    mint, rng = MINTS[name], random.Random(name)
    token = mint.make(rng)
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    kept = 12 if len(token) > 24 else 2

    def thrown() -> str:
        return token[:kept] + "".join(rng.choice(next((c for c in classes if one in c), one)) for one in token[kept:])

    assert sum(verdict(mint.check, thrown().encode()) == "valid" for _ in range(500)) <= 2


SAID = {  # where a rule needs more than the token
    "basic": "Authorization: Basic {}",
    "devops": "AZURE_DEVOPS_PAT={}",
    "nats-key": "NATS_PRIVATE_KEY={}",
    "phrase-12": 'mnemonic = "{}"',
    "phrase-24": 'recovery phrase: "{}"',
    "tunnel": "cloudflared tunnel run --token {}",
    "canva": "CANVA_CLIENT_SECRET={}",
    "bitcoin": "wallet key: {}",
    "bitcoin-compressed": "wallet key: {}",
    "ripple": "XRP_SEED={}",
}
NO_RULE = {"macaroon"}  # nothing but an issuer's mark tells it from other base64


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(read_secrets(sorted((Path(detectors.__file__).parent / "rules" / "secrets").glob("*.yml"))), b"k")


@pytest.mark.parametrize("name", sorted(MINTS.keys() - NO_RULE))
def test_minted_tokens_are_found_verified(scanner: Scanner, name: str) -> None:
    """In a line of text, the whole scanner finds the token where it stands and calls it verified."""
    before, after = SAID.get(name, 'x = "{}"').split("{}")
    rng = random.Random(name)
    for _ in range(3):
        token = json.dumps(MINTS[name].make(rng))[1:-1]
        hits = scanner.find(before + token + after)
        assert [(hit.start, hit.end, hit.tier) for hit in hits] == [(len(before), len(before) + len(token), "verified")]


def test_every_check_is_minted() -> None:
    """No check without a token that passes it, but for those that only refute; and the formats are many."""
    assert {mint.check for mint in MINTS.values()} == CHECKS.keys() - REFUTES
    assert len(CHECKS) >= 50


def test_every_check_says_what_it_reads() -> None:
    """One line each on what is verified and who describes the format."""
    for name, check in CHECKS.items():
        assert name == name.lower()
        assert check.about
        assert check.source
        assert "\n" not in check.about + check.source


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", ["pem", "openssh", "openpgp", "putty-2", "putty-3"])
def test_keys_under_escapes(name: str, depth: int) -> None:
    """A key file in JSON in JSON proves the same."""
    text = MINTS[name].make(random.Random(depth))
    for _ in range(depth):
        text = json.dumps(text)[1:-1]
    assert verdict(MINTS[name].check, text.encode()) == "valid"


def test_keys_in_other_notations() -> None:
    """URL escapes, HTML escapes, Windows line ends and strings of code joined with a plus."""
    key = MINTS["pem"].make(random.Random(1))
    for changed in (
        key.replace("\n", "\r\n"),
        key.replace("\n", " "),
        key.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D").replace("\n", "%0A"),
        key.replace("\n", "&#10;"),
        key.replace("\n", "\\u000a"),
        key.replace("\n", '\\n" +\n  "'),
    ):
        assert verdict("pem", changed.encode()) == "valid"


def test_what_carries_nothing_is_unchecked() -> None:
    """Forms without a checksum are neither proved nor refuted."""
    for check, text in (
        ("gitlab", "glpat-" + "Ab1" * 7),
        ("github_fine_grained", "github_pat_" + "Ab1" * 5),
        ("vault", "hvs." + "Ab1" * 8),
        ("entra_secret", "abc7Q~" + "Ab1" * 11),
        ("pem", "-----BEGIN PRIVATE KEY-----\nMIIB"),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----"),
        ("basic", base64.b64encode(b"someone:\xff\xfe\xfd").decode()),
        ("aws_session", base64.b64encode(b"something else, longer than it").decode()),
        ("jwk", json.dumps({"kty": "oct", "k": "Ab1"})),
        ("github", "ghp_é"),
        ("", "anything"),
    ):
        assert verdict(check, text.encode()) == "unchecked", (check, text)


def test_marvin_vectors() -> None:
    """Vectors of the .NET runtime's tests: eight lengths, so every way a message can end."""
    seed = 0x004FB61A001BDBCC
    for message, both in (
        ("", 0x30ED35C100CD3C7D),
        ("af", 0x48E73FC77D75DDC1),
        ("e70f", 0xB5F6E1FC485DBFF8),
        ("37f495", 0xF0B07C789B8CF7E8),
        ("8642dc59", 0x7008F2E87E9CF556),
        ("153fb79826", 0xE6C08C6DA2AFA997),
        ("0932e6246c47", 0x6F04BF1A5EA24060),
        ("ab427ea8d10fc7", 0xE11847E4F0678C41),
    ):
        assert marvin32(bytes.fromhex(message), seed) == both >> 32 ^ both & 0xFFFFFFFF


def test_published_vectors() -> None:
    """Checksum vectors of the standards themselves, none of them a secret."""
    assert crc16(b"123456789") == 0x31C3  # CRC-16/XMODEM
    for text in ("A12UEL5L", "a12uel5l", "?1ezyfcl"):  # BIP-173
        assert verdict("age", text.encode()) == "valid"
    for text in ("A1LQFN3A", "a1lqfn3a", "?1v759aa"):  # BIP-350
        assert verdict("age", text.encode()) == "valid"
    for text in ("A1G7SGD8", "10a06t8", "1qzzfhee", "A12uEL5L"):  # BIP-173, invalid
        assert verdict("age", text.encode()) == "invalid"
    phrase = " ".join(["abandon"] * 11)  # BIP-39's first vector, all zeros
    assert verdict("bip39", f"{phrase} about".encode()) == "valid"
    assert verdict("bip39", f"{phrase} abandon".encode()) == "invalid"
    phrase = " ".join(["zoo"] * 23)
    assert verdict("bip39", f"{phrase} vote".encode()) == "valid"


def test_cards() -> None:
    """A number of no issuer, of a wrong length or with a wrong last digit is none; any other is not thereby proved."""
    rng = random.Random(4)
    for start, length in (("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("3528", 16), ("30", 14)):
        body = start.ljust(4, "3") + some(rng, string.digits, length - 5)
        sums = [sum(int(c) for c in str(2 * int(d))) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body))]
        number = body + str(-sum(sums) % 10)
        assert verdict("card", number.encode()) == "unchecked"
        assert verdict("card", f"{number[:4]} {number[4:8]}-{number[8:]}".encode()) == "unchecked"
        assert verdict("card", (number[:-1] + str((int(number[-1]) + 1) % 10)).encode()) == "invalid"
        assert verdict("card", (number + "0").encode()) == "invalid"
    assert verdict("card", b"9" * 16) == "invalid"
    assert verdict("card", b"4" * 16) == "invalid"


def test_account_in_key_id() -> None:
    """The account number is read from ids that hold one; more than twelve digits were never issued."""
    for account in (0, 123456789012, 999999999999):
        bits = (1 << 79) | account << 39 | 12345
        key_id = "AKIA" + base64.b32encode(bits.to_bytes(10, "big")).decode()
        assert aws_account(key_id) == f"{account:012d}"
        assert verdict("aws_key_id", key_id.encode()) == "unchecked"
    key_id = "AKIA" + base64.b32encode(((1 << 79) | 10**12 << 39).to_bytes(10, "big")).decode()
    assert verdict("aws_key_id", key_id.encode()) == "invalid"
    assert aws_account("AKIA" + "A" * 16) is None


def test_secrets_tell_what_may_be_told(scanner: Scanner) -> None:
    """Account, issuer and dates, in words; nothing of the secret itself, and nothing where the check fails."""
    rng = random.Random(8)
    key_id = "AKIA" + base64.b32encode(((1 << 79) | 123456789012 << 39 | 987654321).to_bytes(10, "big")).decode()
    assert facts("aws_key_id", key_id.encode()) == ("account 123456789012",)
    head = part({"alg": "ES256"})
    token = (
        f"{head}.{part({'iss': 'https://login.invalid/x', 'exp': 86400, 'sub': 'me'})}.{some(rng, string.digits, 43)}"
    )
    assert facts("jwt", token.encode()) == ("algorithm ES256", "issuer login.invalid", "expires 1970-01-02 00:00 UTC")
    assert facts("jwt", f"{head}.{part({'exp': 1e300})}.x".encode()) == ()
    assert facts("jwt", f"{head}.{part({'iss': some(rng, string.digits, 200) + ' '})}.x".encode()) == (
        "algorithm ES256",
    )
    assert facts("azure_annotated", MINTS["azure-annotated-base62"].make(rng).encode()) == ("issued 2025-03",)
    assert facts("aws_bedrock", MINTS["aws-bedrock"].make(rng).encode())[0].startswith("account ")
    assert facts("service_account", MINTS["service-account"].make(rng).encode()) == (
        "service account a@b.iam.gserviceaccount.com",
    )
    assert facts("github", MINTS["github"].make(rng).encode()) == ()
    hit = scanner.find(f"x = {token}")[0]
    assert hit.says == facts("jwt", token.encode())
    assert match(hit, "here").says == hit.says
    invented = scanner.find(f"x = M{some(rng, string.ascii_letters, 23)}.{some(rng, HEX, 6)}.{some(rng, HEX, 38)}")[0]
    assert (invented.verdict, invented.says) == ("unchecked", ())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_checks_never_raise(data: bytes) -> None:
    """Whatever the bytes, each check answers with one of three words."""
    for check in CHECKS:
        assert verdict(check, data) in ("valid", "invalid", "unchecked")
        assert isinstance(facts(check, data), tuple)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(MINTS)), st.randoms(use_true_random=False), st.text(max_size=12), st.integers(0, 400))
def test_checks_never_raise_on_near_misses(name: str, rng: random.Random, extra: str, at: int) -> None:
    """A real token with something put into it or cut from it is answered by every check."""
    token = MINTS[name].make(random.Random(rng.random()))
    for text in (token[:at] + extra + token[at:], token[:at], token[at:], token.upper(), token[::-1]):
        for check in CHECKS:
            assert verdict(check, text.encode()) in ("valid", "invalid", "unchecked")
            assert isinstance(facts(check, text.encode()), tuple)


@pytest.mark.parametrize(
    "unit", ["A", "1", "z", "/", "=", "\\n", "eyJ", "a.", "%", "-----BEGIN ", "[", '{"d":', "abandon "]
)
def test_long_texts_are_bounded(unit: str) -> None:
    """At the length cap each check still answers, and beyond it nothing is looked at."""
    text = (unit * MAX_LENGTH)[:MAX_LENGTH].encode()
    for check in CHECKS:
        assert verdict(check, text) in ("valid", "invalid", "unchecked")
        assert verdict(check, text + b"A") == "unchecked"


def test_mints_are_functions_of_their_seed() -> None:
    """Equal seed, equal token: a failure can be looked at again."""
    for name, mint in MINTS.items():
        first, again = (sha256(mint.make(random.Random(name)).encode()).hexdigest() for _ in range(2))
        assert first == again


def test_a_mint_names_a_check() -> None:
    assert all(isinstance(mint, Mint) and mint.check in CHECKS for mint in MINTS.values())
