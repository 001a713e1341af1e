"""What minted tokens are made of: alphabets, encodings, and damage of one letter."""

from __future__ import annotations

import base64
import random
import string
import zlib
from collections.abc import Callable

ALNUM = string.ascii_letters + string.digits
B62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
B62_LOWER = string.digits + string.ascii_lowercase + string.ascii_uppercase
B36 = string.digits + string.ascii_lowercase
HEX = "0123456789abcdef"
B32 = string.ascii_uppercase + "234567"
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
BECH = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
Make = Callable[[random.Random], str]


def some(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def in_base(number: int, alphabet: str, width: int) -> str:
    """Most significant digit first, by powers rather than by remainders."""
    power = len(alphabet) ** (width - 1)
    out = ""
    for _ in range(width):
        out += alphabet[number // power % len(alphabet)]
        power //= len(alphabet)
    return out


def crc(text: str) -> int:
    return zlib.crc32(text.encode())


def b64(data: bytes | str, *, url: bool = False, pad: bool = True) -> str:
    raw = data.encode() if isinstance(data, str) else data
    text = (base64.urlsafe_b64encode(raw) if url else base64.b64encode(raw)).decode()
    return text if pad else text.rstrip("=")


def off(alphabet: str, first: int, last: int = 0) -> Callable[[str, random.Random], str]:
    """Damage: one character between `first` and `last` from the end is another of the alphabet."""

    def damage(token: str, rng: random.Random) -> str:
        places = [i for i in range(first, len(token) - last) if token[i] in alphabet]
        at = rng.choice(places)
        return token[:at] + rng.choice([c for c in alphabet if c != token[at]]) + token[at + 1 :]

    return damage
