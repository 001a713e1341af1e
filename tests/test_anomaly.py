"""The anomaly models: what they look at, what they learn, what they tell, and what bounds them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from detectors import anomaly, anomaly_models
from detectors.anomaly import Anomalies, Type
from detectors.anomaly_features import DAY_NS, FEATURES, INDEX, items, vector
from detectors.engine import Engine
from detectors.model import Failure, Finding, Severity, Window
from tests.make import T0

MINUTE = 60_000_000_000
WARM = 600


def window(number: int, *, agent: str = "a", session: str = "s", **changes: Any) -> Window:
    """A usual minute, `number` minutes after the first: some ten calls of two tools, two hosts, two kilobytes."""
    dice = Random(f"{agent}/{number}")
    reads, sends = dice.randint(4, 8), dice.randint(1, 4)
    start = T0 + number * MINUTE
    values: dict[str, Any] = {
        "id": f"{agent}/{session}/{number}",
        "tenant": "default",
        "agent_id": agent,
        "agent_type": "reader",
        "session_id": session,
        "start_ns": start,
        "end_ns": start + MINUTE,
        "last_span_id": f"last-{number}",
        "counts": {
            "spans": reads + sends + 3,
            "tool_calls": reads + sends,
            "llm_calls": 3 + dice.randint(0, 2),
            "egress": sends,
            "bytes_out": int(1000 * sends * math.exp(dice.gauss(0, 0.3))),
            "tokens_in": int(9000 * math.exp(dice.gauss(0, 0.3))),
        },
        "calls": {"read": reads, "send": sends},
        "pairs": {"read>read": reads - 1, "read>send": sends},
        "hosts": ("api.example", "docs.example")[: 1 + sends // 3],
        "domains": ("api.example", "docs.example")[: 1 + sends // 3],
        "paths": ("source",),
        "models": ("m-1",),
        "shown": {"tool:read": f"read-{number}", "host:api.example": f"host-{number}"},
    }
    values.update(changes)
    return Window(**values)


def usual(count: int, *, first: int = 0, agents: int = 3) -> Iterator[Window]:
    for number in range(first, first + count):
        for agent in range(agents):
            yield window(number, agent=f"a{agent}")


def learnt(detector: Anomalies, count: int = WARM // 3) -> Type:
    state = detector.new_state()
    for one in usual(count):
        list(detector.observe(one, state))
    return state


def more(one: Window, **counts: float) -> Window:
    return msgspec.structs.replace(one, counts={**one.counts, **counts})


def burst(number: int, agent: str = "a0") -> Window:
    calls = {"read": 400, "send": 2}
    return window(number, agent=agent, calls=calls, counts={"spans": 420, "tool_calls": 402, "llm_calls": 200})


# features


@pytest.mark.parametrize("name", ["tool_calls", "llm_calls", "egress", "bytes_out"])
@pytest.mark.parametrize("wrong", [float("nan"), -1, float("inf"), 10**30])
def test_a_number_that_is_none_is_missing_as_if_it_were_not_told(name: str, wrong: float) -> None:
    plain = window(1)
    untold = msgspec.structs.replace(plain, counts={key: v for key, v in plain.counts.items() if key != name})
    assert vector(more(plain, **{name: wrong})) == vector(untold)
    assert INDEX[name] in dict(vector(plain))
    assert INDEX[name] not in dict(vector(untold))


def test_what_a_window_does_not_tell_is_left_out_not_zero() -> None:
    bare = window(1, counts={}, calls={}, pairs={}, hosts=(), domains=(), paths=(), models=(), shown={})
    assert vector(bare) == []
    assert items(bare) == []


def test_every_feature_is_found_in_a_window_that_tells_everything() -> None:
    full = more(
        window(1, began_ns=T0), commands=2, cost_micros=900, denied=1, allowed=2, skipped=1, bytes_in=5, errors=2
    )
    values = dict(vector(full))
    assert set(values) == set(range(len(FEATURES)))
    assert values[INDEX["skipped_share"]] == 0.25
    assert values[INDEX["error_share"]] == pytest.approx(2 / full.counts["spans"])
    assert values[INDEX["tool_calls"]] == math.log1p(full.counts["tool_calls"])
    assert values[INDEX["session_minutes"]] == math.log1p(2)


# telling


def test_a_burst_is_told_with_what_made_it_and_the_spans_behind() -> None:
    detector = Anomalies()
    state = learnt(detector)
    (found,) = detector.observe(burst(WARM), state)
    assert found.rule_id in ("anomaly.activity", "anomaly.loop")
    assert found.confidence == "suspected"
    assert found.severity in (Severity.LOW, Severity.MEDIUM)
    assert found.evidence["contributor.tool_calls"].startswith("402 (expected ")
    shares = [int(value.split(", ")[-1].split(" %")[0]) for k, value in found.evidence.items() if "contributor" in k]
    assert sum(shares) == pytest.approx(100, abs=len(shares))
    assert f"read-{WARM}" in found.span_ids
    assert found.evidence["warmup"] == f"50 of 50 windows of this agent, {WARM} of its type"


def test_a_tool_nobody_of_the_type_has_is_told_with_its_span() -> None:
    detector = Anomalies()
    state = learnt(detector, 700)
    one = window(2000, agent="a0")
    calls, shown = {**one.calls, "grant_role": 2}, {**one.shown, "tool:grant_role": "the-span"}
    one = msgspec.structs.replace(one, calls=calls, pairs={**one.pairs, "read>grant_role": 2}, shown=shown)
    (found,) = detector.observe(one, state)
    assert found.rule_id == "anomaly.new-behaviour"
    assert "never seen of its type" in found.evidence["contributor.tool grant_role"]
    assert "the-span" in found.span_ids


def test_minutes_that_send_the_same_to_the_byte_are_a_beacon() -> None:
    detector = Anomalies()
    state = learnt(detector, 700)
    found = []
    for number in range(2000, 2010):
        beat = window(number, agent="a0", hosts=("c2.example",), domains=("c2.example",), calls={"send": 1}, pairs={})
        beat = msgspec.structs.replace(beat, counts={"spans": 1, "tool_calls": 1, "egress": 1, "bytes_out": 256})
        found += [one.rule_id for one in detector.observe(beat, state)]
    assert "anomaly.beacon" in found


def test_an_hour_the_agent_never_works_at_is_told() -> None:
    detector, state = Anomalies(), Type()
    for day in range(4):
        for number in range(120):
            for agent in range(3):
                list(detector.observe(window(day * 1440 + number, agent=f"a{agent}"), state))
    found = list(detector.observe(window(4 * 1440 + 12 * 60, agent="a1"), state))
    assert [one.rule_id for one in found] == ["anomaly.off-hours"]
    assert not list(detector.observe(window(4 * 1440 + 30, agent="a2"), state))


def test_a_new_agent_that_works_like_its_type_is_not_alarming() -> None:
    detector = Anomalies()
    state = learnt(detector)
    assert not [one for n in range(60) for one in detector.observe(window(WARM + n, agent="new"), state)]


def test_nothing_is_told_while_a_type_warms_up_and_the_state_says_so() -> None:
    detector, state = Anomalies(warmup=200), Type()
    for one in usual(60):
        assert not list(detector.observe(one, state))
    assert not list(detector.observe(burst(61), state))
    assert not detector.status(state).warm
    assert detector.status(state).windows == 181
    assert detector.status(learnt(detector)).warm


def test_alerts_stay_within_the_budget_on_usual_work() -> None:
    """Ten agents for 1,500 minutes in sessions of half an hour: a larger budget tells more, and no more than it may."""
    told = {}
    for budget in (1 / 1000, 1 / 50):
        detector, state = Anomalies(threshold=budget), Type()
        alerts = set()
        for one in usual(1500, agents=10):
            one = msgspec.structs.replace(one, session_id=f"{one.agent_id}/{(one.start_ns - T0) // (30 * MINUTE)}")
            found = detector.observe(one, state)
            alerts |= {(each.session_id, each.rule_id) for each in found if each.severity > Severity.INFO}
        told[budget] = len(alerts)
    assert 1 <= told[1 / 1000] <= 15
    assert 2 * told[1 / 1000] < told[1 / 50] <= 300


# learning


def test_a_lasting_change_is_told_once_as_drift_and_then_learnt() -> None:
    detector = Anomalies()
    state = learnt(detector)
    found: list[list[Finding]] = []
    for number in range(WARM, WARM + 80):
        one = window(number, agent="a0")
        one = more(one, llm_calls=one.counts["llm_calls"] * 6)
        found.append(list(detector.observe(one, state)))
    drifts = [at for at, some in enumerate(found) if any(one.rule_id == "anomaly.drift" for one in some)]
    assert len(drifts) == 1
    assert drifts[0] < 20
    assert not [one for some in found[20:] for one in some]


def test_a_slow_ramp_is_told_as_one() -> None:
    detector = Anomalies()
    state = learnt(detector, 300)
    found = []
    for step in range(150):
        one = window(1000 + step, agent="a0")
        one = more(one, bytes_out=int(one.counts["bytes_out"] * math.exp(step / 50)))
        found += [f for f in detector.observe(one, state) if f.rule_id == "anomaly.ramp"]
    assert found
    assert {"contributor.bytes_out", "contributor.bytes_per_request"} & found[0].evidence.keys()


def test_what_an_analyst_marked_is_scored_but_not_learnt() -> None:
    plain, marking = Anomalies(), Anomalies(marked=frozenset({"bad"}))
    before = learnt(marking)
    blob = marking.dump(before)
    bad = msgspec.structs.replace(burst(WARM), session_id="bad")
    assert list(marking.observe(bad, before)) == list(plain.observe(bad, plain.load(blob)))
    untouched = marking.load(blob)
    assert before.usual == untouched.usual
    assert before.names.seen == untouched.names.seen
    assert before.tails == untouched.tails


# state


def test_a_restored_state_goes_on_as_if_never_stopped() -> None:
    detector = Anomalies()
    state = learnt(detector)
    again = detector.load(detector.dump(state))
    assert again == state
    for one in (*usual(30, first=WARM), burst(WARM + 31), *usual(5, first=WARM + 32)):
        assert list(detector.observe(one, state)) == list(detector.observe(one, again))
    assert detector.dump(state) == detector.dump(again)


def test_a_state_of_another_shape_is_refused() -> None:
    detector = Anomalies()
    state = learnt(detector, 5)
    state.agents["a0"].numbers = state.agents["a0"].numbers[:-1]
    with pytest.raises(ValueError, match="another size"):
        detector.load(detector.dump(state))


def test_an_agents_past_is_small_however_much_it_does() -> None:
    detector, state = Anomalies(), Type()
    for number in range(300):
        names = {f"tool-{number}-{i}": 1 for i in range(20)}
        list(
            detector.observe(
                window(number, calls=names, domains=tuple(f"d{number}-{i}.example" for i in range(20))), state
            )
        )
    one = state.agents["a"]
    assert len(msgspec.msgpack.encode((one.numbers.tobytes(), one.keys, one.rhythm))) <= 4096
    assert len(state.names.seen) <= anomaly_models.MAX_ITEMS


def test_an_agent_id_per_span_is_bounded_told_and_drives_out_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomaly, "MAX_AGENTS", 500)
    detector = Anomalies()
    state = learnt(detector)
    found = []
    for number in range(3000):
        found += [f.rule_id for f in detector.observe(window(WARM + number, agent=f"flood-{number}"), state)]
    assert len(state.agents) + len(state.newcomers) <= 500
    assert set(state.agents) == {"a0", "a1", "a2"}
    assert 1 <= found.count("health.agent-flood") <= 3


def test_agents_idle_for_long_are_forgotten_and_one_wrong_clock_forgets_few() -> None:
    detector, state = Anomalies(), Type()
    for one in usual(3, agents=50):
        list(detector.observe(one, state))
    ahead = window(3, agent="a0", start_ns=T0 + 400 * DAY_NS, end_ns=T0 + 400 * DAY_NS + MINUTE)
    list(detector.observe(ahead, state))
    assert len(state.agents) >= 48
    for number in range(60):
        start = T0 + (400 * 1440 + number) * MINUTE
        list(detector.observe(window(number, agent="a0", start_ns=start, end_ns=start + MINUTE), state))
    assert set(state.agents) == {"a0"}


def test_hostile_windows_lead_to_no_failure() -> None:
    nan = float("nan")
    strange = [
        window(0, agent="", agent_type="", counts={"spans": nan, "egress": -5, "bytes_out": nan}),
        window(1, start_ns=-5 * DAY_NS, end_ns=-1, began_ns=-7),
        window(2, start_ns=2**62, end_ns=2**62 + 1, began_ns=1),
        window(3, calls={"\ud800": 10**18}, pairs={">": -1, "\ud800>x": 5}, domains=("\ud800",), hosts=("",)),
        window(4, counts={"spans": 10**6, "tool_calls": 10**6, "egress": 10**6, "bytes_out": 10**14}),
        window(5, calls={"x": 0}, pairs={}, counts={"spans": 0}),
    ]
    engine = Engine([Anomalies(warmup=0)])
    events = [
        msgspec.structs.replace(one, id=f"{turn}/{one.id}") for turn in range(40) for one in (*strange, window(turn))
    ]
    assert not [one for one in engine.run(events) if isinstance(one, Failure)]
    blob = engine.snapshot()
    engine.restore(blob)
    assert engine.snapshot() == blob
