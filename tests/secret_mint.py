"""Tokens that pass their format's check, made from the published definitions: none of them is ever written down.

Nothing here uses the code under test. A mint gives a good token and a damaged twin of the same shape.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tests.secret_mint_keys import (
    armour,
    base32_crc,
    base58check,
    bech32,
    cut_line,
    der,
    jwk_ec,
    jwk_off,
    jwk_rsa,
    openpgp,
    openssh,
    openvpn,
    other_words,
    phrase,
    putty,
)
from tests.secret_parts import (
    ALNUM,
    B32,
    B36,
    B58,
    B62,
    B62_LOWER,
    BECH,
    HEX,
    RIPPLE,
    Make,
    b64,
    crc,
    in_base,
    off,
    some,
)

# --- checksums


def crc_body(prefix: str, count: int) -> Make:
    def make(rng: random.Random) -> str:
        body = some(rng, ALNUM, count)
        return prefix + body + in_base(crc(body), B62, 6)

    return make


def github_fine_grained(rng: random.Random) -> str:
    start = f"github_pat_{some(rng, ALNUM, 22)}_{some(rng, ALNUM, 43)}"
    tail = base64.b32encode(hashlib.sha256(start.encode()).digest())[:8].decode()
    return start + tail + some(rng, ALNUM, 8)


def gitlab(rng: random.Random) -> str:
    start = f"glpat-{some(rng, ALNUM, 40)}.01.1i"
    return start + in_base(crc(start), B36, 7)


def whole_upper_hex(prefix: str, alphabet: str, count: int, end: str = "") -> Make:
    def make(rng: random.Random) -> str:
        start = prefix + some(rng, alphabet, count) + end
        return start + f"{crc(start):08X}"

    return make


def cloudflare(rng: random.Random) -> str:
    body = some(rng, ALNUM, 40)
    return f"{rng.choice(('cfk', 'cfut', 'cfat'))}_{body}{crc(body):08x}"


def zuplo(rng: random.Random) -> str:
    body = some(rng, ALNUM, 32)
    return f"zpka_{body}_{crc(body):08x}"


def grafana(rng: random.Random) -> str:
    start = "glsa_" + some(rng, ALNUM, 32)
    return start + "_" + struct.pack("<I", crc(start)).hex()


def confluent(rng: random.Random) -> str:
    body = some(rng, ALNUM + "+/", 54)
    return "cflt" + body + b64(struct.pack("<I", crc(body)))[:6]


def wandb(rng: random.Random) -> str:
    start = f"wandb_v1_{some(rng, ALNUM, 40)}_{some(rng, ALNUM, 30)}"
    return start + in_base(crc(start), B62, 6)


def canva(rng: random.Random) -> str:
    start = "cnvca" + some(rng, ALNUM + "-_", 43)
    return start + f"{crc(start):08x}"


def salad(rng: random.Random) -> str:
    body = some(rng, ALNUM, 32)
    return "salad_cloud_user_" + body + in_base(crc(body), B62, 6)


def apify(rng: random.Random) -> str:
    start = "apify_api_" + some(rng, ALNUM, 30)
    return start + in_base(crc(start), B62_LOWER, 6)


# --- Microsoft


def marvin(data: bytes, seed: bytes) -> int:
    """Marvin32 as its designers describe it: eight bytes of seed, words of the message, two closing rounds."""
    hi, lo = struct.unpack(">II", seed)
    message = data + b"\x80"
    message += b"\0" * (-len(message) % 4)
    words = [*struct.unpack(f"<{len(message) // 4}I", message), 0]
    rotate = lambda v, n: ((v << n) | (v >> (32 - n))) % 2**32  # noqa: E731 # local
    for word in words:
        lo = (lo + word) % 2**32
        hi ^= lo
        lo = (rotate(lo, 20) + hi) % 2**32
        hi = rotate(hi, 9) ^ lo
        lo = (rotate(lo, 27) + hi) % 2**32
        hi = rotate(hi, 19)
    return lo ^ hi


AZURE = {  # signature: bytes of the key, seed, URL alphabet
    "+ASt": (64, "Default0"),
    "+ABa": (64, "AbAcct00"),
    "+AMC": (64, "Classic0"),
    "ACDb": (64, "MastRW00"),
    "APIM": (64, "Gatewy00"),
    "+ASb": (32, "Send0000"),
    "+AEh": (32, "Listen00"),
    "+ARm": (32, "Manage00"),
    "AIoT": (32, "IoTHub00"),
    "AzCa": (32, "Access00"),
    "AzFu": (40, "Functi00"),
    "AzSe": (39, "Query000"),
    "+ACR": (39, "ACRDflt0"),
}


def azure_key(signature: str) -> Make:
    size, seed = AZURE[signature]

    def make(rng: random.Random) -> str:
        letters = (size * 8 + 5) // 6
        start = some(rng, ALNUM, letters - 10) + signature
        closing = {0: "A", 1: "A", 2: "A"}[size % 3]  # any character whose spare bits are zero
        raw = bytearray(base64.b64decode(start + "A" * 5 + closing + "=" * (-letters % 4)))
        raw[-4:] = struct.pack("<I", marvin(bytes(raw[:-4]), seed.encode()))
        return b64(bytes(raw), url=signature == "AzFu")

    return make


def redis_rewritten(rng: random.Random) -> str:
    """A Redis key in whose checksum a character was rewritten."""
    while True:
        key = azure_key("AzCa")(rng)
        if "+" in key or "/" in key:
            return key.replace("+", "P").replace("/", "F")


def annotated(size: int, *, base62: bool) -> Make:
    def make(rng: random.Random) -> str:
        start = some(rng, ALNUM, 52) + "JQQJ99" + "BC" + "A" * 12 + some(rng, ALNUM, 4) + "ABCD"
        raw = struct.pack("<I", marvin(base64.b64decode(start), b"Default0"))
        if base62:
            number = int.from_bytes(raw, "big")
            text = in_base(number, B62, 6).lstrip("0")
            zeros = len(raw) - len(raw.lstrip(b"\0"))
            tail = b64(base64.b64decode(("0" * zeros + text).ljust(6, "0") + "=="))
        else:
            tail = b64(raw)
        key = start + (tail if size == 88 else tail[:4])
        return key if key.rstrip("=").isalnum() else make(rng)  # the issuer throws again, too

    return make


def entra(rng: random.Random) -> str:
    start = some(rng, ALNUM + "._~-", 3) + "8Q~" + some(rng, ALNUM + "._~-", 31)
    alphabet = string.ascii_lowercase + string.ascii_uppercase + "1234567890.-_~"
    return start + in_base(marvin(start.encode(), b"AadPwd00"), alphabet, 6).lstrip("a")[:3]


def devops(rng: random.Random) -> str:
    others = rng.randbytes(28)
    number = zlib.crc32(others) ^ rng.choice((0xE0B9692D, 0x1019F92E))
    a, b, c, d = struct.pack(">I", number)
    raw = others[:2] + bytes([a]) + others[2:6] + bytes([b, c]) + others[6:19] + bytes([d]) + others[19:]
    return base64.b32encode(raw).decode().rstrip("=").lower()


# --- structure


def part(value: object) -> str:
    return b64(json.dumps(value, separators=(",", ":")), url=True, pad=False)


def jwt(rng: random.Random) -> str:
    claims = {"iss": "https://issuer.invalid", "sub": some(rng, ALNUM, 12), "exp": rng.randrange(2**31)}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.{b64(rng.randbytes(64), url=True, pad=False)}"


def sentry(rng: random.Random) -> str:
    body = b64(json.dumps({"iat": rng.random(), "url": "https://sentry.invalid", "org": some(rng, ALNUM, 9)}))
    return f"sntrys_{body}_{b64(rng.randbytes(32), pad=False)}"


def tunnel(rng: random.Random) -> str:
    fields = {"a": some(rng, HEX, 32), "t": some(rng, HEX, 32), "s": b64(rng.randbytes(32))}
    return b64(json.dumps(fields, separators=(",", ":")))


def service_account(rng: random.Random) -> str:
    key = armour("PRIVATE KEY", der(rng, 300))
    fields = {"type": "service_account", "private_key": key, "client_email": "a@b.iam.gserviceaccount.com"}
    return b64(json.dumps(fields))


def basic(rng: random.Random) -> str:
    return b64(f"robot:{some(rng, ALNUM, 20)}")


def macaroon(rng: random.Random, place: bytes = b"pypi.org") -> str:
    """Version 2: place and identifier, one caveat, 32 bytes of signature."""
    field = lambda kind, data: bytes([kind, len(data)]) + data  # noqa: E731 # local
    head = field(1, place) + field(2, some(rng, HEX, 36).encode()) + b"\0"
    caveat = field(2, json.dumps([1, some(rng, HEX, 30)]).encode()) + b"\0"
    return b64(b"\x02" + head + caveat + b"\0" + field(6, rng.randbytes(32)), url=True, pad=False)


def packets(rng: random.Random) -> str:
    """Version 1: the length of each packet in hex before it."""
    made = b""
    fields = (("location", b"here"), ("identifier", some(rng, HEX, 32).encode()), ("signature", rng.randbytes(32)))
    for name, value in fields:
        body = name.encode() + b" " + value + b"\n"
        made += f"{len(body) + 4:04x}".encode() + body
    return b64(made, url=True, pad=False)


def fly(rng: random.Random) -> str:
    nonce, tail = [rng.randbytes(30), rng.randbytes(16), True], rng.randbytes(16)
    return "fm2_" + b64(msgspec.msgpack.encode([nonce, "https://api.fly.invalid/v1", [1, [2]], tail]))


def proto(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer, lengths and numbers below 128 in one byte."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    size = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 0x7F | 0x80, len(value) >> 7])
    return bytes([number << 3 | 2]) + size + value


def vault(rng: random.Random) -> str:
    inner = proto(1, ("hvs." + some(rng, ALNUM, 24)).encode()) + proto(2, 7)
    return "hvs." + b64(proto(1, 1) + proto(2, rng.randbytes(32)) + proto(3, inner), url=True, pad=False)


def aws_session(rng: random.Random) -> str:
    signature = b"\x30\x45" + rng.randbytes(69)
    fields = proto(1, b"origin_ec") + proto(2, 99) + proto(3, b"us-east-1") + proto(4, signature)
    return b64(b"\x21" + fields + proto(5, rng.randbytes(300)))


def bedrock(rng: random.Random) -> str:
    return "ABSK" + b64(f"BedrockAPIKey-{some(rng, B36, 4)}-at-{some(rng, string.digits, 12)}:{b64(rng.randbytes(40))}")


def discord(rng: random.Random) -> str:
    number = b64(str(rng.randrange(10**17, 10**18)), pad=False)
    return f"{number}.{some(rng, ALNUM, 6)}.{some(rng, ALNUM, 38)}"


def jfrog(rng: random.Random) -> str:
    return b64(f"reftkn:01:{some(rng, '123456789', 10)}:{some(rng, ALNUM, 27)}", pad=False)


def intercom(rng: random.Random) -> str:
    return b64(
        f"tok:{some(rng, HEX, 8)}_{some(rng, HEX, 4)}_{some(rng, HEX, 4)}_{some(rng, HEX, 4)}_{some(rng, HEX, 12)}:1:0"
    )


def slack(rng: random.Random) -> str:
    inner = f"2-2-{some(rng, '123456789', 12)}-{some(rng, '123456789', 13)}-{some(rng, HEX, 88)}"
    return "xoxe.xoxp-1-" + b64(inner, pad=False)


def openai(rng: random.Random) -> str:
    return f"sk-proj-{some(rng, ALNUM + '-_', 74)}T3BlbkFJ{some(rng, ALNUM + '-_', 74)}"


def groq(rng: random.Random) -> str:
    return f"gsk_{some(rng, ALNUM, 20)}WGdyb3FY{some(rng, ALNUM, 24)}"


def anthropic(rng: random.Random) -> str:
    return f"sk-ant-api03-{some(rng, ALNUM + '-_', 93)}AA"


def scrambled(first: int, last: int = 0) -> Callable[[str, random.Random], str]:
    """Damage: what stands between keeps its length and is random."""
    return lambda token, rng: (
        token[:first] + some(rng, ALNUM, len(token) - first - last) + (token[-last:] if last else "")
    )


class Mint(NamedTuple):
    """How to make a token a check accepts, and a twin it does not."""

    check: str
    make: Make
    damage: Callable[[str, random.Random], str]


MINTS = {
    "github": Mint("github", crc_body("ghp_", 30), off(ALNUM, 4)),
    "github-refresh": Mint("github", crc_body("ghr_", 70), off(ALNUM, 4)),
    "github-stateless": Mint("jwt", lambda rng: "ghs_1234567_" + jwt(rng), scrambled(15)),
    "github-fine-grained": Mint("github_fine_grained", github_fine_grained, off(ALNUM, 11, 8)),
    "npm": Mint("npm", crc_body("npm_", 30), off(ALNUM, 4)),
    "vercel": Mint("vercel", crc_body("vcp_", 50), off(ALNUM, 4)),
    "gitlab": Mint("gitlab", gitlab, off(B36, 6, 9)),
    "atlassian": Mint("atlassian", whole_upper_hex("ATATT3xFfGF0", ALNUM + "-_", 170, "="), off(ALNUM, 12, 8)),
    "bitbucket": Mint("bitbucket", whole_upper_hex("ATBB", ALNUM, 24), off(ALNUM, 4, 8)),
    "trello": Mint("trello", whole_upper_hex("ATTA", HEX, 64), off(HEX, 4, 8)),
    "cloudflare": Mint("cloudflare", cloudflare, off(ALNUM, 5, 8)),
    "zuplo": Mint("zuplo", zuplo, off(ALNUM, 5, 9)),
    "grafana": Mint("grafana", grafana, off(ALNUM, 5, 9)),
    "confluent": Mint("confluent", confluent, off(ALNUM, 4, 6)),
    "wandb": Mint("wandb", wandb, off(ALNUM, 9)),
    "canva": Mint("canva", canva, off(ALNUM, 5, 8)),
    "salad-cloud": Mint("salad_cloud", salad, off(ALNUM, 17)),
    "apify": Mint("apify", apify, off(ALNUM, 10)),
    **{f"azure{signature}": Mint("azure_key", azure_key(signature), off(ALNUM, 0, 14)) for signature in AZURE},
    "azure-redis-rewritten": Mint("azure_key", redis_rewritten, off(ALNUM, 0, 14)),
    "azure-annotated-base62": Mint("azure_annotated", annotated(84, base62=True), off(ALNUM, 0, 32)),
    "azure-annotated-base64": Mint("azure_annotated", annotated(84, base62=False), off(ALNUM, 0, 32)),
    "azure-annotated-long": Mint("azure_annotated", annotated(88, base62=True), off(ALNUM, 0, 36)),
    "azure-annotated-long-base64": Mint("azure_annotated", annotated(88, base62=False), off(ALNUM, 0, 36)),
    "entra": Mint("entra_secret", entra, off(ALNUM, 6, 3)),
    "devops": Mint("azure_devops", devops, off(B32.lower(), 0, 1)),
    "bitcoin": Mint("bitcoin_wif", lambda rng: base58check(b"\x80" + rng.randbytes(32)), off(B58, 1)),
    "bitcoin-compressed": Mint(
        "bitcoin_wif", lambda rng: base58check(b"\x80" + rng.randbytes(32) + b"\1"), off(B58, 1)
    ),
    "xprv": Mint(
        "extended_key",
        lambda rng: base58check(bytes.fromhex("0488ade4") + rng.randbytes(41) + b"\0" + rng.randbytes(32)),
        off(B58, 4),
    ),
    "bip38": Mint("bip38", lambda rng: base58check(b"\x01\x42" + b"\xe0" + rng.randbytes(36)), off(B58, 2)),
    "tezos": Mint("tezos", lambda rng: base58check(bytes.fromhex("0d0f3a07") + rng.randbytes(32)), off(B58, 4)),
    "ripple": Mint("ripple", lambda rng: base58check(b"\x21" + rng.randbytes(16), RIPPLE), off(RIPPLE, 1)),
    "phrase-12": Mint("bip39", phrase(128), other_words),
    "phrase-24": Mint("bip39", phrase(256), other_words),
    "stellar": Mint("stellar", base32_crc(b"\x90"), off(B32, 1)),
    "nats-seed": Mint("nkey", base32_crc(b"\x95\x00"), off(B32, 2, 1)),
    "nats-key": Mint("nkey", base32_crc(b"\x78"), off(B32, 1)),
    "age": Mint("age", bech32("age-secret-key-", 32, upper=True), off(BECH.upper(), 16)),
    "nostr": Mint("nostr", bech32("nsec", 32), off(BECH, 5)),
    "sui": Mint("sui", bech32("suiprivkey", 33), off(BECH, 11)),
    "cardano": Mint("cardano", bech32("addr_xsk", 96), off(BECH, 9)),
    "bech32m": Mint("age", bech32("age-secret-key-pq-", 32, upper=True, constant=0x2BC830A3), off(BECH.upper(), 20)),
    "pem": Mint("pem", lambda rng: armour("RSA PRIVATE KEY", der(rng)), cut_line),
    "pem-short": Mint("pem", lambda rng: armour("EC PRIVATE KEY", b"\x30\x77" + rng.randbytes(119)), cut_line),
    "openssh": Mint("pem", openssh, cut_line),
    "openpgp": Mint("pem", openpgp, cut_line),
    "putty-2": Mint("putty", putty(2), lambda token, rng: off(HEX, len(token) - 40)(token, rng)),
    "putty-3": Mint("putty", putty(3), lambda token, rng: off(HEX, len(token) - 40)(token, rng)),
    "openvpn": Mint("openvpn", openvpn, cut_line),
    "jwk-rsa": Mint("jwk", jwk_rsa, jwk_off),
    "jwk-ec": Mint("jwk", jwk_ec, jwk_off),
    "jwt": Mint("jwt", jwt, scrambled(3)),
    "sentry": Mint("json_inside", sentry, scrambled(10)),
    "tunnel": Mint("cloudflare_tunnel", tunnel, scrambled(8)),
    "service-account": Mint("service_account", service_account, scrambled(16)),
    "basic": Mint("basic", basic, lambda token, rng: "gIGC" + token[4:]),
    "pypi": Mint("pypi", lambda rng: "pypi-" + macaroon(rng), scrambled(21)),
    "macaroon": Mint("macaroon", macaroon, scrambled(20)),
    "macaroon-packets": Mint("macaroon", packets, scrambled(20)),
    "macaroon-hex": Mint(
        "macaroon",
        lambda rng: base64.urlsafe_b64decode(macaroon(rng, b"lnd") + "===").hex(),
        lambda token, rng: token[:-2],
    ),
    "fly": Mint("fly", fly, scrambled(8)),
    "vault": Mint("vault", vault, scrambled(9)),
    "aws-session": Mint("aws_session", aws_session, scrambled(16)),
    "aws-bedrock": Mint("aws_bedrock", bedrock, scrambled(8)),
    "discord": Mint("discord_bot", discord, scrambled(2)),
    "jfrog": Mint("jfrog", jfrog, scrambled(10)),
    "intercom": Mint("intercom", intercom, scrambled(6)),
    "slack-rotating": Mint("slack_rotating", slack, scrambled(16)),
    "openai": Mint("openai", openai, scrambled(8)),
    "groq": Mint("groq", groq, scrambled(4)),
    "anthropic": Mint("anthropic", anthropic, lambda token, rng: token[:-2] + some(rng, ALNUM[:25], 2)),
}
