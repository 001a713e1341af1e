"""Reports on identity, credentials and approvals say what the stored spans and findings say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

from detectors.model import SecretMatch, Span
from replay import report_identity
from replay.report import Found, Past, Table
from tests.make import T0, span

MONTH_NS = 31 * 86_400_000_000_000


def past(spans: Sequence[Span] = (), findings: Sequence[Found] = (), static: dict[str, bool] | None = None) -> Past:
    """A past of exactly these spans and findings."""

    def some(found: Sequence[Any]) -> Any:
        def each() -> Iterator[Any]:
            yield from found

        return each

    rules = SimpleNamespace(secrets=[SimpleNamespace(id=name, static=kind) for name, kind in (static or {}).items()])
    return cast(Past, SimpleNamespace(spans=some(spans), findings=some(findings), rules=rules))


def rows(tables: Iterator[Table], place: int = 0) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in list(tables)[place].rows]


def test_identity_shares() -> None:
    """Events that resolve to nothing are counted, beside the share that resolves to each part."""
    lost: dict[str, Any] = {"agent_id": "", "agent_type": "", "session_from": "none"}
    spans = [
        span(1, fields={"user": "dev-1", "credential": "svc", "tool.version": "1"}),
        span(2, fields={"user": "dev-1", "tool.version": "2"}),
        span(3, fields={}),
        span(4, fields={}, **lost),
    ]
    tables = list(report_identity.identity(past(spans)))
    assert [tuple(row) for row in tables[0].rows] == [("test-agent", "generic", 4, "75%", "75%", "50%", "25%", 1)]
    assert [tuple(row) for row in tables[1].rows] == [("test-agent", "a1", "tool.version", "1, 2")]


def test_credential_shares() -> None:
    """Static and short-lived credentials are told apart by their rule and by what they say of themselves."""

    def used(kind: str, mark: str, surface: str = "header", says: tuple[str, ...] = ()) -> tuple[SecretMatch, ...]:
        return (SecretMatch(rule_id=kind, where="x", length=9, fingerprint=mark, surface=surface, says=says),)

    spans = [
        span(1, secrets=used("k.static", "aa")),
        span(2, secrets=used("k.static", "aa")),
        span(3, secrets=used("k.session", "bb")),
        span(4, secrets=used("k.static", "cc", says=("temporary, of one session",))),
        span(5, secrets=used("k.static", "dd", surface="result")),
    ]
    tables = list(report_identity.credentials(past(spans, static={"k.static": True, "k.session": False})))
    assert [tuple(row) for row in tables[0].rows] == [("test-agent", 1, 2, "33%")]
    assert [(row[1], row[5]) for row in tables[1].rows] == [("aa", 2)]


def test_who_authorised() -> None:
    """Each step once, with who allowed it; what a bypass mode let through is no rule's doing."""
    shell: dict[str, Any] = {"kind": "command", "fields": {"tool.name": "Bash", "command.line": "make"}}
    asked = {"approval.decision": "allow", "approval.source": "human", "user": "dev-1"}
    stored = {"approval.decision": "allow", "approval.source": "policy"}
    spans = [
        span(1, kind="approval", call_id="c1", fields=asked, end_ns=T0 + 5_000_000_000),
        span(2, call_id="c1", **shell),
        span(3, call_id="c1", signal="log", **shell),
        span(4, call_id="c2", **shell),
        span(5, kind="approval", call_id="", fields={"permission.mode": "bypass"}),
        span(6, kind="approval", call_id="c3", fields=stored),
        span(7, call_id="c3", **shell),
    ]
    tables = list(report_identity.approvals(past(spans)))
    assert [(row[4], row[5], row[6]) for row in tables[0].rows] == [
        ("allow by human", "dev-1", 1000),
        ("none", "", ""),
        ("allow by bypass", "", 1000),
    ]
    assert [tuple(row) for row in tables[1].rows] == [("test-agent", 1, 4000, 4000)]


def test_changes_per_month() -> None:
    """Findings about infrastructure are counted by month; those an approval made harmless are not."""

    def found(rule: str, severity: int, at_ns: int) -> Found:
        return Found(at_ns, rule, "", severity, "OVERREACH", "a1", "s1", "", {})

    findings = [
        found("infrastructure.change", 2, T0),
        found("infrastructure.change", 2, T0),
        found("infrastructure.change", 0, T0),
        found("destructive.infra-destroy", 3, T0 + MONTH_NS),
        found("secret.example", 3, T0),
    ]
    assert rows(report_identity.infrastructure(past(findings=findings))) == [
        ("2026-11", "a1", "infrastructure.change", 2),
        ("2026-12", "a1", "destructive.infra-destroy", 1),
    ]
