"""Lanes: which records a partition's worker gets and which may be acknowledged, whatever the broker delivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from detectors.engine import Engine
from pipeline import lanes
from pipeline.errors import SettingsError, SinkUnavailable
from pipeline.lanes import Stage
from pipeline.records import Block, Checkpoint, Entry, encode
from pipeline.sinks.memory import MemorySink
from pipeline.state import MemoryStore
from pipeline.worker import Worker
from tests.make import span


class Place(msgspec.Struct):
    partition: int
    offset: int
    generation_id: int


class Given:
    """An event as Faust hands it over."""

    def __init__(self, offset: int, *, partition: int = 0, generation: int = 1, log: list[int] | None = None) -> None:
        self.message = Place(partition, offset, generation)
        self.value = encode(Entry(spans=[span(offset, session=f"p{partition}")]))
        self.acked = False
        self._log = log

    def ack(self) -> bool:
        self.acked = True
        if self._log is not None:
            self._log.append(self.message.offset)
        return True


class Broker:
    """What a partition's stage asks; remembers where it was sent back to."""

    def __init__(self) -> None:
        self.current, self.begin, self.last = 1, 0, 10**9
        self.sought: list[int] = []

    def generation(self) -> object:
        return self.current

    def end(self, partition: int) -> int | None:
        return self.last

    async def first(self, partition: int) -> int:
        return self.begin

    async def seek(self, partition: int, offset: int) -> None:
        self.sought.append(offset)


class Flaky(MemorySink):
    """Refuses as often as told."""

    refusals = 0

    def write(self, block: Block) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SinkUnavailable("not now")
        super().write(block)


class Bench:
    """A stage over memory. `stage()` is a process: everything but sink, store and broker is new."""

    def __init__(self) -> None:
        self.sink, self.store, self.broker = Flaky(), MemoryStore(), Broker()

    def stage(self) -> Stage:
        def make(partition: int) -> Worker:
            return Worker(
                Engine([]), self.sink, self.store, topic="spans", partition=partition, route=lambda activity: None
            )

        return Stage("spans", make, self.broker, now_ns=lambda: 0)

    def stored(self) -> list[int]:
        return sorted(located.offset for located in self.sink.located())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_nothing_is_acknowledged_before_a_checkpoint_covers_it(bench: Bench) -> None:
    acked: list[int] = []
    events = [Given(offset, log=acked) for offset in range(5)]

    async def work() -> None:
        stage = bench.stage()
        await stage.take(events)
        assert bench.stored() == [0, 1, 2, 3, 4]
        assert acked == []
        await stage.checkpoint()
        assert acked == [0, 1, 2, 3, 4]

    run(work)


def test_a_checkpoint_the_store_refused_covers_nothing_and_cost_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What saving took decides how long the next one waits: time with the store away is not a cost of saving."""

    def refuse(checkpoint: Checkpoint) -> None:
        raise SinkUnavailable("not now")

    event = Given(0)

    async def work() -> None:
        stage = bench.stage()
        await stage.take([event])
        with monkeypatch.context() as away:
            away.setattr(bench.store, "save", refuse)
            assert await stage.checkpoint() == 0.0
        assert not event.acked
        assert await stage.checkpoint() > 0.0
        assert event.acked

    run(work)


def test_a_store_that_refuses_is_asked_again_and_the_order_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_DELAY", 0.001)
    bench.sink.refusals = 3

    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0), Given(1)])
        await stage.take([Given(2)])

    run(work)
    assert bench.stored() == [0, 1, 2]
    assert [located.span.id for located in bench.sink.located()] == [span(i, session="p0").id for i in range(3)]


def test_a_process_goes_on_at_its_checkpoint_and_acknowledges_what_it_had_done(bench: Bench) -> None:
    async def work() -> None:
        first = bench.stage()
        await first.take([Given(0), Given(1)])
        await first.checkpoint()
        await first.take([Given(2)])  # stored, not remembered: the next process does it again
        second = bench.stage()
        again = [Given(offset) for offset in range(4)]
        await second.take(again)
        assert [event.acked for event in again] == [True, True, False, False]
        await second.checkpoint()
        assert all(event.acked for event in again)

    run(work)
    assert bench.stored() == [0, 1, 2, 3]


def test_what_another_assignment_fetched_is_left_alone(bench: Bench) -> None:
    """It comes again to whoever owns the partition; taking it here could skip what lies before it."""
    stale = [Given(5, generation=1), Given(6, generation=1)]

    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0)])
        await stage.release(1)
        await stage.take([Given(1)])  # still of the old assignment: partitions are not ours between two
        assert stage.lanes == {}
        bench.broker.current = 2
        stage.assigned()
        await stage.take(stale)
        await stage.take([Given(1, generation=2)])

    run(work)
    assert bench.stored() == [0, 1]
    assert not any(event.acked for event in stale)


def test_giving_a_partition_back_saves_its_state(bench: Bench) -> None:
    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0), Given(1)])
        await stage.release(1)

    run(work)
    saved = bench.store.load("spans", 0)
    assert saved is not None
    assert saved.next_offset == 2


def test_giving_back_does_not_wait_for_a_store_that_is_away(bench: Bench) -> None:
    async def work() -> None:
        stage = bench.stage()
        bench.sink.refusals = 10**9
        taking = asyncio.create_task(stage.take([Given(0)]))
        while bench.sink.refusals == 10**9:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(stage.release(1), 5)
        await asyncio.wait_for(taking, 5)

    run(work)
    assert bench.store.load("spans", 0) is None
    assert bench.stored() == []


def test_a_record_beyond_the_wanted_one_makes_the_broker_go_back(bench: Bench) -> None:
    """A group's committed offset can lie beyond what was acknowledged; the checkpoint decides."""

    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0), Given(1)])
        await stage.checkpoint()
        later = bench.stage()
        ahead = [Given(5), Given(6)]
        await later.take(ahead)
        await later.take([Given(7)])
        assert bench.broker.sought == [2]
        assert not any(event.acked for event in ahead)
        await later.take([Given(offset) for offset in range(2, 8)])

    run(work)
    assert bench.stored() == list(range(8))


def test_records_the_broker_dropped_are_given_up_loudly(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0)])
        bench.broker.begin = 40  # retention took 1 to 39
        await stage.take([Given(40), Given(41)])

    run(work)
    assert bench.stored() == [0, 40, 41]
    assert bench.broker.sought == []
    assert "no longer has" in capsys.readouterr().out


def test_holes_in_a_topic_do_not_stop_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markers of transactions and compaction leave offsets that never come."""
    monkeypatch.setattr(lanes, "SEEK_SECONDS", 0.0)

    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0)])
        for _ in range(lanes.MAX_SEEKS + 1):
            await stage.take([Given(3), Given(4)])

    run(work)
    assert bench.stored() == [0, 3, 4]
    assert bench.broker.sought == [1] * lanes.MAX_SEEKS


def test_a_topic_made_anew_under_the_same_name_is_refused(bench: Bench) -> None:
    """Its offsets would meet the tokens of other records and be taken for stored."""

    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(offset) for offset in range(9)])
        await stage.checkpoint()
        bench.broker.last = 3
        with pytest.raises(SettingsError, match="ends at 3, the store has seen 9"):
            await bench.stage().take([Given(0), Given(1), Given(2)])

    run(work)


def test_partitions_do_not_wait_for_each_others_offsets(bench: Bench) -> None:
    async def work() -> None:
        stage = bench.stage()
        await stage.take([Given(0, partition=0), Given(0, partition=1), Given(1, partition=0), Given(1, partition=1)])
        await stage.checkpoint()

    run(work)
    assert [bench.store.load("spans", part).next_offset for part in (0, 1)] == [2, 2]  # type: ignore[union-attr]
