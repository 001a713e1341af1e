"""What agents do, told without any emitter's words: acts, stories, and the secrets made for them at run time."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Mapping
from typing import Any, Literal
from zlib import crc32

import msgspec

from detectors.secret_checksums import BASE62, digits

Kind = Literal["say", "shell", "read", "edit", "fetch", "mcp"]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One model call (`what` the user's words, `text` the answer) or one tool call (`text` its result)."""

    kind: Kind
    what: str = ""
    arguments: str = ""
    text: str = ""
    server: str = ""
    seconds: float = 2.0
    ok: bool = True
    approval: Literal["human", "policy", "none"] = "policy"


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One session. `expect` is empty for honest work, else the ids of the rules that tell it, best first."""

    title: str
    shape: str
    acts: tuple[Act, ...]
    expect: tuple[str, ...] = ()
    secrets: tuple[tuple[str, ...], ...] = ()  # each as the parts any of which would give it away


def say(asked: str = "", answer: str = "", *, seconds: float = 3.0) -> Act:
    return Act(kind="say", what=asked, text=answer, seconds=seconds)


def shell(command: str, output: str = "", **more: Any) -> Act:
    return Act(kind="shell", what=command, text=output, **more)


def read(path: str, content: str, **more: Any) -> Act:
    return Act(kind="read", what=path, text=content, **more)


def edit(path: str, content: str, **more: Any) -> Act:
    return Act(kind="edit", what=path, arguments=content, text="ok", **more)


def fetch(url: str, text: str = "", *, sent: int = 0, **more: Any) -> Act:
    """A request to `url`; `sent` bytes of body as a proxy sees them."""
    return Act(kind="fetch", what=url, arguments=str(sent) if sent else "", text=text, **more)


def mcp(server: str, tool: str, arguments: Mapping[str, Any], result: str, **more: Any) -> Act:
    packed = msgspec.json.encode(arguments).decode()
    return Act(kind="mcp", what=tool, server=server, arguments=packed, text=result, **more)


def step(name: str, output: str, **more: Any) -> Act:
    """One step of a pipeline and what it printed."""
    return Act(kind="shell", what=name, text=output, **more)


class Mint:
    """Makes secrets that look and check like real ones and open nothing; remembers each for the search afterwards."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.made: list[tuple[str, ...]] = []

    def take(self) -> tuple[tuple[str, ...], ...]:
        """The secrets made since the last call."""
        made, self.made = tuple(self.made), []
        return made

    def _text(self, alphabet: str, length: int) -> str:
        return "".join(self._dice.choices(alphabet, k=length))

    def _keep(self, secret: str) -> str:
        self.made.append((secret,))
        return secret

    def github(self) -> str:
        body = self._text(BASE62, 30)
        return self._keep("_".join(("ghp", body + digits(crc32(body.encode()), BASE62, 6))))

    def aws(self) -> tuple[str, str]:
        """Key id (made to hold an account number, as AWS does) and secret key."""
        account = self._dice.randrange(10**11, 10**12)
        raw = ((1 << 47) | (account << 7)).to_bytes(6, "big") + self._dice.randbytes(4)
        key_id = "AK" + "IA" + base64.b32encode(raw).decode()
        return self._keep(key_id), self._keep(self._text(string.ascii_letters + string.digits + "+/", 40))

    def private_key(self) -> str:
        """An armoured DER sequence of random bytes: the shape of an RSA key, and no key."""
        body = b"\x02\x01\x00" + self._dice.randbytes(1187)
        text = base64.b64encode(b"\x30\x82" + len(body).to_bytes(2, "big") + body).decode()
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        self.made.append(tuple(lines[:-1]))  # each whole line by itself must be gone
        return "\n".join((f"-----BEGIN {'RSA PRIVATE'} KEY-----", *lines, f"-----END {'RSA PRIVATE'} KEY-----", ""))

    def slack(self) -> str:
        numbers = self._text(string.digits, 12), self._text(string.digits, 13)
        return self._keep("-".join(("xoxb", *numbers, self._text(string.ascii_letters + string.digits, 24))))

    def password(self) -> str:
        return self._keep(self._text(string.ascii_letters + string.digits, 22))

    def uuid(self) -> str:
        return self._keep(str(uuid.UUID(int=self._dice.getrandbits(128), version=4)))
