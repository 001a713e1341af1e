"""Whose content a command of a line handles: through pipes, substitutions, variables and files written before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detectors.commands import Command
from detectors.python_values import NO_FLOW, Flow
from detectors.shell_values import join
from detectors.touches import Touched

MAX_SOURCES = 64
_MAKES_NONE = frozenset(
    {"test", "[", "wc", "rm", "ls", "chmod", "mkdir", "touch", "stat"}
)  # their output is no content


class Flows:
    """Follows content through the commands of one span in the order they stand."""

    def __init__(self) -> None:
        self._of: dict[int, Flow] = {}  # command → sources of what it prints
        self._written: dict[str, Flow] = {}  # file → sources of what is in it

    def command(self, command: Command, files: Sequence[Touched], hosts: Iterable[str]) -> Flow:
        """Sources of what the command handles: files it reads, what is fed to it, hosts it fetches from."""
        simple = command.simple
        flow: Flow = NO_FLOW
        for one in files:
            path = join(one.base, one.path)
            if one.action == "read":
                flow |= {("file", path)}
            if one.action in ("read", "execute"):
                flow |= self._written.get(path, NO_FLOW)
        for other in (*simple.before, *simple.fed):
            flow |= self._of.get(id(other), NO_FLOW)
        if simple.decoded:
            flow |= {("decoded", "")}
        if len(flow) > MAX_SOURCES:
            flow = frozenset(sorted(flow)[:MAX_SOURCES])
        gives = flow | {("host", host) for host in hosts}
        if command.name not in _MAKES_NONE:
            self._of[id(simple)] = self._of.get(id(simple), NO_FLOW) | gives
        for one in files:
            if one.action == "write":
                path = join(one.base, one.path)
                self._written[path] = self._written.get(path, NO_FLOW) | gives
        return flow
