"""Every way a secret travels in agent text, as pieces that know which of them is the secret.

A carrier turns the pieces of a secret into the pieces of a text. Encoding keeps track: of base64, the characters
that hold a bit of the secret must be masked, the rest of the encoded literal may be, and nothing around it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tests.bench.families import HEX, LITERAL, OUTSIDE, SECRET, Family, Part, chars

Parts: TypeAlias = list[Part]
Carrier: TypeAlias = Callable[[random.Random, Family, Parts], Parts]
SPLIT: Final = 3  # stands between two pieces of one secret; like LITERAL, but it is not the secret


def text_of(parts: Sequence[Part]) -> str:
    return "".join(text for text, _ in parts)


def around(before: str, parts: Parts, after: str = "") -> Parts:
    return [(before, OUTSIDE), *parts, (after, OUTSIDE)]


def each(encode: Callable[[str], str], parts: Parts) -> Parts:
    """For encodings that know no neighbours: JSON escapes, hex, percent."""
    return [(encode(text), kind) for text, kind in parts]


def escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def literal(parts: Parts) -> Parts:
    """What was around the secret is now inside of one encoded literal, which may be masked whole."""
    return [(text, kind or LITERAL) for text, kind in parts]


def base64_of(parts: Parts, *, url: bool = False) -> Parts:
    """Pieces of the encoded text: a character belongs to the secret when one of its six bits does."""
    raw = text_of(parts).encode()
    whole = (base64.urlsafe_b64encode if url else base64.b64encode)(raw).decode()
    marks = [LITERAL] * len(whole)
    at = 0
    for text, kind in parts:
        end = at + len(text.encode())
        if kind == SECRET:
            marks[at * 8 // 6 : -(-end * 8 // 6)] = [SECRET] * (-(-end * 8 // 6) - at * 8 // 6)
        at = end
    return joined((char, mark) for char, mark in zip(whole, marks, strict=True))


def joined(pieces: object) -> Parts:
    """Neighbours of one kind as one piece."""
    out: Parts = []
    for text, kind in pieces:  # type: ignore[attr-defined]
        if out and out[-1][1] == kind:
            out[-1] = (out[-1][0] + text, kind)
        else:
            out.append((text, kind))
    return out


def wrapped(parts: Parts, width: int = 76) -> Parts:
    """Lines of `width` characters, as the command-line tools write base64."""
    pieces: Parts = []
    for number, (char, kind) in enumerate((char, kind) for text, kind in parts for char in text):
        if number and number % width == 0:
            pieces.append(("\n", LITERAL))
        pieces.append((char, kind))
    return joined(pieces)


def _name(rng: random.Random, family: Family, style: str) -> str:
    """One of the family's names: SHOUTED for environments, as it is elsewhere."""
    shouted = [name for name in family.names if name.isupper()]
    other = [name for name in family.names if not name.isupper()]
    return rng.choice((shouted if style == "env" else other) or list(family.names))


def _env_line(rng: random.Random, family: Family, parts: Parts) -> Parts:
    quote = "" if family.kind not in ("file", "word") else '"'
    inner = each(lambda t: t.replace("\n", "\\n"), parts) if family.kind == "file" and family.name[0] != "g" else parts
    return around(f"{_name(rng, family, 'env')}={quote}", inner, quote)


def _encodable(rng: random.Random, family: Family, parts: Parts) -> Parts:
    """What gets encoded: the secret alone where it is known by itself, else with its name; often with lines around."""
    if family.kind in ("token", "file", "url") and rng.random() < 0.5:
        return around("", parts, rng.choice(["", "\n"]))
    return around("# settings\nDEBUG=0\n", _env_line(rng, family, parts), "\nREGION=eu-west-1\n")


def bare(rng: random.Random, family: Family, parts: Parts) -> Parts:
    return around(
        rng.choice(["", "It printed:\n", "the value is ", "use (", "\t"]),
        parts,
        rng.choice(["", "\n", " and works.", ")"]),
    )


def assignment(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = _name(rng, family, "code")
    shown = each(escaped, parts) if family.kind == "file" else parts
    before, after = rng.choice(
        [(f'{name} = "', '"\n'), (f"const {name} = '", "';\n"), (f'{name}: "', '",\n'), (f'self.{name} = "', '"\n')]
    )
    return around(before, shown, after)


def header(rng: random.Random, family: Family, parts: Parts) -> Parts:
    before, _, after = family.header.partition("{}")
    quote = rng.choice("'\"")
    return around(f"curl -sS -X POST -H {quote}{before}", parts, f"{after}{quote} https://api.example.com/v1/items")


def url(rng: random.Random, family: Family, parts: Parts) -> Parts:
    before, _, after = family.url.partition("{}")
    tail = "&limit=50" if "?" in before and "#" not in after else ""
    return around(
        f"GET {before}",
        [(re.sub(r"[+/=#!^*]", lambda m: f"%{ord(m[0]):02X}", text), kind) for text, kind in parts],
        f"{after}{tail} 200\n",
    )


def _object(rng: random.Random, family: Family, parts: Parts) -> Parts:
    front = f'{{"region": "eu-west-1", "{_name(rng, family, "code")}": "'
    return around(front, each(escaped, parts), f'", "retries": {rng.randrange(9)}}}')


def nested(depth: int) -> Carrier:
    def carry(rng: random.Random, family: Family, parts: Parts) -> Parts:
        made = _object(rng, family, parts)
        for _ in range(depth - 1):
            made = around('{"body": "', each(escaped, made), '"}')
        return made

    return carry


def _shell_decode(rng: random.Random, encoded: Parts, tool: str = "base64 -d") -> Parts:
    before, after = rng.choice(
        [("echo ", f" | {tool}"), ("data:\n  value: ", "\n"), ('{"content": "', '"}'), ("", "\n")]
    )
    return around(before, encoded, after)


def encoded(steps: Sequence[Callable[[Parts], Parts]], tool: str = "base64 -d") -> Carrier:
    def carry(rng: random.Random, family: Family, parts: Parts) -> Parts:
        made = _encodable(rng, family, parts)
        for step in steps:
            made = step(made)
        return _shell_decode(rng, literal(made), tool)

    return carry


def hexed(parts: Parts) -> Parts:
    return each(lambda t: t.encode().hex(), parts)


def gzipped(parts: Parts) -> Parts:
    """Nothing inside keeps its place, so the whole literal is the secret."""
    return [(base64.b64encode(gzip.compress(text_of(parts).encode(), mtime=0)).decode(), SECRET)]


def each_character(form: str) -> Carrier:
    """Every character of the secret written as an escape, the name beside it in clear."""

    def carry(rng: random.Random, family: Family, parts: Parts) -> Parts:
        shown = each(lambda t: "".join(form.format(ord(c)) for c in t), parts)
        return around(f'{_name(rng, family, "code")} = "', shown, '"\n')

    return carry


def entities(rng: random.Random, family: Family, parts: Parts) -> Parts:
    """As HTML shows it: quotes around as entities, special characters of the secret too."""
    return around(f"<pre>{_name(rng, family, 'code')} = &quot;", each(html.escape, parts), "&quot;</pre>")


def env_file(rng: random.Random, family: Family, parts: Parts) -> Parts:
    export = rng.choice(["", "export "])
    return around(f"# .env\nPORT=8080\n{export}", _env_line(rng, family, parts), "\nLOG_LEVEL=info\n")


def yaml_file(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = _name(rng, family, "code")
    if family.kind == "file":
        return around(
            f"kind: Secret\nstringData:\n  {name}: |\n    ", each(lambda t: t.replace("\n", "\n    "), parts), "\n"
        )
    quote = rng.choice(["'", '"', ""]) if family.kind != "word" else '"'
    return around(f"services:\n  api:\n    environment:\n      {name}: {quote}", parts, f"{quote}\n      PORT: 80\n")


def shell(rng: random.Random, family: Family, parts: Parts) -> Parts:
    quote = rng.choice("'\"")
    return around(f"cd /srv/app && export {_name(rng, family, 'env')}={quote}", parts, f"{quote} && ./deploy.sh --fast")


def heredoc(rng: random.Random, family: Family, parts: Parts) -> Parts:
    return around("cat > .env <<'EOF'\nMODE=prod\n", _env_line(rng, family, parts), "\nEOF\nchmod 600 .env")


def code(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = _name(rng, family, "code")
    shown = each(escaped, parts) if family.kind == "file" else parts
    before, after = rng.choice(
        [
            (f'client = Client(timeout=30, {name}="', '")\n'),
            (f'os.environ["{name}"] = "', '"\n'),
            (f'  return new Client({{ {name}: "', '", retries: 3 });\n'),
            (f'os.Setenv("{name}", "', '")\n'),
        ]
    )
    return around(before, shown, after)


def diff(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = _name(rng, family, "env")
    shown = each(escaped, parts) if family.kind == "file" else parts
    return around(f'@@ -3,2 +3,2 @@\n-{name} = None\n+{name} = "', shown, '"\n PORT = 80\n')


def log_line(rng: random.Random, family: Family, parts: Parts) -> Parts:
    front = f"2026-11-03T10:12:{rng.randrange(10, 60)}.123Z INFO worker request_id={chars(rng, HEX, 16)} "
    return around(f"{front}using {_name(rng, family, 'env')}=", parts, " for upstream\n")


def markdown(rng: random.Random, family: Family, parts: Parts) -> Parts:
    tick = rng.choice(["`", "**"])
    return around(f"## Set-up\n\n- {_name(rng, family, 'env')}: {tick}", parts, f"{tick}\n- Port: `8080`\n")


def xml(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = _name(rng, family, "code")
    before, after = rng.choice([(f"<{name}>", f"</{name}>"), (f'<add key="{name}" value="', '" />')])
    return around(f"<settings>\n  {before}", each(html.escape, parts), f"{after}\n</settings>")


def flag(rng: random.Random, family: Family, parts: Parts) -> Parts:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", _name(rng, family, "code")).lower()
    return around(f"docker run acme/api --{name}{rng.choice([' ', '='])}", parts, " --verbose")


def _halves(rng: random.Random, parts: Parts, glue: str) -> Parts:
    """The secret piece cut in two or three."""
    out: Parts = []
    for text, kind in parts:
        if kind != SECRET:
            out.append((text, kind))
            continue
        cuts = sorted(rng.sample(range(4, len(text) - 3), rng.choice([1, 2]) if len(text) > 16 else 1))
        for number, (at, end) in enumerate(zip([0, *cuts], [*cuts, len(text)], strict=True)):
            out += [(glue, SPLIT)] * bool(number) + [(text[at:end], SECRET)]
    return out


def split(before: str, glues: Sequence[str], after: str) -> Carrier:
    def carry(rng: random.Random, family: Family, parts: Parts) -> Parts:
        return around(before.format(_name(rng, family, "code")), _halves(rng, parts, rng.choice(glues)), after)

    return carry


CARRIERS: Final[dict[str, Carrier]] = {
    "bare": bare,
    "assignment": assignment,
    "header": header,
    "url": url,
    "json": nested(1),
    "json in json": nested(2),
    "json depth 3": nested(3),
    "base64": encoded([base64_of]),
    "base64url": encoded([lambda parts: base64_of(parts, url=True)]),
    "base64 wrapped": encoded([base64_of, wrapped]),
    "double base64": encoded([base64_of, base64_of]),
    "gzip base64": encoded([gzipped], "base64 -d | gunzip"),
    "hex": encoded([hexed], "xxd -r -p"),
    "unicode escapes": each_character("\\u{:04x}"),
    "hex escapes": each_character("\\x{:02x}"),
    "percent": each_character("%{:02X}"),
    "html": entities,
    "env file": env_file,
    "yaml": yaml_file,
    "shell": shell,
    "heredoc": heredoc,
    "code": code,
    "diff": diff,
    "log line": log_line,
    "markdown": markdown,
    "xml": xml,
    "flag": flag,
    "concatenation": split('{} = "', ['" + "', '" +\n  "', '" "'], '"\n'),
    "array": split('{} = ["', ['", "', '",\n  "'], '"].join("")\n'),
    "line continuation": split("{}=", ["\\\n"], "\n"),
}
_NEEDS_NAME = {"bare"}
_ONE_LINE = {
    "header",
    "url",
    "shell",
    "log line",
    "markdown",
    "xml",
    "flag",
    "html",
    "percent",
    "hex escapes",
    "unicode escapes",
    "concatenation",
    "array",
    "line continuation",
}


def fits(carrier: str, family: Family) -> bool:
    """Whether people would ever write this family this way, and anybody could tell it if they did."""
    if family.kind == "file":
        return carrier not in _ONE_LINE
    if family.kind == "url":
        return carrier not in {"header", "url"}
    return family.kind == "token" or carrier not in _NEEDS_NAME
