"""Destinations: the host a URL or an address names, and the domain someone registered it under."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from publicsuffixlist import PublicSuffixList

_SUFFIXES = PublicSuffixList()  # the list travels in the package
MAX_URL = 4_096
_SCHEMES = (
    r"https?|wss?|ftps?|sftp|ssh|git|rsync|tcp|udp|ldaps?|smb|cifs|nfs|dns|smtps?|imaps?|telnet|rtmp|s3|gs|az|wasbs?|abfss?"
    r"|postgres(?:ql)?|mysql|mariadb|mssql|redis|rediss|mongodb(?:\+srv)?|amqps?|kafka|nats|mqtts?|socks[45]h?|jdbc:\w+"
)
_URL = re.compile(rf"\b(?:{_SCHEMES})(?:\+\w+)?://[^\s\"'`<>|;(){{}}\\^,]+", re.I)
_NAME = re.compile(r"(?=.{1,253}$)(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?", re.A)
_BUCKETS = {"s3": "s3.amazonaws.com", "gs": "storage.googleapis.com"}


REMOTE = re.compile(r"((?:[\w.+-]+@)?(?:[\w-]{2,}|(?:[\w-]+\.)+[\w-]+|\[[0-9a-fA-F:]+\])):(?!//|\\)")  # host:path


class Destination(NamedTuple):
    """Where something goes: host in lower case, its registered domain, the scheme where a URL told it, the port."""

    host: str
    domain: str
    scheme: str = ""
    port: int | None = None
    user: bool = False  # whether the URL holds a user or a password
    scope: str = "public"  # local, private or public


@lru_cache(maxsize=4_096)
def destination(text: str, scheme: str = "") -> Destination | None:
    """Where a URL or a bare host, host:port, user@host leads; None for what names no host.

    This very machine has no registered domain: nothing leaves by talking to it.
    """
    if text.startswith(("data:", "javascript:", "mailto:", "about:", "blob:")):
        return None
    said, found, rest = text[:MAX_URL].strip().strip("\"'").partition("://")
    if found:
        scheme = said.lower()
        if scheme in ("file", "data", "javascript", "unix"):
            return None
        if scheme in _BUCKETS:
            rest = f"{rest.split('/', 1)[0]}.{_BUCKETS[scheme]}"
    authority = re.split(r"[/?#\\]", rest if found else said, maxsplit=1)[0]
    try:
        parts = urlsplit("//" + authority)
        host, user = parts.hostname or "", parts.username is not None
    except ValueError:
        return None
    try:
        port = parts.port
    except ValueError:
        port = None
    host = host.rstrip(".").lower()
    if not host or not (_NAME.fullmatch(host) or ":" in host):
        return None
    if local(host):
        return Destination(host, "", scheme, port, user, "local")
    return Destination(host, registered(host), scheme, port, user, "private" if private(host) else "public")


@lru_cache(maxsize=4_096)
def registered(host: str) -> str:
    """Domain a host is registered under, the address itself for an address, the name itself for a bare name."""
    host = host.strip("[]").rstrip(".").lower()
    number = address(host)
    if number is not None:
        return str(number)
    return _SUFFIXES.privatesuffix(host) or host


def address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a host is, also where it is one number (2130706433, 0x7f000001); None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(int(host, 0)) if host[:1].isdigit() and "." not in host else None
    except ValueError:
        return None


def local(host: str) -> bool:
    """Whether a host is this machine itself, which nothing leaves by talking to."""
    if host == "localhost" or host.endswith(".localhost") or host == "0.0.0.0":
        return True
    number = address(host)
    return number is not None and number.is_loopback


_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"),
    )
)
_PRIVATE_NAMES = (".internal", ".local", ".lan", ".localdomain", ".home.arpa", ".intranet", ".corp", ".svc")


def private(host: str) -> bool:
    """Whether a host can only be in a network of one's own: a private address, a bare name, an inner domain."""
    number = address(host)
    if number is not None:
        return any(number in network for network in _PRIVATE if network.version == number.version)
    return "." not in host or host.endswith(_PRIVATE_NAMES)


def urls(text: str) -> list[str]:
    """URLs with a network scheme in a text, as they stand."""
    return [found[0].rstrip(".,:!?]") for found in _URL.finditer(text)] if "://" in text else []
