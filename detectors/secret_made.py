"""Values for the holes of examples that must pass a check: a card's number, a wallet's key, a phrase.

Rules that accept nothing without its checksum cannot show a random value; these are random and closed properly.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import random
from collections.abc import Callable

from mnemonic import Mnemonic

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"


def _card(rng: random.Random) -> str:
    body = "4" + "".join(rng.choices("0123456789", k=14))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::2])
    return body + str(-(doubled + sum(map(int, body[1::2]))) % 10)


def _grouped(rng: random.Random) -> str:
    number = _card(rng)
    return "-".join(number[at : at + 4] for at in range(0, 16, 4))


def _base58(payload: bytes, alphabet: str) -> str:
    number = int.from_bytes(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4], "big")
    out = ""
    while number:
        number, rest = divmod(number, 58)
        out = alphabet[rest] + out
    return out


def _basic(rng: random.Random) -> str:
    return base64.b64encode(f"robot:{rng.getrandbits(80):x}".encode()).decode()


def _strkey(prefix: bytes) -> Callable[[random.Random], str]:
    def make(rng: random.Random) -> str:
        body = prefix + rng.randbytes(32)
        return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")

    return make


MADE: dict[str, Callable[[random.Random], str]] = {
    "basic": _basic,
    "card": _card,
    "cards": _grouped,
    "wif": lambda rng: _base58(b"\x80" + rng.randbytes(32) + b"\x01", _BASE58),
    "xrp": lambda rng: _base58(b"\x21" + rng.randbytes(16), _RIPPLE),
    "stellar": _strkey(b"\x90"),
    "nats": _strkey(b"\x95\x00"),
    "phrase": lambda rng: Mnemonic("english").to_mnemonic(rng.randbytes(16)),
}
