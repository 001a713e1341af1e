"""The embedded driver's hand-over and its worker thread: log entries in, stored blocks out.

What the gateway has just decoded is handed to the worker as objects once its bytes are committed; the worker reads
the file only after a restart or when it has fallen behind. Both ways give the same records.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog

from detectors.model import Span
from pipeline.errors import SinkUnavailable
from pipeline.log import Log
from pipeline.records import DeadLetter, Entry, Record, encode
from pipeline.settings import Worker as Pace
from pipeline.telemetry import Metrics, failure
from pipeline.worker import CHECKPOINT_SHARE, Worker

log = structlog.get_logger()

TOPIC, PARTITION = "spans", 0
READ_BYTES = 2 * 2**20  # compressed entries read from the file at once
WARM_BATCHES = 4  # steps' worth of decoded spans kept for a worker that is behind
TICK_SECONDS = 10.0
POLL_SECONDS = 0.25
MAX_PAUSE = 5.0
CHECKPOINT_FULLNESS = 0.5  # a log this full is trimmed sooner: a checkpoint after a fifth of that time


class LogIntake:
    """The gateway's side: append, wait for the commit, leave the decoded spans for the worker."""

    def __init__(self, entries: Log, max_warm_spans: int) -> None:
        self._log, self._max = entries, max_warm_spans
        self._lock = threading.Lock()
        self._warm: dict[int, Entry] = {}
        self._spans = 0

    @property
    def warm_spans(self) -> int:
        return self._spans

    async def submit(self, spans: Sequence[Span], dead_letters: Sequence[DeadLetter]) -> None:
        entry = Entry(spans=spans, dead_letters=dead_letters)
        future = self._log.append(encode(entry))
        future.add_done_callback(lambda done: self._keep(done, entry))
        await asyncio.wrap_future(future)

    def take(self, offset: int) -> Entry | None:
        """The decoded entry at an offset, once; None when only the log has it."""
        with self._lock:
            entry = self._warm.pop(offset, None)
            if entry is not None:
                self._spans -= len(entry.spans)
            return entry

    def _keep(self, done: Future[int], entry: Entry) -> None:
        if done.exception() is None and self._spans < self._max:
            with self._lock:
                self._warm[done.result()] = entry
                self._spans += len(entry.spans)


class Drain:
    """The worker thread.

    `done` is the offset of the newest entry whose results are stored; `problem` says why nothing is stored right
    now, `failed` why nothing ever will be.
    """

    def __init__(
        self,
        entries: Log,
        intake: LogIntake,
        worker: Worker,
        pace: Pace,
        metrics: Metrics,
        *,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        self.done = worker.next_offset - 1
        self.problem = ""
        self.failed: BaseException | None = None
        self._log, self._intake, self._worker = entries, intake, worker
        self._pace, self._metrics, self._on_failure = pace, metrics, on_failure
        self._next = worker.next_offset
        self._stop = threading.Event()
        self._drain_until = self._taken = 0.0
        self._rest = pace.checkpoint_seconds
        self._saved = self._ticked = time.monotonic()
        self._changes: deque[Callable[[Worker], None]] = deque()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        metrics.log_bytes.set_function(lambda: entries.held_bytes)
        metrics.log_lag.set_function(lambda: max(0, entries.end - self.done))

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def soon(self, change: Callable[[Worker], None]) -> None:
        """Have the worker thread do this between two steps."""
        self._changes.append(change)

    def stop(self, seconds: float) -> None:
        """Work off what the log holds for up to `seconds`, remember, end. What is left waits for the next start."""
        self._drain_until = time.monotonic() + seconds
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._finished():
                records = self._take()
                if records and not self._insist(lambda records=records: self._handle(records)):  # type: ignore[misc]  # bound early
                    break
                if self._worker.idle:
                    self.done = self._worker.next_offset - 1
                if not self._house():
                    break
            self._remember()
        except SinkUnavailable as error:
            log.warning("stopped with the store unavailable", reason=str(error))
        except BaseException as error:  # noqa: BLE001  # anything here ends the process: it must be seen, and not hang
            self.failed = error
            self.problem = f"stopped: {type(error).__name__}"
            log.critical("worker stopped", **failure(error))
            self._on_failure()

    def _finished(self) -> bool:
        if not self._stop.is_set():
            return False
        return self._log.end < self._next or time.monotonic() >= self._drain_until

    def _take(self) -> list[Record]:
        """The next records: a full batch, or what came within its time since the last; at once after a rest."""
        if not self._log.wait(self._next, POLL_SECONDS if not self._stop.is_set() else 0.0):
            return []
        deadline = self._taken + self._pace.batch_seconds
        end = self._log.end
        while self._intake.warm_spans < self._pace.batch_spans and not self._stop.is_set():
            left = deadline - time.monotonic()
            if left <= 0 or not self._log.wait(end + 1, left):
                break
            end = self._log.end
        self._taken = time.monotonic()
        records: list[Record] = []
        spans = 0
        while spans < self._pace.batch_spans and self._next <= self._log.end:
            entry = self._intake.take(self._next)
            if entry is None:
                if not records:
                    records = self._read()
                break
            records.append(Record(TOPIC, PARTITION, self._next, entry))
            spans += len(entry.spans)
            self._next += 1
        return records

    def _read(self) -> list[Record]:
        """Entries from the file; offsets that the log does not hold (any more) are passed over."""
        found = self._log.read(self._next, READ_BYTES)
        self._next = found[-1][0] + 1 if found else self._log.end + 1
        for offset, _ in found:
            self._intake.take(offset)
        return [Record(TOPIC, PARTITION, offset, payload) for offset, payload in found]

    def _handle(self, records: Sequence[Record]) -> None:
        with self._metrics.handling_seconds.time():
            self._worker.handle(records)

    def _house(self) -> bool:
        """What is due besides records: the clock's windows, the checkpoint."""
        while self._changes:
            change = self._changes.popleft()
            if not self._insist(lambda change=change: change(self._worker)):  # type: ignore[misc]  # bound early
                return False
        now = time.monotonic()
        if now - self._ticked >= TICK_SECONDS:
            self._ticked = now
            if not self._insist(lambda: self._worker.tick(time.time_ns())):
                return False
        rest = self._rest if self._log.fullness <= CHECKPOINT_FULLNESS else self._rest / 5
        if now - self._saved >= rest:
            return self._insist(self._remember)
        return True

    def _remember(self) -> None:
        began = time.monotonic()
        before = self._worker.saved_offset
        offset = self._worker.checkpoint()
        self._saved = time.monotonic()
        self._rest = max(self._pace.checkpoint_seconds, CHECKPOINT_SHARE * (self._saved - began))
        if offset > before:
            self._metrics.checkpoints_saved.inc()
        self._log.trim(offset)

    def _insist(self, step: Callable[[], None]) -> bool:
        """Do it, however long the store is away; False when told to stop while it is."""
        pause = 0.1
        while True:
            try:
                step()
            except SinkUnavailable as error:
                if not self.problem:
                    log.warning("store unavailable", reason=str(error))
                self.problem = str(error)
                self._metrics.writes_retried.inc()
                if self._stop.wait(pause):
                    return False
                pause = min(2 * pause, MAX_PAUSE)
                step = self._worker.handle  # it owns the records now and goes on where it was
            else:
                if self.problem:
                    log.info("store available again")
                    self.problem = ""
                return True
