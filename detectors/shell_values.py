"""What a piece of shell text stands for where that can be told without running it: braces, `$(echo x)`, `base64 -d`."""

from __future__ import annotations

import base64
import binascii
import codecs
import re

from detectors.simple import Simple

MAX_TEXT = 32_768
MAX_BRACES = 32  # words that one word with braces becomes
MAX_STAGES = 6  # of a pipe that is followed

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "e": "\x1b", "0": "\0"}
_ESCAPES = re.compile(r"\\(x[0-9a-fA-F]{1,2}|0?[0-7]{3}|u[0-9a-fA-F]{4}|.)", re.S)
_FORMAT = re.compile(r"%[-0-9.]*([sbdxc%])")


def join(base: str, path: str) -> str:
    """A path seen from a directory, both as written."""
    if not base or path.startswith(("/", "~", "$")) or path[1:2] == ":":
        return path
    return f"{base.rstrip('/')}/{path}" if base != "/" else f"/{path}"


def braces(text: str) -> list[str]:
    """Words of `a{b,c}`."""
    done: list[str] = []
    todo = [text]
    while todo and len(done) + len(todo) <= MAX_BRACES:
        word = todo.pop(0)
        found = _BRACES.search(word)
        if found is None:
            done.append(word)
            continue
        todo += [word[: found.start()] + part + word[found.end() :] for part in found[1].split(",")]
    return done + todo[: MAX_BRACES - len(done)]


def literal_output(simple: Simple, stages: int = MAX_STAGES) -> tuple[str, bool] | None:
    """What a command prints, and whether it was decoded on the way; None where only running it would tell."""
    words = simple.words
    if not words or stages <= 0:
        return None
    name = words[0].rpartition("/")[2]
    if name == "echo":
        return _echo(words[1:]), False
    if name == "printf" and len(words) > 1:
        return _printf(words[1], words[2:]), False
    if simple.stdin is not None:
        fed: tuple[str, bool] | None = (simple.stdin, simple.decoded)
    else:
        fed = literal_output(simple.before[-1], stages - 1) if len(simple.before) == 1 else None
    if fed is None:
        return None
    text, decoded = fed
    if name in ("cat", "tee", "tac", "head", "tail", "sort") and not [w for w in words[1:] if w[:1] != "-"]:
        return fed
    plain = _decode(name, words[1:], text)
    return None if plain is None else (plain[:MAX_TEXT], name not in ("tr", "rev", "sed") or decoded)


def _unsign(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] == "u" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if not 0xD800 <= number < 0xE000 else found[0]
    if code.isdigit() and len(code) >= 3:
        return chr(int(code, 8) & 0xFF)
    return _SIGNS.get(code, found[0])


def _echo(words: list[str]) -> str:
    signs, end = False, "\n"
    while words and re.fullmatch(r"-[neE]+", words[0]):
        signs, end = signs or "e" in words[0], "" if "n" in words[0] else end
        words = words[1:]
    text = " ".join(words)
    return (_ESCAPES.sub(_unsign, text) if signs else text)[:MAX_TEXT] + end


def _printf(form: str, words: list[str]) -> str:
    left = list(words)
    form = _ESCAPES.sub(_unsign, form)

    def fill(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        word = left.pop(0) if left else ""
        return _ESCAPES.sub(_unsign, word) if found[1] == "b" else word

    text = _FORMAT.sub(fill, form)
    for _ in range(64):  # the format is used again for words that are left
        if not left or not _FORMAT.search(form):
            break
        text += _FORMAT.sub(fill, form)
    return text[:MAX_TEXT]


def _decode(name: str, words: list[str], text: str) -> str | None:
    """What a decoder makes of a text; None for another program."""
    flags = {word for word in words if word[:1] == "-"}
    try:
        if (name == "base64" and flags & {"-d", "-D", "--decode", "-di", "-id"}) or (
            name == "openssl" and "-d" in flags and ("base64" in words or "-base64" in flags or "-a" in flags)
        ):
            return binascii.a2b_base64("".join(text.split())).decode("utf-8", "replace")
        if name == "base32" and flags & {"-d", "--decode"}:
            return base64.b32decode("".join(text.split())).decode("utf-8", "replace")
        if name == "xxd" and any("r" in flag for flag in flags):
            return bytes.fromhex("".join(text.split())).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return None
    if name == "rev":
        return "\n".join(line[::-1] for line in text.split("\n"))
    if name == "tr" and len(words) == 2 and "n-za-m" in words[1].lower():
        return codecs.decode(text, "rot13")
    if name == "tr" and len(words) == 2 and words[0] == "-d":
        return "".join(letter for letter in text if letter not in words[1])
    return None
