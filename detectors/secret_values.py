"""Finding the value a key is given, in any notation and under any number of escapes.

`password=x`, `"password": "x"`, `\\"password\\": \\"x\\"`, `--password x`, `<password>x</password>`, `name:`/`value:`
pairs, setters, defaults, YAML, Terraform, code with a type annotation: one grammar over bytes. A text is scanned as
it stands, so a quote may wear backslashes; the value ends at the same quote with the same number of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

QUOTE = rb"(?:\\{0,40}[\"'`]|\\{1,40}u00(?:22|27)|&quot;|&apos;|&\#3[49];|%2[27])"
_SPACE = rb"(?:[ \t\r\n]|\\{1,40}[nrt])"
_EQUALS = rb"(?:[:?|]=|=>|:(?![:/])|=(?![=>~])|\xef\xbc\x9a|\\{1,40}u003[ad]|%3[AD])"
_TYPE = (
    rb"(?:[ \t]{0,4}:[ \t]{0,4}[&*]?[A-Za-z_][\w.\[\]|?<>&' ]{0,40}?[ \t]{0,4}(?==)"
    rb"|[ \t]{1,4}(?:string|String|str|\[\]byte|&str)[ \t]{1,4}(?==))?"
)
_HELD = (
    rb"(?i:value|default(?:value)?|val|content|data|text|plaintext|secret_?(?:value|string)|string_?value|token|key)"
)
_LITERAL = rb"(?:[A-Za-z]{1,2}(?=[\"'`])|@\$?(?=\"))?"
_WRAPPER = (
    rb"(?:(?:new[ \t]{1,2}|&)?(?:String|string|str|bytes|bytearray|Some|Just|SecretStr|SecretString|Secret|Text"
    rb"|Optional|Buffer\.from|secrets?\.|Password|Token|ApiKey|SecureString|sensitive|nonsensitive|base64encode|b64encode|atob"
    rb"|quote|URI\.escape|aws\.String|ptr|pointer\.String|to_string|literal|char\[\]|\[\]byte)?\((?=[A-Za-z]?%b))?"
    % QUOTE
)
_SCHEME = rb"(?i:(?:bearer|basic|token|api-?key)[ \t]{1,2})?"
_PROSE = rb"[ \t]{1,3}(?:is|was|to|as|ist|es|est|are)(?:[ \t](?:now|set to|set|currently|simply|just))?[ \t:]{1,3}"
MAX_VALUE, MAX_WORD = 4096, 2048  # bytes of a value in quotes and without

# From the end of a key to where its value begins; `quote` or `argument` is what must close the value.
GIVEN = re.compile(
    rb"""(?x)
    (?: (?P<assigned> %(quote)s? (?:\[[0-9]{0,4}\])? [\])]{0,2} [ \t]{0,16} %(type)s %(equals)s
          [ \t]{0,8} (?:[|>][-+]?%(space)s{1,40}|\\?%(space)s{1,40}(?=%(quote)s))?
          (?:[\[{(]%(space)s{0,20}(?:%(quote)s?%(held)s%(quote)s?[ \t]{0,4}(?:[:=]|=>)[ \t]{0,4})?
             (?=[A-Za-z]?%(quote)s))?
          (?:[\w.:>$-]{1,40}(?:[(\[]%(quote)s[\w.-]{1,40}%(quote)s[\])])?
             [ ]{1,4}(?:\|\||\?\?|or|\?:)[ ]{1,4}(?=%(quote)s))?)
      | (?P<pair> (?:%(quote)s%(space)s{0,4}[,;]?|%(space)s)%(space)s{0,40}(?:\{%(space)s{0,20})?
          %(quote)s?%(held)s%(quote)s?[ \t]{0,4}(?:=>|=(?!=)|:(?!:))[ \t]{0,8}
          (?:\{%(space)s{0,20}%(quote)s?\w{0,8}%(held)s%(quote)s?[ \t]{0,4}[:=][ \t]{0,4})?)
      | (?P<declared> %(quote)s[ \t]{0,4}\{[^{}]{0,200}?\bdefault[ \t]{0,8}=[ \t]{0,4}(?=%(quote)s))
      | (?P<call> \([ \t]{0,4}(?=[A-Za-z]?%(quote)s))
      | (?P<else> %(quote)s?[\])]{0,2}(?:[ \t]{1,4}(?:\|\||\?\?|or)[ \t]{1,4}(?=%(quote)s)|:-)
          )
      | (?P<listed> %(quote)s[ \t]{0,2},%(space)s{0,20}(?=[A-Za-z]?%(quote)s))
      | (?P<xml> (?:%(quote)s?[ \t][^<>\r\n]{0,80}|%(quote)s)?>(?:<!\[CDATA\[)?
          |</(?:key|name|id|string)>%(space)s{0,20}<(?:string|value)>)
      | (?P<prose> %(prose)s)
      | (?P<flag> %(quote)s?[ \t]{1,4}(?:--body|-b|--value|--secret-string|--data)[ \t=]{1,2})
      | (?P<gap> %(quote)s?,?[ \t]{1,4})(?P<argument>%(quote)s)?
    )
    %(wrapper)s %(literal)s (?P<quote>%(quote)s)? %(scheme)s
    """
    % {
        b"quote": QUOTE,
        b"space": _SPACE,
        b"type": _TYPE.replace(b" ", rb"\x20"),
        b"equals": _EQUALS,
        b"held": _HELD,
        b"literal": _LITERAL,
        b"wrapper": _WRAPPER.replace(b" ", rb"\x20"),
        b"scheme": _SCHEME.replace(b" ", rb"\x20"),
        b"prose": _PROSE.replace(b" ", rb"\x20"),
    }
)


def triggers(keys: tuple[str, ...]) -> tuple[str, ...]:
    """What the first pass looks for: a key, and a byte after it that no word goes on with."""
    names = re.sub(r"\(\?<[!=][^()]*\)", "", "|".join(keys))  # pass one knows no look-behind
    return (rf"(?i)(?:{names})[^a-z0-9]",)


_PLAIN, _SHELL = rb"[^\s\"'`,;&<>()\[\]{}|\\\x00-\x1f\x7f]", rb"[^\s\"'`;&|<>\\\x00-\x1f\x7f]"
_WORD = re.compile(rb"%b*(?:\\{1,40}/%b*)*" % (_PLAIN, _PLAIN))
_SHELL_WORD = re.compile(rb"%b*(?:\\{1,40}/%b*)*" % (_SHELL, _SHELL))
_ELEMENT = re.compile(rb"[^<>\r\n\x00]*")


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
    end = start + len(word[0].rstrip(b".:?,"))
    while end < stop and data[end] & 0xC0 == 0x80:  # never half a character
        end += 1
    return start, end


def element_at(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Range of the text of an XML element beginning at `start`, nothing where no closing tag follows."""
    text = _ELEMENT.match(data, start, min(stop, start + MAX_WORD))
    if not text or not re.match(rb"(?:\]\]>)?<\\{0,40}/|<!", data[text.end() : text.end() + 48]):
        return start, start
    bare = text[0].removesuffix(b"]]")
    return start + len(bare) - len(bare.lstrip()), start + len(bare.rstrip())
