"""The promises of every detector, written once and run on each; and on bad ones, which must break them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

import detectors
from detectors import standards
from detectors.detector import Detector
from detectors.engine import Engine
from detectors.model import Event, Failure, Finding, Outcome, Severity, Sighting, Span, Window
from tests.bad_detectors import BAD
from tests.make import span
from tests.stories import NAMES, RULES, read

Make = Callable[[], Detector[Any, Any]]
GOOD: dict[str, Make] = {
    one.id: lambda i=place: detectors.load(RULES)[i]  # type: ignore[misc]  # bound now, not when called
    for place, one in enumerate(detectors.load(RULES))
}
FILED = {one.id for one in (*RULES.secrets, *RULES.behaviour, *RULES.correlation)}
BENIGN = [name for name in NAMES if name.startswith("benign-")]


def wanted(detector: Detector[Any, Any], spans: Sequence[Span]) -> list[Event]:
    """The events of the detector's scope that these spans lead to."""
    if detector.scope in ("span", "session"):
        return list(spans)
    engine = Engine([])
    made = [*engine.run(spans), *engine.flush()]
    return [one for one in made if isinstance(one, Window if detector.scope in ("agent", "type") else Sighting)]


def story(make: Make, session: str = "") -> list[Event]:
    """Events on which this detector fires."""
    detector = make()
    name = detector.id if detector.id in NAMES else "behaviour.rules"
    return wanted(detector, read(name, session))


def findings(outcomes: Sequence[Outcome]) -> list[Finding]:
    return [one for one in outcomes if isinstance(one, Finding)]


def run(make: Make, events: Sequence[Event], batch: int = 5) -> list[Finding]:
    engine = Engine([make()])
    out: list[Finding] = []
    for start in range(0, len(events), batch):
        out += findings(engine.run(events[start : start + batch]))
    return out


def fires(make: Make) -> None:
    found = run(make, story(make))
    assert found
    assert {one.detector_id for one in found} == {make().id}
    assert all(one.standards for one in found if one.detector_id in GOOD)


def quiet_on_benign(make: Make) -> None:
    for name in BENIGN:
        loud = [one for one in run(make, wanted(make(), read(name))) if one.severity > Severity.LOW]
        assert not loud, (name, [one.rule_id for one in loud])


def input_untouched(make: Make) -> None:
    events = story(make)
    before = msgspec.msgpack.encode(events)
    run(make, events)
    assert msgspec.msgpack.encode(events) == before


def two_runs_equal(make: Make) -> None:
    events = story(make)
    assert run(make, events) == run(make, events)
    shared = make()
    assert run(lambda: shared, events) == run(lambda: shared, events)


def select_changes_nothing(make: Make) -> None:
    """Whatever the batch, and without `select` at all, the answers are the same."""
    events = story(make)
    whole = run(make, events, batch=len(events))
    assert run(make, events, batch=1) == whole
    detector, states = make(), {}
    bare: list[Finding] = []
    for event in events:
        key = (
            event.session_key
            if isinstance(event, Span)
            else (event.type_key if detector.scope == "type" else event.agent_key)
            if isinstance(event, Window)
            else event.entity_key
        )
        if key not in states:
            states[key] = detector.new_state()
        bare += detector.observe(event, states[key])
    assert list({one.id: one for one in reversed(bare)}) == list({one.id: one for one in reversed(whole)})


def snapshot_changes_nothing(make: Make) -> None:
    events = story(make)
    whole = Engine([make()], key=b"k")
    straight = [findings(whole.step(event)) for event in events]
    for cut in {1, len(events) // 2, len(events) - 1}:
        first, second = Engine([make()], key=b"k"), Engine([make()], key=b"k")
        out = [findings(first.step(event)) for event in events[:cut]]
        second.restore(first.snapshot())
        out += [findings(second.step(event)) for event in events[cut:]]
        assert out == straight


def keys_apart(make: Make) -> None:
    """Another session, agent and entity in between change nothing."""
    events = story(make)
    apart: list[Event] = []
    for other in story(make, session="elsewhere"):
        if isinstance(other, Span | Window):
            other = msgspec.structs.replace(other, agent_id="other", agent_type="other-type")
        else:
            other = msgspec.structs.replace(other, tenant="other")
        apart.append(other)
    mixed = [one for pair in zip(events, apart, strict=True) for one in pair]
    own = {event.session_id for event in events}
    assert [one for one in run(make, mixed) if one.session_id in own and one.tenant != "other"] == run(make, events)


def tolerant(make: Make) -> None:
    """Empty, strange and hostile values lead to no failure."""
    names = ("command.line", "egress.host", "egress.hosts", "http.status", "approval.decision", "path", "url")
    strange: dict[str, Any] = dict.fromkeys(names, 0)
    spans = [
        span(0, fields={}, call_id="", agent_id="", agent_type=""),
        span(1, fields=strange),
        span(2, fields=dict.fromkeys(strange, "\ud800\x00\n\xff" * 50)),
        span(3, fields={"unheard.of": True, "tool.name": 1.5}, kind="unheard"),
        span(4, fields={"egress.host": ",,", "egress.hosts": ","}, kind="approval"),
        span(5, start_ns=-5, end_ns=0, fields={"tokens.in": -1}),
    ]
    outcomes = Engine([make()]).run(wanted(make(), spans))
    assert not [one for one in outcomes if isinstance(one, Failure)]


def ids_unique(make: Make) -> None:
    """No two findings share an id, also before the engine drops what it heard before."""
    events = story(make)
    detector, states, ids = make(), {}, []
    for event in events:
        key = event.session_id if detector.scope == "session" else getattr(event, "entity_key", "")
        ids += [one.id for one in detector.observe(event, states.setdefault(key, detector.new_state()))]
    assert ids
    assert len(ids) == len(set(ids))


def order_of_fields_means_nothing(make: Make) -> None:
    events = story(make)
    turned = [
        msgspec.structs.replace(one, fields=dict(reversed(one.fields.items()))) if isinstance(one, Span) else one
        for one in [
            msgspec.structs.replace(e, fields={**e.fields, "zz": "z"}) if isinstance(e, Span) else e for e in events
        ]
    ]
    assert [one.id for one in run(make, turned)] == [one.id for one in run(make, events)]


def delivered_twice_found_once(make: Make) -> None:
    events = story(make)
    again = [
        one for start in range(0, len(events), 3) for one in (*events[start : start + 3], *events[start : start + 3])
    ]
    assert {one.id for one in run(make, again)} == {one.id for one in run(make, events)}


def bounded(make: Make) -> None:
    """With one key, state after 10,000 events is at most 1.1 times that after 1,000."""
    detector = make()
    base = [event for event in story(make) if not isinstance(event, Window) or event.counts][:40]
    state = detector.new_state()
    sizes = []
    for number in range(10_000):
        list(detector.observe(_another(base[number % len(base)], number), state))
        if number + 1 in (1_000, 10_000):
            sizes.append(len(detector.dump(state)))
    assert sizes[1] <= 1.1 * sizes[0] + 64, sizes


def _another(event: Event, number: int) -> Event:
    """The same event with ids and a time of its own."""
    new = f"{number:032d}"
    if isinstance(event, Window):
        shift = number * 60_000_000_000
        return msgspec.structs.replace(event, id=new, start_ns=event.start_ns + shift, end_ns=event.end_ns + shift)
    if isinstance(event, Sighting):
        return msgspec.structs.replace(event, id=new)
    secrets = tuple(msgspec.structs.replace(one, fingerprint=new[-16:]) for one in event.secrets)
    start = event.start_ns + number * 1_000_000
    return msgspec.structs.replace(event, id=new, span_id=new[-16:], call_id=new, start_ns=start, secrets=secrets)


def says_what_it_misses(make: Make) -> None:
    assert "blind spots" in (type(make()).__doc__ or "").lower()


def findings_are_described(make: Make) -> None:
    """Every rule id it reports is a rule of a file or described by the detector, with its category and standards."""
    for rule_id, about in make().rules.items():
        assert all((about.title, about.runbook, about.standards)), rule_id
        assert not standards.unknown([*about.standards]), rule_id
        assert not standards.no_rows(about.rows), rule_id
    for found in run(make, story(make)):
        about = make().rules.get(found.rule_id)
        assert about or found.rule_id in FILED, found.rule_id
        if about:
            assert found.category == about.category
            assert set(found.standards) <= set(about.standards)
            assert found.title


PROMISES = {
    one.__name__: one
    for one in (
        fires,
        quiet_on_benign,
        input_untouched,
        two_runs_equal,
        select_changes_nothing,
        snapshot_changes_nothing,
        keys_apart,
        tolerant,
        ids_unique,
        order_of_fields_means_nothing,
        delivered_twice_found_once,
        bounded,
        says_what_it_misses,
        findings_are_described,
    )
}


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("detector", GOOD)
def test_a_detector_keeps_its_promise(detector: str, promise: str) -> None:
    PROMISES[promise](GOOD[detector])


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
def test_a_bad_detector_is_caught(bad: type[Detector[Any, Any]]) -> None:
    """The suite notices the one promise each of them breaks."""
    with pytest.raises(AssertionError):
        PROMISES[BAD[bad]](bad)


def test_every_promise_has_a_detector_that_breaks_it() -> None:
    assert set(BAD.values()) == set(PROMISES)
