"""Every row of the requirement catalogue: what an emitter sends leads to its alert, and the benign twin to none."""

from __future__ import annotations

from datetime import datetime

import pytest

from detectors.model import Alert, Severity
from tests import scenario
from tests.scenario import Expected, Scenario

COUNTS = {"I": (1, 15), "F": (1, 11), "K": (3, 16), "D": (1, 11), "E": (1, 8), "O": (1, 8)}
ELSEWHERE = {"K12", "K13", "K14", "D10", "E6"}  # shown by the store, by replay and by the models
ROWS = [
    row
    for letter, (first, last) in COUNTS.items()
    for number in range(first, last + 1)
    if (row := f"{letter}{number}") not in ELSEWHERE
]
SCENARIOS = dict(scenario.every())
EVIDENCE = ("who", "what", "when", "why", "approver", "runbook")


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_scenario(row: str) -> None:
    """No row of the catalogue is without one."""
    assert f"{row}-0" in SCENARIOS


def fits(alert: Alert, wanted: Expected) -> bool:
    return (
        alert.rule_id == wanted.rule
        and wanted.severity in ("", alert.severity.label)
        and wanted.session in ("", alert.session_id)
        and all(word in alert.evidence.get(name, "") for name, word in wanted.evidence.items())
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """The expected alerts come, and every alert tells who, what, when, why, who approved it and what to do."""
    one = SCENARIOS[name]
    alerts, _ = scenario.play(one.records, one.service, one.resource, one.rules)
    seen = [(a.rule_id, a.severity.label, a.session_id, a.evidence) for a in alerts]
    for wanted in one.expect:
        fitting = [alert for alert in alerts if fits(alert, wanted)]
        assert fitting, (wanted, seen)
    for alert in alerts:
        untold = [part for part in EVIDENCE if not alert.evidence.get(part)]
        assert not untold, (alert.rule_id, untold, alert.evidence)
        assert datetime.fromisoformat(alert.evidence["when"]).tzinfo
        assert alert.confidence in ("suspected", "confirmed")
        assert alert.standards, alert.rule_id


@pytest.mark.parametrize("name", SCENARIOS)
def test_twin(name: str) -> None:
    """The benign twin raises none of the expected alerts."""
    one = SCENARIOS[name]
    assert one.expect, "a scenario without an alert proves nothing"
    at_most = Severity[one.twin.at_most.upper()]
    rules = one.twin.rules or one.rules
    alerts, _ = scenario.play(one.twin.records, one.service, one.resource, rules)
    expected = {wanted.rule for wanted in one.expect}
    loud = [(a.rule_id, a.severity.label, a.evidence) for a in alerts if a.rule_id in expected and a.severity > at_most]
    assert not loud, loud


def test_a_scenario_is_told_from_its_twin() -> None:
    """A harness that finds every alert everywhere, or nowhere, would pass nothing."""
    one = Scenario(
        title="-",
        records=[],
        expect=[Expected(rule="none.such")],
        twin=scenario.Twin(records=[]),
    )
    alerts, _ = scenario.play(one.records, one.service, one.resource, one.rules)
    assert not alerts
