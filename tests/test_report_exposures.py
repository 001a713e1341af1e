"""Reports of flows, places and masking answer from spans alone, and say unknown where nothing was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from detectors.model import Resource, SecretMatch, Span
from detectors.rule import RuleSet
from replay.report import PARTS, Past, Question, Table, part
from replay.report_exposures import flows, masking, secret_places
from tests.make import span
from tests.stories import RULES


class Told(Past):
    """A past that is a list of spans."""

    def __init__(self, told: list[Span], rules: RuleSet = RULES, session: str = "") -> None:
        super().__init__(None, "", rules, Question(session=session))
        self._told = told

    def spans(self) -> Iterator[Span]:
        asked = self.question.session
        return iter([one for one in self._told if asked in ("", one.session_id)])

    def everyone(self) -> Past:
        return Told(self._told, self.rules)


def rows(tables: Iterator[Table]) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for table in tables for row in table.rows]


def secret(surface: str = "result") -> SecretMatch:
    return SecretMatch(
        rule_id="secret.openrouter.api_key", where="r", length=32, fingerprint="00112233aabbccdd", surface=surface
    )


def test_flows_of_a_session_are_those_of_its_host_and_credential_while_it_ran() -> None:
    told = [
        span(0, fields={"tool.name": "bash", "host.name": "Runner-1", "credential": "svc"}),
        span(1, fields={"tool.name": "fetch", "egress.host": "own.example.net", "bytes.out": 5}),
        span(2, session="mesh", kind="http_egress", fields={"credential": "svc", "egress.host": "cred.example.net"}),
        span(3, session="log", kind="feed", fields={"feed.host": "runner-1", "feed.destination": "host.example.net"}),
        span(4, session="log", kind="feed", fields={"feed.host": "runner-2", "feed.destination": "no.example.net"}),
        span(9, session="mesh", at_ms=900_000, kind="http_egress", fields={"credential": "svc", "egress.host": "late"}),
    ]
    found = rows(flows(Told(told, session="s1")))
    assert {(one["destination"], one["same"], one["bytes"]) for one in found} == {
        ("own.example.net", "session", "5"),
        ("cred.example.net", "credential", "unknown"),
        ("host.example.net", "host.name", "unknown"),
    }
    assert {one["reach"] for one in found} == {"unlisted"}


def test_no_flow_is_said_to_be_unknown() -> None:
    (table,) = flows(Told([span(0)], session="s1"))
    assert not table.rows
    assert "not that there was none" in table.note


def test_places_a_tool_reads_secrets_from() -> None:
    line = {"tool.name": "bash", "command.line": "vault kv get kv/x", "result": "k"}
    told = [
        span(0, kind="command", fields=line, secrets=(secret(),)),
        span(1, session="s2", kind="command", fields=dict(line), secrets=(secret(),)),
        span(2, kind="command", fields={**line, "command.line": "make"}, secrets=(secret("command.line"),)),
    ]
    (found,) = rows(secret_places(Told(told)))
    assert (found["AI tool"], found["reads secrets from"], found["sessions"]) == ("test-agent", "HashiCorp Vault", 2)


def test_masking_coverage() -> None:
    home = Resource(service="gateway")
    guard = {"guardrail.name": "pii", "guardrail.mode": "post_call", "guardrail.action": "MASKED"}
    told = [span(0, kind="guardrail", dialect="litellm", resource=home, fields=guard)]
    told += [span(n, kind="mcp_call", dialect="litellm", resource=home, fields={"result": f"r{n}"}) for n in (1, 2, 3)]
    bad = {"result": "k"}
    told.append(span(4, kind="mcp_call", dialect="litellm", resource=home, fields=bad, secrets=(secret(),)))
    (found,) = rows(masking(Told(told)))
    assert (found["gateway"], found["seen"], found["with something left"], found["coverage"]) == (
        "gateway",
        4,
        1,
        "75.0%",
    )


@pytest.mark.parametrize("what", ["flows", "secret-places", "masking"])
def test_parts_are_found(what: str) -> None:
    assert callable(part(what))
    assert cast(str, PARTS[what][1])
