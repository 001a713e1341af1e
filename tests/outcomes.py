"""Small makers of what an engine reports, and of blocks, with everything filled in a test does not care about."""

from __future__ import annotations

from typing import Any

from detectors.model import (
    Alert,
    Category,
    Failure,
    Finding,
    Incident,
    Outcome,
    Severity,
    Sighting,
    Window,
    digest,
)
from pipeline.records import Block, DeadLetter, Located
from tests.make import T0, span


def finding(name: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "id": digest("finding", name),
        "detector_id": "secrets",
        "detector_version": "1",
        "rule_id": "secret.test",
        "severity": Severity.HIGH,
        "category": Category.CREDENTIAL_EXPOSURE,
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "trace_id": digest("trace"),
        "span_id": "ab" * 8,
        "time_ns": T0,
        "evidence": {"where": "arguments"},
        "span_ids": ("ab" * 8,),
        "standards": ("LLM02",),
    }
    return Finding(**{**values, **changes})


def alert(version: int, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": digest("alert"),
        "version": version,
        "rule_id": "secret.test",
        "detector_id": "secrets",
        "title": "A token",
        "severity": Severity.HIGH,
        "category": Category.CREDENTIAL_EXPOSURE,
        "confidence": "confirmed",
        "score": 0.5,
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "trace_id": digest("trace"),
        "span_id": "ab" * 8,
        "time_ns": T0,
        "first_ns": T0,
        "last_ns": T0 + version,
        "count": version,
        "finding_ids": tuple(digest("finding", str(i)) for i in range(version)),
        "incident_id": digest("incident"),
    }
    return Alert(**{**values, **changes})


def incident(*alerts: str, **changes: Any) -> Incident:
    values: dict[str, Any] = {
        "id": digest("incident"),
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_ids": ("s1",),
        "alert_ids": alerts,
        "categories": (Category.OVERREACH,),
        "severity": Severity.MEDIUM,
        "opened_ns": T0,
        "updated_ns": T0,
        "title": "Chain",
    }
    return Incident(**{**values, **changes})


def window(name: str = "w", **changes: Any) -> Window:
    values: dict[str, Any] = {
        "id": digest("window", name),
        "tenant": "default",
        "agent_id": "a1",
        "agent_type": "test-agent",
        "session_id": "s1",
        "start_ns": T0,
        "end_ns": T0 + 60 * 10**9,
        "counts": {"spans": 3},
        "calls": {"bash": 2},
        "hosts": ("example.org",),
    }
    return Window(**{**values, **changes})


def sighting(name: str = "x") -> Sighting:
    return Sighting(
        id=digest("sighting", name),
        tenant="default",
        entity_kind="secret",
        entity_id="0123456789abcdef",
        agent_id="a1",
        agent_type="test-agent",
        session_id="s1",
        trace_id=digest("trace"),
        span_id="ab" * 8,
        time_ns=T0,
        detail={"rule": "secret.test"},
    )


def failure() -> Failure:
    return Failure(
        id=digest("failure"),
        detector_id="bad",
        tenant="default",
        session_id="s1",
        span_id="ab" * 8,
        time_ns=T0,
        reason="ValueError",
    )


def letter(name: str = "x") -> DeadLetter:
    return DeadLetter(
        id=digest("letter", name),
        reason="protobuf",
        detail="truncated",
        origin="http:/v1/traces",
        tenant="default",
        emitter="",
        size=17,
        fingerprint="0123456789abcdef",
        received_ns=T0,
    )


def block(first: int, last: int, *outcomes: Outcome, seqs: range | None = None, **changes: Any) -> Block:
    """A block of one-span records: record at offset i holds span i."""
    values: dict[str, Any] = {
        "topic": "spans",
        "partition": 1,
        "first": first,
        "last": last,
        "spans": [Located(span(i), 1, i, 0) for i in (range(first, last + 1) if seqs is None else seqs)],
        "outcomes": outcomes,
    }
    return Block(**{**values, **changes})
