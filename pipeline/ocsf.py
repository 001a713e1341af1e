"""Alerts as OCSF Detection Findings (class 2004, schema 1.8.0): what the topic `alerts` carries to a SIEM."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from detectors.model import Alert, Severity
from detectors.standards import ATLAS_RELEASE, ATTACK_RELEASE

SCHEMA_VERSION = "1.8.0"
CLASS_UID = 2004
CATEGORY_UID = 2
CREATE, UPDATE = 1, 2

SEVERITY_IDS = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
CONFIDENCE_IDS = {"suspected": (2, "Medium"), "confirmed": (3, "High")}
ANALYTIC_TYPES = {  # first word of the detector id → analytic.type_id
    "secret": (8, "Regular Expressions"),
    "secrets": (8, "Regular Expressions"),
    "correlation": (2, "Behavioral"),
    "anomaly": (4, "Learning (ML/DL)"),
}
RULE = (1, "Rule")
CATEGORIES = {1: "Data exfiltration", 2: "Hallucination", 3: "Overreach", 4: "Credential exposure", 5: "Shadow AI"}

_CONTRIBUTOR = re.compile(r"(?P<seen>.+) \(expected (?P<usual>.+)\), (?P<share>\d+) % of the score")
_TECHNIQUE = re.compile(r"(?P<technique>(?:AML\.)?T\d{4})(?P<sub>\.\d{3})?")


def product_version() -> str:
    try:
        return version("spanwatch")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0"


def detection_finding(alert: Alert) -> dict[str, Any]:
    """The alert as one Detection Finding: created by its first version, updated by later ones under the same uid."""
    activity = CREATE if alert.version <= 1 else UPDATE
    severity_id, severity = SEVERITY_IDS[alert.severity]
    confidence_id, confidence = CONFIDENCE_IDS[alert.confidence]
    event: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": "Create" if activity == CREATE else "Update",
        "category_uid": CATEGORY_UID,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + activity,
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "time": _ms(alert.last_ns),
        "start_time": _ms(alert.first_ns),
        "end_time": _ms(alert.last_ns),
        "count": alert.count,
        "message": alert.title or alert.rule_id,
        "metadata": {
            "version": SCHEMA_VERSION,
            "product": {"name": "spanwatch", "vendor_name": "spanwatch", "version": product_version()},
            "uid": f"{alert.id}/{alert.version}",
            "tenant_uid": alert.tenant,
            "correlation_uid": alert.incident_id,
        },
        "finding_info": _finding_info(alert),
        "evidences": [_evidence(alert)],
    }
    if alert.score is not None:
        event["confidence_score"] = round(100 * alert.score)
    if analysis := _anomalies(alert):
        event["anomaly_analyses"] = [analysis]
    if alert.agent_id:
        event["resources"] = [_filled({"uid": alert.agent_id, "name": alert.agent_type, "type": "AI agent"})]
    return event


def encode(alert: Alert) -> bytes:
    """The Detection Finding as compact JSON."""
    return json.dumps(detection_finding(alert), ensure_ascii=False, separators=(",", ":")).encode()


def _finding_info(alert: Alert) -> dict[str, Any]:
    type_id, type_ = ANALYTIC_TYPES.get(alert.detector_id.split(".", 1)[0], RULE)
    info: dict[str, Any] = {
        "uid": alert.id,
        "title": alert.title or alert.rule_id,
        "analytic": {"uid": alert.rule_id, "name": alert.detector_id, "type_id": type_id, "type": type_, "state_id": 1},
        "types": [CATEGORIES[alert.category]],
        "first_seen_time": _ms(alert.first_ns),
        "last_seen_time": _ms(alert.last_ns),
        "related_events": [{"uid": finding_id} for finding_id in alert.finding_ids],
    }
    attacks = [_attack(found) for name in alert.standards if (found := _TECHNIQUE.fullmatch(name))]
    if attacks:
        info["attacks"] = attacks
    others = [name for name in alert.standards if not _TECHNIQUE.fullmatch(name)]
    if others:
        info["tags"] = [{"name": "standard", "value": name} for name in others]
    return info


def _attack(found: re.Match[str]) -> dict[str, Any]:
    technique = found["technique"]
    attack: dict[str, Any] = {
        "version": ATLAS_RELEASE if technique.startswith("AML.") else ATTACK_RELEASE.removeprefix("v"),
        "technique": {"uid": technique},
    }
    if found["sub"]:
        attack["sub_technique"] = {"uid": found[0]}
    return attack


def _anomalies(alert: Alert) -> dict[str, Any]:
    """What was unusual and what would have been usual, by what contributed most; empty where nothing was learnt."""
    told = {
        name.removeprefix("contributor."): found
        for name, value in alert.evidence.items()
        if name.startswith("contributor.") and (found := _CONTRIBUTOR.fullmatch(value))
    }
    if not told:
        return {}
    return {
        "analysis_targets": [{"name": alert.agent_id or alert.agent_type or alert.session_id, "type": "AI agent"}],
        "anomalies": [
            {
                "observation_parameter": name,
                "observation_type": "Share of the score",
                "observed_pattern": f"{found['share']} %",
                "observations": [{"value": found["seen"]}],
            }
            for name, found in told.items()
        ],
        "baselines": [
            {"observation_parameter": name, "observations": [{"value": found["usual"]}]} for name, found in told.items()
        ],
    }


def _evidence(alert: Alert) -> dict[str, Any]:
    """Where it was and why; masked like everything this alert was made of."""
    place = {"trace_id": alert.trace_id, "span_id": alert.span_id, "session_id": alert.session_id}
    return {
        "actor": {"session": {"uid": alert.session_id}},
        "data": {**_filled(place), **alert.evidence},
    }


def _filled(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _ms(time_ns: int) -> int:
    return time_ns // 1_000_000


__all__ = ["SCHEMA_VERSION", "detection_finding", "encode"]
