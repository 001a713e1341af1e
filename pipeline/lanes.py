"""The partitions of one stage this process owns at the moment, and which of their records may be acknowledged.

Between Faust and `Worker`: same partition → same worker, in offset order, across rebalances, redeliveries and a
store that is away. What decides where a partition goes on is its checkpoint, never the group's committed offset.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import structlog

from pipeline.errors import SettingsError, SinkUnavailable
from pipeline.records import Record
from pipeline.worker import Worker

log = structlog.get_logger()
T = TypeVar("T")

FIRST_DELAY, MAX_DELAY = 0.1, 5.0  # seconds between tries while the store is away
SEEK_SECONDS = 5.0  # a seek that brought nothing by then is repeated
MAX_SEEKS = 3


class Message(Protocol):
    """Where a record was and under which assignment it was fetched."""

    partition: int
    offset: int
    generation_id: Any


class Event(Protocol):
    """What Faust hands over; `ack` marks its offset as done."""

    message: Any  # a Message; Faust ships no types
    value: Any

    def ack(self) -> bool: ...


class Position(Protocol):
    """What the stage asks the broker about its topic."""

    def generation(self) -> object:
        """The assignment this process holds now."""
        ...

    def end(self, partition: int) -> int | None:
        """The offset after the partition's last, as of the newest fetch; None before the first."""
        ...

    async def first(self, partition: int) -> int:
        """The first offset the broker still has. Slow: the answer waits behind a fetch."""
        ...

    async def seek(self, partition: int, offset: int) -> None:
        """Fetch from `offset` on."""
        ...


class Lane:
    """One partition: its worker, the next offset it wants, and the events that wait for a checkpoint."""

    worker: Worker

    def __init__(self) -> None:
        self.ready = False
        self.wanted = self.saved = 0
        self.pending: deque[Event] = deque()
        self.lock = asyncio.Lock()
        self.gone = asyncio.Event()
        self.seeks, self.sought_at = 0, 0.0


class Stage:
    """All lanes of one topic. Engine and store run in one thread of its own, so that heartbeats go on."""

    def __init__(
        self,
        topic: str,
        make: Callable[[int], Worker],
        position: Position,
        *,
        now_ns: Callable[[], int],
        retried: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic = topic
        self.lanes: dict[int, Lane] = {}
        self._make, self._position, self._now_ns, self._retried = make, position, now_ns, retried
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=topic)
        self._closed = False

    async def take(self, events: Sequence[Event]) -> None:
        """Handle a batch of one or more partitions. What another assignment fetched is left to its next owner."""
        shares: dict[int, list[Event]] = {}
        for event in events:
            shares.setdefault(event.message.partition, []).append(event)
        for partition, share in shares.items():
            current = [e for e in share if e.message.generation_id == self._position.generation()]
            if current and not self._closed:
                lane = self.lanes.get(partition) or await self._open(partition)
                if lane is not None:
                    await self._feed(lane, current)

    async def checkpoint(self) -> float:
        """Let time pass in every engine, remember its state, acknowledge what that covers.

        The seconds that saving took: not those spent waiting for a lane, or for a store that was away.
        """
        took = 0.0
        for lane in list(self.lanes.values()):
            async with lane.lock:
                if lane.ready and not lane.gone.is_set():
                    try:
                        took += await self._checkpoint(lane, tick=True)
                    except SinkUnavailable as error:
                        self._away(error)
        return took

    async def change(self, change: Callable[[Worker], None]) -> None:
        """Do this to every worker between two of its steps."""
        for lane in list(self.lanes.values()):
            async with lane.lock:
                if lane.ready:
                    await self._insist(lane, lambda lane=lane: change(lane.worker))  # type: ignore[misc]  # bound early

    def assigned(self) -> None:
        """A rebalance is over: take records again."""
        self._closed = False

    async def release(self, seconds: float) -> None:
        """Give every partition back: end what runs, save what can be saved within `seconds`, forget the engines."""
        self._closed = True
        lanes = list(self.lanes.values())
        self.lanes.clear()
        for lane in lanes:
            lane.gone.set()
        if lanes:
            leaving = [asyncio.ensure_future(self._leave(lane)) for lane in lanes]
            done, late = await asyncio.wait(leaving, timeout=seconds)
            for task in late:
                task.cancel()
            for task in done:
                task.result()
            if late:
                log.warning("partitions left without a checkpoint", topic=self.topic, count=len(late))

    async def _leave(self, lane: Lane) -> None:
        async with lane.lock:
            if not lane.ready:
                return
            try:
                await self._checkpoint(lane, tick=False)
            except SinkUnavailable as error:
                self._away(error)

    async def _checkpoint(self, lane: Lane, *, tick: bool) -> float:
        worker = lane.worker

        def save() -> tuple[int, float]:
            began = time.perf_counter()
            return worker.checkpoint(), time.perf_counter() - began

        if tick and worker.idle:
            now_ns = self._now_ns()
            await self._run(lambda: worker.tick(now_ns))
        lane.saved, took = await self._run(save)
        while lane.pending and lane.pending[0].message.offset < lane.saved:
            event = lane.pending.popleft()
            if event.message.generation_id == self._position.generation():
                event.ack()
        return took

    async def _open(self, partition: int) -> Lane | None:
        """The lane of a partition, its engine back where its checkpoint left it; None when it is taken away first."""
        lane = self.lanes[partition] = Lane()

        def restore() -> None:
            lane.worker = self._make(partition)
            lane.worker.restore()

        async with lane.lock:
            if not await self._insist(lane, restore):
                return None
            lane.ready = True
            lane.wanted = lane.saved = lane.worker.next_offset
            log.info("partition opened", topic=self.topic, partition=partition, offset=lane.wanted)
        if lane.gone.is_set():
            return None
        end = self._position.end(partition)
        if end is not None and end < lane.wanted:
            raise SettingsError(
                f"topic {self.topic}, partition {partition} ends at {end}, the store has seen {lane.wanted}: "
                "a topic that was made anew needs another name or another database"
            )
        return lane

    async def _feed(self, lane: Lane, events: Sequence[Event]) -> None:
        async with lane.lock:
            records = []
            for event in events:
                message = event.message
                if message.offset < lane.wanted:
                    if message.offset < lane.saved:  # handled before the restart
                        event.ack()
                    continue
                if message.offset > lane.wanted and not await self._bridge(lane, message):
                    break
                lane.wanted, lane.seeks = message.offset + 1, 0
                lane.pending.append(event)
                records.append(Record(self.topic, message.partition, message.offset, event.value or b""))
            if records:
                await self._insist(lane, lambda: lane.worker.handle(records))

    async def _bridge(self, lane: Lane, message: Message) -> bool:
        """Whether to go on at a record further than the one wanted: only when the wanted one cannot be had.

        Faust can commit past records nobody acknowledged (a rebalance before a group's first commit), so the
        broker is asked for the wanted one again before it is given up.
        """
        first = await self._position.first(message.partition)
        if first > lane.wanted:
            self._lost(message.partition, lane.wanted, first)
            lane.wanted = first
        if message.offset == lane.wanted:
            return True
        now = asyncio.get_running_loop().time()
        if lane.seeks and now - lane.sought_at < SEEK_SECONDS:
            return False
        if lane.seeks >= MAX_SEEKS:
            self._lost(message.partition, lane.wanted, message.offset)
            return True
        lane.seeks, lane.sought_at = lane.seeks + 1, now
        log.warning("going back to the checkpoint", topic=self.topic, partition=message.partition, offset=lane.wanted)
        await self._position.seek(message.partition, lane.wanted)
        return False

    def _lost(self, partition: int, start: int, end: int) -> None:
        log.error("offsets the broker no longer has", topic=self.topic, partition=partition, start=start, end=end)

    async def _insist(self, lane: Lane, step: Callable[[], object]) -> bool:
        """Run the step until the store takes it; False when the partition is taken away first."""
        delay = FIRST_DELAY
        while not lane.gone.is_set():
            try:
                await self._run(step)
            except SinkUnavailable as error:
                self._away(error, delay)
                try:
                    await asyncio.wait_for(lane.gone.wait(), delay)
                except TimeoutError:
                    delay = min(2 * delay, MAX_DELAY)
            else:
                return True
        return False

    def _away(self, error: SinkUnavailable, delay: float = 0.0) -> None:
        self._retried()
        log.warning("store unavailable", topic=self.topic, reason=str(error), retry_seconds=delay)

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)


__all__ = ["Event", "Lane", "Position", "Stage"]
