"""A simulated fleet as telemetry in the GenAI dialect: OTLP/JSON, one ExportTraceServiceRequest for each minute.

What the product reads out of a call (its hosts, the classes of its files) is asked of the product's own normaliser,
once for each distinct call, so that the Windows made without telemetry cannot drift away from those made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from detectors.activity import Activity
from detectors.model import Resource, Scalar, Span, Window, digest
from pipeline import dialect
from pipeline.normalise import Normaliser
from replay.simulate_fleet import Fleet
from replay.simulate_work import CALL, CHAT, MINUTE_NS, Act, Minute, Session, Step, Told

SCOPE = "spanwatch.simulate"
CALL_NS, CHAT_NS, ASK_NS = 180_000_000, 1_400_000_000, 20_000_000  # how long a step takes
_ARGUMENT = {"path": "file_path", "command": "command"}
_json = msgspec.json.Encoder().encode


def requests(fleet: Fleet) -> Iterator[bytes]:
    """The whole fleet, a request for each minute of each session, in order of time."""
    for minute in fleet.minutes():
        yield request(minute)


def request(minute: Minute) -> bytes:
    """One minute of one session."""
    session, agent = minute.session, minute.session.agent
    kind, trace, mark = session.type.habit.name, trace_id(session), span_id(minute)
    common: dict[str, Scalar] = {
        "gen_ai.conversation.id": session.id,
        "gen_ai.agent.id": agent.id,
        "gen_ai.agent.name": kind,
    }
    spans = []
    for place, step in enumerate(minute.steps):
        start = minute.moment(place)
        number = mark(place)
        spans.append(_span(step, common, trace, number, start))
    return _json({
        "resourceSpans": [
            {
                "resource": {"attributes": _pairs({"service.name": kind})},
                "scopeSpans": [{"scope": {"name": SCOPE}, "spans": spans}],
            }
        ]
    })  # fmt: skip


def _span(step: Step, common: dict[str, Scalar], trace: str, number: str, start: int) -> dict[str, Any]:
    sort, act, name, one, two, three = step
    values: dict[str, Scalar]
    if sort == CHAT:
        values = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": name,
            "gen_ai.usage.input_tokens": one,
            "gen_ai.usage.output_tokens": two,
            "gen_ai.usage.cost": three / 1e6,
        }
        title, took = f"chat {name}", CHAT_NS
    elif sort == CALL:
        assert act is not None
        values = {**called(act), "gen_ai.tool.call.id": number}
        if one:
            values["http.request.body.size"] = one
        if two:
            values["http.response.body.size"] = two
        title, took = f"execute_tool {act.tool}", CALL_NS
    else:
        assert act is not None
        values = {
            "gen_ai.operation.name": "execute_hook",
            "gen_ai.tool.name": act.tool,
            "github.copilot.hook.decision": "block" if name == "deny" else "pass",
        }
        if name == "skip":
            values["permission_mode"] = "bypassPermissions"
        title, took = "execute_hook approval", ASK_NS
    return {
        "traceId": trace,
        "spanId": number,
        "name": title,
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + took),
        "attributes": _pairs({**common, **values}),
        "status": {"code": 2} if sort == CALL and three else {},
    }


def called(act: Act) -> dict[str, Scalar]:
    """A tool call's own attributes."""
    if act.takes == "url":
        arguments = {"url": f"https://{act.value}/v1/items"}
    elif act.takes in _ARGUMENT:
        arguments = {_ARGUMENT[act.takes]: act.value}
    else:
        arguments = {"about": "as agreed"}
    if act.takes == "command" and act.tool == "python":
        arguments = {"code": act.value}
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": act.tool,
        "gen_ai.tool.call.arguments": _json(arguments).decode(),
    }


@lru_cache(maxsize=1)
def _normaliser() -> Normaliser:
    return Normaliser(dialect.load())


def tell(act: Act) -> Told:
    """What the product reads out of this call; kept beside it."""
    normaliser = _normaliser()
    place = normaliser.place(SCOPE, "simulated", "", {})
    meaning = normaliser.read(place, False, f"execute_tool {act.tool}", 1, False, called(act))
    activity = Activity("", "")
    activity.add(
        Span(id="1", session_id="", resource=Resource(), kind=meaning.kind, fields=meaning.fields, start_ns=1, end_ns=2)
    )
    (seen,) = activity.close()
    assert isinstance(seen, Window)
    told = Told(act.tool, seen.counts.get("commands", 0), seen.hosts, seen.paths)
    act.told = told
    return told


def trace_id(session: Session) -> str:
    """The session's trace."""
    return digest("simulated trace", session.agent.id, session.number)


def span_id(minute: Minute) -> Callable[[int], str]:
    """Gives each step of the minute its span id."""
    before = f"{minute.session.number & 0xFFFFFFF:07x}{minute.start_ns // MINUTE_NS & 0xFFFFF:05x}"
    return lambda place: f"{before}{place + 1:04x}"


def _pairs(values: dict[str, Scalar]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Scalar) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
