"""Checksums that issuers close their tokens with: CRC-32 or a hash over the token itself, in digits of their choice.

Each function answers whether the checksum holds: yes, no, or None where this form of the token carries none.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
from zlib import crc32

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE62_LOWER_FIRST = string.digits + string.ascii_lowercase + string.ascii_uppercase
BASE36 = string.digits + string.ascii_lowercase


def digits(number: int, alphabet: str, width: int) -> str:
    """The number in the alphabet's base, zero-padded to `width`."""
    out = ""
    while number:
        number, rest = divmod(number, len(alphabet))
        out = alphabet[rest] + out
    return out.rjust(width, alphabet[0])


def _crc(text: str) -> int:
    return crc32(text.encode())


def body_base62(secret: str) -> bool:
    """GitHub, npm, Vercel: prefix_ + body + CRC-32 of the body, base62."""
    body = secret.partition("_")[2]
    return digits(_crc(body[:-6]), BASE62, 6) == body[-6:]


def whole_base62(secret: str) -> bool:
    """Weights & Biases: CRC-32 of everything before it, base62."""
    return digits(_crc(secret[:-6]), BASE62, 6) == secret[-6:]


def whole_base62_lower_first(secret: str) -> bool:
    """Apify: CRC-32 of everything before it, base62 with the lower-case letters before the upper-case."""
    return digits(_crc(secret[:-6]), BASE62_LOWER_FIRST, 6) == secret[-6:]


def last_part_base62(secret: str) -> bool:
    """SaladCloud: CRC-32 of what stands between the last underscore and the checksum, base62."""
    body = secret.rpartition("_")[2]
    return digits(_crc(body[:-6]), BASE62, 6) == body[-6:]


def github_fine_grained(secret: str) -> bool | None:
    """The eight behind the first 77 characters are base32 of SHA-256 over those."""
    if len(secret) < 85:
        return None
    return base64.b32encode(hashlib.sha256(secret[:77].encode()).digest())[:8].decode() == secret[77:85].upper()


def gitlab_routable(secret: str) -> bool | None:
    """prefix-payload.01.<length><crc>: CRC-32 of everything before it, base36, seven characters."""
    if not re.search(r"\.[0-9a-z]{2}\.[0-9a-z]{9}\Z", secret):
        return None
    return digits(_crc(secret[:-7]), BASE36, 7) == secret[-7:]


def whole_upper_hex(secret: str) -> bool | None:
    """Atlassian: CRC-32 of everything before it, eight upper-case hex digits."""
    return f"{_crc(secret[:-8]):08X}" == secret[-8:] if re.search(r"[0-9A-F]{8}\Z", secret) else None


def whole_hex(secret: str) -> bool:
    """Canva: CRC-32 of everything before it, eight hex digits."""
    return f"{_crc(secret[:-8]):08x}" == secret[-8:].lower()


def body_hex(secret: str) -> bool:
    """Cloudflare and Zuplo: CRC-32 of the body without its prefix (and the underscore after it), hex."""
    body = secret.partition("_")[2]
    return f"{_crc(body[:-8].rstrip('_')):08x}" == body[-8:].lower()


def grafana(secret: str) -> bool:
    """glsa_<32>_<8 hex>: CRC-32 of the first 37 characters, little-endian."""
    return _crc(secret[:37]).to_bytes(4, "little").hex() == secret[-8:].lower()


def confluent(secret: str) -> bool:
    """cflt<54><6>: the first six base64 characters of the little-endian CRC-32 of the body."""
    return base64.b64encode(_crc(secret[4:-6]).to_bytes(4, "little")).decode()[:6] == secret[-6:]


_CARDS = re.compile(  # issuer ranges and the lengths each of them uses
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
)


def card(secret: str) -> bool | None:
    """A payment card's number: the Luhn digit and a known issuer and length.

    One random number in ten has the digit, so passing proves nothing; failing proves that it is none.
    """
    number = re.sub(r"[ -]", "", secret)
    if not _CARDS.fullmatch(number) or len(set(number)) < 4:
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return None if (doubled + sum(map(int, number[-1::-2]))) % 10 == 0 else False
