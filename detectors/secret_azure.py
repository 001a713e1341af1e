"""Checksums inside Microsoft's keys: Marvin32 or CRC-32 over the key's own bytes, under a seed that names its kind.

A seed is eight ASCII letters read as a number; a four-letter signature before the checksum names the service.
"""

from __future__ import annotations

import base64
import string
from zlib import crc32

from detectors.secret_checksums import BASE62, digits

_WORD = 0xFFFFFFFF


def marvin32(data: bytes, seed: int) -> int:
    """Marvin32 of the bytes, its two halves folded into one word."""
    low, high = seed & _WORD, seed >> 32
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 4) + bytes(4)
    for at in range(0, len(padded), 4):
        low = (low + int.from_bytes(padded[at : at + 4], "little")) & _WORD
        high ^= low
        low = (_turned(low, 20) + high) & _WORD
        high = _turned(high, 9) ^ low
        low = (_turned(low, 27) + high) & _WORD
        high = _turned(high, 19)
    return low ^ high


def _turned(word: int, by: int) -> int:
    return (word << by | word >> (32 - by)) & _WORD


_MESSAGES = ("Send0000", "Listen00", "Manage00", "System00", "Unknown0")
_SEEDS: dict[str, tuple[str, ...]] = {
    "+ASt": ("Default0",),
    "+ABa": ("AbAcct00", "Default0"),
    "ACDb": ("MastRW00", "MastRO00", "SysAll00", "SystRW00", "SystRO00", "Resour00", "Encryp00"),
    "+ASb": _MESSAGES,
    "+AEh": _MESSAGES,
    "+ARm": _MESSAGES,
    "AzFu": ("Functi00", "System00", "Master00"),
    "AzSe": ("Query000", "PAdmin00"),
    "AzCa": ("Access00",),
    "AIoT": ("IoTHub00", "DpsKey00", "Device00"),
    "APIM": ("IoTHub00", "Tenant00", "Gatewy00", "GitKey00"),
    "+ACR": ("ACRDflt0",),
    "+AMC": ("Classic0",),
    "+SQL": ("UsrPwd00",),
    "AZEG": ("Default0",),
}


def _seed(name: str) -> int:
    return int.from_bytes(name.encode(), "big")


def _holds(raw: bytes, name: str) -> bool:
    return marvin32(raw[:-4], _seed(name)).to_bytes(4, "little") == raw[-4:]


def _redis(raw: bytes, secret: str) -> bool:
    """Redis keys have + and / rewritten to P and F, in the checksum too."""
    made = raw[:-4] + marvin32(raw[:-4], _seed("Access00")).to_bytes(4, "little")
    return base64.b64encode(made).decode().replace("+", "P").replace("/", "F") == secret


def identifiable(secret: str) -> bool | None:
    """A key of 32, 39 or 64 bytes whose last four are Marvin32 of the others; None where its kind is unknown."""
    bare = secret.rstrip("=")
    kind = bare[-10:-6].replace("-", "+")
    if kind not in _SEEDS:
        return None
    raw = base64.urlsafe_b64decode(bare.replace("+", "-").replace("/", "_") + "=" * (-len(bare) % 4))
    if any(_holds(raw, name) for name in _SEEDS[kind]):
        return True
    if kind == "AzCa":
        return _redis(raw, secret)
    return False if kind != "AZEG" else None  # its seed is not published


def annotated(secret: str) -> bool | None:
    """A common annotated key: 80 characters (`JQQJ9` at the 53rd), then their Marvin32 in base62 or base64."""
    if len(secret) not in (84, 88) or secret[52:57] != "JQQJ9":
        return None
    tail = secret[80:].rstrip("=")
    checksum = marvin32(base64.b64decode(secret[:80]), _seed("Default0")).to_bytes(4, "little")
    zeros = len(checksum) - len(checksum.lstrip(b"\0"))  # each is written as a digit of its own
    text = ("0" * zeros + digits(int.from_bytes(checksum, "big"), BASE62, 0)).ljust(6, "0")
    again = base64.b64encode(base64.b64decode(text + "==")).decode()  # the last character keeps two bits
    return again.startswith(tail) or base64.b64encode(checksum).decode().startswith(tail)


_ENTRA = string.ascii_lowercase + string.ascii_uppercase + "1234567890.-_~"


def entra_secret(secret: str) -> bool | None:
    """A client secret of an Entra application: `8Q~` ones end in three digits of Marvin32 in their own alphabet."""
    if secret[3:6] != "8Q~":
        return None
    number = marvin32(secret[:-3].encode("ascii"), _seed("AadPwd00"))
    return digits(number, _ENTRA, 1)[:3] == secret[-3:]


def devops_token(secret: str) -> bool | None:
    """A token of Azure DevOps: of 52 base32 characters four bytes are CRC-32 of the others; 84 are annotated."""
    if len(secret) != 52:
        return annotated(secret)
    raw = base64.b32decode(secret.upper() + "====")
    others = raw[:2] + raw[3:7] + raw[9:22] + raw[23:32]
    found = int.from_bytes((raw[2], raw[7], raw[8], raw[22]), "big")
    return found ^ crc32(others) in (0xE0B9692D, 0x1019F92E)  # a user's, an application's
