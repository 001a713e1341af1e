"""A rule in a prompt is no control: what the agent was told never to do, and did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec
import re2

from detectors import facts, sameness
from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span, digest

MAX_TEXT = 8_000  # characters of a prompt that are read
MAX_BANS = 64
MAX_SENTENCE = 300
TOLD = ("instructions", "task", "prompt")
DOES = frozenset({"command", "db_query", "http_egress", "file_write", "mcp_call", "tool_call"})

_CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+|(?:^|\n)\s*[-*•]\s+")
_FORBIDS = re.compile(
    r"\b(?:never|do\s+not|don'?t|must\s+not|mustn'?t|may\s+not|should\s+not|shouldn'?t|cannot|can'?t"
    r"|not\s+allowed\s+to|forbidden\s+to|prohibited\s+from|refrain\s+from|avoid)\s+(?P<what>.{3,200})",
    re.IGNORECASE | re.DOTALL,
)
_MAY_FORBID = re2.compile(r"(?i)never|not\b|(?:do|must|should|ca)n.?t|avoid|forbidden|prohibited|refrain").search
# A ban on doing it unasked is one: an act that a human allowed breaks none.
_ASKING = re.compile(
    r"\b(?:without|unless|until|before)\b(?=[^.]*\b(?:approv|permission|ask|confirm|consent|review|told|agree))", re.I
)
_UNLESS = re.compile(r"\b(?:unless|without|until|except|before|only\s+if|if)\b", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z0-9_./*-]{2,}")
# Verbs of a ban → effects that break it. An effect is what facts.py calls `command.effect`, a kind of SQL statement,
# or `program verb` of a command.
VERBS: Mapping[str, frozenset[str]] = {
    "delete": frozenset({"delete", "sql:delete", "sql:drop", "sql:truncate"}),
    "drop": frozenset({"sql:drop", "sql:truncate"}),
    "truncate": frozenset({"sql:truncate"}),
    "push": frozenset({"git push"}),
    "commit": frozenset({"git commit"}),
    "merge": frozenset({"git merge", "gh pr"}),
    "deploy": frozenset({"deploy", "kubectl apply", "helm upgrade", "helm install", "terraform apply"}),
    "install": frozenset({"install"}),
    "send": frozenset({"send"}),
    "update": frozenset({"sql:update", "sql:alter", "sql:insert"}),
    "grant": frozenset({"grant", "sql:grant"}),
}
SAME: Mapping[str, str] = {
    "remove": "delete", "erase": "delete", "destroy": "delete", "wipe": "delete", "rm": "delete", "deleting": "delete",
    "removing": "delete", "dropping": "drop", "pushing": "push", "committing": "commit", "deploying": "deploy",
    "release": "deploy", "merging": "merge", "installing": "install", "upload": "send", "email": "send", "post": "send",
    "sending": "send", "uploading": "send", "modify": "update", "alter": "update", "write": "update",
}  # fmt: skip
# A general word for what is acted on → what an act must show to be about it.
THINGS: Mapping[str, frozenset[str]] = {
    "file": frozenset({"delete"}),
    "directory": frozenset({"delete"}),
    "table": frozenset({"sql:drop", "sql:truncate", "sql:delete", "sql:update", "sql:alter", "sql:insert"}),
    "database": frozenset({"sql:drop", "sql:truncate", "sql:delete", "sql:update", "sql:alter", "sql:insert"}),
    "record": frozenset({"sql:delete", "sql:update", "sql:truncate", "sql:drop", "sql:insert"}),
    "row": frozenset({"sql:delete", "sql:update", "sql:truncate"}),
    "data": frozenset({"sql:delete", "sql:drop", "sql:truncate"}),
    "package": frozenset({"install"}),
    "dependency": frozenset({"install"}),
    "anything": frozenset(),
    "branch": frozenset({"git push", "git commit", "git merge", "delete"}),
    "remote": frozenset({"git push"}),
    "repository": frozenset({"git push", "git commit", "delete"}),
    "code": frozenset({"git push", "git commit"}),
    "change": frozenset({"git push", "git commit"}),
}
_STOP = frozenset(  # words that name nothing
    re.split(
        r"\s+",
        "the a an any all to of in on at from into for with your our their this that these those or and it its be ever "
        "directly yourself please under circumstances",
    )
)
_NOUN_NEXT = frozenset(("the", "a", "an", "this", "that", "last", "your", "my", "any", "to"))
_PLURAL = re.compile(r"(?<=[a-z]{2})(?:ies|s)$")


class Ban(msgspec.Struct, frozen=True, array_like=True):
    """One sentence that forbids: its words, the effects it forbids, and what it names."""

    sentence: str
    effects: tuple[str, ...]
    names: tuple[str, ...]  # concrete names an act must mention; none where the sentence is general
    verb: str


class Told(msgspec.Struct, array_like=True):
    """Bans of a session by digest, and the prompts they were read from."""

    bans: dict[str, Ban] = {}
    read: dict[str, None] = {}


class PromptRule(Detector[Span, Told]):
    """A sentence of the prompt or system prompt that forbids a kind of action, and such an action done afterwards.

    A ban that names something (a branch, a table, production) is broken only by an act that mentions it; a general
    one by any act of the kind. Sentences with a condition (unless, without asking, before) forbid nothing here.
    Blind spots: bans in other languages, in files the agent read, or spread over sentences; actions of tools whose
    arguments are no command, statement or file; prompts kept out of the telemetry; 64 bans of a session, the first
    8,000 characters of a prompt.
    """

    id = "prompt.rule_broken"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "prompt.rule-broken": About(
                title="Prompt rule was not a control: the agent did what it had been told never to do",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI01", "ASI10", "AML.T0054"),
                runbook="Put the rule where it holds (permissions, proxy, branch protection), then undo the action.",
                rows=("D4",),
            )
        }
    )

    def new_state(self) -> Told:
        return Told()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in DOES or not fields.isdisjoint(TOLD)

    def observe(self, event: Span, state: Told) -> Iterator[Finding]:
        for field in TOLD:
            if text := event.fields.get(field):
                _hear(str(text)[:MAX_TEXT], state)
        if not state.bans or event.kind not in DOES or event.fields.get("approval.decision") == "deny":
            return
        if event.fields.get("approval.decision") == "allow" and event.fields.get("approval.source") == "human":
            return
        done = effects(event)
        if not done:
            return
        text = sameness.plain(sameness.said(event))
        for mark, ban in state.bans.items():
            broken = done.intersection(ban.effects)
            if broken and (not ban.names or any(_mentions(text, name) for name in ban.names)):
                yield finding(
                    self,
                    event,
                    rule_id="prompt.rule-broken",
                    key=mark[:16],
                    evidence={
                        **describe(event),
                        "rule": ban.sentence,
                        "rule_digest": mark[:16],
                        "forbids": ban.verb,
                        "effect": ", ".join(sorted(broken)),
                        "note": "prompt rule was not a control",
                    },
                )


def _hear(text: str, state: Told) -> None:
    if not _MAY_FORBID(text):
        return
    seen = digest("prompt", text)[:16]
    if seen in state.read:
        return
    state.read[seen] = None
    if len(state.read) > MAX_BANS:
        del state.read[next(iter(state.read))]
    for ban in bans(text):
        mark = digest("ban", ban.sentence)
        state.bans.pop(mark, None)
        state.bans[mark] = ban
        if len(state.bans) > MAX_BANS:
            del state.bans[next(iter(state.bans))]


@lru_cache(maxsize=256)
def bans(text: str) -> tuple[Ban, ...]:
    """What the sentences of a prompt forbid."""
    found: list[Ban] = []
    for sentence in _SENTENCE.split(text.replace(_CURLY, "'")):
        match = _FORBIDS.search(sentence) if sentence else None
        if match is None or sentence.rstrip().endswith("?"):
            continue
        what = _ASKING.split(match["what"])[0]
        if _UNLESS.search(what):
            continue
        found += _read(sentence.strip()[:MAX_SENTENCE], what)
    return tuple(found[:MAX_BANS])


def _read(sentence: str, what: str) -> Iterator[Ban]:
    words = [word.casefold().rstrip(".*-") for word in _WORDS.findall(what)]
    verbs: list[str] = []
    for word in words[:6]:
        verb = SAME.get(word, word)
        if word in _NOUN_NEXT or (verbs and verb not in VERBS and word not in ("or", "and")):
            break
        if verb in VERBS:
            verbs.append(verb)
    if not verbs:
        return
    objects = [word for word in words if SAME.get(word, word) not in VERBS and word not in _STOP][:8]
    names = tuple(dict.fromkeys(word for word in objects if _PLURAL.sub("", word) not in THINGS and _names(word)))
    kinds = [THINGS[bare] for word in objects if (bare := _PLURAL.sub("", word)) in THINGS]
    for verb in dict.fromkeys(verbs):
        effects = set(VERBS[verb])
        narrowed = effects.intersection(*(kind for kind in kinds if kind)) if any(kinds) else effects
        if not narrowed or (objects and not names and not kinds):
            continue  # about something no effect is known for
        yield Ban(sentence, tuple(sorted(narrowed)), names, verb)


def _names(word: str) -> bool:
    """Whether a word names one thing: a path, an identifier, or a word that marks an environment or branch."""
    return (
        any(letter in word for letter in "/_.0123456789")
        or word in ("main", "master", "trunk", "develop", "production", "prod", "staging", "release", "upstream")
    )  # fmt: skip


def _mentions(text: str, name: str) -> bool:
    forms = (name, "prod") if name == "production" else (name,)
    return any(
        re.search(rf"(?<!\w){re.escape(form)}" + ("" if form.endswith("/") else r"(?!\w)"), text) for form in forms
    )


def effects(span: Span) -> frozenset[str]:
    """What the span does, in the words `VERBS` uses."""
    found: set[str] = set()
    for act in facts.of(span).acts:
        found.update(_values(act.get("effect")))
        if (kind := act.get("sql.kind")) is not None:
            found.add(f"sql:{kind}")
        name, verb = act.get("command.name"), act.get("command.verb")
        if name and verb:
            found.add(f"{name} {verb}")
    return frozenset(found)


def _values(value: facts.Fact | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (str(value),)
