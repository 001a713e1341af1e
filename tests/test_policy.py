"""Policies: what each part means, that the printed example works, and that faults are told with their line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import detectors
from detectors import policy, rule, uses
from detectors.errors import RuleError
from detectors.model import Alert, SecretMatch, Severity, Span
from detectors.policy import Policy
from tests.make import T0, span
from tests.stories import play

PAGE = Path(__file__).parents[1] / "docs" / "policy.md"


def made(**parts: Any) -> Policy:
    return msgspec.convert({"version": 1, "agent_type": "t", **parts}, Policy)


def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> rule.RuleSet:
    folder = tmp_path_factory.mktemp("printed")
    (folder / "policies").mkdir()
    (folder / "policies" / "claude-code.yml").write_text(example())
    return rule.read([folder])


def alerts(rules: rule.RuleSet, *spans: Span) -> dict[str, Alert]:
    """Alerts about policies by rule and key."""
    outcomes = play(spans, detectors.load(rules))
    found = [one for one in outcomes if isinstance(one, Alert)]
    return {one.rule_id: one for one in found if one.rule_id.startswith(("policy.", "egress."))}


def call(seq: int = 0, **fields: Any) -> Span:
    changes = {name: fields.pop(name) for name in ("kind", "secrets", "at_ms", "call_id") if name in fields}
    return span(seq, agent_type="claude-code", **{"kind": "command", **changes}, fields=fields)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cat src/app.py", {}),
        ("cat /usr/share/dict/words > /tmp/out", {}),
        ("cat /srv/other/notes.txt", {"policy.path": "low"}),
        ("cp src/a.py /srv/other/a.py", {"policy.path": "medium"}),
        ("cat .env", {"policy.path": "high"}),
        ("cp ci.yml .github/workflows/ci.yml", {"policy.path": "high", "policy.approval": "high"}),
        ("rm src/old.py", {"policy.approval": "high"}),
        ("git clone https://github.com/acme/app.git", {}),
        ("git clone https://github.com/other/app.git", {"policy.repository": "medium"}),
        ("curl https://10.2.3.4/x", {}),
        ("curl https://intranet.example.net/x", {"policy.egress": "medium"}),
        ("curl https://gist.github.com/x", {"policy.egress": "high"}),
    ],
)
def test_the_printed_example_holds_commands_to_its_lists(
    printed: rule.RuleSet, line: str, expected: dict[str, str]
) -> None:
    fields = {"tool.name": "Bash", "command.line": line, "workdir": "/home/dev/app", "user": "dev-1"}
    if "curl" in line or "clone" in line:
        fields["egress.host"] = fields["egress.hosts"] = line.split("/")[2]
    found = alerts(printed, call(**fields))
    assert {name: one.severity.label for name, one in found.items()} == expected


def test_the_printed_example_holds_the_rest_to_its_lists(printed: rule.RuleSet) -> None:
    secret = SecretMatch(
        rule_id="secret.aws.access_key",
        where="result",
        length=20,
        fingerprint="0123456789abcdef",
        says=("expires 2026-11-20 18:00 UTC",),
    )
    found = alerts(
        printed,
        call(0, kind="mcp_call", **{"tool.name": "mcp__tickets__delete_all", "mcp.server": "tickets"}),
        call(1, kind="mcp_call", **{"tool.name": "mcp__tickets__list", "mcp.server": "shadow"}),
        call(2, kind="llm_call", call_id="", model="gpt-9", provider="anthropic"),
        call(3, kind="approval", call_id="", **{"approval.mode": "bypassPermissions"}),
        call(4, secrets=(secret,), **{"tool.name": "Bash"}),
        call(5, kind="tool_call", at_ms=86_400_000, **{"tool.name": "Read"}),  # a Saturday
        call(6, kind="tool_call", **{"tool.name": "NotebookEdit"}),  # undecided
    )
    assert {name: (one.severity.label, one.evidence.get("verdict")) for name, one in found.items()} == {
        "policy.tool": ("high", "denied"),
        "policy.mcp-server": ("medium", "unlisted"),
        "policy.model": ("low", "unlisted"),
        "policy.session-mode": ("high", "denied"),
        "policy.credential": ("high", "denied"),
        "policy.credential-lifetime": ("medium", "denied"),
        "policy.working-hours": ("low", None),
    }
    assert found["policy.credential-lifetime"].evidence["lifetime"] == "179 min left"


def decided(seq: int, call_id: str, who: str, source: str = "human", at_ms: int = 0) -> Span:
    fields = {"approval.decision": "allow", "approval.source": source, "user": who}
    return call(seq, kind="approval", call_id=call_id, at_ms=at_ms, **fields)


@pytest.mark.parametrize(
    ("line", "who", "source", "told"),
    [
        ("rm src/old.py", "dev-1", "human", None),
        ("rm src/old.py", "dev-1", "policy", "high"),
        ("sed -i s/a/b/ ci/.gitlab-ci.yml", "dev-1", "human", "high"),
        ("sed -i s/a/b/ ci/.gitlab-ci.yml", "lead-2", "human", None),
    ],
)
def test_the_approver_must_be_who_the_policy_names(
    printed: rule.RuleSet, line: str, who: str, source: str, told: str | None
) -> None:
    act = call(1, call_id="c1", **{"tool.name": "Bash", "command.line": line, "workdir": "/home/dev/app"})
    found = alerts(printed, decided(0, "c1", who, source), act)
    assert (found["policy.approval"].severity.label if "policy.approval" in found else None) == told


def test_an_approval_in_time_that_is_delivered_late_takes_the_finding_back(printed: rule.RuleSet) -> None:
    act = call(1, call_id="c1", at_ms=1000, **{"tool.name": "Bash", "command.line": "rm src/old.py", "workdir": "/w"})
    late = alerts(printed, act, decided(2, "c1", "dev-1", at_ms=500))["policy.approval"]
    after = alerts(printed, act, decided(2, "c1", "dev-1", at_ms=5000))["policy.approval"]
    assert (late.severity, after.severity) == (Severity.INFO, Severity.HIGH)
    assert late.evidence["approver"] == "dev-1"


@pytest.mark.parametrize(
    ("part", "matter", "name", "verdict"),
    [
        ({"tools": {}}, "tools", "x", "open"),
        ({"tools": {"allow": []}}, "tools", "x", "unlisted"),
        ({"tools": {"deny": ["x"]}}, "tools", "X", "denied"),
        ({"tools": {"allow": ["x"], "deny": ["x"]}}, "tools", "x", "denied"),
        ({"tools": {"allow": ["y"]}, "undecided": {"tools": ["x"]}}, "tools", "x", "undecided"),
        ({"tools": {"deny": ["x"]}, "undecided": {"tools": ["x"]}}, "tools", "x", "denied"),
        ({"paths": {"read": {"allow": ["./src/*"]}}}, "read", "./src", "allowed"),
        ({"paths": {"read": {"allow": ["./src/*"]}}}, "read", "./src2/a", "unlisted"),
        ({"paths": {"read": {"allow": ["./src/*"]}}}, "read", "./SRC/a", "unlisted"),
        ({"egress": {"allow": ["a.example"]}}, "egress", "b.a.example", "allowed"),
        ({"egress": {"allow": ["a.example"]}}, "egress", "ba.example", "unlisted"),
        ({"egress": {"allow": ["2001:db8::/32"]}}, "egress", "[2001:db8::7]", "allowed"),
        ({"egress": {"allow": ["192.0.2.0/24"]}}, "egress", "192.0.3.1", "unlisted"),
    ],
)
def test_verdicts(part: dict[str, Any], matter: policy.Matter, name: str, verdict: str) -> None:
    assert made(**part).judge(matter, name) == verdict


@pytest.mark.parametrize(
    ("hours", "covered"),
    [
        ({}, True),
        ({"start": "15:00", "end": "15:01"}, True),
        ({"start": "15:01"}, False),
        ({"start": "22:00", "end": "16:00"}, True),
        ({"start": "22:00", "end": "06:00"}, False),
        ({"start": "09:00", "end": "15:30", "utc_offset": "+01:00"}, False),
        ({"start": "09:00", "end": "10:30", "utc_offset": "-05:00"}, True),
        ({"days": ["sat"]}, False),
    ],
)
def test_hours(hours: dict[str, Any], covered: bool) -> None:
    """The tests' clock begins on Friday 2026-11-20 at 15:00 UTC."""
    one = made(working_hours=hours).working_hours
    assert one is not None
    assert one.covers(T0) is covered


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("version: 1\nagent_type: t\ntools:\n  alow: [x]\n", 4, "unknown field `alow`"),
        ("version: 2\nagent_type: t\n", 1, "version"),
        ("version: 1\nagent_type: t\ntools: {allow: null}\n", 3, "Expected `array"),
        ("version: 1\nagent_type: t\ncredentials: {max_lifetime: soon}\n", 3, "max_lifetime"),
        ("version: 1\nagent_type: t\napprovals: [{effects: [delete], by: dba}]\n", 1, "dba is neither"),
        ("version: 1\nagent_type: t\napprovals: [{by: human}]\n", 3, "says nothing"),
        ("version: 1\nagent_type: t\n---\nversion: 1\nagent_type: t\n", 5, "has a policy already"),
    ],
)
def test_faults_are_refused_with_their_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = tmp_path / "p.yml"
    file.write_text(text)
    faults: list[RuleError] = []
    rule.read_policies([file], faults)
    assert [(fault.line, said in str(fault)) for fault in faults] == [(line, True)], [str(f) for f in faults]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("git clone git@github.com:acme/app.git", ["github.com/acme/app"]),
        ("git clone ssh://git@gitlab.example.org:22/group/sub/app.git x", ["gitlab.example.org/group/sub/app"]),
        ("git -C x remote add up https://user@github.com/Acme/App", ["github.com/acme/app"]),
        ("git push origin main", []),
        ("git commit -m 'see https://github.com/acme/app'", []),
        ("gh repo clone acme/app", ["github.com/acme/app"]),
        ("gh pr list -R acme/app", ["github.com/acme/app"]),
        ("gh api repos/acme/app/issues", ["github.com/acme/app"]),
        ("curl https://api.github.com/repos/acme/app/contents", ["github.com/acme/app"]),
        ("curl https://gitlab.example.org/api/v4/projects/group%2Fapp/issues", ["gitlab.example.org/group/app"]),
        ("pip install git+https://github.com/acme/lib@v1", ["github.com/acme/lib"]),
        ("cat https/github.com/acme/app", []),
    ],
)
def test_repositories_of_commands(line: str, names: list[str]) -> None:
    found = uses.of(call(**{"tool.name": "Bash", "command.line": line}))
    assert [one.name for one in found if one.matter == "repositories"] == names


def test_what_an_approval_names_is_not_used() -> None:
    asked = call(kind="approval", **{"tool.name": "Bash", "command.line": "cat .env", "approval.decision": "deny"})
    assert uses.of(asked) == []
