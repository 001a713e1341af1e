"""The command line: one clear line and a status of its own for every expected error, and no slow start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli, errors, settings
from tests.payloads import as_json, token, traces

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`spanwatch` in a process of its own with an empty data directory."""

    def call(*arguments: str | Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SPANWATCH_")}
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**clean, "SPANWATCH_DATA_DIR": str(tmp_path / "data"), "NO_COLOR": "1", "COLUMNS": "100", **env},
        )

    return call


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("serve", "gateway", "worker", "migrate", "detect", "scan", "replay", "rules", "token", "demo"):
        assert f" {command} " in done.stdout


def test_help_and_version_load_no_engine_and_no_store() -> None:
    """Starting at once means not importing what only other commands need."""
    code = (
        "import sys; from pipeline import cli\n"
        "slow = {'hyperscan', 'river', 'chdb', 'clickhouse_connect', 'faust', 'fastapi', 'grpc', 'opentelemetry'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_scan_loads_no_store_and_no_server(run: Run, tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline import cli\n"
        f"try: cli.main(['scan', {str(tmp_path)!r}])\n"
        "except SystemExit: pass\n"
        "slow = {'river', 'chdb', 'faust', 'fastapi', 'grpc'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    env = {**os.environ, "SPANWATCH_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(("kind", "status"), cli.EXIT.items())
def test_each_error_has_its_own_status_and_no_traceback(
    kind: type[errors.Error], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(args: object) -> None:
        raise kind("a.yml", "$", "wrong") if kind is errors.RuleError else kind("what is wrong")  # type: ignore[call-arg]  # RuleError takes three

    with pytest.raises(SystemExit) as end:
        cli.main([], run=fails)
    assert end.value.code == status
    said = capsys.readouterr().err
    assert said.startswith("spanwatch: ")
    assert said.count("\n") == 1


def test_every_error_has_a_status_and_none_is_shared() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Error)}
    assert kinds - {errors.Error} == cli.EXIT.keys()
    statuses = [*cli.EXIT.values(), cli.OTHER_ERROR, cli.INTERRUPTED, 0, 1, 2]
    assert len(set(statuses)) == len(statuses)


def test_a_mistyped_setting_is_refused(run: Run) -> None:
    done = run("rules", "check", SPANWATCH_DATADIR="x")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "spanwatch: unknown setting: SPANWATCH_DATADIR; did you mean SPANWATCH_DATA_DIR?\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GATEWAY__PORTT", "1", "unknown setting: gateway.portt; did you mean gateway.port?"),
        ("LOG_LEVEL", "loud", "log_level: should be 'debug', 'info', 'warning' or 'error'"),
        ("GATEWAY", "x", "SPANWATCH_GATEWAY: is a section; set its parts one by one, as SPANWATCH_GATEWAY__..."),
        ("CONFIG", "/nowhere.toml", "/nowhere.toml: No such file or directory"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SPANWATCH_{name}", value)
    with pytest.raises(errors.SettingsError) as caught:
        settings.load()
    assert str(caught.value) == said


def test_a_file_that_is_no_toml_is_refused_by_place_and_never_quoted(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[clickhouse]\npassword = "hush" hush\n')
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    for name, said in (("a", "not TOML, at line 2, column 19"), ("b", "not TOML, not even text")):
        with pytest.raises(errors.SettingsError) as caught:
            settings.load(tmp_path / f"{name}.toml")
        assert str(caught.value) == f"{tmp_path / name}.toml: {said}"


@pytest.mark.parametrize("value", ["/a:/b", '["/a", "/b"]'])
def test_rule_folders_come_in_one_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like PATH, or as JSON."""
    monkeypatch.setenv("SPANWATCH_RULES__FOLDERS", value)
    assert settings.load().rules.folders == (Path("/a"), Path("/b"))


def test_serve_refuses_a_data_dir_that_cannot_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder, reason in ((tmp_path / "taken", "not a folder"), (tmp_path / "taken" / "in", "Not a directory")):
        done = run("serve", SPANWATCH_DATA_DIR=str(folder))
        assert (done.returncode, done.stderr) == (3, f"spanwatch: data_dir {folder}: {reason}\n")


def test_what_is_made_for_a_key_is_its_owners(run: Run, tmp_path: Path) -> None:
    assert run("scan", stdin="nothing here").returncode == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_diff_over_an_empty_store_says_so(run: Run) -> None:
    done = run("replay", "diff", "a")
    assert done.returncode == 3
    assert done.stderr == "spanwatch: database spanwatch: nothing is stored yet; is data_dir the right one?\n"


def test_version_is_an_option_too(run: Run) -> None:
    assert run("--version").stdout == run("version").stdout != ""


def test_a_settings_file_is_named_by_config(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[gateway]\nport = 70000\n")
    done = run("-c", tmp_path / "s.toml", "rules", "check")
    assert done.returncode == 3
    assert "gateway.port" in done.stderr


def test_detect_prints_alerts_and_ends_with_1_when_something_was_broken(run: Run, tmp_path: Path) -> None:
    leak = as_json(traces({"gen_ai.tool.call.arguments": f"echo {token(1)}"})) + b"\n"
    (tmp_path / "x.jsonl").write_bytes(leak)
    done = run("detect", tmp_path / "x.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {alert["rule_id"] for alert in alerts} == {"identity.static-credential", "secret.github.pat"}

    (tmp_path / "x.jsonl").write_bytes(leak + b"broken\n")
    again = run("detect", tmp_path / "x.jsonl")
    assert again.returncode == 1
    assert again.stdout == done.stdout
    assert f"{tmp_path / 'x.jsonl'}:2: not JSON" in again.stderr
    assert "1 could not be read" in again.stderr
    assert "Traceback" not in again.stderr


def test_detect_reads_standard_input_and_prints_findings(run: Run) -> None:
    leak = as_json(traces({"gen_ai.tool.call.arguments": f"echo {token(1)}"})).decode() + "\n"
    done = run("detect", "-", "--findings", "--min-severity", "high", stdin=leak)
    assert done.returncode == 0
    [finding] = [json.loads(line) for line in done.stdout.splitlines()]
    assert next(iter(finding)) == "finding_id"
    assert finding["rule_id"] == "secret.github.pat"


def test_scan_reads_standard_input(run: Run) -> None:
    done = run("scan", stdin=f"a\nb {token(2)}\n")
    [match] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (match["file"], match["line"], match["start"], match["end"]) == ("stdin", 2, 4, 44)
    assert done.returncode == 0
    assert token(2) not in done.stdout + done.stderr


def test_rules_list_and_check(run: Run, tmp_path: Path) -> None:
    listed = [json.loads(line) for line in run("rules", "list", "--json").stdout.splitlines()]
    assert {rule["id"]: rule["severity"] for rule in listed}["secret.github.pat"] == "high"
    lines = [line.split("\t") for line in run("rules", "list").stdout.splitlines()]
    assert lines == [list(rule.values()) for rule in listed], "in a pipe a rule is a line, folded nowhere"
    assert {rule["severity"] for rule in listed} <= {"info", "low", "medium", "high", "critical"}
    (tmp_path / "mine" / "secrets").mkdir(parents=True)
    (tmp_path / "mine" / "secrets" / "a.yml").write_text("- id: 'BAD ID'\n")
    (tmp_path / "mine" / "secrets" / "b.yml").write_text("{")
    done = run("rules", "check", tmp_path / "mine")
    assert done.returncode == 4
    assert "a.yml" in done.stderr
    assert "b.yml:2: not readable as YAML" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "empty").mkdir()
    done = run("rules", "check", tmp_path / "empty", tmp_path / "none")
    assert done.stderr.splitlines() == [
        f"spanwatch: {tmp_path / 'empty'}: no rule file (*.yml, *.yaml) in it",
        f"spanwatch: {tmp_path / 'none'}: no such folder",
    ]


def test_files_without_any_input_are_not_passed_over_in_silence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = run("detect", tmp_path / "in")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("spanwatch: 0 files, ")


def test_token_new_keeps_the_token_apart_from_its_entry(run: Run) -> None:
    done = run("token", "new", "--tenant", "acme", "--emitter", "ci")
    assert done.returncode == 0
    assert 'tenant = "acme"' in done.stdout
    secret = done.stderr.strip().rsplit(" ", 1)[1]
    assert secret not in done.stdout
    assert run("token", "new", "--tenant", "a b", "--emitter", "ci").returncode == 3


def test_migrate_twice_changes_nothing_the_second_time(run: Run) -> None:
    first, second = run("migrate"), run("migrate")
    assert first.returncode == second.returncode == 0
    assert "applied 0001_spans" in first.stdout
    assert "applied" not in second.stdout


def test_version(run: Run) -> None:
    from importlib.metadata import version

    assert run("version").stdout.strip() == version("spanwatch")
