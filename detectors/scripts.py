"""Scripts of languages that are not parsed: which functions they call, with which literal texts.

JavaScript, Ruby, Perl, PHP and what else a tool runs: comments are dropped, calls are seen by their name and opening
bracket, and well-known ones among them by what they do with a literal first argument.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_TEXT, MAX_CALLS = 65_536, 128
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|(?P<text>`(?:[^`\\]|\\.)*`|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<call>(?<![\w$])[A-Za-z_$][\w$]*+(?:(?:\?\.|\.|::|->)[A-Za-z_$][\w$]*+){0,6}+)\s*+\(",
    re.S,
)
_ARGUMENT = re.compile(r"\s*(?:await\s+)?(`(?:[^`\\]|\\.)*`|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')")
_IMPORT = re.compile(
    r"\brequire(?:_once)?\s*\(?\s*['\"]([^'\"]+)|\bfrom\s+['\"]([^'\"]+)|\bimport\s+['\"]([^'\"]+)|\buse\s+([A-Z][\w:\\]+)"
)
_KEYWORDS = frozenset({"if", "for", "while", "switch", "catch", "function", "return", "typeof", "await", "and", "or"})
_TICKS = re.compile(r"`([^`]{1,2000})`|%x[({\[]([^)}\]]{1,2000})")

# last part of a call → effects, what its first argument is
_CALLS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "exec",
            "execSync",
            "spawn",
            "spawnSync",
            "execFile",
            "execFileSync",
            "fork",
            "execa",
            "system",
            "popen",
            "shell_exec",
            "passthru",
            "proc_open",
            "qx",
            "os.execute",
        ),
        ("execute", "run"),
    ),
    **dict.fromkeys(
        ("readFile", "readFileSync", "createReadStream", "file_get_contents", "readTextFile", "fopen", "readfile"),
        ("read", "read"),
    ),
    **dict.fromkeys(
        (
            "writeFile",
            "writeFileSync",
            "appendFile",
            "appendFileSync",
            "createWriteStream",
            "file_put_contents",
            "writeTextFile",
            "mkdirSync",
            "mkdir",
            "copyFileSync",
        ),
        ("write", "write"),
    ),
    **dict.fromkeys(
        ("unlink", "unlinkSync", "rm", "rmSync", "rmdir", "rmdirSync", "rm_rf", "rmtree", "remove", "removeSync"),
        ("delete", "delete"),
    ),
    **dict.fromkeys(("readdir", "readdirSync", "scandir", "opendir"), ("list", "list")),
    **dict.fromkeys(("chmod", "chmodSync", "chown", "chownSync"), ("grant write", "write")),
    **dict.fromkeys(
        ("fetch", "axios", "axios.get", "got", "http.get", "https.get", "Net::HTTP.get", "URI.open"),
        ("fetch connect", "url"),
    ),
    **dict.fromkeys(
        (
            "axios.post",
            "axios.put",
            "got.post",
            "Net::HTTP.post",
            "sendBeacon",
            "curl_init",
            "http.request",
            "https.request",
            "WebSocket",
        ),
        ("send connect", "url"),
    ),
    **dict.fromkeys(("eval", "Function", "runInNewContext", "runInThisContext", "instance_eval"), ("execute", "code")),
    **dict.fromkeys(("createServer", "listen"), ("listen", "")),
    **dict.fromkeys(("process.kill",), ("stop", "")),
}


class Said(NamedTuple):
    """A call of a function: effects, and what its literal first argument is."""

    call: str
    effects: tuple[str, ...]
    role: str
    argument: str


class Read(NamedTuple):
    """A script as far as it can be told without parsing."""

    calls: tuple[str, ...]
    imports: tuple[str, ...]
    strings: tuple[str, ...]
    said: tuple[Said, ...]


def read(text: str, language: str) -> Read:
    """Calls, imports and literal texts of a script."""
    text = text[:MAX_TEXT]
    calls: dict[str, None] = {}
    strings: dict[str, None] = {}
    said: list[Said] = []
    for found in _TOKEN.finditer(text):
        if found["text"]:
            if len(strings) < MAX_CALLS:
                strings[found["text"][1:-1][:2_000]] = None
            continue
        name = found["call"]
        if not name or name in _KEYWORDS or len(calls) >= MAX_CALLS:
            continue
        name = re.sub(r"\?\.|->", ".", name)
        calls[name] = None
        known = _CALLS.get(name) or _CALLS.get(".".join(name.split(".")[-2:])) or _CALLS.get(name.rpartition(".")[2])
        if known is not None:
            argument = _ARGUMENT.match(text, found.end())
            said.append(Said(name, tuple(known[0].split()), known[1], argument[1][1:-1] if argument else ""))
    if language in ("ruby", "perl", "php"):
        said += [Said("`", ("execute",), "run", ticks[1] or ticks[2] or "") for ticks in _TICKS.finditer(text)]
    imports = (next(part for part in found.groups() if part) for found in _IMPORT.finditer(text))
    return Read(tuple(calls), tuple(dict.fromkeys(imports))[:MAX_CALLS], tuple(strings), tuple(said[:MAX_CALLS]))
