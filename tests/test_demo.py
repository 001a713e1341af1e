"""The demo is a test of the product: it must fail when something is missed, noisy, or kept."""

from __future__ import annotations

import io
import os
import random
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from detectors.model import Alert, Category, Severity
from pipeline import build
from pipeline.demo import fleet, honest, planted, proof, stage
from pipeline.records import Block, Entry, encode
from pipeline.settings import Rules, Settings
from pipeline.sinks.console import ConsoleSink
from tests.make import T0, span
from tests.payloads import token

SMALL = ["--sessions", "12", "--seconds", "3"]
ESCAPES = re.compile(r"\x1b\[")


def alert(rule: str, session: str, severity: Severity = Severity.HIGH, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": f"{rule}/{session}",
        "version": 1,
        "rule_id": rule,
        "detector_id": "d",
        "title": "A title",
        "severity": severity,
        "category": Category.OVERREACH,
        "confidence": "suspected",
        "score": None,
        "tenant": "default",
        "agent_id": "a",
        "agent_type": "test-agent",
        "session_id": session,
        "trace_id": "t",
        "span_id": "s",
        "time_ns": T0,
        "first_ns": T0,
        "last_ns": T0,
        "count": 1,
        "finding_ids": (),
        "incident_id": "i",
    }
    return Alert(**{**values, **changes})


def seen(*alerts: Alert) -> list[stage.Seen]:
    return [stage.Seen(one, T0 + number) for number, one in enumerate(alerts)]


INCIDENT = fleet.Planted(
    title="Told", shape="codex", sessions=("bad",), expect=("best", "good"), secrets=(), exported_ns=T0
)


@pytest.fixture(scope="module")
def played() -> subprocess.CompletedProcess[str]:
    """The demo as a user sees it through a pipe."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SPANWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "demo", *SMALL],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=clean,
    )


def test_the_demo_plays_through_without_a_terminal(played: subprocess.CompletedProcess[str]) -> None:
    """Every planted incident is found, every honest session silent, nothing refused, no secret kept."""
    assert (played.returncode, played.stderr) == (0, "")
    for story in planted.incidents(random.Random(1)):
        assert story.title in played.stdout
    assert "NOT FOUND" not in played.stdout
    assert "12 of 12 honest sessions silent" in played.stdout
    assert re.search(r"raw secrets found in the data directory: 0 of \d", played.stdout)
    assert " serve" in played.stdout
    assert not ESCAPES.search(played.stdout)
    assert max(map(len, played.stdout.splitlines())) <= stage.WIDTH


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, fingerprints, made-up hosts, widths of columns."""
    line = re.sub(r"~[0-9a-f]{16}~", "~F~", line)
    line = re.sub(r"[a-z]{9}(?=\.trycloudflare)", "host", line)
    return " ".join(re.sub(r"\d[\d,.:]*", "N", line).split())


def test_the_readme_shows_this_output(played: subprocess.CompletedProcess[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    block = readme[readme.index("<!-- demo -->") : readme.index("<!-- /demo -->")]
    lines = [line for line in block.splitlines()[2:-1] if line not in ("```", "...")]
    assert len(lines) > len(planted.INCIDENTS)
    printed_shapes = {shape(line) for line in played.stdout.splitlines()}
    assert [line for line in lines if shape(line) not in printed_shapes] == []
    assert all(any(story.title in line for line in lines) for story in planted.incidents(random.Random(1)))


def test_without_rules_the_demo_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is earned: with nothing to detect by, incidents are missed and secrets are found."""
    usual = stage.settings_for

    def empty(folder: Path) -> Settings:
        return usual(folder).model_copy(update={"rules": Rules(builtin=False)})

    monkeypatch.setattr(stage, "settings_for", empty)
    out = io.StringIO()
    assert stage.run(sessions=10, seconds=2, console=Console(file=out, highlight=False)) == 1
    assert out.getvalue().count("NOT FOUND") == len(planted.INCIDENTS)
    assert re.search(r"raw secrets found in the data directory: [1-9]\d* of", out.getvalue())
    assert "The demo failed" in out.getvalue()


def test_an_incident_is_found_by_the_best_rule_that_tells_it() -> None:
    found = stage.score(INCIDENT, seen(alert("good", "bad"), alert("best", "bad"), alert("other", "bad"))).found
    assert found is not None
    assert found.alert.rule_id == "best"


@pytest.mark.parametrize("one", [alert("other", "bad"), alert("best", "elsewhere"), alert("best", "bad", Severity.LOW)])
def test_another_rule_another_session_or_a_low_alert_is_no_find(one: Alert) -> None:
    assert stage.score(INCIDENT, seen(one)).found is None


def test_an_alert_outside_the_incidents_is_a_false_alarm_from_medium_on() -> None:
    noise = alert("x", "quiet", Severity.MEDIUM)
    alerts = seen(alert("best", "bad"), noise, alert("x", "quiet2", Severity.LOW))
    assert stage.false_alarms([INCIDENT], alerts) == [noise]


# ---------------------------------------------------------------------------- the fleet
def test_the_fleet_is_a_function_of_its_seed() -> None:
    assert fleet.order(random.Random(1), 30) == fleet.order(random.Random(1), 30)
    assert fleet.order(random.Random(1), 30) != fleet.order(random.Random(2), 30)


def test_every_shape_plays_honest_sessions_and_incidents_come_in_all_kinds() -> None:
    assert {story.shape for story in honest.sessions(random.Random(1), 10)} == fleet.SHAPES.keys()
    incidents = planted.incidents(random.Random(1))
    assert {story.shape for story in incidents} == fleet.SHAPES.keys()
    assert all(not story.expect and not story.secrets for story in honest.sessions(random.Random(1), 30))


def test_every_expected_rule_exists(tmp_path: Path) -> None:
    rules = build.rules(Settings(data_dir=tmp_path))
    known = {rule.id for rule in (*rules.secrets, *rules.behaviour, *rules.correlation)} | {"egress.suspicious"}
    for story in planted.incidents(random.Random(1)):
        assert set(story.expect) <= known


def test_planted_secrets_stand_in_what_their_session_says() -> None:
    """Searching for them afterwards proves something only if they were really sent."""
    for story in planted.incidents(random.Random(1)):
        said = "\n".join(text for act in story.acts for text in (act.what, act.arguments, act.text))
        said = said.replace("\\n", "\n")
        for parts in story.secrets:
            assert all(part in said for part in parts)


# ---------------------------------------------------------------------------- the search
NEEDLES = proof.needles_of([(token(1),), (token(2), token(3))])


def test_the_search_sees_plain_bytes_in_any_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.bin").write_bytes(b"\x00\xff" + token(3).encode() + b"\x00")
    found = proof.Found(secrets=2)
    proof.search_files(tmp_path, NEEDLES, found)
    assert (found.found, found.files) == ({1}, 1)


def test_the_search_unpacks_the_log(tmp_path: Path) -> None:
    payload = encode(Entry(spans=[span(1, attributes={"a": f"{token(1)} " * 50})]))
    assert token(1).encode() not in payload
    log = sqlite3.connect(tmp_path / "log.sqlite")
    log.execute("CREATE TABLE log (payload BLOB)")
    log.execute("INSERT INTO log VALUES (?)", [payload])
    log.commit()
    log.close()
    found = proof.Found(secrets=2)
    proof.search_log(tmp_path / "log.sqlite", NEEDLES, found)
    assert (found.found, found.records) == ({0}, 1)


def test_the_search_unpacks_the_tables(tmp_path: Path) -> None:
    from contextlib import closing

    from pipeline.sinks.clickhouse import connect

    settings = Settings(data_dir=tmp_path)
    with closing(connect(settings.clickhouse, tmp_path)) as client:
        client.command("CREATE DATABASE d ENGINE = Atomic")
        client.command("CREATE TABLE d.t (x String) ENGINE = MergeTree ORDER BY tuple()")
        client.insert("d.t", [[f"a {token(2)}"]], column_names=["x"])
        found = proof.Found(secrets=2)
        proof.search_tables(client, "d", NEEDLES, found)
    assert (found.found, found.rows) == ({1}, 1)


# ---------------------------------------------------------------------------- the terminal
def printed(*alerts: Alert, width: int = 100, **console: Any) -> str:
    out = io.StringIO()
    sink = ConsoleSink(Console(file=out, width=width, highlight=False, **console))
    for one in alerts:
        sink.write(Block(topic="t", partition=0, first=0, last=0, outcomes=[one]))
    return out.getvalue()


def test_an_alert_is_printed_once_and_again_when_it_grows_worse() -> None:
    low, high = Severity.LOW, Severity.HIGH
    again = [alert("r", "s", low), alert("r", "s", low, version=2), alert("r", "s", high, version=3)]
    assert [line.split()[1] for line in printed(*again).splitlines() if "r " in line] == ["LOW", "HIGH"]
    assert printed(alert("r", "s", Severity.INFO)) == ""


@pytest.mark.parametrize("width", [60, 100, 200])
def test_no_line_is_wider_than_the_terminal_allows_text(width: int) -> None:
    long = alert("r", "s", evidence={"what": "rm -rf / " * 100})
    assert max(map(len, printed(long, width=width).splitlines())) <= max(width, 80)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ESCAPES.search(printed(alert("r", "s"), force_terminal=True, no_color=False))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", printed(alert("r", "s"), force_terminal=True))


def test_markup_in_telemetry_is_only_text() -> None:
    assert "[red]x[/]" in printed(alert("r", "s", evidence={"what": "[red]x[/]"}))


def test_a_title_is_said_once_and_the_host_beside_it() -> None:
    told = alert("r", "s")
    shown = printed(msgspec.structs.replace(told, evidence={"what": told.title, "host": "paste.example.net"}))
    assert shown.count(told.title) == 1
    assert "paste.example.net" in shown
