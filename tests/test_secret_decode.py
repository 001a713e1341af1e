"""What is encoded, escaped or cut in parts is found, masked where it stood, and nothing decodable is left behind."""

from __future__ import annotations

import base64
import gzip
import html
import json
import random
import re
import urllib.parse
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import detectors
from detectors.secret_decode import FACTOR, SPARE
from detectors.secret_rules import fill, read_secrets
from detectors.secrets import UNSCANNED, Scanner
from pipeline.compiled_cache import CompiledCache

FOLDER = Path(detectors.__file__).parent / "rules" / "secrets"
RULES = read_secrets([FOLDER / name for name in ("github.yml", "generic.yml", "aws.yml", "databases.yml")])
SCANNER = Scanner(RULES, b"key of the test")
TOKEN = fill("ghp_<alnum:36>", 3)
PRINT = SCANNER.fingerprint(TOKEN)
TEXT = f'{{"env": "GITHUB_TOKEN={TOKEN}", "note": "h\u00e9llo w\u00f6rld and some more text"}}'


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def each(form: str) -> Callable[[str], str]:
    """Every character written as the form says."""
    return lambda text: "".join(form.format(ord(char)) for char in text)


WHOLE: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "base64": (b64, ("base64",)),
    "base64 bare": (lambda _: b64(TOKEN), ("base64",)),
    "url-safe": (lambda text: base64.urlsafe_b64encode(f"a?>~{text}".encode()).decode().rstrip("="), ("base64",)),
    "wrapped": (lambda text: base64.encodebytes((text * 5).encode()).decode(), ("base64",)),
    "wrapped crlf": (lambda text: base64.encodebytes((text * 5).encode()).decode().replace("\n", "\r\n"), ("base64",)),
    "double": (lambda text: b64(b64(text)), ("base64", "base64")),
    "triple": (lambda text: b64(b64(b64(text))), ("base64",) * 3),
    "base64 of JSON of base64": (lambda text: b64(json.dumps({"x": b64(text)})), ("base64", "base64")),
    "hex": (lambda text: text.encode().hex(), ("hex",)),
    "upper hex": (lambda text: text.encode().hex().upper(), ("hex",)),
    "hex of base64": (lambda text: b64(text).encode().hex(), ("hex", "base64")),
    "backslash x": (lambda _: each("\\x{:02x}")(TOKEN), ("hex",)),
    "0x list": (lambda _: each("0x{:02x}, ")(TOKEN), ("hex",)),
    "0X lines": (lambda _: each("0X{:02X},\n  ")(TOKEN), ("hex",)),
    "percent": (lambda _: each("%{:02X}")(TOKEN), ("percent",)),
    "percent twice": (lambda _: urllib.parse.quote(each("%{:02X}")(TOKEN)), ("percent", "percent")),
    "percent in part": (lambda _: TOKEN.replace("_", "%5F"), ("percent",)),
    "html decimal": (lambda _: each("&#{};")(TOKEN), ("html",)),
    "html hex": (lambda _: each("&#x{:x};")(TOKEN), ("html",)),
    "html named": (lambda _: TOKEN.replace("_", "&lowbar;"), ("html",)),
    "unicode": (lambda _: each("\\u{:04x}")(TOKEN), ("unicode",)),
    "unicode in part": (lambda _: TOKEN.replace("_", "\\u005f"), ("unicode",)),
    "octal": (lambda _: each("\\{:03o}")(TOKEN), ("octal",)),
    "utf-16": (lambda _: TOKEN.encode("utf-16-le").decode("latin-1"), ("utf16",)),
    "utf-16 big": (lambda _: TOKEN.encode("utf-16-be").decode("latin-1"), ("utf16",)),
    "base64 of utf-16": (lambda _: b64(f"echo {TOKEN}".encode("utf-16-le")), ("base64", "utf16")),
    "gzip": (lambda text: b64(gzip.compress(text.encode())), ("base64", "gzip")),
    "zlib": (lambda text: b64(zlib.compress(text.encode())), ("base64", "zlib")),
    "hex of gzip": (lambda text: gzip.compress(text.encode()).hex(), ("hex", "gzip")),
    "gzip of base64": (lambda text: b64(gzip.compress(b64(text).encode())), ("base64", "gzip", "base64")),
    "base64 escaped": (lambda text: b64(f"~~~???>>>{text}").replace("/", "\\/"), ("json", "base64")),
    "base64 in percent": (
        lambda text: urllib.parse.quote(b64(f"~~~???>>>{text}").replace("+", "%2B"), safe="%"),
        ("base64",),
    ),
}
CARRIERS: dict[str, Callable[[str], str]] = {
    "alone": lambda form: form,
    "prose": lambda form: f"see {form}\nend of it",
    "JSON": lambda form: json.dumps({"k": f"out:\n{form}", "n": 1}),
    "JSON in JSON": lambda form: json.dumps({"k": json.dumps({"k": f"out:\n{form}"})}),
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("name", WHOLE)
def test_encoded(name: str, carrier: str) -> None:
    """The finding names the layers, correlates with the plain secret, and masking leaves nothing to find."""
    make, layers = WHOLE[name]
    text = CARRIERS[carrier](make(TEXT))
    hits = [hit for hit in SCANNER.find(text) if hit.fingerprint == PRINT]
    assert hits
    assert hits[0].rule.id == "secret.github.pat"
    assert set(hits[0].layers) >= set(layers) - {"json"}
    masked = SCANNER.mask(text, "x")[0]
    assert SCANNER.find(masked) == []
    assert "MASKED~secret.github.pat~" in masked


PARTS = {
    "plus": '"{}" + "{}"',
    "dot": "'{}' . '{}'",
    "ampersand": '"{}" & "{}"',
    "beside": '"{}" "{}"',
    "template": "`{}` + '{}'",
    "array": '["{}", "{}"]',
    "array over lines": '[\n  "{}",\n  "{}"\n]',
    "continued": "export T={}\\\n{}\n",
    "over lines": '("{}"\n     "{}")',
    "wrapped": "x" * 50 + " token is {}\n{} ok",
}


@pytest.mark.parametrize("depth", range(3))
@pytest.mark.parametrize("name", PARTS)
def test_in_parts(name: str, depth: int) -> None:
    """Adjacent parts are one secret, masked from the first to the last."""
    text = PARTS[name].format(TOKEN[:18], TOKEN[18:])
    for _ in range(depth):
        text = json.dumps(text)
    hit = next(hit for hit in SCANNER.find(text) if hit.fingerprint == PRINT)
    assert hit.layers == ("split",)
    found = text[hit.start : hit.end]
    assert (found[:18], found[-22:]) == (TOKEN[:18], TOKEN[18:])
    assert TOKEN[18:] not in SCANNER.mask(text, "x")[0]


def test_value_in_parts() -> None:
    """The value of a name is joined too."""
    secret = fill("<alnum:16>", 4)
    text = f'db_password = "{secret[:7]}" + "{secret[7:]}"'
    (hit,) = SCANNER.find(text)
    assert (hit.fingerprint, hit.layers) == (SCANNER.fingerprint(secret), ("split",))


@pytest.mark.parametrize(
    "text",
    [
        f'["{TOKEN}", "{fill("<alnum:20>", 9)}"]',
        f"{'x' * 60} {TOKEN}\n{fill('<alnum:20>', 9)}",
        f'["{TOKEN[:10]}", "numpy", "flask", "pandas", "requests", "tokenizers"]',
    ],
)
def test_neighbours_are_no_parts(text: str) -> None:
    """A whole token swallows nothing behind it, and a list of words completes no prefix."""
    assert [text[hit.start : hit.end] for hit in SCANNER.find(text)] in ([TOKEN], [])


def test_only_what_hides_a_secret_is_masked() -> None:
    """Of a long base64 text, the quartets over the secret; the rest still decodes."""
    text = b64("a" * 300 + f" {TOKEN} " + "b" * 300)
    (hit,) = SCANNER.find(text)
    assert (hit.start % 4, hit.end % 4) == (0, 0)
    assert hit.end - hit.start < 60
    assert base64.b64decode(text[: hit.start]).startswith(b"a" * 300)


def noise() -> dict[str, str]:
    raw = random.Random(5).randbytes
    return {
        "image": f"data:image/png;base64,{b64(bytes.fromhex('89504e470d0a1a0a') + raw(40_000))}",
        "digest": "\n".join(f"sha256:{raw(32).hex()}  sha512-{b64(raw(64))}" for _ in range(400)),
        "archive": b64(gzip.compress(raw(20_000))),
        "paths": "\n".join(f"/usr/lib/python{i}/site-packages/some_package/module_{i}.py" for i in range(400)),
        "links": "\n".join(
            f"https://example.org/a%20b/?q=caf%C3%A9&u=https%3A%2F%2Fexample.org%2F{i}" for i in range(99)
        ),
    }


@pytest.mark.parametrize("name", noise())
def test_noise_is_quiet(name: str) -> None:
    """What decodes to no text yields nothing."""
    assert SCANNER.find(noise()[name]) == []


def test_budget() -> None:
    """What inflates past the budget is masked unread; the text around it is scanned as ever."""
    bomb = b64(gzip.compress(b"a" * (50 * SPARE)))
    text = f"{bomb} {TOKEN}"
    assert FACTOR * len(text) + SPARE < 50 * SPARE
    found = SCANNER.find(text)
    assert [(hit.rule.id, hit.start, hit.end) for hit in found] == [
        (UNSCANNED.id, 0, len(bomb)),
        ("secret.github.pat", len(bomb) + 1, len(text)),
    ]


def test_past_the_depth() -> None:
    """Three decodings are undone, a fourth is not."""
    assert SCANNER.find(b64(b64(b64(TEXT))))
    assert not SCANNER.find(b64(b64(b64(b64(TEXT)))))


def test_bytes_and_many_texts() -> None:
    """Every entrance decodes: bytes with broken UTF-8, and texts in a batch with foreign characters."""
    encoded = b64(TEXT)
    data = b"\xff\xfe\x80 " + encoded.encode()
    assert [data[hit.start : hit.end].isascii() for hit in SCANNER.find_bytes(data)] == [True]
    texts = ["", f"\u00fc\ud800 {encoded}", "x", encoded]
    found = SCANNER.mask_many(texts)
    assert {index: [hit.fingerprint for hit in hits] for index, hits in found.items()} == {1: [PRINT], 3: [PRINT]}
    assert found == {index: SCANNER.find(text) for index, text in enumerate(texts) if index in found}


def test_cache_is_used_and_not_trusted(tmp_path: Path) -> None:
    """A kept database finds the same; a changed file or one anybody may write is compiled anew and replaced."""
    cache = CompiledCache(tmp_path)
    content = b"content of this test"
    database = SCANNER._database
    assert database is not None
    assert cache.load(content) is None
    cache.save(content, database)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    kept = cache.load(content)
    assert kept is not None
    found: list[int] = []
    kept.scan(TOKEN.encode(), match_event_handler=lambda number, *_: found.append(number), scratch=kept.scratch)
    assert found
    file.chmod(0o666)
    assert cache.load(content) is None, "somebody else could have written it"
    file.chmod(0o600)
    stored = file.read_bytes()
    file.write_bytes(stored[:-1] + bytes((stored[-1] ^ 1,)))
    assert cache.load(content) is None
    file.write_bytes(b"")
    assert cache.load(content) is None


def test_cache_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """No folder, no file, no error: the scanner works as without one."""
    (tmp_path / "file").write_text("")
    scanner = Scanner(RULES[:3], b"k", CompiledCache(tmp_path / "file" / "cache"))
    assert scanner.find(TOKEN)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "percent": lambda secret: urllib.parse.quote(secret, safe=""),
    "percent lower": lambda secret: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(secret, safe="")),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "XML": lambda secret: html.escape(secret),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_fingerprint_for_every_spelling(name: str) -> None:
    """A secret in a URL or in XML is the same secret as in clear, whatever of its characters had to be escaped."""
    for secret in (fill("<alnum:9>!<alnum:9>", 1), fill("<alnum:9>&<alnum:4>#<alnum:4>", 2), fill("<alnum:43>=", 3)):
        assert SCANNER.fingerprint(SPELLINGS[name](secret)) == SCANNER.fingerprint(secret)
    secret = fill("<alnum:9>!<alnum:9>", 5)
    (hit,) = SCANNER.find(f'db_password = "{SPELLINGS[name](secret)}"')
    assert hit.fingerprint == SCANNER.fingerprint(secret)


JOINED = {
    "array": '{k} = ["{a}", "{b}"].join("")',
    "array of three": "{k} = ['{a}',\n  '{b}', '{c}'].join('')",
    "list": '{k} = "".join(["{a}", "{b}"])',
    "tuple": "{k} = ''.join(('{a}',\n    '{b}',\n    '{c}'))",
    "implode": "${k} = implode('', ['{a}', '{b}']);",
    "slice": '{k} := strings.Join([]string{{"{a}", "{b}"}}, "")',
    "join of strings": 'String {k} = String.join("", "{a}", "{b}");',
    "concat": "SET {k} = CONCAT('{a}', '{b}')",
    "method": "{k} = '{a}'.concat('{b}')",
    "sign before": '{k} = "{a}"\n        + "{b}"\n        + "{c}";',
    "lines in brackets": '{k} = (\n    "{a}"\n    "{b}"\n)',
    "backslash": '{k} = "{a}" \\\n    "{b}"',
    "appended": '{k} = "{a}"\n{k} += "{b}"\n{k} += "{c}"\n',
    "added": "{k} = '{a}'\n{k} = {k} + '{b}'",
    "dot": '${k} = "{a}";\n${k} .= "{b}";',
    "bars": "SET {k} = '{a}' || '{b}'",
    "two dots": '{k} = "{a}" .. "{b}"',
    "underscore": '{k} = "{a}" & _\n  "{b}"',
    "continued": "export {k}={a}\\\n{b}\\\n{c}\n",
    "folded": '{k}: "{a}\\\n  {b}"\n',
}


@pytest.mark.parametrize("depth", range(3))
@pytest.mark.parametrize("name", JOINED)
def test_joined_in_code(name: str, depth: int) -> None:
    """Tokens, keys by name and passwords, however a language puts texts together; of each part nothing is left."""
    for key, secret in (("githubToken", TOKEN), ("db_password", fill("<alnum:10>!x<alnum:9>", 5))):
        count = 3 if "{c}" in JOINED[name] else 2
        size = len(secret) // count
        ends = [*range(0, size * count, size), len(secret)]
        parts = [secret[ends[at] : ends[at + 1] if at < count - 1 else None] for at in range(count)]
        text = "# x\n" + JOINED[name].format(k=key, a=parts[0], b=parts[1], c=parts[-1]) + "\nend = 1\n"
        for _ in range(depth):
            text = json.dumps({"a": text})
        assert SCANNER.fingerprint(secret) in {hit.fingerprint for hit in SCANNER.find(text)}
        masked = SCANNER.mask(text, "x")[0]
        assert not [part for part in parts if part in masked]
