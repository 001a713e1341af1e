"""A suggested policy as text: a file that loads as it stands, with what it was made of beside every line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from detectors.policy import VERSION, Matter

SENSITIVE = (  # classes of files that are refused where they were never used, and never made general
    *("env", "cloud-credentials", "package-token", "agent-credentials", "ssh-key", "private-key", "password-store"),
    *("browser-data", "wallet", "kube-config", "secrets-dir", "shell-history", "system-account"),
)
LISTS: tuple[Matter, ...] = ("tools", "repositories", "egress", "models", "providers", "mcp_servers", "session_modes")


class Counted(NamedTuple):
    """A thing, in how many sessions and calls it was used, and what more there is to say."""

    matter: Matter
    name: str
    sessions: int
    calls: int
    note: str = ""

    @property
    def line(self) -> str:
        said = f"{_many(self.sessions, 'session')}, {_many(self.calls, 'call')}"
        return f"{said}; {self.note}" if self.note else said


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy should hold."""

    agent_type: str
    sessions: int
    spans: int
    min_sessions: int
    allow: dict[Matter, list[Counted]]
    undecided: dict[Matter, list[Counted]]
    left: tuple[Counted, ...]
    never: tuple[str, ...]
    approvals: tuple[Counted, ...]
    unasked: tuple[Counted, ...]

    def text(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def summary(self) -> str:
        """One line for the person who asked."""
        decided = sum(map(len, self.allow.values()))
        open_ = sum(map(len, self.undecided.values()))
        words = [f"{_many(self.sessions, 'session')} of {self.agent_type}", f"{decided} allowed"]
        words += [f"{open_} undecided (in fewer than {self.min_sessions} sessions)", f"{len(self.left)} left out"]
        return ", ".join(words)

    def _lines(self) -> Iterator[str]:
        yield f"# Suggested from {_many(self.sessions, 'session')}, {_many(self.spans, 'record')}; read it before use."
        yield f"version: {VERSION}"
        yield f"agent_type: {_quoted(self.agent_type)}"
        for matter in LISTS:
            if matter == "repositories":
                yield from self._paths()
            if matter in self.allow or matter in self.undecided:
                yield f"{matter}:"
                yield from _list("allow", self.allow.get(matter, ()), "  ")
        if self.approvals:
            yield "approvals: # a human had allowed each of these calls"
            for one in self.approvals:
                yield f"  - {{effects: [{one.name}], by: human}} # {one.line}"
        for one in self.unasked:
            yield f"# nobody is asked for {one.name}: {one.line}"
        if self.undecided:
            yield f"undecided: # used in fewer than {self.min_sessions} sessions: move each to allow or deny"
            for matter, things in self.undecided.items():
                yield from _list(matter, things, "  ")
        for one in self.left:
            yield f"# left out of {one.matter}: {_quoted(one.name)} ({one.line})"

    def _paths(self) -> Iterator[str]:
        yield "paths:"
        for matter in ("read", "write"):
            yield f"  {matter}:"
            if matter in self.allow or matter in self.undecided:
                yield from _list("allow", self.allow.get(matter, ()), "    ")
            yield "    deny: # kinds of files that were never used"
            for name in self.never:
                yield f"      - class:{name}"


def _list(key: str, things: Iterable[Counted], indent: str) -> Iterator[str]:
    things = list(things)
    if not things:
        yield f"{indent}{key}: []"
        return
    yield f"{indent}{key}:"
    for one in things:
        yield f"{indent}  - {_quoted(one.name)} # {one.line}"


def _quoted(text: str) -> str:
    """The text as YAML reads it back: in double quotes, as JSON writes it."""
    return json.dumps(text.encode("utf-8", "replace").decode())


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
