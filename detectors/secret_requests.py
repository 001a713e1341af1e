"""Credentials of a request, beside the host it goes to: the issuer's name may stand after its token, or far from it.

`curl -H "Authorization: Token t" https://api.heap.io`, `curl -u t: https://api.heap.io`, `https://t@api.heap.io`,
`fetch("https://api.heap.io", {headers: {...}})`: the host says whose token it is, on either side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_AUTHORITY = re.compile(
    rb"(?:(?P<user>[^\s/@:\"'`<>\\]{0,512})(?::(?P<password>[^\s/@\"'`<>\\]{0,512}))?@)?[\w.-]{0,64}"
)
_CARRIED = (
    re.compile(  # a header, parameter or argument for a credential and what it is given; curl's user and password
        rb"""(?xi)
    (?: (?:key|token|secret|auth|authorization|appid|password)(?<!idempotency-key)(?<!c[sx]rf-token)
        \\{0,40}["'`]?[ \t]{0,2}[:=][ \t]{0,2}\\{0,40}["'`]?
        (?:[A-Za-z][\w-]{2,20}[ ](?:token=)?|(?:token|key)=){0,1} (?P<value>[A-Za-z0-9_+/=.~:!$*-]{8,512})
    | (?:-u|--user)[ =]{0,2}\\{0,40}["'`]?
        (?P<user>[^\s:"'`\\]{0,512})(?::(?P<password>[^\s"'`\\]{0,512}))?\\{0,40}(?=["'`\s]|\Z) )
    """
    )
)
_AROUND = 320  # bytes before and after the host


def host(data: bytes, at: int) -> int:
    """Where the URL's authority begins in whose host the name at `at` stands, -1 where it stands in none."""
    slashes = data.rfind(b"://", max(0, at - 600), at)
    return slashes + 3 if slashes >= 0 and _AUTHORITY.fullmatch(data, slashes + 3, at) else -1


def carried(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges of what the request carries to the host in which the name at `at` stands, the host's own first."""
    since = host(data, at)
    if since < 0:
        return
    own = _AUTHORITY.match(data, since, at)
    yield from _parts(own)
    before = max(data.rfind(b"\0", max(0, since - _AROUND), since) + 1, since - _AROUND, 0)
    near = [*_CARRIED.finditer(data, before, since)][::-1]  # the last one before the host is the nearest
    for found in (*near, *_CARRIED.finditer(data, at, min(stop, at + _AROUND))):
        yield from _parts(found)


def _parts(found: re.Match[bytes] | None) -> Iterator[tuple[int, int]]:
    """Ranges of the groups that hold something."""
    for group in ("value", "user", "password") if found else ():
        if found and group in found.re.groupindex and found[group]:
            yield found.span(group)
