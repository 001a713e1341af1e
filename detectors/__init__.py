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
    "taint.session",
    "egress.destination",
    "anomaly.models",
    "approval.chain",
    "approval.evasion",
    "prompt.rule_broken",
    "identity.session",
    "identity.shared_credential",
    "identity.long_lived",
    "proxy.agent_as_human",
    "proxy.audit_gap",
    "proxy.bypass",
    "policy.violations",
    "integrity.records",
    "integrity.streams",
    "integrity.silence",
    "shadow.ai",
    "shadow.new",
    "posture.first_shell",
    "data.leaving",
    "data.masking",
    "identity.leavers",
    "identity.leases",
    "posture.reach",
    "change.unexpected_commits",
    "change.fan_out",
    "change.reviews",
    "hallucination.aftermath",
    "scope.session",
    "scope.change",
    "hallucination.packages",
    "exposure.presumed",
    "exposure.printed",
    "exposure.logged",
    "exposure.reach",
    "exposure.places",
    "mcp.config",
    "mcp.shared",
    "environment.production",
    "health",
    "pipeline.posture",
    "pipeline.rights",
    "integration.credentials",
    "egress.flows",
)


def load(rules: RuleSet) -> list[Detector[Any, Any]]:
    """Every detector this set of rules switches on; imported when asked for, since some parts are slow to import."""
    from detectors.aftermath import Aftermath
    from detectors.anomaly import Anomalies
    from detectors.approvals import ApprovalChain
    from detectors.behaviour import BehaviourRules, Matcher
    from detectors.correlation import Correlations, SecretSent
    from detectors.credential_patterns import CredentialPatterns
    from detectors.data_leaving import DataLeaving
    from detectors.denials import EvasionAfterDeny
    from detectors.egress import EgressAllowList
    from detectors.exposure import PresumedExposed, SecretInLog, SecretPrinted
    from detectors.fan_out import FanOut
    from detectors.first_use import FirstShell
    from detectors.forbidden import PromptRule
    from detectors.health import Health
    from detectors.identity import DAYS, LongLived, SessionIdentity, SharedCredential
    from detectors.integrity import RecordIntegrity
    from detectors.integrity_streams import SilentAgent, StreamIntegrity
    from detectors.leases import Leases
    from detectors.leavers import Leavers
    from detectors.masking import MaskingFailed
    from detectors.mcp_findings import McpConfig, SharedServer
    from detectors.packages import Packages
    from detectors.pipelines import NewRight, StaticCloudKey
    from detectors.production import ProductionInDevelopment
    from detectors.proxy import AgentAsHuman, AuditGap, ProxyBypass
    from detectors.reach import Reach
    from detectors.reviews import Reviews
    from detectors.rule import Override
    from detectors.secret_findings import SecretFindings
    from detectors.secret_reach import ReachGrowth, SecretPlaces
    from detectors.session_flows import SessionFlows
    from detectors.shadow import NewAi, ShadowAi
    from detectors.taint import Taint
    from detectors.task_scope import ChangeScope, TaskScope
    from detectors.unexpected_commits import UnexpectedCommits
    from detectors.violations import PolicyViolations

    matcher = Matcher(rules.behaviour)
    severities = {name: level for name, change in rules.overrides.items() if (level := change.level) is not None}
    unusual = rules.overrides.get(Anomalies.id, Override())
    tuned: dict[str, Any] = {"threshold": unusual.threshold, "severity": unusual.level}
    marked = frozenset(rules.inventory.malicious_sessions)
    days = int(rules.overrides.get(LongLived.id, Override()).threshold or DAYS)
    every: list[Detector[Any, Any]] = [
        SecretFindings(rules.secrets, rules.allowed),
        BehaviourRules(matcher),
        Correlations(matcher, rules.correlation),
        SecretSent(rules.destinations, matcher),
        Taint(rules.destinations, severities=severities),
        EgressAllowList(rules.destinations, severities=severities),
        Anomalies(marked=marked, **{name: value for name, value in tuned.items() if value is not None}),
        ApprovalChain(matcher),
        EvasionAfterDeny(),
        PromptRule(),
        SessionIdentity(),
        SharedCredential(),
        LongLived({rule.id: rule.static for rule in rules.secrets}, days=days),
        AgentAsHuman(),
        AuditGap(rules.inventory),
        ProxyBypass(rules.inventory),
        PolicyViolations(rules.policies, severities=severities),
        RecordIntegrity(rules.policies, severities=severities),
        StreamIntegrity(),
        SilentAgent(),
        ShadowAi(rules.destinations, rules.inventory, rules.policies, severities=severities),
        NewAi(rules.destinations, rules.inventory, severities=severities),
        FirstShell(rules.inventory),
        DataLeaving(rules.policies),
        MaskingFailed(rules.inventory.masking),
        Leavers(),
        Leases(rules.inventory),
        Reach(rules.inventory),
        UnexpectedCommits(),
        FanOut(),
        Reviews(rules.inventory),
        Aftermath(),
        TaskScope(),
        ChangeScope(),
        Packages(rules.inventory),
        PresumedExposed(),
        SecretPrinted(),
        SecretInLog(),
        ReachGrowth(),
        SecretPlaces(),
        McpConfig(),
        SharedServer(),
        ProductionInDevelopment(rules.inventory.production, rules.secrets),
        Health(),
        StaticCloudKey(),
        NewRight(),
        CredentialPatterns(),
        SessionFlows(rules.destinations),
    ]
    for detector in every:
        changed = {name: change for name in detector.rules if (change := rules.overrides.get(name))}
        detector.levels = {name: change.level for name, change in changed.items() if change.level is not None}
        detector.silenced = frozenset(name for name, change in changed.items() if not change.enabled)
    return [detector for detector in every if rules.overrides.get(detector.id, Override()).enabled]
