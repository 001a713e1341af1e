"""The engine: windows, sightings, keyed state, failures, snapshots; nothing lost, nothing twice, nothing unbounded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

import detectors
from detectors.activity import LATENESS_NS, MAX_OPEN, WINDOW_NS
from detectors.detector import Detector, finding
from detectors.engine import Engine
from detectors.errors import StateError
from detectors.model import (
    Alert,
    Category,
    Failure,
    Finding,
    Incident,
    Outcome,
    SecretMatch,
    Severity,
    Sighting,
    Span,
    Window,
)
from tests.bad_detectors import Raises
from tests.make import T0, span
from tests.stories import NAMES, RULES, expected, loop, play, read, summary

LOADED = detectors.load(RULES)
MINUTE = 60_000


class Count(msgspec.Struct):
    seen: int = 0


class Third(Detector[Span, Count]):
    """Fires on every third span of a session. Blind spots: the others."""

    id = "third"
    scope = "session"

    def new_state(self) -> Count:
        return Count()

    def observe(self, event: Span, state: Count) -> Iterator[Finding]:
        state.seen += 1
        if state.seen % 3 == 0:
            yield finding(self, event, rule_id="third", severity=Severity.MEDIUM, category=Category.OVERREACH)


class ThirdAgain(Third):
    version = "2"


def windows(outcomes: Sequence[Outcome]) -> list[Window]:
    return [one for one in outcomes if isinstance(one, Window)]


def sightings(outcomes: Sequence[Outcome]) -> list[Sighting]:
    return [one for one in outcomes if isinstance(one, Sighting)]


def counted(outcomes: Sequence[Outcome], name: str = "spans") -> int:
    return sum(one.counts.get(name, 0) for one in windows(outcomes))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_session_leads_to_what_was_written_down(name: str) -> None:
    spans = read(name)
    assert summary(play(spans, LOADED), spans) == expected(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("benign-")])
def test_a_benign_session_stays_silent_above_low(name: str) -> None:
    assert not [o for o in play(read(name), LOADED) if isinstance(o, Finding | Alert) and o.severity > Severity.LOW]


def mixed() -> list[Span]:
    """Spans of all recorded sessions but the long one, interleaved by time; each session keeps its own order.

    A clock that goes back puts nothing before what its session told earlier.
    """
    arrived: list[tuple[int, int, Span]] = []
    for name in NAMES:
        latest = 0
        for place, one in enumerate(read(name) if name != "anomaly.models" else ()):
            latest = max(latest, one.start_ns)
            arrived.append((latest, place, one))
    return [one for _, _, one in sorted(arrived, key=lambda each: each[:2])]


def test_a_batch_gives_what_its_events_give_one_by_one() -> None:
    """Findings, windows and sightings equal and in order; alerts and incidents as they stand at the end."""
    spans = mixed()
    whole = Engine(LOADED).run(spans)
    single = [out for one in [Engine(LOADED)] for event in spans for out in one.step(event)]
    last = {one.id: one for one in single if isinstance(one, Alert | Incident)}
    grouped = Alert | Incident
    assert [o for o in whole if not isinstance(o, grouped)] == [o for o in single if not isinstance(o, grouped)]
    assert {o.id: o for o in whole if isinstance(o, grouped)} == last


def test_a_session_spread_over_batches_with_others_gives_the_same_findings() -> None:
    spans = mixed()
    apart = {o.id for name in NAMES if name != "anomaly.models" for o in Engine(LOADED).run(read(name)) if _is(o)}
    for size in (1, 3, 50, len(spans)):
        engine = Engine(LOADED)
        out = [o for i in range(0, len(spans), size) for o in engine.run(spans[i : i + size])]
        assert {o.id for o in out if _is(o)} == apart


def _is(outcome: Outcome) -> bool:
    return isinstance(outcome, Finding)


def test_a_window_closes_when_event_time_passes_its_end_and_lateness() -> None:
    engine = Engine([])
    assert windows(engine.step(span(0, at_ms=0))) == []
    assert windows(engine.step(span(1, at_ms=MINUTE + LATENESS_NS // 1_000_000 - 1))) == []
    (closed,) = windows(engine.step(span(2, at_ms=MINUTE + LATENESS_NS // 1_000_000)))
    assert (closed.start_ns, closed.end_ns) == (T0, T0 + WINDOW_NS)
    assert closed.counts["spans"] == 1


def test_a_window_counts_what_happened_and_leaves_unknown_out() -> None:
    fields = {"tool.name": "Bash", "command.line": "ls", "bytes.out": 7, "egress.host": "b.example"}
    out = Engine([])
    out.run(
        [
            span(0, kind="command", fields=fields | {"egress.hosts": "b.example,a.example"}, status="error"),
            span(1, kind="llm_call", fields={"tokens.in": 5, "tokens.out": 2}),
            span(2, kind="approval", fields={"tool.name": "Bash", "approval.decision": "deny"}),
            span(3),
        ]
    )
    (window,) = windows(out.flush())
    assert window.counts == {
        "bytes_out": 7,
        "commands": 1,
        "denied": 1,
        "egress": 1,
        "errors": 1,
        "llm_calls": 1,
        "spans": 4,
        "tokens_in": 5,
        "tokens_out": 2,
        "tool_calls": 2,
    }
    assert window.tools == ("Bash", "noop")
    assert window.hosts == ("a.example", "b.example")


def test_a_span_counts_once_however_often_it_is_delivered() -> None:
    engine = Engine([])
    one = span(0)
    engine.run([one, one])
    engine.run([one])
    assert counted(engine.flush()) == 1


def test_a_span_and_a_log_event_of_one_call_count_once_and_its_approval_besides() -> None:
    engine = Engine([])
    engine.run(
        [
            span(0, call_id="c", kind="approval"),
            span(1, call_id="c"),
            span(2, call_id="c", signal="log"),
            span(3, call_id="c", signal="log", at_ms=MINUTE + 5000),
        ]
    )
    assert counted(engine.flush()) == 2


def test_a_span_late_for_a_closed_window_is_seen_by_detectors_and_not_counted() -> None:
    engine = Engine([Third()])
    closed = engine.run([span(0, at_ms=0), span(1, at_ms=10 * MINUTE)])
    late = engine.step(span(2, at_ms=100))
    assert counted(closed) == 1
    assert [o for o in late if isinstance(o, Finding)]
    assert windows(late) == []
    assert counted(engine.flush()) == 1


def test_late_spans_of_an_open_window_are_counted_in_it() -> None:
    engine = Engine([])
    out = engine.run([span(0, at_ms=0), span(1, at_ms=MINUTE + 20_000), span(2, at_ms=30_000)])
    out += engine.flush()
    assert [w.counts["spans"] for w in windows(out)] == [2, 1]


def test_window_ids_do_not_depend_on_what_was_delivered() -> None:
    first, second = Engine([]), Engine([])
    first.run([span(0), span(1)])
    second.run([span(1)])
    assert [w.id for w in windows(first.flush())] == [w.id for w in windows(second.flush())]


def test_a_clock_gone_wrong_closes_nothing_and_opens_few_windows() -> None:
    engine = Engine([])
    far = msgspec.structs.replace(span(1), start_ns=T0 + 10**18)
    out = engine.run([span(0), far, span(2)])
    assert windows(out) == []
    many = [
        msgspec.structs.replace(span(i), start_ns=T0 - i * 3600 * 10**9, received_ns=T0)
        for i in range(3, 3 + 3 * MAX_OPEN)
    ]
    out = engine.run(many)
    assert len(windows(engine.flush())) <= MAX_OPEN


def test_tick_closes_windows_of_silent_sessions_by_arrival_time() -> None:
    engine = Engine([])
    engine.run([span(0)])
    arrived = span(0).received_ns
    assert engine.tick(arrived + WINDOW_NS) == []
    assert counted(engine.tick(arrived + 2 * WINDOW_NS)) == 1
    assert engine.flush() == []


def test_traffic_of_others_closes_a_silent_session_like_tick_does() -> None:
    engine = Engine([])
    engine.run([span(0)])
    out = engine.step(span(0, session="other", at_ms=2 * MINUTE))
    assert [w.session_id for w in windows(out)] == ["s1"]


def test_a_silent_session_put_away_goes_on_where_it_was_also_over_a_snapshot() -> None:
    """Silence costs memory only: what a detector remembers of the session is there again with its next span."""
    engine = Engine([Third()], key=b"k")
    engine.run([span(0), span(1)])
    awake = len(engine.snapshot())
    engine.step(span(0, session="other", at_ms=10 * MINUTE))
    restored = Engine([Third()], key=b"k")
    restored.restore(engine.snapshot())
    late = span(2, at_ms=11 * MINUTE)
    for one in (engine, restored):
        assert [o.session_id for o in one.step(late) if isinstance(o, Finding)] == ["s1"]
    assert engine.snapshot() == restored.snapshot()
    assert awake < len(engine.snapshot())


def test_state_that_cannot_be_read_again_costs_its_session_alone_and_is_told() -> None:
    engine = Engine([CannotLoad(), ThirdAgain()], key=b"k")
    engine.run([span(0), span(1)])
    engine.step(span(0, session="other", at_ms=10 * MINUTE))
    out = engine.step(span(2, at_ms=11 * MINUTE))
    assert [(o.detector_id, o.reason) for o in out if isinstance(o, Failure)] == [("third", "RuntimeError")]
    assert [o.detector_version for o in out if isinstance(o, Finding)] == ["2"]


def test_idle_sessions_are_forgotten_and_go_on_blank() -> None:
    engine = Engine([Third()], idle_ns=10**9)
    engine.run([span(0), span(1)])
    assert counted(engine.tick(span(1).received_ns + 2 * 10**9)) == 2
    assert not [o for o in engine.step(span(2)) if isinstance(o, Finding)]


def test_the_longest_silent_session_makes_room_and_its_window_is_not_lost() -> None:
    engine = Engine([Third()], max_sessions=2)
    out = engine.run([span(0, session="a"), span(0, session="b"), span(1, session="a"), span(0, session="c")])
    assert [w.session_id for w in windows(out)] == ["b"]
    out = engine.run([span(2, session="a")])
    assert [o.session_id for o in out if isinstance(o, Finding)] == ["a"]


KINDS = ("agent", "credential", "host", "secret")  # what else is sighted has marks, and comes again


def test_an_entity_is_sighted_once_per_session() -> None:
    match = SecretMatch(rule_id="r", where="x", length=20, fingerprint="f" * 16, surface="result")
    engine = Engine([])
    fields = {"egress.host": "a.example", "egress.hosts": "a.example,b.example", "credential": "bot"}
    twice = [span(0, fields=fields, secrets=(match,)), span(1, fields=fields, secrets=(match,))]
    seen = [one for one in sightings(engine.run(twice)) if one.entity_kind in KINDS and "use" not in one.detail]
    assert sorted((one.entity_kind, one.entity_id) for one in seen) == [
        ("agent", "a1"),
        ("credential", "bot"),
        ("host", "test-agent/a.example"),
        ("host", "test-agent/b.example"),
        ("secret", "f" * 16),
    ]
    other = sightings(engine.run([span(2, session="s2", fields=fields)]))
    again = [one for one in other if one.entity_kind in KINDS and "use" not in one.detail]
    assert len(again) == 4
    assert not {one.id for one in again} & {one.id for one in seen}


class Seen(Detector[Sighting, Count]):
    """Counts how often an entity was sighted. Blind spots: everything else."""

    id = "seen"
    scope = "entity"

    def new_state(self) -> Count:
        return Count()

    def observe(self, event: Sighting, state: Count) -> Iterator[Finding]:
        state.seen += 1
        evidence = {"times": str(state.seen)}
        yield finding(
            self, event, rule_id="seen", severity=Severity.LOW, category=Category.OVERREACH, evidence=evidence
        )


def test_activity_delivered_again_is_not_seen_again_also_after_a_restart() -> None:
    """Another partition's worker that was killed sends its last windows and sightings a second time."""
    first, second = (
        [one for one in sightings(Engine([]).run([shows])) if one.entity_kind == "credential"]
        for name in ("s1", "s2")
        for shows in [span(0, session=name, agent="", fields={"credential": "bot"})]
    )
    engine = Engine([Seen()], key=b"k")
    assert len([o for o in engine.run([*first, *first]) if isinstance(o, Finding)]) == 1
    restored = Engine([Seen()], key=b"k")
    restored.restore(engine.snapshot())
    for one in (engine, restored):
        found = [o for o in one.run([*first, *second]) if isinstance(o, Finding)]
        assert [f.evidence["times"] for f in found] == ["2"]


def test_sessions_of_two_tenants_never_meet() -> None:
    engine = Engine([Third()])
    other = msgspec.structs.replace(span(0).resource, tenant="other")
    out = engine.run([span(0), span(1), span(2, resource=other)])
    assert not [o for o in out if isinstance(o, Finding)]
    assert {w.tenant: w.counts["spans"] for w in windows(engine.flush())} == {"default": 2, "other": 1}


def test_a_detector_that_raises_is_a_failure_that_names_no_value_and_the_rest_goes_on() -> None:
    engine = Engine([Raises(), Third()])
    out = engine.run([span(i, fields={"hidden": "value"}) for i in range(3)])
    failures = [o for o in out if isinstance(o, Failure)]
    assert [f.reason for f in failures] == ["KeyError"] * 3
    assert "tool.name" not in str(failures)
    assert len({f.id for f in failures}) == 3
    assert len([o for o in out if isinstance(o, Finding)]) == 1


class SelectRaises(Third):
    def select(self, events: Sequence[Span]) -> list[int]:
        raise ValueError


def test_a_detector_whose_select_raises_sees_every_event() -> None:
    assert [o for o in Engine([SelectRaises()]).run([span(i) for i in range(3)]) if isinstance(o, Finding)]


def test_a_snapshot_at_any_moment_changes_nothing() -> None:
    spans = mixed()
    straight = Engine(LOADED, key=b"k")
    whole = [loop(straight, straight.run(spans[i : i + 5])) for i in range(0, len(spans), 5)]
    engine = Engine(LOADED, key=b"k")
    out = []
    for i in range(0, len(spans), 5):
        fresh = Engine(LOADED, key=b"k")
        fresh.restore(engine.snapshot())
        engine = fresh
        out.append(loop(engine, engine.run(spans[i : i + 5])))
    assert out == whole
    assert engine.flush() == straight.flush()


@pytest.mark.parametrize("cut", [0, 5, 32, -1])
def test_a_snapshot_that_was_changed_or_cut_is_refused_before_it_is_read(cut: int) -> None:
    engine = Engine([Third()], key=b"k")
    engine.run([span(0), span(1)])
    blob = bytearray(engine.snapshot())
    blob[cut] ^= 1
    for bad in (bytes(blob), bytes(blob[: len(blob) // 2]), b""):
        with pytest.raises(StateError):
            Engine([Third()], key=b"k").restore(bad)


def test_a_snapshot_of_another_key_is_refused_and_leaves_blank_state() -> None:
    engine = Engine([Third()], key=b"k")
    engine.run([span(0), span(1)])
    other = Engine([Third()], key=b"other")
    other.run([span(0), span(1)])
    with pytest.raises(StateError):
        other.restore(engine.snapshot())
    assert not [o for o in other.run([span(2)]) if isinstance(o, Finding)]


def test_state_of_a_detector_with_another_version_is_forgotten() -> None:
    engine = Engine([Third()], key=b"k")
    engine.run([span(0), span(1)])
    for kind, fires in ((Third, True), (ThirdAgain, False)):
        fresh = Engine([kind()], key=b"k")
        fresh.restore(engine.snapshot())
        assert bool([o for o in fresh.run([span(2)]) if isinstance(o, Finding)]) is fires


class CannotLoad(Third):
    def load(self, blob: bytes) -> Count:
        raise RuntimeError("does not fit")


def test_state_that_does_not_fit_is_refused() -> None:
    engine = Engine([Third()], key=b"k")
    engine.run([span(0)])
    with pytest.raises(StateError, match="RuntimeError"):
        Engine([CannotLoad()], key=b"k").restore(engine.snapshot())


def test_state_stays_flat_over_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the sessions, the same state: the snapshot is what the engine remembers."""
    monkeypatch.setattr("detectors.engine.MAX_RECENT", 500)
    engine = Engine(LOADED, key=b"k", max_sessions=200)
    dice = random.Random(1)
    sizes = []
    for part in range(8):
        spans = [_any(dice, f"s{part}-{dice.randrange(400)}", i) for i in range(1500)]
        for start in range(0, len(spans), 500):
            loop(engine, engine.run(spans[start : start + 500]))
        sizes.append(len(engine.snapshot()))
    assert sum(sizes[6:]) <= 1.1 * sum(sizes[2:4])


def test_state_is_bounded_in_bytes_however_long_the_names() -> None:
    """Credentials, tools, users and paths of a hundred thousand characters are remembered by little of them."""
    long = "x" * 100_000
    engine = Engine(LOADED, key=b"k")
    for i in range(60):
        fields = {"tool.name": f"{i}{long}", "credential": f"{i}{long}", "user": f"{i}{long}", "path": f"/{i}{long}"}
        approved = span(i, kind="approval", fields={**fields, "approval.decision": "allow", "approval.source": "human"})
        match = SecretMatch(rule_id="secret.github.pat", where="x", length=40, fingerprint=f"{i:016x}")
        outcomes = engine.run([approved, span(100 + i, fields=fields, secrets=(match,))])
        egress = {**fields, "egress.host": f"h{i}.evil-{i}.io", "command.line": f"rm -rf / --no-preserve-root # {i}"}
        outcomes += engine.run([span(200 + i, kind="command", fields=egress), *sightings(outcomes)])
        assert all(len(msgspec.json.encode(one)) < 20_000 for one in outcomes if isinstance(one, Finding))
        assert all(len(one.entity_id) < 1000 for one in sightings(outcomes))
    assert len(engine.snapshot()) < 1_500_000


def _any(dice: random.Random, session: str, i: int) -> Span:
    host = f"h{dice.randrange(50)}.example.net"
    match = SecretMatch(rule_id="r", where="x", length=20, fingerprint=f"{dice.randrange(99):016x}", surface="result")
    given: list[dict[str, Any]] = [
        {"kind": "command", "fields": {"tool.name": "Bash", "command.line": "rm -rf / ; cat .env"}},
        {"kind": "http_egress", "fields": {"tool.name": "fetch", "egress.host": host, "egress.hosts": host}},
        {"kind": "file_read", "fields": {"tool.name": "Read", "path": "/srv/.env"}, "secrets": (match,)},
        {"kind": "approval", "fields": {"approval.decision": "allow"}},
    ]
    return span(i, session=session, at_ms=i * 50, **dice.choice(given))
