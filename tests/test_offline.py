"""Offline use: every form a file can have gives the same alerts, and what is broken costs only itself."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]  # the stub leaves it out

from detectors.model import Severity
from detectors.secrets import Scanner
from pipeline import build, offline, otlp_files
from pipeline.settings import Settings
from tests.make import T0
from tests.payloads import as_json, logs, token, traces

KEYS = [
    *("alert_id", "rule_id", "detector", "category", "severity", "confidence", "score", "tenant", "agent_id"),
    *("session_id", "trace_id", "span_id", "ts_ns", "first_ns", "last_ns", "evidence", "standards"),
]
MAX = 2**20


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def rules(settings: Settings) -> Any:
    return build.rules(settings)


Detect = Callable[..., tuple[list[dict[str, Any]], offline.Report]]


@pytest.fixture
def detect(settings: Settings, rules: Any) -> Detect:
    ingest = build.ingest(settings, rules)

    def run(*paths: Path, **more: Any) -> tuple[list[dict[str, Any]], offline.Report]:
        lines: list[bytes] = []
        report = offline.detect(
            paths,
            ingest=ingest,
            engine=build.engine(settings, rules),
            write=lines.append,
            max_bytes=MAX,
            received_ns=T0,
            **more,
        )
        return [json.loads(line) for line in lines], report

    return run


LEAK = traces({"gen_ai.tool.call.arguments": f"git push https://x:{token(1)}@github.com/a/b.git"})
CLEAN = traces({"gen_ai.tool.call.arguments": "git status"}, session="s2")
LOG = logs(f"token is {token(2)}")


def framed(*requests: Any) -> bytes:
    packed = [r.SerializeToString() for r in requests]
    return b"".join(len(p).to_bytes(4) + p for p in packed)


def delimited(*requests: Any) -> bytes:
    packed = [r.SerializeToString() for r in requests]
    return b"".join(_VarintBytes(len(p)) + p for p in packed)


def lines(*requests: Any) -> bytes:
    return b"".join(as_json(r) + b"\n" for r in requests)


FORMS: dict[str, bytes] = {
    "lines.jsonl": lines(CLEAN, LEAK, LOG),
    "no-newline-at-end.jsonl": lines(CLEAN, LEAK, LOG).rstrip(),
    "blank-lines.jsonl": b"\n\n" + lines(CLEAN) + b"\n" + lines(LEAK, LOG),
    "lines.jsonl.gz": gzip.compress(lines(CLEAN, LEAK, LOG)),
    "lines.jsonl.zst": zstandard.compress(lines(CLEAN, LEAK)) + zstandard.compress(lines(LOG)),
    "framed.pb": framed(CLEAN, LEAK, LOG),
    "framed.pb.gz": gzip.compress(framed(CLEAN, LEAK, LOG)),
    "delimited.pb": delimited(CLEAN, LEAK, LOG),
    "framed-json.otlp": b"".join(len(p).to_bytes(4) + p for p in map(as_json, (CLEAN, LEAK, LOG))),
    "framed-zstd.otlp": b"".join(
        len(p).to_bytes(4) + p for p in (zstandard.compress(r.SerializeToString()) for r in (CLEAN, LEAK, LOG))
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_one_input_gives_the_same_alerts(name: str, tmp_path: Path, detect: Detect) -> None:
    file = tmp_path / name
    file.write_bytes(FORMS[name])
    plain = tmp_path / "plain.jsonl"
    plain.write_bytes(lines(CLEAN, LEAK, LOG))
    alerts, report = detect(file)
    assert report.broken == report.skipped == 0
    assert report.requests == 3
    assert alerts == detect(plain)[0]
    assert sum(alert["rule_id"] == "secret.github.pat" for alert in alerts) == 2


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("one.json", as_json(LEAK)),
        ("pretty.json", as_json(LEAK, pretty=True)),
        ("bare.pb", LEAK.SerializeToString()),
        ("bare.pb.gz", gzip.compress(LEAK.SerializeToString())),
    ],
)
def test_a_file_that_is_one_request(name: str, body: bytes, tmp_path: Path, detect: Detect) -> None:
    (tmp_path / name).write_bytes(body)
    alerts, report = detect(tmp_path / name)
    assert (report.requests, report.broken) == (1, 0)
    assert "secret.github.pat" in {alert["rule_id"] for alert in alerts}


def test_bare_protobuf_of_log_records_is_told_from_spans(tmp_path: Path, detect: Detect) -> None:
    (tmp_path / "logs.pb").write_bytes(LOG.SerializeToString())
    alerts, report = detect(tmp_path / "logs.pb")
    assert report.spans == 1
    assert [alert["rule_id"] for alert in alerts] == ["secret.github.pat"]


def test_an_alert_has_exactly_these_keys_in_this_order(tmp_path: Path, detect: Detect) -> None:
    (tmp_path / "x.jsonl").write_bytes(lines(LEAK))
    alerts, _ = detect(tmp_path / "x.jsonl")
    assert alerts
    for alert in alerts:
        assert list(alert) == KEYS
        assert alert["category"] in (1, 2, 3, 4, 5)
        assert alert["severity"] in ("info", "low", "medium", "high", "critical")
        assert int(alert["trace_id"], 16)
        assert int(alert["span_id"], 16)
        assert alert["first_ns"] <= alert["ts_ns"] <= alert["last_ns"]
        assert token(1) not in json.dumps(alert)


def test_one_line_per_alert_however_often_it_changes(tmp_path: Path, detect: Detect) -> None:
    leak = {"gen_ai.tool.call.arguments": f"echo {token(3)}"}
    (tmp_path / "x.jsonl").write_bytes(lines(traces(leak, leak, leak)))
    alerts, _ = detect(tmp_path / "x.jsonl")
    findings, _ = detect(tmp_path / "x.jsonl", results="findings")
    mine = [alert for alert in alerts if alert["rule_id"] == "secret.github.pat"]
    assert len(mine) == 1
    assert mine[0]["last_ns"] - mine[0]["first_ns"] == 2 * 10**9
    assert sum(finding["rule_id"] == "secret.github.pat" for finding in findings) == 3


def test_min_severity_leaves_out_the_rest(tmp_path: Path, detect: Detect) -> None:
    (tmp_path / "x.jsonl").write_bytes(lines(LEAK))
    assert detect(tmp_path / "x.jsonl", min_severity=Severity.HIGH)[0]
    assert detect(tmp_path / "x.jsonl", min_severity=Severity.CRITICAL)[0] == []


def test_broken_lines_cost_only_themselves(tmp_path: Path, detect: Detect, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(
        b'{"resourceSpans": [truncated\n' + lines(CLEAN) + b"nonsense\n" + b"\xff\xfe\n" + lines(LEAK) + b'{"a":\n'
    )
    alerts, report = detect(file)
    assert [alert["rule_id"] for alert in alerts if alert["severity"] == "high"] == ["secret.github.pat"]
    assert (report.requests, report.broken) == (2, 4)
    said = capsys.readouterr().err
    for number in (1, 3, 4, 6):
        assert f"{file}:{number}: not JSON" in said
    assert "nonsense" not in said


def test_a_line_over_the_limit_is_passed_over(tmp_path: Path, detect: Detect) -> None:
    huge = lines(traces({"gen_ai.tool.call.result": "x" * (MAX + 1)}))
    (tmp_path / "x.jsonl").write_bytes(lines(CLEAN) + huge + lines(LEAK))
    alerts, report = detect(tmp_path / "x.jsonl")
    assert (report.requests, report.broken) == (2, 1)
    assert "secret.github.pat" in {alert["rule_id"] for alert in alerts}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("cut.jsonl.gz", gzip.compress(lines(LEAK) * 50)[:-20]),
        ("cut.pb", framed(CLEAN, LEAK)[:-5]),
        ("random.pb", random.Random(1).randbytes(4000)),
        ("text.json", b"not json at all"),
    ],
)
def test_a_file_cut_short_or_of_another_kind_is_reported(
    name: str, body: bytes, tmp_path: Path, detect: Detect
) -> None:
    (tmp_path / name).write_bytes(body)
    (tmp_path / "z.jsonl").write_bytes(lines(LEAK))
    alerts, report = detect(tmp_path)
    assert report.broken >= 1
    assert "secret.github.pat" in {alert["rule_id"] for alert in alerts}


def test_a_folder_is_read_in_order_and_other_objects_are_told_from_broken_ones(tmp_path: Path, detect: Detect) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jsonl").write_bytes(lines(CLEAN) + b'{"labels": 1}\n')
    (tmp_path / "b" / "c.json").write_bytes(as_json(LEAK, pretty=True))
    (tmp_path / "notes.txt").write_text("ignored")
    _, report = detect(tmp_path)
    assert (report.files, report.requests, report.skipped, report.broken) == (2, 2, 1, 0)
    (tmp_path / "labels.jsonl").write_bytes(b'{"labels": 1}\n' * 3)
    _, report = detect(tmp_path / "labels.jsonl")
    assert (report.requests, report.skipped, report.broken) == (0, 3, 1)


def test_a_missing_file_is_one_line(tmp_path: Path, detect: Detect, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = detect(tmp_path / "nothing")
    assert report.broken == 1
    assert capsys.readouterr().err == f"{tmp_path / 'nothing'}: No such file or directory\n"


def test_empty_files_are_sound(tmp_path: Path, detect: Detect) -> None:
    for name in ("a.jsonl", "b.pb", "c.json"):
        (tmp_path / name).write_bytes(b"" if name != "c.json" else b"\n \n")
    alerts, report = detect(tmp_path)
    assert (alerts, report.broken, report.files) == ([], 0, 3)


# ---------------------------------------------------------------------------- scan
@pytest.fixture(scope="module")
def scanner(settings: Settings, rules: Any) -> Scanner:
    return build.scanner(settings, rules)


def scanned(scanner: Scanner, *paths: Path, unpack: bool = False) -> tuple[list[dict[str, Any]], offline.Report]:
    out: list[bytes] = []
    report = offline.scan(paths, scanner=scanner, write=out.append, unpack=unpack)
    return [json.loads(line) for line in out], report


def test_scan_gives_the_bytes_of_the_secret_itself(tmp_path: Path, scanner: Scanner) -> None:
    file = tmp_path / "x.txt"
    data = f"first line\nüñí export GH={token(4)}\n".encode() + b"\x00\xff\n" + f"{token(5)}\n".encode()
    file.write_bytes(data)
    found, report = scanned(scanner, file)
    assert report.broken == 0
    assert [(m["line"], data[m["start"] : m["end"]].decode()) for m in found] == [(2, token(4)), (4, token(5))]
    assert all(list(m)[:4] == ["file", "line", "start", "end"] for m in found)
    assert [m["length"] for m in found] == [40, 40]
    assert {m["verdict"] for m in found} == {"valid"}
    assert found[0]["fingerprint"] == scanner.fingerprint(token(4))
    keys = {"file", "line", "start", "end", "rule_id", "length", "fingerprint", "verdict", "tier", "layers"}
    assert set(found[0]) == keys


def test_scan_finds_secrets_wherever_a_chunk_ends(
    tmp_path: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are made so small that secrets stand before, across and behind every kind of edge."""
    monkeypatch.setattr(offline, "CHUNK", 400)
    monkeypatch.setattr(offline, "BEFORE", 60)
    monkeypatch.setattr(offline, "AFTER", 90)
    dice = random.Random(3)
    data, expected = b"", []
    for seed in range(200):
        data += b"x" * dice.randrange(80) + b"\n" * dice.randrange(3) + b" "
        expected.append((data.count(b"\n") + 1, len(data), len(data) + 40))
        data += token(seed).encode() + b" "
    (tmp_path / "x").write_bytes(data)
    found, _ = scanned(scanner, tmp_path / "x")
    assert [(m["line"], m["start"], m["end"]) for m in found] == expected


def test_scan_goes_into_folders_and_into_archives_only_when_asked(tmp_path: Path, scanner: Scanner) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.env").write_text(token(6))
    (tmp_path / "b.gz").write_bytes(gzip.compress(token(7).encode()))
    (tmp_path / "link").symlink_to(tmp_path / "a" / "x.env")
    assert [m["file"] for m in scanned(scanner, tmp_path)[0]] == [str(tmp_path / "a" / "x.env")]
    assert len(scanned(scanner, tmp_path, unpack=True)[0]) == 2


def test_scan_reports_what_it_cannot_read(tmp_path: Path, scanner: Scanner) -> None:
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"x" * 1000)[:-6])
    found, report = scanned(scanner, tmp_path / "b.gz", tmp_path / "missing", unpack=True)
    assert (found, report.broken) == ([], 2)


def test_reading_does_not_hold_the_whole_file(tmp_path: Path) -> None:
    """The reader takes a long file request by request: after the first of many it has barely moved."""
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(CLEAN) * 20_000)
    opened = otlp_files.File(file, max_bytes=MAX)
    next(iter(opened))
    assert opened.position < file.stat().st_size / 10
    opened.close()
