"""An alert leaves as a Detection Finding a consumer of OCSF 1.8.0 accepts."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from detectors.model import Alert, Category, Severity
from pipeline import ocsf

# What OCSF 1.8.0 requires of a Detection Finding and of the objects in it, written by hand from its dictionary.
EVIDENCE = [
    "actor", "api", "connection_info", "data", "database", "databucket", "device", "dst_endpoint", "email", "file",
    "job", "process", "query", "resources", "script", "src_endpoint", "url", "user",
]  # fmt: skip
TIME = {"type": "integer", "minimum": 1_000_000_000_000, "maximum": 9_999_999_999_999}  # epoch milliseconds
NAMED = {"type": "object", "anyOf": [{"required": ["uid"]}, {"required": ["name"]}]}
OBSERVED = {
    "type": "object",
    "required": ["observation_parameter", "observations"],
    "properties": {"observations": {"type": "array", "minItems": 1, "items": {"required": ["value"]}}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        "activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata", "finding_info",
    ],
    "properties": {
        "activity_id": {"enum": [1, 2, 3]},
        "category_uid": {"const": 2},
        "class_uid": {"const": 2004},
        "type_uid": {"enum": [200401, 200402, 200403]},
        "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "confidence_id": {"enum": [0, 1, 2, 3, 99]},
        "confidence_score": {"type": "integer", "minimum": 0, "maximum": 100},
        "status_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "is_alert": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 1},
        "message": {"type": "string", "minLength": 1},
        "time": TIME,
        "start_time": TIME,
        "end_time": TIME,
        "metadata": {
            "type": "object",
            "required": ["product", "version"],
            "properties": {
                "product": {"type": "object", "required": ["vendor_name"], "anyOf": NAMED["anyOf"]},
                "version": {"const": "1.8.0"},
                "tenant_uid": {"type": "string", "minLength": 1},
                "correlation_uid": {"type": "string", "minLength": 1},
            },
        },
        "finding_info": {
            "type": "object",
            "required": ["uid", "title"],
            "properties": {
                "uid": {"type": "string", "minLength": 1},
                "first_seen_time": TIME,
                "last_seen_time": TIME,
                "analytic": {
                    "type": "object",
                    "required": ["type_id"],
                    "properties": {"type_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 7, 8, 99]}},
                },
                "attacks": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["version"],
                        "anyOf": [{"required": [n]} for n in ("tactic", "technique", "sub_technique")],
                        "properties": {"technique": NAMED, "sub_technique": NAMED},
                    },
                },
                "related_events": {"type": "array", "items": {"type": "object", "required": ["uid"]}},
                "tags": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            },
        },
        "evidences": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "anyOf": [{"required": [name]} for name in EVIDENCE]},
        },
        "resources": {"type": "array", "items": NAMED},
        "anomaly_analyses": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["analysis_targets", "anomalies"],
                "properties": {
                    "analysis_targets": {"type": "array", "minItems": 1, "items": {"required": ["name"]}},
                    "anomalies": {"type": "array", "minItems": 1, "items": OBSERVED},
                    "baselines": {"type": "array", "items": OBSERVED},
                },
            },
        },
    },
}  # fmt: skip

ALERT = Alert(
    id="a" * 32,
    version=1,
    rule_id="secret.github.pat",
    detector_id="secrets",
    title="GitHub personal access token",
    severity=Severity.HIGH,
    category=Category.CREDENTIAL_EXPOSURE,
    confidence="confirmed",
    score=0.875,
    tenant="acme",
    agent_id="agent-1",
    agent_type="claude-code",
    session_id="s1",
    trace_id="0" * 32,
    span_id="1" * 16,
    time_ns=1_795_186_800_000_000_000,
    first_ns=1_795_186_800_000_000_000,
    last_ns=1_795_186_801_500_000_000,
    count=2,
    finding_ids=("f1", "f2"),
    incident_id="incident-1",
    evidence={"where": "gen_ai.tool.call.result", "fingerprint": "0123456789abcdef"},
    standards=("LLM02:2026", "AML.T0055", "T1552.001", "T1528"),
)


def finding(**changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(ocsf.encode(msgspec.structs.replace(ALERT, **changes)))
    jsonschema.Draft202012Validator(SCHEMA).validate(event)
    return event


def test_a_whole_alert_is_a_detection_finding() -> None:
    event = finding()
    assert event["type_uid"] == 200401
    assert event["time"] == 1_795_186_801_500
    assert event["metadata"]["tenant_uid"] == "acme"
    assert event["metadata"]["correlation_uid"] == "incident-1"
    assert event["finding_info"]["uid"] == ALERT.id
    assert event["finding_info"]["analytic"]["uid"] == "secret.github.pat"
    assert event["finding_info"]["analytic"]["type_id"] == 8
    assert [e["uid"] for e in event["finding_info"]["related_events"]] == ["f1", "f2"]
    assert event["confidence_score"] == 88
    assert event["resources"] == [{"uid": "agent-1", "name": "claude-code", "type": "AI agent"}]
    assert event["evidences"][0]["data"]["fingerprint"] == "0123456789abcdef"
    assert event["evidences"][0]["actor"]["session"]["uid"] == "s1"


def test_techniques_carry_the_release_they_are_from() -> None:
    info = finding()["finding_info"]
    assert info["attacks"] == [
        {"version": "2026.09", "technique": {"uid": "AML.T0055"}},
        {"version": "19", "technique": {"uid": "T1552"}, "sub_technique": {"uid": "T1552.001"}},
        {"version": "19", "technique": {"uid": "T1528"}},
    ]
    assert info["tags"] == [{"name": "standard", "value": "LLM02:2026"}]


@pytest.mark.parametrize(
    ("severity", "number"),
    [(Severity.INFO, 1), (Severity.LOW, 2), (Severity.MEDIUM, 3), (Severity.HIGH, 4), (Severity.CRITICAL, 5)],
)
def test_severity_keeps_its_rank(severity: Severity, number: int) -> None:
    assert finding(severity=severity)["severity_id"] == number


def test_a_later_version_updates_the_same_finding() -> None:
    event = finding(version=2, count=3)
    assert (event["activity_id"], event["type_uid"], event["finding_info"]["uid"]) == (2, 200402, ALERT.id)


def test_what_is_unknown_is_absent() -> None:
    event = finding(score=None, agent_id="", agent_type="", title="", standards=(), span_id="", confidence="suspected")
    assert not {"confidence_score", "resources"} & event.keys()
    assert not {"attacks", "tags"} & event["finding_info"].keys()
    assert event["message"] == event["finding_info"]["title"] == "secret.github.pat"
    assert "span_id" not in event["evidences"][0]["data"]
    assert event["confidence_id"] == 2


def test_an_anomaly_carries_what_was_seen_and_what_is_usual() -> None:
    says = {
        "contributor.bytes_out": "5,000 (expected 10 to 90), 80 % of the score",
        "contributor.odd": "not so",
        "x": "y",
    }
    (analysis,) = finding(evidence=says, detector_id="anomaly.models", rule_id="anomaly.egress")["anomaly_analyses"]
    assert analysis["analysis_targets"] == [{"name": "agent-1", "type": "AI agent"}]
    (anomaly,), (baseline,) = analysis["anomalies"], analysis["baselines"]
    assert anomaly["observation_parameter"] == baseline["observation_parameter"] == "bytes_out"
    assert anomaly["observations"] == [{"value": "5,000"}]
    assert anomaly["observed_pattern"] == "80 %"
    assert baseline["observations"] == [{"value": "10 to 90"}]
    assert "anomaly_analyses" not in finding()


def test_every_category_has_a_name() -> None:
    assert len({finding(category=category)["finding_info"]["types"][0] for category in Category}) == len(Category)


def test_the_schema_refuses_what_lacks_a_required_part() -> None:
    """Guards the test itself: a schema that accepts anything would prove nothing."""
    event = finding()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for name in SCHEMA["required"]:
        assert not validator.is_valid({key: value for key, value in event.items() if key != name})
    assert not validator.is_valid({**event, "evidences": [{"ai_agent": {"uid": "x"}}]})
    assert not validator.is_valid({**event, "time": event["time"] * 1000})
