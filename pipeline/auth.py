"""Who may send: one bearer token per emitter gives a record its authenticated tenant and emitter.

The tokens file holds SHA-256 hashes only. A plain fast hash is sound here because tokens are 256 random bits made
by `new_token`, never chosen by a person: there is no dictionary to try, and a slow hash would only be paid on
every request. Every hash of the file is compared in constant time on every look-up, so neither the time nor the
order of the file tells anything about a token.

    [[tokens]]
    sha256 = "…64 hex digits…"
    tenant = "acme"
    emitter = "ci-runner"
    requests_per_second = 50     # optional; over the gateway's own limit
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import structlog

from pipeline.errors import SettingsError

log = structlog.get_logger()

PREFIX = "sprw_"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$"
MAX_HEADER = 512
LOOK_SECONDS = 1.0

Name = Annotated[str, msgspec.Meta(pattern=NAME)]


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the tokens file."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    tenant: Name
    emitter: Name
    requests_per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tokens: list[Token]


class Identity(NamedTuple):
    """What a request was proven to come from; `limit` is its own bound in requests per second, 0 for none."""

    tenant: str
    emitter: str
    limit: float


class NewToken(NamedTuple):
    """A token, to be shown once, and the entry to put into the tokens file."""

    token: str
    entry: str


class Tokens:
    """The tokens file, read again when it changes; without one everybody is the default tenant."""

    def __init__(self, file: Path | None, *, limit: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._limit, self._clock = file, limit, clock
        self._entries: list[tuple[bytes, Identity]] = []
        self._stamp = (0, 0)
        self._looked = clock()
        if file is not None:
            self._stamp, self._entries = _stamp(file), _entries(file, limit)

    @property
    def required(self) -> bool:
        return self._file is not None

    def identify(self, authorization: str | None) -> Identity | None:
        """The identity an Authorization header proves; None when it proves none."""
        if self._file is None:
            return Identity("default", "", self._limit)
        self._refresh(self._file)
        if authorization is None or len(authorization) > MAX_HEADER:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, identity in self._entries:
            if hmac.compare_digest(known, digest):
                found = identity
        return found

    def _refresh(self, file: Path) -> None:
        """Take a changed file over; a broken one is reported and the entries that were good stay."""
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            stamp = _stamp(file)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._entries = _entries(file, self._limit)
            log.info("tokens reloaded", entries=len(self._entries))
        except SettingsError as error:
            log.error("tokens not reloaded", reason=str(error))


def new_token(tenant: str, emitter: str, requests_per_second: float | None = None) -> NewToken:
    """A fresh token and its entry. Raises SettingsError for a tenant or emitter that is no plain name."""
    token = PREFIX + secrets.token_urlsafe(32)
    fields = {"sha256": hash_of(token), "tenant": tenant, "emitter": emitter}
    if requests_per_second is not None:
        fields["requests_per_second"] = requests_per_second  # type: ignore[assignment]  # converted below
    try:
        entry = msgspec.convert(fields, Token)
    except msgspec.ValidationError as error:
        wrong = str(error).rpartition("$.")[2].rstrip("`")
        raise SettingsError(
            f"{wrong}: 1 to 64 letters, digits and . _ : @ -, the first one a letter or digit"
            if wrong in ("tenant", "emitter")
            else str(error)
        ) from None
    lines = ["[[tokens]]", f'sha256 = "{entry.sha256}"', f'tenant = "{tenant}"', f'emitter = "{emitter}"']
    if requests_per_second is not None:
        lines.append(f"requests_per_second = {float(requests_per_second)}")
    return NewToken(token, "\n".join(lines) + "\n")


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def check_bind(host: str, tokens: Tokens) -> None:
    """Raise SettingsError when the gateway would listen to other machines without asking for tokens."""
    if tokens.required or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise SettingsError(
        f"gateway.host {host or '(all)'}: without gateway.tokens_file only loopback is allowed; "
        "make a token with `spanwatch token new`"
    )


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    return status.st_mtime_ns, status.st_size


def _entries(file: Path, limit: float) -> list[tuple[bytes, Identity]]:
    try:
        tokens = msgspec.toml.decode(file.read_bytes(), type=_File).tokens
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not TOML ({type(error).__name__})") from None
    if len({token.sha256 for token in tokens}) != len(tokens):
        raise SettingsError(f"{file}: the same sha256 twice")
    return [(bytes.fromhex(t.sha256), Identity(t.tenant, t.emitter, t.requests_per_second or limit)) for t in tokens]
