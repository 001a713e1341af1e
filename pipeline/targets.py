"""What a tool call aims at: commands, paths and URLs in its arguments, hosts in URLs and in command lines."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

MAX_HOSTS = 32
_AUTHORITY = re.compile(r"[^/?#\\]{0,512}")
_MAX_LINE = 8192
_DEPTH = 4
_MAX_OBJECTS = 32  # with objects in them
_OPENING = frozenset(("{", "[", '"'))
_SCHEMES = "https?|wss?|ftps?|sftp|ssh|git|rsync|tcp|udp|ldaps?|smb|postgres(?:ql)?|mysql|redis|mongodb|amqps?|socks5h?"
_URL = re.compile(rf"(?:{_SCHEMES})(?:\+ssh)?://[^\s\"'`<>|;(){{}}\\^,]+", re.I)
_CLIENTS = re.compile(r"\b(?:curl|wget|nc|ncat|netcat|telnet|ssh|scp|sftp|rsync|ftp|httpie|https?|git)\b")
_DEV_TCP = re.compile(r"/dev/(?:tcp|udp)/([A-Za-z0-9.-]+)/(\d+)")
_BARE = re.compile(r"(?:[\w.+-]+@)?((?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]+|\d{1,3}(?:\.\d{1,3}){3})(?=[:/\s]|$)")
_REMOTE = re.compile(r"(?<![\w./:@-])[\w.+-]+@((?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+):")
_WORD = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s;|&]+|[;|&]+")
# Options of curl, wget, nc and ssh that take the next word as their value.
_VALUED = frozenset(
    (
        "-d", "-H", "-o", "-O", "-T", "-F", "-u", "-X", "-A", "-e", "-b", "-c", "-m", "-w", "-x", "-i", "-l", "-p",
        "-P", "-L", "-R", "-D", "-J", "-U", "--data", "--data-raw", "--data-binary", "--data-urlencode", "--header",
        "--output", "--upload-file", "--form", "--form-string", "--user", "--request", "--user-agent", "--referer",
        "--cookie", "--max-time", "--write-out", "--proxy", "--config", "--cacert", "--cert", "--key", "--post-data",
        "--post-file", "--output-document", "--body-data", "--body-file", "--method", "--retry", "--connect-timeout",
        "--json",
    )
)  # fmt: skip


class Endpoint(NamedTuple):
    """Host in lower case without a port, and the port where one was named."""

    host: str
    port: int | None


def endpoint(url: str) -> Endpoint | None:
    """Where a URL leads; None for what has no host, and for this very machine."""
    _, found, rest = url.partition("://")
    return _place(_AUTHORITY.match(rest if found else url)[0])  # type: ignore[index]  # matches anything


@lru_cache(maxsize=8192)
def _place(authority: str) -> Endpoint | None:
    try:
        parts = urlsplit("//" + authority)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return Endpoint(host, port) if host and not local(host) else None


def local(host: str) -> bool:
    """Whether a host is this machine itself, which nothing leaves by talking to."""
    if host == "localhost" or host.endswith(".localhost") or host == "0.0.0.0":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def urls(text: str) -> list[str]:
    """URLs with a network scheme in a text, as they stand."""
    return [found[0].rstrip(".,:!?]") for found in _URL.finditer(text)] if "://" in text else []


def hosts(named: Iterable[str]) -> list[str]:
    """Hosts of URLs, in order; a URL without one has none."""
    return [found.host for url in named if (found := endpoint(url))]


def command_hosts(line: str) -> list[str]:
    """Hosts a command line talks to: URLs, `/dev/tcp`, and what curl, ssh and their kin take without a scheme."""
    found = hosts(urls(line))
    if "/dev/" in line:
        found += [named for m in _DEV_TCP.finditer(line) if not local(named := m[1].lower())]
    if _CLIENTS.search(line):
        found += _spoken_to(line[:_MAX_LINE])
    return found


def _spoken_to(line: str) -> Iterator[str]:
    """What network clients in the line name as their target without a scheme."""
    client, skip = "", False
    for word in _WORD.findall(line):
        if word[0] in ";|&":
            client, skip = "", False
            continue
        bare = word.strip("\"'")
        if not client:
            base = bare.rpartition("/")[2]
            client = base if _CLIENTS.fullmatch(base) else ""
            continue
        if skip or bare.startswith("-"):
            skip = not skip and bare in _VALUED
            continue
        wanted = _REMOTE if client in ("scp", "rsync", "git") else _BARE
        named = wanted.match(bare)
        if named and "://" not in bare and not local(named[1].lower()):
            yield named[1].lower()


def open_json(text: str) -> Any:
    """What a JSON text holds, looking through JSON inside JSON; None for no JSON, the text itself never."""
    for _ in range(_DEPTH):
        if text[:1] not in _OPENING and text.lstrip()[:1] not in _OPENING:
            return None
        try:
            value = _decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return None
        if not isinstance(value, str):
            return value
        text = value
    return None


class Names:
    """Names an argument may go by, in order of preference."""

    __slots__ = ("any", "ordered")

    def __init__(self, ordered: Sequence[str]) -> None:
        self.ordered, self.any = tuple(ordered), frozenset(ordered)


def levels(opened: Any) -> list[dict[str, Any]]:
    """The objects an argument may stand in: the arguments themselves, then `kwargs`, `input` and other wrappers."""
    if type(opened) is not dict:
        return []
    found = [opened]
    depth = 1
    for one in found:  # grows while it is walked: level by level
        inner = [value for value in one.values() if type(value) is dict]
        if inner and (depth := depth + 1) <= _MAX_OBJECTS:
            found += inner
    return found


def argument(objects: Iterable[dict[str, Any]], names: Names) -> str:
    """The first of the named arguments as text, the outermost object first."""
    for one in objects:
        if names.any.isdisjoint(one):
            continue
        for name in names.ordered:
            value = one.get(name)
            if type(value) is str and value:
                return value
            if type(value) is list and value and all(isinstance(v, str) for v in value):
                return shlex.join(value)
    return ""


def cut_argument(text: str, names: Sequence[str]) -> str:
    """The first of the named arguments in JSON that was cut off and so does not parse."""
    for name in names:
        if found := re.search(rf'"{re.escape(name)}"\s*:\s*"((?:[^"\\]|\\.)*)', text):
            try:
                return str(msgspec.json.decode(f'"{found[1]}"'))
            except (msgspec.MsgspecError, UnicodeError):
                return found[1]
    return ""


def command_line(args: Sequence[Any] | str) -> str:
    """A command's words as one line, quoted where a shell would take them apart; JSON of a list is opened first."""
    words = open_json(args) if isinstance(args, str) else args
    if isinstance(words, list):
        return shlex.join(str(w) for w in words)
    return args if isinstance(args, str) else ""


_decode = msgspec.json.Decoder().decode
_PATCH = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: (.+)$", re.M)


def patched_path(text: str) -> str:
    """The first file a patch in the apply_patch format touches."""
    found = _PATCH.search(text) if "*** " in text else None
    return found[1].strip() if found else ""


def file_path(uri: str) -> str:
    """Path of a `file:` URI as it stands, percent signs and all."""
    return uri.removeprefix("file://").removeprefix("file:")
