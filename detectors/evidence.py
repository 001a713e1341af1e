"""What every finding tells its reader: who did what, when, why, who approved it, and what to do now."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from detectors.activity import Activity
from detectors.data_scope import scope
from detectors.detector import MAX_EVIDENCE
from detectors.model import Category, Event, Finding, Span

NOBODY = "none"  # the literal that stands where no human approved
UNTOLD = "not told by the telemetry"


def complete(finding: Finding, event: Event, session: Activity | None) -> Finding:
    """The finding with every part of the evidence its detector left to be filled in."""
    given = finding.evidence
    who = event.agent_id or event.agent_type
    why, approver = "", NOBODY
    if isinstance(event, Span):
        who = event.text("user") or who or event.resource.service
        if session is not None:
            why = session.task
            if finding.span_id == event.span_id:
                approver = session.approver(event)
    elif not hasattr(event, "counts"):
        why = event.detail.get("why", "")
    filled = {
        "who": who or UNTOLD,
        "what": finding.title,
        "when": datetime.fromtimestamp(finding.time_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "why": why or UNTOLD,
        "approver": approver,
        "runbook": f"Read session {finding.session_id} around this span, then decide with its owner.",
    }
    if finding.category is Category.DATA_EXFILTRATION:
        filled.update(scope(event, given))
    cut = {name: value[:MAX_EVIDENCE] for name, value in filled.items()}
    return msgspec.structs.replace(finding, evidence={**cut, **given})
