"""Who allowed a tool call: the dialects' decisions as allow, deny or ask, and where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectors.model import Scalar
from pipeline.dialect import Dialect

_POLICY_DENIAL = "policy_violation"
_UNCONFINED = "danger"  # DangerFullAccess, danger-full-access
_MODES = {  # words of emitters that have no table of their own
    "bypasspermissions": "bypass",
    "bypass": "bypass",
    "yolo": "bypass",
    "allowall": "bypass",
    "autopilot": "auto",
    "auto": "auto",
    "acceptedits": "edits",
    "plan": "plan",
    "default": "ask",
    "ask": "ask",
}


def decide(dialect: Dialect, aside: Mapping[str, Any], fields: dict[str, Scalar]) -> None:
    """Fill `approval.decision` and `approval.source` from what the dialect says; nothing said fills nothing."""
    approval = dialect.approval
    said = str(aside.get("decision", "")).lower()
    verdict = approval.decisions.get(said) or approval.decisions.get(said.replace("_", ""), "")
    spoken = str(aside.get("decision.source", "")).lower()
    source = approval.sources.get(spoken) or approval.sources.get(spoken.replace("_", ""), "")
    if dialect.name == "gemini-cli":
        verdict, source = _gemini(said, verdict, fields)
    elif verdict and not source:
        source = approval.source or approval.sources.get(said, "unknown")
    if not verdict and "deferral" in aside:
        verdict, source = "ask", "policy"
    if not verdict and aside.get("guardrail") == "true":
        verdict, source = "deny", "policy"
    if verdict:
        fields["approval.decision"] = verdict
        fields["approval.source"] = source or "unknown"


def mode(dialect: Dialect, aside: Mapping[str, Any], fields: dict[str, Scalar]) -> None:
    """Fill `permission.mode`: ask, edits, plan, auto, policy, or bypass where nothing is asked and nothing confined."""
    said = str(fields["approval.mode"]).lower()
    word = "".join(letter for letter in said if letter.isalnum())
    found = dialect.approval.modes.get(word) or _MODES.get(word, "")
    if dialect.name == "codex" and word == "never" and _UNCONFINED in str(aside.get("sandbox", "")).lower():
        found = "bypass"
    if found:
        fields["permission.mode"] = found


def _gemini(said: str, verdict: str, fields: Mapping[str, Scalar]) -> tuple[str, str]:
    """Gemini CLI's word for "always and save" is `reject`, although the tool runs; a policy's denial has no word."""
    success = fields.get("success")
    if not said:
        if fields.get("error.type") == _POLICY_DENIAL and success is not True:
            return "deny", "policy"
        return "", ""
    if said == "reject":
        return ("allow" if success is True else "deny"), "human"
    source = "human" if said in ("auto_accept", "modify") else "policy" if said in ("block", "deny") else "unknown"
    return verdict, source
