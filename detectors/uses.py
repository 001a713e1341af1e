"""What a span used, in the words a policy is written in: so that what a policy is made of is what it is held against.

Paths are spelled `./x` below the session's working tree and `~/x` below a home; repositories `host/owner/name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from detectors import facts
from detectors.egress import hosts_of
from detectors.model import Span
from detectors.path_classes import classes
from detectors.policy import CLASS, Matter

CALLS = frozenset({"tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"})
MAX_USES = 64  # of one span
_HOME = re.compile(r"(?:/home/[^/]+|/Users/[^/]+|/root|[A-Za-z]:[/\\]Users[/\\][^/\\]+)(?=[/\\]|\Z)")
_WRITES = frozenset({"write", "delete"})
_HOST = r"(?P<host>[A-Za-z0-9.-]+\.[A-Za-z]{2,})"
_PATH = r"(?P<name>[\w.-]+(?:/[\w.-]+)+)/?(?:[@#?]|\Z)"
_URL = re.compile(rf"(?:git\+)?(?:https?|ssh|git)://(?:[^@/\s]*@)?{_HOST}(?::\d+)?/{_PATH}")
_SCP = re.compile(rf"[\w.-]+@{_HOST}:{_PATH}")
_API = re.compile(r"https?://(?:api\.(?P<host>github\.com)|(?P<own>[\w.-]+)/api/v3)/repos/(?P<name>[\w.-]+/[\w.-]+)")
_PROJECT = re.compile(r"https?://(?P<host>[\w.-]+)/api/v4/projects/(?P<name>[\w.%-]+%2F[\w.%-]+)", re.IGNORECASE)
_SHORT = re.compile(r"[\w.-]+/[\w.-]+")
_OWNER = re.compile(r'"(?:owner|org|organization)"\s*:\s*"([\w.-]+)"')
_REPO = re.compile(r'"(?:repo|repository|repo_name)"\s*:\s*"([\w.-]+(?:/[\w.-]+)?)"')
_GIT_VERBS = frozenset({"clone", "remote", "fetch", "pull", "push", "ls-remote", "submodule"})
_FORGES = {"gh": "github.com", "glab": "gitlab.com"}


class Use(NamedTuple):
    """One thing used: the matter of a policy it falls under, how it is spelled, and other names it goes by."""

    matter: Matter
    name: str
    also: tuple[str, ...] = ()


def of(span: Span) -> list[Use]:
    """What the span used. What an approval record names is only asked for, and a model call uses no tool."""
    kind = span.kind
    found: dict[Use, None] = {}
    if kind == "llm_call":
        found.update(dict.fromkeys(_model(span)))
    elif kind in CALLS:
        found.update(dict.fromkeys(_call(span)))
    if kind != "llm_call" and (mode := span.fields.get("approval.mode")):
        found[Use("session_modes", str(mode))] = None
    return list(found)[:MAX_USES]


def _model(span: Span) -> Iterator[Use]:
    if model := span.text("model"):
        yield Use("models", model)
    if provider := span.text("provider"):
        yield Use("providers", provider)


def _call(span: Span) -> Iterator[Use]:
    fields = span.fields
    if tool := fields.get("tool.name"):
        yield Use("tools", str(tool))
    if server := fields.get("mcp.server"):
        yield Use("mcp_servers", str(server))
    for host in hosts_of(span):
        yield Use("egress", host)
    acts = facts.of(span).acts
    yield from _paths(span, acts)
    for name in repositories(span, acts):
        yield Use("repositories", name)


def _paths(span: Span, acts: Sequence[facts.Act]) -> Iterator[Use]:
    tree = span.text("workdir")
    for act in acts:
        writes = not _WRITES.isdisjoint(values(act, "path.action"))
        for full in values(act, "path.full"):
            spelled = spell(full, tree)
            kinds = tuple(CLASS + one for one in classes(full))
            yield Use("write" if writes else "read", spelled, (full, *kinds) if spelled != full else kinds)


def values(act: facts.Act, field: str) -> tuple[str, ...]:
    """The values of a fact as texts."""
    value = act.get(field)
    return value if isinstance(value, tuple) else () if value is None else (str(value),)


def spell(path: str, tree: str) -> str:
    """A path as policies write it."""
    tree = tree.rstrip("/")
    if tree and (path == tree or path.startswith(tree + "/")):
        return "." + path[len(tree) :] if len(path) > len(tree) else "./"
    if found := _HOME.match(path):
        return "~" + path[found.end() :].replace("\\", "/")
    if path.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:[/\\]", path):
        return path
    return "./" + path


def repositories(span: Span, acts: Sequence[facts.Act]) -> list[str]:
    """Repositories that a call clones, fetches, pushes to, or reaches over a forge's interface."""
    found: list[str] = []
    for act in acts:
        name = act.get("command.name")
        if isinstance(name, str):
            found += _commanded(name, act)
    url = span.text("url")
    text = url or span.text("command.line")
    if "/repos/" in text or "/projects/" in text:
        found += _reached(text)
    arguments = span.text("arguments")
    if span.kind in ("mcp_call", "tool_call") and '"repo' in arguments and (repo := _REPO.search(arguments)):
        owner = _OWNER.search(arguments)
        if owner or "/" in repo[1]:
            host = "gitlab.com" if "gitlab" in span.text("mcp.server").lower() else "github.com"
            found.append(f"{host}/{repo[1]}" if "/" in repo[1] else f"{host}/{owner[1]}/{repo[1]}")  # type: ignore[index]  # one of them is there
    return list(dict.fromkeys(one.lower().removesuffix(".git") for one in found))


def _commanded(name: str, act: facts.Act) -> Iterator[str]:
    words = values(act, "command.args")
    if name == "git" and str(act.get("command.verb")) in _GIT_VERBS:
        for word in words:
            yield from _remote(word)
    elif name in ("pip", "pip3", "uv", "npm", "pnpm", "yarn", "go", "cargo"):
        for word in words:
            if "git" in word:
                yield from _remote(word)
    elif name in _FORGES:
        line = str(act.get("command.words", ""))
        if flagged := re.search(r"(?:^|\s)(?:-R|--repo)[= ]([\w./:@-]+)", line):
            yield from _forged(flagged[1], _FORGES[name])
        if act.get("command.verb") == "repo" and len(words) > 2:
            yield from _forged(words[2], _FORGES[name])
        if act.get("command.verb") == "api" and (asked := re.search(r"\brepos/([\w.-]+/[\w.-]+)", line)):
            yield f"{_FORGES[name]}/{asked[1]}"


def _forged(word: str, host: str) -> Iterator[str]:
    if _SHORT.fullmatch(word):
        yield f"{host}/{word}"
    else:
        yield from _remote(word)


def _remote(word: str) -> Iterator[str]:
    if found := _URL.match(word) or _SCP.match(word):
        yield f"{found['host']}/{found['name'].removesuffix('.git')}"


def _reached(text: str) -> Iterator[str]:
    for found in _API.finditer(text):
        yield f"{found['host'] or found['own']}/{found['name']}"
    for found in _PROJECT.finditer(text):
        yield f"{found['host']}/{unquote(found['name'])}"
