"""What a Span's text means before any rule looks at it: commands, statements, code, paths and destinations, parsed.

A span does one or more *acts*: each simple command of a shell line, each SQL statement, each script, each file and
each destination it names is one. A rule that reads facts is tested on one act at a time, so that two conditions
about a command hold for the same command. A fact of several values is a tuple; a condition holds when one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

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
    "parsed": "false when the text did not parse and its raw words are all there is",
}
SOURCES = frozenset({"command.line", "db.statement", "code", "path", "url", "egress.host", "egress.hosts"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The acts of one span. `parsed` is false when some text did not parse and was taken as raw words."""

    acts: tuple[Act, ...] = ()
    parsed: bool = True


NONE = Facts()


def of(span: Span) -> Facts:
    """Facts of a span; those of equal texts are worked out once."""
    if span.fields.keys().isdisjoint(SOURCES):
        return NONE
    return NONE
