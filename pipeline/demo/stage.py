"""`spanwatch demo`: starts the product on an empty folder, lets the fleet play on it, and keeps the score.

Everything shown is read back: an alert counts as found when a query on the store returns it, and the planted
secrets are searched for in all that was kept. Exit status 0 means every incident found, every honest session
silent, nothing refused and no secret kept.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detectors.model import Alert, Severity
from pipeline import telemetry
from pipeline.demo import proof
from pipeline.demo.fleet import Done, Planted
from pipeline.embedded import LOG_FILE, Embedded
from pipeline.records import Block
from pipeline.settings import ClickHouse, Gateway, Log, Rules, Settings, Worker
from pipeline.sinks.clickhouse import connect
from pipeline.sinks.console import STYLES, ConsoleSink, cut

WIDTH = 100
NOISE = Severity.MEDIUM  # from here on an alert in an honest session is a false alarm
PATIENCE = 20.0  # seconds after the fleet's end for what was sent to be stored
_event = msgspec.json.Decoder(Planted | Done)


class Seen(NamedTuple):
    """An alert and when a query on the store first returned it."""

    alert: Alert
    readable_ns: int


class Watcher:
    """Listens to stored blocks and asks the store for each alert before it counts it."""

    def __init__(self, console: Console) -> None:
        self.running: Embedded | None = None
        self.seen: dict[str, Seen] = {}
        self._screen = ConsoleSink(console, least=NOISE)

    def __call__(self, block: Block) -> None:
        alerts = {o.id: o for o in block.outcomes if isinstance(o, Alert)}
        new = [alert_id for alert_id in alerts if alert_id not in self.seen]
        if new and self.running:
            table = f"{self.running.settings.clickhouse.database}.alerts"
            query = f"SELECT DISTINCT Id FROM {table} WHERE Run = 'live' AND Id IN {{ids:Array(String)}}"
            readable = {row[0] for row in self.running.query(query, ids=new)}
            now = time.time_ns()
            self.seen.update((alert_id, Seen(alerts[alert_id], now)) for alert_id in new if alert_id in readable)
        for alert_id, alert in alerts.items():
            if alert_id in self.seen:
                self.seen[alert_id] = self.seen[alert_id]._replace(alert=alert)
        self._screen.write(block)


class Score(NamedTuple):
    """A planted incident and the alert that found it, if one did."""

    planted: Planted
    found: Seen | None

    @property
    def milliseconds(self) -> float:
        return (self.found.readable_ns - self.planted.exported_ns) / 1e6 if self.found else 0.0


def score(planted: Planted, seen: Iterable[Seen]) -> Score:
    """The first alert, in the incident's own sessions, of the best rule that tells what happened."""
    fitting = [
        one
        for one in seen
        if one.alert.session_id in planted.sessions
        and one.alert.rule_id in planted.expect
        and one.alert.severity >= NOISE
    ]
    return Score(
        planted,
        min(fitting, key=lambda one: (planted.expect.index(one.alert.rule_id), one.readable_ns), default=None),
    )


def false_alarms(incidents: Sequence[Planted], seen: Iterable[Seen]) -> list[Alert]:
    """Alerts that matter in sessions where nothing happened."""
    guilty = {session for planted in incidents for session in planted.sessions}
    return [one.alert for one in seen if one.alert.severity >= NOISE and one.alert.session_id not in guilty]


def settings_for(folder: Path) -> Settings:
    """The defaults on free ports and an empty folder, whatever this machine's environment says."""
    return Settings(
        data_dir=folder,
        key=None,
        rules=Rules(),
        gateway=Gateway(port=0, grpc_port=-1),
        log=Log(),
        clickhouse=ClickHouse(),
        worker=Worker(batch_seconds=0.05),
    )


def run(*, seed: int = 1, sessions: int = 60, seconds: float = 15.0, console: Console | None = None) -> int:
    """Play the demo; the exit status."""
    telemetry.configure("error")
    console = _at_width(console or Console(highlight=False))
    with tempfile.TemporaryDirectory(prefix="spanwatch-demo-") as folder:
        return asyncio.run(_play(Path(folder), console, seed=seed, sessions=sessions, seconds=seconds))


def _at_width(console: Console) -> Console:
    """Never wider than the layout is made for, and not narrower where there is no terminal to ask."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


async def _play(folder: Path, console: Console, *, seed: int, sessions: int, seconds: float) -> int:
    settings, watcher = settings_for(folder), Watcher(console)
    begun = time.monotonic()
    with console.status("starting gateway, engine and store in this process ..."):
        running = Embedded(settings, listeners=[watcher])
        await running.__aenter__()
    watcher.running = running
    found = proof.Found(secrets=0)
    try:
        _opening(console, running.http_port, time.monotonic() - begun)
        incidents, done = await _fleet(running.http_port, seed=seed, sessions=sessions, seconds=seconds)
        await running.wait_processed(PATIENCE)
        needles = proof.needles_of(parts for planted in incidents for parts in planted.secrets)
        found.secrets = len(needles)
        table = f"{settings.clickhouse.database}.spans"
        [(masked, spans)] = running.query(f"SELECT sum(length(SecretRules)), count() FROM {table} FINAL")
        await asyncio.to_thread(_search_open, settings, needles, found)
    finally:
        await running.stop()
    proof.search_files(folder, needles, found)
    scores = [score(planted, watcher.seen.values()) for planted in incidents]
    alarms = false_alarms(incidents, watcher.seen.values())
    _verdict(console, scores, alarms, done)
    _figures(console, done, spans, masked, found)
    good = all(s.found for s in scores) and not alarms and not done.failed and not found.found
    _closing(console, good)
    return 0 if good else 1


def _search_open(settings: Settings, needles: Sequence[Sequence[bytes]], found: proof.Found) -> None:
    with closing(connect(settings.clickhouse, settings.data_dir)) as client:
        proof.search_tables(client, settings.clickhouse.database, needles, found)
    proof.search_log(settings.data_dir / LOG_FILE, needles, found)


async def _fleet(port: int, *, seed: int, sessions: int, seconds: float) -> tuple[list[Planted], Done]:
    """Run the fleet in a process of its own; what it planted, and how it ended."""
    arguments = [f"http://127.0.0.1:{port}", f"--seed={seed}", f"--sessions={sessions}", f"--seconds={seconds}"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipeline.demo.fleet", *arguments, stdout=asyncio.subprocess.PIPE, limit=2**22, env=clean
    )
    incidents: list[Planted] = []
    done: Done | None = None
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            event = _event.decode(line)
            if isinstance(event, Planted):
                incidents.append(event)
            else:
                done = event
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    if done is None:
        raise RuntimeError(f"the fleet ended early (status {process.returncode})")
    return incidents, done


# ---------------------------------------------------------------------------- what is shown
def _opening(console: Console, port: int, seconds: float) -> None:
    console.print()
    console.print("[bold]spanwatch demo[/bold]  [dim]gateway, engine and chDB store in one process[/dim]")
    console.print(
        f"[dim]ready in {seconds:.1f} s; a simulated fleet now sends OpenTelemetry to http://127.0.0.1:{port}[/dim]"
    )
    console.print()


def _verdict(console: Console, scores: Sequence[Score], alarms: Sequence[Alert], done: Done) -> None:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("planted incident", max_width=42, no_wrap=True)
    table.add_column("found by rule", max_width=38, no_wrap=True)
    table.add_column("severity", justify="center")
    table.add_column("after", justify="right", no_wrap=True)
    for one in scores:
        if one.found:
            severity = one.found.alert.severity
            label = f"[{STYLES[severity]}]{severity.label:^8}[/]"
            table.add_row(
                cut(one.planted.title, 42), cut(one.found.alert.rule_id, 38), label, f"{one.milliseconds:,.0f} ms"
            )
        else:
            table.add_row(one.planted.title, "[bold red]NOT FOUND[/]", "", "")
    console.print()
    console.print(table)
    console.print()
    loud = {alert.session_id for alert in alarms}
    noisy = sum(1 for sessions in done.honest if loud & set(sessions))
    silent = f"{len(done.honest) - noisy} of {len(done.honest)} honest sessions silent"
    console.print(
        f"[{'green' if not alarms else 'bold red'}]{silent}[/] [dim](no alert of medium severity or more)[/dim]"
    )
    for alert in alarms[:10]:
        console.print(f"  [bold red]false alarm[/] {escape(alert.rule_id)} in session {escape(alert.session_id)}")


def _figures(console: Console, done: Done, stored: int, masked: int, found: proof.Found) -> None:
    sent = done.spans + done.logs
    rate = f"{sent / done.seconds:,.0f}/s" if done.seconds else ""
    console.print(
        f"{sent:,} spans and log events sent ({done.spans:,} + {done.logs:,}) in {done.seconds:.1f} s, {rate}; "
        f"{stored:,} stored, {done.failed:,} refused"
    )
    console.print("[dim]the pace is the fleet's own; what the product can take is in docs/benchmarks.md[/dim]")
    console.print(f"{masked:,} secrets masked before the first write")
    verdict = "green" if not found.found else "bold red"
    console.print(f"[{verdict}]raw secrets found in the data directory: {len(found.found)} of {found.secrets}[/]")
    console.print(
        f"[dim]searched: {found.files:,} files, {found.file_bytes / 1e6:,.1f} MB, "
        f"{found.rows:,} table rows and {found.records:,} log records unpacked[/dim]"
    )


def _closing(console: Console, good: bool) -> None:
    console.print()
    if not good:
        console.print("[bold red]The demo failed: see above what was missed, noisy, refused or kept.[/]")
        return
    console.print("[bold]Now with your own agents:[/bold]")
    console.print(f"  {_command()} serve")
    console.print("and in the shell that starts an agent, for example Claude Code:", style="dim")
    console.print("  export CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOG_TOOL_DETAILS=1")
    console.print("  export OTEL_LOGS_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    console.print("  export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318")
    console.print("Codex, Gemini CLI, a Collector, any SDK: docs/connect.md", style="dim")


def _command() -> str:
    """How this command is called from here."""
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else "spanwatch"
