"""Pass two of the secret scan: what one rule says of the place where pass one saw it may have ended.

One function a kind of rule: tokens that stand for themselves, values known by the key they are assigned to, tokens
recognised because their issuer is named before them, armoured private keys. Each yields the exact range of the
secret and the tier of that sighting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from detectors.model import Tier
from detectors.secret_first_pass import NEAR
from detectors.secret_rules import SecretRule
from detectors.secret_values import GIVEN, entropy, hollow, reference, value_at

PLACEHOLDER = re.compile(rb"MASKED~[a-z0-9._-]+~\d+~[0-9a-f]{16}~")


class Found(NamedTuple):
    """Bytes `start` to `end` are a secret, as sure as `tier`."""

    start: int
    end: int
    tier: Tier


Confirm: TypeAlias = Callable[[bytes, int, int, int], Iterator[Found]]  # (data, begin, to, stop)
_ESCAPED = re.compile(
    rb"(?:\\[nrtbfv0]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|%[0-9a-fA-F]{2}|(?:\x1b|\\u001b|\\x1b|\\e|\\033)\[[0-9;]{0,8}m)\Z"
)
_ALNUM = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def _begins(data: bytes, start: int) -> bool:
    """Whether a token can begin here: not inside a run of letters and digits, unless an escape ends there."""
    if start == 0 or data[start - 1] not in _ALNUM or data[start] not in _ALNUM:
        return True
    return _ESCAPED.search(data, max(0, start - 18), start) is not None


def _tokens(rule: SecretRule) -> Confirm:
    """Pass two of a rule whose pattern stands for itself."""
    regex = re.compile(rule.pattern.encode("ascii"))
    window, least, chosen, tier = rule.window, rule.min_entropy, rule.chosen, rule.tier

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        ahead = min(stop, to + window)
        while begin < to:
            found = regex.search(data, begin, ahead)
            if found is None or found.start() >= to:
                return
            if found.end() == ahead < stop:  # the window cut it, not the pattern
                found = regex.match(data, found.start(), stop) or found
            start, end = found.span(1)
            follows = found.end() < stop and data[found.end()] in _ALNUM and data[found.end() - 1] in _ALNUM
            secret = found[1]
            begin = found.end()
            if follows or not _begins(data, found.start()) or hollow(secret) or entropy(secret) < least:
                begin = found.start() + 1
            elif not (chosen and (PLACEHOLDER.match(secret) or reference(secret, quoted=True, shell=False))):
                yield Found(start, end, tier)

    return spans


_IDENTIFIER_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_OTHER_TOKENS = re.compile(
    rb"(?i)(?:csrf|xsrf|next|page|prev|continuation|sync|cancel(?:lation)?|pad|eos|bos|unk|mask|stop|start|end|max|min|"
    rb"public|num|total|special|first|last|cursor|trace|forgot|reset|show|hide|no|has|is|use|with|without|per|of)[_.-]?\Z"
)


def _values(rule: SecretRule) -> Confirm:
    """Pass two of a rule that knows its secret by the name it is assigned to."""
    names = re.compile("|".join(rule.keys).encode("ascii"))
    shape, least = re.compile(rule.pattern.encode("ascii")), rule.min_entropy
    chosen, tier = rule.chosen, rule.tier

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        begin = max(begin, to - _KEY_WINDOW)
        for name in names.finditer(data[begin:to].lower()):
            at, end = begin + name.start(), begin + name.end()
            given = GIVEN.match(data, end, min(stop, end + 96))
            if given is None:
                continue
            before = data[max(0, at - 48) : at]
            prefix = before[len(before.rstrip(_IDENTIFIER_BYTES)) :]
            option = prefix.startswith(b"-") or name[0].startswith(b"-")
            if (given["gap"] and not option) or _OTHER_TOKENS.search(prefix):
                continue
            if given["gap"] and b"," in given["gap"] and not given["argument"]:  # ("--password", variable)
                continue
            opened = at - len(prefix)
            if data[max(0, opened - 2) : opened] == b"${" and data[end : end + 2] != b":-":  # ${PASSWORD:?reason}
                continue
            quote = given["quote"] or given["argument"]
            tight = data[at:end].isupper() and given[0][-1:] in b"=>"
            first, last = value_at(data, given.end(), stop, quote, not quote and (tight or option))
            if chosen and not quote and data[last : last + 1] in _CALL:
                continue
            value = data[first:last]
            fits = shape.fullmatch(value)
            if fits is None or PLACEHOLDER.fullmatch(value) or hollow(fits[1]) or entropy(fits[1]) < least:
                continue
            if not (chosen and reference(value, bool(quote), tight or option)):
                yield Found(first + fits.start(1), first + fits.end(1), tier)
                return

    return spans


_KEY_WINDOW = 80  # a key and the sign after it, in bytes
_CALL = (b"(", b"[")
_BEGIN = re.compile(rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_LINE = rb"(?:\\{1,40}[nrt]|\\{1,40}u000[ad]|\\{0,40}[\"']|[\s+,|>#*]|%0[AD]|&#1[03];)"
_BODY = re.compile(  # headers are skipped as one stretch: told apart, their borders could be drawn in endless ways
    _LINE + rb"{0,64}(?:[A-Za-z][A-Za-z-]{2,20}: [\s\S]{1,512}?" + _LINE + rb")?[A-Za-z0-9+/=]{16}"
)
_STOP = re.compile(  # END, or the quote that closes the text the key was cut off in: one no further line follows
    rb"(?P<end>-----END [A-Z0-9 ]{0,64}-----)|\\{0,40}\"(?!(?:[\s+,]{0,64}\\{0,40}[\"'])?"
    rb"(?:[A-Za-z0-9+/=]{24}|(?:[A-Za-z0-9+/=]{1,24}(?:\\{1,40}[nr])*\\{0,40}[\"'][\s+,]{0,64}\\{0,40}[\"'])?-----END))"
)


def _armour(rule: SecretRule) -> Confirm:
    """Pass two of armoured private keys: from BEGIN to END, or as far as the text goes where END was cut off."""
    tier = rule.tier

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        found = _BEGIN.search(data, max(begin, to - 128), to)
        body = found and _BODY.match(data, found.end(), min(stop, to + 4096))
        if found and body:
            close = _STOP.search(data, body.end(), stop)
            end = stop if close is None else close.end() if close["end"] else close.start()
            yield Found(found.start(), end, tier)

    return spans


def confirm(rule: SecretRule) -> Confirm:
    """Pass two of the rule."""
    if rule.near:
        return _nearby(rule)
    if rule.keys:
        return _values(rule)
    return _armour(rule) if rule.check == "pem" else _tokens(rule)


_SPEAKS = re.compile(
    rb"(?i)key|token|secret|pass|pwd|auth|cred|bearer|api|pat(?![a-z])|licen[cs]e|webhook|(?<![a-z])sid|dsn|signature"
)
_NAMES_KEY = re.compile(rb"(?:[_. -](?i:api|key|token|secret|auth|pass)|Key|Token|Secret|Api)[A-Za-z]{0,8}\Z")  # heap_api
_GIVES = re.compile(
    rb"(?:[=:>,(\[|]|(?i:bearer|basic|token|key)[ \t]|[\"'`]|%3[ad])[ \t\r\n\"'`\\<]{0,24}\Z", re.IGNORECASE
)
_ASSIGNS = re.compile(rb"[\w.\]-]{0,32}\\{0,40}[\"'`]?\]?[ \t]{0,4}(?:=|:=|:|=>)[ \t]{0,4}\\{0,40}[\"'`]?\Z")
_OTHER = re.compile(
    rb"(?i)(?:sha-?\d{0,3}|md5|commit|digest|hash|checksum|integrity|etag|revision|(?<![a-z])rev|version|uuid|guid"
    rb"|(?<!client)(?<!client.)(?<!key)(?<!key.)(?<![a-z])id|[a-z]Id)[\"'`\\\]]{0,6}[ \t]{0,4}[=:][^=:]{0,8}\Z"
)


def _nearby(rule: SecretRule) -> Confirm:
    """Pass two of a rule whose token is recognised by its issuer's name before it.

    `likely` where a word for a credential stands with the name and the value is given to it, `possible` where the
    value is assigned to the bare name, nothing where the two only stand near each other.
    """
    names = re.compile("|".join(rule.near).encode("ascii"), re.IGNORECASE)
    shape, least, tier = re.compile(rule.pattern.encode("ascii")), rule.min_entropy, rule.tier

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        begin = max(begin, to - rule.window - NEAR)
        ends = [name.span() for name in names.finditer(data, begin, to)]
        for at, end in reversed(ends):
            ahead = min(stop, end + NEAR + rule.window)
            for found in shape.finditer(data, end, ahead):
                first, last = found.span(1)
                if first - end > NEAR:
                    break
                gap = data[end:first]
                if _joined(data, first, last, stop) or hollow(found[1]) or entropy(found[1]) < least:
                    continue
                if gap.count(b"\n") > 2 or not _GIVES.search(gap) or _OTHER.search(gap):
                    continue
                if PLACEHOLDER.match(data, max(0, first - 7), last + 64):
                    continue
                if _SPEAKS.search(data[max(0, at - 24) : at] + b" " + gap) or _NAMES_KEY.search(data, at, end):
                    yield Found(first, last, tier)
                    return
                if _ASSIGNS.fullmatch(gap):
                    yield Found(first, last, "possible")
                    return

    return spans


def _joined(data: bytes, first: int, last: int, stop: int) -> bool:
    """Whether the value is only a part of a longer word."""
    behind = last < stop and (data[last] in _ALNUM or data[last] in b"_-/+" or data[last : last + 1] == b".")
    if behind and data[last] in b".-/" and not (last + 1 < stop and data[last + 1] in _ALNUM):
        behind = False
    return behind or not _begins(data, first) or (first > 0 and data[first - 1] in b"_-/+.")
