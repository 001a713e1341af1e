"""Where secrets and data went, from the past: flows of a session, places tools read secrets from, what masking left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from detectors import exposures
from detectors.egress import hosts_of
from detectors.masking import Gateways, MaskingFailed
from detectors.model import Span
from replay.report import Past, Table
from replay.report_agents import iso

GRACE_NS = 300_000_000_000
TIES = ("host.name", "credential")  # what a flow of another emitter can share with a session
FEED_TIES = {"feed.host": "host.name", "feed.workload": "host.name", "feed.credential": "credential"}


class Flow(NamedTuple):
    """A connection, as some emitter told it."""

    time_ns: int
    destination: str
    port: str
    bytes: str
    told_by: str
    span_id: str
    session_id: str
    ties: frozenset[tuple[str, str]]


def flows(past: Past) -> Iterator[Table]:
    """All outbound flows of the host, workload or credential of the asked sessions, with five minutes of grace."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    ties: dict[str, set[tuple[str, str]]] = {}
    for span in past.spans():
        session = span.session_id
        if span.kind == "feed":
            continue
        first[session] = min(first.get(session, span.start_ns), span.start_ns)
        last[session] = max(last.get(session, span.end_ns), span.end_ns)
        ties.setdefault(session, set()).update(_ties(span))
    rows = []
    left = [flow for span in past.everyone().spans() for flow in outbound(span)]
    for session, began in first.items():
        for flow in left:
            if not began - GRACE_NS <= flow.time_ns <= last[session] + GRACE_NS:
                continue
            same = (
                ["session"] if flow.session_id == session else [name for name, _ in sorted(flow.ties & ties[session])]
            )
            if same:
                reach = past.rules.destinations.reach(flow.destination, "")[0]
                sent = flow.bytes or "unknown"
                where = (session, iso(flow.time_ns), flow.destination, flow.port, sent, reach)
                rows.append((*where, same[0], flow.told_by, flow.span_id))
    yield Table(
        title="Outbound flows",
        columns=("session", "time", "destination", "port", "bytes", "reach", "same", "told by", "span"),
        rows=sorted(set(rows)),
        note="No row means that nobody told of a flow, not that there was none." if not rows else "",
    )


def outbound(span: Span) -> Iterator[Flow]:
    """The connections a span tells of."""
    if span.kind == "feed":
        if to := span.text("feed.destination"):
            known = frozenset(
                (tie, span.text(field).lower()) for field, tie in FEED_TIES.items() if field in span.fields
            )
            yield Flow(
                span.start_ns, to, span.text("feed.port"), span.text("feed.bytes"), "flow log", span.span_id, "", known
            )
        return
    for host in hosts_of(span):
        yield Flow(
            span.start_ns, host, span.text("egress.port"), span.text("bytes.out"),
            span.resource.service, span.span_id, span.session_id, frozenset(_ties(span)),
        )  # fmt: skip


def _ties(span: Span) -> set[tuple[str, str]]:
    return {(name, span.text(name).lower()) for name in TIES if name in span.fields}


def secret_places(past: Past) -> Iterator[Table]:
    """Each AI tool with the places its execution context was seen to read secrets from."""
    found: dict[tuple[str, str], tuple[int, int, set[str], set[str]]] = {}
    for span in past.spans():
        for one in exposures.of(span):
            if one.kind != "secret-place":
                continue
            began, ended, sessions, tools = found.get((one.id, one.mark), (span.start_ns, span.start_ns, set(), set()))
            sessions.add(span.session_id)
            tools.add(one.told().get("tool", ""))
            found[one.id, one.mark] = (min(began, span.start_ns), max(ended, span.start_ns), sessions, tools)
    rows = [
        (product, place, len(sessions), ", ".join(sorted(tools - {""})), iso(began), iso(ended))
        for (product, place), (began, ended, sessions, tools) in sorted(found.items())
    ]
    columns = ("AI tool", "reads secrets from", "sessions", "by", "first", "last")
    yield Table(title="Places of secrets", columns=columns, rows=rows)


def masking(past: Past) -> Iterator[Table]:
    """Each gateway that masks, with the share of texts that came through it with nothing left in them."""
    detector = MaskingFailed(past.rules.inventory.masking)
    states: dict[str, Gateways] = {}
    for span in past.spans():
        state = states.setdefault(span.session_key, Gateways())
        for _ in detector.observe(span, state):
            pass  # only what it counts is asked for
    counts: dict[tuple[str, str, str], list[int]] = {}
    for state in states.values():
        for name, emitter in state.emitters.items():
            for way, guardrail in emitter.masks.items():
                count = counts.setdefault((name, way, guardrail), [0, 0])
                count[0] += sum(call.startswith(way) for call in emitter.seen)
                count[1] += sum(call.startswith(way) for call in emitter.failed)
    rows = [
        (name, way, guardrail, seen, failed, f"{(seen - failed) / seen:.1%}" if seen else "unknown")
        for (name, way, guardrail), (seen, failed) in sorted(counts.items())
    ]
    columns = ("gateway", "texts", "guardrail", "seen", "with something left", "coverage")
    yield Table(title="Masking", columns=columns, rows=rows)
