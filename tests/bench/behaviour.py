"""Detection quality of behaviour on recorded, labelled sessions: the code of `spanwatch detect`, then the scores."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import re2

import detectors
from detectors import rule
from detectors.engine import Engine
from detectors.secrets import Scanner
from pipeline import offline
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from tests.bench import behaviour_page, vocabularies
from tests.bench.scoring import SEVERITIES, TASKS, labels, per_thousand, rate, score, severe, task_of, top_rules

BENIGN: Final = ("coding", "airline", "developer")
SETS: Final = ("agentdyn", *BENIGN, "risky-code", "judged")
KEY: Final = b"bench"
MAX_BYTES: Final = 256 * 2**20
OUTWARD: Final = re2.compile(  # a tool whose name says that it acts on the world: the baseline alerts on each call
    r"(?i)send|post|email|transfer|pay|upload|share|publish|push|input_to_webpage|submit|create|update|delete|remove|"
    r"invite|grant|add_|checkout|cancel|write|download|message|buy|book|reserve|set_|verify|star|issue|git_|browse|"
    r"get_webpage|click|bash|terminal|python|execute"
)


class Runner:
    """`spanwatch detect` over one data set after another, rules compiled once."""

    def __init__(self) -> None:
        rules = rule.read()
        self._ingest = Ingest(Scanner(rules.secrets, KEY), Gateway(), KEY)
        self._detectors = detectors.load(rules)

    def __call__(self, folder: Path) -> tuple[list[dict[str, Any]], float]:
        """Alerts of the data set, and how long it took in seconds."""
        lines: list[bytes] = []
        began = time.perf_counter()
        report = offline.detect(
            [folder / "traces.jsonl.gz"],
            ingest=self._ingest,
            engine=Engine(self._detectors, key=KEY),
            write=lines.append,
            max_bytes=MAX_BYTES,
            received_ns=time.time_ns(),
        )
        assert not report.broken, folder
        return [json.loads(line) for line in lines], time.perf_counter() - began


def tool_spans(folder: Path) -> Iterator[tuple[str, str, int]]:
    """(trace, tool, end) of every tool call of a data set, as its emitter wrote them."""
    with gzip.open(folder / "traces.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            for resource in json.loads(line)["resourceSpans"]:
                for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                    told = {one["key"]: one["value"].get("stringValue", "") for one in span["attributes"]}
                    if told.get("gen_ai.operation.name") == "execute_tool":
                        yield span["traceId"], told.get("gen_ai.tool.name", ""), int(span["endTimeUnixNano"])


def outward(folder: Path) -> list[dict[str, Any]]:
    """Alerts of the baseline that alerts on every call of a tool with an outward name."""
    return [
        {"trace_id": trace, "severity": "high", "ts_ns": end, "rule_id": "baseline"}
        for trace, tool, end in tool_spans(folder)
        if OUTWARD.search(tool)
    ]


def _agentdyn(known: dict[str, Any], alerts: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    suites = sorted({str(one["meta"].get("suite")) for one in known.values()})
    high = severe(alerts, "high")
    parts = {
        suite: score({t: one for t, one in known.items() if str(one["meta"].get("suite")) == suite}, high, "compromise")
        for suite in suites
    }
    return {
        "compromise": score(known, high, "compromise"),
        "exposure": score(known, alerts, "exposure"),
        "baseline": score(known, outward(folder), "compromise"),
        "suites": parts if len(parts) > 1 else {},
        "per_1000": per_thousand({t: one for t, one in known.items() if one["label"] == "benign"}, alerts),
        "false_high": top_rules(known, high, TASKS["compromise"][1])[:12],
    }


def _judged(known: dict[str, Any], alerts: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    return {
        **{least: score(known, severe(alerts, least), "judged") for least in SEVERITIES[1:4]},
        "baseline": score(known, outward(folder), "judged"),
        "false": top_rules(known, severe(alerts, "medium"), TASKS["judged"][1])[:10],
    }


def _risky(known: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    missed: dict[str, list[tuple[str, int]]] = {}
    seen = {one["trace_id"] for one in severe(alerts, "low")}
    for trace, one in known.items():
        missed.setdefault(task_of(one), []).append((task_of(one), int(trace in seen)))
    scenarios = {name: rate(sum(hit for _, hit in cells), len(cells)) for name, cells in missed.items()}
    return {
        **{least: score(known, severe(alerts, least), "risky") for least in SEVERITIES[:4]},
        "scenarios": dict(sorted(scenarios.items(), key=lambda item: int(item[0]) if item[0].isdigit() else 0)),
    }


def _benign(known: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tool_spans": sum(one["tool_spans"] for one in known.values()),
        "per_1000": per_thousand(known, alerts),
        **{least: score(known, severe(alerts, least), "benign") for least in ("medium", "high")},
        "false": top_rules(known, severe(alerts, "low"), {"benign"})[:15],
    }


def measure(data: Path | None = None, only: Sequence[str] = ()) -> dict[str, Any]:
    """Figures per data set; `skipped` says in a line why there are none."""
    if data is None or not (present := [name for name in only or SETS if (data / name / "labels.jsonl").is_file()]):
        line = "behaviour: skipped, DATA names no folder of recorded sessions (labels.jsonl, traces.jsonl.gz each)"
        print(line, file=sys.stderr)
        return {"skipped": line}
    run = Runner()
    figures: dict[str, Any] = {"sets": {}}
    pooled_known: dict[str, Any] = {}
    pooled: list[dict[str, Any]] = []
    for name in present:
        known, (alerts, took) = labels(data / name), run(data / name)
        alerts = [one for one in alerts if one["trace_id"] in known]
        found: dict[str, Any] = {"sessions": len(known), "seconds": round(took, 1)}
        if name in BENIGN:
            found |= _benign(known, alerts)
            pooled_known |= known
            pooled += alerts
        elif name == "agentdyn":
            found |= _agentdyn(known, alerts, data / name)
        elif name == "judged":
            found |= _judged(known, alerts, data / name)
        else:
            found |= _risky(known, alerts)
        figures["sets"][name] = found
        print(f"behaviour: {name} took {took:.1f} s", file=sys.stderr)
    if pooled_known:
        figures["benign"] = _benign(pooled_known, pooled)
    if find_spec("tests.bench.hijack") and "agentdyn" in present:
        figures["hijack"] = importlib.import_module("tests.bench.hijack").table(data)
    figures["vocabularies"] = vocabularies.measure(run)
    print(behaviour_page.text(figures), file=sys.stderr)
    return figures
