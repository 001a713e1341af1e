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
from detectors.secret_checks import verdict
from detectors.secret_first_pass import NEAR
from detectors.secret_lookalikes import entropy, hollow, reference, token_shaped, wordy
from detectors.secret_names import holds_secret, parts, said_again
from detectors.secret_requests import carried
from detectors.secret_rules import SecretRule
from detectors.secret_values import GIVEN, element_at, value_at

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
    window, least, rare, chosen, tier = rule.window, rule.min_entropy, rule.rarity, rule.chosen, rule.tier

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
            elif (not token_shaped(secret, rare) if rare else not chosen and _only_words(secret)) or _in_base64(
                data, found.start(), data[found.start() : end]
            ):
                continue
            elif not (chosen and (PLACEHOLDER.match(secret) or reference(secret, quoted=True, shell=False))):
                yield Found(start, end, tier)

    return spans


_RUN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LETTERS_ONLY = re.compile(rb"[A-Za-z_.-]{20,}")
_WRAPPED = frozenset((60, 64, 70, 72, 76))  # characters of a line of base64


def _only_words(secret: bytes) -> bool:
    """Whether a prefix is followed by words and no token: `hvs.account-registry-parser`."""
    return _LETTERS_ONLY.fullmatch(secret) is not None and wordy(secret)


def _in_base64(data: bytes, start: int, token: bytes) -> bool:
    """Whether the token is a stretch of a base64 text: after its `+` or `/`, or below a line as base64 is wrapped.

    The token has with it what its pattern wants before the secret: words and blanks are no base64.
    """
    if token[:40].strip(_RUN) or not start:
        return False
    before = data[max(0, start - 96) : start]
    if before[-1:] in b"+/":
        run = before[len(before.rstrip(_RUN)) :]
        return len(run) >= 32 and token_shaped(run, _RANDOM)
    line = re.sub(rb"(?:\r?\n|(?:\\{1,40}r)?\\{1,40}n)\Z", b"", before)
    return line != before and len(line) - len(line.rstrip(_RUN)) in _WRAPPED


_IDENTIFIER_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_AFTER_NAME = re.compile(rb"[A-Za-z0-9_.-]{0,32}")
_DECLARES = re.compile(  # what makes `NAME value` an assignment
    rb"(?i)(?:\#define|\bENV|\bARG|\bsetx?|\bset -\w{1,4}|\bsetenv|\bputenv|\bdefault"
    rb"|\bconfig(?:ure)?(?: set| --[a-z]{4,8})?|\bsecrets? set|\brequirepass|\bparam(?:eter)?)[ \t]{1,4}\Z"
)
_WINDOW = 112  # a key, what stands between it and its value, and what pass one saw of the value, in bytes
_CALL = (b"(", b"[")
_VARIABLE = re.compile(rb"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w+(?:Key|Secret|Token|_key|_secret|_token)s?|\w+-")
_QUOTES = frozenset((b'"', b"'", b"`"))
_ARN = re.compile(rb"\barn:[\w:*/-]*\Z")


def _values(rule: SecretRule) -> Confirm:
    """Pass two of a rule that knows its secret by the name it is assigned to.

    The key of an issuer's rule ends the name; names anyone uses (`possible`) may go on: `TOKEN_PROD`, `password2`.
    """
    names = re.compile("|".join(rule.keys).encode("ascii"))  # in lower case: ignoring case is three times slower
    shape, least, rare = re.compile(rule.pattern.encode("ascii")), rule.min_entropy, rule.rarity
    chosen, tier, loose = rule.chosen, rule.tier, rule.tier == "possible"

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        since = max(begin - 24, to - _WINDOW, 0)
        for name in names.finditer(data[since:to].lower()):
            if since + name.end() <= begin:  # judged before
                continue
            given = _given(data, since + name.start(), since + name.end(), stop, loose)
            if given is None:
                continue
            first, last, quoted, shell = given
            value = data[first:last]
            if chosen and not quoted and (data[last : last + 1] in _CALL or (not shell and _VARIABLE.fullmatch(value))):
                continue
            fits = shape.fullmatch(value)
            if fits is None or PLACEHOLDER.fullmatch(value) or hollow(fits[1]) or entropy(fits[1]) < least:
                continue
            if rare and not token_shaped(fits[1], rare):
                continue
            if not (chosen and reference(value, quoted or rare > 0, shell)):
                yield Found(first + fits.start(1), first + fits.end(1), tier)

    return spans


def _given(data: bytes, at: int, end: int, stop: int, loose: bool) -> tuple[int, int, bool, bool] | None:
    """Range of what the name from `at` to `end` is given, whether in quotes, and whether a shell reads it."""
    before = data[max(0, at - 48) : at]
    prefix = before[len(before.rstrip(_IDENTIFIER_BYTES)) :]
    after = _AFTER_NAME.match(data, end, stop)[0].rstrip(b".-") if loose else b""  # type: ignore[index]  # always fits
    if not holds_secret(prefix, data[at:end], after):
        return None
    given = GIVEN.match(data, end + len(after), min(stop, end + len(after) + 320))
    opened = at - len(prefix)
    if given is None or _no_key(data, opened, data[at:end], given, after):
        return None
    option = prefix.startswith(b"-") or data[at : at + 1] == b"-"
    quote = given["quote"] or given["argument"]
    if quote and _closes(data, opened, end, given.end("quote") if given["quote"] else given.end("argument"), quote):
        return None
    if given["gap"]:
        declared = option or _DECLARES.search(data, max(0, opened - 24), opened)
        if not declared or (b"," in given["gap"] and not given["argument"]):  # ("--password", variable)
            return None
    if given["xml"] and not quote:
        if b"<" not in data[max(0, opened - 48) : opened]:
            return None
        return *element_at(data, given.end(), stop), True, False
    if data[max(0, opened - 2) : opened] == b"${" and not given["else"]:  # ${PASSWORD:?reason}
        return None
    tight = data[at:end].isupper() and given[0][-1:] in b"=>"
    shell = not quote and (tight or option)
    first, last = value_at(data, given.end(), stop, quote, shell)
    if given["prose"] and not _chosen_word(data[first:last], bool(quote)):
        return None
    if given["listed"] and (data[opened - 1 : opened].isspace() or not _chosen_word(data[first:last], False)):
        return None  # ("password", "username"), "def f(): pass", "g.py"
    value = data[first:last]
    if given["listed"] and parts(value)[:1] == parts(prefix)[:1]:  # 'auth_password', 'auth_pubkey_2'
        return None
    if (value[:1] == b"-" and given["gap"] and not quote) or (
        value[:1] == b"+" and data[opened - 1 : opened] in _QUOTES
    ):
        return None  # --ask-password --verbose, "PASSWORD="+value
    if said_again(data[opened : end + len(after)], value):
        return None
    return first, last, bool(quote), tight or option


def _no_key(data: bytes, opened: int, name: bytes, given: re.Match[bytes], after: bytes) -> bool:
    """Whether what stands there is no key: a test's verdict, a macro, a file, a part of a resource's name, prose."""
    alone = given.start() == opened + len(name)
    if name == b"PASS" and (given["call"] or given["listed"] or (alone and given[0][:1] == b":")) and not after:
        return True  # --- PASS: TestX, MODULE_PASS("verify", ...)
    if given["call"] and b"." in after:  # pwd.getpwnam("x")
        return True
    if given["prose"] and after[:1].isalpha():
        return True
    return data.endswith(b"/etc/", 0, opened) or _ARN.search(data, max(0, opened - 96), opened) is not None


def _closes(data: bytes, opened: int, end: int, stop: int, quote: bytes) -> bool:
    """Whether the quote closes the text the name stands in: input("Password: ")."""
    before = data[max(0, opened - len(quote) - 1) : opened]
    return (
        before.endswith(quote)
        and not before.startswith(b"\\" + quote)
        and quote[-1:] not in data[end : stop - len(quote)]
    )


def _chosen_word(value: bytes, quoted: bool) -> bool:
    """Whether what prose calls a password is one: in quotes, or with a digit or sign no word has."""
    if re.fullmatch(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", value):  # "I sent the password to bob@..."
        return False
    return quoted or (re.search(rb"[0-9!@#$^&*+=]", value) is not None and re.search(rb"[A-Za-z]", value) is not None)


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
        found = _nearby(rule)
    elif rule.keys:
        found = _values(rule)
    else:
        found = _armour(rule) if rule.check == "pem" else _tokens(rule)
    return _proven(rule.check, found) if rule.proven else found


def _proven(check: str, found: Confirm) -> Confirm:
    """Of what was found, what the check does not refute."""

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        for one in found(data, begin, to, stop):
            if verdict(check, data[one.start : one.end]) != "invalid":
                yield one

    return spans


_SPEAKS = re.compile(
    rb"(?i)key|token|secret|pass|pwd|auth|cred|bearer|api|pat(?![a-z])|licen[cs]e|webhook|(?<![a-z])sid|dsn|signature"
    rb"|(?:client|init|configure|sdk)\("
)
_NAMES_KEY = re.compile(
    rb"(?:[_. -](?i:api|key|token|secret|auth|pass)|Key|Token|Secret|Api)[A-Za-z]{0,8}\Z"
)  # heap_api
_IDENTIFIES = re.compile(rb"(?i)(?:client|consumer|access)[_. -]?id(?![a-z])|app[_. -]?certificate")
_GIVES = re.compile(
    rb"(?:[=:>,(\[|]|(?i:bearer|basic|token|key|is|was)[ \t]|[\"'`]|%3[ad]|u00(?:22|27|3[ad])"
    rb"|&quot;|&\#3[49];|%2[027])[ \t\r\n\"'`\\<]{0,24}\Z",
    re.IGNORECASE,
)
_WHOLE = rb"(?![A-Za-z0-9_]|[+/=-][A-Za-z0-9]|\.[A-Za-z0-9]{3})"  # what follows a token's end does not go on with it
_ASSIGNS = re.compile(
    rb"[\w.\]-]{0,32}(?:\([ \t]{0,4}(?=\\{0,40}[\"'`])|\\{0,40}[\"'`]?\]?[ \t]{0,4}(?:=|:=|:|=>))"
    rb"[ \t]{0,4}\\{0,40}[\"'`]?\Z"
)
_OTHER = re.compile(
    rb"(?i)(?:sha-?\d{0,3}|(?<![a-z0-9])h1|md5|commit|digest|hash|checksum|integrity|etag|revision|(?<![a-z])rev"
    rb"|version|build|serial|fingerprint|thumbprint|cache[ _.-]?key|uuid|guid"
    rb"|(?<!client)(?<!client.)(?<!key)(?<!key.)(?<![a-z])id"
    rb"|(?-i:(?<!clien)(?<!ke)[a-z]Id))"
    rb"[\"'`\\\]]{0,6}[ \t]{0,4}[=:][^=:]{0,8}\Z"
)


_TELLS = re.compile(  # heap <token>; my heap key is <token>
    rb"(?i)(?:['\"`]s?)?(?:[ \t_-]{1,3}(?:api|access|auth|secret|service|account|client|new|test|live)){0,2}"
    rb"(?:[ \t_-]{0,3}(?:key|token|secret|password|credential)s?)?(?:[ \t]{1,3}(?:is|was|of|to|for|-|->))?"
    rb"[ \t]{1,3}[\"'`]?"
)
_MIXED = re.compile(rb"[0-9][^0-9]{0,40}[A-Za-z]|[A-Za-z][^A-Za-z]{0,40}[0-9]")
_MAY_GIVE = re.compile(  # a sign of giving, and then what looks like a token
    rb"[\x00-\xff]{0,%d}?[=:>,(\[|\"'`\s](?:(?=[A-Za-z0-9_+/=.~*:-]{0,24}(?:[0-9]|[a-z][A-Z]))[A-Za-z0-9_+/=.~*:-]{8}"
    rb"|[A-Za-z]{16}|(?:[A-Za-z0-9]{4} ){2})" % NEAR
)


def gives(data: bytes, name: int, stop: int) -> bool:
    """Whether anything like a token follows a name that ends at `name`: cheap, asked once for all its rules."""
    return (
        _MAY_GIVE.match(data, name, min(stop, name + NEAR + 32)) is not None
        or next(carried(data, name, stop), None) is not None
    )


def _nearby(rule: SecretRule) -> Confirm:
    """Pass two of a rule whose token is recognised by its issuer's name before it.

    `likely` where a word for a credential stands with the name and the value is given to it, `possible` where the
    value is assigned to the bare name or told after it, nothing where the two only stand near each other.
    """
    # An escaped line end before a name is no letter of it.
    choice = "|".join(_NOT_AFTER.sub(r"(?:\g<0>|(?<=\\\\[nrt]))", name) for name in rule.near).encode("ascii")
    name, ending = re.compile(choice, re.IGNORECASE), re.compile(rb"(?:%b)\Z" % choice, re.IGNORECASE)
    shape, least, tier = re.compile(rule.pattern.encode("ascii") + _WHOLE), rule.min_entropy, rule.tier

    def spans(data: bytes, begin: int, to: int, stop: int) -> Iterator[Found]:
        named = ending.search(data, max(0, to - NEAR), to)  # the longest that ends here
        if named is None or not _starts(data, named.start()) or not name.match(data, named.start(), stop):
            return
        at, end = named.span()
        if end - at <= _BRIEF and (_inside(data, at, end) or data[at - 1 : at].isdigit()):
            return
        ahead = min(stop, end + NEAR + rule.window)
        for one in shape.finditer(data, end, ahead):
            found = one
            if found.end() == ahead < stop:  # the window cut it, not the pattern
                found = shape.match(data, found.start(), stop) or found
            first, last = found.span(1)
            if first - end > NEAR:
                break
            gap = data[end:first]
            if (
                _joined(data, first, last, stop)
                or hollow(found[1])
                or entropy(found[1]) < least
                or wordy(found[1])
                or gap.count(b"\n") > _LINES
                or _OTHER.search(gap)
                or PLACEHOLDER.match(data, max(0, first - 7), last + 64)
            ):
                continue
            given = _given_to(data, at, end, first, found[1])
            if given:
                yield Found(first, last, tier if given == "likely" else "possible")
                return
        for first, last in carried(data, at, stop):
            fits = shape.fullmatch(data, first, last)
            if fits and not (
                hollow(fits[1]) or entropy(fits[1]) < least or wordy(fits[1]) or PLACEHOLDER.search(data, first, last)
            ):
                yield Found(*fits.span(1), tier)
                return

    return spans


_LINES = 4  # line ends between a name and its token
_MADE = re.compile(  # new Heap("<token>"), require("heap")("<token>")
    rb"\([ \t]{0,4}\\{0,40}[\"'`]|\\{0,40}[\"'`]\)\(\\{0,40}[\"'`]"
)


def _given_to(data: bytes, at: int, end: int, first: int, value: bytes) -> Tier | None:
    """How sure it is that the value is the named issuer's: by the words and signs around name and value."""
    gap = data[end:first]
    if not _GIVES.search(gap):
        return "possible" if _TELLS.fullmatch(gap) and _MIXED.search(value) else None
    if _MADE.fullmatch(gap) and (gap[:1] != b"(" or data[max(0, at - 4) : at] == b"new "):
        return "likely"
    if _SPEAKS.search(data[max(0, at - 24) : at] + b" " + gap) or _NAMES_KEY.search(data, at, end):
        return "likely"
    return "possible" if _ASSIGNS.fullmatch(gap) or _IDENTIFIES.search(data, max(0, at - 24), first) else None


_NOT_AFTER = re.compile(r"\(\?<!\[[^]]+\]\)")


def _starts(data: bytes, at: int) -> bool:
    """Whether a name begins at `at`: `core` does in `my_core` and `myCore`, and does not in `score`."""
    before = data[at - 1] if at else 0
    if 97 <= before <= 122:
        return not 97 <= data[at] <= 122 or _ESCAPED.search(data, max(0, at - 18), at) is not None
    return not (65 <= before <= 90 and data[at] >= 65)


_BRIEF = 4  # letters of a name that random text holds too


def _inside(data: bytes, at: int, end: int) -> bool:
    """Whether the name is only letters of a random token."""
    before, after = data[max(0, at - 40) : at], data[end : end + 40]
    run = before[len(before.rstrip(_RUN)) :] + data[at:end] + after[: len(after) - len(after.lstrip(_RUN))]
    return len(run) >= 16 and token_shaped(run, _RANDOM)


_RANDOM = 4.8  # bits per character


def _joined(data: bytes, first: int, last: int, stop: int) -> bool:
    """Whether the value is only a part of a longer word."""
    behind = last < stop and (data[last] in _ALNUM or data[last] in b"_-/+=" or data[last : last + 1] == b".")
    if behind and data[last] in b".-/" and not (last + 1 < stop and data[last + 1] in _ALNUM):
        behind = False
    return behind or not _begins(data, first) or (first > 0 and data[first - 1] in b"_-/+.")
