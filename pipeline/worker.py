"""One partition's way from records to stored results: decode, engine, sink, checkpoint, in that order.

Write, remember, acknowledge: results are stored under a token made of the offsets they came from, then the
engine's state is saved together with the offset it stands for, and only then may the driver acknowledge.
After a restart the engine starts from the checkpoint and the offsets behind it are cut into the very ranges
that were begun before, so that every insert meets its own token again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec
import structlog
import zstandard

from detectors.engine import AnyDetector, Engine
from detectors.model import Alert, Event, Failure, Finding, Outcome, Sighting, Span, Window, digest
from pipeline.errors import DecodeError, StateError
from pipeline.records import (
    Activity,
    Block,
    Checkpoint,
    DeadLetter,
    Entry,
    Located,
    Record,
    Sink,
    StateStore,
    decode_entry,
)

log = structlog.get_logger()

CHECKPOINT_SHARE = 20  # times as long as a checkpoint took passes before the next: large state is saved less often

Route: TypeAlias = Callable[[Sequence[Window | Sighting]], None]
After: TypeAlias = Callable[[Block], None]


class Counts(msgspec.Struct):
    """What one worker did since it started."""

    records: int = 0
    spans: int = 0
    findings: int = 0
    alerts: int = 0
    failures: int = 0
    dead_letters: int = 0
    blocks: int = 0


class Worker:
    """Drives one engine over one partition.

    `route` receives windows and sightings that another partition's engine must see; without it they go straight
    back into this engine. `decode` is `decode_activity` for stage two. `after` is called with every stored block
    before its offsets may be acknowledged.
    `now_ns` is the wall clock, used for the time of a checkpoint only.
    """

    def __init__(
        self,
        engine: Engine,
        sink: Sink,
        store: StateStore,
        *,
        topic: str,
        partition: int,
        run: str = "live",
        route: Route | None = None,
        after: Sequence[After] = (),
        decode: Callable[[bytes], Entry | Activity] = decode_entry,
        rules_hash: str = "",
        now_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self.engine = engine
        self.topic, self.partition, self.run = topic, partition, run
        self.counts = Counts()
        self.next_offset = 0
        self._sink, self._store = sink, store
        self._route, self._after, self._decode_payload = route, after, decode
        self._rules_hash, self._now_ns = rules_hash, now_ns
        self._planned: deque[tuple[int, int]] = deque()
        self._held: deque[Record] = deque()
        self._todo: deque[Callable[[], None]] = deque()
        self._saved_offset = 0
        self._dirty = False

    def restore(self) -> int:
        """Load the checkpoint and the ranges begun after it; returns the next offset wanted.

        A checkpoint that cannot be used is reported and the engine starts blank at its offset.
        """
        checkpoint = self._store.load(self.topic, self.partition)
        if checkpoint is not None:
            self.next_offset = self._saved_offset = checkpoint.next_offset
            try:
                self.engine.restore(zstandard.decompress(checkpoint.state))
            except (StateError, zstandard.ZstdError) as error:
                log.error("state discarded", topic=self.topic, partition=self.partition, reason=str(error))
        self._planned = deque(self._sink.planned(self.topic, self.partition, self.next_offset))
        return self.next_offset

    def use(self, detectors: Sequence[AnyDetector], rules_hash: str) -> None:
        """Detect by other rules from the next record on; detectors that stay keep their state."""
        self._finish()
        self.engine.use(detectors)
        self._rules_hash = rules_hash

    def handle(self, records: Iterable[Record] = ()) -> None:
        """Take records in offset order and store what follows from them.

        The worker owns the records from here on: after SinkUnavailable call again with none until it returns.
        Records below the next offset were handled before and are skipped. Where a range was begun before a
        restart, its records are held until the range is complete.
        """
        for record in records:
            last = self._held[-1].offset if self._held else self.next_offset - 1
            if record.offset > last:
                self._held.append(record)
        self._finish()
        while cut := self._cut():
            self._process(cut)
            self._finish()

    def tick(self, now_ns: int) -> None:
        """Close windows of sessions that fell silent; the one place where wall time matters."""
        self._finish()
        outcomes = self._loop(self.engine.tick(now_ns))
        if outcomes:
            offset = self.next_offset
            self._put(
                Block(
                    topic=self.topic,
                    partition=self.partition,
                    first=offset,
                    last=offset,
                    run=self.run,
                    tick_ns=now_ns,
                    outcomes=outcomes,
                )
            )
            self._finish()

    def flush(self) -> None:
        """End of input: close every open window. For replay; a live stream has no end."""
        self._finish()
        outcomes = self._loop(self.engine.flush())
        if outcomes:
            self._put(
                Block(
                    topic=self.topic,
                    partition=self.partition,
                    first=self.next_offset,
                    last=self.next_offset,
                    run=self.run,
                    tick_ns=1,
                    outcomes=outcomes,
                )
            )
            self._finish()

    @property
    def idle(self) -> bool:
        """True when nothing is held or waits to be stored."""
        return not self._held and not self._todo

    @property
    def saved_offset(self) -> int:
        """Offset of the last checkpoint: all below it may be acknowledged."""
        return self._saved_offset

    @property
    def planned_end(self) -> int:
        """Last offset of the ranges begun before a restart and not yet redone; -1 when there is none."""
        return max((last for _, last in self._planned), default=-1)

    def checkpoint(self) -> int:
        """Remember engine state and offset as one value; returns the offset below which all may be acknowledged."""
        if not self._todo and self._dirty:
            self._store.save(
                Checkpoint(
                    topic=self.topic,
                    partition=self.partition,
                    next_offset=self.next_offset,
                    state=zstandard.compress(self.engine.snapshot(), 1),
                    rules_hash=self._rules_hash,
                    saved_ns=self._now_ns(),
                )
            )
            self._saved_offset, self._dirty = self.next_offset, False
        return self._saved_offset

    def _cut(self) -> list[Record]:
        """The records of the next block: a range begun before a restart exactly as begun, else all there are."""
        held, planned = self._held, self._planned
        while planned and planned[0][1] < self.next_offset:
            planned.popleft()
        if not held:
            return []
        if not planned:
            taken = list(held)
            held.clear()
            return taken
        first, last = planned[0]
        if held[0].offset < first:  # a range that never got its plan row stands before this one
            return [held.popleft() for _ in range(sum(r.offset < first for r in held))]
        if held[-1].offset < last:
            return []
        planned.popleft()
        return [held.popleft() for _ in range(sum(r.offset <= last for r in held))]

    def _process(self, records: Sequence[Record]) -> None:
        events: list[Event] = []
        located: list[Located] = []
        dead: list[DeadLetter] = []
        for record in records:
            value = self._decode(record, dead)
            if isinstance(value, Entry):
                dead.extend(value.dead_letters)
                events.extend(value.spans)
                located.extend(
                    Located(span, record.partition, record.offset, index) for index, span in enumerate(value.spans)
                )
            elif value is not None:
                events.extend(value.windows)
                events.extend(value.sightings)
        outcomes = self._loop(self.engine.run(events))
        first, last = records[0].offset, records[-1].offset
        self.next_offset = last + 1
        self.counts.records += len(records)
        self.counts.spans += len(located)
        self.counts.dead_letters += len(dead)
        self._put(
            Block(
                topic=self.topic,
                partition=self.partition,
                first=first,
                last=last,
                run=self.run,
                spans=located,
                outcomes=outcomes,
                dead_letters=dead,
            )
        )

    def _decode(self, record: Record, dead: list[DeadLetter]) -> Entry | Activity | None:
        payload = record.payload
        if not isinstance(payload, bytes):
            return payload
        try:
            return self._decode_payload(payload)
        except DecodeError as error:
            origin = f"{record.topic}/{record.partition}/{record.offset}"
            dead.append(
                DeadLetter(
                    id=digest("dead", origin),
                    reason=error.reason,
                    detail=error.detail,
                    origin=origin,
                    tenant="",
                    emitter="",
                    size=len(payload),
                    fingerprint="",
                    received_ns=self._now_ns(),
                )
            )
            return None

    def _loop(self, outcomes: list[Outcome]) -> list[Outcome]:
        """All that follows from these outcomes inside this engine, when windows and sightings come straight back."""
        for outcome in outcomes:
            if isinstance(outcome, Finding):
                self.counts.findings += 1
            elif isinstance(outcome, Alert):
                self.counts.alerts += 1
            elif isinstance(outcome, Failure):
                self.counts.failures += 1
        if self._route is not None:
            return outcomes
        back: list[Event] = [o for o in outcomes if isinstance(o, Window | Sighting)]
        return outcomes + self._loop(self.engine.run(back)) if back else outcomes

    def _put(self, block: Block) -> None:
        self._dirty = True
        self.counts.blocks += 1
        self._todo.append(lambda: self._sink.write(block))
        if self._route is not None:
            route = self._route
            activity = [o for o in block.outcomes if isinstance(o, Window | Sighting)]
            if activity:
                self._todo.append(lambda: route(activity))
        for after in self._after:
            self._todo.append(lambda after=after: after(block))  # type: ignore[misc]  # late binding of the loop name

    def _finish(self) -> None:
        """Carry out what is left of the last block; a step that raises stays first in line."""
        while self._todo:
            self._todo[0]()
            self._todo.popleft()


__all__ = ["CHECKPOINT_SHARE", "After", "Counts", "Route", "Span", "Worker"]
