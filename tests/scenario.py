"""Scenarios of the requirement catalogue as files: what emitters send, the alert that must come, and a benign twin.

A file of `tests/scenarios` is named after its row and holds one or more YAML documents:

    title: An agent drops a table and nobody approved it
    service: claude-code                # of the resource; `resource` holds further attributes
    records:                            # OTLP spans, or logs where `log: event.name` stands in place of `span`
      - {at: 0, span: execute_tool bash, session: s1, attributes: {gen_ai.tool.name: bash, ...}}
    expect:                             # alerts that must come; `evidence` holds words each value must contain
      - {rule: destructive.sql, severity: high, evidence: {part: DROP}}
    twin:                               # the same with its cause taken away, or what an honest agent does
      records: [...]
    rules: [...]                        # folder of policies, inventory or further rules, beside the scenario files

`at` is in seconds; `took` too. A record's `resource` overrides the file's. Attribute values that are mappings or
lists are sent as JSON text. Holes such as <alnum:36> are filled, the same hole text with the same text everywhere;
a word inside makes another hole: <alnum:second:36>.
A record `{repeat: 12, every: 10, records: [...]}` stands for those records so many times, so many seconds apart;
`<n>` in them is the number of the round.
A record with `feed: NAME` is a feed event (pipeline/feeds.py), sent as `spanwatch feed` sends it; its `attributes` are
the fields of its kind, without the prefix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

import detectors
from detectors import rule
from detectors.engine import Engine
from detectors.model import Alert, Event, Finding, Outcome, Sighting, Window, digest
from detectors.secret_rules import fill
from detectors.secrets import Scanner
from pipeline import feeds
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from tests.make import T0

FOLDER = Path(__file__).parent / "scenarios"
KEY = b"scenario"
_HOLE = re.compile(r"<[A-Za-z0-9]+:[^<>]+>|<uuid>")


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert that must come: its rule, and as far as named its severity, session and evidence."""

    rule: str
    severity: str = ""
    session: str = ""
    evidence: dict[str, str] = {}


class Twin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records on which none of the expected rules may raise an alert above `at_most`."""

    records: list[dict[str, Any]]
    rules: str = ""
    at_most: str = "info"


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document of a scenario file."""

    title: str
    records: list[dict[str, Any]]
    expect: list[Expected]
    twin: Twin
    service: str = "shell-agent"
    resource: dict[str, Any] = {}
    rules: str = ""


def read(file: Path) -> list[Scenario]:
    return [msgspec.convert(raw, Scenario) for raw in yaml.safe_load_all(file.read_text()) if raw is not None]


def every() -> Iterator[tuple[str, Scenario]]:
    """Name and scenario, `D1-0` the first of file D1."""
    for file in sorted(FOLDER.glob("*.yml")):
        for number, one in enumerate(read(file)):
            yield f"{file.stem}-{number}", one


@cache
def ruleset(extra: str) -> rule.RuleSet:
    """Built-in rules with the named folder laid over."""
    return rule.read([FOLDER / extra] if extra else [])


@cache
def scanner() -> Scanner:
    return Scanner(ruleset("").secrets, KEY)


@cache
def loaded(extra: str) -> tuple[Any, ...]:
    return tuple(detectors.load(ruleset(extra)))


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, tuple):  # a list of a feed event; emitters' own lists come as JSON text
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": _fill(str(value))}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": _fill(str(key)), "value": _value(value)} for key, value in values.items()]


def _fill(text: str) -> str:
    return _HOLE.sub(lambda hole: fill(hole[0], 0), text)


def _filled(value: Any) -> Any:
    """Holes filled before JSON text is made of it, so that quotes inside fit."""
    if isinstance(value, str):
        return _fill(value)
    if isinstance(value, dict):
        return {key: _filled(one) for key, one in value.items()}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def _rounds(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records, those that are repeated written out."""
    for record in records:
        for number in range(record.get("repeat", 0)):
            for inner in record["records"]:
                one = _numbered(inner, str(number))
                yield {**one, "at": float(record.get("at", 0)) + number * record["every"] + float(one.get("at", 0))}
        if "repeat" not in record:
            yield record


def _numbered(value: Any, number: str) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(one, number) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one, number) for one in value]
    return value.replace("<n>", number) if isinstance(value, str) else value


def bodies(records: list[dict[str, Any]], service: str, resource: dict[str, Any]) -> Iterator[tuple[str, int, bytes]]:
    """(signal, time of arrival, OTLP/JSON request) per record, in the order of the file."""
    for number, given in enumerate(_rounds(records)):
        record = dict(_filled(given))
        at = T0 + int(float(record.pop("at", number)) * 1e9)
        end = at + int(float(record.pop("took", 0.1)) * 1e9)
        session = str(record.pop("session", "s1"))
        arrives = T0 + int(float(record.pop("arrives", (end - T0) / 1e9)) * 1e9)
        home = {"service.name": service, **resource, **record.pop("resource", {})}
        values = record.pop("attributes", {})
        trace = str(record.pop("trace", "")) or digest("trace", session)
        span_id = digest("record", session, number)[:16]
        scope = {"name": str(record.pop("scope", ""))}
        if "feed" in record:
            told = feeds.event({"feed": record.pop("feed"), "time": _moment(at), **values})
            item: dict[str, Any] = {
                "timeUnixNano": str(told.time_ns),
                "eventName": told.name,
                "attributes": _attributes(told.attributes),
            }
            log = True
        elif "log" in record:
            name = str(record.pop("log"))
            body = record.pop("body", name)
            item = {
                "timeUnixNano": str(at),
                "eventName": name,
                "body": _value(body),
                "traceId": trace,
                "spanId": span_id,
                "attributes": _attributes(values),
            }
            log = True
        else:
            item = {
                "traceId": trace,
                "spanId": span_id,
                "name": record.pop("span"),
                "kind": int(record.pop("kind", 1)),
                "startTimeUnixNano": str(at),
                "endTimeUnixNano": str(end),
                "status": {"code": int(record.pop("status", 0))},
                "attributes": _attributes({"gen_ai.conversation.id": session, **values}),
            }
            log = False
        assert not record, f"unknown keys {sorted(record)}"
        inner = "logRecords" if log else "spans"
        outer, scoped = ("resourceLogs", "scopeLogs") if log else ("resourceSpans", "scopeSpans")
        request = {outer: [{"resource": {"attributes": _attributes(home)}, scoped: [{"scope": scope, inner: [item]}]}]}
        yield ("logs" if log else "traces"), arrives, json.dumps(request).encode()


def play(
    records: list[dict[str, Any]], service: str, resource: dict[str, Any], extra: str
) -> tuple[list[Alert], list[Finding]]:
    """Last version of every alert, and all findings, that come of the records in their order."""
    ingest = Ingest(scanner(), Gateway(), KEY)
    engine = Engine(loaded(extra), key=KEY)
    outcomes: list[Outcome] = []
    arrives = T0
    for signal, arrives, body in bodies(records, service, resource):
        done = getattr(ingest, signal)(body, "json", received_ns=arrives)
        assert not done.dead_letters, done.dead_letters
        outcomes += _loop(engine, engine.run(done.spans))
    outcomes += _loop(engine, engine.tick(arrives + 600_000_000_000))
    outcomes += _loop(engine, engine.flush())
    last = {one.id: one for one in outcomes if isinstance(one, Alert)}
    return list(last.values()), [one for one in outcomes if isinstance(one, Finding)]


def _loop(engine: Engine, outcomes: list[Outcome]) -> list[Outcome]:
    back: list[Event] = [one for one in outcomes if isinstance(one, Window | Sighting)]
    return [*outcomes, *engine.run(back)] if back else outcomes
