"""What a secret proves about itself offline: checksums and structure some issuers build into their tokens.

A check answers whether the text can be a real token of that format: `valid`, `invalid`, or `unchecked` where
this form carries nothing to verify. `valid` is worth its name: of random texts of the same shape fewer than four
in a thousand pass. `invalid` is an answer, not a reason to drop: half of the tokens people publish as samples
fail, and so does a real one with a letter lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from detectors import secret_azure as azure
from detectors import secret_checksums as sums
from detectors import secret_keys as keys
from detectors import secret_structures as shapes
from detectors import secret_wallets as wallets
from detectors.model import Verdict

MAX_LENGTH = 32_768  # bytes; work on a secret is bounded by this


class Check(NamedTuple):
    """One format: the function that says whether it holds (None: nothing to verify), what it reads and who says so.

    `refutes` where a text that fails cannot be one of these; a structure that was only ever seen proves, at most.
    """

    holds: Callable[[str], bool | None]
    about: str
    source: str
    refutes: bool = True


_SEEN = "tokens as issued"  # the issuer speaks of a checksum and publishes no algorithm
_MICROSOFT = "Microsoft security-utilities library (MIT)"

CHECKS: dict[str, Check] = {
    # checksums over the token
    "github": Check(sums.body_base62, "CRC-32 of the body in base62", "GitHub, token formats, 2021"),
    "github_fine_grained": Check(sums.github_fine_grained, "SHA-256 of the first 77 characters in base32", _SEEN),
    "npm": Check(sums.body_base62, "CRC-32 of the body in base62", "GitHub, npm token format, 2021"),
    "gitlab": Check(sums.gitlab_routable, "CRC-32 of a routable token in base36", "GitLab, routable tokens"),
    "atlassian": Check(sums.whole_upper_hex, "CRC-32 of all before it, upper-case hex", _SEEN),
    "bitbucket": Check(sums.whole_upper_hex, "CRC-32 of all before it, upper-case hex", _SEEN),
    "trello": Check(sums.whole_upper_hex, "CRC-32 of all before it, upper-case hex", _SEEN, refutes=False),
    "cloudflare": Check(sums.body_hex, "CRC-32 of the body in hex", "Cloudflare, token formats"),
    "vercel": Check(sums.body_base62, "CRC-32 of the body in base62", _SEEN),
    "grafana": Check(sums.grafana, "CRC-32 of prefix and body, little-endian hex", "Grafana source"),
    "confluent": Check(sums.confluent, "CRC-32 of the body, little-endian base64", _SEEN),
    "zuplo": Check(sums.body_hex, "CRC-32 of the body in hex", "Zuplo, API key format"),
    "wandb": Check(sums.whole_base62, "CRC-32 of all before it in base62", _SEEN, refutes=False),
    "canva": Check(sums.whole_hex, "CRC-32 of all before it in hex", _SEEN, refutes=False),
    "salad_cloud": Check(sums.last_part_base62, "CRC-32 of the last part in base62", _SEEN, refutes=False),
    "apify": Check(sums.whole_base62_lower_first, "CRC-32 of all before it in base62", _SEEN),
    "card": Check(sums.card, "Luhn digit, issuer and length (refutes, never proves)", "ISO/IEC 7812"),
    # Microsoft
    "azure_key": Check(azure.identifiable, "Marvin32 of the key's bytes, seed by service", _MICROSOFT),
    "azure_annotated": Check(azure.annotated, "Marvin32 of the first 60 bytes, base62 or base64", _MICROSOFT),
    "entra_secret": Check(azure.entra_secret, "three digits of Marvin32", _MICROSOFT),
    "azure_devops": Check(azure.devops_token, "CRC-32 spread over the 52 characters, or annotated", _MICROSOFT),
    # wallets and key pairs
    "bitcoin_wif": Check(wallets.wif, "base58check of a private key", "Bitcoin wiki, wallet import format"),
    "extended_key": Check(wallets.extended_key, "base58check of 78 bytes with a private key", "BIP-32"),
    "bip38": Check(wallets.encrypted_wif, "base58check of an encrypted key", "BIP-38"),
    "bip39": Check(wallets.phrase, "words of the list, their last bits SHA-256 of the rest", "BIP-39"),
    "tezos": Check(wallets.tezos, "base58check of a seed or key", "Tezos, base58 prefixes"),
    "ripple": Check(wallets.ripple, "base58check in Ripple's alphabet", "XRP Ledger, base58 encodings"),
    "stellar": Check(wallets.stellar, "version and CRC-16 in base32", "SEP-23"),
    "nkey": Check(wallets.nkey, "prefix and CRC-16 in base32", "NATS nkeys"),
    "age": Check(wallets.bech32, "BCH code of bech32", "age specification, BIP-173"),
    "nostr": Check(wallets.bech32, "BCH code of bech32", "NIP-19, BIP-173"),
    "sui": Check(wallets.bech32, "BCH code of bech32", "SIP-15, BIP-173"),
    "cardano": Check(wallets.bech32, "BCH code of bech32", "CIP-5, BIP-173"),
    # private keys
    "pem": Check(
        keys.pem,
        "length in DER, fields of OpenSSH, or CRC-24 of OpenPGP",
        "X.690, PROTOCOL.key, RFC 9580",
        refutes=False,
    ),
    "putty": Check(
        keys.putty, "MAC over the fields, or the key's kind inside", "PuTTY manual, appendix C", refutes=False
    ),
    "openvpn": Check(keys.openvpn, "2,048 bits of a static key", "OpenVPN manual", refutes=False),
    "jwk": Check(keys.jwk, "p times q is n, or a point on its curve", "RFC 7517, RFC 7518", refutes=False),
    # structure
    "jwt": Check(shapes.jwt, "header naming an algorithm, and claims", "RFC 7519"),
    "json_inside": Check(shapes.json_inside, "a JSON object in base64", "the issuers' documentation", refutes=False),
    "cloudflare_tunnel": Check(
        shapes.cloudflare_tunnel, "account, tunnel and secret as JSON", "cloudflared source", refutes=False
    ),
    "service_account": Check(
        shapes.service_account, "type, address and key of the JSON file", "Google Cloud IAM", refutes=False
    ),
    "basic": Check(shapes.basic, "user:password in base64", "RFC 7617"),
    "pypi": Check(shapes.pypi, "macaroon to its last byte", "PyPI documentation, pypitoken", refutes=False),
    "macaroon": Check(shapes.macaroon, "macaroon to its last byte", "libmacaroons", refutes=False),
    "fly": Check(shapes.fly, "macaroon in MessagePack", "Fly.io macaroon package", refutes=False),
    "vault": Check(shapes.vault, "HMAC and inner token as protocol buffer", "Vault source", refutes=False),
    "aws_session": Check(shapes.aws_session, "origin and numbered fields to the last byte", _SEEN, refutes=False),
    "aws_bedrock": Check(shapes.aws_bedrock, "user, account and secret, or a presigned request", _SEEN, refutes=False),
    "aws_key_id": Check(shapes.aws_key_id, "account number of twelve digits (refutes, never proves)", _SEEN),
    "discord_bot": Check(
        shapes.discord_bot, "the bot's number in base64", "Discord developer reference", refutes=False
    ),
    "jfrog": Check(shapes.jfrog, "reftkn, version and expiry in base64", _SEEN, refutes=False),
    "intercom": Check(shapes.intercom, "tok, id, version and kind in base64", _SEEN, refutes=False),
    "slack_rotating": Check(shapes.slack_rotating, "numbers and digests in base64", _SEEN, refutes=False),
    "openai": Check(shapes.openai, "`OpenAI` in base64 in the very middle", _SEEN, refutes=False),
    "groq": Check(shapes.groq, "a fixed infix after twenty characters", _SEEN, refutes=False),
    "anthropic": Check(shapes.anthropic, "length and zero byte at the end", _SEEN, refutes=False),
}


def unescape(secret: bytes) -> bytes:
    """The secret as it was before JSON escaped it: equal secrets compare equal at every depth."""
    if b"\\" not in secret and b"\n" not in secret and b"\r" not in secret:
        return secret
    plain = re.sub(rb"\\+([/\"'])", rb"\1", secret)
    return re.sub(rb"(?:\\+r)?\\+n|\r\n", b"\n", plain)


# what a text that is not of the format makes a check stumble over
NOT_OF_THE_FORMAT = (ValueError, LookupError, OverflowError, RecursionError, msgspec.MsgspecError)


def verdict(check: str, secret: bytes) -> Verdict:
    """What the named check says of the secret as it stands in the text."""
    if not check or len(secret) > MAX_LENGTH:
        return "unchecked"
    try:
        text = unescape(secret).decode("ascii")
    except UnicodeDecodeError:
        return "unchecked"
    known = CHECKS[check]
    try:
        holds = known.holds(text)
    except NOT_OF_THE_FORMAT:
        holds = False
    return "valid" if holds else "invalid" if holds is False and known.refutes else "unchecked"
