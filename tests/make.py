"""Small makers of test data: a Span with everything filled in that a test does not care about."""

from __future__ import annotations

from typing import Any

from detectors.model import Resource, Span, digest

T0 = 1_795_186_800_000_000_000  # 2026-11-20T15:00:00Z


def span(seq: int = 0, *, session: str = "s1", agent: str = "a1", at_ms: int | None = None, **changes: Any) -> Span:
    """A tool-call Span number `seq` of a session, one second after the one before it; `changes` win."""
    start = T0 + (at_ms if at_ms is not None else seq * 1000) * 1_000_000
    trace = digest("trace", session)
    values: dict[str, Any] = {
        "id": digest("span", session, seq),
        "trace_id": trace,
        "span_id": digest("span", session, seq)[:16],
        "session_id": session,
        "agent_id": agent,
        "agent_type": "test-agent",
        "resource": Resource(service="test-agent"),
        "kind": "tool_call",
        "name": "execute_tool",
        "start_ns": start,
        "end_ns": start + 10_000_000,
        "received_ns": start + 20_000_000,
        "call_id": f"{session}-call-{seq}",
        "fields": {"tool.name": "noop"},
    }
    values.update(changes)
    return Span(**values)
