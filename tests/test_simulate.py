"""The simulated fleet: the same seed gives the same events, both forms agree, labels are true, incidents show."""

from __future__ import annotations

import json
import statistics
import tracemalloc
from collections import defaultdict
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from typer.testing import CliRunner

from detectors.engine import Engine
from detectors.model import Window
from detectors.secrets import Scanner
from pipeline import cli
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from replay import simulate_incidents, simulate_otlp
from replay.simulate import Fleet, Incident, labels, windows
from replay.simulate_fleet import START_NS
from replay.simulate_incidents import KINDS, STRONG, WEAK
from tests.bench import nab
from tests.bench.anomaly_scoring import Score

DAY_NS = 86_400_000_000_000
runner = CliRunner()


class Run(NamedTuple):
    """A fleet that has run, with all its windows."""

    fleet: Fleet
    windows: list[tuple[Window, Incident | None]]

    def honest(self, agent_type: str) -> list[Window]:
        return [one for one, incident in self.windows if incident is None and one.agent_type == agent_type]

    def wrong(self, kind: str) -> dict[str, list[Window]]:
        """Incident → its windows."""
        found: dict[str, list[Window]] = defaultdict(list)
        for window, incident in self.windows:
            if incident is not None and incident.kind == kind:
                found[incident.id].append(window)
        return found


def run(**asked: object) -> Run:
    fleet = Fleet(**{"agents": 24, "hours": 24 * 7, "seed": 11, "shifts": False, **asked})  # type: ignore[arg-type]
    return Run(fleet, list(windows(fleet)))


@pytest.fixture(scope="module")
def strong() -> Run:
    return run(incidents=24, strengths=(STRONG,))


def median(seen: list[Window], count: str) -> float:
    return statistics.median(one.counts.get(count, 0) for one in seen)


def test_same_seed_same_fleet() -> None:
    asked = {"agents": 12, "hours": 20, "incidents": 8}
    first, again, other = run(**asked, seed=3), run(**asked, seed=3), run(**asked, seed=4)
    assert first.windows == again.windows
    assert list(labels(first.fleet)) == list(labels(again.fleet))
    assert [one.counts for one, _ in first.windows] != [one.counts for one, _ in other.windows]


def test_windows_are_those_the_engine_makes_of_the_telemetry() -> None:
    asked = {"agents": 24, "hours": 20, "incidents": 16, "early": 0.2, "shifts": True, "start_ns": START_NS + DAY_NS}
    expected = {(one.session_id, one.start_ns): one for one, _ in run(**asked).windows}
    ingest, engine = Ingest(Scanner([], b"k"), Gateway(), b"k"), Engine([], key=b"k")
    made = []
    fleet = Fleet(**{"seed": 11, **asked})  # type: ignore[arg-type]
    for minute in fleet.minutes():
        read = ingest.traces(simulate_otlp.request(minute), "json", received_ns=minute.start_ns + 60_000_000_000)
        assert not read.dead_letters
        made += engine.run(read.spans)
    made += engine.flush()
    assert {(one.session_id, one.start_ns): one for one in made if isinstance(one, Window)} == expected
    assert not ingest.unknown.counts
    told = {name for one in expected.values() for name in one.counts}
    assert {"skipped", "allowed", "errors", "bytes_out", "cost_micros", "commands", "egress"} <= told
    assert any(one.paths for one in expected.values())


def test_windows_come_in_order_of_time_and_only_while_something_happens(strong: Run) -> None:
    starts = [one.start_ns for one, _ in strong.windows]
    assert starts == sorted(starts)
    assert all(one.counts["spans"] > 0 and one.began_ns < one.end_ns for one, _ in strong.windows)
    assert len({one.id for one, _ in strong.windows}) == len(strong.windows)
    assert strong.fleet.start_ns <= starts[0]
    assert starts[-1] < strong.fleet.end_ns


def test_labels_are_true_of_the_windows(strong: Run) -> None:
    seen: dict[str, list[Window]] = defaultdict(list)
    for window, incident in strong.windows:
        if incident is not None:
            seen[incident.id].append(window)
    assert {one.kind for one in strong.fleet.done} == set(KINDS)
    for one in strong.fleet.done:
        mine = seen.pop(one.id)
        assert one.windows == len(mine)
        assert one.start_ns == mine[0].start_ns
        assert one.end_ns == mine[-1].end_ns
        assert {(w.agent_id, w.agent_type, w.session_id) for w in mine} == {
            (one.agent_id, one.agent_type, one.session_id)
        }
        assert len(mine) <= one.minutes
        assert one.start_ns >= one.at_ns - 60_000_000_000
    assert not seen


def test_a_burst_is_many_calls(strong: Run) -> None:
    for mine in strong.wrong("burst").values():
        own = [one for one in strong.honest(mine[0].agent_type) if one.agent_id == mine[0].agent_id]
        assert median(mine, "tool_calls") > 4 * median(own, "tool_calls")


def test_a_new_tool_is_one_its_type_does_not_have(strong: Run) -> None:
    for mine in strong.wrong("new_tool").values():
        usual = {tool for one in strong.honest(mine[0].agent_type) for tool in one.calls}
        assert all(set(one.calls) - usual for one in mine)


def test_exfiltration_is_bytes_to_one_strange_host(strong: Run) -> None:
    for mine in strong.wrong("exfiltration").values():
        own = [one for one in strong.honest(mine[0].agent_type) if one.agent_id == mine[0].agent_id]
        assert median(mine, "bytes_out") > 4 * max(median(own, "bytes_out"), 100)
        strange = set.intersection(*(set(one.hosts) for one in mine)) - {host for one in own for host in one.hosts}
        assert len(strange) == 1


def test_fan_out_is_many_strange_hosts(strong: Run) -> None:
    for mine in strong.wrong("fan_out").values():
        usual = {host for one in strong.honest(mine[0].agent_type) for host in one.hosts}
        assert all(len(set(one.hosts) - usual) >= 25 for one in mine)
        assert len({host for one in mine for host in one.hosts} - usual) >= 25 * len(mine)


def test_a_beacon_is_even(strong: Run) -> None:
    fleet = Fleet(agents=24, hours=24 * 7, seed=11, shifts=False, incidents=24, strengths=(STRONG,))
    times: dict[str, list[int]] = defaultdict(list)
    for minute in fleet.minutes():
        if minute.incident is not None and minute.incident.kind == "beacon":
            times[minute.incident.id] += [minute.moment(place) for place in range(len(minute.steps))]
    assert times.keys() == strong.wrong("beacon").keys()
    for moments in times.values():
        assert {after - before for before, after in pairwise(moments)} == {15_000_000_000}
    for mine in strong.wrong("beacon").values():
        assert len({one.counts["bytes_out"] for one in mine}) == 1
        assert len({host for one in mine for host in one.hosts}) == 1


def test_off_hours_is_when_the_agent_never_works(strong: Run) -> None:
    agents = {one.id: one for one in strong.fleet.agents}
    found = strong.wrong("off_hours")
    assert found
    for mine in found.values():
        agent = agents[mine[0].agent_id]
        shift = strong.fleet.type_of(agent).habit.shift
        assert shift is not None
        hour = (mine[0].start_ns - START_NS) // 3_600_000_000_000 + agent.zone
        assert not shift[0] <= hour % 24 < shift[1]


def test_a_loop_is_one_step_over_and_over(strong: Run) -> None:
    for mine in strong.wrong("loop").values():
        for one in mine:
            assert len(one.calls) == len(one.pairs) == 1
        assert sum(one.counts.get("errors", 0) for one in mine) > 0.3 * sum(one.counts["tool_calls"] for one in mine)


def test_poisoning_is_a_slow_ramp(strong: Run) -> None:
    for mine in strong.wrong("poisoning").values():
        third = len(mine) // 3
        first, middle, last = (median(mine[i : i + third], "tool_calls") for i in (0, third, 2 * third))
        assert first < middle < last
        assert last > 2.5 * first


def test_strength_is_a_measure() -> None:
    for kind in KINDS:
        sort = simulate_incidents.SORTS[kind]
        sizes = [simulate_incidents.size(kind, strength) for strength in (0.5, WEAK, 1.5, STRONG, 3)]
        assert sizes == sorted(sizes)
        assert sizes[1] == sort.weak
        assert sizes[3] == pytest.approx(sort.strong)


def test_agents_have_habits_rhythm_and_ways_of_their_own(strong: Run) -> None:
    coding = strong.honest("coding-agent")
    agents = {one.id: one for one in strong.fleet.agents}
    local = [(one.start_ns - START_NS) // 3_600_000_000_000 + agents[one.agent_id].zone for one in coding]
    assert sum(9 <= hour % 24 < 20 for hour in local) > 0.9 * len(local)
    assert sum(hour // 24 % 7 >= 5 for hour in local) < 0.2 * len(local)
    paces = [
        median([one for one in coding if one.agent_id == name], "tool_calls") for name in agents if "coding" in name
    ]
    assert len(set(paces)) > 1
    assert {tool for one in coding for tool in one.calls}.isdisjoint(
        {tool for one in strong.honest("support-agent") for tool in one.calls}
    )


def test_honest_shifts_last() -> None:
    seen = run(seed=5, shifts=True, hires=0.0)
    assert not seen.fleet.done
    for shift in seen.fleet.shifts:
        mine = seen.honest(shift.agent_type)
        before = [one for one in mine if one.start_ns < shift.start_ns]
        after = [one for one in mine if one.start_ns >= shift.start_ns]
        if shift.kind == "busier":
            assert median(after, "tool_calls") > 1.4 * median(before, "tool_calls")
        elif shift.kind == "tool_rollout":
            assert not any("ask_index" in one.calls for one in before)
            assert sum(one.calls.get("ask_index", 0) for one in after) > 0.1 * sum(
                one.counts.get("tool_calls", 0) for one in after
            )
        elif shift.kind == "model_upgrade":
            assert {model for one in after for model in one.models}.isdisjoint(
                {model for one in before for model in one.models}
            )
        else:
            lost = {host for one in before for host in one.hosts} - {host for one in after for host in one.hosts}
            assert any(host.split(".")[0] in {h.split(".")[0] for w in after for h in w.hosts} for host in lost)


def test_hires_do_nothing_before_they_join() -> None:
    seen = run(seed=8, hires=0.5)
    joined = {one.id: one.from_minute * 60_000_000_000 for one in seen.fleet.hired()}
    assert joined
    mine = [one for one, _ in seen.windows if one.agent_id in joined]
    assert mine
    assert all(one.start_ns >= joined[one.agent_id] for one in mine)


def test_a_fleet_streams_and_its_memory_does_not_grow_with_the_hours() -> None:
    century = Fleet(agents=6, hours=24 * 36_500, seed=1)
    assert len(list(islice(simulate_otlp.requests(century), 50))) == 50
    for _ in windows(Fleet(agents=6, hours=48, seed=2)):  # what is learnt once about tools and hosts
        pass
    fleet, written = Fleet(agents=6, hours=288, seed=1, shifts=False), 0
    tracemalloc.start()
    for window, _ in windows(fleet):
        written += len(msgspec.msgpack.encode(window))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written > 4 * peak


def test_the_command_writes_telemetry_and_labels(tmp_path: Path) -> None:
    outs = []
    for name in ("one", "two"):
        out, truth = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.labels.jsonl"
        asked = ["simulate", "--agents", "12", "--hours", "36", "--seed", "9", "--incidents", "8", "--strength", "2"]
        done = runner.invoke(cli.app, [*asked, "--out", str(out), "--labels", str(truth)])
        assert done.exit_code == 0, done.output
        outs.append((out.read_bytes(), truth.read_bytes()))
    assert outs[0] == outs[1]
    requests = [json.loads(line) for line in outs[0][0].splitlines()]
    sessions = {
        pair["value"]["stringValue"]
        for request in requests
        for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        for pair in span["attributes"]
        if pair["key"] == "gen_ai.conversation.id"
    }
    told = [json.loads(line) for line in outs[0][1].splitlines()]
    incidents = [one for one in told if one["label"] == "incident"]
    assert incidents
    assert {one["session_id"] for one in incidents} <= sessions
    assert {one["strength"] for one in incidents} == {2.0}
    assert sum(one["label"] == "shift" for one in told) == 6


def test_the_command_writes_to_standard_output() -> None:
    done = runner.invoke(cli.app, ["simulate", "--agents", "6", "--hours", "12", "--out", "-"])
    assert done.exit_code == 0, done.output
    assert all(b"resourceSpans" in line for line in done.stdout_bytes.splitlines())


def test_a_score_counts_alerts_as_people_read_them(strong: Run) -> None:
    score = Score()
    score.fleet(strong.fleet.start_ns, [])
    told: set[str] = set()
    seen: dict[str, int] = defaultdict(int)
    for window, one in strong.windows:
        mark, alerts = None, []
        if one is not None:
            seen[one.id] += 1
            mark = (one.id, one.kind, one.strength, seen[one.id])
            if one.kind == "burst" and seen[one.id] >= 2:
                alerts = [f"rule {window.session_id}"]  # told in each of its windows but the first
        elif window.agent_id.endswith("000003") and len(told) < 5:
            told.add(window.session_id)
            alerts = [f"rule {window.session_id}"]
        score.note(window, mark, alerts)
    figures = score.figures()
    bursts = len(strong.wrong("burst"))
    assert figures["kinds"]["burst"]["strong"] == {"hits": bursts, "of": bursts}
    assert figures["kinds"]["loop"]["strong"]["hits"] == 0
    assert figures["alerts"] == bursts + 5
    assert figures["false"] == 5
    assert figures["median_windows"] == 2
    assert figures["precision"] == pytest.approx(bursts / (bursts + 5), abs=1e-4)


def test_the_public_corpus_is_read_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "skipped" in nab.measure(None)
    assert "no folder" in capsys.readouterr().err
    moments = [f"2024-01-{1 + i // 288:02d} {i % 288 // 12:02d}:{i % 12 * 5:02d}:00" for i in range(1_000)]
    values = [900.0 if 700 <= i < 705 else 10.0 + i % 7 for i in range(1_000)]
    (tmp_path / "data/made").mkdir(parents=True)
    rows = "\n".join(f"{moment},{value}" for moment, value in zip(moments, values, strict=True))
    (tmp_path / "data/made/one.csv").write_text(f"timestamp,value\n{rows}\n")
    (tmp_path / "labels").mkdir()
    wrong = [[f"{moments[680]}.000000", f"{moments[729]}.000000"]]
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps({"made/one.csv": wrong, "made/none.csv": []}))
    (series,) = nab.read(tmp_path)
    assert series.wrong == [(680, 729)]
    assert [one.counts["bytes_out"] for one in nab.windows(series)][702] == 1_001_000
    standard = nab.WEIGHTS["standard"]
    assert nab.score(series, [], standard) == (-1.0, -1.0, 1.0)
    early, late = nab.score(series, [680], standard)[0], nab.score(series, [728], standard)[0]
    assert early == pytest.approx(1.0)
    assert 0 < late < early
    assert nab.score(series, [680, 300], standard)[0] == pytest.approx(1.0 - 0.11)
    assert nab.score(series, [10], standard)[0] == -1.0
    figures = nab.measure(tmp_path)
    assert figures["series"] == 1
    assert figures["scores"]["z-score of 3"]["standard"] > 50
    assert msgspec.json.encode(figures)
