"""The engine and the secret rules over files: `detect` and `scan`, by which detection quality is measured.

Their output is one JSON object per line with a fixed order of keys. Memory does not grow with the input: one
request, one chunk, the engine's bounded state and the last alerts are held.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from detectors.engine import Engine
from detectors.model import Alert, Finding, Severity, Span
from detectors.secrets import Scanner
from pipeline import otlp_files
from pipeline.errors import DecodeError
from pipeline.ingest import Ingest
from pipeline.otlp_files import STDIN, Broken, File, Payload
from pipeline.records import Block, Entry, Record
from pipeline.state import MemoryStore
from pipeline.worker import Worker

BATCH = 2048  # spans handed to the engine at once
PENDING = 100_000  # alerts that may still change; past it the one untouched for longest is printed
SHOWN = 20  # broken places named on stderr; all are counted
CHUNK, BEFORE, AFTER = 4 * 2**20, 4096, 64 * 2**10  # scan: bytes per chunk, context before it, longest secret after

Result: TypeAlias = Literal["alerts", "findings"]
Write: TypeAlias = Callable[[bytes], Any]
Watch: TypeAlias = Callable[[int], None]  # told how many bytes are done
_json = msgspec.json.Encoder()


class Report(msgspec.Struct):
    """What one run over files read and met."""

    files: int = 0
    requests: int = 0
    spans: int = 0
    results: int = 0
    broken: int = 0
    skipped: int = 0


def alert_line(alert: Alert) -> dict[str, Any]:
    """An alert as `detect` prints it."""
    return {
        "alert_id": alert.id,
        "rule_id": alert.rule_id,
        "detector": alert.detector_id,
        "category": int(alert.category),
        "severity": alert.severity.label,
        "confidence": alert.confidence,
        "score": alert.score,
        "tenant": alert.tenant,
        "agent_id": alert.agent_id,
        "session_id": alert.session_id,
        "trace_id": alert.trace_id,
        "span_id": alert.span_id,
        "ts_ns": alert.time_ns,
        "first_ns": alert.first_ns,
        "last_ns": alert.last_ns,
        "evidence": alert.evidence,
        "standards": alert.standards,
    }


def finding_line(finding: Finding) -> dict[str, Any]:
    """A finding as `detect --findings` prints it."""
    return {
        "finding_id": finding.id,
        "rule_id": finding.rule_id,
        "detector": finding.detector_id,
        "category": int(finding.category),
        "severity": finding.severity.label,
        "confidence": finding.confidence,
        "score": finding.score,
        "tenant": finding.tenant,
        "agent_id": finding.agent_id,
        "session_id": finding.session_id,
        "trace_id": finding.trace_id,
        "span_id": finding.span_id,
        "ts_ns": finding.time_ns,
        "evidence": finding.evidence,
        "standards": finding.standards,
    }


class Printer:
    """The sink of `detect`: findings as they come, of each alert its last version."""

    def __init__(self, write: Write, *, results: Result, min_severity: Severity) -> None:
        self._write, self._results, self._least = write, results, min_severity
        self._pending: OrderedDict[str, Alert] = OrderedDict()
        self.printed = 0

    def write(self, block: Block) -> None:
        for outcome in block.outcomes:
            if self._results == "findings":
                if isinstance(outcome, Finding):
                    self._print(outcome.severity, finding_line(outcome))
            elif isinstance(outcome, Alert):
                self._pending[outcome.id] = outcome
                self._pending.move_to_end(outcome.id)
                if len(self._pending) > PENDING:
                    self._alert(self._pending.popitem(last=False)[1])

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        return []

    def close(self) -> None:
        """End of input: no alert can change any more."""
        for alert in sorted(self._pending.values(), key=lambda a: (a.first_ns, a.id)):
            self._alert(alert)
        self._pending.clear()

    def _alert(self, alert: Alert) -> None:
        self._print(alert.severity, alert_line(alert))

    def _print(self, severity: Severity, line: dict[str, Any]) -> None:
        if severity >= self._least:
            self._write(_json.encode(line) + b"\n")
            self.printed += 1


class Complaints:
    """Broken places on stderr: the first ones by name, all of them by count."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __call__(self, broken: Broken) -> None:
        self._report.broken += 1
        if self._report.broken <= SHOWN:
            print(f"{broken.where}: {broken.reason}", file=sys.stderr)


def spans_of(
    files: Sequence[Path],
    ingest: Ingest,
    *,
    max_bytes: int,
    received_ns: int,
    report: Report,
    complain: Callable[[Broken], None],
    watch: Watch | None = None,
) -> Iterator[list[Span]]:
    """Masked spans of OTLP files, request by request, in file order."""
    done = 0
    for path in files:
        try:
            file = File(path, max_bytes=max_bytes)
        except OSError as error:
            complain(Broken(str(path), error.strerror or type(error).__name__))
            continue
        report.files += 1
        foreign: Broken | None = None
        requests = report.requests
        for item in file:
            if isinstance(item, Payload):
                report.requests += 1
                yield _ingested(item, ingest, received_ns, complain)
            elif item.foreign:
                foreign, report.skipped = foreign or item, report.skipped + 1
            else:
                complain(item)
            if watch:
                watch(done + file.position)
        if foreign is not None and requests == report.requests:
            complain(Broken(foreign.where, foreign.reason))
        done += file.position
        file.close()


def _ingested(payload: Payload, ingest: Ingest, received_ns: int, complain: Callable[[Broken], None]) -> list[Span]:
    decode = ingest.traces if payload.signal == "traces" else ingest.logs
    try:
        result = decode(payload.body, payload.encoding, received_ns=received_ns, origin=f"file:{payload.where}")
    except DecodeError as error:
        complain(Broken(payload.where, str(error)))
        return []
    for letter in result.dead_letters:
        complain(Broken(payload.where, f"{letter.reason}: {letter.detail}" if letter.detail else letter.reason))
    return result.spans


def detect(
    paths: Sequence[Path],
    *,
    ingest: Ingest,
    engine: Engine,
    write: Write,
    max_bytes: int,
    received_ns: int,
    results: Result = "alerts",
    min_severity: Severity = Severity.INFO,
) -> Report:
    """Run files through ingest and engine and write one JSON line per alert or finding."""
    files = otlp_files.find(list(paths))
    report, printer = Report(), Printer(write, results=results, min_severity=min_severity)
    worker = Worker(engine, printer, MemoryStore(), topic="offline", partition=0)
    batch: list[Span] = []
    with progress("detect", files) as watch:
        for spans in spans_of(
            files,
            ingest,
            max_bytes=max_bytes,
            received_ns=received_ns,
            report=report,
            complain=Complaints(report),
            watch=watch,
        ):
            report.spans += len(spans)
            batch += spans
            if len(batch) >= BATCH:
                worker.handle([Record("offline", 0, worker.next_offset, Entry(spans=batch))])
                batch = []
        worker.handle([Record("offline", 0, worker.next_offset, Entry(spans=batch))])
        worker.flush()
        printer.close()
    report.results = printer.printed
    return report


def scan(paths: Sequence[Path], *, scanner: Scanner, write: Write, unpack: bool = False) -> Report:
    """Run the secret rules over plain text and write one JSON line per match."""
    report = Report()
    complain = Complaints(report)
    files = _regular_files(paths)
    done = 0
    with progress("scan", files) as watch:
        for path in files:
            try:
                with _opened(path) as stream:
                    report.files += 1
                    source = otlp_files.unpacked(stream) if unpack else stream
                    name = "stdin" if path == STDIN else str(path)
                    for line in matches(source, scanner):
                        write(_json.encode({"file": name, **line}) + b"\n")
                        report.results += 1
            except otlp_files.UNREADABLE as error:
                complain(Broken(str(path), getattr(error, "strerror", None) or type(error).__name__))
            done += _size(path)
            watch(done)
    return report


def matches(stream: Any, scanner: Scanner) -> Iterator[dict[str, Any]]:
    """Matches in a stream of bytes, read in chunks that overlap so that none is cut in two."""
    buffer, base = b"", 0  # what is held, and where it begins in the input
    answered = last_end = 0  # matches that begin before these are done
    line, counted = 1, 0  # the line that `counted` is on
    ended = False
    while not ended:
        chunk = stream.read(CHUNK)
        ended = len(chunk) < CHUNK
        buffer += chunk
        limit = base + len(buffer) - (0 if ended else AFTER)
        for hit in scanner.find_bytes(buffer):
            begin, end = base + hit.start, base + hit.end
            if not (answered <= begin < limit and begin >= last_end):
                continue
            line += buffer.count(b"\n", counted - base, hit.start)
            counted, last_end = begin, end
            yield {
                "line": line,
                "start": begin,
                "end": end,
                "rule_id": hit.rule.id,
                "length": end - begin,
                "fingerprint": hit.fingerprint,
                "verdict": hit.verdict,
                "tier": hit.tier,
                "layers": hit.layers,
            }
        answered = limit
        keep = max(base, limit - BEFORE)
        if counted < keep:
            line += buffer.count(b"\n", counted - base, keep - base)
            counted = keep
        buffer, base = buffer[keep - base :], keep


@contextmanager
def progress(title: str, files: Sequence[Path]) -> Iterator[Watch]:
    """A progress bar on stderr, when that is a terminal and the input is long enough to wait for."""
    total = sum(_size(path) for path in files)
    columns = TextColumn(title), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    hidden = not sys.stderr.isatty() or total < 2**20
    with Progress(*columns, console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _size(path: Path) -> int:
    try:
        return 0 if path == STDIN else path.stat().st_size
    except OSError:
        return 0


def _opened(path: Path) -> BinaryIO:
    return sys.stdin.buffer if path == STDIN else path.open("rb")


def _regular_files(paths: Sequence[Path]) -> list[Path]:
    """The named files, and every regular file under the named folders, in a fixed order."""
    found: list[Path] = []
    for path in paths or (STDIN,):
        if path == STDIN or not path.is_dir():
            found.append(path)
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            found += [p for name in sorted(names) if (p := Path(folder) / name).is_file() and not p.is_symlink()]
    return found
