"""What is reported of a masked secret: how bad, where it stood, who brought it in, and what a team has allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import detectors
from detectors import rule
from detectors.model import Finding, SecretMatch, Severity, Span
from detectors.secret_context import path_class
from detectors.secret_findings import MAX_ORIGINS, Allowed, Origins, SecretFindings
from detectors.secret_rules import read_secrets
from tests.make import T0, span

RULES = read_secrets(sorted((Path(detectors.__file__).parent / "rules" / "secrets").glob("*.yml")))
PAT = "secret.github.pat"


def held(surface: str = "arguments", **changes: Any) -> SecretMatch:
    values: dict[str, Any] = {"rule_id": PAT, "where": "w", "length": 40, "fingerprint": "0" * 16, "surface": surface}
    return SecretMatch(**{**values, **changes})


def reported(*spans: Span, allowed: dict[str, tuple[Allowed, ...]] | None = None) -> list[Finding]:
    """Findings about spans of one session."""
    detector, state = SecretFindings(RULES, allowed), Origins()
    return [found for one in spans for found in detector.observe(one, state)]


def severity(*matches: SecretMatch, **changes: Any) -> list[Severity]:
    return [found.severity for found in reported(span(secrets=matches, **changes))]


def test_finding_says_what_where_and_nothing_secret() -> None:
    """One finding per distinct secret of a rule, with what a responder needs."""
    pat = held(verdict="valid", tier="verified", layers=("base64", "gzip"))
    [found] = reported(span(secrets=(pat, pat, msgspec.structs.replace(pat, where="other"))))
    assert (found.severity, found.confidence, found.category, found.key) == (Severity.HIGH, "confirmed", 4, "0" * 16)
    told = {name: found.evidence[name] for name in ("issuer", "surface", "direction", "length", "tier", "encoded")}
    assert told == {
        "issuer": "GitHub",
        "surface": "tool argument",
        "direction": "tool",
        "length": "40",
        "tier": "verified",
        "encoded": "gzip in base64",
    }
    assert "LLM02:2026" in found.standards


def test_severity_follows_verdict_and_who_brought_it() -> None:
    """A bad checksum is low; a user's own paste is one step lower than what an agent fetched or sent."""
    assert severity(held("result")) == [Severity.HIGH]
    assert severity(held("prompt")) == [Severity.MEDIUM]
    assert severity(held(verdict="invalid", tier="possible")) == [Severity.LOW]


def test_a_key_name_alone_is_masked_and_not_reported() -> None:
    """Tier `possible` pages nobody."""
    assert severity(held(tier="possible")) == []


def test_same_secret_seen_twice_counts_at_its_worst() -> None:
    """Pasted and at once sent outside: the sending decides, in either order."""
    both = held("prompt"), held("url")
    assert severity(*both) == severity(*both[::-1]) == [Severity.HIGH]


def test_rule_no_longer_loaded_is_still_reported() -> None:
    """History masked under other rules is not silent."""
    [found] = reported(span(secrets=(held(rule_id="secret.old.rule"),)))
    assert (found.rule_id, found.severity) == ("secret.old.rule", Severity.HIGH)


@pytest.mark.parametrize(
    ("surface", "changes", "want"),
    [
        ("prompt", {}, ("user prompt", "model", "user paste", "user")),
        ("arguments", {}, ("tool argument", "tool", "unknown", "agent")),
        ("arguments", {"egress.host": "x.example"}, ("tool argument", "outside", "unknown", "agent")),
        ("url", {}, ("URL", "outside", "unknown", "agent")),
        ("header", {}, ("header", "outside", "unknown", "agent")),
        ("completion", {}, ("model output", "user", "unknown", "agent")),
        ("result", {}, ("tool result", "model", "tool result", "agent")),
        ("result", {"kind": "file_read", "path": "src/app.py"}, ("file content", "model", "hardcoded", "agent")),
        ("result", {"kind": "file_read", "path": "app/.env"}, ("config", "model", ".env file", "agent")),
        ("result", {"kind": "file_read", "path": "conf/app.yaml"}, ("config", "model", "config", "agent")),
        (
            "result",
            {"kind": "command", "command.line": "cat .env | head"},
            ("tool result", "model", ".env file", "agent"),
        ),
        ("result", {"kind": "command", "command.line": "printenv"}, ("tool result", "model", "environment", "agent")),
        (
            "result",
            {"kind": "command", "command.line": "vault kv get secret/app"},
            ("tool result", "model", "secrets manager", "agent"),
        ),
        ("arguments", {"kind": "file_write", "path": "a.py"}, ("file content", "tool", "hardcoded", "agent")),
        ("body", {"kind": "ci_step"}, ("CI log", "tool", "CI log", "agent")),
        ("resource", {}, ("config", "none", "environment", "agent")),
    ],
)
def test_context(surface: str, changes: dict[str, str], want: tuple[str, ...]) -> None:
    """Each match says where it stood, which way it was going, how it came in and who brought it."""
    fields = dict(changes)
    kind = fields.pop("kind", "tool_call")
    [found] = reported(span(kind=kind, fields={"tool.name": "t", **fields}, secrets=(held(surface),)))
    assert tuple(found.evidence[name] for name in ("surface", "direction", "entered", "brought_by")) == want


def test_origin_is_remembered_through_the_session() -> None:
    """A secret a tool returned and the agent then sent names the tool; one the user pasted stays the user's."""
    sent = reported(span(1, secrets=(held("result"),)), span(2, secrets=(held("arguments"),)))
    assert [f.evidence["entered"] for f in sent] == ["tool result", "tool result"]
    pasted = reported(span(1, secrets=(held("prompt"),)), span(2, secrets=(held("arguments"),)))
    assert [(f.severity, f.evidence["brought_by"]) for f in pasted] == [(Severity.MEDIUM, "user")] * 2


def test_memory_of_origins_is_bounded() -> None:
    """The first seen is forgotten first."""
    state, detector = Origins(), SecretFindings(RULES)
    for number in range(MAX_ORIGINS + 10):
        list(detector.observe(span(number, secrets=(held("result", fingerprint=f"{number:016x}"),)), state))
    assert len(state.entered) == MAX_ORIGINS
    assert f"{0:016x}" not in state.entered


# --- allow-lists


@pytest.mark.parametrize(
    ("entry", "spared"),
    [
        ({"fingerprint": "0" * 16}, True),
        ({"fingerprint": "1" * 16}, False),
        ({"agent_type": "test-agent"}, True),
        ({"agent_type": "other"}, False),
        ({"path_class": "test"}, True),
        ({"path_class": "source"}, False),
        ({"surface": "file content"}, True),
        ({"surface": "command"}, False),
        ({"fingerprint": "0" * 16, "path_class": "source"}, False),
        ({"until": datetime.fromtimestamp(T0 / 1e9, UTC).date()}, True),
        ({"until": date(2026, 11, 19)}, False),
    ],
)
@pytest.mark.parametrize("name", [PAT, "secrets"])
def test_allow_list(name: str, entry: dict[str, Any], spared: bool) -> None:
    """By fingerprint, path class, agent type and surface, until a day is over, for one rule or for all; counted."""
    detector = SecretFindings(RULES, {name: (Allowed(reason="kept in a fixture", **entry),)})
    fields = {"tool.name": "read", "path": "repo/tests/data.py"}
    found = list(detector.observe(span(kind="file_read", fields=fields, secrets=(held("result"),)), Origins()))
    assert (len(found), detector.spared[PAT]) == ((0, 1) if spared else (1, 0))


def test_allow_list_is_read_from_the_overrides(tmp_path: Path) -> None:
    """`except` of a secret rule, or of all `secrets`; a wrong entry is refused with its place."""
    file = tmp_path / "overrides.yml"
    file.write_text(
        f"{PAT}:\n  except:\n    - {{fingerprint: 00ff, until: 2027-01-31, reason: rotated}}\n"
        "secrets:\n  except:\n    - {path_class: vendored, reason: not ours}\n"
    )
    read = rule.read(overrides=file)
    assert read.allowed[PAT] == (Allowed(fingerprint="00ff", until=date(2027, 1, 31), reason="rotated"),)
    assert read.allowed["secrets"][0].path_class == "vendored"
    file.write_text(
        f"{PAT}: {{except: [{{fingerprint: 00ff}}]}}\nsecrets: {{except: [{{path_class: moon, reason: r}}]}}\n"
    )
    with pytest.raises(rule.RuleErrors) as error:
        rule.read(overrides=file)
    assert [one.path for one in error.value.errors] == [f"{PAT}.except[0]", "secrets.except[0].path_class"]


def test_path_class_knows_windows_paths() -> None:
    """A backslash is a separator."""
    assert [path_class(p) for p in ("C:\\u\\.ssh\\id_rsa", "a\\tests\\b.py", "")] == ["secrets", "test", "none"]
