"""Raw agent JSON lines, as agents' own logs and telemetry write them, with room for a text in the middle.

Clean lines come from recorded sessions where a folder of them is given, else they are made; both hold what is easily
taken for a secret: UUIDs, commits, digests, call and request ids, counters of model tokens, cursors.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from tests.bench.carriers import Parts, around, each, escaped
from tests.bench.families import ALNUM, B64, B64URL, HEX, UPPER, chars

_HERE: Final = "\ue000"  # stands in a line where the text goes
_TEXT: Final = """
the order service returned a timeout while reading customer records from replica three and the retry policy kept
the connection open so check the migration plan then compare the totals with the ledger before publishing notes
def main return import config settings token_count max_tokens password field missing login form secret santa list
"""
_WORDS: Final = _TEXT.split()
MAX_LINE: Final = 20_000


def uuid(rng: random.Random) -> str:
    text = chars(rng, HEX, 32)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def noise(rng: random.Random) -> str:
    """A line that looks like a secret to somebody in a hurry."""
    return rng.choice(_NOISE)(rng)


_NOISE: Final[tuple[Callable[[random.Random], str], ...]] = (
    lambda r: f"commit {chars(r, HEX, 40)}\nAuthor: Ada <ada@example.com>\n",
    lambda r: f'  "integrity": "sha512-{chars(r, B64, 86)}==",\n',
    lambda r: f"request {uuid(r)} took {r.randrange(900)} ms, trace {chars(r, HEX, 32)}\n",
    lambda r: f"sha256:{chars(r, HEX, 64)}  image.tar\n",
    lambda r: f'"usage": {{"input_tokens": {r.randrange(9999)}, "cache_read_input_tokens": {r.randrange(99999)}}}\n',
    lambda r: f"golang.org/x/net v0.{r.randrange(40)}.0 h1:{chars(r, B64, 43)}=\n",
    lambda r: f'"next_page_token": "{chars(r, B64URL, 60)}", "etag": "W/\\"{chars(r, HEX, 32)}\\""\n',
    lambda r: f"toolu_01{chars(r, ALNUM, 22)} call_{chars(r, ALNUM, 24)} msg_01{chars(r, ALNUM, 22)}\n",
    lambda r: "password = getpass.getpass('Password: ')\ntoken = os.environ['API_TOKEN']\n",
    lambda r: "api_key: ${API_KEY}\nsecretKeyRef:\n  name: shop-secrets\n  key: db-password\n",
    lambda r: "export OPENAI_API_KEY=<your-api-key>  # see the docs\n",
    lambda r: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{chars(r, B64, 43)} ada@laptop\n",
    lambda r: f"![plot](data:image/png;base64,iVBORw0KGgo{chars(r, B64, 4 * r.randrange(20, 200))})\n",
    lambda r: f"https://cdn.example.com/static/{chars(r, HEX, 20)}/app.{chars(r, HEX, 8)}.js\n",
    lambda r: f"digest: {base64.b64encode(r.randbytes(32)).decode()}\n",
    lambda r: f"{r.randrange(10**12)} {r.randrange(10**9)} {uuid(r)} {chars(r, UPPER, 26)}\n",
)


def prose(rng: random.Random, lines: int) -> str:
    made = (" ".join(rng.choices(_WORDS, k=rng.randrange(4, 14))) + "\n" for _ in range(lines))
    return "".join(noise(rng) if rng.random() < 0.2 else one for one in made)


def _usage(rng: random.Random) -> dict[str, Any]:
    return {"input_tokens": rng.randrange(9999), "output_tokens": rng.randrange(999), "service_tier": "standard"}


def _result(rng: random.Random) -> Any:
    content = [{"tool_use_id": f"toolu_01{chars(rng, ALNUM, 22)}", "type": "tool_result", "content": _HERE}]
    return {
        "parentUuid": uuid(rng),
        "sessionId": uuid(rng),
        "cwd": "/srv/shop",
        "type": "user",
        "message": {"role": "user", "content": content},
        "uuid": uuid(rng),
        "timestamp": "2026-11-03T10:12:07.123Z",
    }


def _use(rng: random.Random) -> Any:
    call = {"type": "tool_use", "id": f"toolu_01{chars(rng, ALNUM, 22)}", "name": "Bash", "input": {"command": _HERE}}
    message = {"id": f"msg_01{chars(rng, ALNUM, 22)}", "role": "assistant", "content": [call], "usage": _usage(rng)}
    return {"type": "assistant", "message": message, "requestId": f"req_011C{chars(rng, ALNUM, 20)}", "uuid": uuid(rng)}


def _function(rng: random.Random) -> Any:
    arguments = json.dumps({"command": _HERE, "timeout": 30}, ensure_ascii=False)
    call = {
        "id": f"call_{chars(rng, ALNUM, 24)}",
        "type": "function",
        "function": {"name": "sh", "arguments": arguments},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call], "usage": {"total_tokens": rng.randrange(9999)}}


def _span(rng: random.Random) -> Any:
    values = {"gen_ai.tool.name": "read_file", "gen_ai.tool.call.result": _HERE, "session.id": uuid(rng)}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
    return {
        "traceId": chars(rng, HEX, 32),
        "spanId": chars(rng, HEX, 16),
        "name": "execute_tool",
        "attributes": attributes,
    }


def _messages(rng: random.Random) -> Any:
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": _HERE}]}], ensure_ascii=False)
    return {
        "traceId": chars(rng, HEX, 32),
        "attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": said}}],
    }


def _rpc(rng: random.Random) -> Any:
    return {"jsonrpc": "2.0", "id": rng.randrange(999), "result": {"content": [{"type": "text", "text": _HERE}]}}


_DIALECTS: Final[tuple[tuple[Callable[[random.Random], Any], int], ...]] = (
    (_result, 1), (_use, 1), (_function, 2), (_span, 1), (_messages, 2), (_rpc, 1),
)  # fmt: skip  # how often the text is escaped stands beside each


def line_around(rng: random.Random, parts: Parts) -> Parts:
    """The text in one raw JSON line of some dialect, prose before and after it."""
    make, depth = rng.choice(_DIALECTS)
    before, after = prose(rng, rng.randrange(6)), prose(rng, rng.randrange(6))
    made = around(before, parts, "\n" + after)
    for _ in range(depth):
        made = each(escaped, made)
    front, _, back = json.dumps(make(rng), ensure_ascii=False).partition(_HERE)
    return around(front, made, back)


def made_lines(count: int, seed: int) -> Iterator[str]:
    """Clean lines without any recording at hand."""
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(text for text, _ in line_around(rng, [(prose(rng, rng.randrange(4, 30)), 0)]))


def recorded_lines(folder: Path) -> Iterator[str]:
    """Every span of recorded sessions (OTLP as JSON, one request a line, gzipped) as one raw line."""
    for file in sorted(folder.glob("*/traces.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                for per_resource in json.loads(line)["resourceSpans"]:
                    for per_scope in per_resource["scopeSpans"]:
                        yield from (json.dumps(span, ensure_ascii=False) for span in per_scope["spans"])


@cache
def _recorded(folder: Path) -> list[str]:
    """No two alike, in an order that is the same every time."""
    found = sorted({line for line in recorded_lines(folder) if len(line) <= MAX_LINE})
    random.Random(len(found)).shuffle(found)
    return found


def clean_lines(folder: Path | None, count: int, seed: int) -> list[str]:
    """Half recorded, evenly over all recordings and no two alike, and half made; all made without recordings."""
    if folder is None:
        return list(made_lines(count, seed))
    found = _recorded(folder)
    picked = random.Random(seed).sample(found, min(count // 2, len(found)))
    return [*picked, *made_lines(count - len(picked), seed)]


def lines_of(folder: Path | None, size: int, seed: int) -> list[str]:
    """Clean lines of `size` bytes together, no two alike: recorded ones first, as long as there are any."""
    lines: dict[str, None] = {}
    total = 0
    for line in chain(_recorded(folder) if folder else (), _without_end(seed)):
        if line not in lines:
            lines[line] = None
            total += len(line.encode())
        if total >= size:
            break
    shuffled = list(lines)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def _without_end(seed: int) -> Iterator[str]:
    while True:
        seed += 1
        yield from made_lines(1000, seed)


def record(rng: random.Random, size: int) -> str:
    """One clean line of about `size` bytes."""
    text = prose(rng, size // 60)
    while len(text) < size - 400:
        text += prose(rng, 4)
    return "".join(piece for piece, _ in line_around(rng, [(text[: size - 400], 0)]))
