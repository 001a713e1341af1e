"""How likely a call carries out a sentence that came in with untrusted text, by structure alone."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from detectors.model import Span
from detectors.taint_text import STRONG, Asking, values, words
from detectors.taint_words import FAMILY, OTHER, READ, families, parts, stem

MAX_ARGUMENTS = 4096  # characters of a call's arguments
MAX_WHAT = 300  # characters of it shown to a reader
MAX_TRUSTED = 2048  # words and values the user and the operator said
SHORT = frozenset(("number", "quoted", "money"))  # these may be two characters long
_BARE = re.compile(r"(?:https?|ftp|wss?)://(?:www\.)?|(?<![\w.])www\.")  # as `plain` drops it from a value
FILLERS = frozenset(("the", "tool", "mcp", "api", "to", "of", "by", "through", "for", "a", "an"))
LOCAL = frozenset(("command", "db_query"))
DETERMINERS = frozenset(
    ("a", "an", "the", "my", "your", "his", "her", "their", "our", "this", "that", "these", "those", "via", "by")
)
SPELT = frozenset(("id", "phone"))  # blanks and hyphens in them mean nothing
HIDDEN = frozenset(("id", "quoted"))
MIN_SPELT = 8
ANSWERS = frozenset(("answer", "tell", "ask"))  # of the user: something is to be sent to somebody
LOOKS = frozenset(("read", "look", "check", "see", "find", "search", "compare"))  # and pages opened for it
MAX_TERSE = 6  # words of arguments that are settings rather than a text
WEAK = frozenset(("money", "number", "name"))


class Call(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a call: enough to judge it again when a result arrives late."""

    time_ns: int
    span_id: str
    trace_id: str
    subject: str
    tool: str
    local: bool  # it works on files, a shell or a database
    what: str  # as it was written, cut short, for a reader
    said: str  # values of its arguments, lower case
    name: tuple[str, ...]  # stemmed words of the tool's name
    families: tuple[str, ...]


class Trusted(msgspec.Struct, array_like=True):
    """What the user and the operator said: words, values, and what they want done."""

    words: dict[str, None] = {}
    values: dict[str, None] = {}
    families: dict[str, None] = {}

    def hear(self, text: str, *, wishes: bool) -> None:
        """Learn from a trusted text; only the user's own verbs are wishes."""
        found, roots, kinds = _learned(text, wishes)
        self.values |= dict.fromkeys(found)
        self.words |= dict.fromkeys(roots)
        if wishes:
            self.families |= dict.fromkeys(kinds)
        for known in (self.words, self.values):
            while len(known) > MAX_TRUSTED:
                del known[next(iter(known))]

    def named(self, kind: str, value: str) -> bool:
        """Whether a trusted text names this very value."""
        if value in self.values or (kind == "handle" and value[1:] in self.values):
            return True
        if kind in ("name", "quoted"):
            return all(stem(one) in self.words for one in re.findall(r"[a-z][a-z']+", value)) and not re.search(
                r"\d", value
            )
        return kind in ("url", "email") and any(
            value in known or known in value for known in self.values if "." in known
        )


def statements(text: str) -> str:
    """What a user says without what he only asks."""
    return _QUESTION.sub(" ", text)


@lru_cache(64)
def _learned(text: str, wishes: bool) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Values, words and wishes of a trusted text; system prompts repeat themselves from session to session."""
    roots: dict[str, None] = {}
    kinds: dict[str, None] = {}
    before = ("", "")
    for word in re.findall(r"[A-Za-z][A-Za-z']+", text):
        roots[stem(word)] = None
    for word in re.findall(r"[A-Za-z][A-Za-z']+", statements(text) if wishes else ""):
        root, low = stem(word), word.lower()
        if root in ANSWERS:
            kinds["send"] = None
        if root in LOOKS and low == root:
            kinds["visit"] = None
        if root in FAMILY and (low == root or low.endswith("ing")) and not DETERMINERS.intersection(before):
            kinds[FAMILY[root]] = None  # "an urgent email" and "she sent" are no wishes
        before = (before[1], low)
    return tuple(dict.fromkeys(value for _, value in values(text))), tuple(roots), tuple(kinds)


def call_of(span: Span) -> Call:
    """The part of a call span that matters here."""
    text = span.text("command.line") or span.text("arguments") or span.text("url") or span.text("path")
    said = _flat(text[:MAX_ARGUMENTS])
    tool = span.text("tool.name")[:100]
    return Call(
        span.start_ns,
        span.span_id,
        span.trace_id,
        span.call_id or span.id,
        tool,
        span.kind in LOCAL or ("path" in span.fields and "url" not in span.fields),
        text[:MAX_WHAT],
        said,
        parts(tool),
        families(tool),
    )


@lru_cache(4096)
def _words_of(said: str) -> tuple[str, ...]:
    return tuple(words(said)[:200])


def _flat(text: str) -> str:
    """Values of JSON arguments joined, or the text as it is; lower case, blanks single."""
    try:
        opened = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        opened = text
    leaves: list[str] = []
    _leaves(opened, leaves, 0)
    return _BARE.sub("", " ".join(" ".join(leaves).lower().split()))


def _leaves(value: Any, into: list[str], depth: int) -> None:
    if depth > 8 or len(into) > 200:
        return
    if isinstance(value, dict):
        for one in value.values():
            _leaves(one, into, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _leaves(one, into, depth + 1)
    elif value is not None and not isinstance(value, bool):
        into.append(str(value))


_QUESTION = re.compile(  # who asks a question wants an answer and nothing done; so does who says "give me"
    r"(?:^|(?<=[.!?\n]))[ \t]{0,8}(?:what|who|when|where|which|why|how|is|are|was|were|do|does|did|has|have|any)\b"
    r"(?![^.?!]{0,300}\b(?:you|please)\b)[^.?!]{0,300}\?|\b(?:give|get|show|tell|find|read)\s+(?:me|us)\b",
    re.IGNORECASE,
)


@lru_cache(4096)
def _squeezed(text: str) -> str:
    return "".join(one for one in text if one.isalnum())


@lru_cache(8192)
def _whole(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.@-]){re.escape(value)}(?![\w@-])")


def carried(asking: Asking, call: Call, trusted: Trusted) -> list[tuple[str, str]]:
    """Values of the sentence, named by nobody trusted, that stand in the call's arguments."""
    return [
        (kind, value)
        for kind, value in asking.values
        if len(value) >= (2 if kind in SHORT else 3)
        and _stands(kind, value, call.said)
        and not trusted.named(kind, value)
    ]


def _stands(kind: str, value: str, said: str) -> bool:
    """Whether the arguments hold the value, as it was written or as the same thing may be written too."""
    if value in said:
        return bool(_whole(value).search(said))
    if kind == "handle":
        return len(value) > 4 and _stands("name", value[1:], said)
    if kind in SPELT and len(bare := _squeezed(value)) >= MIN_SPELT:
        return bare in _squeezed(said)
    # a secret is masked where the call has it, and the mask tells how long it was
    return kind in HIDDEN and len(value) >= MIN_SPELT and "masked~" in said and f"~{len(value)}~" in said


class Signs(NamedTuple):
    """What speaks for and against a call carrying out a sentence; each between 0 and 1."""

    strong: float  # an address, link, path, id or quotation of the sentence stands in the arguments
    own: float  # and it stands in the sentence itself, not in what follows
    title: float  # a name of several words does
    weak: float  # a sum, number or name does
    missing: float  # the sentence names a strong value and the call has none of them
    cover: float  # share of the sentence's new words that the call has
    novel: float  # share of the call's argument words that are the sentence's and nobody trusted said
    family: float  # the call does what the sentence asks for
    quiet: float  # the call has no words of its own that nobody trusted said
    named: float  # the sentence holds all words of the tool's name
    asked: float  # the user asked for what the call does, and for the things it does it to
    acting: float  # the tool's name says it changes something
    elsewhere: float  # the carried values stand in the same text as plain data too
    relays: float  # the call writes to somebody: to pass on what a text says is not to do it
    known: float  # a trusted text has the tool's verb or a word of what it works on
    hits: int  # values of any kind and new words of the sentence that the call has
    all_things: float  # the sentence holds all words of what the tool works on
    shared: int  # new words of the sentence that the call or its tool's name has


class Sought(NamedTuple):
    """What a call brings along whatever sentence it is held against."""

    call: Call
    spoken: tuple[str, ...]  # words of its arguments
    have: frozenset[str]  # and of its tool's name
    mine: tuple[str, ...]  # words of its arguments that nobody trusted said
    things: tuple[str, ...]  # what the tool works on, by its name
    acting: bool
    looks: bool
    known: int  # things of those that a trusted text names
    wished: bool  # the user asked for something the tool does


def sought(call: Call, trusted: Trusted) -> Sought:
    """The part of the signs that is the same for every sentence."""
    spoken = _words_of(call.said)
    things = tuple(word for word in call.name if word not in FAMILY and word not in FILLERS)
    return Sought(
        call,
        spoken,
        frozenset((*spoken, *call.name)),
        tuple(word for word in spoken if word not in trusted.words and word not in FAMILY and word not in READ),
        things,
        acts(call),
        call.families == ("visit",),
        sum(word in trusted.words for word in things),
        not trusted.families.keys().isdisjoint(call.families),
    )


def near(asking: Asking, at: Sought) -> bool:
    """Whether sentence and call have anything in common: where not, no score is above zero."""
    return (
        any(one in at.call.families for one in asking.families)
        or not at.have.isdisjoint(asking.words)
        or not at.have.isdisjoint(asking.verbs)
        or any(_stands(kind, value, at.call.said) for kind, value in asking.values)
    )


def signs(asking: Asking, at: Sought, trusted: Trusted) -> Signs:
    """The signs of one sentence and one call."""
    call, have = at.call, at.have
    held = carried(asking, call, trusted)
    strong = [value for kind, value in held if kind in STRONG]
    absent = any(kind in STRONG and kind != "slug" and not trusted.named(kind, value) for kind, value in asking.values)
    fresh = [word for word in asking.words if word not in trusted.words]
    new = [word for word in fresh if word not in FAMILY and word not in READ]
    inside = {*asking.words, *asking.verbs}
    said_held = " ".join(value for _, value in held)
    kinds = {FAMILY[verb] for verb in asking.verbs if verb in FAMILY}
    named = bool(call.name) and all(
        word in inside or FAMILY.get(word) in kinds for word in call.name if word not in FILLERS
    )
    both = set(asking.families) & set(call.families)
    wished = bool((both | set(call.families[:1])) & trusted.families.keys())
    alike = {*call.name, *(at.spoken if len(at.spoken) <= MAX_TERSE else ())}
    return Signs(
        strong=float(bool(strong)),
        own=float(any(one[0] in STRONG and one in asking.values[: asking.own] for one in held)),
        title=float(any(kind == "name" and " " in value for kind, value in held)),
        weak=float(any(kind in WEAK for kind, _ in held)),
        missing=float(absent and not strong and "masked~" not in call.said),
        cover=sum(word in have for word in new) / len(new) if new else 0.0,
        novel=sum(word in inside for word in at.mine) / len(at.mine) if at.mine else 0.0,
        family=float(bool(both or set(asking.verbs) & alike - READ)),
        quiet=float(not at.mine),
        named=float(named),
        asked=float(wished and at.known * 2 >= len(at.things)),
        acting=float(at.acting),
        elsewhere=float(bool(strong) and all(value in asking.data for value in strong)),
        relays=float(not {"send", "post"}.isdisjoint(call.families)),
        known=float(at.known > 0 or at.wished),
        hits=len({value for _, value in held}) + sum(word in have and word not in said_held for word in fresh),
        all_things=float(bool(at.things) and all(word in inside for word in at.things)),
        shared=sum(word in have and word not in said_held for word in new),
    )


def acts(call: Call) -> bool:
    """Whether the tool's name says that it changes something, by a verb that is known or by one that is not."""
    return bool(call.families) or (bool(call.name) and call.name[0] not in READ and len(call.name) > 1)


def told(found: Signs, idle: bool) -> float:
    """The same of a paragraph of any form: for calls the user never asked for or, best, who asked for none at all."""
    if not found.acting or found.elsewhere or (found.known and not idle):
        return 0.0
    if found.strong and (idle or found.shared or found.family):
        return 0.8
    if found.missing or (found.relays and not idle):
        return 0.0
    if idle and (found.hits >= 2 or (found.hits and found.all_things and (found.quiet or found.novel >= 0.5))):
        return 0.71
    return 0.71 if found.hits >= 2 and (found.novel == 1.0 or found.quiet) else 0.0


def score(asking: Asking, found: Signs, idle: bool = False) -> float:
    """How likely the call carries the sentence out: from 0.5 on it is worth telling, from 0.7 on it is a hijack."""
    if asking.form == "told":
        return told(found, idle)
    if not asking.families and asking.form != "need":  # to see to it, to get it: what it is stands in the values
        return 0.8 if found.strong and found.own and found.acting and not found.asked else 0.0
    if asking.families == (OTHER,) and not (found.family or (found.strong and found.own)):
        alike = found.acting and not found.asked and not found.missing and found.shared >= 2 and found.novel >= 0.5
        return 0.71 if alike or (idle and found.acting and found.weak and found.quiet) else 0.0
    if found.strong and (found.own or found.acting or found.family):
        return 0.85 + 0.05 * found.family + 0.05 * found.novel + 0.04 * (1 - found.asked)
    if found.title and found.family:
        return 0.8
    if found.missing:
        return 0.0
    if found.weak and found.family and idle:
        return 0.72
    if found.weak and found.family and (found.named or found.cover >= 0.5) and not found.asked:
        return 0.74
    if found.cover >= 0.5 and found.novel >= 0.5 and (found.family or not found.relays):
        return 0.72 + 0.05 * found.family
    if found.asked or not (found.family and found.acting):
        return 0.0
    if found.novel == 1.0 or (found.named and asking.aimed and found.quiet):
        return 0.71
    return 0.0
