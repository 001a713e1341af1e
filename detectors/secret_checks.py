"""What a secret proves about itself offline: checksums and structure some issuers build into their tokens.

A check answers whether the text can be a real token of that format: `valid`, `invalid`, or `unchecked` where
this form carries nothing to verify. `invalid` is an answer, not a reason to drop: half of the tokens people
publish as samples fail, and so does a real one with a letter lost.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import string
from collections.abc import Callable
from zlib import crc32

import msgspec

from detectors.model import Verdict

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE36 = string.digits + string.ascii_lowercase


def digits(number: int, alphabet: str, width: int) -> str:
    """The number in the alphabet's base, zero-padded to `width`."""
    out = ""
    while number:
        number, rest = divmod(number, len(alphabet))
        out = alphabet[rest] + out
    return out.rjust(width, alphabet[0])


def _says(condition: bool) -> Verdict:
    return "valid" if condition else "invalid"


def unescape(secret: bytes) -> bytes:
    """The secret as it was before JSON escaped it: equal secrets compare equal at every depth."""
    if b"\\" not in secret and b"\n" not in secret and b"\r" not in secret:
        return secret
    plain = re.sub(rb"\\+([/\"'])", rb"\1", secret)
    return re.sub(rb"(?:\\+r)?\\+n|\r\n", b"\n", plain)


def _crc_base62(secret: str) -> Verdict:
    """GitHub and npm: prefix_ + body + CRC-32 of the body in base62, six characters."""
    body = secret.partition("_")[2]
    return _says(digits(crc32(body[:-6].encode()), BASE62, 6) == body[-6:])


def _github_fine(secret: str) -> Verdict:
    """github_pat_: the last eight are base32 of SHA-256 over the 77 characters before them."""
    if len(secret) < 85:
        return "unchecked"
    want = base64.b32encode(hashlib.sha256(secret[:77].encode()).digest())[:8].decode()
    return _says(secret[77:85].upper() == want)


def _gitlab_routable(secret: str) -> Verdict:
    """prefix-payload.01.<length><crc>: CRC-32 of everything before it, base36, seven characters."""
    if not re.search(r"\.[0-9a-z]{2}\.[0-9a-z]{9}$", secret):
        return "unchecked"
    return _says(digits(crc32(secret[:-7].encode()), BASE36, 7) == secret[-7:])


def _crc_whole_hex(secret: str) -> Verdict:
    """Atlassian: the last eight are CRC-32 of everything before them, upper-case hex."""
    body, tail = secret[:-8], secret[-8:]
    return _says(f"{crc32(body.encode()):08X}" == tail) if re.fullmatch("[0-9A-F]{8}", tail) else "unchecked"


def _crc_body_hex(secret: str) -> Verdict:
    """Cloudflare and Zuplo: CRC-32 of the body without its prefix, hex."""
    body = secret.partition("_")[2]
    return _says(f"{crc32(body[:-8].rstrip('_').encode()):08x}" == body[-8:].lower())


def _grafana(secret: str) -> Verdict:
    """glsa_<32>_<8 hex>: CRC-32 of the first 37 characters, little-endian."""
    return _says(crc32(secret[:37].encode()).to_bytes(4, "little").hex() == secret[-8:].lower())


def _confluent(secret: str) -> Verdict:
    """cflt<54><6>: the first six base64 characters of the little-endian CRC-32 of the body."""
    want = base64.b64encode(crc32(secret[4:-6].encode()).to_bytes(4, "little")).decode()[:6]
    return _says(secret[-6:] == want)


def _aws_key_id(secret: str) -> Verdict:
    """The id holds the account number in base32; only key ids issued since 2019 (fifth character Q up) do."""
    try:
        raw = base64.b32decode(secret[4:] + "=" * (-len(secret[4:]) % 8))
    except binascii.Error:
        return "invalid"
    account = (int.from_bytes(raw[:6], "big") & 0x7FFFFFFFFF80) >> 7
    return "valid" if secret[4] >= "Q" and account < 10**12 else "unchecked"


def _b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _jwt(secret: str) -> Verdict:
    """header.payload.signature, the first two JSON objects, the header naming its algorithm."""
    parts = secret[secret.index("eyJ") :].split(".")
    try:
        header = msgspec.json.decode(_b64(parts[0]), type=dict[str, msgspec.Raw])
        msgspec.json.decode(_b64(parts[1]), type=dict[str, msgspec.Raw])
    except (ValueError, msgspec.MsgspecError, IndexError):
        return "invalid"
    return _says("alg" in header)


_ARMOUR = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)(?:-----END|\Z)", re.DOTALL)


def _pem(secret: str) -> Verdict:
    """The body is base64 of one DER sequence of exactly its length, or of an OpenSSH key."""
    found = _ARMOUR.search(secret)
    if not found or "END" not in secret or "PGP" in found[1]:
        return "unchecked"
    body = found[2]
    if "Proc-Type" in body or "ENCRYPTED" in found[1]:
        return "unchecked"
    try:
        raw = base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", body), validate=True)
    except binascii.Error:
        return "invalid"
    if "OPENSSH" in found[1]:
        return _says(raw.startswith(b"openssh-key-v1\0"))
    if len(raw) < 4 or raw[0] != 0x30:
        return "invalid"
    width = raw[1] & 0x7F if raw[1] & 0x80 else 0
    length = int.from_bytes(raw[2 : 2 + width], "big") if width else raw[1]
    return _says(2 + width + length == len(raw))


def _json_inside(secret: str) -> Verdict:
    """prefix_<base64 of a JSON object>...: Sentry organisation tokens, 1Password service accounts."""
    body = re.split(r"[_.]", secret, maxsplit=1)[1].partition("_")[0]
    try:
        msgspec.json.decode(_b64(body), type=dict[str, msgspec.Raw])
    except (ValueError, msgspec.MsgspecError):
        return "invalid"
    return "valid"


def _basic(secret: str) -> Verdict:
    """user:password in base64."""
    try:
        return _says(b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True))
    except binascii.Error:
        return "invalid"


_CHECKS: dict[str, Callable[[str], Verdict]] = {
    "crc_base62": _crc_base62,
    "github_fine": _github_fine,
    "gitlab_routable": _gitlab_routable,
    "crc_whole_hex": _crc_whole_hex,
    "crc_body_hex": _crc_body_hex,
    "grafana": _grafana,
    "confluent": _confluent,
    "aws_key_id": _aws_key_id,
    "jwt": _jwt,
    "pem": _pem,
    "json_inside": _json_inside,
    "basic": _basic,
}
CHECKS = frozenset(_CHECKS)


def verdict(check: str, secret: bytes) -> Verdict:
    """What the named check says of the secret as it stands in the text."""
    if not check:
        return "unchecked"
    try:
        return _CHECKS[check](unescape(secret).decode("ascii"))
    except UnicodeDecodeError:
        return "unchecked"
