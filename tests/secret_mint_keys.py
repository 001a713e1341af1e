"""Wallet keys, key pairs and private-key files that pass their format's check, made from the published definitions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import struct
import textwrap

from mnemonic import Mnemonic

from tests.secret_parts import ALNUM, B58, BECH, Make, b64, off

# --- wallets


def base58check(payload: bytes, alphabet: str = B58) -> str:
    raw = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = alphabet[rest] + out
    return alphabet[0] * (len(raw) - len(raw.lstrip(b"\0"))) + out


def polymod(values: list[int]) -> int:
    """BIP-173, as the text of the standard gives it."""
    check = 1
    for value in values:
        top = check >> 25
        check = ((check & 0x1FFFFFF) << 5) ^ value
        for i, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if (top >> i) & 1 else 0
    return check


def bech32(prefix: str, size: int, *, upper: bool = False, constant: int = 1) -> Make:
    def make(rng: random.Random) -> str:
        bits = "".join(f"{byte:08b}" for byte in rng.randbytes(size))
        bits += "0" * (-len(bits) % 5)
        data = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
        expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
        check = polymod([*expanded, *data, 0, 0, 0, 0, 0, 0]) ^ constant
        data += [(check >> 5 * (5 - i)) & 31 for i in range(6)]
        text = prefix + "1" + "".join(BECH[value] for value in data)
        return text.upper() if upper else text

    return make


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def base32_crc(prefix: bytes) -> Make:
    def make(rng: random.Random) -> str:
        body = prefix + rng.randbytes(32)
        return base64.b32encode(body + struct.pack("<H", crc16(body))).decode().rstrip("=")

    return make


def phrase(bits: int) -> Make:
    return lambda rng: Mnemonic("english").to_mnemonic(rng.randbytes(bits // 8))


def other_words(token: str, rng: random.Random) -> str:
    words = token.split()
    words[rng.randrange(len(words))] = rng.choice(("zebras", "nothing", "spanner", "teh"))
    return " ".join(words)


# --- private keys


def der(rng: random.Random, size: int = 1190) -> bytes:
    body = b"\x02\x01\x00" + rng.randbytes(size - 3)
    return b"\x30\x82" + struct.pack(">H", len(body)) + body


def armour(label: str, raw: bytes) -> str:
    lines = "\n".join(textwrap.wrap(b64(raw), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----"


def string_of(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def openssh(rng: random.Random) -> str:
    check, public = rng.randbytes(4), string_of(b"ssh-ed25519", rng.randbytes(32))
    private = check + check + public + string_of(rng.randbytes(64), b"me@host")
    private += bytes(range(1, 1 + -len(private) % 8))
    raw = b"openssh-key-v1\0" + string_of(b"none", b"none", b"") + struct.pack(">I", 1) + string_of(public, private)
    return armour("OPENSSH PRIVATE KEY", raw)


def crc24(data: bytes) -> int:
    value = 0xB704CE
    for byte in data:
        value ^= byte << 16
        for _ in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
    return value & 0xFFFFFF


def openpgp(rng: random.Random) -> str:
    raw = b"\x95\x03" + rng.randbytes(900)
    body = "\n".join(textwrap.wrap(b64(raw), 64))
    tail = b64(struct.pack(">I", crc24(raw))[1:])
    label = "PGP PRIVATE KEY BLOCK"
    return f"-----BEGIN {label}-----\nVersion: 1\n\n{body}\n={tail}\n-----END {label}-----"


def cut_line(token: str, rng: random.Random) -> str:
    """Damage: one line of the body is gone."""
    lines = token.split("\n")
    del lines[rng.randrange(len(lines) // 2, len(lines) - 2)]
    return "\n".join(lines)


def putty(version: int) -> Make:
    def make(rng: random.Random) -> str:
        kind, public, private = (
            b"ssh-ed25519",
            string_of(b"ssh-ed25519", rng.randbytes(32)),
            string_of(rng.randbytes(32)),
        )
        signed = string_of(kind, b"none", b"mine", public, private)
        key = b"" if version == 3 else hashlib.sha1(b"putty-private-key-file-mac-key").digest()
        mac = hmac.new(key, signed, hashlib.sha256 if version == 3 else hashlib.sha1).hexdigest()
        parts = [f"PuTTY-User-Key-File-{version}: ssh-ed25519", "Encryption: none", "Comment: mine"]
        for name, raw in (("Public", public), ("Private", private)):
            lines = textwrap.wrap(b64(raw), 64)
            parts += [f"{name}-Lines: {len(lines)}", *lines]
        return "\n".join([*parts, f"Private-MAC: {mac}"])

    return make


def openvpn(rng: random.Random) -> str:
    lines = "\n".join(textwrap.wrap(rng.randbytes(256).hex(), 32))
    return f"-----BEGIN OpenVPN Static key V1-----\n{lines}\n-----END OpenVPN Static key V1-----"


def jwk_rsa(rng: random.Random) -> str:
    p, q = rng.getrandbits(512) | 1, rng.getrandbits(512) | 1
    number = lambda v: b64(v.to_bytes((v.bit_length() + 7) // 8, "big"), url=True, pad=False)  # noqa: E731 # local
    return json.dumps({"kty": "RSA", "n": number(p * q), "p": number(p), "q": number(q), "d": number(p - 2)})


def jwk_ec(rng: random.Random) -> str:
    """A point of secp256k1: its equation has a square root wherever Euler's criterion says so."""
    prime = 2**256 - 2**32 - 977
    x = rng.getrandbits(250)
    while pow(x**3 + 7, (prime - 1) // 2, prime) != 1:
        x += 1
    y = pow(x**3 + 7, (prime + 1) // 4, prime)
    number = lambda v: b64(v.to_bytes(32, "big"), url=True, pad=False)  # noqa: E731 # local
    key = {"kty": "EC", "crv": "secp256k1", "x": number(x), "y": number(y), "d": number(rng.getrandbits(255))}
    return json.dumps(key)


def jwk_off(token: str, rng: random.Random) -> str:
    key = json.loads(token)
    name = "n" if "n" in key else "y"
    return json.dumps({**key, name: off(ALNUM, 4, 4)(key[name], rng)})
