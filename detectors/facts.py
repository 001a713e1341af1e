"""What a Span's text means before any rule looks at it: commands, statements, code, paths and destinations, parsed.

A span does one or more *acts*: each simple command of a shell line, each SQL statement, each script, each file and
each destination it names is one. A rule that reads facts is tested on one act at a time, so that two conditions
about a command hold for the same command. A fact of several values is a tuple; a condition holds when one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

import msgspec

from detectors import paths, urls
from detectors.commands import Command, understood
from detectors.effects import Touched, effects, touched
from detectors.model import Scalar, Span

Fact: TypeAlias = Scalar | tuple[str, ...]
Act: TypeAlias = Mapping[str, Fact]

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
    "command.effect": "what it does to the world: read, write, delete, send, fetch, execute, install, grant, stop, ...",
    "sql.kind": "kind of statement: select, insert, update, delete, drop, truncate, alter, grant, create, copy, ...",
    "sql.target": "what kind of thing it changes: table, database, schema, role, view, ...",
    "sql.tables": "tables it names",
    "sql.bounded": "whether a WHERE or LIMIT bounds it",
    "code.language": "python, javascript, powershell, ...",
    "code.calls": "functions called, with the module they come from: os.system, shutil.rmtree",
    "code.imports": "modules imported",
    "path.full": "file as an absolute path where the working tree is known, `..` and `~` resolved",
    "path.scope": "inside, outside, home, system, temp or unknown, seen from the session's working tree",
    "path.class": "what kind of file it is: env, shell-profile, mcp-config, cloud-credentials, ssh-key, ...",
    "path.action": "read, write, delete or execute",
    "egress.registered_domain": "registered domain of a destination, by the public suffix list",
    "egress.scheme": "scheme of the URL",
    "egress.host": "host of a destination, in lower case",
    "effect": "what any act does to the world, the words of command.effect: also of code, statements, files",
    "parsed": "false when the text did not parse and its raw words are all there is",
}
SOURCES = frozenset({"command.line", "db.statement", "code", "path", "url", "egress.host", "egress.hosts"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The acts of one span. `parsed` is false when some text did not parse and was taken as raw words."""

    acts: tuple[Act, ...] = ()
    parsed: bool = True


NONE = Facts()
MAX_ACTS = 256
MAX_CACHED = 4_096  # characters of a text whose facts are kept


def of(span: Span) -> Facts:
    """Facts of a span; those of equal texts are worked out once."""
    fields = span.fields
    if fields.keys().isdisjoint(SOURCES):
        return NONE
    text = span.text
    return _facts(
        span.kind, text("command.line"), text("path"), text("url") or text("egress.host"), text("cwd"), text("workdir")
    )


@lru_cache(maxsize=2_048)
def _facts(kind: str, line: str, path: str, url: str, cwd: str, tree: str) -> Facts:
    acts: list[Act] = []
    for command in understood(line) if line else ():
        acts.extend(_command(command, cwd, tree))
    if path and not line:
        action = "write" if kind == "file_write" else "read"
        found = paths.place(path, cwd, tree)
        acts.append(
            {
                "path.full": found.full,
                "path.scope": found.scope,
                "path.class": found.classes,
                "path.action": action,
                "effect": (action,),
            }
        )
    if url and not line and (to := urls.destination(url)):
        acts.append({"egress.host": to.host, "egress.registered_domain": to.domain, "egress.scheme": to.scheme})
    kept = tuple(acts[:MAX_ACTS])
    return Facts(acts=kept, parsed=all(act.get("parsed", True) for act in kept))


def _command(command: Command, cwd: str, tree: str) -> list[Act]:
    """The acts of a command: one for each thing it does to files, for a rule's conditions to be about the same."""
    files, places = touched(command)
    did = effects(command)
    simple = command.simple
    base: dict[str, Fact] = {
        "command.name": command.name,
        "command.words": " ".join(command.words),
        "command.verb": command.verb,
        "command.flags": command.flags,
        "command.args": command.args,
        "command.reads": _named(files, "read"),
        "command.writes": _named(files, "write", "delete"),
        "command.assigns": tuple(name for name, _ in simple.assigns),
        "command.wrappers": command.wrappers,
        "command.from": tuple(dict.fromkeys(one.words[0] for one in simple.before if one.words)),
        "command.into": tuple(dict.fromkeys(one.words[0] for one in simple.after if one.words)),
        "command.origin": command.origin,
        "command.effect": did,
        "effect": did,
        "parsed": simple.parsed,
    }
    hosts = [to for name in places if (to := urls.destination(name))]
    if hosts:
        base["egress.host"] = tuple(dict.fromkeys(to.host for to in hosts))
        base["egress.registered_domain"] = tuple(dict.fromkeys(to.domain for to in hosts))
        base["egress.scheme"] = tuple(dict.fromkeys(to.scheme for to in hosts if to.scheme))
    base = {name: value for name, value in base.items() if value != () and value != ""}
    actions = dict.fromkeys(one.action for one in files)
    if not actions:
        return [base]
    return [{**base, **_files([one for one in files if one.action == action], cwd, tree)} for action in actions]


def _named(files: list[Touched], *actions: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.path for one in files if one.action in actions))


def _files(files: list[Touched], cwd: str, tree: str) -> dict[str, Fact]:
    places = [paths.place(one.path, one.base or cwd, tree) for one in files]
    return {
        "path.full": tuple(dict.fromkeys(place.full for place in places)),
        "path.scope": tuple(dict.fromkeys(place.scope for place in places)),
        "path.class": tuple(dict.fromkeys(name for place in places for name in place.classes)),
        "path.action": files[0].action,
    }
