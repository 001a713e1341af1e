"""Texts of other languages that a command is given to run: Python, JavaScript, SQL, PowerShell."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import NamedTuple

from detectors.commands import Command
from detectors.simple import Origin


class Inner(NamedTuple):
    """A text and its language; for SQL the program that speaks to the database."""

    language: str
    text: str
    origin: Origin
    system: str = ""


_CODE = {
    "python": ("python", ("-c",)),
    "pypy": ("python", ("-c",)),
    "ipython": ("python", ("-c",)),
    "py": ("python", ("-c",)),
    "node": ("javascript", ("-e", "-p", "--eval", "--print", "-pe")),
    "nodejs": ("javascript", ("-e", "-p", "--eval", "--print")),
    "deno": ("javascript", ()),
    "bun": ("javascript", ("-e", "--eval")),
    "perl": ("perl", ("-e", "-E", "-ne", "-pe")),
    "ruby": ("ruby", ("-e",)),
    "php": ("php", ("-r",)),
    "lua": ("lua", ("-e",)),
    "rscript": ("r", ("-e",)),
    "osascript": ("applescript", ("-e",)),
}
_SQL = {
    "psql": ("-c", "--command"),
    "pgcli": ("-c",),
    "mysql": ("-e", "--execute"),
    "mariadb": ("-e", "--execute"),
    "mycli": ("-e",),
    "sqlcmd": ("-Q", "-q"),
    "isql": (),
    "sqlplus": (),
    "clickhouse-client": ("-q", "--query"),
    "clickhouse": ("-q", "--query"),
    "snowsql": ("-q", "--query"),
    "cockroach": ("-e", "--execute"),
    "trino": ("--execute",),
    "presto-cli": ("--execute",),
    "beeline": ("-e",),
    "cqlsh": ("-e", "--execute"),
    "usql": ("-c",),
    "tsql": (),
    "duckdb": ("-c", "-s"),
    "sqlite3": ("-cmd",),
    "sqlite": ("-cmd",),
    "litecli": ("-e",),
    "bq": (),
    "dolt": ("-q",),
    "influx": (),
}
_POSITIONAL = frozenset({"sqlite3", "sqlite", "duckdb", "bq"})  # the statement is an argument
_POWERSHELL = frozenset({"powershell", "pwsh"})


def inner(command: Command) -> Iterator[Inner]:
    """What the command is given to run that is no shell text of its own kind."""
    name = command.name.lower()
    simple = command.simple
    fed: Origin = "decoded" if simple.decoded else "heredoc"
    code = _CODE.get(name) or _CODE.get(name.rstrip("0123456789."))
    if code is not None:
        language, flags = code
        told = [value for flag, value in command.given if flag in flags]
        if told:
            yield Inner(language, "\n".join(told), simple.origin)
        elif name == "deno" and command.verb == "eval":
            yield Inner(language, " ".join(command.args[1:]), simple.origin)
        elif simple.stdin is not None and (not command.args or command.args[0] == "-"):
            yield Inner(language, simple.stdin, fed)
    elif name in _SQL:
        texts = [value for flag, value in command.given if flag in _SQL[name]]
        if name in _POSITIONAL and not texts:
            given = {value for _, value in command.given}
            plain = [arg for arg in command.args if arg not in given]
            texts = plain[1:] if name != "bq" or command.verb == "query" else []
        if texts:
            yield Inner("sql", ";\n".join(texts), simple.origin, name)
        elif simple.stdin is not None:
            yield Inner("sql", simple.stdin, fed, name)
    elif name in _POWERSHELL:
        yield from _powershell(command)
    elif name == "cmd" and len(command.words) > 2 and command.words[1].lower() in ("/c", "/k"):
        yield Inner("cmd", " ".join(command.words[2:]), simple.origin)


def _powershell(command: Command) -> Iterator[Inner]:
    words = command.words
    for at, word in enumerate(words[1:], 1):
        flag = word.lower().replace("/", "-", 1)
        if len(flag) > 1 and flag[0] == "-" and "-encodedcommand".startswith(flag) and at + 1 < len(words):
            text = encoded(words[at + 1])
            if text is not None:
                yield Inner("powershell", text, "decoded")
            return
        if len(flag) > 1 and flag[0] == "-" and "-command".startswith(flag):
            yield Inner("powershell", " ".join(words[at + 1 :]), command.origin)
            return
    if command.simple.stdin is not None:
        yield Inner("powershell", command.simple.stdin, "heredoc")
    elif len(words) > 1 and not words[1].startswith(("-", "/")) and not words[1].lower().endswith(".ps1"):
        yield Inner("powershell", " ".join(words[1:]), command.origin)


def encoded(data: str) -> str | None:
    """Text of a `-EncodedCommand`: UTF-16 in base64; None for what is none."""
    try:
        return base64.b64decode("".join(data.split()) + "=" * (-len(data) % 4)).decode("utf-16-le")
    except (ValueError, binascii.Error):
        return None
