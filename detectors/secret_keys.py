"""Private keys in armour: whether what stands between the lines is a whole key of the kind the lines name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import unquote

import msgspec

_LINE_END = re.compile(r"\\+u000[adAD]|&#(?:1[03]|x[aAdD]);|\\+[nrt]|\r\n?")
_ARMOUR = re.compile(r"-----BEGIN ([A-Za-z0-9 ]+)-----(.*?)-----END [A-Za-z0-9 ]+-----", re.DOTALL)


def _lines(secret: str) -> str:
    """The text with its line ends as such, whatever they were written as."""
    plain = _LINE_END.sub("\n", secret)
    return unquote(plain) if "%" in plain else plain


def _body(text: str) -> bytes:
    joined = re.sub(r"[\"']\s{0,64}\+\s{0,64}[\"']", "", text)  # lines of code put together with a plus
    return base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", joined), validate=True)


def pem(secret: str) -> bool | None:
    """Armour from BEGIN to END: DER of exactly its own length, an OpenSSH key, or OpenPGP packets and their CRC-24."""
    found = _ARMOUR.search(_lines(secret))
    if not found:
        return None  # cut off
    label, text = found[1], found[2]
    if "PGP" in label:
        return _openpgp(text)
    if "Proc-Type" in text:
        return None  # encrypted as a whole: nothing of the key's form is left
    raw = _body(text)
    if "OPENSSH" in label:
        return _openssh(raw)
    if "COSIGN" in label or "SIGSTORE" in label:
        return bool(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    return _der(raw)


def openvpn(secret: str) -> bool | None:
    """A static key: 2,048 bits in hex."""
    found = _ARMOUR.search(_lines(secret))
    if not found or "Static" not in found[1]:
        return None
    return len(bytes.fromhex(re.sub(r"[\s\"'+,]", "", found[2]))) == 256


def _der(raw: bytes) -> bool:
    """One SEQUENCE and nothing behind it."""
    if len(raw) < 16 or raw[0] != 0x30:
        return False
    width = raw[1] & 0x7F if raw[1] & 0x80 else 0
    length = int.from_bytes(raw[2 : 2 + width], "big") if width else raw[1]
    return 2 + width + length == len(raw)


def _string(raw: bytes, at: int) -> tuple[bytes, int]:
    """The length-prefixed string at `at` and where it ends; ValueError where it is longer than what there is."""
    start = at + 4
    end = start + int.from_bytes(raw[at:start], "big")
    if start > len(raw) or end > len(raw):
        raise ValueError("too short")
    return raw[start:end], end


def _openssh(raw: bytes) -> bool:
    """Magic, cipher, key derivation, keys: each string as long as it says, the private part ending the file."""
    magic = b"openssh-key-v1\0"
    if not raw.startswith(magic):
        return False
    cipher, at = _string(raw, len(magic))
    _, at = _string(raw, at)
    _, at = _string(raw, at)
    count, at = int.from_bytes(raw[at : at + 4], "big"), at + 4
    if not 1 <= count <= 16:
        return False
    for _ in range(count):
        _, at = _string(raw, at)
    private, at = _string(raw, at)
    return len(raw) - at in (0, 16) and (cipher != b"none" or private[:4] == private[4:8])  # 16: a cipher's tag


def _openpgp(text: str) -> bool | None:
    """The line `=xxxx` after the body is CRC-24 of it."""
    found = re.search(r"\n\n([A-Za-z0-9+/=\s]+?)\n=([A-Za-z0-9+/]{4})\s*\Z", text)
    if not found:
        return None  # newer software leaves the checksum out
    raw = _body(found[1])
    return _crc24(raw) == int.from_bytes(base64.b64decode(found[2]), "big") and raw[0] & 0x80 == 0x80


def _crc24(data: bytes) -> int:
    """RFC 9580, section 6.1.1."""
    crc = 0xB704CE
    for byte in data:
        crc = (crc << 8 & 0xFFFFFF) ^ _CRC24[crc >> 16 ^ byte]
    return crc


def _crc24_of(byte: int) -> int:
    crc = byte << 16
    for _ in range(8):
        crc = crc << 1 ^ (0x864CFB if crc & 0x800000 else 0)
    return crc & 0xFFFFFF


_CRC24 = tuple(map(_crc24_of, range(256)))


_PUTTY = re.compile(
    r"PuTTY-User-Key-File-(?P<version>[23]): (?P<kind>[a-z0-9@.-]{3,40})\nEncryption: (?P<cipher>[a-z0-9-]{3,20})\n"
    r"Comment: (?P<comment>[^\n]{0,200})\nPublic-Lines: [0-9]{1,4}\n(?P<public>[A-Za-z0-9+/=\n]+)"
    r"(?:(?!Private-Lines)[^\n]{1,80}\n){0,6}"
    r"Private-Lines: [0-9]{1,4}\n(?P<private>[A-Za-z0-9+/=\n]+)Private-MAC: (?P<mac>[0-9a-f]{40,64})"
)


def putty(secret: str) -> bool | None:
    """The MAC over all fields where the key is not encrypted; else that the public part names the key's kind."""
    found = _PUTTY.match(_lines(secret).replace("\\", ""))
    if not found:
        return None
    kind, public, private = found["kind"].encode(), _body(found["public"]), _body(found["private"])
    if _string(public, 0)[0] != kind:
        return False
    if found["cipher"] != "none":
        return True
    parts = (kind, b"none", found["comment"].encode(), public, private)
    signed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    if found["version"] == "3":
        return hmac.new(b"", signed, "sha256").hexdigest() == found["mac"]
    return (
        hmac.new(hashlib.sha1(b"putty-private-key-file-mac-key").digest(), signed, "sha1").hexdigest() == found["mac"]
    )


def _unquoted(secret: str) -> str:
    """JSON whose quotes are escaped, as JSON holds it, or single, as code does."""
    plain = re.sub(r"\\+([\"'nrt])", lambda found: " " if found[1] in "nrt" else found[1], secret)
    return plain if '"' in plain else plain.replace("'", '"')


def jwk(secret: str) -> bool | None:
    """A private JSON Web Key: RSA primes whose product is the modulus, or a point on the curve it names."""
    key = msgspec.json.decode(_unquoted(secret), type=dict[str, object])
    number = {
        name: int.from_bytes(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)), "big")
        for name, value in key.items()
        if name in ("n", "p", "q", "d", "x", "y") and isinstance(value, str) and len(value) < 1500
    }
    if "d" not in number:
        return None
    if {"n", "p", "q"} <= number.keys():
        return number["p"] * number["q"] == number["n"]
    curve = _CURVES.get(str(key.get("crv")))
    if curve is None or not {"x", "y"} <= number.keys():
        return None
    p, a, b = curve
    x, y = number["x"], number["y"]
    return max(x, y) < p and (y * y - x * x * x - a * x - b) % p == 0


_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P384 = 2**384 - 2**128 - 2**96 + 2**32 - 1
_CURVES = {  # prime, a, b
    "P-256": (_P256, -3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B),
    "P-384": (
        _P384,
        -3,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "secp256k1": (2**256 - 2**32 - 977, 0, 7),
}
