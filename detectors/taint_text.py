"""Sentences of a text that ask for something, told from plain data: their verb, the values and the words in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from detectors.taint_words import FAMILY, READ, SOFT, STOP, stem

Form: TypeAlias = Literal["imperative", "request", "duty", "need", "past"]

MAX_TEXT = 32_768  # characters looked at per field: the first three quarters and the last quarter of a longer one
MAX_SENTENCE = 600
MAX_ASKING = 48  # sentences of one text
MAX_VALUES = 16  # of one sentence

_ESCAPED = re.compile(r"\\+(?:\r?\n\s*\\?|[nrt](?![a-z]{2}))|\\u[0-9a-fA-F]{4}")
_FOLDED = re.compile(r"(?<=[\w,;'\u2019)])[ \t]*\n[ \t]*(?=[a-z(][^:\n]{0,80}(?:\s|$))(?![\w.-]+:)")
_CUT = re.compile(
    r"\s*\n+\s*|</?[a-zA-Z][^<>]{0,2000}>|<!--|-->|<<+|>>+|(?<=[.!?])[\"')\]]*\s+(?=[^a-z])|;\s+|['\"]\s*[,:}\]]+\s*['\"{\[]*|[{}\[\]]+|\s[|#]\s"
    r"|\s/?[*#]+/?\s|(?:^|\s)//+\s|\s--+>?\s"
)
_LEAD = re.compile(
    r"^(?:[\s\"'`*#>\-+\u2022\u2013\u2014(/!|;,.=]+|\d{1,3}[.):]\s+|(?:step|task|todo|note|notice|attention|important|warning|hint|tip|ps|"
    r"p\.s|reminder|action|instruction|instructions|info|update|urgent)s?\s*\d*\s*[:!.\-]+\s*|"
    r"(?:hi|hello|hey|dear)\b[^,.!:]{0,40}[,!:]\s*|[A-Za-z_][\w .-]{0,24}:\s+|"
    r"(?:also|then|first|firstly|second|next|finally|lastly|now|instead|just|kindly|simply|so|and|but|additionally|"
    r"afterwards|immediately|quickly|secretly|silently|always|never|secondly|otherwise|further|furthermore)\b,?\s+|"
    r"(?:to|if|when|whenever|once|before|after|while|in order to|for|as|since|because|due to|upon|with|by|as soon as)\s"
    r"[^,.!?\n]{3,160},\s*(?:then\s+)?(?:you\s+(?:must|should|need to|have to)\s+)?)",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"\b(?:please|kindly|(?:could|can|would|will)\s+you(?:\s+(?:please|kindly|also|just))*|would\s+you\s+mind|"
    r"(?:be\s+sure|make\s+sure|remember|don'?t\s+forget|do\s+not\s+forget|take\s+care|feel\s+free|i\s+(?:want|need|"
    r"would\s+like|ask|order|expect|'d\s+like)\s+you)\s+to|i'd\s+like\s+you\s+to|let'?s)\s+(?:also\s+|just\s+|first\s+|"
    r"then\s+|go\s+ahead\s+and\s+|immediately\s+)?([a-z][a-z'-]+)",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"\b(?:you|the\s+(?:agent|assistant|model|ai|user|reader|bot)|ai\s+agents?|agents?|assistants?)\s+(?:must|should|shall|"
    r"need\s+to|needs\s+to|have\s+to|has\s+to|ought\s+to|are\s+(?:to|required\s+to|asked\s+to|instructed\s+to|expected\s+to)"
    r"|is\s+(?:to|required\s+to|instructed\s+to))\s+(?:also\s+|first\s+|then\s+|always\s+|immediately\s+)?([a-z][a-z'-]+)",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\b(?:i|we)\s+(?:\w+ly\s+)?(?:need|want|require|would\s+like|'d\s+like)\s+(?:to\s+)?", re.IGNORECASE
)
_FIRST = re.compile(r"[A-Za-z][A-Za-z'-]*")
_NEXT = re.compile(
    r"\s+(?:(?:the|a|an|all|any|every|each|my|your|our|his|her|their|its|this|that|these|those|me|us|him|them|it|to|from|"
    r"for|with|by|at|on|in|into|out|up|off|down|over|of|no|not|as|and|both|some|one|two|three|another|new|more|only|also|"
    r"again|everything|anything|everyone|yourself|back|further|directly|immediately)\b|[\"'`$€£/\d<]|[A-Z][\w-]*\b|\w+\s+"
    r"(?:to|from|for|with|at|on|in|into|by|of|using|via|and|the|a)\b|[\w-]+(?:\.[\w-]+)+|\S+@|[\w-]+_\w+)",
)
_THEN = re.compile(
    r"(?:,|;|\band\b|\bthen\b)\s+(?:then\s+|also\s+|please\s+|finally\s+)*([a-z]+)(?=\s+\w|\s+[\"'$/<])", re.I
)
_NOUNISH = re.compile(
    r"^\s*(?:[:=|]|\w+\s*[:=|]|(?:is|are|was|were|has|have|had|can|will|may|did|does)\b)", re.IGNORECASE
)

_OBJECT = re.compile(r"\s+(?:the|all|my|your|his|her|their|this|these|an?)\b", re.IGNORECASE)
_STATED = re.compile(  # "Order 17", "Order ID X has been sent": a thing and what became of it
    r"^[\s\d#.]*$|^(?:\s+[A-Z#\d][\w#-]*){1,4}\s+(?:is|are|was|were|has|have|had|not|will|can|cannot)\b"
)

_VALUES = re.compile(
    r"(?P<mask>MASKED~[\w.-]+~\d+~\w+~)"
    r"|(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<url>(?:https?|ftp|wss?)://[^\s\"'<>)\]}]+|(?:www\.)[\w.-]+\.\w{2,}[^\s\"'<>)\]},]*|"
    r"(?<![\w@./-])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|info|biz|dev|app|ai|co|edu|gov|de|ru|cn|uk|xyz|site|online|shop|me)"
    r"(?:/[^\s\"'<>)\]},]*)?(?![\w.]*[(\w]))"
    r"|(?P<path>(?<![\w:/])(?:~|\.{1,2})?/[\w.@-]+(?:/[\w.@-]+)*|[A-Z]:\\[\w.\\-]+|"
    r"(?<![\w./-])[\w-]+\.(?:txt|md|pdf|csv|json|ya?ml|docx?|xlsx?|pptx?|html?|py|js|ts|sh|log|png|jpe?g|ics|eml|zip)\b)"
    r"|(?P<quoted>(?<![\w])[\"'`\u201c\u2018]([^\"'`\u201c\u201d\u2019\n]{2,80})[\"'`\u201d\u2019](?!\w))"
    r"|(?P<money>[$€£]\s?\d[\d,]*(?:\.\d+)?|\b\d[\d,]*(?:\.\d+)?\s?(?:USD|EUR|GBP|dollars|euros|BTC|ETH)\b)"
    r"|(?P<id>(?<![\w-])(?=[\w-]{3,80}(?![\w-]))(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]+)"
    r"|(?P<number>(?<![\w.$-])\d[\d ()+-]{1,18}\d(?![\w.])|(?<![\w.$-])\d{2,}(?:\.\d+)?(?![\w%]))"
)
_NAME = re.compile(r"(?<=\w[ ,]) ?\b[A-Z][\w'-]+(?: (?:[A-Z][\w'-]+|of|the|and|&)(?= [A-Z])| [A-Z][\w'-]+){0,4}")
STRONG = frozenset(("mask", "email", "url", "path", "quoted", "id"))
_SALUTE = re.compile(r"^\W*(?:\w+:\s*)?\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\b", re.IGNORECASE)
_CLOSE = re.compile(
    r"^\W*(?:(?:best|kind|warm)?\s*(?:regards|wishes)|best\b|cheers|thanks|thank you|sincerely|yours|love,|"
    r"[\w-]+:\s*\S*$)",
    re.IGNORECASE,
)
_AGENT = re.compile(
    r"\b(?:ai|a\.i\.|llms?|(?:the|an?|this|your|dear|any|all|coding|language)\s+(?:\w+\s+)?(?:agents?|assistants?|models?|"
    r"chatbots?|bots?)|copilot|claude|gpt|gemini|codex|cursor)\b",
    re.IGNORECASE,
)
_MASK = re.compile(r"MASKED~\S*?~\S*?~\S*?~", re.IGNORECASE)
_BARE = re.compile(r"^(?:https?|ftp|wss?)://(?:www\.)?|^www\.")


class Asking(msgspec.Struct, frozen=True, array_like=True):
    """A sentence that asks its reader to do something."""

    form: Form
    families: tuple[str, ...]  # what it asks to do to the world; empty when it only asks to look or to think
    verbs: tuple[str, ...]
    values: tuple[tuple[str, str], ...]  # kind and value, as `plain` has it
    words: tuple[str, ...]  # stemmed content words
    text: str  # cut short
    letter: bool = False  # it stands in a letter from one person to another
    agent: bool = False  # it speaks to or of an agent, a model, an assistant


@lru_cache(4096)
def plain(value: str) -> str:
    """A value as it is compared: no case, no scheme, no closing punctuation."""
    return _BARE.sub("", value.lower().strip()).rstrip("/.,;:!?'\"`)")


def clip(text: str) -> str:
    """What is looked at of a text."""
    if len(text) <= MAX_TEXT:
        return text
    head = MAX_TEXT * 3 // 4
    return text[:head] + "\n\n" + text[-(MAX_TEXT - head) :]


def _unescape(found: re.Match[str]) -> str:
    whole = found.group()
    if whole[1:2] == "u":
        return "'" if whole.lower() == "\\u2019" else " "
    return " " if "\n" in whole else "\n"


def sentences(text: str) -> Iterator[str]:
    """Pieces of a text that could each be one sentence: of prose, of mail, of JSON, YAML, HTML or comments."""
    if "\\" in text:
        text = _ESCAPED.sub(_unescape, text)
    text = _FOLDED.sub(" ", text)
    for piece in _CUT.split(text):
        if piece:
            yield piece[:MAX_SENTENCE]


def values(text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of all that names one certain thing."""
    for found in _VALUES.finditer(text):
        kind = found.lastgroup or ""
        if kind == "quoted" or found.group("quoted"):
            inner = found.group()[1:-1].strip()
            yield "quoted", plain(inner)
            for one in _VALUES.finditer(inner):
                if one.lastgroup in ("mask", "email", "url", "path", "id"):
                    yield str(one.lastgroup), plain(one.group())
            continue
        if kind:
            yield kind, plain(found.group())
    for found in _NAME.finditer(text):
        yield "name", plain(found.group())


def words(text: str) -> list[str]:
    """Stemmed content words, each once, in their order."""
    found = (stem(one) for one in re.findall(r"[A-Za-z][A-Za-z']+", _MASK.sub(" ", text)))
    return list(dict.fromkeys(one for one in found if len(one) > 2 and one not in STOP))


def asking(text: str) -> list[Asking]:
    """The sentences of a text that ask for something; a sentence lends the next its values, for "it" and "this"."""
    found: list[Asking] = []
    before, letter = "", False
    for piece in sentences(clip(text)):
        if len(piece) < 60 and _SALUTE.match(piece):
            letter = True
        elif len(piece) < 60 and _CLOSE.match(piece):
            letter = False
        if len(piece) < 8 or " " not in piece:
            continue
        body = piece
        for _ in range(4):
            shorter = _LEAD.sub("", body, count=1)
            if shorter == body:
                break
            body = shorter
        kind = _form(body) or _form(piece)
        if kind is not None:
            form, verbs = kind
            found.append(_asked(form, verbs, body, piece, before, letter))
            if len(found) >= MAX_ASKING:
                break
        before = piece if kind is None or kind[0] == "need" else ""
    return found


def _form(body: str) -> tuple[Form, list[str]] | None:
    """How a sentence asks, and the verbs it asks for."""
    first = _FIRST.match(body)
    if first:
        word = first.group()
        verb = stem(word)
        rest = body[first.end() :]
        known = verb in FAMILY or verb in SOFT or verb in READ
        if known and word.lower() == verb and _NEXT.match(rest) and not (_NOUNISH.match(rest) or _STATED.match(rest)):
            return "imperative", [verb, *_more(rest)]
        bent = verb in FAMILY and word.lower() != verb and not word.lower().endswith(("ing", "s"))
        if bent and _OBJECT.match(rest):
            return "past", [verb, *_more(rest)]
    for form, pattern in (("request", _REQUEST), ("duty", _DUTY)):
        if asked := pattern.search(body):
            verb = stem(asked.group(1))
            if verb in FAMILY or verb in SOFT or verb in READ:
                return form, [verb, *_more(body[asked.end() :])]  # type: ignore[return-value]
    if needed := _NEED.search(body):
        return "need", [stem(one) for one in re.findall(r"[a-z]+", body[needed.end() :].lower())[:1]]
    return None


def _more(rest: str) -> list[str]:
    return [verb for one in _THEN.findall(rest) if (verb := stem(one)) in FAMILY][:4]


def _asked(form: Form, verbs: list[str], body: str, piece: str, before: str, letter: bool) -> Asking:
    named = dict.fromkeys(values(piece))
    text = body
    if before and ({"it", "them", "this", "that", "these", "one"} & set(re.findall(r"[a-z]+", body.lower()))):
        text = f"{before} {body}"
        named |= dict.fromkeys(values(before))
    kinds = tuple(dict.fromkeys(FAMILY[verb] for verb in verbs if verb in FAMILY))
    inside = tuple(words(text))[:40]
    told = " ".join(text.split())[:240]
    return Asking(form, kinds, tuple(verbs), tuple(named)[:MAX_VALUES], inside, told, letter, bool(_AGENT.search(text)))
