"""What a Span's text means before any rule looks at it: commands, statements, code, paths and destinations, parsed.

A span does one or more *acts*: each simple command of a shell line, each SQL statement, each script, each file and
each destination it names is one. A rule that reads facts is tested on one act at a time, so that two conditions
about a command hold for the same command. A fact of several values is a tuple; a condition holds when one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from detectors import hidden
from detectors.acts import Act, Acts, Fact
from detectors.model import Span

__all__ = ["FIELDS", "NONE", "SOURCES", "Act", "Fact", "Facts", "language", "of"]

FIELDS: Mapping[str, str] = {  # every fact there is, and what it says
    "command.name": "program, without its folder, wrappers peeled off",
    "command.words": "the whole simple command, unquoted, words joined by one blank, the program's folder left out",
    "command.verb": "first word that is no flag and no flag's value: push of `git -C x push`",
    "command.flags": "flags, long ones without their value, clusters also one by one: -rf gives -rf, -r, -f",
    "command.args": "words that are no flags",
    "command.reads": "files it reads, as far as its name, flags and redirections tell",
    "command.writes": "files it writes or removes, likewise",
    "command.assigns": "names of variables set for it",
    "command.wrappers": "what ran it: sudo, env, xargs, bash -c, ssh, docker exec, ...",
    "command.from": "programs whose output is piped into it",
    "command.into": "programs its output is piped into",
    "command.origin": "where it stood: line, substitution, heredoc, script, code, decoded",
    "command.text": "literal text that it prints, writes or is fed, its first 2,000 characters",
    "command.effect": "what it does to the world: read, write, delete, send, fetch, execute, install, grant, stop, ...",
    "sql.kind": "kind of statement: select, insert, update, delete, drop, truncate, alter, grant, create, copy, ...",
    "sql.target": "what kind of thing it changes: table, database, schema, role, view, ...",
    "sql.tables": "tables it names",
    "sql.calls": "functions and procedures it calls",
    "sql.bounded": "whether a WHERE or LIMIT bounds it",
    "code.language": "python, javascript, powershell, ...",
    "code.calls": "functions called, with the module they come from: os.system, shutil.rmtree",
    "code.imports": "modules imported",
    "code.strings": "literal texts in it",
    "code.text": "the script itself, its first 16,000 characters; on one act per script",
    "code.always": "functions of the script that a condition in it asks and that say yes whatever they are asked",
    "path.full": "file as an absolute path where the working tree is known, `..` and `~` resolved",
    "path.scope": "inside, outside, home, system, temp or unknown, seen from the session's working tree",
    "path.class": "what kind of file it is: env, shell-profile, mcp-config, cloud-credentials, ssh-key, ...",
    "path.action": "read, write, delete, execute or list",
    "egress.registered_domain": "registered domain of a destination, by the public suffix list; none for this machine",
    "egress.scheme": "scheme of the URL",
    "egress.host": "host of a destination, in lower case, this very machine among them",
    "egress.scope": "local (this machine), private or public",
    "egress.port": "port, where one is named",
    "flow.path": "files whose content the act handles: read, piped or substituted into it, written before",
    "flow.scope": "path.scope of those files",
    "flow.class": "path.class of those files",
    "flow.host": "hosts whose content it handles: `curl x | sh`, a script fetched before",
    "flow.env": "environment variables whose value it handles, of scripts",
    "flow.decoded": "true where what it handles was hidden under an encoding",
    "flow.given": "true where what it handles was said by whoever calls the script: input, arguments, a request",
    "decoded": "text found under base64, hex or percent signs in a word",
    "effect": "what any act does to the world, the words of command.effect: also of code, statements, files",
    "origin": "where any act stood, the words of command.origin",
    "parsed": "false when the text did not parse and its raw words are all there is",
}
SOURCES = frozenset({"command.line", "db.statement", "code", "path", "url", "egress.host", "egress.hosts", "arguments"})


_SPOKEN = SOURCES - {"arguments"}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The acts of one span. `parsed` is false when some text did not parse and was taken as raw words."""

    acts: tuple[Act, ...] = ()
    parsed: bool = True


class _Said(NamedTuple):
    """All of a span that its facts depend on."""

    kind: str
    tool: str
    line: str
    code: str
    sql: str
    system: str
    path: str
    url: str
    hosts: str
    method: str
    arguments: str
    cwd: str
    tree: str


NONE = Facts()
MAX_SHORT = 4_096  # characters; facts of 1,024 spans that say no more are kept, and of 32 that say more
MAX_MET = 4_096  # spans whose facts are looked up by the span itself, until `forget`
MAX_ARGUMENTS = 16_384  # characters in which hidden text is looked for


def of(span: Span) -> Facts:
    """Facts of a span; those of equal texts are worked out once, and one span's are looked up by the span."""
    known = _met.get(id(span))
    if known is not None and known[0] is span:
        return known[1]
    fields = span.fields
    if fields.keys().isdisjoint(SOURCES):
        return NONE
    found = _found(span)
    if len(_met) >= MAX_MET:
        _met.clear()
    _met[id(span)] = span, found
    return found


def forget() -> None:
    """Let go of the spans looked up: whoever read a batch of them is done with it."""
    _met.clear()


def _found(span: Span) -> Facts:
    fields = span.fields
    if fields.keys().isdisjoint(_SPOKEN) and next(hidden.plain(span.text("arguments")[:MAX_ARGUMENTS]), None) is None:
        return NONE  # most calls of tools
    text = span.text
    line, code = text("command.line"), text("code")
    said = _Said(
        kind=span.kind,
        tool=text("tool.name"),
        line=line,
        code="" if code == line else code,
        sql=text("db.statement"),
        system=text("db.system"),
        path=text("path"),
        url=text("url"),
        hosts=text("egress.hosts") or text("egress.host"),
        method=text("http.method"),
        arguments="" if line or code else text("arguments")[:MAX_ARGUMENTS],  # those of a command hold the command
        cwd=text("cwd"),
        tree=text("workdir"),
    )
    return (_short if sum(map(len, said)) <= MAX_SHORT else _long)(said)


def read(said: _Said) -> Facts:
    """Facts of what a span says."""
    acts = Acts(said.cwd, said.tree)
    tool = said.tool
    if said.line:
        windows = "powershell" if _POWERSHELL.search(tool) else "cmd" if tool in ("cmd", "cmd.exe") else ""
        if windows:
            acts.windows(said.line, windows)
        else:
            acts.line(said.line)
    if said.code:
        acts.code(said.code, language(said.code, tool))
    if said.sql:
        acts.sql(said.sql, said.system)
    if not (said.line or said.code):
        if said.path:
            acts.file(said.path, _action(said.kind, tool))
        method = said.method.upper()
        sends = method in _CHANGING or (not method and _SENDS.search(tool) is not None)
        for one in (said.url, *said.hosts.split(",")):
            if one and not (one == said.hosts and said.url):
                acts.url(one, ("send", "connect") if sends else ("fetch", "connect"))
        if said.arguments:
            acts.hidden(said.arguments)
    return Facts(acts=tuple(acts.found), parsed=acts.parsed)


_met: dict[int, tuple[Span, Facts]] = {}  # by identity; each entry holds its span, so that no id is used again
_short = lru_cache(maxsize=1_024)(read)
_long = lru_cache(maxsize=32)(read)
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_POWERSHELL = re.compile(r"powershell|pwsh", re.I)
_SENDS = re.compile(r"post|put|send|upload|submit|publish", re.I)
_DELETES = re.compile(r"delete|remove|unlink|trash", re.I)
_LISTS = re.compile(r"^(?:ls|glob|list|list_(?:dir|directory|files)|directory_tree|find)$", re.I)
_PYTHON = re.compile(r"py(?:thon|\b)|jupyter|notebook", re.I)
_JAVASCRIPT = re.compile(r"javascript|node|typescript|\bjs\b|deno|bun", re.I)
_OTHERS = ("ruby", "perl", "php", "lua", "applescript")
_SHELL_SIGNS = re.compile(r"^#!.*sh\b|^\s*(?:sudo|cd|ls|echo|export|git|curl|npm|apt|pip|cat|mkdir)\s", re.M)


def language(code: str, tool: str = "") -> str:
    """Language of a script, by the tool that runs it, else by its looks."""
    if _POWERSHELL.search(tool):
        return "powershell"
    if _PYTHON.search(tool):
        return "python"
    if _JAVASCRIPT.search(tool):
        return "javascript"
    for name in _OTHERS:
        if name in tool.lower():
            return name
    head = code[:2_000]
    if head.startswith("#!"):
        line = head.partition("\n")[0]
        return "python" if "python" in line else "javascript" if "node" in line else "shell"
    if _SHELL_SIGNS.search(head):
        return "shell"
    if re.search(r"^\s*(?:const|let|var|function|async function)\s|=>\s*[{(]|\brequire\(|console\.", head, re.M):
        return "javascript"
    return "python"


def _action(kind: str, tool: str) -> str:
    if _DELETES.search(tool):
        return "delete"
    if kind == "file_write":
        return "write"
    return "list" if _LISTS.match(tool) else "read"
