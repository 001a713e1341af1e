"""Findings become Alerts (one per rule, session and key), and a session's Alerts become one Incident.

People read alerts, so a finding seen again changes nothing, and a changed row always has a higher version.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from detectors.model import Alert, Finding, Incident, Severity, digest

MAX_FINDING_IDS = 100
MAX_RECENT = 256
MAX_ALERTS = 1_000  # per session; past it a rule's further keys share one alert
OVERFLOW = "(more)"


class _Group(msgspec.Struct, array_like=True):
    """An alert as it stands, with the findings last counted into it and the severity of each."""

    alert: Alert
    recent: dict[str, Severity] = {}


class Case(msgspec.Struct, array_like=True):
    """Everything alerting remembers of one session."""

    groups: dict[str, _Group] = {}
    incident: Incident | None = None


class Alerting:
    """Groups findings; holds the cases of at most `max_cases` sessions and forgets the longest silent first."""

    def __init__(self, max_cases: int) -> None:
        self.cases: dict[str, Case] = {}
        self._max_cases = max_cases
        self._alerts: dict[str, Alert] = {}
        self._incidents: dict[str, Incident] = {}

    def add(self, finding: Finding) -> bool:
        """Take a finding into its alert and incident; False when it was counted before.

        A finding told again with a lower severity corrects itself: the approval that belongs to it came late.
        """
        key = f"{finding.tenant}/{finding.session_id}"
        case = self.cases.pop(key, None) or Case()
        self.cases[key] = case
        if len(self.cases) > self._max_cases:
            del self.cases[next(iter(self.cases))]
        alert_id = _alert_id(finding, finding.key)
        group = case.groups.get(alert_id)
        if group is None and len(case.groups) >= MAX_ALERTS:
            alert_id = _alert_id(finding, OVERFLOW)
            group = case.groups.get(alert_id)
        if group is None:
            group = case.groups[alert_id] = _Group(_open(alert_id, finding))
        elif finding.severity < group.recent.get(finding.id, Severity.INFO):
            group.alert = _correct(group, finding)
        elif finding.id in group.recent or finding.id in group.alert.finding_ids:
            return False
        else:
            group.alert = _join(group.alert, finding)
        group.recent[finding.id] = finding.severity
        if len(group.recent) > MAX_RECENT:
            del group.recent[next(iter(group.recent))]
        self._alerts[alert_id] = group.alert
        incident = _escalate(case, group.alert)
        if incident is not None and incident != case.incident:
            case.incident = self._incidents[incident.id] = incident
        return True

    def drain(self) -> Iterable[Alert | Incident]:
        """Last version of every alert and incident changed since the last call."""
        changed: list[Alert | Incident] = [*self._alerts.values(), *self._incidents.values()]
        if changed:
            self._alerts, self._incidents = {}, {}
        return changed


def _alert_id(finding: Finding, key: str) -> str:
    return digest("alert", finding.tenant, finding.rule_id, finding.session_id, key)


def _open(alert_id: str, finding: Finding) -> Alert:
    return Alert(
        id=alert_id,
        version=1,
        rule_id=finding.rule_id,
        detector_id=finding.detector_id,
        title=finding.title,
        severity=finding.severity,
        category=finding.category,
        confidence=finding.confidence,
        score=finding.score,
        tenant=finding.tenant,
        agent_id=finding.agent_id,
        agent_type=finding.agent_type,
        session_id=finding.session_id,
        trace_id=finding.trace_id,
        span_id=finding.span_id,
        time_ns=finding.time_ns,
        first_ns=finding.time_ns,
        last_ns=finding.time_ns,
        count=1,
        finding_ids=(finding.id,),
        incident_id=digest("incident", finding.tenant, finding.session_id),
        evidence=finding.evidence,
        standards=finding.standards,
    )


def _join(alert: Alert, finding: Finding) -> Alert:
    """The alert with one finding more: what it shows is the worst finding, the earliest of equals."""
    worse = (finding.severity, finding.confidence == "confirmed", -finding.time_ns) > (
        alert.severity,
        alert.confidence == "confirmed",
        -alert.time_ns,
    )
    shown = finding if worse else alert
    scores = [score for score in (alert.score, finding.score) if score is not None]
    return msgspec.structs.replace(
        alert,
        version=alert.version + 1,
        count=alert.count + 1,
        title=shown.title,
        severity=max(alert.severity, finding.severity),
        category=shown.category,
        confidence="confirmed" if "confirmed" in (alert.confidence, finding.confidence) else "suspected",
        score=max(scores) if scores else None,
        agent_id=shown.agent_id,
        agent_type=shown.agent_type,
        trace_id=shown.trace_id,
        span_id=shown.span_id,
        time_ns=shown.time_ns,
        first_ns=min(alert.first_ns, finding.time_ns),
        last_ns=max(alert.last_ns, finding.time_ns),
        finding_ids=(*alert.finding_ids, finding.id)[:MAX_FINDING_IDS],
        evidence=shown.evidence,
        standards=shown.standards,
    )


def _correct(group: _Group, finding: Finding) -> Alert:
    """The alert after one of its findings became milder; with others still as bad only its version changes."""
    alert = group.alert
    worst = max((finding.severity, *(known for name, known in group.recent.items() if name != finding.id)))
    alert = msgspec.structs.replace(alert, version=alert.version + 1, severity=min(alert.severity, worst))
    return msgspec.structs.replace(alert, evidence=finding.evidence) if alert.span_id == finding.span_id else alert


def _escalate(case: Case, alert: Alert) -> Incident | None:
    """The session's incident after `alert` changed: opened by a medium alert or by a second rule."""
    alerts = [group.alert for group in case.groups.values()] if case.incident is None else [alert]
    if case.incident is None:
        rules = {a.rule_id for a in alerts}
        if len(rules) < 2 and max(a.severity for a in alerts) < Severity.MEDIUM:
            return None
    worst = max(alerts, key=lambda a: (a.severity, -a.first_ns))
    opened = case.incident or Incident(
        id=alert.incident_id,
        tenant=alert.tenant,
        agent_id=worst.agent_id,
        agent_type=worst.agent_type,
        session_ids=(alert.session_id,),
        alert_ids=(),
        categories=(),
        severity=Severity.INFO,
        opened_ns=min(a.first_ns for a in alerts),
        updated_ns=0,
    )
    title = worst.title if not opened.title or worst.severity > opened.severity else opened.title
    ids = dict.fromkeys((*opened.alert_ids, *(a.id for a in alerts)))
    return msgspec.structs.replace(
        opened,
        alert_ids=tuple(ids)[:MAX_ALERTS],
        categories=tuple(sorted({*opened.categories, *(a.category for a in alerts)})),
        severity=max(opened.severity, worst.severity),
        opened_ns=min(opened.opened_ns, *(a.first_ns for a in alerts)),
        updated_ns=max(opened.updated_ns, *(a.last_ns for a in alerts)),
        title=title,
    )
