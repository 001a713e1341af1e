"""The Windows the engine would make of a simulated fleet, made at once: fast enough for models of many agents."""

from __future__ import annotations

from collections.abc import Iterator

from detectors import urls
from detectors.model import Window, digest
from replay.simulate_fleet import Fleet
from replay.simulate_incidents import Incident
from replay.simulate_otlp import span_id, tell, trace_id
from replay.simulate_work import ASK, CALL, MINUTE_NS, Minute

TENANT = "default"


def windows(fleet: Fleet) -> Iterator[tuple[Window, Incident | None]]:
    """Each Window in order of time with the incident it belongs to."""
    for minute in fleet.minutes():
        yield window(minute), minute.incident


def window(minute: Minute) -> Window:
    """What `detectors.activity` counts in this minute's spans."""
    session, agent = minute.session, minute.session.agent
    session_id = session.id
    calls: dict[str, int] = {}
    pairs: dict[str, int] = {}
    shown: dict[str, str] = {}
    hosts: set[str] = set()
    paths: set[str] = set()
    models: set[str] = set()
    commands = egress = errors = sends = gets = sent = got = tokens_in = tokens_out = micros = chats = called = 0
    said = {"allow": 0, "deny": 0, "skip": 0}
    before = ""
    mark, steps = span_id(minute), minute.steps
    for place, (sort, act, name, one, two, three) in enumerate(steps):
        if sort == CALL and act is not None:
            told = act.told or tell(act)
            tool = told.tool
            called += 1
            commands += told.command
            errors += three
            if one:
                sends, sent = 1, sent + one
            if two:
                gets, got = 1, got + two
            if tool in calls:
                calls[tool] += 1
            else:
                calls[tool] = 1
                shown["tool:" + tool] = mark(place)
            if before:
                pair = f"{before}>{tool}"
                pairs[pair] = pairs.get(pair, 0) + 1
            before = tool
            if told.hosts:
                egress += 1
                for host in told.hosts:
                    if host not in hosts:
                        hosts.add(host)
                        shown["host:" + host] = mark(place)
            for path in told.paths:
                if path not in paths:
                    paths.add(path)
                    shown["path:" + path] = mark(place)
        elif sort == ASK:
            said[name] += 1
        else:
            chats += 1
            tokens_in += one
            tokens_out += two
            micros += three
            if name not in models:
                models.add(name)
                shown["model:" + name] = mark(place)
    counts = {
        "allowed": said["allow"],
        "bytes_in": got if gets else 0,
        "bytes_out": sent if sends else 0,
        "commands": commands,
        "cost_micros": micros,
        "denied": said["deny"],
        "egress": egress,
        "errors": errors,
        "llm_calls": chats,
        "skipped": said["skip"],
        "spans": len(steps),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "tool_calls": called,
    }
    return Window(
        id=digest("window", TENANT, session_id, minute.start_ns),
        tenant=TENANT,
        agent_id=agent.id,
        agent_type=session.type.habit.name,
        session_id=session_id,
        start_ns=minute.start_ns,
        end_ns=minute.start_ns + MINUTE_NS,
        last_span_id=mark(len(steps) - 1),
        last_trace_id=trace_id(session),
        counts={name: count for name, count in counts.items() if count},
        calls=dict(sorted(calls.items())),
        pairs=dict(sorted(pairs.items())),
        hosts=tuple(sorted(hosts)),
        domains=tuple(sorted({urls.registered(host) or host for host in hosts})),
        paths=tuple(sorted(paths)),
        models=tuple(sorted(models)),
        began_ns=session.first_ns,
        shown=dict(sorted(shown.items())),
    )
