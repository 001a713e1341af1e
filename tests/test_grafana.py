"""Boards, variables and alert rules: each query runs on the real schema; what Grafana does not check is checked."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
import pytest
import yaml

from grafana import alerting, build, panels, questions
from pipeline import migrate
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import ClickHouseSink, connect
from tests import grafana_seed as seed
from tests.grafana_macros import ALL, FRONT_END_ONLY, Range, Value, back_end, expand

ROOT = Path(__file__).parents[1]
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PROVISIONING = ROOT / "grafana/provisioning"
GROUPS = yaml.safe_load((PROVISIONING / "alerting/rules.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
NOW = time.time_ns() // seed.MINUTE * seed.MINUTE  # the store drops what is past its retention: the seed is recent
START = NOW - 10 * seed.MINUTE
CHOSEN: dict[str, Value] = {
    "tenant": ["acme", "globex"],
    "agent_type": [seed.CODER],
    "severity": ["critical", "high", "medium", "low"],
    "session": seed.LEAK,
    "trace": seed.TRACE,
}
UNITS = {"short", "none", "s", "ms", "cps", "percentunit", "bytes"}


def data_panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


PANELS = [
    pytest.param(uid, panel, id=f"{uid}-{panel['title']}") for uid, b in BOARDS.items() for panel in data_panels(b)
]


class Answer(NamedTuple):
    names: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]

    def column(self, name: str) -> list[Any]:
        return [row[self.names.index(name)] for row in self.rows]


class Store:
    """The seeded store, asked as Grafana asks: as the data source's default database, over its time range."""

    def __init__(self, folder: Path) -> None:
        settings = ClickHouse()
        sink = ClickHouseSink(settings, folder)
        writer = connect(settings, folder)
        migrate.migrate(writer, settings)
        seed.fill(sink, START)
        sink.close()
        writer.close()
        self.client = clickhouse_connect.get_client(
            interface="chdb", path=str(folder / "chdb"), database=settings.database
        )

    def ask(self, sql: str) -> Answer:
        found = self.client.query(sql)
        return Answer(list(found.column_names), [t.name for t in found.column_types], list(found.result_rows))

    def options(self, board: dict[str, Any]) -> dict[str, list[str]]:
        """All values each variable offers."""
        offered = {}
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                offered[variable["name"]] = [row[0] for row in self.ask(back_end(variable["query"], span())).rows]
            elif variable["type"] == "custom":
                offered[variable["name"]] = variable["query"].split(",")
        return offered

    def panel(self, board: str, title: str, **chosen: Value) -> Answer:
        """One panel's answer with everything left at "All" but what is chosen."""
        (panel,) = [p for p in data_panels(BOARDS[board]) if p["title"] == title]
        values = {v["name"]: ALL if v["type"] != "textbox" else "" for v in BOARDS[board]["templating"]["list"]}
        return self.ask(expand(panel["targets"][0]["rawSql"], {**values, **chosen}, span()))


def span(later_ms: int = 0) -> Range:
    return Range(from_ms=START // 10**6 - 3_600_000 + later_ms, to_ms=NOW // 10**6 + 60_000 + later_ms)


def paging(later_s: int = 0) -> Range:
    """What an alert rule sees that is evaluated now, or so many seconds later."""
    now_ms = time.time_ns() // 10**6 + 1000 + later_s * 1000
    return Range(from_ms=now_ms - alerting.LOOK_BACK_S * 1000, to_ms=now_ms)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("grafana"))
    yield made
    made.client.close()


# ---------------------------------------------------------------------------- queries
@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_each_panel_answers_in_the_shape_its_view_needs(uid: str, panel: dict[str, Any], store: Store) -> None:
    """It runs and finds the seed; times first for series, numbers only for stats, all columns known to the view."""
    board = BOARDS[uid]
    (target,) = panel["targets"]
    defined = {v["name"] for v in board["templating"]["list"]}
    chosen = {name: value for name, value in CHOSEN.items() if name in defined}
    answer = store.ask(expand(target["rawSql"], chosen, span(), store.options(board)))
    assert answer.rows, "nothing found in the seed"
    assert not [
        n for n, t in zip(answer.names, answer.types, strict=True) if t.startswith(("Enum", "Map", "Array("))
    ] or (panel["type"] == "traces"), "Grafana shows these as raw text"
    named = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
    numbers = [t for t in answer.types if re.match(r"(Nullable\()?(U?Int|Float)", t)]
    if panel["type"] == "timeseries":
        assert target["format"] == 0
        assert answer.types[0].startswith("DateTime"), answer.types
        texts = [t for t in answer.types[1:] if "String" in t]
        assert numbers
        assert len(texts) <= 1, "one text column splits the series"
        assert len(answer.types) == 1 + len(texts) + len(numbers)
        series = set(answer.column(answer.names[1])) if texts else set(answer.names[1:])
        assert not named or series <= named, "a series without a colour of its own"
    elif panel["type"] == "stat":
        assert target["format"] == 1
        assert len(answer.rows) == 1
        assert len(numbers) == len(answer.types)
        assert named <= set(answer.names)
    elif panel["type"] == "table":
        assert target["format"] == 1
        assert named <= set(answer.names), named - set(answer.names)
    else:
        assert (panel["type"], target["format"]) == ("traces", 3)
        assert {"traceID", "spanID", "parentSpanID", "serviceName", "operationName", "startTime", "duration"} <= set(
            answer.names
        )


@pytest.mark.parametrize(("uid", "panel"), PANELS)
@pytest.mark.parametrize("how", ["all", "quote"])
def test_each_panel_runs_whatever_is_chosen(uid: str, panel: dict[str, Any], how: str, store: Store) -> None:
    """With "All", with nothing typed, and with values that would end a quoted string."""
    board, values = BOARDS[uid], dict[str, Value]()
    for variable in board["templating"]["list"]:
        if variable["type"] == "textbox":
            values[variable["name"]] = "" if how == "all" else "it's') OR 1=1 --"
        else:
            values[variable["name"]] = ALL if how == "all" else ["it's", "x') OR 1=1 --"]
    answer = store.ask(expand(panel["targets"][0]["rawSql"], values, span(), store.options(board)))
    if how == "quote" and panel["type"] == "table":
        assert answer.rows == []


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_offer_what_the_store_holds(uid: str, store: Store) -> None:
    offered = store.options(BOARDS[uid])
    assert offered["tenant"] == ["acme", "globex"]
    assert offered["agent_type"] == [seed.RUNNER, seed.CODER]


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_queries_over_spans_read_only_their_time(uid: str, panel: dict[str, Any], store: Store) -> None:
    """The table of spans is large: each query over it prunes by partition or primary key."""
    sql = panel["targets"][0]["rawSql"]
    if "FROM spans" not in sql:
        return
    values = {v["name"]: CHOSEN[v["name"]] for v in BOARDS[uid]["templating"]["list"]}
    plan = "\n".join(row[0] for row in store.ask("EXPLAIN indexes = 1 " + expand(sql, values, span())).rows)
    assert re.search(r"Condition: .*(toStartOfHour\(Timestamp\)|ReceivedAt)", plan), plan


# ---------------------------------------------------------------------------- what the answers say
def test_alerts_are_counted_once_and_replays_never(store: Store) -> None:
    answer = store.panel(questions.OVERVIEW, "Alerts by severity")
    assert dict(zip(answer.names, answer.rows[0], strict=True)) == dict.fromkeys(panels.SEVERITIES, 1)
    chosen = store.panel(questions.OVERVIEW, "Alerts by severity", tenant=["globex"], severity=["high", "low"])
    assert dict(zip(chosen.names, chosen.rows[0], strict=True)) == {
        "critical": 0,
        "high": 1,
        "medium": 0,
        "low": 1,
        "info": 0,
    }


def test_the_alert_stream_shows_the_newest_state_first(store: Store) -> None:
    answer = store.panel(questions.OVERVIEW, "Alerts, newest first")
    assert answer.column("time") == sorted(answer.column("time"), reverse=True)
    grown = answer.column("severity").index("critical")
    assert answer.column("findings")[grown] == 4
    assert answer.column("evidence")[grown] == "host=paste.example"
    assert seed.QUIET not in answer.column("session")


def test_one_incident_is_one_row_however_many_rows_made_it(store: Store) -> None:
    assert store.panel(questions.OVERVIEW, "Open incidents").rows == [(2,)]
    answer = store.panel(questions.OVERVIEW, "Open incidents, worst first")
    assert answer.column("severity") == ["critical", "high"]
    assert answer.column("alerts") == [2, 1]
    assert answer.column("session") == [seed.LEAK, seed.BREAK]


def test_rotation_starts_with_what_opens_most(store: Store) -> None:
    answer = store.panel(questions.OVERVIEW, "Masked secrets: what to rotate first")
    assert answer.column("access") == ["cloud", "cloud", "database", "third party", "unknown"]
    assert answer.column("fingerprint")[:2] == ["d" * 16, "b" * 16], "the more severe of two alike comes first"
    assert set(answer.column("sessions")) == {1}
    assert store.panel(questions.OVERVIEW, "Secrets to rotate").rows == [(4,)]


def test_a_host_seen_before_is_not_new(store: Store) -> None:
    answer = store.panel(questions.OVERVIEW, "Hosts an agent type reached for the first time")
    assert answer.column("host") == ["paste.example"]


def test_pipeline_health_tells_apart_silence_strangers_and_refusals(store: Store) -> None:
    unresolved = store.panel(questions.OVERVIEW, "Share of spans without agent or session")
    assert max(unresolved.column("unresolved")) == 1.0
    assert min(unresolved.column("unresolved")) == 0.0
    letters = store.panel(questions.OVERVIEW, "Dead letters by reason")
    totals = {
        reason: sum(n for n, r in zip(letters.column("letters"), letters.column("reason"), strict=True) if r == reason)
        for reason in set(letters.column("reason"))
    }
    assert totals == {"gzip": 15, "protobuf": 15}
    failed = store.panel(questions.OVERVIEW, "Detectors that failed")
    assert failed.column("failures") == [3], "a replay's failures are its own"
    (age,) = store.panel(questions.OVERVIEW, "Last telemetry").rows[0]
    assert age == 60 + 5 * 60 - 2


def test_a_session_is_told_in_order_and_in_masked_words(store: Store) -> None:
    answer = store.panel(questions.SESSION, "What happened, in order", session=seed.LEAK)
    assert answer.column("kind") == ["file_read", "command", "approval"]
    assert answer.column("tool") == ["Read", "Bash", "Bash"]
    assert answer.column("what")[1].startswith("curl ")
    assert answer.column("host")[1] == "paste.example, cdn.example"
    assert answer.column("approval") == ["", "", "deny human"]
    assert answer.column("secrets")[0] == "secret.aws.access_key_id"
    assert answer.column("status")[1] == "Error"
    assert answer.column("duration")[0] == 100
    reached = store.panel(questions.SESSION, "Hosts this session reached", session=seed.LEAK)
    assert sorted(reached.column("host")) == ["cdn.example", "paste.example"]
    assert set(reached.column("bytes_out")) == {2048}
    none = store.panel(questions.SESSION, "What happened, in order", session="")
    assert none.rows == []
    quoted = store.panel(questions.SESSION, "What happened, in order", session=seed.BREAK)
    assert quoted.column("what") == ["DROP TABLE users"]


def test_a_trace_holds_spans_and_not_log_events(store: Store) -> None:
    answer = store.panel(questions.TRACE, "Trace", trace=seed.TRACE)
    assert answer.column("operationName") == ["execute_tool Read", "execute_tool Bash"]
    assert answer.column("duration") == [100, 100]
    assert answer.column("statusCode") == [0, 2]
    assert answer.column("startTime")[0] == (START + seed.MINUTE) / 10**6
    assert {"key": "path", "value": ".env"} in answer.column("tags")[0]
    assert answer.column("serviceTags")[0] == [{"key": "host.arch", "value": "arm64"}]


# ---------------------------------------------------------------------------- alert rules
def rule(uid: str) -> str:
    (found,) = [r for r in RULES if r["uid"] == uid]
    sql: str = found["data"][0]["model"]["rawSql"]
    return sql


def test_the_detection_rule_fires_once_for_each_alert_that_matters(store: Store) -> None:
    answer = store.ask(back_end(rule("spanwatch-alert-arrived"), paging()))
    assert answer.types[-1] == "Float64"
    assert [t for t in answer.types[:-1] if "String" not in t] == [], "every other column becomes a label"
    assert sorted(zip(answer.column("severity"), answer.column("session"), strict=True)) == [
        ("critical", seed.LEAK),
        ("high", seed.BREAK),
    ]
    assert set(answer.column("value")) == {1.0}
    later = store.ask(back_end(rule("spanwatch-alert-arrived"), paging(later_s=3600)))
    assert later.rows == []


def test_the_health_rule_tells_its_problems_apart(store: Store) -> None:
    def problems(later_s: int) -> dict[str, float]:
        answer = store.ask(back_end(rule("spanwatch-pipeline-health"), paging(later_s)))
        assert answer.types[1] == "Float64"
        return dict(zip(answer.column("problem"), answer.column("value"), strict=True))

    now = problems(0)
    assert now == {"telemetry silent": 0.0, "dead letters growing": 1.0, "detector failing": 0.0}
    assert problems(7200) == {"telemetry silent": 1.0, "dead letters growing": 0.0, "detector failing": 0.0}


def test_alert_rules_are_whole() -> None:
    """What Grafana's provisioning refuses, or worse takes in silence."""
    assert len({r["uid"] for r in RULES}) == len(RULES) == 2
    for group in GROUPS:
        assert group["folder"]
        assert int(group["interval"].rstrip("m")) * 60 % 10 == 0
    for one in RULES:
        assert len(one["uid"]) <= 40
        refs = {step["refId"] for step in one["data"]}
        assert one["condition"] in refs
        for step in one["data"]:
            assert step["datasourceUid"] in (panels.SOURCE_UID, "__expr__")
            assert step["model"]["refId"] == step["refId"]
            assert step["model"].get("expression", "A") in refs
        sql = one["data"][0]["model"]["rawSql"]
        assert not any(f"$__{name}" in sql for name in FRONT_END_ONLY)
        assert "${" not in sql, "rules have no variables"
        assert one["for"][-1] in "sm"
        shown = [p for p in BOARDS[one["dashboardUid"]]["panels"] if p["id"] == one["panelId"]]
        assert len(shown) == 1
        assert not re.search(r"\$\{", json.dumps(one["annotations"])), "Grafana would read it as an environment name"


def test_whoever_is_paged_can_be_reached() -> None:
    points = yaml.safe_load((PROVISIONING / "alerting/contact-points.yaml").read_text())["contactPoints"]
    known = {point["name"] for point in points}
    (tree,) = yaml.safe_load((PROVISIONING / "alerting/policies.yaml").read_text())["policies"]
    for policy in [tree, *tree["routes"]]:
        assert policy["receiver"] in known
        for label, operator, value in policy.get("object_matchers", []):
            assert operator == "="
            assert any(one["labels"].get(label) == value for one in RULES)
    for point in points:
        for receiver in point["receivers"]:
            assert receiver["type"] == "webhook"
            assert receiver["settings"]["url"] == "$ALERT_WEBHOOK_URL"


# ---------------------------------------------------------------------------- structure
def test_committed_files_are_what_the_builder_writes() -> None:
    """Run as the Makefile runs it: `--check` finds nothing to change."""
    done = subprocess.run(
        [sys.executable, "grafana/build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_drift_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build.files()
    for name, text in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.differing(made) + build.stray(made) == []
    (tmp_path / "dashboards/spanwatch-overview.json").write_text("{}")
    (tmp_path / "dashboards/forgotten.json").write_text("{}")
    assert build.differing(made) == ["dashboards/spanwatch-overview.json"]
    assert build.stray(made) == ["dashboards/forgotten.json"]


def test_boards_have_their_own_ids() -> None:
    assert {board["uid"] for board in BOARDS.values()} == set(BOARDS) == {uid for uid, _ in questions.BOARDS}
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        titles = [panel["title"] for panel in board["panels"]]
        assert len(titles) == len(set(titles))
        assert board["schemaVersion"] == panels.SCHEMA_VERSION


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_do_not_overlap(uid: str) -> None:
    boxes = [panel["gridPos"] for panel in BOARDS[uid]["panels"]]
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["w"] <= panels.WIDTH
    for a, b in itertools.combinations(boxes, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_each_panel_says_what_it_shows(uid: str, panel: dict[str, Any]) -> None:
    """A title, a sentence, a unit, a known data source, and words for when there is nothing to show."""
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert panel["datasource"] == panels.SOURCE
    assert [t["datasource"] for t in panel["targets"]] == [panels.SOURCE]
    if panel["type"] != "traces":
        assert defaults["noValue"]
    for override in panel["fieldConfig"]["overrides"]:
        assert override["properties"], override
        for given in override["properties"]:
            assert given["id"] != "unit" or given["value"] in UNITS


@pytest.mark.parametrize("uid", BOARDS)
def test_each_variable_is_used(uid: str) -> None:
    text = "\n".join(panel["targets"][0]["rawSql"] for panel in data_panels(BOARDS[uid]))
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == {v["name"] for v in BOARDS[uid]["templating"]["list"]}


@pytest.mark.parametrize("uid", BOARDS)
def test_links_lead_to_boards_that_exist_and_fill_in_what_they_ask(uid: str, store: Store) -> None:
    board = BOARDS[uid]
    assert {link["url"] for link in board["links"]} == {f"/d/{other}" for other in BOARDS if other != uid}
    followed = 0
    for panel in data_panels(board):
        values = {v["name"]: CHOSEN[v["name"]] for v in board["templating"]["list"]}
        names = set(store.ask(expand(panel["targets"][0]["rawSql"], values, span())).names)
        for override in panel["fieldConfig"]["overrides"]:
            for given in override["properties"]:
                for link in given["value"] if given["id"] == "links" else []:
                    target, query = re.fullmatch(r"/d/([\w-]+)\?(.*)", link["url"]).groups()  # type: ignore[union-attr]
                    asked = {v["name"] for v in BOARDS[target]["templating"]["list"]}
                    arguments = dict(part.split("=", 1) for part in query.split("&"))
                    assert {"from", "to"} <= set(arguments)
                    assert {name.removeprefix("var-") for name in arguments} <= asked | {"from", "to"}
                    fields = {f.split(":")[0] for f in re.findall(r"\$\{__data\.fields\.([^}]+)\}", link["url"])}
                    assert fields <= names, fields - names
                    followed += 1
    assert followed or uid == questions.TRACE


def test_one_data_source_under_one_id() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/spanwatch.yaml").read_text())["datasources"]
    assert source["uid"] == panels.SOURCE_UID
    assert source["type"] == panels.PLUGIN
    assert source["jsonData"]["defaultDatabase"] == ClickHouse().database
    assert source["secureJsonData"]["password"].startswith("$")
