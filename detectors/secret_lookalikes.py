"""What resembles a secret and is none: fillers, documented examples, references, labels, names, paths, digests."""

from __future__ import annotations

import math
import re
from collections import Counter
from hashlib import blake2b
from itertools import pairwise

from detectors.secret_rarity import rarity

_HOLLOW = re.compile(
    rb"""(?ix)
    example | x{5} | \*{3} | \.{3} | \xe2\x80\xa6 | \xe2\x80\xa2{3}
    | \byour[-_ ] | (?<![a-z])(?:your|my)(?:api|access|secret|auth)?[-_]?(?:key|token|secret|password)
    | placeholder | change[-_ ]?(?:me|it|this) | redacted | masked
    | (?:replace|enter|put|fill)[-_ ]?(?:me|this|with|in|your|here)
    | insert[-_] | dummy | fake[-_]?(?:key|token|secret|api|pass) | todo[-_] | [-_]here\b | not[-_]?(?:a[-_]?)?real
    | 0{8} | 1234567890 | 0123456789 | 123456789a | abcdefgh | deadbeef | lorem[-_ ]?ipsum
    """
)
_REFERENCE = re.compile(
    rb"""(?x)
    [<>{}] | \$[\w{(\[] | %(?:\w+%|[({sdv]|env\() | @(?:[\w./{-]+\Z|@) | \[[\w .,*'"-]*\]? | \(.*\) | \*+\Z | \*[a-z]
    | \#[{ !] | \#[0-9a-fA-F]{3,8}\Z                     # $VAR ${VAR} {{x}} %VAR% <x> @file *** #fff: a hole, no value
    | (?:os|process|env|ENV|config|settings|self|this|secrets?|args|opts|options|request|req|data|params|vars|var
        |local|module|System|Deno|Bun|import|ctx|app|st|var|each|random_\w{2,16}|aws_\w{2,32}|azurerm_\w{2,32}
        |google_\w{2,32}|kubernetes_\w{2,32}|vault_\w{2,32})[.\[(]
    | (?:https?|file|wss?|s3|gs): | /[A-Za-z]+(?:/|\Z) | \.{1,2}/ | ~/ | arn: | projects/ | op:// | vault: | ssm:
    | ref\+ | [a-z][a-z0-9+.-]{1,20}://[^@]*\Z | @Microsoft\.KeyVault\( | __\w+__\Z | :[a-z_:]+\Z | \?\w+\?\Z
    | (?:required|nullable)\| | sha(?:1|256|512): | AQICAH | CiQA[A-Za-z0-9+/=]{80} | 01000000d08c9ddf | gAAAAA
    | age-encryption | AgB[A-Za-z0-9+/=]{200}
    | sops: | pbkdf2[_:] | ENC[\[(] | \$(?:2[abxy]|argon2\w{1,2}|[156]|pbkdf2[\w-]*|scrypt)\$   # locked or hashed
    | !(?:Ref|Sub|GetAtt|Join|ImportValue|vault|secret|env|ENV|include|reference|encrypted|var|file)\b
    | secret(?:smanager)?: | keyvault | env: | file: | awssm | (?:env|ENV|getenv|lookup|ref|sops|lastpass)\(
    """
)
_WORDS = frozenset(
    b"none null nil undefined true false yes no on off string str int integer bool boolean bytes text number object "
    b"any optional required secret secrets password passwords passwd passphrase pass token tokens key keys apikey "
    b"api_key value values username user root admin guest test testing postgres mysql redis mongo default empty "
    b"hidden unset missing invalid valid ok error bearer basic oauth oauth2 jwt apikey_auth bearer_token plaintext "
    b"sensitive encrypted unknown na n/a tbd todo varchar char self input prompt env file stdin var type field hunter "
    b"not the is a an and or must should will was were that this it to for in of with changeme letmein mypassword "
    b"mysecret mytoken secretkey secret_key foo bar baz foobar qux set get new old add remove delete update create "
    b"current confirm repeat retype login logout sign signin signup enabled disabled auto always never ask manual "
    b"login-prompt wrong incorrect expired changed rejected accepted denied verified provided stored saved sent used "
    b"found data json yaml xml html base64 hex utf-8 ascii sha256 sha512 md5 bcrypt argon2 scrypt pbkdf2 plain clear "
    b"masked private public protected static final const let function return async await class interface struct "
    b"import export from if else end begin case when then do authentication authorization credentials credential "
    b"account email mail name id url host port database option options argument arguments command commands flag flags "
    b"description switch switches parameter parameters fail failed failure passed success skip skipped salt comment "
    b"scram-sha-256 utf8 utf-8 contrase\xc3\xb1a Contrase\xc3\xb1a \xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c "
    b"\xd0\x9f\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c \xe5\xaf\x86\xe7\xa0\x81 passwort kennwort "
    b"\xe3\x83\x91\xe3\x82\xb9\xe3\x83\xaf\xe3\x83\xbc\xe3\x83\x89 wachtwoord senha parola".split()
)
_PROSE = re.compile(
    rb"(?i)\b(?:enter|your|must|should|please|required|invalid|incorrect|reset|forgot|least|the|cannot|no|without|is|are|was|"
    rb"use|used|for|not|of|must|may|when|if|characters?|field|with|and|or|to|from|new|confirm|change|repeat)\b"
)
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z_]*(?:[.:\->]+[A-Za-z_]\w*)*")
_INDEXED = re.compile(rb"[A-Za-z_][A-Za-z_.]*[\[(]")
_NAME = re.compile(rb"[A-Z]{2,}(?:_[A-Z]*[0-9]{0,4}[A-Z]*)*_[A-Z]+")
_SNAKE = re.compile(rb"[a-z]+\d?(?:_[a-z]+\d?)+")
_NUMBER = re.compile(rb"[-+]?[\d_.,]+(?:[eE][-+]?\d+)?[KMGkmgs%]?|0[xX][0-9a-fA-F_]{1,18}[uUlL]{0,3}")
_VERSION = re.compile(rb"[~^<>=]{0,2}v?\d{1,4}\.\d{1,6}(?:\.\d{1,6}){0,2}-?")
_SPEAKS = re.compile(rb"(?i)pass(?:word|wd|phrase)?|pwd|secret|token|credential|api[-_ ]?key|key\b")

# BLAKE2b-64 of values vendors print in their manuals and emulators ship: sought after, and open to everyone.
_DOCUMENTED = frozenset(
    {
        "c7df296cb211b687",
        "188887d297766300",
        "20e88191d76dc156",
        "2e12236193731ba6",
        "59c73184681a3e41",
        "76449d3eb6d5ca57",
        "826e0fd9a88ef5e1",
        "af8835da1baf8505",
        "b122867768cf1807",
        "b1dba8e85ee052b5",
        "bc2b96d967bbb746",
        "f8c661bbd238e78b",
    }
)


def hollow(secret: bytes) -> bool:
    """Documented examples and fillers: EXAMPLE, xxxx, your-..., one character repeated, the alphabet."""
    if blake2b(secret, digest_size=8).hexdigest() in _DOCUMENTED:
        return True
    if len(secret) > 256:
        return False
    tail = secret[-24:]
    return len(set(tail)) <= max(2, len(tail) // 6) or _HOLLOW.search(secret) is not None or _counted(secret)


def _counted(secret: bytes) -> bool:
    """Runs such as abcdef, 123456 and blocks said over again make up most of it."""
    if len(secret) < 12:
        return False
    steps = sum(1 for a, b in pairwise(secret) if b - a in (0, 1))
    if steps * 10 >= 6 * len(secret):
        return True
    for size in (2, 3, 4, 5, 6, 8):
        tail = secret[-max(12, 3 * size) :]  # what follows a prefix
        if len(tail) >= 3 * size and tail[size:] == tail[:-size]:
            return True
    return False


def reference(value: bytes, quoted: bool, shell: bool) -> bool:
    """The value only names a secret, describes one or is code that fetches it."""
    bare = value.strip(b" \t\\")
    lower = bare.lower()
    if not bare or lower in _WORDS or lower.rstrip(b"])") in _WORDS or _REFERENCE.match(bare) or _HOLLOW.search(bare):
        return True
    if _VERSION.fullmatch(bare):
        return True
    if b"${" in bare or b"{{" in bare or b"$(" in bare or len(set(bare)) <= 2 or _NAME.fullmatch(bare):
        return True
    if b"<" in bare and b">" in bare:
        return True
    if quoted:
        return _label(bare)
    if _NUMBER.fullmatch(bare) or _INDEXED.match(bare):
        return True
    return not shell and (_IDENTIFIER.fullmatch(bare) or _SNAKE.fullmatch(bare)) is not None


def _label(bare: bytes) -> bool:
    """Prose, or the name of a field: what stands in quotes after a key and is read by people."""
    if b" " in bare:
        return _PROSE.search(bare) is not None or bare.count(b" ") > 6 or not re.search(rb"[0-9!-/@^_]", bare)
    named = _SPEAKS.search(bare) is not None
    return named and re.fullmatch(rb"[A-Za-z]+(?:[-_.:/][A-Za-z]+)*[:?*]?", bare) is not None


_WORDY, _LETTERS = 3.7, 4.6  # bits per character: least of a token with digits, and of one of letters alone
_HEX = re.compile(rb"(?:[0-9a-f]+|[0-9A-F]+)")
_UUID = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLAIN = re.compile(  # what has digits and letters and is still no token: dates, versions, sizes, addresses, paths
    rb"""(?x)
    \d{4}-\d\d-\d\d(?:[T_ ][\d:.+Z-]*)? | v?\d+(?:\.\d+){1,4}(?:[-+.]?(?:a|b|rc|alpha|beta|dev|post|final)[.\w-]*)?
    | (?:[\w.-]+/)+[\w.-]+\.[A-Za-z]{1,5}
    | [\w.-]+\.(?:com|org|net|io|json|ya?ml|py|js|ts|go|txt|md|pem|crt|html?|png|svg)
    | 0x[0-9a-fA-F]{1,16}[uUlL]{0,3} | [a-z]{4,}(?:-[a-z]{3,})+-(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})
    | (?:sha\d{1,3}|md5|blake2\w?|h1)[:-].* | ssh-(?:rsa|ed25519|dss)\b.* | MII[A-Za-z0-9+/]{3}.*
    | data:.* | urn:.* | (?:\d{1,3}\.){3}\d{1,3}(?::\d+)? | [\w.-]+@[\w.-]+
    """
)


def token_shaped(value: bytes, least: float) -> bool:
    """The value looks drawn at random, not written: hexadecimal, a UUID, or far from words."""
    if _PLAIN.fullmatch(value):
        return False
    if _HEX.fullmatch(value):
        return len(value) >= 16 and value.isalnum() and not value.isdigit() and not value.isalpha()
    if _UUID.fullmatch(value):
        return True
    digit, upper, lower = _classes(value)
    if not digit and not (upper and lower and len(value) >= 20):
        return False
    return rarity(value) >= least


def wordy(value: bytes) -> bool:
    """The value fits a token's alphabet and length only because words do: an identifier, a slug, a host."""
    digits = sum(1 for b in value if 48 <= b <= 57)
    if 2 * digits > len(value) or b" " in value or _HEX.fullmatch(value) or _UUID.fullmatch(value):
        return False
    if digits:
        return rarity(value) < _WORDY
    return rarity(value) < _LETTERS


def _classes(value: bytes) -> tuple[bool, bool, bool]:
    return (any(48 <= b <= 57 for b in value), any(65 <= b <= 90 for b in value), any(97 <= b <= 122 for b in value))


def entropy(secret: bytes) -> float:
    """Bits per byte by its own byte counts."""
    total = len(secret)
    return -sum(n / total * math.log2(n / total) for n in Counter(secret).values()) if total else 0.0
