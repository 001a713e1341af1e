"""Which names hold a secret and which only speak of one: `db_password` holds it, `password_field` does not."""

from __future__ import annotations

import re

_PARTS = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# A word after `token`, `key`, `password` that makes the name speak of the secret's surroundings.
_ABOUT = frozenset(
    b"id ids identifier name names file files filename path paths dir folder url uri uris endpoint link type types "
    b"kind count counts counter length len size sizes bits bytes expiry expires expiration expire ttl timeout age "
    b"lifetime env var variable field fields param params parameter parameters header headers ref refs reference "
    b"regex regexp pattern patterns prefix suffix label labels hint hints hash hashed hasher hashes digest policy "
    b"policies limit limits usage usages index version versions format algorithm algo alg status state valid "
    b"validator validators validation required reset strength rule rules rotation manager provider store storage "
    b"service server class factory arn budget price cost costs rate rates per chars character characters mask masked "
    b"placeholder prompt prompts position pos offset offsets start end begin stream streams ring rings map maps list "
    b"lists set sets pair pairs exchange error errors exception message messages msg text title description desc "
    b"tooltip icon input output inputs form view page button dialog visible visibility show hide toggle changed "
    b"change changes updated created at date time timestamp issued issuer audience scope scopes subject owner user "
    b"username email column columns table db database schema property properties attr attribute attributes enabled "
    b"disabled allowed only mode method methods func function handler handlers callback hook code codes encoder "
    b"decoder encoding embedding embeddings vocab ids_list confirmation confirm repeat again match matches matched "
    b"check checks checker checked verify verified fingerprint thumbprint checksum signature_version spec specs "
    b"config configs settings option options template source sources resolver getter setter cache cached events event "
    b"press pressed down up board stroke strokes word words phrase less protected vault group groups number no num "
    b"available missing not exists found has mgr".split()
)
# A word before `token` or `key` that makes it a thing everyone may see.
_OPEN = frozenset(
    b"csrf xsrf next page prev previous continuation sync cancel cancellation pad eos bos unk mask stop start end max "
    b"min public num total special first last cursor trace forgot reset show hide no has is use with without per of "
    b"cache caches primary foreign sort sorting partition row object hash map dict index idempotency dedup dedupe s3 "
    b"bucket route registry hot arrow shortcut super unique lookup locale translation message i18n shard routing "
    b"feature flag pub publishable publish site captcha recaptcha hcaptcha turnstile host known lexer parser syntax "
    b"input output prompt completion reasoning cached pagination pager resume restart checkpoint invalid wrong bad "
    b"missing expired old_style get fetch read load find list validate verify check parse count delete remove clear "
    b"generate create compare encrypt decrypt encode decode block item entity record field column group join "
    b"composite natural surrogate order group_by id event metric state step stack slot react v k idempotent request "
    b"gpg pgp".split()
)
_FILE = re.compile(rb"\.(?:c|cc|cpp|h|hpp|xml|py|js|jsx|ts|tsx|go|rb|rs|java|cs|php|html|css|md|exp)\Z")
_SHORT = 4  # a name of so few letters must be a part of its own: `dbPass`, not `compass`


def parts(name: bytes) -> list[bytes]:
    """The words of an identifier, in lower case."""
    return [part.lower() for part in _PARTS.findall(name)]


def holds_secret(before: bytes, name: bytes, after: bytes) -> bool:
    """Whether a secret is kept under the identifier made of the three; `name` is the word for a secret in it."""
    if after:
        glued = (after[0] >= 97 and name[-1] >= 97) or (after[0] < 91 and after[0] > 64 and name[-1] < 91)
        if (glued and after[:1].isalpha()) or not _ABOUT.isdisjoint(parts(after)) or _FILE.search(after):
            return False
    hump = before[-1:].islower() and name[:1].isupper()
    if before[-1:].isalpha() and len(name) <= _SHORT and not hump:
        return False
    words = parts(before)
    return not (words and (words[-1] in _OPEN or b"public" in words))


def said_again(name: bytes, value: bytes) -> bool:
    """Whether the value is the name once more with something around it: `clientSecret: my_client_secret`."""
    words = parts(name[-48:])
    if len(words) < 2 or len(value) > 64:
        return False
    end, plain = b"".join(words[-2:]), re.sub(rb"[-_. ]", b"", value).lower()
    return (len(end) > _SHORT and plain.endswith(end)) or value.startswith(name + b"_")
