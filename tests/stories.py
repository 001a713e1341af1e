"""Recorded little sessions as files: one line a span, short for what a test cares about, and what must come of it.

`python -m tests.stories` writes the expected outcomes anew; read the diff before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detectors
from detectors import rule
from detectors.detector import Detector
from detectors.engine import Engine
from detectors.model import Alert, Event, Finding, Incident, Outcome, SecretMatch, Sighting, Span, Window
from tests.make import span

FOLDER = Path(__file__).parent / "sessions"
NAMES = sorted(file.stem for file in FOLDER.glob("*.jsonl"))
RULES = rule.read([FOLDER / "rules"])
FIRST_OF_LINE = 1000


def read(name: str, session: str = "") -> list[Span]:
    """The spans of a session file. `repeat` and `every_ms` make many of one line, the ids running on.

    `beside` puts a line into another session of that name.
    """
    spans: list[Span] = []
    for number, line in enumerate((FOLDER / f"{name}.jsonl").read_text().splitlines()):
        given: dict[str, Any] = json.loads(line)
        count, every, at = given.pop("repeat", 1), given.pop("every_ms", 1000), given.pop("at_ms", number * 1000)
        home = "-".join(filter(None, (session or name, given.pop("beside", ""))))
        secrets = tuple(
            SecretMatch(rule_id="secret.openrouter.api_key", where=one["surface"], length=32, **one)
            for one in given.pop("secrets", ())
        )
        for i in range(count):
            seq = number * FIRST_OF_LINE + i
            spans.append(span(seq, session=home, at_ms=at + i * every, secrets=secrets, **given))
    return spans


def play(spans: Sequence[Span], loaded: Sequence[Detector[Any, Any]], batch: int = 7) -> list[Outcome]:
    """Outcomes of the spans with windows and sightings handed back, to the end of input."""
    engine = Engine(loaded, key=b"test")
    outcomes: list[Outcome] = []
    for start in range(0, len(spans), batch):
        outcomes += loop(engine, engine.run(spans[start : start + batch]))
    return outcomes + loop(engine, engine.flush())


def loop(engine: Engine, outcomes: list[Outcome]) -> list[Outcome]:
    back: list[Event] = [one for one in outcomes if isinstance(one, Window | Sighting)]
    return [*outcomes, *engine.run(back)]


def summary(outcomes: Sequence[Outcome], spans: Sequence[Span]) -> dict[str, Any]:
    """What a reader of a golden file wants to see."""
    place = {one.span_id: i for i, one in enumerate(spans)}
    last = {one.id: one for one in outcomes if isinstance(one, Alert | Incident)}
    return {
        "findings": sorted(
            f"{o.rule_id} {o.severity.label} {o.confidence} span {place.get(o.span_id, '-')} {o.key}".strip()
            for o in outcomes
            if isinstance(o, Finding)
        ),
        "alerts": sorted(f"{o.rule_id} {o.severity.label} x{o.count}" for o in last.values() if isinstance(o, Alert)),
        "incidents": sorted(
            f"{o.severity.label}: {o.title} ({len(o.alert_ids)})" for o in last.values() if isinstance(o, Incident)
        ),
    }


def expected(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((FOLDER / f"{name}.expected.json").read_text())
    return value


def main() -> None:
    loaded = detectors.load(RULES)
    for name in NAMES:
        spans = read(name)
        found = summary(play(spans, loaded), spans)
        (FOLDER / f"{name}.expected.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
