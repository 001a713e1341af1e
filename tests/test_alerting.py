"""Findings grouped to alerts, alerts to incidents; what people see moves only when something new happened."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.alerting import MAX_ALERTS, MAX_FINDING_IDS, Alerting
from detectors.model import Alert, Category, Finding, Incident, Severity
from tests.make import T0


def found(number: int = 0, *, severity: Severity = Severity.HIGH, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "id": f"f{number}",
        "detector_id": "d",
        "detector_version": "1",
        "rule_id": "r",
        "title": f"title {number}",
        "severity": severity,
        "category": Category.OVERREACH,
        "tenant": "t",
        "agent_id": "a",
        "agent_type": "at",
        "session_id": "s",
        "trace_id": "",
        "span_id": f"span{number}",
        "time_ns": T0 + number,
        "evidence": {"n": str(number)},
    }
    return Finding(**(values | changes))


def take(alerting: Alerting, *findings: Finding) -> tuple[list[Alert], list[Incident]]:
    for one in findings:
        alerting.add(one)
    out = list(alerting.drain())
    return [o for o in out if isinstance(o, Alert)], [o for o in out if isinstance(o, Incident)]


def test_findings_of_one_rule_session_and_key_are_one_alert() -> None:
    alerts, _ = take(Alerting(10), found(1), found(2), found(3, key="other"), found(4, session_id="s2"))
    assert sorted((a.session_id, a.count) for a in alerts) == [("s", 1), ("s", 2), ("s2", 1)]
    assert len({a.id for a in alerts}) == 3


def test_a_changed_alert_has_a_higher_version_and_only_the_last_is_given() -> None:
    alerting = Alerting(10)
    versions = [take(alerting, found(1))[0], take(alerting, found(2), found(3))[0], take(alerting, found(4))[0]]
    assert [[a.version for a in alerts] for alerts in versions] == [[1], [3], [4]]
    assert [a.count for alerts in versions for a in alerts] == [1, 3, 4]


def test_a_finding_heard_before_changes_nothing() -> None:
    alerting = Alerting(10)
    take(alerting, found(1), found(2))
    assert not alerting.add(found(1))
    assert list(alerting.drain()) == []


def test_a_finding_is_known_for_long_after_the_alert_stopped_listing_ids() -> None:
    alerting = Alerting(10)
    (alert,), _ = take(alerting, *(found(i) for i in range(250)))
    assert len(alert.finding_ids) == MAX_FINDING_IDS
    assert alert.count == 250
    assert not alerting.add(found(249))


def test_an_alert_is_as_bad_as_its_worst_finding_and_shows_that_one() -> None:
    (alert,), _ = take(
        Alerting(10),
        found(1, severity=Severity.LOW),
        found(2, severity=Severity.CRITICAL, confidence="confirmed", score=0.7),
        found(3, severity=Severity.MEDIUM, score=0.9),
    )
    assert (alert.severity, alert.confidence, alert.score) == (Severity.CRITICAL, "confirmed", 0.9)
    assert (alert.title, alert.span_id, alert.evidence) == ("title 2", "span2", {"n": "2"})
    assert (alert.first_ns, alert.last_ns) == (T0 + 1, T0 + 3)


def test_a_finding_that_became_milder_corrects_its_alert() -> None:
    """The same finding told again as milder lowers the alert to the worst of what is left, once, and not back up."""
    alerting = Alerting(10)
    take(alerting, found(1), found(2, severity=Severity.LOW))
    milder = found(1, severity=Severity.INFO, evidence={"approver": "dana"})
    ((alert,), _) = take(alerting, milder)
    assert (alert.severity, alert.count, alert.version) == (Severity.LOW, 2, 3)
    assert alert.evidence == {"approver": "dana"}
    assert take(alerting, found(1), milder)[0] == []
    ((alert,), _) = take(alerting, found(3, severity=Severity.MEDIUM))
    assert (alert.severity, alert.count, alert.version) == (Severity.MEDIUM, 3, 4)


def test_the_order_in_which_findings_arrive_does_not_change_what_the_alert_shows() -> None:
    several = [found(1), found(2, severity=Severity.LOW), found(3), found(0, severity=Severity.MEDIUM)]
    (forwards,), _ = take(Alerting(10), *several)
    (backwards,), _ = take(Alerting(10), *reversed(several))
    same = msgspec.structs.replace(backwards, finding_ids=forwards.finding_ids)
    assert same == forwards


def test_an_incident_opens_with_a_medium_alert() -> None:
    _, incidents = take(Alerting(10), found(1, severity=Severity.LOW))
    assert incidents == []
    (alert,), (incident,) = take(Alerting(10), found(1, severity=Severity.MEDIUM))
    assert incident.alert_ids == (alert.id,)
    assert incident.id == alert.incident_id
    assert incident.severity == Severity.MEDIUM


def test_an_incident_opens_with_a_second_rule_and_holds_both_alerts() -> None:
    alerting = Alerting(10)
    take(alerting, found(1, severity=Severity.LOW))
    _, none = take(alerting, found(2, severity=Severity.LOW, key="again"))
    _, (incident,) = take(alerting, found(3, severity=Severity.LOW, rule_id="r2", category=Category.SHADOW_AI))
    assert none == []
    assert len(incident.alert_ids) == 3
    assert incident.categories == (Category.OVERREACH, Category.SHADOW_AI)
    assert incident.opened_ns == T0 + 1
    assert incident.updated_ns == T0 + 3


def test_an_incident_is_titled_by_its_worst_alert() -> None:
    alerting = Alerting(10)
    take(alerting, found(1, severity=Severity.MEDIUM))
    _, (incident,) = take(alerting, found(2, rule_id="r2", severity=Severity.CRITICAL))
    assert (incident.title, incident.severity) == ("title 2", Severity.CRITICAL)
    _, (later,) = take(alerting, found(3, rule_id="r3", severity=Severity.LOW))
    assert (later.title, later.severity) == ("title 2", Severity.CRITICAL)


def test_a_spray_of_keys_stays_bounded_and_counted() -> None:
    alerting = Alerting(10)
    alerts, _ = take(alerting, *(found(i, key=str(i)) for i in range(MAX_ALERTS + 50)))
    assert len(alerts) == MAX_ALERTS + 1
    assert sum(a.count for a in alerts) == MAX_ALERTS + 50


def test_the_longest_silent_session_is_forgotten_first() -> None:
    alerting = Alerting(2)
    take(alerting, found(1, session_id="a"), found(2, session_id="b"), found(3, session_id="a"))
    take(alerting, found(4, session_id="c"))
    assert {key.rpartition("/")[2] for key in alerting.cases} == {"a", "c"}
