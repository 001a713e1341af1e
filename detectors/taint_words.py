"""English that says what is to be done: verbs by the effect they have, and the words that turn a verb into a request.

Nothing here is a phrase of an attack. Any text uses these words; what matters is who wrote it and what was done then.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Verbs of one family may stand for each other: who is told to "forward" may call a tool that "sends".
FAMILIES: dict[str, str] = {
    "send": "bcc ping announce broadcast dial whisper relay transmit dispatch send forward email mail message "
    "notify text reply respond deliver contact inform dm report",
    "pay": "sell trade redeem liquidate stake bribe pay transfer wire remit donate deposit tip withdraw "
    "reimburse topup invest money funds payment transaction",
    "buy": "buy purchase order rebuy reorder checkout cart acquire subscribe bid",
    "visit": "connect scrape crawl visit open browse navigate click go follow access load fetch download goto curl "
    "wget",
    "change": "lock arm disarm dim activate deactivate restore migrate scale rollback revert rename whitelist "
    "blacklist mute pause resume toggle adapt amend resolve reassign relabel unlink upgrade downgrade "
    "encrypt change update set modify edit reset replace alter adjust switch turn enable disable move "
    "transition configure raise lower increase decrease extend mark apply revoke rotate override",
    "delete": "block ban kick unfollow unlink expel evict reject decline dismiss disconnect archive overwrite annul "
    "suspend delete remove erase wipe clear cancel drop destroy purge unsubscribe discard terminate kill "
    "close stop shutdown empty uninstall",
    "make": "duplicate mirror replicate backup sync prescribe zip join add create make invite register sign "
    "insert append generate enroll include attach draft build store save copy fork clone star",
    "share": "delegate export dump admit share grant give allow permit assign promote authorize authorise unlock "
    "approve accept expose disclose leak provide reveal",
    "post": "upvote downvote react post publish comment tweet write upload push commit submit enter input fill "
    "type merge paste log retweet repost",
    "run": "reboot spawn administer operate initiate run execute install start launch call invoke deploy restart "
    "trigger eval import load issue",
    "back": "refund return",
    "book": "rent hire rsvp enrol book reserve schedule reschedule arrange reservation appointment",
}
OTHER = "other"  # what a verb does that stands in no family
READING = (
    "get read list search find view look show fetch check query lookup retrieve describe count browse see grep glob "
    "cat ls head tail summarize summarise compare calculate verify login current balance history rating info"
)
FAMILY: dict[str, str] = {}
for _family, _verbs in FAMILIES.items():
    for _verb in _verbs.split():
        FAMILY.setdefault(_verb, _family)
READ = frozenset(READING.split())
LOOKING = READ - FAMILY.keys()
# Verbs of a state: who is told to be or to have something is not told to do anything.
BEING = "be have get know like want seem feel need hesitate expect receive understand worth"
STATIVE = frozenset(BEING.split())
# Verbs that tell the reader to look or to think: instructions too, but nothing comes of them outside.
SOFTER = (
    "use see read check find look review consider note remember ensure make try refer search ask keep let wait think "
    "ignore forget disregard stop do say tell mention recommend list answer follow confirm verify help bring take "
    "collect gather extract show print return complete perform proceed continue begin start go come visit enjoy"
)
SOFT = frozenset(SOFTER.split())
IRREGULAR = {
    "sent": "send", "bought": "buy", "paid": "pay", "gave": "give", "given": "give", "wrote": "write",
    "written": "write", "made": "make", "ran": "run", "went": "go", "gone": "go", "took": "take", "taken": "take",
    "told": "tell", "said": "say", "found": "find", "got": "get", "kept": "keep", "left": "leave", "put": "put",
    "shut": "shut", "withdrew": "withdraw", "forwarded": "forward", "transferred": "transfer", "cancelled": "cancel",
    "cancelling": "cancel", "running": "run", "setting": "set", "submitted": "submit", "transferring": "transfer",
    "dropped": "drop", "stopped": "stop", "logged": "log",
}  # fmt: skip
COMMON = (
    "a about above after again all also am an and any are as at be because been before being below between both but by "
    "can could did do does doing don down during each few for from further had has have having he her here hers him "
    "his how i if in into is it its itself just let me more most my myself no nor not now of off on once only or other "
    "our ours out over own per please same she should so some such than that the their theirs them then there these "
    "they this those through to too under until up upon us use used using very via was we were what when where which "
    "while who whom why will with would you your yours yourself shall must may might one two first next well as "
    "within without directly exact exactly immediately suddenly currently need needs want wants like item items "
    "thing things true false null none"
)
STOP = frozenset(COMMON.split())
_WORD = re.compile(r"[A-Za-z][a-z']+|[A-Z]+(?![a-z])|[a-z]+")


@lru_cache(65536)
def stem(word: str) -> str:
    """The word without its ending, roughly: enough for sent and send, emails and email to meet."""
    word = word.lower().removesuffix("'s").strip("'")
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in FAMILY or len(word) < 4:
        return word
    for ending in ("ying", "ied", "ies"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + "y"
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2:
            return next((whole for whole in (base, base + "e", base[:-1]) if whole in FAMILY or whole in READ), base)
    if word.endswith("es") and word[:-2] in FAMILY:
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(16384)
def parts(name: str) -> tuple[str, ...]:
    """Words of a tool's name, stemmed: sendMoney, send_money and send-money alike."""
    return tuple(stem(one) for one in _WORD.findall(name) if len(one) > 1)


@lru_cache(16384)
def families(name: str) -> tuple[str, ...]:
    """What a tool does, by its name, its verb first; empty for one that only reads."""
    found = parts(name)
    if found and found[0] in LOOKING:
        return ()
    return tuple(dict.fromkeys(FAMILY[word] for word in found if word in FAMILY))
