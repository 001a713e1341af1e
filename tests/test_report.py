"""Feeds go in through the command line, reports come out of it, over a real store that the embedded driver filled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from pipeline import cli
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from replay import report
from replay.report import Question
from tests import scenario
from tests.running import KEY, embedded

DAY = 86_400
CALL = {"gen_ai.operation.name": "execute_tool"}
RECORDS: list[dict[str, Any]] = [
    {
        "span": "execute_tool run_sql",
        "session": "r1",
        "resource": {"service.name": "report-bot", "src.identity": "reporting-role"},
        "attributes": {**CALL, "gen_ai.tool.name": "run_sql", "gen_ai.tool.call.id": "c1", "db.namespace": "orders"},
    },
    {
        "span": "tools/call search_tickets",
        "session": "m1",
        "at": 60 * DAY,
        "kind": 3,
        "resource": {"service.name": "support-agent"},
        "attributes": {"mcp.method.name": "tools/call", "gen_ai.tool.name": "search", "mcp.server.name": "tickets"},
    },
    {
        "span": "execute_tool bash",
        "session": "w1",
        "at": 100,
        "resource": {"service.name": "coding-agent", "user.email": "dev-1@example.org"},
        "attributes": {
            **CALL,
            "gen_ai.tool.name": "bash",
            "gen_ai.tool.call.id": "c2",
            "gen_ai.tool.call.arguments": {"command": "rm -rf ~/"},
        },
    },
    {
        "span": "execute_tool bash",
        "session": "w1",
        "at": 110,
        "resource": {"service.name": "coding-agent", "user.email": "dev-1@example.org"},
        "attributes": {
            **CALL,
            "gen_ai.tool.name": "bash",
            "gen_ai.tool.call.id": "c3",
            "gen_ai.tool.call.arguments": {"command": "git commit -m x"},
            "gen_ai.tool.call.result": "[main 1a2b3c4] x\n 1 file changed",
        },
    },
]
FEED = [
    {"feed": "offboarding", "time": "2026-11-20T14:00:00Z", "owner": "dev-1@example.org", "also": ["dev-1"]},
    {
        "feed": "rollback",
        "time": "2026-11-20T16:00:00+01:00",
        "service": "shop",
        "sha": "1a2b3c4d5e6f",
        "repo": "web/shop",
    },
]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store filled over HTTP by emitters and by `spanwatch feed`, under the inventory of the scenarios."""
    folder = tmp_path_factory.mktemp("lived")
    chosen = Settings(
        data_dir=folder / "data",
        key=KEY,
        gateway={"port": 0, "grpc_port": -1},
        worker={"batch_seconds": 0.02},
        rules={"folders": [scenario.FOLDER / "inventory-agents"]},
    )
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in FEED))
    with embedded(chosen) as running:
        for signal, _, body in scenario.bodies(RECORDS, "agents", {}):
            headers = {"Content-Type": "application/json"}
            answer = httpx.post(f"{running.url}/v1/{signal}", content=body, headers=headers, verify=False)
            assert answer.status_code == 200
        running.wait_processed()
        typer.main.get_command(cli.app).main(["feed", str(file), "--to", running.url], standalone_mode=False)
        running.wait_processed()
    return chosen


def rows(lived: Settings, what: str, **asked: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.as_json(report.run(lived, what, Question(**asked)))]


def test_feed_events_arrive_and_meet_what_agents_sent(lived: Settings) -> None:
    """A leaver's call and a rolled-back commit: one half of each alert came as telemetry, the other as a feed."""
    found = rows(lived, "risk")
    assert [(one["change"], one["session"], one["user"]) for one in found] == [("1a2b3c4", "w1", "dev-1@example.org")]
    assert found[0]["worst"] in ("high", "critical")
    assert "destructive.recursive-delete" in found[0]["rules"]
    with report.opened(lived, Question()) as past:
        by_rule = {one.rule_id: one for one in past.findings()}
    assert by_rule["identity.leaver-active"].evidence["sessions"] == "w1"
    assert by_rule["hallucination.rolled-back"].evidence["session"] == "w1"
    assert by_rule["hallucination.rolled-back"].evidence["customer_impact"] == "not assessed"


def test_permissions_say_when_each_grant_was_last_used(lived: Settings) -> None:
    told = {
        (r["kind"], r["granted"]): r["last used"]
        for r in rows(lived, "permissions", agent="report-bot")
        if "last used" in r
    }
    assert told[("tool", "run_sql")].startswith("2026-11-20")
    assert told[("tool", "send_mail")] == "never"
    trend = [r for r in rows(lived, "permissions", agent="report-bot") if r["table"] == "Unused per quarter"]
    assert [(r["quarter"], r["granted"], r["unused"]) for r in trend] == [("2026Q4", 4, 2)]


def test_agents_say_what_they_could_still_do(lived: Settings) -> None:
    by_agent = {one["agent"]: one for one in rows(lived, "agents")}
    assert by_agent["coding-agent"]["shell"] == "used"
    assert "delete" in by_agent["coding-agent"]["verbs"]
    assert by_agent["report-bot"]["shell"] == "no"
    assert by_agent["report-bot"]["credentials"] == "reporting-role"


def test_mcp_servers_that_nobody_calls_are_stale(lived: Settings) -> None:
    assert {one["server"]: one["state"] for one in rows(lived, "mcp")} == {"tickets": "in use", "wiki": "stale"}


def test_subjects_and_calls(lived: Settings) -> None:
    assert [(r["credential"], r["agent"]) for r in rows(lived, "subjects")] == [("reporting-role", "report-bot")]
    assert [r["what"] for r in rows(lived, "calls", user="dev-1@example.org")] == ["rm -rf ~/", "git commit -m x"]
    assert rows(lived, "calls", session="nobody") == []


def test_every_report_answers_on_a_real_store(lived: Settings) -> None:
    """No part fails on what the store really holds, and each names its columns."""
    for what in report.PARTS:
        for table in report.run(lived, what, Question()):
            assert table.title
            assert all(len(row) == len(table.columns) for row in table.rows), what


def test_an_unknown_report_is_refused_by_name(lived: Settings) -> None:
    with pytest.raises(SettingsError, match=r"no report 'nope'; there are .*permissions"):
        report.run(lived, "nope", Question())


def test_tables_are_shown_whole_at_a_terminal(lived: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    report.show(report.run(lived, "mcp", Question()))
    said = capsys.readouterr().out
    assert "MCP servers" in said
    assert "wiki" in said


def test_a_feed_with_a_wrong_line_is_refused_whole(tmp_path: Path) -> None:
    """The line is named, and nothing was sent: nobody listens at the address."""
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(FEED[0]) + "\n\n" + json.dumps({"feed": "merge", "time": "2026-11-20T14:00:00Z"}) + "\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["feed", str(file), "--to", "http://127.0.0.1:9"])
    assert ended.value.code == cli.EXIT[cli.errors.DecodeError]
