"""Replay: history through the same engine. Equal rules give equal findings, other rules what they add and lose."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from detectors.model import Span
from detectors.secret_rules import fill
from pipeline import build
from pipeline.embedded import Embedded
from pipeline.errors import SettingsError
from pipeline.records import Entry, Record, encode
from pipeline.settings import Gateway, Kafka, Settings, Worker
from pipeline.sinks.clickhouse import Clients
from pipeline.sinks.memory import MemorySink
from pipeline.state import MemoryStore
from pipeline.worker import Worker as PartitionWorker
from replay import compare, history, run
from tests.make import span
from tests.payloads import as_json, token, traces

# One leak, one destroyed table, one secret that no rule of ours knows, over three sessions.
REQUESTS = [
    traces(
        {"gen_ai.tool.call.arguments": f"git push https://x:{token(1)}@github.com/a/b.git"},
        {"gen_ai.tool.call.arguments": '{"sql": "DROP TABLE customers"}', "gen_ai.tool.name": "execute_sql"},
        session="leaky",
    ),
    traces({"gen_ai.tool.call.result": fill("saved acme-key-<hex:20> there", 1)}, session="homegrown"),
    traces(*[{"gen_ai.tool.call.arguments": "git status"}] * 5, session="quiet"),
]
OURS = """
- issuer: Acme
  rotation: third_party
  runbook: 'Revoke it.'
  rules:
    - id: secret.acme.key
      title: Acme key
      pattern: '(acme-key-[0-9a-f]{20})'
      grants: opens a service of our own
      examples:
        match: ['x «acme-key-<hex:20>»']
        no_match: ['acme-key-short']
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store that the embedded driver filled over HTTP."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("lived"),
        gateway=Gateway(port=0, grpc_port=-1),
        worker=Worker(batch_seconds=0.02),
    )

    async def live() -> None:
        async with Embedded(settings) as running, httpx.AsyncClient() as client:
            for request in REQUESTS:
                answer = await client.post(
                    f"http://127.0.0.1:{running.http_port}/v1/traces",
                    content=request.SerializeToString(),
                    headers={"Content-Type": "application/x-protobuf"},
                )
                assert answer.status_code == 200
                await running.wait_processed()

    asyncio.run(live())
    return settings


def query(settings: Settings, text: str) -> Sequence[Sequence[Any]]:
    with closing(Clients(settings.clickhouse, settings.data_dir)) as clients:
        rows: Sequence[Sequence[Any]] = clients.mine().query(text).result_rows
    return rows


def findings(settings: Settings, label: str) -> dict[str, str]:
    rows = query(settings, f"SELECT Id, RuleId FROM spanwatch.findings FINAL WHERE Run = '{label}'")
    return {row[0]: row[1] for row in rows}


def test_the_live_rules_find_the_same_again_ids_included(lived: Settings) -> None:
    report = run.replay(lived, "again")
    live = findings(lived, "live")
    assert {"secret.github.pat", "destructive.sql-drop"} <= set(live.values())
    assert findings(lived, "again") == live
    assert report.spans == sum(len(r.resource_spans[0].scope_spans[0].spans) for r in REQUESTS)
    assert report.findings == len(live)
    same = compare.stored(lived, "again")
    assert (same.differs, same.same) == (False, len(live))


def test_a_replay_leaves_history_and_live_results_alone(lived: Settings) -> None:
    def everything() -> list[Sequence[Any]]:
        tables = ("findings", "alerts", "windows", "sightings", "plan")
        counts = [query(lived, f"SELECT count() FROM spanwatch.{t} WHERE Run = 'live'") for t in tables]
        return [*counts, query(lived, "SELECT count(), sum(cityHash64(Raw)) FROM spanwatch.spans")]

    before = everything()
    run.replay(lived, "harmless")
    assert everything() == before


def test_new_secret_rules_see_the_masked_text_and_known_hits_stay(lived: Settings, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "acme.yml").write_text(OURS)
    with_ours = lived.model_copy(update={"rules": lived.rules.model_copy(update={"folders": (tmp_path,)})})
    run.replay(lived, "with-ours", settings=with_ours)
    diff = compare.stored(lived, "with-ours")
    changed = {row.rule_id: (row.added, row.lost) for row in diff.rules if row.added or row.lost}
    assert changed == {"secret.acme.key": (1, 0)}


def test_overrides_take_away_and_change(lived: Settings, tmp_path: Path) -> None:
    (tmp_path / "overrides.yml").write_text(
        "secret.github.pat:\n  enabled: false\ndestructive.sql-drop:\n  severity: low\n"
    )
    changes = lived.rules.model_copy(update={"overrides": tmp_path / "overrides.yml"})
    run.replay(lived, "changed", settings=lived.model_copy(update={"rules": changes}))
    diff = compare.stored(lived, "changed")
    assert {row.rule_id: row.lost for row in diff.rules if row.lost} == {
        "secret.github.pat": 1,
        "identity.static-credential": 1,
        "approval.missing": 1,
    }, "and what other detectors make of both"
    severities = query(
        lived, "SELECT Severity FROM spanwatch.findings WHERE Run = 'changed' AND RuleId = 'destructive.sql-drop'"
    )
    assert [row[0] for row in severities] == ["low"]


@pytest.mark.parametrize("label", ["live", "", "a b", "x" * 65, "../x"])
def test_labels_that_cannot_be(lived: Settings, label: str) -> None:
    with pytest.raises(SettingsError, match="label"):
        run.replay(lived, label)


def test_a_label_is_used_once(lived: Settings) -> None:
    run.replay(lived, "once")
    with pytest.raises(SettingsError, match="stored already"):
        run.replay(lived, "once")


def test_a_run_that_was_never_made_cannot_be_compared(lived: Settings) -> None:
    with pytest.raises(SettingsError, match="nothing is stored"):
        compare.stored(lived, "never")


def test_files_as_history_find_what_live_found(lived: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"".join(as_json(r) + b"\n" for r in REQUESTS) + b"broken\n")
    report = run.replay(lived, "from-files", files=[tmp_path / "x.jsonl"])
    assert report.broken == 1
    assert findings(lived, "from-files") == findings(lived, "live")


def test_bounds_of_time_of_receipt(lived: Settings) -> None:
    from datetime import UTC, datetime

    [[last]] = query(lived, "SELECT toUnixTimestamp64Nano(max(ReceivedAt)) FROM spanwatch.spans")
    at = datetime.fromtimestamp(last / 1e9, UTC).replace(microsecond=0)
    assert run.replay(lived, "nothing-yet", until=at.replace(year=at.year - 1)).spans == 0
    assert run.replay(lived, "all-of-it", since=at.replace(year=at.year - 1)).spans > 0


def test_the_command_line_runs_and_compares(lived: Settings, tmp_path: Path) -> None:
    def spanwatch(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "SPANWATCH_DATA_DIR": str(lived.data_dir), "COLUMNS": "100"}
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "replay", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=env,
        )

    (tmp_path / "o.yml").write_text("secret.github.pat:\n  enabled: false\n")
    assert spanwatch("run", "--label", "cli-same").returncode == 0
    assert spanwatch("run", "--label", "cli-less", "--overrides", str(tmp_path / "o.yml")).returncode == 0
    assert spanwatch("run", "--label", "live").returncode == 3
    assert spanwatch("diff", "cli-same", "live", "--exit-code").returncode == 0
    less = spanwatch("diff", "cli-less", "live", "--exit-code", "--json")
    assert less.returncode == 1
    diff = json.loads(less.stdout)
    assert (diff["added"], diff["lost"]) == (0, 2), "the secret, and that it is a static one"
    table = spanwatch("diff", "cli-less", "live")
    assert table.returncode == 0
    assert "secret.github.pat" in table.stdout


# ---------------------------------------------------------------------------- several partitions
def test_stage_two_of_several_partitions_sees_all_of_them(tmp_path: Path) -> None:
    """An entity is known across partitions, as it is live: the first agent type that reaches a host is the first."""
    settings = Settings(data_dir=tmp_path, kafka=Kafka(partitions=2))
    rules = build.rules(settings)
    spans = [
        span(
            seq,
            session=f"s{seq}",
            fields={"tool.name": "run", "egress.host": "odd-host.dev", "egress.hosts": "odd-host.dev"},
        )
        for seq in range(4)
    ]
    sink = MemorySink()
    drive = run.Drive(settings, rules, sink, "x", [history.Place("spans", 0), history.Place("spans", 1)])
    drive.handle([Record("spans", seq % 2, seq // 2, Entry(spans=[one])) for seq, one in enumerate(spans)])
    drive.flush()
    found = sink.findings(run="x")
    assert Counter(f.evidence["first_seen"] for f in found if f.rule_id == "egress.unlisted") == {"yes": 1, "no": 3}


def test_rescan_changes_nothing_under_equal_rules(lived: Settings) -> None:
    rules = build.rules(lived)
    rescan = run.Rescan(rules, rules, b"key")
    one = span(1, attributes={"a": f"token {token(9)}"})
    assert rescan(one) is one


def test_rescan_masks_what_a_new_rule_finds(lived: Settings, tmp_path: Path) -> None:
    rules = build.rules(lived)
    without = type(rules)(
        **{
            name: getattr(rules, name) if name != "secrets" else tuple(r for r in rules.secrets if "github" not in r.id)
            for name in rules.__struct_fields__
        }
    )
    rescan = run.Rescan(without, rules, b"key")
    one: Span = rescan(span(1, attributes={"gen_ai.tool.call.arguments": f"token {token(9)}", "n": 1}))
    assert [match.rule_id for match in one.secrets] == ["secret.github.pat"]
    assert token(9) not in str(one)
    assert "MASKED~secret.github.pat~40~" in str(one.attributes["gen_ai.tool.call.arguments"])


def test_history_is_what_a_worker_wrote(tmp_path: Path) -> None:
    """Records come back whole, in order of offset, whatever the size of a page."""
    settings = Settings(data_dir=tmp_path)
    rules = build.rules(settings)
    records = [
        Record("spans", 0, offset, encode(Entry(spans=[span(offset * 3 + i, session=f"s{i}") for i in range(3)])))
        for offset in range(7)
    ]
    with closing(build.sink(settings)) as sink, closing(Clients(settings.clickhouse, tmp_path)) as clients:
        from pipeline.migrate import migrate

        migrate(clients.mine(), settings.clickhouse)
        worker = PartitionWorker(build.engine(settings, rules), sink, MemoryStore(), topic="spans", partition=0)
        worker.handle(records)
        back = list(history.Stored(clients.mine(), "spanwatch"))
        assert [(r.topic, r.partition, r.offset) for r in back] == [(r.topic, r.partition, r.offset) for r in records]
        assert [s.id for r in back for s in history.spans_in(r)] == [span(n, session=f"s{n % 3}").id for n in range(21)]
