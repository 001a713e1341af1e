"""The masker: nothing secret left, nothing else touched, work in proportion to the text."""

from __future__ import annotations

import base64
import json
import random
import string
import threading
import zlib
from collections.abc import Iterator
from hashlib import sha256, sha512
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.secret_rules import SecretRule, fill, mark, read_secrets
from detectors.secrets import MAX_CANDIDATES, PLACEHOLDER, UNSCANNED, Scanner

RULES = read_secrets(sorted((Path(detectors.__file__).parent / "rules" / "secrets").glob("*.yml")))
SCANNER = Scanner(RULES, b"key of the test")
BY_ID = {rule.id: rule for rule in RULES}
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def token(rule_id: str, seed: int = 1) -> str:
    """A secret of that rule alone, made from its first example."""
    text, at = mark(BY_ID[rule_id].examples.match[0], seed)
    assert at
    return text[at[0] : at[1]]


def base62(number: int) -> str:
    out = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        out = BASE62[rest] + out
    return out


# --- quiet


def quiet_texts() -> Iterator[tuple[str, str]]:
    rng = random.Random(7)
    raw = rng.randbytes
    hexes = raw(32).hex()
    yield "uuid", f"request {hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-8{hexes[17:20]}-{hexes[20:32]} took 5 ms"
    yield "git", f"commit {raw(20).hex()}\nparent {raw(20).hex()}\nindex {raw(4).hex()}..{raw(4).hex()} 100644"
    yield "sha256", f"sha256:{sha256(b'a').hexdigest()} digest={sha512(b'b').hexdigest()}"
    yield "sri", f'"integrity": "sha512-{base64.b64encode(raw(64)).decode()}"'
    yield "go.sum", f"example.org/x v1.2.3 h1:{base64.b64encode(raw(32)).decode()}"
    yield "image", f"data:image/png;base64,{base64.b64encode(raw(30_000)).decode()}"
    yield "trace", f'"trace_id": "{raw(16).hex()}", "span_id": "{raw(8).hex()}", "tool_call_id": "call_{raw(12).hex()}"'
    yield "counts", '{"max_tokens": 4096, "token_count": 12, "total_tokens": 123456, "tokens": {"input": 5}}'
    yield "cursor", f'{{"next_page_token": "{base64.b64encode(raw(40)).decode()}", "csrf_token": "{raw(20).hex()}"}}'
    yield "names", 'secretKeyRef: {name: db, key: password}\nenv: API_KEY_NAME\ntoken = os.environ["GITHUB_TOKEN"]'
    yield (
        "holes",
        "password=${DB_PASSWORD} token: ${{ secrets.X }} api_key=<your-api-key> secret: {{ vault }} pwd=%PWD%",
    )
    yield (
        "shell",
        "A: ${DB_PASSWORD:?set it in .env}\nB: ${DB_PASSWORD:+yes}\nparser.add_argument('--password', default=x)",
    )
    yield "constant", 'client_secret="HMAC_SECRET"\nsecret_key = s3_connection\npassword = getpass.getpass("IMAP")'
    yield "fillers", 'password: xxxxxxxx, api_key: "your-api-key-here", token=********, secret: "[REDACTED]"'
    yield "code", "def login(user: str, password: str = None, token: Optional[Token] = None): return auth.get_token()"
    yield "form", '"password": "Enter your password", <label for="password">Password:</label> <input type="password">'
    yield "prompt", "sudo password for root:\nPassword:\nls -la\n"
    yield "example", fill("AKIA<base32:9>EXAMPLE and <base64:30>EXAMPLEKEY", 1)
    yield "public", "ssh-ed25519 " + base64.b64encode(raw(51)).decode() + " me@host\n-----BEGIN CERTIFICATE-----\nMIIB"
    yield "urls", "see http://localhost:8080/a@b, https://user@host/x, git@github.com:o/r.git, postgres://u:${P}@h/d"


@pytest.mark.parametrize(("name", "text"), [pytest.param(*pair, id=pair[0]) for pair in quiet_texts()])
def test_quiet(name: str, text: str) -> None:
    """What only resembles a secret is left as it is, plain and inside JSON."""
    for form in (text, json.dumps({"result": text}), json.dumps(json.dumps({"result": text}))):
        assert [(h.rule.id, form[h.start : h.end][:8]) for h in SCANNER.find(form)] == []


# --- masking


SECRETS = st.builds(
    lambda rule, number, seed: (rule, mark(rule.examples.match[number % len(rule.examples.match)], seed)),
    st.sampled_from(RULES),
    st.integers(0, 10),
    st.integers(0, 10_000),
)


@settings(max_examples=300, deadline=None)
@given(SECRETS, st.text(max_size=60), st.text(max_size=60), st.integers(0, 3))
def test_mask_never_leaves_the_secret(
    made: tuple[SecretRule, tuple[str, tuple[int, int]]], a: str, b: str, depth: int
) -> None:
    """Whatever stands before and after it and however deep it is nested, the secret is gone and JSON still parses."""
    _, (example, (start, end)) = made
    secret, text = example[start:end], f"{a}\n{example}\n{b}"
    for _ in range(depth):
        secret, text = json.dumps(secret)[1:-1], json.dumps({"k": text})
    masked, found = SCANNER.mask(text, "k")
    assert secret not in masked
    assert found
    for _ in range(depth):
        masked = json.loads(masked)["k"]


@pytest.mark.parametrize("width", [60, 64, 70, 72, 76])
def test_a_password_below_a_line_as_long_as_one_of_base64_is_masked(width: int) -> None:
    """Such a line says that a bare token below it may be a piece of base64, not that named passwords are."""
    password = "".join(random.Random(width).choices(string.ascii_letters + string.digits, k=20))
    masked, found = SCANNER.mask(f"{'a1' * (width // 2)}\nmachine git.acme.test login bot password {password}", "x")
    assert password not in masked
    assert [one.rule_id for one in found] == ["secret.config.netrc"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=40), SECRETS.map(lambda made: made[1][0])), max_size=8))
def test_masking_twice_is_masking_once(parts: list[str]) -> None:
    """Masked text holds nothing more to find, and every placeholder survives as it is."""
    once, _ = SCANNER.mask("\n".join(parts), "x")
    twice, found = SCANNER.mask(once, "x")
    assert (twice, found) == (once, ())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=30), SECRETS.map(lambda made: made[1][0])), max_size=12))
def test_many_texts_give_what_each_gives_alone(texts: list[str]) -> None:
    """Joined into one buffer or alone, separators and foreign characters inside or not: the same hits."""
    alone = {i: hits for i, text in enumerate(texts) if (hits := SCANNER.find(text))}
    assert SCANNER.mask_many(texts) == alone


def test_texts_holding_the_separator_and_foreign_characters() -> None:
    """Offsets are characters of the text itself."""
    secret = token("secret.github.pat")
    texts = ["\0\0a", f"é\0名 {secret} ü {secret}", "", "\ud800 " + secret, secret]
    found = SCANNER.mask_many(texts)
    assert {i: [texts[i][h.start : h.end] for h in hits] for i, hits in found.items()} == {
        1: [secret, secret],
        3: [secret],
        4: [secret],
    }


def test_a_secret_does_not_reach_over_two_texts() -> None:
    """Halves in neighbouring texts are no secret."""
    secret = token("secret.github.pat")
    assert SCANNER.mask_many([secret[:20], secret[20:]]) == {}


@pytest.mark.parametrize(
    "before", ["\\n", "\\\\n", "\\t", "\\u000a", "%0A", "\x1b[0m", "\\u001b[1;32m", "\\x1b[0m", "=", "/"]
)
def test_left_boundary_knows_escapes(before: str) -> None:
    """The letter before the token belongs to an escape, not to the token."""
    secret = token("secret.github.pat")
    text = f"done{before}{secret} next"
    assert [text[h.start : h.end] for h in SCANNER.find(text)] == [secret]


def test_key_with_end_cut_off_is_masked_to_the_end() -> None:
    """A truncated key hides everything behind its BEGIN line; inside JSON, up to the end of that string."""
    body = "-----BEGIN RSA PRIVATE KEY-----\n" + fill("<base64:64>\n<base64:64>\n<base64:10>", 3)
    masked, found = SCANNER.mask("before " + body, "x")
    assert PLACEHOLDER.fullmatch(masked.removeprefix("before ").encode())
    assert len(found) == 1
    masked = SCANNER.mask(json.dumps({"a": body, "b": "seen"}), "x")[0]
    assert json.loads(masked)["b"] == "seen"
    assert body[40:60] not in masked


def test_key_written_as_several_string_literals() -> None:
    """Lines in quotes of their own, as source code has them, are one key."""
    lines = fill("<base64:64>\n<base64:64>\n<base64:20>", 4).split("\n")
    source = "\n".join(
        f'    "{line}\\n"' for line in ["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----"]
    )
    masked, found = SCANNER.mask(source, "x")
    assert [m.rule_id for m in found] == ["secret.private_key.pem"]
    assert not any(line in masked for line in lines)


def test_fingerprint_is_the_same_at_every_depth() -> None:
    """One key, raw, in JSON and in JSON inside JSON, is one fingerprint; another deployment's key gives another."""
    key = "-----BEGIN PRIVATE KEY-----\n" + fill("<base64:64>\n<base64:64>\n", 5) + "-----END PRIVATE KEY-----"
    texts = [key, json.dumps(key), json.dumps(json.dumps(key))]
    prints = {SCANNER.find(text)[0].fingerprint for text in texts}
    assert prints == {SCANNER.fingerprint(key)}
    assert Scanner(RULES, b"another key").fingerprint(key) not in prints


def test_vendor_rule_wins_over_key_name() -> None:
    """`password=ghp_...` is a GitHub token, and what else the value held is masked too."""
    secret = token("secret.github.pat")
    text = f'password="prefix~{secret}"'
    assert [(h.rule.id, text[h.start : h.end]) for h in SCANNER.find(text)] == [
        ("secret.generic.password", "prefix~"),
        ("secret.github.pat", secret),
    ]


def test_threads_share_a_scanner() -> None:
    """Each thread scans with a scratch of its own."""
    secret = token("secret.github.pat")
    texts = [f"{i} {secret}" for i in range(200)]
    wrong: list[bool] = []

    def work() -> None:
        wrong.extend(len(SCANNER.mask_many(texts)) != len(texts) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 80


# --- bounds


def test_key_headers_without_an_end() -> None:
    """Header lines whose borders can be drawn in endless ways are not all tried; a real header is still passed."""
    begin = "-----BEGIN RSA PRIVATE KEY-----\n"
    assert SCANNER.find(begin + "Abc: ,, " * 400) == []
    body = fill("<base64:64>\n<base64:64>\n", 3)
    headers = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{fill('<HEX:32>', 1)}\n\n"
    key = f"{begin}{headers}{body}-----END RSA PRIVATE KEY-----"
    for text in (
        key,
        json.dumps(key)[1:-1],
        key.replace("\n", "%0A"),
        key.replace("\n", " "),
        key.replace("\n", "\r\n"),
    ):
        assert [(hit.start, hit.end) for hit in SCANNER.find(text)] == [(0, len(text))]


def test_too_dense_a_text_is_masked_unread() -> None:
    """Past the bound nothing stays raw: the rest becomes one placeholder."""
    secret = token("secret.github.pat")
    text = "password=$P " * (MAX_CANDIDATES + 50) + secret
    masked, found = SCANNER.mask(text, "x")
    assert secret not in masked
    assert found[-1].rule_id == UNSCANNED.id
    assert len(masked) > len("password=$P ") * (MAX_CANDIDATES - 200)


# --- verdicts


def test_github_checksum() -> None:
    """CRC-32 of the body in base62 closes a classic token."""
    body = fill("<alnum:30>", 1)
    good = "ghp_" + body + base62(zlib.crc32(body.encode()))
    bad = "ghp_" + body + base62(zlib.crc32(body.encode()) ^ 1)
    assert [SCANNER.find(text)[0].verdict for text in (good, bad)] == ["valid", "invalid"]


def test_invalid_is_kept() -> None:
    """A token with a wrong checksum is masked all the same."""
    text = "ghp_" + fill("<alnum:30>", 9) + "0aaaaa"
    hit = SCANNER.find(text)[0]
    assert (hit.verdict, hit.rule.id) == ("invalid", "secret.github.pat")
