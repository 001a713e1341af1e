"""What well-known programs do to the world, out of tables that are one entry per program and easily added to.

An entry begins with names and the effects of the program, then says more on lines of its own, lists parted by blanks:
    scp: connect copy           effects, of the list below
      files: copy               what it does to its arguments: read, write, delete, edit, execute, copy, move, link,
                                list
      skip: 1                   arguments before the files: a pattern, a mode
      valued: -i -P             flags that take the next word
      reads: -i                 flags whose value is a file it reads; writes: one it writes
      verbs: push=send,publish  effects of a verb instead of the program's own; remote.add is the verb `remote add`
      flags: -d=send            effects that a flag adds
      hosts: remote             which arguments are destinations: urls, first, all, or remote (host:path)
      plain: yes                flags have one dash and many letters
Effects: read, write, delete, move, copy, list, search, print, send, fetch, connect, listen, scan, execute, install,
uninstall, publish, build, test, query, grant, account, configure, schedule, start, stop, disable, deploy, destroy,
encrypt, decode, login, watch. A program not listed has no effect, which says nothing about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from detectors import programs_build, programs_files, programs_network


class Program(NamedTuple):
    """One entry."""

    effect: tuple[str, ...] = ()
    files: str = ""
    skip: int = 0
    valued: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    verbs: Mapping[str, tuple[str, ...]] = {}
    flags: Mapping[str, tuple[str, ...]] = {}
    hosts: str = ""
    plain: bool = False


UNKNOWN = Program()
_PART = re.compile(r"  (files|skip|valued|reads|writes|verbs|flags|hosts|plain): ")


def _entries(table: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Names with effects, and the parts, of each entry; lines that go on are put together."""
    lines: list[str] = []
    for line in table.strip("\n").split("\n"):
        if line.startswith("    "):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    head, parts = "", dict[str, str]()
    for line in lines:
        found = _PART.match(line)
        if found is None:
            if head:
                yield head, parts
            head, parts = line, {}
        else:
            parts[found[1]] = line[found.end() :]
    yield head, parts


def _mapping(text: str) -> dict[str, tuple[str, ...]]:
    pairs = (entry.partition("=") for entry in text.split())
    return {name.replace(".", " "): tuple(part for part in value.split(",") if part) for name, _, value in pairs}


def read(table: str) -> dict[str, Program]:
    """The programs of one table by name."""
    found: dict[str, Program] = {}
    for head, parts in _entries(table):
        names, _, effect = head.rpartition(":")
        reads, writes = (frozenset(parts.get(part, "").split()) for part in ("reads", "writes"))
        program = Program(
            effect=tuple(effect.split()),
            files=parts.get("files", ""),
            skip=int(parts.get("skip", "0")),
            valued=frozenset(parts.get("valued", "").split()) | reads | writes,
            reads=reads,
            writes=writes,
            verbs=_mapping(parts.get("verbs", "")),
            flags=_mapping(parts.get("flags", "")),
            hosts=parts.get("hosts", ""),
            plain="plain" in parts,
        )
        found.update(dict.fromkeys(names.split(), program))
    return found


PROGRAMS: Mapping[str, Program] = {
    **read(programs_files.TABLE),
    **read(programs_build.TABLE),
    **read(programs_network.TABLE),
}


@lru_cache(maxsize=2_048)
def program(name: str) -> Program:
    """What is known of a program; python3.11 is python, and Windows does not mind case."""
    for spelled in (name, name.rstrip("0123456789."), name.lower()):
        if spelled in PROGRAMS:
            return PROGRAMS[spelled]
    return UNKNOWN
