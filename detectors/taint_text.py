"""Sentences of a text that ask for something, told from plain data: their verb, the values and the words in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from detectors.taint_words import FAMILY, OTHER, READ, SOFT, STATIVE, STOP, stem

Form: TypeAlias = Literal["imperative", "request", "duty", "need", "past", "told"]

MAX_TEXT = 32_768  # characters looked at per field: the first three quarters and the last quarter of a longer one
MAX_SENTENCE = 600
MAX_KEPT = 8_192  # characters of a text of which it is kept what it asks for
MAX_ASKING = 48  # sentences of one text
MAX_VALUES = 16  # of one sentence and of those that follow it
NEIGHBOURHOOD = 300  # characters to either side of an address
MAX_PIECES = 16
MIN_PROSE = 1  # words besides values that make a piece more than a field
MAX_FOLLOWING = 2  # sentences that tell more of a request

_ESCAPED = re.compile(
    r"(?<!\\)(?:\\{1,8}[nr]){2,}|(?<!\\)\\{1,8}[\"']|(?<!\\)\\{1,8}(?:\r?\n\s*\\?|[nrt](?![a-z]{2}))|(?<!\\)\\{1,8}u[0-9a-fA-F]{4}"
)
_FOLDED = re.compile(r"(?<=[\w,;'\u2019)])[ \t]*\n[ \t]*(?=[a-z(][^:\n]{0,80}(?:\s|$))(?![\w.-]+:)")
_CUT = re.compile(
    r"\n\s*|</?[a-zA-Z][^<>]{0,2000}>|<!--|-->|<<+|>>+|(?<=[.!?])[\"')\]]*\s+(?=[^a-z])|;\s+|['\"]\s*[,:}\]]+\s*['\"{\[]*|[{}\[\]]+|\s[|#]\s"
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
    r"\b(?:please(?:\s+be\s+(?:so\s+)?\w+\s+and|\s+(?:would|could|can)\s+you)?|kindly|(?:could|can|would|will|might)\s+(?:you|somebody|someone|anyone)(?:\s+"
    r"(?:please|kindly|also|just|be\s+able\s+to|mind|be\s+(?:so\s+)?\w+\s+(?:as\s+to|and|enough\s+to)))*|"
    r"if\s+(?:you|somebody|someone|we|anyone)\s+(?:could|can|would)|do\s+(?:us|me)\s+(?:a|the)\s+\w+\s+and|"
    r"be\s+(?:so\s+|an?\s+)?\w+\s+and|so\s+(?:please|have|let)|"
    r"(?:be\s+sure|make\s+sure|remember|don'?t\s+forget|do\s+not\s+forget|take\s+care|feel\s+free|i\s+(?:want|need|"
    r"would\s+like|ask|order|expect|'d\s+like)\s+you)\s+to|i'd\s+like\s+you\s+to|let'?s|"
    r"(?:wants?|needs?|asks?|asked|expects?|requires?|would\s+like)\s+you\s+to|(?:it\s+is|it's)\s+(?:\w+\s+)?"
    r"(?:necessary|important|required|mandatory|essential|crucial|vital|imperative)\s+(?:to|that\s+you))\s+(?:also\s+|just\s+|first\s+|"
    r"then\s+|go\s+ahead\s+and\s+|immediately\s+)?([a-z][a-z'-]+)",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"\b(?:you|the\s+(?:agent|assistant|model|ai|user|reader|bot)|ai\s+agents?|agents?|assistants?)\s+(?:must|should|shall|"
    r"need\s+to|needs\s+to|have\s+to|has\s+to|ought\s+to|are\s+(?:to|required\s+to|asked\s+to|instructed\s+to|expected\s+to)"
    r"|is\s+(?:to|required\s+to|instructed\s+to))\s+(?:also\s+|first\s+|then\s+|always\s+|immediately\s+)?([a-z][a-z'-]+)",
    re.IGNORECASE,
)
_PASSIVE = re.compile(
    r"\b(?:must|should|shall|needs?\s+to|has\s+to|have\s+to|is\s+to|are\s+to)\s+(?:also\s+|now\s+)?be\s+(?:\w+ly\s+)?([a-z]+)\b",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\b(?:i|we)\s+(?:\w+ly\s+)?(?:need|want|require|would\s+like|'d\s+like)\s+(?:to\s+)?", re.IGNORECASE
)
# One of these stands in whatever the pattern finds; to look for them first is cheaper.
ASKS: tuple[tuple[Form, re.Pattern[str], tuple[str, ...]], ...] = (
    (
        "request",
        _REQUEST,
        (
            "please",
            "kindly",
            "you",
            "somebody",
            "someone",
            "anyone",
            "if we",
            " sure",
            "remember",
            "forget",
            " care",
            " free",
            "let",
            "do us",
            "do me",
            "be ",
            "so ",
            "it is",
            "it's",
            "be\n",
            "if\n",
        ),
    ),
    ("duty", _DUTY, ("you", "agent", "assistant", "model", "ai", "user", "reader", "bot")),
    ("duty", _PASSIVE, ("be ", "be\n", "be\t")),
)
WANTS = ("need", "want", "require", "like")
_STOPS = re.compile(r"[,;:.!?>\u2013\u2014-]\s")
_FIRST = re.compile(r"[A-Za-z][A-Za-z'-]*")
_NEXT = re.compile(
    r"\s+(?:(?:the|a|an|all|any|every|each|my|your|our|his|her|their|its|this|that|these|those|me|us|him|them|it|to|from|"
    r"for|with|by|at|on|in|into|out|up|off|down|over|of|no|not|as|and|both|some|one|two|three|another|new|more|only|also|"
    r"again|everything|anything|everyone|yourself|back|further|directly|immediately)\b|[\"'`$€£/\d<+]|[A-Z][\w-]*\b|"
    r"(?:\w+\s+){1,3}(?:to|from|for|with|at|on|in|into|by|of|using|via|and|the|a|as|named|called)\b|\w+\s+[\"'`#\d@]|@\w|"
    r"[\w-]+/\w|\w+://|(?:\w+\s+){0,2}\w+(?<!ed)(?<!ful)[!.]+$|[\w-]+(?:\.[\w-]+)+|\S+@|[\w-]+_\w+)",
)
_THEN = re.compile(
    r"(?:,|;|:|\band\b|\bthen\b)\s+(?:then\s+|also\s+|please\s+|finally\s+)*([a-z]+)(?=\s+\w|\s+[\"'$/<])", re.I
)
_CLAUSE = re.compile(
    r"(?:[,;:.!?]|\s->|\s[\u2013\u2014-]+)\s+(?:so\s+|then\s+|hence\s+|therefore\s+|and\s+)?([a-z][a-z-]{2,14})"
    r"(?<!s)(?<!ed)(?<!ing)(?<!ly)(?<!tion)(?<!ment)(?=\s+(?:(?:the|an?|all|any|every|each|my|your|our|his|her|their|this|that|"
    r"it|them|him|us|me)\b|[\d\"'`@#/$\u20ac<]|[\w.+-]+@|https?:|www\.|[\w-]*\d|\w+\.\w|[A-Z]))"
)
_NOUNISH = re.compile(
    r"^\s*(?:[:=|]|\w+\s*(?::(?!//)|[=|])|(?:is|are|was|were|has|have|had|can|will|may|did|does|should|must|would)\b)",
    re.IGNORECASE,
)

_OF = re.compile(r"\s+(?:of|for)\b", re.IGNORECASE)  # the order of a customer, access for a colleague
FOR = frozenset(("pay", "apply", "search", "look", "ask", "wait", "check", "register", "subscribe", "sign"))
LIGHT = frozenset(("make", "do", "perform", "place", "take", "create", "issue", "get"))
_THING = re.compile(
    r"\b(?:make|do|perform|place|take|create|issue|get)\s+(?:an?|the|this|my|another|one|\w+)\s+(?:\w+\s+)?"
    r"(reservation|booking|transaction|payment|transfer|purchase|order|donation|deposit|withdrawal|deletion|update|post|"
    r"change|call|appointment|refund|request|invitation)s?\b",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(  # could be a verb in its base form, for all its ending tells
    r"(?![A-Za-z]*(?:s|ed|ing|ly|tion|ment|ness|ity|er|or|ist|ism|ive|ous|al|ic|able|ful|less|ance|ence)\b)[A-Z]?[a-z]{2,14}\s"
)
_CERTAIN = re.compile(r"\w@\w|://|www\.|[\"'`]\w|\w\d|\w\.(?:com|org|net|io)\b")
_OBJECT = re.compile(r"\s+(?:the|all|my|your|his|her|their|this|that|these|those|every|each|any|an?)\b", re.IGNORECASE)
_AIMED = re.compile(  # no noun has an article, a link, an address, an id or a sum after it
    r"\s+(?:[\w.+-]+@[\w-]|(?:https?|ftp)://|www\.|[\"'`]\w|@\w|\$?\d+(?:[.,]\d+)?\s+(?:to|->|from|for|in|x|of)|[A-Z]+-\d|"
    r"[\w-]+\.\w{2,4}\b|[a-z]+\s+(?:[\w.+-]+@[\w-]|(?:https?|ftp)://))"
)
_HEED = re.compile(r"\s+(?:\w+\s+)?(?:attention|heed|respect|a\s+visit)\b", re.IGNORECASE)
_STATED = re.compile(  # "Order 17", "Order ID X has been sent": a thing and what became of it
    r"^[\s\d#.]*$|^(?:\s+[A-Z#\d][\w#-]*){1,4}\s+(?:is|are|was|were|has|have|had|not|will|can|cannot)\b"
)

_PHONE = r"(?P<phone>\+\d[\d ()-]{6,18}\d)"
_MONEY = r"(?P<money>[$€£]\s?\d[\d,]*(?:\.\d+)?|\b\d[\d,]*(?:\.\d+)?\s?(?:USD|EUR|GBP|dollars|euros|BTC|ETH)\b)"
_ID = (
    r"(?P<id>(?<![\w-])(?=[\w-]{3,80}(?![\w-]))(?=[\w-]*\d)(?=[\w-]*[A-Za-z])"
    r"(?!\d+(?:st|nd|rd|th|am|pm|x|h|min|s|k|mb|gb|kb)\b)[\w-]+"
    r"|(?<![\w.-])(?!\d{4}-\d\d?-\d\d?\b)(?=(?:-?\d){8,24}(?![\w-]))\d{2,}(?:-\d{2,}){1,6}(?![\w-]|\.\d))"  # an account
)
_NUMBER = r"(?P<number>(?<![\w.$-])\d[\d ()+-]{1,18}\d(?![\w.])|(?<![\w.$-])\d{2,}(?:\.\d+)?(?![\w%]))"
_VALUES = re.compile(
    r"(?P<mask>MASKED~[\w.-]+~\d+~\w+~)"
    rf"|{_PHONE}"
    r"|(?P<address>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d))"
    r"|(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<url>(?:https?|ftp|wss?)://[^\s\"'<>)\]}]+|(?:www\.)[\w.-]+\.\w{2,}[^\s\"'<>)\]},]*|"
    r"(?<![\w@./-])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|info|biz|dev|app|ai|co|edu|gov|de|ru|cn|uk|xyz|site|online|shop|me)"
    r"(?:/[^\s\"'<>)\]},]*)?(?![\w.]*[(\w]))"
    r"|(?P<path>(?<![\w:/])(?:~|\.{1,2})?/[\w.@-]+(?:/[\w.@-]+)*|[A-Z]:\\[\w.\\-]+|"
    r"(?<![\w./-])[\w-]+\.(?:txt|md|pdf|csv|json|ya?ml|docx?|xlsx?|pptx?|html?|py|js|ts|sh|log|png|jpe?g|ics|eml|zip)\b)"
    r"|(?P<slug>(?<![\w./@-])(?!\d+/)[\w-]+/(?!\d+\b)[\w.-]*\w(?![\w/-]))"
    r"|(?P<handle>(?<![\w.@])@[A-Za-z]\w{2,})"
    r"|(?P<quoted>(?<![\w])[\"'`\u201c\u2018]([^\"'`\u201c\u201d\u2019\n]{2,80})[\"'`\u201d\u2019](?!\w))"
    rf"|{_MONEY}"
    rf"|{_ID}"
    rf"|{_NUMBER}"
)
_FIGURES = re.compile("|".join((_PHONE, _MONEY, _ID, _NUMBER)))
_RICH = re.compile(r"[@/\\\"'`~\u201c\u2018]|\w\.\w")  # without any of these only figures and names are values
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r"https?://|www\.\w|\w@[\w-]+\.[a-z]|\b(?:AI|LLM|[Aa]gents?|[Aa]ssistants?)\b")
ADDRESSED = ("://", "www.", "@", "AI", "LLM", "gent", "ssistant")  # one of these stands in whatever it finds
_NAME = re.compile(r"(?<=\w[ ,]) ?\b[A-Z][\w'-]+(?: (?:[A-Z][\w'-]+|of|the|and|&)(?= [A-Z])| [A-Z][\w'-]+){0,4}")
STRONG = frozenset(("mask", "phone", "address", "email", "url", "path", "handle", "quoted", "id", "slug"))
_SALUTE = re.compile(
    r"^\W*(?:\w+:\s*)?\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\b[^.!?]{0,40}[,!]", re.IGNORECASE
)
_CLOSE = re.compile(
    r"^\W*(?:(?:best|kind|warm)?\s*(?:regards|wishes)|best\b|cheers|thanks|thank you|sincerely|yours|love,|"
    r"[\w-]+:\s*\S*$)",
    re.IGNORECASE,
)
_ROBOT = r"(?:ais?|llms?|agents?|assistants?|chatbots?|bots?|models?|copilot|claude|codex|gemini|cursor)"
# The sentence speaks to a machine, or says what one has to do.
_AGENT = re.compile(
    rf"\b(?:ai|llm|coding|autonomous)[ -](?:\w+ )?(?:agents?|assistants?|models?|bots?)\b"
    r"|\blanguage models?\b"
    rf"|\b(?:dear|attention|note to|notice to|instructions? (?:to|for)|message (?:to|for)|hey|hello) "
    rf"(?:\w+ )?{_ROBOT}\b"
    rf"|\bif you are (?:an? )?(?:\w+ )?{_ROBOT}\b"
    r"|\b(?:the|any|all|every) (?:agent|assistant|ai)s? (?:must|should|shall|has to|have to|needs? to|is to|are to)\b",
    re.IGNORECASE,
)
_MASK = re.compile(r"MASKED~[^~\s]*~[^~\s]*~[^~\s]*~", re.IGNORECASE)
_BARE = re.compile(r"^(?:https?|ftp|wss?)://(?:www\.)?|^www\.")


class Asking(msgspec.Struct, frozen=True, array_like=True):
    """A sentence that asks its reader to do something."""

    form: Form
    families: tuple[str, ...]  # what it asks to do to the world; empty when it only asks to look or to think
    verbs: tuple[str, ...]
    values: tuple[tuple[str, str], ...]  # kind and value, as `plain` has it
    words: tuple[str, ...]  # stemmed content words
    own: int  # how many of the values stand in the sentence itself
    aimed: bool  # it says what to do it to
    text: str  # cut short
    data: tuple[str, ...] = ()  # those of its values that stand elsewhere in the same text too
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


def near_addresses(text: str) -> str:
    """The neighbourhoods of links, mail addresses and words for agents in a text; empty where there are none."""
    text = clip(text)
    if not any(hint in text for hint in ADDRESSED):
        return ""
    pieces: list[str] = []
    last = 0
    for found in _ADDRESS.finditer(text):
        start, end = max(last, found.start() - NEIGHBOURHOOD), min(len(text), found.end() + NEIGHBOURHOOD)
        if end > start:
            pieces.append(text[start:end])
            last = end
        if len(pieces) >= MAX_PIECES:
            break
    return "\n\n".join(pieces)


def _unescape(found: re.Match[str]) -> str:
    whole = found.group()
    if whole[-1] in "\"'":
        return whole[-1]
    if whole[-5:-4] == "u":
        return "'" if whole[-4:] == "2019" else " "
    return " " if "\n" in whole else "\n"


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """Pieces of a text that could each be one sentence, of prose, mail, JSON, YAML, HTML or comments.

    With each comes whether nothing but a blank stands between it and the piece before.
    """
    if "\\" in text:
        text = _ESCAPED.sub(_unescape, text)
    text = _FOLDED.sub(" ", text)
    last, close = 0, False
    for cut in _CUT.finditer(text):
        if cut.start() > last:
            yield text[last : min(cut.start(), last + MAX_SENTENCE)], close
            close = False
        between = cut.group()
        close = (close or last < cut.start()) and between.isspace() and "\n" not in between
        last = cut.end()
    if last < len(text):
        yield text[last : last + MAX_SENTENCE], close


def values(text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of all that names one certain thing."""
    rich = _RICH.search(text)
    for found in (_VALUES if rich else _FIGURES).finditer(text) if rich or _DIGIT.search(text) else ():
        kind = found.lastgroup or ""
        if kind == "quoted" or (rich and found.group("quoted")):
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


def asking(text: str) -> tuple[Asking, ...]:
    """The sentences of a text that ask for something; a sentence lends the next its values, for "it" and "this"."""
    return _asking(text) if len(text) <= MAX_KEPT else tuple(_found(text))


@lru_cache(256)
def _asking(text: str) -> tuple[Asking, ...]:
    """The same of a text short enough to keep: tools print the same again and again, in one session and the next."""
    return tuple(_found(text))


def _found(text: str) -> list[Asking]:
    found: list[Asking] = []
    spoken: list[str] = []  # the requests and what tells more of them: all else is plain data
    before, letter, open_until = "", False, 0
    for piece, close in sentences(clip(text)):
        if _SALUTE.match(piece):
            letter = True
        elif len(piece) < 60 and _CLOSE.match(piece):
            letter = False
        if len(piece) < 8 or " " not in piece:
            continue
        if not close:
            before, open_until = "", 0
        body = piece
        for _ in range(4):
            shorter = _LEAD.sub("", body, count=1)
            if shorter == body:
                break
            body = shorter
        kind = _form(body) or _form(piece)
        if kind is None:
            if open_until:  # what follows a request within its paragraph tells more of it
                found[-1] = _more_said(found[-1], piece)
                spoken.append(piece)
                open_until -= 1
            before = piece
            continue
        form, verbs = kind
        if len(found) > MAX_ASKING // 2 and not any(verb in FAMILY for verb in verbs):
            continue
        found.append(_asked(form, verbs, body, piece, before, letter))
        spoken += (piece, before)
        if len(found) >= MAX_ASKING:
            break
        before, open_until = (piece if form == "need" else ""), MAX_FOLLOWING
    return _placed(found, " ".join(spoken), text) if found else found


@lru_cache(64)
def paragraphs(text: str) -> tuple[Asking, ...]:
    """Every paragraph of prose that names something, whether or not it asks for anything."""
    joined: list[str] = []
    for piece, close in sentences(clip(text)):
        if close and joined and len(joined[-1]) + len(piece) < MAX_SENTENCE:
            joined[-1] += f" {piece}"
        else:
            joined.append(piece)
    found: list[Asking] = []
    for one in joined:
        if len(one) >= 8 and sum(word.isalpha() and stem(word) not in STOP for word in one.split()) >= MIN_PROSE:
            named = tuple(dict.fromkeys(values(one)))[:MAX_VALUES]
            inside, told = tuple(words(one))[:60], " ".join(one.split())[:240]
            found.append(Asking("told", (), (), named, inside, len(named), False, told))
    return tuple(_placed(found[-MAX_ASKING:], " ".join(joined), text))


def _placed(found: list[Asking], spoken: str, text: str) -> list[Asking]:
    """The same with the values marked that the text holds apart from these sentences too: plain data names them."""
    whole = clip(text).lower()
    said = spoken.lower()
    placed = []
    for one in found:
        data = tuple(v for kind, v in one.values if kind in STRONG and whole.count(v) > max(1, said.count(v)))
        placed.append(msgspec.structs.replace(one, data=data) if data else one)
    return placed


def _more_said(asked: Asking, piece: str) -> Asking:
    named = dict.fromkeys((*asked.values, *values(piece)))
    return msgspec.structs.replace(
        asked, values=tuple(named)[:MAX_VALUES], agent=asked.agent or bool(_AGENT.search(piece))
    )


def _form(body: str) -> tuple[Form, list[str]] | None:
    """How a sentence asks, and the verbs it asks for."""
    first = _FIRST.match(body)
    if first:
        word = first.group()
        verb = stem(word)
        rest = body[first.end() :]
        known = verb in FAMILY or verb in SOFT or verb in READ
        named = _NOUNISH.match(rest) or _STATED.match(rest) or (_OF.match(rest) and verb not in FOR)
        if known and word.lower() == verb and _NEXT.match(rest) and not named:
            return "imperative", [_effect(verb, rest), *_more(rest)]
        strange = not known and verb not in STOP and verb not in STATIVE and _UNKNOWN.match(body)
        if strange and _CERTAIN.search(body) and (_OBJECT.match(rest) or (_AIMED.match(rest) and not named)):
            return "imperative", [verb, *_more(rest)]
        bent = verb in FAMILY and word.lower() != verb and not word.lower().endswith(("ing", "s"))
        if bent and _OBJECT.match(rest):
            return "past", [verb, *_more(rest)]
    low = body.lower()
    for form, pattern, hints in ASKS:
        if any(hint in low for hint in hints) and (asked := pattern.search(body)):
            verb = stem(asked.group(1))
            if verb in FAMILY or verb in SOFT or verb in READ or (verb not in STATIVE and verb not in STOP):
                rest = body[asked.end() :]
                return form, [_effect(verb, rest), *_more(rest)]
    if second := _second(body):
        return "imperative", second
    if ("i" in low or "we" in low) and any(hint in low for hint in WANTS) and (needed := _NEED.search(body)):
        return "need", [stem(one) for one in re.findall(r"[a-z]+", body[needed.end() :].lower())[:1]]
    return None


def _second(body: str) -> list[str] | None:
    """The verbs of a clause that asks after one that says why: "the job failed, ship the list"."""
    found = _CLAUSE.search(body) if _STOPS.search(body) else None
    if not found:
        return None
    rest, verb = body[found.end(1) :], stem(found.group(1))
    if found.group(1).lower() != verb or _NOUNISH.match(rest) or _STATED.match(rest):
        return None
    if verb not in FAMILY and (
        verb in STOP
        or verb in READ
        or verb in SOFT
        or verb in STATIVE
        or not _CERTAIN.search(rest)
        or not (_OBJECT.match(rest) or _AIMED.match(rest))
    ):
        return None
    return [_effect(verb, rest), *_more(rest)]


def _effect(verb: str, rest: str) -> str:
    """The verb, unless it only seems to act: to pay attention is not to pay."""
    return "note" if verb == "pay" and _HEED.match(rest) else verb


def _more(rest: str) -> list[str]:
    return [verb for one in _THEN.findall(rest) if (verb := stem(one)) in FAMILY][:4]


def _asked(form: Form, verbs: list[str], body: str, piece: str, before: str, letter: bool) -> Asking:
    named = dict.fromkeys(values(piece))
    own = len(named)
    text = body
    if before and ({"it", "them", "this", "that", "these", "one"} & set(re.findall(r"[a-z]+", body.lower()))):
        text = f"{before} {body}"
        named |= dict.fromkeys(values(before))
        own = len(named)
    if verbs[0] in LIGHT and (noun := _THING.search(body)) and (meant := stem(noun.group(1))) in FAMILY:
        verbs = [meant, *verbs]  # to make a payment is to pay
    kinds = tuple(dict.fromkeys(FAMILY[verb] for verb in verbs if verb in FAMILY))
    if not kinds and verbs[0] not in SOFT and verbs[0] not in READ and form != "need":
        kinds = (OTHER,)
    inside = tuple(words(text))[:40]
    told = " ".join(text.split())[:240]
    return Asking(
        form=form,
        families=kinds,
        verbs=tuple(verbs),
        values=tuple(named)[:MAX_VALUES],
        words=inside,
        own=min(own, MAX_VALUES),
        aimed=bool(_OBJECT.search(body)),
        text=told,
        letter=letter,
        agent=bool(_AGENT.search(piece)),
    )
