"""Keys of wallets and key pairs that travel as text: base58, bech32 and base32 with a checksum, and word phrases."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from itertools import accumulate

from mnemonic import Mnemonic

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_MAX = 200  # characters; a longer text is no key of these forms


def _base58(text: str, alphabet: str = _BASE58) -> bytes:
    """The payload of a base58check text; ValueError where the checksum fails."""
    if len(text) > _MAX:
        raise ValueError("too long")
    number = 0
    for letter in text:
        number = number * 58 + alphabet.index(letter)
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, found = raw[:-4], raw[-4:]
    if len(found) < 4 or hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] != found:
        raise ValueError("wrong checksum")
    return payload


def wif(secret: str) -> bool:
    """A private key in wallet import format: version, 32 bytes, perhaps 01 for a compressed public key."""
    payload = _base58(secret)
    return len(payload) == 33 or (len(payload) == 34 and payload[33] == 1)


def extended_key(secret: str) -> bool:
    """An extended private key (xprv and its kin): 78 bytes, the key itself after a zero byte."""
    payload = _base58(secret)
    return len(payload) == 78 and payload[45] == 0


def encrypted_wif(secret: str) -> bool:
    """A BIP-38 key: 39 bytes beginning with 01 42 or 01 43."""
    payload = _base58(secret)
    return len(payload) == 39 and payload[:2] in (b"\x01\x42", b"\x01\x43")


def tezos(secret: str) -> bool:
    """A Tezos key: its four-byte prefix, then 32 bytes of a seed or 64 of a key."""
    return len(_base58(secret)) in (36, 68)


def ripple(secret: str) -> bool:
    """An XRP seed: base58check in Ripple's alphabet, version 33 and 16 bytes, or an Ed25519 one with three more."""
    payload = _base58(secret, _RIPPLE)
    return (len(payload) == 17 and payload[0] == 33) or (len(payload) == 19 and payload[:3] == b"\x01\xe1\x4b")


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bech32(secret: str) -> bool:
    """age, nostr, Sui and Cardano keys: the BCH code of BIP-173 or its successor BIP-350 over prefix and data.

    The length limit of addresses is not kept: keys made with other tools are longer.
    """
    if len(secret) > 4 * _MAX or secret not in (secret.lower(), secret.upper()):
        return False
    prefix, _, data = secret.lower().rpartition("1")
    if not prefix or len(data) < 6:
        return False
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + [_BECH32.index(c) for c in data]
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            checksum ^= term if top >> bit & 1 else 0
    return checksum in (1, 0x2BC830A3)


def _base32_crc(secret: str) -> bytes:
    """What stands before the two bytes of CRC-16, which go low byte first; ValueError where they are wrong."""
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    if binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise ValueError("wrong checksum")
    return raw[:-2]


def stellar(secret: str) -> bool:
    """A Stellar secret seed: version 144 (the letter S), 32 bytes, CRC-16."""
    body = _base32_crc(secret)
    return len(body) == 33 and body[0] == 18 << 3


def nkey(secret: str) -> bool:
    """A NATS seed (S and the letter of its kind) or private key (P): prefix, 32 bytes, CRC-16."""
    body = _base32_crc(secret)
    return (len(body) == 34 and body[0] & 0xF8 == 18 << 3) or (len(body) == 33 and body[0] == 15 << 3)


@lru_cache(maxsize=1)
def _english() -> dict[str, int]:
    return {word: place for place, word in enumerate(Mnemonic("english").wordlist)}


def phrase(secret: str) -> bool:
    """A BIP-39 phrase: 12 to 24 words of the English list, the last bits SHA-256 of the others."""
    words = re.split(r"[\s,]+", secret.lower().strip())
    if len(words) not in (12, 15, 18, 21, 24):
        return False
    places = _english()
    *_, number = accumulate((places[word] for word in words), lambda sum_, place: sum_ << 11 | place, initial=0)
    bits = len(words) * 11 // 33
    entropy = (number >> bits).to_bytes(len(words) * 11 * 32 // 33 // 8, "big")
    return hashlib.sha256(entropy).digest()[0] >> (8 - bits) == number & (1 << bits) - 1
