"""What a secret says about itself and may be told: whose account it is, who issued it, until when it works.

Only numbers, dates, host names and service accounts: nothing that helps to guess the secret, nothing free-form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from detectors.secret_checks import NOT_OF_THE_FORMAT, unescape
from detectors.secret_structures import aws_account, from_base64

_LONGEST = 8192  # bytes of a secret that is read
_HOST = re.compile(r"(?:https?://)?([a-z0-9.-]{4,80})(?:[/:]|\Z)")
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}@[a-z0-9.-]{4,80}\.gserviceaccount\.com")


def _jwt(secret: str) -> Iterator[str]:
    parts = secret[secret.index("eyJ") :].split(".")
    header, claims = (msgspec.json.decode(from_base64(part), type=dict[str, object]) for part in parts[:2])
    algorithm, issuer, expires = header.get("alg"), claims.get("iss"), claims.get("exp")
    if isinstance(algorithm, str) and re.fullmatch(r"[A-Za-z0-9-]{2,20}", algorithm):
        yield f"algorithm {algorithm}"
    if isinstance(issuer, str) and (host := _HOST.match(issuer)):
        yield f"issuer {host[1]}"
    if isinstance(expires, int | float):
        yield f"expires {_date(expires)}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _aws(secret: str) -> Iterator[str]:
    if "ASIA" in secret[:4]:
        yield "temporary, of one session"
    if account := aws_account(secret):
        yield f"account {account}"


def _bedrock(secret: str) -> Iterator[str]:
    if found := re.search(rb"-at-(\d{12}):", from_base64(secret.removeprefix("ABSK"))):
        yield f"account {found[1].decode()}"


def _annotated(secret: str) -> Iterator[str]:
    if secret[52:57] == "JQQJ9":
        yield f"issued {2024 + ord(secret[58]) - ord('A')}-{ord(secret[59]) - ord('A') + 1:02d}"


def _discord(secret: str) -> Iterator[str]:
    yield f"bot {int(from_base64(secret.partition('.')[0]))}"


def _jfrog(secret: str) -> Iterator[str]:
    yield f"expires {_date(int(from_base64(secret).split(b':')[2]))}"


def _google(secret: str) -> Iterator[str]:
    if found := _ACCOUNT.search(from_base64(secret).decode("ascii")):
        yield f"service account {found[0]}"


_FACTS: dict[str, Callable[[str], Iterator[str]]] = {
    "jwt": _jwt,
    "aws_key_id": _aws,
    "aws_bedrock": _bedrock,
    "azure_annotated": _annotated,
    "azure_devops": _annotated,
    "discord_bot": _discord,
    "jfrog": _jfrog,
    "service_account": _google,
}


def facts(check: str, secret: bytes) -> tuple[str, ...]:
    """What a secret that its check does not refute tells, in words; nothing where it tells nothing."""
    tells = _FACTS.get(check)
    if tells is None or len(secret) > _LONGEST:
        return ()
    try:
        return tuple(tells(unescape(secret).decode("ascii")))
    except (*NOT_OF_THE_FORMAT, OSError):  # OSError: a date no calendar has
        return ()
