"""A team's rules for another scanner, turned into ours, with a plain word on everything that could not come along.

Read are the TOML of gitleaks and the YAML of Kingfisher. Both describe a secret by a regular expression of RE2's
or Rust's kind; ours must suit Hyperscan in pass one and Python in pass two, with one capture group.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import rstr
import yaml

from detectors.errors import RuleError
from detectors.secret_first_pass import refused
from detectors.secret_rules import SecretRule
from detectors.secrets import Scanner

Tool: TypeAlias = Literal["gitleaks", "kingfisher"]
SAMPLES = 40  # texts tried for an example the rule itself finds
_RUNBOOK = "Revoke it where it was issued, then list what the session did with it."


class Left(NamedTuple):
    """Something of `rule` that was not carried over; `whole` when the rule was not at all."""

    rule: str
    reason: str
    whole: bool


class Imported(NamedTuple):
    """The rules as YAML of our form, how many they are, and what was left behind."""

    text: str
    rules: int
    left: list[Left]


class Unsupported(Exception):
    """A regular expression uses something Python or Hyperscan does not know."""


def convert(tool: Tool, file: Path) -> Imported:
    """Our form of the file's rules. Raises RuleError when the file is not one of that tool's rule files."""
    try:
        text = file.read_text("utf-8")
        raw = tomllib.loads(text) if tool == "gitleaks" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RuleError(str(file), "$", f"not readable: {type(error).__name__}") from error
    rules = raw.get("rules") if isinstance(raw, dict) else None
    if not isinstance(rules, list) or not all(isinstance(one, dict) for one in rules):
        raise RuleError(str(file), "rules", f"no list of rules, as a {tool} file has")
    left: list[Left] = []
    groups: list[dict[str, Any]] = []
    seen: set[str] = set()
    if tool == "gitleaks":
        left += [
            Left("*", f"{key} of the whole file", False)
            for key in ("extend", "allowlist", "allowlists")
            if raw.get(key)
        ]
    for number, one in enumerate(rules):
        name = str(one.get("id") or f"rules[{number}]")
        try:
            found = _gitleaks(name, one) if tool == "gitleaks" else _kingfisher(name, one)
            if found["id"] in seen:
                raise Unsupported("an earlier rule has this id")
            group = _proved(found, one)
        except Unsupported as error:
            left.append(Left(name, str(error), True))
            continue
        seen.add(found["id"])
        groups.append(group)
        left += [Left(name, reason, False) for reason in _unused(tool, one)]
    body = yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=100) if groups else "[]\n"
    return Imported(body, len(groups), left)


def _gitleaks(name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    if not raw.get("regex"):
        raise Unsupported("it looks at paths only" if raw.get("path") else "it has no regex")
    return {
        "id": _id("gitleaks", name),
        "title": str(raw.get("description") or name).strip().split("\n")[0][:100],
        "pattern": translate(str(raw["regex"]), int(raw.get("secretGroup") or 0)),
        "min_entropy": float(raw.get("entropy") or 0.0),
        "issuer": _issuer(name),
    }


def _kingfisher(name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    if not raw.get("pattern"):
        raise Unsupported("it has no pattern")
    return {
        "id": _id("kingfisher", name),
        "title": str(raw.get("name") or name),
        "pattern": translate(str(raw["pattern"])),
        "min_entropy": float(raw.get("min_entropy") or 0.0),
        "issuer": _issuer(name.removeprefix("kingfisher.")),
    }


_CARRIED: Mapping[Tool, frozenset[str]] = {
    "gitleaks": frozenset({"id", "description", "regex", "secretGroup", "entropy", "keywords", "tags"}),
    "kingfisher": frozenset({"id", "name", "pattern", "min_entropy", "examples", "references", "confidence"}),
}


def _unused(tool: Tool, raw: Mapping[str, Any]) -> Iterator[str]:
    """Keys that narrow the rule or act on its secrets, and are lost."""
    yield from (f"{key}: no counterpart" for key in raw if key not in _CARRIED[tool] and raw[key])


def _id(tool: Tool, name: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._").removeprefix(f"{tool}.")
    return f"imported.{tool}.{plain}"


def _issuer(name: str) -> str:
    return re.split(r"[-_.\s]", name.strip("."))[0] or "unknown"


def _proved(found: dict[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The group of one rule, with an example that both passes find; Unsupported when there is none."""
    shared = {"issuer": found.pop("issuer"), "rotation": "third_party", "runbook": _RUNBOOK}
    found["grants"] = "the imported rule does not describe further"
    draft: dict[str, Any] = {**shared, **found, "examples": {"match": ["«x»"], "no_match": ["x"]}}
    rule = msgspec.convert(draft, SecretRule)
    if reason := refused(rule):
        raise Unsupported(reason)
    scanner = Scanner((rule,), b"import")
    given = [str(one) for one in raw.get("examples") or ()]
    for text in (*given, *_samples(rule.pattern)):
        hits = scanner.find(text)
        if len(hits) == 1 and not set("«»") & set(text):
            start, end = hits[0].start, hits[0].end
            example = f"{text[:start]}«{text[start:end]}»{text[end:]}"
            found["examples"] = {"match": [example], "no_match": ["no secret in here"]}
            return {**shared, "rules": [found]}
    raise Unsupported("no example could be made that both passes find")


def _samples(pattern: str) -> Iterator[str]:
    """Texts the pattern matches, the same on every run."""
    made = rstr.Rstr(random.Random(pattern))  # examples, not keys
    for _ in range(SAMPLES):
        try:
            yield f"value {made.xeger(pattern)} end"
        except (KeyError, NotImplementedError, RecursionError):  # parts of the grammar it cannot make up
            return


# ------------------------------------------------------------------ regular expressions

_POSIX = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "A-Fa-f0-9",
    "word": r"\w",
    "space": r"\s",
    "punct": r"!-/:-@\[-`{-~",
}
_TOKEN = re.compile(
    r"(?P<named>\(\?P?<(?P<name>[A-Za-z]\w*)>)|(?P<flags>\(\?(?P<on>[imsxU]*)(?:-(?P<off>[imsxU]+))?(?P<end>[:)]))"
    r"|(?P<other>\(\?)|(?P<open>\()|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<hex>\\x\{(?P<code>[0-9A-Fa-f]{1,2})\})|(?P<last>\\z)|(?P<bad>\\[pPQXRKGk])|(?P<escape>\\[\s\S])"
    r"|(?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\[\s\S]|[^\]\\])*\])|(?P<comment>#[^\n]*)|(?P<blank>\s)|(?P<plain>[\s\S])"
)


def translate(pattern: str, group: int = 0) -> str:
    """The pattern with one capture group, the secret: number `group`, else one named TOKEN, else the first, else all.

    Raises Unsupported for what has no counterpart.
    """
    tokens = list(_TOKEN.finditer(pattern))
    captures = [token["name"] or "" for token in tokens if token["named"] or token["open"]]
    upper = [name.upper() for name in captures]
    chosen = group if group else upper.index("TOKEN") + 1 if "TOKEN" in upper else 1 if captures else 0
    if chosen > len(captures):
        raise Unsupported(f"its secret is group {chosen}, and it has {len(captures)}")
    out = "".join(_rewritten(tokens, chosen))
    if not captures:
        out = f"({out})"
    try:
        if re.compile(out.encode("ascii")).groups != 1:
            raise Unsupported("its groups could not be told apart")
    except (re.error, UnicodeEncodeError) as error:
        raise Unsupported(f"not a regular expression Python reads: {error}") from error
    return out


class _Level:
    """One open bracket: the flag groups opened inside it, which end with it, and whether blanks count."""

    def __init__(self, verbose: bool) -> None:
        self.flags: list[str] = []
        self.verbose = verbose


def _rewritten(tokens: list[re.Match[str]], chosen: int) -> Iterator[str]:
    levels = [_Level(False)]
    number = 0
    for token in tokens:
        here = levels[-1]
        if token["named"] or token["open"]:
            number += 1
            levels.append(_Level(here.verbose))
            yield "(" if number == chosen else "(?:"
        elif token["flags"]:
            yield from _flags(token, levels)
        elif token["other"]:
            raise Unsupported("a look-around, an atomic group or a condition, which Hyperscan does not know")
        elif token["close"]:
            if len(levels) == 1:
                raise Unsupported("its brackets do not match")
            yield ")" * len(levels.pop().flags) + ")"
        elif token["bar"]:
            yield ")" * len(here.flags) + "|" + "".join(here.flags)
        elif token["bad"]:
            raise Unsupported(f"{token[0]} is not known to Hyperscan")
        elif token["class"]:
            yield re.sub(r"\[:(\w+):\]", lambda m: _posix(m[1]), token[0])
        elif (token["comment"] or token["blank"]) and here.verbose:
            continue
        else:
            yield r"\Z" if token["last"] else rf"\x{token['code']:>02}" if token["hex"] else token[0]
    yield ")" * len(levels[0].flags)


def _flags(token: re.Match[str], levels: list[_Level]) -> Iterator[str]:
    """`(?i:` opens a group; `(?i)` holds to the end of the bracket it stands in, over its alternatives too."""
    on, off = token["on"] or "", token["off"] or ""
    if "U" in on + off:
        raise Unsupported("flag U is not known to Python")
    here = levels[-1]
    verbose = ("x" in on) or (here.verbose and "x" not in off)
    kept_on, kept_off = "".join(sorted(set(on) - {"x"})), "".join(sorted(set(off) - {"x"}))
    opened = f"(?{kept_on}{'-' + kept_off if kept_off else ''}:"
    if token["end"] == ":":
        levels.append(_Level(verbose))
        yield opened
        return
    here.verbose = verbose
    if kept_on or kept_off:
        here.flags.append(opened)
        yield opened


def _posix(name: str) -> str:
    if name not in _POSIX:
        raise Unsupported(f"[:{name}:] is not known")
    return _POSIX[name]
