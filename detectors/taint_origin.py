"""What a session remembers of where text came from: who said a value first, and which sentences asked for something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from hashlib import blake2b
from itertools import chain

import msgspec

from detectors.model import Span
from detectors.taint_judge import Call, Sought, Trusted, acts, statements
from detectors.taint_text import STRONG, Asking, asking, clip, near_addresses, paragraphs, values, words
from detectors.taint_words import FAMILY, OTHER, READ, STOP, stem

MAX_HEARD = 64  # sentences that asked for something; unknown verbs are forgotten first, then the oldest
MAX_OVERHEARD = 8  # results kept for calls that nobody asked for
MAX_PAGE = 8192  # characters of each
MAX_CALLS = 16  # latest calls, kept for results that come late
MAX_KEPT = 1024  # characters of the arguments of each
MAX_TOLD = 256  # findings told
MAX_TEXTS = 64  # texts already read, by hash
MAX_RECORDS = 64  # of one result
MAX_LATE_NS = 300_000_000_000  # a result may arrive this much later, in event time, than the call that used it

_DELEGATES = re.compile(
    r"\b(?:fulfil|fulfill|follow|do|complete|carry\s+out|perform|handle|act\s+on|execute|comply|take\s+care|process|address|"
    r"work\s+through|answer|go\s+through|implement)\w*\b(?:\W+\w+){0,5}?\W+(?:requests?|instructions?|tasks?|to-?dos?|steps|"
    r"action\s+items?|actions|asks?|asked|says?|orders|wishes|guide|items\s+on)\b"
    r"|(?:^|[.!?;,:\n][ \t]{0,8}|\b(?:and|then|please|to|you|kindly)\s+)(?:do|handle|process|work|"
    r"follow|address|implement|resolve|carry|"
    r"fulfill?|obey|act|deal|take\s+(?:part|care))\s+(?:on\s+|with\s+|out\s+|in\s+|of\s+|through\s+)?"
    r"(?:the|my|our|his|her|their|this|that|these|those|all|every\w*|what\w*|open|[\w.-]+)\s+\w"
    r"|\b(?:handle|do|resolve|process|address|settle|sort|get|see\s+to|take\s+care\s+of|deal\s+with)\s+(?:it|that|them|this)"
    r"(?:\s+(?:out|done))?(?:\s+for\s+me)?\s*(?:[.!]|$)"
    r"|\b(?:as|what\w*|everything)\s+(?:[\w'-]+\s+){0,8}?(?:says?|asks?|asked|described|specified|written|told|wants?|tells?|suggests?|requires?)\b"
    r"|\bas\s+in\b|\b(?:following|according\s+to|what\s+to\s+do|how\s+to)\b|\bper\s+(?:the|my|our)\b"
    r"|\b(?:manual|instructions|guide|handbook|documentation|docs|help\s+page)\b[^.?!\n]{0,40}\b(?:and|then)\s+(?!tell|give|summar|list|show)\w"
    r"|\b(?:what|whatever|everything|anything|as)\s+(?!(?:i|we|you)\b)(?:it|he|she|they|the\s+\w+|[a-z]+)\s+(?:asks?|wants?|needs?|says?|requests?|"
    r"tells?|specif(?:y|ies))\b",
    re.IGNORECASE,
)


# What these words name says itself what is to be done with it.
_OWES = re.compile(
    r"\b(?:pay|settle|clear|accept|confirm|fix|solve|resolve|handle|address|process|implement|tackle|deal|do|work|act|fulfil+)"
    r"\s+(?:[\w']+\s+){0,4}?(?:bill|invoice|invitation|issue|ticket|bug|typo|error|complaint|request|proposal|feedback|"
    r"reminder|checklist|todo)s?\b",
    re.IGNORECASE,
)
_RECORD = re.compile(r"\}\s*,\s*\{|\},\s*['\"][^'\"\n]{1,80}['\"]:\s*\{|\n\s*-\s(?=[\w ]{1,24}:\s)")
_MARK = re.compile(r"\b\d[\w-]*")
_BEGINS = re.compile(
    r"(?:^|\n|[.!?][ \t]{1,8}|\bplease\s)(?:please\s)?([A-Za-z]+)\s+(?:the|an?|my|our|all|this|that|these|\w+)\b"
)
# To do these gives the user an answer and changes nothing.
ANSWERED = READ | {"tell", "give", "explain", "say", "translate", "answer", "recommend", "suggest", "help", "think"}


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """A sentence that asked for something, and the result it stood in."""

    asking: Asking
    time_ns: int
    span_id: str
    trace_id: str
    tool: str
    local: bool  # it came from files, a shell or a database
    named: bool  # the user named what was read
    sourced: bool = False  # the user's words say what kind of thing was read
    meant: int = 0  # 1: it stands in the record the user's words point at, -1: in another than that


class Page(msgspec.Struct, frozen=True, array_like=True):
    """A result as it was read, taken apart only when a call comes that nobody asked for."""

    text: str
    time_ns: int
    span_id: str
    trace_id: str
    tool: str
    local: bool


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A span as it is told in a chain."""

    time_ns: int
    span_id: str
    trace_id: str
    what: str


class Origins(msgspec.Struct, array_like=True):
    """One session's memory; everything in it is bounded."""

    trusted: Trusted = msgspec.field(default_factory=Trusted)
    delegates: bool = False  # the user told the agent to do what some text asks for
    owes: bool = False  # the user wants a thing dealt with that is a demand in itself: a bill, an issue, a request
    busy: bool = False  # the user asked for something to be done, not only for an answer
    heard: list[Heard] = []
    overheard: list[Page] = []  # what was read since the user spoke last
    calls: list[Call] = []
    texts: dict[int, None] = {}
    told: dict[str, None] = {}
    shell: bool = False  # the session runs commands: it works on code, where texts full of imperatives are daily bread
    direct: bool = False  # calls bring their own results: what the model is handed of them is nothing new
    asked: bool = False  # the user was heard
    tainted: Step | None = None  # first text that asked for something
    sensitive: Step | None = None  # first sensitive read

    def trust(self, text: str, *, wishes: bool) -> None:
        """Learn what the user or the operator said."""
        if not self._fresh(text):
            return
        self.trusted.hear(clip(text), wishes=wishes)
        if not wishes:
            return
        self.overheard.clear()
        text = statements(clip(text))
        if _DELEGATES.search(text):
            self.delegates = True
        self.owes = self.owes or bool(_OWES.search(text))
        self.asked = True
        self.busy = self.busy or self.delegates or bool(self.trusted.families) or _does(text)

    def read(self, span: Span, result: str, call: Call) -> list[Heard]:
        """Take in a result; the sentences in it that ask for something and were not heard before."""
        if len(result) < 8 or not self._fresh(result):
            return []
        ended = span.end_ns
        if span.kind == "llm_call":  # the model heard it when it was called, and may have heard it of a call before
            ended = span.start_ns
        local = call.local or (self.shell and span.kind == "llm_call")
        if self.shell and local:  # of texts about code only those that name an address matter
            result = near_addresses(result)
        found = asking(result) if result else ()
        looked = not acts(call) or call.families == ("visit",)
        if looked and self.asked and not self.delegates and not self.shell:
            self.overheard.append(Page(result[:MAX_PAGE], ended, span.span_id, span.trace_id, call.tool, local))
            del self.overheard[:-MAX_OVERHEARD]
        if not found:
            return []
        sourced = any(
            word in self.trusted.words for word in (*call.name[1:], *words(call.said[:200])) if word not in FAMILY
        )
        # a repository is a place where many write; only a document is told to be followed
        named = any(
            kind in STRONG and kind != "slug" and value in self.trusted.values for kind, value in values(call.said)
        )
        handed = (self.delegates or self.owes) and not self.shell
        places = records(result, self.trusted.words, self.trusted.values) if handed else ()
        known = {one.asking.text for one in self.heard}
        fresh: list[Heard] = []
        for one in found:
            if one.text not in known and (one.families or one.form == "need" or _names(one)):
                known.add(one.text)
                at = placed(one, places)
                fresh.append(Heard(one, ended, span.span_id, span.trace_id, call.tool, local, named, sourced, at))
        self.heard += fresh
        if len(self.heard) > MAX_HEARD:  # of no known effect first, then the oldest
            surest = [one for one in self.heard if one.asking.families != (OTHER,)]
            self.heard = (surest if len(surest) >= MAX_HEARD else self.heard)[-MAX_HEARD:]
        return fresh

    def unasked(self, at: Sought) -> Iterator[Heard]:
        """Every paragraph read, for a call that does something the user never asked for."""
        if self.delegates or not at.acting or at.looks or (self.busy and (at.known or at.wished)):
            return
        for page in self.overheard:
            for one in paragraphs(page.text):
                yield Heard(one, page.time_ns, page.span_id, page.trace_id, page.tool, page.local, False)

    def remember(self, call: Call) -> None:
        """Keep the call for results that arrive after it."""
        self.calls.append(msgspec.structs.replace(call, said=call.said[:MAX_KEPT]))
        del self.calls[:-MAX_CALLS]

    def tell(self, mark: str) -> bool:
        """Whether this is told for the first time."""
        if mark in self.told:
            return False
        self.told[mark] = None
        if len(self.told) > MAX_TOLD:
            del self.told[next(iter(self.told))]
        return True

    def _fresh(self, text: str) -> bool:
        """Whether the text was not read before; histories repeat themselves."""
        mark = _hash(text)
        if mark in self.texts:
            return False
        self.texts[mark] = None
        if len(self.texts) > MAX_TEXTS:
            del self.texts[next(iter(self.texts))]
        return True


def records(text: str, said: Container[str], named: Container[str]) -> tuple[tuple[str, int], ...]:
    """The records of a result, each with how much of what only it has the user spoke of; empty where none has any."""
    parts = [one for one in _RECORD.split(text[:MAX_PAGE]) if len(one) > 3][:MAX_RECORDS]
    found = [
        {one for one in words(part) if one in said and one not in FAMILY and one not in READ}
        | {one for one in _MARK.findall(part.lower()) if one in named}
        for part in parts
    ]
    counts = Counter(chain.from_iterable(found))
    sizes = [sum(counts[one] < len(parts) or len(parts) == 1 for one in mine) for mine in found]
    return tuple(zip(parts, sizes, strict=True)) if any(sizes) else ()


def placed(one: Asking, places: Sequence[tuple[str, int]]) -> int:
    """Whether a sentence stands in the record that the user's words point at best."""
    best = max((size for _, size in places), default=0)
    for start in (one.text[:80], one.text[:24]):  # a line may be folded later on
        for text, size in places:
            if start in text:
                return 1 if size == best else -1
    return 0


def _names(one: Asking) -> bool:
    return any(kind in STRONG for kind, _ in one.values[: one.own])


def _does(text: str) -> bool:
    """Whether a user's text asks for something to be done, by verbs nobody listed too."""
    return any(one.families for one in asking(text)) or any(
        stem(first) not in ANSWERED and (first.lower() not in STOP or first.lower() == "do")
        for first in _BEGINS.findall(text)
    )


def _hash(text: str) -> int:
    """Short stable hash: Python's own differs from run to run."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")
