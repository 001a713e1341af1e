"""Proof travels with the rule: the examples of every Sigma rule, run through the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from detectors.behaviour import VIRTUAL, BehaviourRules, Matcher, SpanRule
from detectors.correlation import CorrelationRule, Correlations
from detectors.engine import Engine
from detectors.model import Finding, Resource, SecretMatch, Span, digest
from detectors.secret_rules import fill

START_NS = 1_795_186_800_000_000_000
STEP_NS = 1_000_000_000
ABOUT_SPAN = {"kind": "kind", "agent.id": "agent_id", "agent.type": "agent_type", "span.status": "status"} | {
    "span.name": "name",
    "dialect": "dialect",
}
KINDS = {"command.line": "command", "db.statement": "db_query", "approval.decision": "approval"}
MATCHED_SECRETS = {"secret.surface": "surface", "secret.rule": "rule_id", "secret.verdict": "verdict"}


class Fault(NamedTuple):
    """An example that does not hold."""

    rule: SpanRule | CorrelationRule
    example: str  # key path below `examples`
    reason: str


def example(values: Mapping[str, Any], seq: int = 0, seed: int = 0) -> Span:
    """A span with exactly the example's fields; the kind follows from them where the example gives none.

    Raises ValueError for a computed field an example cannot give.
    """
    given = {name: fill(value, seed) if isinstance(value, str) else value for name, value in values.items()}
    about: dict[str, Any] = {"agent_id": "agent-1", "agent_type": "example", "name": "execute_tool"}
    about |= {ABOUT_SPAN[name]: given.pop(name) for name in [*given] if name in ABOUT_SPAN}
    secret: dict[str, Any] = {key: given.pop(name) for name, key in MATCHED_SECRETS.items() if name in given}
    if computed := given.keys() & VIRTUAL.keys():
        raise ValueError(f"{', '.join(sorted(computed))}: worked out from the span, an example cannot give it")
    about.setdefault("kind", next((KINDS[name] for name in given if name in KINDS), "tool_call"))
    surfaces = str(secret.pop("surface", "arguments" if secret else "")).split(",")
    secret = {"rule_id": "secret.example", "length": 20, "fingerprint": "0" * 16, **secret}
    start = START_NS + seq * STEP_NS
    return Span(
        id=digest("example", seq),
        trace_id=digest("example"),
        span_id=digest("example", seq)[:16],
        session_id="example",
        start_ns=start,
        end_ns=start + STEP_NS // 2,
        received_ns=start + STEP_NS // 2,
        call_id=f"call-{seq}",
        resource=Resource(service="example"),
        fields=given,
        secrets=tuple(SecretMatch(where=one, surface=one, **secret) for one in surfaces if one),
        **about,
    )


def faults(behaviour: Sequence[SpanRule], correlation: Sequence[CorrelationRule]) -> Iterator[Fault]:
    """Every example that does not hold: a match that does not fire its rule, a no_match that does."""
    matcher = Matcher(behaviour)
    loaded = [BehaviourRules(matcher), Correlations(matcher, correlation)]
    rules: list[SpanRule | CorrelationRule] = [*behaviour, *correlation]
    for rule in rules:
        examples = (rule.source.get("spanwatch") or {}).get("examples") or {}
        for part in ("match", "no_match"):
            for number, given in enumerate(examples.get(part) or ()):
                if reason := _wrong(rule, given, part == "match", matcher, loaded):
                    yield Fault(rule, f"{part}[{number}]", reason)


def _wrong(rule: Any, given: Any, wanted: bool, matcher: Matcher, loaded: Sequence[Any]) -> str:
    chain = given if isinstance(given, list) else [given]
    if not all(isinstance(one, dict) for one in chain):
        return "an example is a mapping of fields, or a list of such mappings"
    try:
        spans = [example(one, seq) for seq, one in enumerate(chain)]
    except ValueError as error:
        return str(error)
    if rule.reports:
        found = {one.rule_id for one in Engine(loaded).run(spans) if isinstance(one, Finding)}
    else:
        found = {one.rule.id for span in spans for one in matcher.of(span)}
    if wanted and rule.id not in found:
        return "the rule does not fire"
    return "the rule fires" if not wanted and rule.id in found else ""


SKELETON = """\
title: What an agent did, in a few words
id: {uuid}
name: {name}
status: test
description: What happens, and why it matters.
logsource:
  product: ai_agent
  category: tool_call
detection:
  selection:
    command.name: name-of-a-program
    command.flags: --its-flag
  condition: selection
level: medium
spanwatch:
  category: 3
  blind_spots: What the rule does not see.
  runbook: What to do now, in a line.
  standards: [LLM03:2026, ASI02]
  rows: []
  examples:
    match:
      - {{command.line: 'a command the rule must find'}}
    no_match:
      - {{command.line: 'name-of-a-program --its-flag and all: an honest one it must pass over'}}
"""
