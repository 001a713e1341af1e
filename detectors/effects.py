"""What a command does: its effects on the world, the files it touches, the destinations it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from detectors import urls
from detectors.commands import Command

Action: TypeAlias = Literal["read", "write", "delete", "execute", "list"]
_NO_FILES = frozenset(
    {"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty", "-", "", "/dev/zero", "nul"}
)
_DEV_NET = re.compile(r"/dev/(?:tcp|udp)/([^/\s]+)/(\w+)")


_TALKS_NOT = frozenset(  # a URL among their words is but text
    "echo printf grep egrep fgrep rg sed awk local export declare set unset readonly alias read test [ cat tee cd find jq"
    " gcc make pytest ls rm cp mv true false wc sort uniq head tail diff".split()
)


class Touched(NamedTuple):
    """A file, what happens to it, and the directory it is seen from."""

    path: str
    action: Action
    base: str = ""


def effects(command: Command, files: Sequence[Touched] = ()) -> tuple[str, ...]:
    """Effects of the program, its verb and its flags, and of redirections."""
    known = command.known
    found = dict.fromkeys((known.verbs.get(command.verbs) or known.verbs.get(command.verb) or known.effect).split())
    for flag in command.flags:
        if more := known.flags.get(flag):
            found.update(dict.fromkeys(more.split()))
    if any(name not in _NO_FILES for name in command.simple.writes):
        found["write"] = None
    if command.name in ("sed", "gsed") and "write" in found:
        found.pop("read", None)
        found["read"] = None
    if _hosts_of_redirects(command):
        found["connect"] = None
    return tuple(found)


def touched(command: Command) -> tuple[list[Touched], list[str]]:
    """Files a command touches, and the destinations it names."""
    known, simple = command.known, command.simple
    files: list[Touched] = []
    plain = _plain(command)
    kind = known.files
    if kind == "copy" and len(plain) > 1:
        files += [Touched(one, "read") for one in plain[:-1]] + [Touched(plain[-1], "write")]
    elif kind == "move" and len(plain) > 1:
        files += [Touched(one, "delete") for one in plain[:-1]] + [Touched(plain[-1], "write")]
    elif kind == "link" and plain:
        files.append(Touched(plain[-1], "write"))
    elif kind == "delete":
        files += [Touched(one, "delete") for one in plain]
    elif kind in ("write", "edit"):
        files += [Touched(one, "write") for one in plain[known.skip :]]
    elif kind == "execute" and plain and not {"-c", "-e", "-m"} & set(command.flags):
        files.append(Touched(plain[0], "execute"))
    elif kind == "read":
        skip = 0 if {"-e", "-f", "--regexp", "--file"} & set(command.flags) else known.skip
        writes = "write" in effects(command) and "-i" in command.flags
        files += [Touched(one, "write" if writes else "read") for one in plain[skip:]]
    reads, writes_ = known.reads.split(), known.writes.split()
    for flag, value in command.given:
        if flag in reads:
            files.append(Touched(value, "read"))
        elif flag in writes_:
            files.append(Touched(value, "write"))
        elif value.startswith("@") or "=@" in value:
            if command.name == "curl":
                files.append(Touched(value.partition("@")[2].split(";")[0], "read"))
    files += [Touched(one, "read") for one in simple.reads] + [Touched(one, "write") for one in simple.writes]
    return [
        one._replace(base=simple.cwd)
        for one in files
        if one.path not in _NO_FILES and "://" not in one.path and not _DEV_NET.match(one.path)
    ], _hosts(command, plain)


def _plain(command: Command) -> list[str]:
    """Arguments that belong to no flag."""
    values = [value for _, value in command.given]
    left = []
    for one in command.args:
        if one in values:
            values.remove(one)
        else:
            left.append(one)
    return left


def _hosts(command: Command, plain: list[str]) -> list[str]:
    found = _hosts_of_redirects(command)
    if command.name not in _TALKS_NOT:
        for word in command.words[1:]:
            if "://" in word and "$(" not in word:
                found += urls.urls(word)
    kind = command.known.hosts
    if kind == "urls":
        found += [
            one
            for one in plain
            if "://" not in one and ("." in one or one == "localhost") and not one.startswith(("@", "/", "."))
        ]
    elif kind == "first" and plain:
        found.append(plain[0])
    elif kind == "all":
        found += plain
    elif kind == "remote" or command.name == "git":
        found += [one.partition(":")[0] for one in plain if re.match(r"^(?:[\w.+-]+@)?[\w.-]{2,}:(?!//)", one)]
    return found


def _hosts_of_redirects(command: Command) -> list[str]:
    names = (*command.simple.reads, *command.simple.writes, *command.words)
    return [found[1] + ":" + found[2] for one in names for found in _DEV_NET.finditer(one)]
