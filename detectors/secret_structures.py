"""Tokens that hold something readable: JSON, numbers or fields in base64, whose form nobody hits by chance."""

from __future__ import annotations

import base64
import re

import msgspec

Json = dict[str, msgspec.Raw]


def from_base64(text: str) -> bytes:
    """Base64 in either alphabet, padded or not; ValueError for anything else."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _json(text: str) -> Json:
    return msgspec.json.decode(from_base64(text), type=Json)


def jwt(secret: str) -> bool:
    """header.payload.signature: the first two are JSON objects and the header names its algorithm."""
    header, payload, *_ = secret[secret.index("eyJ") :].split(".")
    return "alg" in _json(header) and _json(payload) is not None


_JSON_RUN = re.compile(r"eyJ[A-Za-z0-9+/-]+")
_JSON_RUN_URL = re.compile(r"eyJ[A-Za-z0-9_-]+")


def json_inside(secret: str) -> bool:
    """A JSON object in base64 behind a prefix: Sentry, 1Password, Grafana Cloud, Mapbox and others."""
    for run in (_JSON_RUN, _JSON_RUN_URL):
        found = run.search(secret)
        try:
            if found and _json(found[0]):
                return True
        except (ValueError, msgspec.MsgspecError):
            continue
    return False


def cloudflare_tunnel(secret: str) -> bool:
    """Account, tunnel and its secret, as JSON in base64."""
    return {"a", "t", "s"} <= _json(secret).keys()


def service_account(secret: str) -> bool:
    """A Google service account's JSON, plain or in base64: its type, an address of Google's and a PEM key."""
    text = secret.encode() if secret.lstrip().startswith("{") else from_base64(re.sub(r"\s", "", secret))
    fields = msgspec.json.decode(text, type=dict[str, object])
    return (
        fields.get("type") == "service_account"
        and "-----BEGIN PRIVATE KEY-----" in str(fields.get("private_key"))
        and str(fields.get("client_email")).endswith(".gserviceaccount.com")
    )


def basic(secret: str) -> bool | None:
    """user:password in base64; where the password is no text, the user alone proves nothing."""
    raw = from_base64(secret)
    user, colon, _ = raw.partition(b":")
    if not colon or not re.fullmatch(rb"[\w.@$+-]{1,64}", user):
        return False
    return True if re.fullmatch(rb"[\x20-\x7e]{3,}", raw) else None


def pypi(secret: str) -> bool:
    """A macaroon behind `pypi-`."""
    return macaroon(secret.partition("-")[2])


def macaroon(secret: str) -> bool:
    """A macaroon, base64 or hex: packets with their lengths, or version 2 fields; a 32-byte signature ends it."""
    hexed = re.fullmatch(r"[0-9a-fA-F]+", secret) is not None and secret[:4] == "0201"
    raw = bytes.fromhex(secret) if hexed else from_base64(secret)
    return _packets(raw) if raw[:1] == b"0" else _sections(raw)


def _packets(raw: bytes) -> bool:
    """Version 1: four hex digits of length, a name, a space, the value, a line end."""
    at, names = 0, []
    while at < len(raw):
        size = int(raw[at : at + 4].decode("ascii"), 16)
        if size < 6 or at + size > len(raw):
            return False
        name, _, value = raw[at + 4 : at + size].partition(b" ")
        names.append(name)
        at += size
    return names[:2] == [b"location", b"identifier"] and names[-1] == b"signature" and len(value) == 33


def _sections(raw: bytes) -> bool:
    """Version 2: fields of type, length and data; a zero ends a section, two end the caveats."""
    if raw[0] != 2:
        return False
    at, ends = 1, 0
    while at < len(raw):
        kind = raw[at]
        if kind == 0:
            ends, at = ends + 1, at + 1
            continue
        size, at = _varint(raw, at + 1)
        at += size
        if kind == 6:
            return ends >= 2 and size == 32 and at == len(raw)
        if kind not in (1, 2, 4):
            return False
    return False


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number of seven bits a byte at `at` and where it ends."""
    number = shift = 0
    while raw[at] & 0x80:
        number |= (raw[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if shift > 63:
            raise ValueError("too long a number")
    return number | raw[at] << shift, at + 1


def _fields(raw: bytes) -> dict[int, bytes | int]:
    """Protocol-buffer fields of the bytes, numbers and byte strings only; ValueError where they do not fit."""
    found: dict[int, bytes | int] = {}
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        value, at = _varint(raw, at)
        if tag & 7 == 2:
            if at + value > len(raw):
                raise ValueError("too short")
            found[tag >> 3] = raw[at : at + value]
            at += value
        elif tag & 7 == 0:
            found[tag >> 3] = value
        else:
            raise ValueError("no such field")
    return found


def vault(secret: str) -> bool | None:
    """A Vault service token with its signature: version 1, an HMAC of 32 bytes, a token that starts with its kind."""
    if len(secret) < 60:
        return None
    outer = _fields(from_base64(secret.partition(".")[2]))
    mac, inner = outer.get(2), outer.get(3)
    if outer.get(1) != 1 or not isinstance(mac, bytes) or not isinstance(inner, bytes):
        return False
    token = _fields(inner).get(1)
    return len(mac) == 32 and isinstance(token, bytes) and token.startswith(b"hvs.")


def aws_session(secret: str) -> bool | None:
    """A session token: a service's name, then numbered fields that fill the token to its end."""
    raw = from_base64(secret)
    if raw[:12] not in (b"\x21\x0a\x09origin_ec",) and raw[1:9] != b"\x0a\x06er/aws":
        return None
    fields = _fields(raw[1:])
    return len(fields) >= 4 and isinstance(fields.get(3), bytes)


def aws_bedrock(secret: str) -> bool | None:
    """A Bedrock key: its user's name and account number and the secret, or a presigned request, in base64."""
    short, long = secret.startswith("bedrock-api-key-"), secret.startswith("ABSK")
    if not (short or long):
        return None
    text = from_base64(secret[16:] if short else secret[4:]).lstrip(b"\0").decode("ascii")
    form = r"bedrock\.amazonaws\.com/\?Action=CallWithBearerToken&.+" if short else r"BedrockAPIKey-[^:]+-at-\d{12}:.+"
    return re.fullmatch(form, text) is not None


def aws_account(key_id: str) -> str | None:
    """The account number in an AWS key id; ids issued before 2019 (the first bit after the prefix unset) hold none."""
    raw = base64.b32decode(key_id[4:].ljust(16, "A")[:16])
    account = (int.from_bytes(raw[:6], "big") & 0x7FFFFFFFFF80) >> 7
    return f"{account:012d}" if raw[0] & 0x80 else None


def aws_key_id(secret: str) -> bool | None:
    """An id whose account number has more than twelve digits was never issued; anything else proves nothing."""
    account = aws_account(secret)
    return False if account is not None and len(account) > 12 else None


def discord_bot(secret: str) -> bool:
    """The first part is the bot's number in base64."""
    return re.fullmatch(rb"\d{17,20}", from_base64(secret.partition(".")[0])) is not None


def jfrog(secret: str) -> bool:
    """A reference token: reftkn:01:<expiry>:<random> in base64."""
    return re.fullmatch(rb"reftkn:\d\d:\d{10}:[A-Za-z0-9]+", from_base64(secret)) is not None


def intercom(secret: str) -> bool:
    """tok:<id>:<version>:<kind> in base64."""
    return re.fullmatch(rb"tok:[0-9a-f_-]{30,40}:\d:\d", from_base64(secret)) is not None


def slack_rotating(secret: str) -> bool:
    """The last part is base64 of numbers and digests joined by hyphens."""
    return re.fullmatch(rb"\d-\d-\d+(?:-[0-9a-zA-Z]+)*", from_base64(secret.rpartition("-")[2])) is not None


def fly(secret: str) -> bool | None:
    """A Fly.io macaroon: nonce, location, caveats and tail in MessagePack; several may follow, parted by commas."""
    if not secret.startswith("fm2_"):
        return None
    for one in secret.split(","):
        nonce, location, caveats, tail = msgspec.msgpack.decode(from_base64(one.partition("_")[2]), type=list[object])
        if not (isinstance(nonce, list) and isinstance(caveats, list) and isinstance(tail, bytes)):
            return False
        if not str(location).startswith("http"):
            return False
    return True


def openai(secret: str) -> bool | None:
    """`OpenAI` in base64 stands in the very middle."""
    before, infix, after = re.sub(r"\Ask-(?:proj-|svcacct-|admin-|None-)?", "", secret).partition("T3BlbkFJ")
    return True if infix and len(before) == len(after) >= 20 else None


def groq(secret: str) -> bool | None:
    """A fixed infix stands after the first twenty characters."""
    return True if secret[24:32] == "WGdyb3FY" and len(secret) == 56 else None


def anthropic(secret: str) -> bool | None:
    """The last of 72 bytes in base64 holds a zero: `AA` ends 95 characters."""
    return True if secret.endswith("AA") and len(re.sub(r"\Ask-ant-[a-z]+\d\d-", "", secret)) == 95 else None
