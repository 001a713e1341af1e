"""Finding the value a key is given, in any notation and under any number of escapes, and telling real from made up.

`password=x`, `"password": "x"`, `\\"password\\": \\"x\\"`, `--password x`, `<password>x</password>`, YAML, code
with a type annotation: one grammar over bytes. A text is scanned as it stands, so a quote may wear backslashes;
the value ends at the same quote with the same number of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

QUOTE = rb"(?:\\{0,40}[\"'`]|\\{1,40}u00(?:22|27)|&quot;|&#3[49];|%2[27])"
_EQUALS = rb"(?::=|=>|:(?!:)|=(?!=)|\\{1,40}u003[ad]|%3[AD])"
_TYPE = rb"(?::[ \t]{0,4}[A-Za-z_][\w.\[\]|? ]{0,40}?[ \t]{0,4}(?==))?"
_LITERAL = rb"(?:[A-Za-z]{1,2}(?=[\"'`]))?"
_SCHEME = rb"(?i:(?:bearer|basic|token|apikey)[ \t]{1,2})?"
MAX_VALUE, MAX_WORD = 4096, 2048  # bytes of a value in quotes and without


# From the end of a key to where its value begins; `quote` or `argument` is what must close the value.
GIVEN = re.compile(
    rb"(?:%(quote)s?\]?[ \t]{0,8}%(type)s%(equals)s[ \t]{0,8}%(literal)s(?P<quote>%(quote)s)?"
    rb"|(?P<gap>%(quote)s?,?[ \t]{1,4})(?P<argument>%(quote)s)?"
    rb"|>"
    rb")%(scheme)s"
    % {
        b"quote": QUOTE,
        b"type": _TYPE,
        b"equals": _EQUALS,
        b"literal": _LITERAL,
        b"scheme": _SCHEME,
    }
)


def triggers(keys: tuple[str, ...]) -> tuple[str, str]:
    """What the first pass looks for: a key and the sign after it, or a command-line option and the gap after it."""
    names = re.sub(r"\(\?<[!=][^()]*\)", "", "|".join(keys))  # pass one knows no look-behind
    after = r"(?:\\{0,40}[\"'`]|\\{1,40}u00(?:22|27)|&quot;|&#3[49];|%2[27])?"
    return (
        rf"(?i)(?:{names}){after}\]?[ \t]{{0,8}}(?:[:=>]|\\{{1,40}}u003[ade]|%3[ad])",
        rf"(?i)-(?:[a-z0-9]{{1,16}}-){{0,3}}(?:{names}){after},?[ \t]",
    )


_PLAIN, _SHELL = rb"[^\s\"'`,;&<>()\[\]{}|\\\x00-\x1f\x7f]", rb"[^\s\"'`;&|<>\\\x00-\x1f\x7f]"
_WORD = re.compile(rb"%b*(?:\\{1,40}/%b*)*" % (_PLAIN, _PLAIN))
_SHELL_WORD = re.compile(rb"%b*(?:\\{1,40}/%b*)*" % (_SHELL, _SHELL))


@lru_cache(maxsize=256)
def _closing(quote: bytes) -> re.Pattern[bytes]:
    return re.compile((rb"(?<!\\)" if quote[:1] in b"\\\"'`" else b"") + re.escape(quote))


def value_at(data: bytes, start: int, stop: int, quote: bytes | None, shell: bool) -> tuple[int, int]:
    """Range of the value beginning at `start`: to its closing quote, or one word where none opens or closes."""
    limit = min(stop, start + MAX_VALUE)
    if quote:
        close = _closing(quote).search(data, start, limit)
        line = data.find(b"\n", start, close.start() if close else limit)
        if close and line < 0:
            return start, close.start()
    word = (_SHELL_WORD if shell else _WORD).match(data, start, min(stop, start + MAX_WORD))
    if not word:
        return start, start
    end = start + len(word[0].rstrip(b".:!?,"))
    while end < stop and data[end] & 0xC0 == 0x80:  # never half a character
        end += 1
    return start, end


_HOLLOW = re.compile(
    rb"""(?ix)
    example | x{5} | \*{3} | \.{3} | \xe2\x80\xa6 | \xe2\x80\xa2{3}
    | \byour[-_ ] | placeholder | change[-_]?(?:me|it) | redacted | masked | replace[-_]?(?:me|this|with) | insert[-_]
    | dummy | 0{8} | 1234567890 | 0123456789 | abcdefgh | deadbeef
    """
)
_REFERENCE = re.compile(
    rb"""(?x)
    [$<>{}%@\[(*#]                                       # $VAR ${VAR} {{x}} %VAR% <x> @file *** : a hole, no value
    | (?:os|process|env|ENV|config|settings|self|this|secrets?|args|opts|options|request|req|data|params|vars|var
        |local|module|System|Deno|Bun|import|ctx|app|st|var)[.\[(]
    | https?: | file: | /[A-Za-z]+/ | \.{1,2}/ | arn: | projects/ | op:// | vault: | ssm: | !
    """
)
_WORDS = frozenset(
    b"none null nil undefined true false yes no on off string str int integer bool boolean bytes text number object "
    b"any optional required secret secrets password passwords passwd passphrase pass token tokens key keys apikey "
    b"api_key value values username user root admin guest test testing postgres mysql redis mongo default empty "
    b"hidden unset missing invalid valid ok error bearer basic oauth oauth2 jwt apikey_auth bearer_token plaintext "
    b"sensitive encrypted unknown na n/a tbd todo varchar char self input prompt env file stdin var type field "
    b"hunter not the is a an and or must should will was were that this it to for in of with "
    b"changeme letmein mypassword mysecret mytoken secretkey secret_key foo bar baz foobar qux".split()
)
_PROSE = re.compile(
    rb"(?i)\b(?:enter|your|must|should|please|required|invalid|incorrect|reset|forgot|least|the|cannot|is|are|was|"
    rb"use|used|for|not|of|must|may|when|if|characters?|field)\b"
)
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z_]*(?:[.:\->]+[A-Za-z_]\w*)*")
_NAME = re.compile(rb"[A-Z]+(?:_[A-Z]+)+")
_SNAKE = re.compile(rb"[a-z]+\d?(?:_[a-z]+\d?)+")
_NUMBER = re.compile(rb"[-+]?[\d_.,]+(?:[eE][-+]?\d+)?[KMGkmgs%]?")


def hollow(secret: bytes) -> bool:
    """Documented examples and fillers: EXAMPLE, xxxx, your-..., one character repeated."""
    if len(secret) > 256:
        return False
    tail = secret[-24:]
    return len(set(tail)) <= max(2, len(tail) // 6) or _HOLLOW.search(secret) is not None


def reference(value: bytes, quoted: bool, shell: bool) -> bool:
    """The value only names a secret, describes one or is code that fetches it."""
    bare = value.strip(b" \t\\")
    lower = bare.lower()
    if not bare or lower in _WORDS or _REFERENCE.match(bare) or _HOLLOW.search(bare):
        return True
    if b"${" in bare or b"{{" in bare or b"$(" in bare or len(set(bare)) <= 2 or _NAME.fullmatch(bare):
        return True
    if quoted:
        return b" " in bare and (_PROSE.search(bare) is not None or bare.count(b" ") > 6)
    if _NUMBER.fullmatch(bare):
        return True
    return not shell and (_IDENTIFIER.fullmatch(bare) or _SNAKE.fullmatch(bare)) is not None


def entropy(secret: bytes) -> float:
    """Bits per byte by its own byte counts."""
    total = len(secret)
    return -sum(n / total * math.log2(n / total) for n in Counter(secret).values()) if total else 0.0
