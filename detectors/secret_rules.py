"""Secret rules as files: lists of issuers, decoded strictly, proved by the examples they carry.

A file is a list of groups, one an issuer, each with its rules. A rule names a secret in one of three ways.
`pattern` alone is a token one can recognise by itself (`ghp_...`). `keys` plus `pattern` is a value one can only
recognise by the name it is assigned to (`DD_API_KEY=...`); then the pattern must fit the whole value. `near` plus
`pattern` is a token that looks like many others, recognised because its issuer is named shortly before it
(`adafruit_key: ...`) or is the host its request goes to. In all three, the one capture group is the secret itself.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import yaml

from detectors.errors import RuleError, RuleErrors
from detectors.model import Category, Severity
from detectors.rule_file import unreadable
from detectors.secret_checks import CHECKS
from detectors.secret_made import MADE

RuleId = r"^[a-z0-9][a-z0-9._-]*$"


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts with holes (`<alnum:36>`); in `match` the secret stands between « and »."""

    match: tuple[str, ...]
    no_match: tuple[str, ...]


STANDARDS = ("LLM02:2026", "ASI03", "MCP01:2025", "AML.T0055", "attack.t1552.001", "attack.t1528")
Level: TypeAlias = Literal["info", "low", "medium", "high", "critical"]
Rotation: TypeAlias = Literal["cloud", "database", "service_account", "third_party"]


class SecretRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of secret: how it looks, how its format is verified, who issued it and what to do.

    `tier` says how sure the look alone makes us: `likely` for an issuer's own format or an issuer's name beside a
    fitting value, `possible` for a key name anyone uses. `trigger` is the first pass's pattern where it cannot be
    derived from `pattern`; `window` bounds how far around a trigger the second pass looks, in bytes. `rarity` is
    how far from words the secret must be, in bits per character of a model of words; 0 asks nothing. `chosen` marks
    values people think up, where fillers, names of variables and code must be told from the value. `check` names a
    verification; with `proven`, what fails it is no secret at all. `grants` ends the sentence "A credential
    that ...".
    """

    id: str
    title: str
    severity: Level = "high"
    status: Literal["test", "stable", "deprecated"] = "stable"
    tier: Literal["likely", "possible"] = "likely"
    tags: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    pattern: str
    trigger: str = ""
    window: int = 512
    min_entropy: float = 2.8
    rarity: float = 0.0
    chosen: bool = False
    check: str = ""
    proven: bool = False
    issuer: str
    rotation: Rotation
    static: bool = True
    category: Category = Category.CREDENTIAL_EXPOSURE
    standards: tuple[str, ...] = STANDARDS
    grants: str
    blind_spots: str = "A secret cut in two, one part in each of two spans."
    runbook: str
    examples: Examples
    also: tuple[str, ...] = ()

    @property
    def level(self) -> Severity:
        """`severity` as the number findings carry."""
        return Severity[self.severity.upper()]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of one issuer; whatever stands beside `rules` holds for each of them that does not say otherwise."""

    issuer: str
    rotation: Rotation
    severity: Level | msgspec.UnsetType = msgspec.UNSET
    tier: Literal["likely", "possible"] | msgspec.UnsetType = msgspec.UNSET
    near: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    min_entropy: float | msgspec.UnsetType = msgspec.UNSET
    static: bool | msgspec.UnsetType = msgspec.UNSET
    standards: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    grants: str | msgspec.UnsetType = msgspec.UNSET
    blind_spots: str | msgspec.UnsetType = msgspec.UNSET
    runbook: str | msgspec.UnsetType = msgspec.UNSET
    rules: tuple[dict[str, Any], ...]


def read_secrets(files: Iterable[Path]) -> list[SecretRule]:
    """Rules of all files in order; RuleErrors with everything that is wrong in them."""
    rules: list[SecretRule] = []
    seen: dict[str, str] = {}
    errors: list[RuleError] = []
    for file in files:
        try:
            found = list(_decode(file))
        except RuleError as error:
            errors.append(error)
            continue
        for path, rule in found:
            if isinstance(rule, RuleError):
                errors.append(rule)
            elif rule.id in seen:
                errors.append(RuleError(str(file), f"{path}.id", f"{rule.id} is already defined in {seen[rule.id]}"))
            elif reason := _wrong(rule):
                errors.append(RuleError(str(file), f"{path}.{reason[0]}", reason[1]))
            else:
                seen[rule.id] = str(file)
                rules.append(rule)
    if errors:
        raise RuleErrors(errors)
    return rules


def _decode(file: Path) -> Iterator[tuple[str, SecretRule | RuleError]]:
    """(key path, rule or what is wrong with it) of everything in the file."""
    try:
        raw: Any = yaml.load(file.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise unreadable(file, error) from error
    try:
        groups = msgspec.convert(raw, list[Group])
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise RuleError(str(file), path.rstrip("`") or "$", reason) from error
    for i, group in enumerate(groups):
        shared = msgspec.to_builtins(group)
        del shared["rules"]
        for j, one in enumerate(group.rules):
            path = f"$[{i}].rules[{j}]"
            try:
                yield path, msgspec.convert({**shared, **one}, SecretRule)
            except msgspec.ValidationError as error:
                reason, _, at = str(error).partition(" - at `")
                yield path, RuleError(str(file), path + at.rstrip("`").removeprefix("$"), reason)


def _wrong(rule: SecretRule) -> tuple[str, str] | None:
    """(key, reason) of the first thing decoding cannot see."""
    if not re.match(RuleId, rule.id):
        return "id", "only lower-case letters, digits, dot, hyphen and underscore"
    named = *(("keys", key) for key in rule.keys), *(("near", name) for name in rule.near)
    for name, pattern in (("pattern", rule.pattern), *named):
        try:
            groups = re.compile(pattern.encode("ascii")).groups
        except (re.error, UnicodeEncodeError) as error:
            return name, f"not a regular expression over ASCII: {error}"
        if groups != (1 if name == "pattern" else 0):
            return name, "a pattern has exactly one capture group, the secret; a key or name has none"
        if name != "pattern" and pattern != pattern.lower():
            return name, "written in lower case; it matches any case"
    if rule.keys and rule.near:
        return "near", "a rule has keys or names to stand near, not both"
    if rule.check and rule.check not in CHECKS:
        return "check", f"unknown; known are {', '.join(sorted(CHECKS))}"
    if rule.proven and not rule.check:
        return "proven", "by what? name a check"
    if not rule.examples.match or not rule.examples.no_match:
        return "examples", "at least one match and one no_match"
    return None


_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "lowalnum": string.ascii_lowercase + string.digits,
    "upalnum": string.ascii_uppercase + string.digits,
    "alpha": string.ascii_letters,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "base32": string.ascii_uppercase + "234567",
    "base64": string.ascii_letters + string.digits + "+/",
    "b64url": string.ascii_letters + string.digits + "-_",
    "word": string.ascii_letters + string.digits + "_",
    "base58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
}
_HOLE = re.compile(r"<([A-Za-z0-9]+):(?:([^<>]+?):)?(\d+)>|<uuid>|<made:(?P<made>[a-z]+)>")


def fill(example: str, seed: int) -> str:
    """The example with every hole filled and the marks around the secret taken away."""
    return mark(example, seed)[0]


def mark(example: str, seed: int) -> tuple[str, tuple[int, int] | None]:
    """The filled example and the character range of the secret marked in it, if one is."""
    rng = random.Random(f"{seed}/{example}")  # a string seeds the same on every platform

    def one(hole: re.Match[str]) -> str:
        if hole[0] == "<uuid>":
            text = "".join(rng.choices(_ALPHABETS["hex"], k=32))
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
        if hole["made"]:
            return MADE[hole["made"]](rng) if hole["made"] in MADE else hole[0]
        kind, argument, count = hole[1], hole[2], int(hole[3])
        if kind == "repeat":
            return (argument or "x") * count
        if kind not in _ALPHABETS:
            return hole[0]
        return _mixed(rng, _ALPHABETS[kind], count)

    text = _HOLE.sub(one, example)
    if "«" not in text:
        return text, None
    start = text.index("«")
    end = text.index("»") - 1
    return text.replace("«", "").replace("»", ""), (start, end)


def _mixed(rng: random.Random, alphabet: str, count: int) -> str:
    """Random characters; from eight on, one letter and one digit at least where the alphabet has both."""
    while True:
        text = "".join(rng.choices(alphabet, k=count))
        digit = not re.search(r"\d", alphabet) or re.search(r"\d", text)
        letter = not re.search(r"[A-Za-z]", alphabet) or re.search(r"[A-Za-z]", text)
        if count < 8 or (digit and letter):
            return text
