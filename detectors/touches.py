"""Files a command touches, as far as its name, arguments, flags and redirections tell, and what it does to them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from detectors.commands import Command
from detectors.nested import reaches, roots
from detectors.urls import REMOTE

Action: TypeAlias = Literal["read", "write", "delete", "execute", "list"]

NET_FILE = re.compile(r"/dev/(?:tcp|udp)/([^/\s]+)/(\w+)")
_NO_FILES = frozenset(
    {"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty", "-", "", "nul", "$null", ";", "+", "{}"}
)
_INLINE = frozenset({"-c", "-e", "-m", "-r", "-E", "--eval", "--print", "-p"})  # the program is among the words
_STANDARD = re.compile(
    r"^(?:/usr(?:/local)?)?/s?bin/|^/opt/homebrew/bin/|^[A-Za-z]:[\\/]windows[\\/]system32[\\/]", re.I
)
MAX_FILES = 64


class Touched(NamedTuple):
    """A file, what happens to it, and the directory it is seen from."""

    path: str
    action: Action
    base: str = ""


def touched(command: Command) -> list[Touched]:
    """Files a command touches, in the order they are named."""
    plain, simple = command.plain, command.simple
    own = _OWN.get(command.name)
    found = own(command, plain) if own is not None else []
    if own is None or not found:
        how = _HOW.get(command.known.files)
        found = how(command, plain) if how is not None else []
    found += _by_flags(command)
    program = simple.path
    if ("/" in program or "\\" in program) and not _STANDARD.match(program) and "$(" not in program:
        found.append(Touched(program, "execute"))
    found += [Touched(one, "read") for one in simple.reads] + [Touched(one, "write") for one in simple.writes]
    base = simple.cwd
    kept = (one._replace(base=base) for one in found[: 2 * MAX_FILES] if _is_file(one.path))
    return list(dict.fromkeys(kept))[:MAX_FILES]


def _is_file(path: str) -> bool:
    return path not in _NO_FILES and "://" not in path and not NET_FILE.match(path) and "\n" not in path


def _all(action: Action) -> Callable[[Command, Sequence[str]], list[Touched]]:
    def every(command: Command, plain: Sequence[str]) -> list[Touched]:
        given = {flag for flag, _ in command.given}
        skip = 0 if given & {"-e", "-f", "--regexp", "--expression", "--file"} else command.known.skip
        does: Action = "write" if action == "read" and _in_place(command) else action
        return [Touched(one, does) for one in plain[skip:]]

    return every


def _in_place(command: Command) -> bool:
    """Whether a filter is told to change its file: sed -i, perl -i, jq -i, sort -o."""
    effects = command.known.flags
    return any("write" in effects.get(flag, ()) for flag in command.flags)


def _copy(command: Command, plain: Sequence[str]) -> list[Touched]:
    first: Action = "delete" if command.known.files == "move" else "read"
    target = next((value for flag, value in command.given if flag in ("-t", "--target-directory")), None)
    if target is not None:
        return [*(Touched(one, first) for one in plain), Touched(target, "write")]
    if len(plain) < 2:
        return [Touched(one, first) for one in plain]
    found = [Touched(one, first) for one in plain[:-1] if not REMOTE.match(one)]
    return found if REMOTE.match(plain[-1]) else [*found, Touched(plain[-1], "write")]


def _link(command: Command, plain: Sequence[str]) -> list[Touched]:
    if len(plain) < 2:
        return []
    return [Touched(plain[-1], "write"), Touched(plain[0], "read")]


def _execute(command: Command, plain: Sequence[str]) -> list[Touched]:
    if not plain or not _INLINE.isdisjoint(command.flags) or plain[0] == "-":
        return []
    verbs = command.known.verbs
    script = plain[1:2] if plain[0] in verbs else plain[:1]
    return [Touched(one, "execute") for one in script if plain[0] not in verbs or plain[0] == "run"]


_HOW: dict[str, Callable[[Command, Sequence[str]], list[Touched]]] = {
    "read": _all("read"),
    "write": _all("write"),
    "edit": _all("write"),
    "delete": _all("delete"),
    "list": _all("list"),
    "copy": _copy,
    "move": _copy,
    "link": _link,
    "execute": _execute,
}


def _find(command: Command, plain: Sequence[str]) -> list[Touched]:
    return [Touched(one, "list") for one in roots(command.words)] + (
        [Touched(one, "delete") for one in reaches(command.words)] if "-delete" in command.flags else []
    )


def _dd(command: Command, plain: Sequence[str]) -> list[Touched]:
    pairs = [word.partition("=") for word in command.words[1:]]
    return [Touched(value, "read" if name == "if" else "write") for name, _, value in pairs if name in ("if", "of")]


def _tar(command: Command, plain: Sequence[str]) -> list[Touched]:
    letters = {flag.lstrip("-") for flag in command.flags}
    archive = [value for flag, value in command.given if flag in ("-f", "--file")]
    others = [value for flag, value in command.given if flag in ("-C", "--directory")]
    if letters & {"c", "create", "r", "append", "u", "update"}:
        return [Touched(one, "read") for one in plain] + [Touched(one, "write") for one in archive]
    does: list[Touched] = [Touched(one, "read") for one in archive]
    return does + [Touched(one, "write") for one in others or (["."] if letters & {"x", "extract", "get"} else [])]


def _archive(command: Command, plain: Sequence[str]) -> list[Touched]:
    """zip out.zip a b; 7z a out.7z a b."""
    rest = list(plain[1:]) if command.name != "zip" else list(plain)
    return [Touched(one, "read") for one in rest[1:]] + [Touched(one, "write") for one in rest[:1]]


def _curl(command: Command, plain: Sequence[str]) -> list[Touched]:
    found: list[Touched] = []
    for flag, value in command.given:
        if flag in ("-F", "--form") and "=" in value:
            value = value.partition("=")[2]
            if value[:1] in "@<":
                found.append(Touched(value[1:].split(";")[0], "read"))
        elif flag in ("-d", "--data", "--data-binary", "--data-ascii", "--data-urlencode", "--json", "-H", "--header"):
            name, sign, path = value.partition("@")
            if sign and (not name or (flag == "--data-urlencode" and name.isidentifier())):
                found.append(Touched(path, "read"))
    if not {"-O", "--remote-name", "-J"}.isdisjoint(command.flags):
        found += [Touched(one, "write") for one in (_last(url) for url in plain) if one]
    return found


def _wget(command: Command, plain: Sequence[str]) -> list[Touched]:
    given = {flag for flag, _ in command.given}
    if given & {"-O", "--output-document", "-o", "-d"}:
        return []
    folder = next((value for flag, value in command.given if flag in ("-P", "--directory-prefix")), "")
    return [Touched(posixpath.join(folder, one), "write") for one in (_last(url) for url in plain) if one]


def _last(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] if "/" in url.partition("://")[2] else ""


def _git(command: Command, plain: Sequence[str]) -> list[Touched]:
    verb, rest = command.verb, list(plain[1:])
    if verb in ("rm", "clean"):
        return [Touched(one, "delete") for one in rest or (["."] if verb == "clean" else [])]
    if verb in ("add", "mv", "apply", "am", "restore"):
        return [Touched(one, "read" if verb in ("add", "apply", "am") else "write") for one in rest if one != "."]
    if verb == "checkout" and "--" in command.words:
        at = command.words.index("--")
        return [Touched(one, "write") for one in command.words[at + 1 :]]
    if verb == "clone" and len(rest) > 1:
        return [Touched(rest[1], "write")]
    return []


def _cloud(command: Command, plain: Sequence[str]) -> list[Touched]:
    """aws s3 cp a s3://b, gsutil cp, kubectl cp, docker cp: what is no URL and no place elsewhere is a file here."""
    at = next((i for i, word in enumerate(plain) if word in ("cp", "sync", "mv", "rsync", "copy", "upload")), None)
    if at is None:
        return []
    ends = list(plain[at + 1 : at + 3])
    found: list[Touched] = []
    for place, end in enumerate(ends):
        if "://" not in end and not REMOTE.match(end):
            found.append(Touched(end, "write" if place and len(ends) > 1 else "read"))
    return found


def _database(command: Command, plain: Sequence[str]) -> list[Touched]:
    return [Touched(one, "read") for one in plain[:1] if "." in one or "/" in one]


_OWN: dict[str, Callable[[Command, Sequence[str]], list[Touched]]] = {
    "find": _find,
    "dd": _dd,
    "tar": _tar,
    "bsdtar": _tar,
    "gtar": _tar,
    "zip": _archive,
    "7z": _archive,
    "7za": _archive,
    "rar": _archive,
    "curl": _curl,
    "wget": _wget,
    "git": _git,
    "aws": _cloud,
    "gsutil": _cloud,
    "gcloud": _cloud,
    "az": _cloud,
    "s3cmd": _cloud,
    "kubectl": _cloud,
    "docker": _cloud,
    "podman": _cloud,
    "rclone": _cloud,
    "sqlite3": _database,
    "duckdb": _database,
}


def _by_flags(command: Command) -> list[Touched]:
    """Files that a flag names."""
    found: list[Touched] = []
    for flag, value in command.given:
        if flag in command.known.reads:
            found.append(Touched(value, "read"))
        elif flag in command.known.writes:
            found.append(Touched(value, "write"))
    return found
