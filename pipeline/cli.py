"""The command line and composition root: builds Settings once and hands each part its own piece.

Every part is imported by the command that needs it, so that `--help`, `scan` and `detect` start at once.
An expected error becomes one line on stderr and an exit status of its own (EXIT); a traceback is always a bug.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import errors
from replay.policy_commands import policy_app
from replay.simulate_command import simulate

if TYPE_CHECKING:
    from pipeline.settings import Settings

EXIT: dict[type[errors.Error], int] = {
    errors.SettingsError: 3,
    errors.RuleError: 4,
    errors.StateError: 5,
    errors.DecodeError: 6,
    errors.SinkUnavailable: 7,
    errors.SinkRejected: 8,
    errors.LogFull: 9,
}
OTHER_ERROR = 10
INTERRUPTED = 130

app = typer.Typer(
    name="spanwatch",
    help="Streaming detection over AI-agent telemetry: OpenTelemetry in, masked, detected, stored.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(help="Look at the detection rules.", no_args_is_help=True)
replay_app = typer.Typer(help="Run other rules over stored history, beside the live results.", no_args_is_help=True)
token_app = typer.Typer(help="Bearer tokens of emitters.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")
app.add_typer(replay_app, name="replay")
app.add_typer(token_app, name="token")
app.add_typer(policy_app, name="policy")


class Level(StrEnum):
    """Severities as words."""

    info = "info"
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"


class RuleKind(StrEnum):
    """What rules look at."""

    secret = "secret"
    behaviour = "behaviour"
    correlation = "correlation"
    detector = "detector"


class Importable(StrEnum):
    """Scanners whose rule files we read."""

    gitleaks = "gitleaks"
    kingfisher = "kingfisher"


Paths = Annotated[list[Path], typer.Argument(help="files and folders; - is standard input", show_default=False)]
Folder = Annotated[Path | None, typer.Option(help="a folder of further rules")]
Overrides = Annotated[Path | None, typer.Option(help="a file of changes to rules")]


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="settings file (TOML)")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    context.obj = config


def _settings(context: typer.Context) -> Settings:
    from pipeline import settings, telemetry

    built = settings.load(context.obj)
    telemetry.configure(built.log_level, built.log_format)
    return built


def _store_settings(context: typer.Context) -> Settings:
    """Settings of a command that opens the store; what is made on the way is readable for its owner only."""
    settings = _settings(context)
    if settings.clickhouse.interface == "chdb":
        settings.make_data_dir()
    return settings


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)


# ---------------------------------------------------------------------------- running
@app.command()
def serve(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print no findings")] = False,
) -> None:
    """Run everything in one process: gateway, engine and chDB store. The default way to start."""
    settings = _settings(context)
    settings.make_data_dir()
    from pipeline import embedded
    from pipeline.sinks.console import ConsoleSink

    def ready(running: embedded.Embedded) -> None:
        """Where to send, where the results are, how to stop: for a person at a terminal."""
        if not sys.stderr.isatty():
            return
        host = f"[{settings.gateway.host}]" if ":" in settings.gateway.host else settings.gateway.host
        grpc = f", gRPC {host}:{running.grpc_port}" if running.grpc_port else ""
        print(f"send OTLP to http://{host}:{running.http_port}{grpc}; how: docs/connect.md", file=sys.stderr)
        print(f"results go to {settings.data_dir}; alerts appear here; ctrl-C stops", file=sys.stderr)

    listeners = [] if quiet else [ConsoleSink().write]
    raise typer.Exit(embedded.serve(settings, listeners=listeners, started=ready))


@app.command()
def gateway(context: typer.Context) -> None:
    """Receive OTLP, mask it, and hand it to Kafka."""
    settings = _settings(context)
    from pipeline import kafka_gateway

    raise typer.Exit(kafka_gateway.serve_gateway(settings))


@app.command()
def worker(context: typer.Context) -> None:
    """Detect over Kafka topics and store the results in ClickHouse."""
    settings = _settings(context)
    from pipeline import live

    live.run_worker(settings)


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the store's schema up to date; safe to repeat."""
    settings = _store_settings(context)
    from pipeline import migrate as migrations
    from pipeline.sinks.clickhouse import connect

    applied = migrations.migrate(connect(settings.clickhouse, settings.data_dir), settings.clickhouse)
    for name in applied:
        print(f"applied {name}")
    print(f"the schema is up to date ({len(migrations.migrations())} steps)")


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="the fleet's dice")] = 1,
    sessions: Annotated[int, typer.Option(min=1, help="honest sessions")] = 60,
    seconds: Annotated[float, typer.Option(min=1, help="how long the fleet takes")] = 15.0,
) -> None:
    """Watch a simulated fleet leak, steal and destroy, and see each of it found."""
    from pipeline.demo import stage

    raise typer.Exit(stage.run(seed=seed, sessions=sessions, seconds=seconds))


# ---------------------------------------------------------------------------- files
@app.command()
def detect(
    context: typer.Context,
    paths: Paths,
    findings: Annotated[bool, typer.Option("--findings", help="print findings instead of alerts")] = False,
    min_severity: Annotated[Level, typer.Option(help="leave out what is less severe")] = Level.info,
) -> None:
    """Run OTLP files (JSON, JSON lines, protobuf; .gz, .zst) through the engine: one JSON object per alert.

    Exit status 1 when some input could not be read; everything else was processed.
    """
    settings = _settings(context)
    from detectors.model import Severity
    from pipeline import build, offline

    rules = build.rules(settings)
    report = offline.detect(
        paths,
        ingest=build.ingest(settings, rules),
        engine=build.engine(settings, rules),
        write=_write,
        max_bytes=settings.gateway.max_body_bytes,
        received_ns=time.time_ns(),
        results="findings" if findings else "alerts",
        min_severity=Severity[min_severity.value.upper()],
    )
    sys.stdout.flush()
    _close(report, f"{report.spans:,} spans and log events, {report.results:,} results")


@app.command()
def scan(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="files and folders; default: standard input")] = None,
    unpack: Annotated[bool, typer.Option("--unpack", help="look inside .gz and .zst files")] = False,
) -> None:
    """Run the secret rules over plain text: one JSON object per match.

    Exit status 1 when some input could not be read; everything else was scanned.
    """
    settings = _settings(context)
    from pipeline import build, offline

    scanner = build.scanner(settings, build.secret_rules(settings))
    report = offline.scan(paths or [], scanner=scanner, write=_write, unpack=unpack)
    sys.stdout.flush()
    _close(report, f"{report.results:,} matches")


def _close(report: Any, results: str) -> None:
    """The last line of a run over files, and its exit status."""
    words = [f"{report.files:,} files", results]
    if report.skipped:
        words.append(f"{report.skipped:,} objects of other kinds skipped")
    if report.broken:
        words.append(f"{report.broken:,} could not be read")
    if report.broken or not report.files or sys.stderr.isatty():
        print("spanwatch: " + ", ".join(words), file=sys.stderr)
    raise typer.Exit(1 if report.broken else 0)


# ---------------------------------------------------------------------------- rules
@rules_app.command("check")
def rules_check(
    context: typer.Context,
    folders: Annotated[list[Path] | None, typer.Argument(help="further folders of rules")] = None,
    overrides: Overrides = None,
) -> None:
    """Read every rule, lint it, run its examples, and print all faults with file and line; 4 when any.

    A fault: what is no rule, a rule that cannot fire, an example that does not hold, an unknown standards id or row.
    What only makes a rule hard to read (no runbook, no blind spots, no examples) is a fault in ours, a note in yours.
    """
    from pipeline import rule_table

    settings = _settings(context)
    found = _ruleset(context, folders or [], overrides)
    wrong, notes = rule_table.checked(found, settings)
    for line in notes:
        print(f"spanwatch: note: {line}", file=sys.stderr)
    for line in wrong:
        print(f"spanwatch: {line}", file=sys.stderr)
    kinds = {"secret": found.secrets, "behaviour": found.behaviour, "correlation": found.correlation}
    print(", ".join(f"{len(rules)} {kind}" for kind, rules in kinds.items()) + f" rules, hash {found.hash}")
    raise typer.Exit(EXIT[errors.RuleError] if wrong else 0)


@rules_app.command("list")
def rules_list(
    context: typer.Context,
    folders: Annotated[list[Path] | None, typer.Argument(help="further folders of rules")] = None,
    overrides: Overrides = None,
    kind: Annotated[RuleKind | None, typer.Option(help="only rules of this kind, with what only they have")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per rule")] = False,
) -> None:
    """List every rule, one a line; into a pipe with tabs between and no heading."""
    from pipeline import rule_table

    rows = rule_table.rows(_ruleset(context, folders or [], overrides), kind.value if kind else None)
    rule_table.show(rows, as_json=as_json)


@rules_app.command("new")
def rules_new(
    name: Annotated[str, typer.Argument(metavar="THEME.THING", help="name of the rule; it is never changed")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write here; default: standard output")] = None,
) -> None:
    """Write the skeleton of a Sigma rule. `rules check` refuses it until its examples are real."""
    from pipeline import rule_table

    text = rule_table.skeleton(name)
    if out is None:
        print(text, end="")
    elif out.exists():
        raise errors.RuleError(str(out), "$", "is there already")
    else:
        out.write_text(text, "utf-8")


@rules_app.command("import")
def rules_import(
    tool: Annotated[Importable, typer.Argument(help="whose rule file it is")],
    file: Annotated[Path, typer.Argument(help="the rule file: TOML of gitleaks, YAML of Kingfisher")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write here; default: standard output")] = None,
) -> None:
    """Turn another scanner's secret rules into ours; what could not be carried over is named on stderr.

    Put the file into the folder `secrets` of a folder of rules. Exit status 1 when a rule was left out.
    """
    from detectors import secret_import

    made = secret_import.convert(tool.value, file)
    for one in made.left:
        print(f"{one.rule}: {'left out: ' if one.whole else ''}{one.reason}", file=sys.stderr)
    if out is None:
        print(made.text, end="")
    else:
        out.write_text(made.text, "utf-8")
    lost = sum(one.whole for one in made.left)
    print(f"spanwatch: {made.rules:,} rules imported, {lost:,} left out", file=sys.stderr)
    raise typer.Exit(1 if lost else 0)


def _ruleset(context: typer.Context, folders: list[Path], overrides: Path | None) -> Any:
    from pipeline import build

    return build.rules(_with_rules(_settings(context), folders, overrides))


def _with_rules(settings: Settings, folders: list[Path], overrides: Path | None) -> Settings:
    """The settings with these rule folders and overrides on top of their own."""
    changes: dict[str, Any] = {"folders": (*settings.rules.folders, *folders)}
    if overrides is not None:
        changes["overrides"] = overrides
    return settings.model_copy(update={"rules": settings.rules.model_copy(update=changes)})


# ---------------------------------------------------------------------------- replay
def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Received = Annotated[datetime | None, typer.Option(parser=_moment, metavar="ISO-TIME", help="time of receipt; UTC")]
Happened = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="ISO-TIME", help="time of what was found; UTC")
]


@replay_app.command("run")
def replay_run(
    context: typer.Context,
    label: Annotated[str, typer.Option(help="name of this run; results stand beside the live ones under it")],
    files: Annotated[list[Path] | None, typer.Argument(help="OTLP files instead of the store's history")] = None,
    rules: Folder = None,
    overrides: Overrides = None,
    since: Received = None,
    until: Received = None,
) -> None:
    """Run history through the engine with these rules; no notification ever leaves a replay."""
    live = _store_settings(context)
    from replay import run

    settings = _with_rules(live, [rules] if rules else [], overrides)
    report = run.replay(live, label, settings=settings, files=files or [], since=since, until=until)
    print(report.line())
    if sys.stderr.isatty():
        print(f"next: spanwatch replay diff {label} live", file=sys.stderr)
    raise typer.Exit(1 if report.broken else 0)


@replay_app.command("diff")
def replay_diff(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="the run")],
    base: Annotated[str, typer.Argument(help="what it is compared with")] = "live",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of a table")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="exit with 1 when the runs differ")] = False,
    since: Happened = None,
    until: Happened = None,
) -> None:
    """Compare the findings of two runs, rule by rule: added, lost, same."""
    settings = _store_settings(context)
    from replay import compare

    diff = compare.stored(settings, run, base, since=since, until=until)
    if as_json:
        _write(diff.json() + b"\n")
    else:
        diff.show()
    raise typer.Exit(1 if exit_code and diff.differs else 0)


@app.command()
def report(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="permissions, agents, credentials, mcp, risk, calls, ...")],
    agent: Annotated[str, typer.Option(help="only this agent id or type")] = "",
    session: Annotated[str, typer.Option(help="only this session")] = "",
    user: Annotated[str, typer.Option(help="only what was done as this user")] = "",
    since: Received = None,
    until: Received = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per row")] = False,
) -> None:
    """Answer a question from the store: what agents may do and did, what is stale, which changes are risky."""
    settings = _store_settings(context)
    from replay import report as reports

    asked = reports.Question(agent=agent, session=session, user=user, since=since, until=until)
    tables = reports.run(settings, what, asked)
    if as_json:
        for line in reports.as_json(tables):
            _write(line)
    else:
        reports.show(tables)


# ---------------------------------------------------------------------------- feeds
@app.command()
def feed(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="JSON lines, an event each; - is standard input")],
    to: Annotated[str, typer.Option(help="base address of the gateway's OTLP/HTTP")] = "http://127.0.0.1:4318",
    token: Annotated[str, typer.Option(help="bearer token of the emitter")] = "",
    token_file: Annotated[Path | None, typer.Option(help="a file that holds the token")] = None,
) -> None:
    """Send events of other systems (leavers, issuers, code hosts, CI, proxies) to a gateway; docs/feeds.md has them.

    Every line is checked before the first is sent.
    """
    from pipeline import feed_sender

    if token_file is not None:
        token = token_file.read_text("utf-8").strip()
    sent = feed_sender.send(files, to=to, token=token)
    print(f"spanwatch: {sent:,} events sent", file=sys.stderr)


app.command()(simulate)


# ---------------------------------------------------------------------------- the rest
@token_app.command("new")
def token_new(
    tenant: Annotated[str, typer.Option(help="whose telemetry this emitter sends")],
    emitter: Annotated[str, typer.Option(help="name of the emitter")],
    requests_per_second: Annotated[float | None, typer.Option(min=0, help="its own limit")] = None,
) -> None:
    """Make a token: the token on stderr, once; its entry for the tokens file on stdout."""
    from pipeline import auth

    made = auth.new_token(tenant, emitter, requests_per_second)
    print(f"token (shown once, give it to the emitter): {made.token}", file=sys.stderr)
    print(made.entry, end="")


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    print(installed("spanwatch"))


def main(arguments: list[str] | None = None, run: Callable[..., Any] = app) -> None:
    """Entry point of the `spanwatch` command."""
    try:
        run(args=arguments)
    except errors.Error as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            print(f"spanwatch: {line}", file=sys.stderr)
        sys.exit(next((status for kind, status in EXIT.items() if isinstance(error, kind)), OTHER_ERROR))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at exit
        sys.exit(1)


if __name__ == "__main__":
    main()
