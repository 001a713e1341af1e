"""The worker stores each result once, whatever moment it is stopped at and however its input is cut."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import detectors
from detectors import rule
from detectors.engine import Engine
from detectors.model import Alert, Finding, SecretMatch
from pipeline.errors import SinkUnavailable
from pipeline.records import Block, Entry, Record, encode
from pipeline.state import MemoryStore
from pipeline.worker import Worker
from tests.make import span

KEY = b"test-key"
RULES = rule.read()


class Crash(Exception):
    """The process ended here."""


class TokenSink:
    """Keeps every block once by its token and by nothing else, so that a range cut differently would show twice."""

    def __init__(self, dice: random.Random | None = None, odds: float = 0.0) -> None:
        self.blocks: list[Block] = []
        self.tokens: set[str] = set()
        self.plan: list[tuple[int, int]] = []
        self.dice, self.odds = dice, odds

    def write(self, block: Block) -> None:
        if not block.tick_ns:
            self.plan.append((block.first, block.last))
        if self.dice is not None and self.dice.random() < self.odds:
            raise Crash  # between the plan row and the data
        if block.token not in self.tokens:
            self.tokens.add(block.token)
            self.blocks.append(block)

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        return sorted({cut for cut in self.plan if cut[1] >= from_offset})


class Fragile:
    """A sink, store or hook that ends the process at seeded moments, before or after its work is done."""

    def __init__(self, inner: object, dice: random.Random, odds: float) -> None:
        self.inner, self.dice, self.odds = inner, dice, odds

    def __getattr__(self, name: str) -> object:
        method = getattr(self.inner, name)

        def call(*args: object, **kwargs: object) -> object:
            if self.dice.random() < self.odds:
                raise Crash
            result = method(*args, **kwargs)
            if self.dice.random() < self.odds:
                raise Crash
            return result

        return call


def stream() -> list[Record]:
    """A hundred records of a few spans each; every seventh span carries a masked secret, some sessions interleave."""
    dice = random.Random(7)
    records, seq = [], 0
    for offset in range(100):
        spans = []
        for _ in range(dice.randint(1, 6)):
            seq += 1
            match = SecretMatch(
                rule_id="secret.test",
                where="gen_ai.tool.call.result",
                surface="result",
                length=40,
                fingerprint=f"{seq % 5:016x}",
            )
            spans.append(span(seq, session=f"s{seq % 4}", secrets=(match,) if seq % 7 == 0 else ()))
        records.append(Record("spans", 0, offset, encode(Entry(spans=spans))))
    return records


def engine() -> Engine:
    return Engine(detectors.load(RULES), key=KEY)


def rows(sink: TokenSink) -> tuple[list[str], dict[str, Finding], dict[str, tuple[int, int]], list[tuple[int, int]]]:
    """What is stored: span ids in order of place, findings, alert id to (version, count), raw span places."""
    findings = {o.id: o for b in sink.blocks for o in b.outcomes if isinstance(o, Finding)}
    alerts: dict[str, tuple[int, int]] = {}
    for block in sink.blocks:
        for outcome in block.outcomes:
            if isinstance(outcome, Alert):
                alerts[outcome.id] = max(alerts.get(outcome.id, (0, 0)), (outcome.version, outcome.count))
    places = sorted((s.offset, s.index) for b in sink.blocks for s in b.spans)
    ids = [s.span.id for b in sorted(sink.blocks, key=lambda b: b.first) for s in b.spans]
    return ids, findings, alerts, places


def undisturbed() -> TokenSink:
    sink = TokenSink()
    worker = Worker(engine(), sink, MemoryStore(), topic="spans", partition=0)
    worker.restore()
    worker.handle(stream())
    return sink


def batches(records: list[Record], dice: random.Random) -> Iterator[list[Record]]:
    while records:
        n = dice.randint(1, 9)
        yield records[:n]
        records = records[n:]


@pytest.mark.parametrize("seed", range(25))
def test_killed_at_any_moment_nothing_is_lost_and_nothing_stands_twice(seed: int) -> None:
    """Seeded crashes before and after every write, and cuts that differ each time: the same rows in the end."""
    dice = random.Random(seed)
    sink, store, records = TokenSink(dice, 0.1), MemoryStore(), stream()
    crashes = 0
    for _ in range(500):
        worker = Worker(
            engine(),
            Fragile(sink, dice, 0.1),  # type: ignore[arg-type]  # forwards every method of Sink
            Fragile(store, dice, 0.1),  # type: ignore[arg-type]
            topic="spans",
            partition=0,
        )
        try:
            start = worker.restore()
            for batch in batches(records[start:], dice):
                worker.handle(batch)
                if dice.random() < 0.3:
                    worker.checkpoint()
            worker.checkpoint()
            break
        except Crash:
            crashes += 1
    else:
        pytest.fail("never got through")
    assert crashes > 0
    assert rows(sink) == rows(undisturbed())


def test_a_sink_that_refuses_is_asked_again_with_the_same_block() -> None:
    sink, store = TokenSink(), MemoryStore()
    worker = Worker(engine(), sink, store, topic="spans", partition=0)
    worker.restore()
    refused: list[str] = []
    write = sink.write

    def refuse(block: Block) -> None:
        refused.append(block.token)
        raise SinkUnavailable("refused")

    sink.write = refuse  # type: ignore[method-assign]
    with pytest.raises(SinkUnavailable):
        worker.handle(stream())
    assert worker.checkpoint() == 0, "nothing may be acknowledged while results wait"
    with pytest.raises(SinkUnavailable):
        worker.handle()
    sink.write = write  # type: ignore[method-assign]
    worker.handle()
    assert refused == [refused[0]] * 2
    assert worker.checkpoint() == 100
    assert rows(sink) == rows(undisturbed())


def test_records_delivered_again_are_skipped() -> None:
    sink = TokenSink()
    worker = Worker(engine(), sink, MemoryStore(), topic="spans", partition=0)
    worker.restore()
    records = stream()
    worker.handle(records[:30])
    worker.handle(records[10:])
    assert rows(sink) == rows(undisturbed())


def test_a_payload_that_is_no_record_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    sink = TokenSink()
    worker = Worker(engine(), sink, MemoryStore(), topic="spans", partition=0)
    worker.restore()
    records = stream()
    records[3] = records[3]._replace(payload=b"\x00 not one of ours")
    worker.handle(records)
    dead = [d for b in sink.blocks for d in b.dead_letters]
    assert [(d.reason, d.origin, d.size) for d in dead] == [("record", "spans/0/3", 17)]
    assert len(rows(sink)[3]) == len(rows(undisturbed())[3]) - len(stream_spans(3))


def stream_spans(offset: int) -> list[object]:
    from pipeline.records import decode_entry

    payload = stream()[offset].payload
    assert isinstance(payload, bytes)
    return list(decode_entry(payload).spans)


def test_state_that_does_not_fit_is_discarded_loudly_and_the_stream_goes_on() -> None:
    sink, store = TokenSink(), MemoryStore()
    first = Worker(engine(), sink, store, topic="spans", partition=0)
    first.restore()
    first.handle(stream()[:20])
    first.checkpoint()
    other_key = Engine(detectors.load(RULES), key=b"another key")
    second = Worker(other_key, sink, store, topic="spans", partition=0)
    assert second.restore() == 20
    second.handle(stream()[20:])
    assert len(rows(sink)[3]) == len(rows(undisturbed())[3])
