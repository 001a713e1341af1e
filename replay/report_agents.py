"""What agents may do, did, and could still do: permissions, reach, credentials and MCP servers from the past."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from replay.report import Past, Table

CALLS = frozenset(
    {"tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query", "ci_step", "commit"}
)


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds") if ns else ""


def calls(past: Past) -> Iterator[Table]:
    """Every call in order."""
    rows = [
        (
            iso(span.start_ns),
            span.session_id,
            span.agent_id,
            span.text("user"),
            span.kind,
            span.text("tool.name"),
            span.text("command.line") or span.text("db.statement") or span.text("path") or span.text("url"),
            span.text("approval.decision"),
        )
        for span in past.spans()
        if span.kind in CALLS
    ]
    columns = ("time", "session", "agent", "user", "kind", "tool", "what", "approval")
    yield Table(title="Calls", columns=columns, rows=rows)
