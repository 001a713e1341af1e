"""A simple command understood: its program, verb, flags with their values, and the words that are neither."""

from __future__ import annotations

from typing import NamedTuple

from detectors.programs import UNKNOWN, Program, program
from detectors.simple import Origin, Simple
from detectors.wrappers import base


class Command(NamedTuple):
    """A simple command understood."""

    name: str
    words: tuple[str, ...]  # the name first
    verb: str
    verbs: str  # two words where the program knows them together: remote add
    flags: tuple[str, ...]
    args: tuple[str, ...]
    given: tuple[tuple[str, str], ...]  # flags with the value that belongs to them
    wrappers: tuple[str, ...]
    origin: Origin
    simple: Simple
    known: Program
    plain: tuple[str, ...]  # words that are no flags and no flags' values


def read(words: list[str], simple: Simple) -> Command:
    name = base(words[0]) if words else ""
    known = UNKNOWN if simple.local else program(name)
    valued = known.valued
    flags: list[str] = []
    args: list[str] = []
    plain: list[str] = []  # words that are no flags and no flags' values
    given: list[tuple[str, str]] = []
    waiting, ended = "", False
    for word in words[1:]:
        if waiting:
            given.append((waiting, word))
            waiting = ""
            if word[:1] != "-" or word == "-":
                args.append(word)
            continue
        if ended or word[:1] != "-" or len(word) == 1:
            args.append(word)
            plain.append(word)
        elif word == "--":
            ended = True
        elif word[:2] == "--" or known.plain:
            flag, equals, value = word.partition("=")
            flags.append(flag)
            if equals:
                given.append((flag, value))
            elif flag in valued:
                waiting = flag
        else:
            waiting = _cluster(word, valued, flags, given)
    if name in ("tar", "bsdtar", "gtar") and plain and plain[0].isalpha() and len(plain[0]) < 8 and not flags:
        letters, plain = plain[0], plain[1:]  # `tar xzf a` is `tar -xzf a`
        flags += [f"-{letter}" for letter in letters]
        if "f" in letters and plain:
            given.append(("-f", plain[0]))
            plain = plain[1:]
    verb = plain[0] if plain else ""
    pair = " ".join(plain[:2])
    return Command(
        name=name,
        words=(name, *words[1:]) if words else (),
        verb=verb,
        verbs=pair if pair in known.verbs else verb,
        flags=tuple(dict.fromkeys(flags)),
        args=tuple(args),
        given=tuple(given),
        wrappers=simple.wrappers,
        origin=simple.origin,
        simple=simple,
        known=known,
        plain=tuple(plain),
    )


def _cluster(word: str, valued: frozenset[str], flags: list[str], given: list[tuple[str, str]]) -> str:
    """Takes `-rf` or `-ofile` apart; returns the flag whose value is the next word."""
    flags.append(word)
    for at, letter in enumerate(word[1:], 1):
        flag = "-" + letter
        if not letter.isalnum():
            break
        if flag != word:
            flags.append(flag)
        if flag in valued:
            if at + 1 < len(word):
                given.append((flag, word[at + 1 :]))
                return ""
            return flag
        if at >= 8:
            break
    return ""
