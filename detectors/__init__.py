"""What is suspicious: rules, detectors and the engine that runs them; no network, no clock, no environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectors.detector import Detector
    from detectors.rule import RuleSet

IDS = (  # every detector there is, for those who only need its name
    "secrets",
    "behaviour.rules",
    "correlation.rules",
    "correlation.secret_sent",
    "egress.destination",
    "anomaly.tool_burst",
    "policy.violations",
    "data.leaving",
    "data.masking",
)


def load(rules: RuleSet) -> list[Detector[Any, Any]]:
    """Every detector this set of rules switches on; imported when asked for, since some parts are slow to import."""
    from detectors.anomaly import ToolBurst
    from detectors.behaviour import BehaviourRules, Matcher
    from detectors.correlation import Correlations, SecretSent
    from detectors.data_leaving import DataLeaving
    from detectors.egress import EgressAllowList
    from detectors.masking import MaskingFailed
    from detectors.rule import Override
    from detectors.secret_findings import SecretFindings
    from detectors.violations import PolicyViolations

    matcher = Matcher(rules.behaviour)
    severities = {name: level for name, change in rules.overrides.items() if (level := change.level) is not None}
    burst = rules.overrides.get(ToolBurst.id, Override())
    tuned: dict[str, Any] = {"threshold": burst.threshold, "severity": burst.level}
    every: list[Detector[Any, Any]] = [
        SecretFindings(rules.secrets, rules.allowed),
        BehaviourRules(matcher),
        Correlations(matcher, rules.correlation),
        SecretSent(rules.destinations),
        EgressAllowList(rules.destinations, severities=severities),
        ToolBurst(**{name: value for name, value in tuned.items() if value is not None}),
        PolicyViolations(rules.policies, severities=severities),
        DataLeaving(rules.policies),
        MaskingFailed(),
    ]
    return [detector for detector in every if rules.overrides.get(detector.id, Override()).enabled]
