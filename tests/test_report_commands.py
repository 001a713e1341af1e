"""Reports on commands, shells and shadow AI, over a store and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest

from detectors.model import Span
from pipeline import build
from pipeline.migrate import migrate
from pipeline.records import Entry, Record, encode
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Clients
from pipeline.state import MemoryStore
from pipeline.worker import Worker
from replay import report
from tests.make import span

POLICY = """
version: 1
agent_type: reader
tools: {allow: [Bash]}
paths: {read: {allow: ["*"]}}
"""


def command(seq: int, line: str, **changes: Any) -> Span:
    fields = {"tool.name": "Bash", "command.line": line, "workdir": "/srv/app", **changes.pop("fields", {})}
    return span(seq, kind="command", fields=fields, **changes)


SPANS = [
    span(0, kind="prompt", call_id="", fields={"prompt": "sum up the notes"}),
    span(
        1,
        kind="approval",
        call_id="s1-call-2",
        fields={"approval.decision": "allow", "approval.source": "human", "user": "dev-1"},
    ),
    command(2, "cat a.txt | grep -c x && bash -c 'rm -rf build; curl https://example.org'"),
    command(3, "python3 -c \"import os; os.system('cat /etc/passwd')\""),
    span(4, session="s2", agent="idle", agent_type="reader", fields={"tool.name": "search"}),
    span(
        5,
        session="s3",
        kind="llm_call",
        call_id="",
        fields={"model": "gpt-9", "provider": "openai", "user": "dev-1@gmail.com"},
    ),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment with a policy, whose store holds three sessions."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "rules" / "policies").mkdir(parents=True)
    (folder / "rules" / "policies" / "reader.yml").write_text(POLICY)
    made = Settings(data_dir=folder / "data")
    made = made.model_copy(update={"rules": made.rules.model_copy(update={"folders": (folder / "rules",)})})
    rules = build.rules(made)
    with closing(build.sink(made)) as sink, closing(Clients(made.clickhouse, made.data_dir)) as clients:
        migrate(clients.mine(), made.clickhouse)
        worker = Worker(build.engine(made, rules), sink, MemoryStore(), topic="spans", partition=0)
        worker.handle([Record("spans", 0, 0, encode(Entry(spans=SPANS)))])
    return made


def rows(settings: Settings, what: str, **asked: Any) -> list[dict[str, Any]]:
    tables = report.run(settings, what, report.Question(**asked))
    return [json.loads(line) for line in report.as_json(tables)]


def test_every_command_of_a_session_with_its_way_and_approver(settings: Settings) -> None:
    found = [
        (row["command"], row["where"], row["via"], row["approver"]) for row in rows(settings, "commands", session="s1")
    ]
    shells = [one for one in found if not one[0].startswith(("bash -c", "python3 -c"))]
    assert shells == [
        ("cat a.txt", "line", "", "dev-1"),
        ("grep -c x", "line", "", "dev-1"),
        ("rm -rf build", "line", "bash -c", "dev-1"),
        ("curl https://example.org", "line", "bash -c", "dev-1"),
        ("cat /etc/passwd", "code", "os.system", "none"),
    ]
    assert not rows(settings, "commands", session="s2")


def test_shells_and_broad_reads_granted_and_used(settings: Settings) -> None:
    found = {row["agent"]: row for row in rows(settings, "shell")}
    assert (found["a1"]["shell granted by"], found["a1"]["commands"], found["a1"]["files outside"]) == ("", 2, 1)
    idle = found["idle"]
    assert (idle["shell granted by"], idle["broad read granted by"], idle["commands"]) == ("policy", "policy", 0)


def test_shadow_ai_for_governance(settings: Settings) -> None:
    found = [(row["rule"], row["name"], row["who"], row["data"]) for row in rows(settings, "shadow-ai")]
    assert ("shadow.personal-account", "account at gmail.com", "dev-1@gmail.com", "none of note") in found


def test_from_the_command_line(settings: Settings) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SPANWATCH_")}
    env = {**clean, "SPANWATCH_DATA_DIR": str(settings.data_dir), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "report", "commands", "--session", "s1", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=env,
    )
    assert "curl https://example.org" in [json.loads(line)["command"] for line in done.stdout.splitlines()]
