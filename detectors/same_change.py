"""When two changes are the same change in two places: a command or an edit with the name of its place taken out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors import facts
from detectors.model import Span, digest

PLACES = frozenset(  # options whose value names the service, host or repository a command is for
    {
        "-n", "--namespace", "--context", "--kube-context", "--cluster", "--service", "--service-name", "--app",
        "--project", "-R", "--repo", "--host", "--hostname", "-C", "--chdir", "--function-name", "--stack-name",
        "--release", "--site", "--tenant", "--resource-group", "-g", "--environment-name", "--db-instance-identifier",
    }
)  # fmt: skip
PROGRAMS = frozenset(  # what changes things outside the machine it runs on
    {
        "kubectl", "oc", "helm", "terraform", "tofu", "pulumi", "aws", "gcloud", "az", "gh", "glab", "flyctl", "fly",
        "heroku", "argocd", "nomad", "serverless", "sls", "vercel", "railway", "ansible", "systemctl", "doctl", "cf",
    }
)  # fmt: skip
IN_TREE = re.compile(r"git (?:\S+ )*?(?:apply|am|cherry-pick)\b|patch\b|sed (?:\S+ )*?(?:-i|--in-place)")
REMOTE = re.compile(  # a changing command on another host
    r"ssh (?:-\S+ )*(\S+) ((?:sudo )?(?:systemctl (?:re)?(?:start|load)|systemctl stop|docker|kubectl|apt|apt-get|yum|"
    r"dnf|sed -i|tee|cp|mv|rm|service|supervisorctl|nginx)\b.*)",
    re.DOTALL,
)
READS = frozenset(
    {
        "get",
        "describe",
        "list",
        "ls",
        "show",
        "status",
        "logs",
        "plan",
        "diff",
        "history",
        "view",
        "template",
        "version",
    }
)
POSITION = re.compile(r"(?:deploy(?:ment)?s?|statefulset|daemonset|svc|service|job|cronjob)[/ ]([\w.-]+)")
EDIT = ("new_string", "new_str", "content", "text", "patch", "diff", "contents")
MIN_EDIT = 12  # characters: shorter texts are equal by chance
MAX_WHAT = 200


class Fix(NamedTuple):
    """A change without its place, the place, and the change in words."""

    id: str
    where: str
    what: str


def of(span: Span) -> Iterator[Fix]:
    """The changes of a call that could be made elsewhere too."""
    if span.kind == "file_write":
        yield from _edit(span)
        return
    for act in facts.of(span).acts:
        name, words = act.get("command.name"), str(act.get("command.words", ""))
        if name in PROGRAMS:
            yield from _command(words)
        elif name == "ssh" and (found := REMOTE.match(words)):
            yield Fix(digest("remote", found[2]), found[1], words[:MAX_WHAT])
        elif name in ("git", "sed", "patch") and IN_TREE.match(words) and (tree := span.text("workdir")):
            yield Fix(digest("in tree", words), tree, words[:MAX_WHAT])


def _command(words: str) -> Iterator[Fix]:
    given = words.split()
    if any(word in READS for word in given[1:4]) or "--dry-run" in words:
        return
    places: list[str] = []
    kept: list[str] = []
    skip = False
    for place, word in enumerate(given):
        option, equals, value = word.partition("=")
        if skip:
            skip = False
        elif word in PLACES and place + 1 < len(given):
            places.append(given[place + 1])
            kept.append(word)
            skip = True
        elif equals and option in PLACES:
            places.append(value)
            kept.append(option)
        else:
            kept.append(word)
    if not places and (found := POSITION.search(words)):
        places = [found[1]]
    if not places:
        return
    template = " ".join(kept)
    for name in sorted(places, key=len, reverse=True):
        template = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", "*", template)
    yield Fix(digest("command", template), "/".join(places)[:MAX_WHAT], words[:MAX_WHAT])


def _edit(span: Span) -> Iterator[Fix]:
    tree = span.text("workdir") or span.text("cwd") or span.text("ci.repo")
    text = span.text("arguments")
    if not tree or not text.startswith("{"):
        return
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return
    new = _first(given, EDIT) if isinstance(given, dict) else ""
    if len(new) >= MIN_EDIT:
        name = span.text("path").rpartition("/")[2]
        yield Fix(digest("edit", " ".join(new.split())), tree, f"edit of {name}"[:MAX_WHAT])


def _first(given: dict[str, object], names: Sequence[str]) -> str:
    return next((str(given[name]) for name in names if isinstance(given.get(name), str) and given[name]), "")
