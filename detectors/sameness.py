"""When two commands are the same, or nearly: recorded by a proxy and run by an agent, denied and tried again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache

from detectors import facts
from detectors.model import Span, digest

MAX_TEXT = 4_000  # characters of a command that are compared
MAX_WORDS = 200
LEAST = 12  # characters: shorter commands are said by everybody all the time
# Programs that carry a command to another host or database: what they carry is what a proxy there records.
CARRIES = {
    "psql": ("-c", "--command"),
    "mysql": ("-e", "--execute"),
    "mariadb": ("-e", "--execute"),
    "sqlcmd": ("-q", "-Q"),
    "clickhouse-client": ("-q", "--query"),
    "mongosh": ("--eval",),
    "mongo": ("--eval",),
    "cqlsh": ("-e", "--execute"),
    "snowsql": ("-q", "--query"),
    "redis-cli": (),
    "ssh": (),
    "kubectl": (),
    "oc": (),
    "helm": (),
    "tsh": (),
}
_VALUED = frozenset(
    ("-p", "-l", "-i", "-o", "-F", "-J", "-L", "-R", "-D", "-W", "-b", "-c", "-m", "-h", "-n", "-a", "-u")
)
# Programs whose first word says what they do.
_SUBCOMMANDS = frozenset((
    "kubectl", "oc", "helm", "docker", "podman", "git", "gh", "glab", "aws", "az", "gcloud", "terraform", "tofu",
    "npm", "yarn", "pnpm", "pip", "uv", "cargo", "go", "systemctl", "service", "apt", "apt-get", "brew", "railway",
    "fly",
))  # fmt: skip
_HARMLESS = frozenset({"read", "list", "search", "connect", "select", "show", "describe", "explain"})
_SQL = re.compile(r"(?:select|insert|update|delete|drop|alter|create|truncate|grant|revoke|with|copy|merge|call)\b")
_LITERAL = re.compile(r"'(?:[^']|'')*'|\$\d+|%\(\w+\)s|%s|(?<![\w$.]):\w+|(?<![\w$])-?\d+(?:\.\d+)?\b|\?")
_HOST = re.compile(r"^(?:[a-z][a-z0-9+]*://)?(?:[^@/\s]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:[:/]|$)")
_BLANK = re.compile(r"\s+")
_WORD = re.compile(r"[A-Za-z0-9_./:@%+~*-]+")
_NUMBER = re.compile(r"\d+")


def said(span: Span) -> str:
    """What the span does, in its own words: its command, its statement, else its arguments."""
    return (span.text("command.line") or span.text("db.statement") or span.text("arguments"))[:MAX_TEXT]


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The text without what means nothing: blanks, quotes around everything, a final semicolon, case of SQL words."""
    bare = _BLANK.sub(" ", text[:MAX_TEXT]).strip().rstrip("; ")
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1].strip().rstrip("; ")
    return bare.casefold()


@lru_cache(maxsize=4096)
def mark(text: str) -> str:
    """Digest by which two records of one command are known; empty for what everybody says all the time.

    Of SQL, literals and placeholders are left out: a driver's instrumentation leaves them out as well.
    """
    bare = plain(text)
    if _SQL.match(bare):
        bare = _BLANK.sub("", _LITERAL.sub("?", bare))
    return digest("command", bare)[:24] if len(bare) >= LEAST else ""


@lru_cache(maxsize=4096)
def carried(line: str) -> tuple[str, ...]:
    """What a command line carries elsewhere, the line itself first; nothing but the line for any other program."""
    try:
        words = shlex.split(line[:MAX_TEXT], posix=True)[:MAX_WORDS]
    except ValueError:
        return (line,)
    found = [line]
    for place, word in enumerate(words):
        name = word.rpartition("/")[2]
        if name in CARRIES:
            found += _inner(name, words[place + 1 :])
    return tuple(dict.fromkeys(one for one in found if one))


def is_carrier(line: str) -> bool:
    """Whether some program in the line takes a command elsewhere."""
    return any(name in line for name in CARRIES) and len(carried(line)) > 1


@lru_cache(maxsize=4096)
def target(line: str) -> str:
    """Host a carrying command goes to, as far as its words say."""
    try:
        words = shlex.split(line[:MAX_TEXT], posix=True)[:MAX_WORDS]
    except ValueError:
        return ""
    for place, word in enumerate(words):
        name, rest = word.rpartition("/")[2], words[place + 1 :]
        if name not in CARRIES or name == "tsh":  # `tsh ssh` is told by its second word
            continue
        for at, one in enumerate(rest):
            flag, _, value = one.partition("=")
            if flag in ("-h", "--host", "--server", "-S"):
                return value or (rest[at + 1] if at + 1 < len(rest) else "")
            if "://" in one and (found := _HOST.match(one)):
                return found["host"]
        if name == "ssh":
            behind = _behind(rest, 0)
            found = _HOST.match(behind[0]) if behind else None
            return found["host"] if found else ""
    return ""


def _inner(name: str, rest: list[str]) -> Iterator[str]:
    flags = CARRIES[name]
    for place, word in enumerate(rest):
        option, _, value = word.partition("=")
        if option in flags:
            yield value or (rest[place + 1] if place + 1 < len(rest) else "")
    if name == "ssh":
        yield " ".join(_behind(rest, 1))
    elif name == "redis-cli":
        yield " ".join(_behind(rest, 0))
    elif name in ("kubectl", "oc", "helm"):
        yield shlex.join((name, *rest))
        if "--" in rest:
            yield shlex.join(rest[rest.index("--") + 1 :])


def _behind(words: list[str], positional: int) -> list[str]:
    """The words behind so many that are no flags and no flag's value."""
    skip = False
    for place, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in _VALUED
        elif positional:
            positional -= 1
        else:
            return words[place:]
    return []


def marks(span: Span) -> tuple[str, ...]:
    """Marks of everything a span says that somebody else may have recorded."""
    texts = (*carried(span.text("command.line")), span.text("db.statement"))
    return tuple(dict.fromkeys(found for text in texts if text and (found := mark(text))))


@lru_cache(maxsize=4096)
def words(text: str) -> frozenset[str]:
    """Words of a command that say what it does and to what; flags bare, numbers as one."""
    found = _WORD.findall(text[:MAX_TEXT])[:MAX_WORDS]
    bare = (_NUMBER.sub("0", word.rpartition("/")[2].strip(".:*-+~%@").casefold()) for word in found)
    return frozenset(word for word in bare if word)


def likeness(one: str, other: str) -> float:
    """Share of words two commands have in common, 0 to 1."""
    left, right = words(one), words(other)
    return len(left & right) / len(left | right) if left and right else 0.0


def aims(span: Span) -> frozenset[str]:
    """What the span's acts do to what, as `effect target`, as far as facts tell; targets by their last part."""
    found: set[str] = set()
    for act in facts.of(span).acts:
        effects = (*_values(act.get("effect")), *_values(act.get("sql.kind")))
        targets = (*_args(act), *_values(act.get("sql.tables")), *_values(act.get("path.full")))
        for effect in effects:
            if effect not in _HARMLESS:
                found.update(f"{effect} {target.rstrip('/').rpartition('/')[2].casefold()}" for target in targets)
    return frozenset(one for one in found if not one.endswith(" "))


def _args(act: facts.Act) -> tuple[str, ...]:
    """Arguments that name something, and neither a subcommand nor a number or a letter."""
    verb = act.get("command.verb") if act.get("command.name") in _SUBCOMMANDS else None
    args = _values(act.get("command.args"))
    return tuple(word for word in args if word != verb and len(word) > 1 and not word.isdecimal())


def _values(value: facts.Fact | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (str(value),)
