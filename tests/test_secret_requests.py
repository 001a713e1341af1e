"""A request's credential is its host's issuer's, on whichever side of it the host stands; another host's is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import detectors
from detectors.secret_rules import mark, read_secrets
from detectors.secrets import Scanner

HOST = "api.deepgram.com"
BESIDE = {
    "header before": 'curl -H "Authorization: Token «<hex:40>»" https://{}/v1/listen',
    "header after": "curl https://{}/v1/listen -X POST -H 'Authorization: Token «<hex:40>»'",
    "user before": "curl -u «<hex:40>»: https://{}/v1/listen",
    "user after": "curl https://{}/v1/listen -u «<hex:40>»:",
    "password": "curl --user me:«<hex:40>» https://{}/v1/listen",
    "user of the URL": "https://«<hex:40>»:@{}/v1/listen",
    "lines below": "fetch('https://{}/v1/listen', {{\n  method: 'POST',\n  headers: {{\n    'Accept': 'audio/wav',\n"
    "    'Authorization': 'Token «<hex:40>»'\n  }}\n}})",
}


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    folder = Path(detectors.__file__).parent / "rules" / "secrets"
    return Scanner(read_secrets(sorted(folder.glob("*.yml"))), b"key of the test")


def issuers(scanner: Scanner, text: str, place: tuple[int, int]) -> list[str]:
    return [hit.rule.issuer for hit in scanner.find(text) if (hit.start, hit.end) == place and hit.tier == "likely"]


@pytest.mark.parametrize("form", BESIDE)
@pytest.mark.parametrize("seed", range(4))
def test_the_host_says_whose_it_is(scanner: Scanner, form: str, seed: int) -> None:
    """The issuer is found by its host, and the same request to a host nobody knows names no issuer."""
    text, place = mark(BESIDE[form].format(HOST), seed)
    assert place
    assert issuers(scanner, text, place) == ["Deepgram"]
    text, place = mark(BESIDE[form].format("api.acme.test"), seed)
    assert place
    assert issuers(scanner, text, place) == []


@pytest.mark.parametrize(
    "text",
    [
        'curl -H "X-Request-Id: <hex:40>" https://{}/v1/listen',
        'curl -H "Idempotency-Key: <hex:40>" https://{}/v1/listen',
        "git checkout <hex:40>; curl https://{}/v1/listen",
        'curl -H "Authorization: Token <repeat:a:40>" https://{}/v1/listen',
    ],
)
def test_what_is_no_credential_is_not_the_hosts(scanner: Scanner, text: str) -> None:
    """Numbers of requests and commits beside the host are not taken for its token."""
    filled, _ = mark(text.format(HOST), 1)
    assert [hit.rule.id for hit in scanner.find(filled) if hit.rule.issuer == "Deepgram"] == []
