"""The promises of every sink, kept in memory, by chDB in this process, and by a server over HTTP."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.model import (
    Category,
    Finding,
    Incident,
    Resource,
    Severity,
)
from pipeline.errors import SinkRejected
from pipeline.records import Block, Located
from pipeline.sinks.memory import merged
from tests.make import T0, span
from tests.outcomes import alert, block, failure, finding, incident, letter, sighting, window
from tests.stores import Store


def test_everything_in_a_block_is_stored(any_store: Store) -> None:
    """One of each kind goes in and is found by its id, and spans come back as they were."""
    outcomes = [finding("a"), alert(1), incident("x"), window(), sighting(), failure()]
    written = block(3, 5, *outcomes, dead_letters=[letter()])
    any_store.sink().write(written)
    assert any_store.located() == written.spans
    for item in (*outcomes, letter()):
        assert any_store.ids(type(item)) == [item.id]


def test_an_empty_block_is_only_planned(any_store: Store) -> None:
    sink = any_store.sink()
    sink.write(Block(topic="spans", partition=1, first=4, last=9))
    assert sink.planned("spans", 1, 0) == [(4, 9)]
    assert any_store.located() == []


def test_one_token_is_stored_once(any_store: Store) -> None:
    sink = any_store.sink()
    written = block(0, 4, finding("a"), alert(2), incident("x"))
    sink.write(written)
    sink.write(written)
    any_store.reopen()
    any_store.sink().write(written)
    assert any_store.located() == written.spans
    assert any_store.ids(Finding) == [finding("a").id]
    assert any_store.alerts() == [(alert(2).id, 2, 2)]


def test_ranges_cut_differently_store_each_span_once(any_store: Store) -> None:
    """Two owners of a partition overlap: ids are the second belt."""
    sink = any_store.sink()
    sink.write(block(0, 9, finding("a"), finding("b")))
    sink.write(block(5, 14, finding("b"), finding("c")))
    assert any_store.located() == block(0, 14).spans
    assert any_store.ids(Finding) == sorted(finding(name).id for name in "abc")


def test_the_first_delivery_keeps_its_place(any_store: Store) -> None:
    """An exporter that sends again later does not move a span in history."""
    first, again = span(1), span(1, received_ns=T0 + 3600 * 10**9)
    sink = any_store.sink()
    sink.write(block(0, 0, spans=[Located(first, 1, 0, 0)]))
    sink.write(block(9, 9, spans=[Located(again, 1, 9, 0)]))
    assert any_store.located() == [Located(first, 1, 0, 0)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_highest_version_of_an_alert_counts(any_store: Store, order: tuple[int, ...]) -> None:
    sink = any_store.sink()
    for offset, version in enumerate(order):
        sink.write(block(offset, offset, alert(version), seqs=range(0)))
    assert any_store.alerts() == [(alert(3).id, 3, 3)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 0, 2, 0)])
def test_rows_of_an_incident_merge_by_union(any_store: Store, order: tuple[int, ...]) -> None:
    """Any order, any repetition: the same incident."""
    parts = [
        incident("x", "y", severity=Severity.LOW, updated_ns=T0 + 5, title="A"),
        incident("y", "z", categories=(Category.DATA_EXFILTRATION,), severity=Severity.CRITICAL, title="B"),
        incident("x", session_ids=("s2",), opened_ns=T0 - 7),
    ]
    sink = any_store.sink()
    for offset, index in enumerate(order):
        sink.write(block(offset, offset, parts[index], seqs=range(0)))
    (stored,) = any_store.incidents()
    assert stored == incident(
        "x",
        "y",
        "z",
        session_ids=("s1", "s2"),
        categories=(Category.DATA_EXFILTRATION, Category.OVERREACH),
        severity=Severity.CRITICAL,
        opened_ns=T0 - 7,
        updated_ns=T0 + 5,
        title="Chain",
    )


def test_runs_do_not_meet(any_store: Store) -> None:
    """A replay's results lie beside the live ones, under tokens of their own, and history is left alone."""
    sink = any_store.sink()
    sink.write(block(0, 2, finding("a"), alert(1), incident("x")))
    sink.write(block(0, 2, finding("b"), alert(2), incident("y"), run="trial"))
    assert any_store.ids(Finding) == [finding("a").id]
    assert any_store.ids(Finding, "trial") == [finding("b").id]
    assert (any_store.alerts()[0][1], any_store.alerts("trial")[0][1]) == (1, 2)
    assert any_store.incidents("trial")[0].alert_ids == ("y",)
    assert any_store.located() == block(0, 2).spans


def test_a_replay_adds_no_spans_and_no_plan(any_store: Store) -> None:
    sink = any_store.sink()
    sink.write(block(0, 2, run="trial"))
    assert any_store.located() == []
    assert sink.planned("spans", 1, 0) == []


def test_planned_ranges_are_those_of_the_place_ascending(any_store: Store) -> None:
    sink = any_store.sink()
    for first, last in ((5, 7), (0, 4), (8, 20)):
        sink.write(block(first, last, seqs=range(0)))
    sink.write(block(0, 99, seqs=range(0), partition=2))
    sink.write(block(0, 99, seqs=range(0), topic="activity"))
    assert sink.planned("spans", 1, 0) == [(0, 4), (5, 7), (8, 20)]
    assert sink.planned("spans", 1, 5) == [(5, 7), (8, 20)]
    assert sink.planned("spans", 1, 21) == []
    assert sink.planned("spans", 3, 0) == []


def test_overlapping_plans_give_ranges_that_do_not(any_store: Store) -> None:
    sink = any_store.sink()
    for first, last in ((0, 4), (3, 9), (10, 12)):
        sink.write(block(first, last, seqs=range(0)))
    assert sink.planned("spans", 1, 0) == [(0, 4), (10, 12)]


def test_an_outcome_without_a_table_is_rejected(any_store: Store) -> None:
    with pytest.raises(SinkRejected, match="Resource"):
        any_store.sink().write(block(0, 0, Resource()))  # type: ignore[arg-type]  # the mistake under test
    assert any_store.located() == []


def test_two_threads_write_side_by_side(any_store: Store) -> None:
    sink = any_store.sink()
    errors: list[BaseException] = []

    def work(partition: int) -> None:
        try:
            for i in range(6):
                seqs = range(100 * partition + i, 100 * partition + i + 1)
                spans = [Located(span(seq), partition, i, 0) for seq in seqs]
                sink.write(block(i, i, finding(f"{partition}-{i}"), partition=partition, spans=spans))
        except BaseException as error:  # noqa: BLE001  # handed to the test, which fails on any
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(any_store.located()) == 12
    assert len(any_store.ids(Finding)) == 12


incidents: st.SearchStrategy[Incident] = st.builds(
    incident,
    session_ids=st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
    alert_ids=st.lists(st.sampled_from("xyz"), max_size=3).map(tuple),
    categories=st.lists(st.sampled_from(Category), max_size=3).map(tuple),
    severity=st.sampled_from(Severity),
    opened_ns=st.integers(0, 9),
    updated_ns=st.integers(0, 9),
    title=st.sampled_from(["", "one", "two"]),
)


@given(parts=st.lists(incidents, min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
def test_merging_incidents_is_a_union(parts: list[Incident], seed: random.Random) -> None:
    """Commutative, associative, idempotent: so rows may come late, twice and from two engines."""

    def fold(rows: list[Incident], join: Callable[[Incident, Incident], Incident] = merged) -> Incident:
        result = join(rows[0], rows[0])
        for row in rows[1:]:
            result = join(result, row)
        return result

    shuffled = parts + parts[: seed.randint(0, len(parts))]
    seed.shuffle(shuffled)
    assert fold(shuffled) == fold(parts)
