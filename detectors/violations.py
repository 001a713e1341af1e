"""What an agent used that the policy of its type does not allow, and calls that lack the approver it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from detectors import facts, policy, uses
from detectors.about import About
from detectors.behaviour import approval, describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span
from detectors.policy import HUMAN, NOBODY, Matter, Policy

MAX_TOLD = 128
MAX_CALLS = 128
MAX_WAITING = 16  # calls whose approval may still come
MAX_NAME = 200
RULES: Mapping[Matter, str] = MappingProxyType(
    {
        "tools": "policy.tool",
        "read": "policy.path",
        "write": "policy.path",
        "repositories": "policy.repository",
        "models": "policy.model",
        "providers": "policy.model",
        "mcp_servers": "policy.mcp-server",
        "session_modes": "policy.session-mode",
    }
)
QUIETER = frozenset({"read", "models", "providers"})  # merely not listed, these are low
_EXPIRES = re.compile(r"expires (\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
_ASK = "Ask the agent's owner whether it needs this: "


def _about(title: str, category: Category, runbook: str, *rows: str, severity: Severity = Severity.MEDIUM) -> About:
    ids: tuple[str, ...] = ("LLM03:2026", "ASI02", "ASI03", "AML.T0053")
    if category == Category.SHADOW_AI:
        ids = ("ASI04", "MCP09:2025", "AML.T0103")
    elif category == Category.CREDENTIAL_EXPOSURE:
        ids = ("LLM02:2026", "ASI03", "MCP01:2025", "AML.T0055")
    return About(title=title, severity=severity, category=category, standards=ids, runbook=runbook, rows=rows)


class Heard(msgspec.Struct, array_like=True):
    """Decisions by call, findings that a late decision would take back, and what was reported."""

    calls: dict[str, tuple[str, str, str, int]] = {}
    waiting: dict[str, tuple[str, int, Finding]] = {}
    told: dict[str, None] = {}


class PolicyViolations(Detector[Span, Heard]):
    """Tools, paths, repositories, models, MCP servers, modes, hours, credentials and approvals against the policy.

    One finding per session and thing; a thing the policy refuses is high, one it merely does not list medium or low.
    Blind spots: agent types without a policy; what a script does that only its file tells; approvals of emitters
    that tell none (their calls lack an approver as far as anyone can see); 128 things and decisions are remembered
    per session, the oldest forgotten first, so that a thing may be told again.
    """

    id = "policy.violations"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "policy.tool": _about(
                "Tool outside the agent type's policy", Category.OVERREACH, _ASK + "allow or deny the tool.", "I11"
            ),
            "policy.path": _about(
                "Path outside the agent type's policy",
                Category.OVERREACH,
                _ASK + "list what the session did with the file, then allow or deny the path.",
                *("F1", "F2"),
            ),
            "policy.repository": _about(
                "Repository outside the agent type's policy",
                Category.OVERREACH,
                _ASK + "look at what was cloned, pushed or changed there, then allow or deny it.",
                "F6",
            ),
            "policy.model": _about(
                "Model or provider outside the agent type's policy",
                Category.SHADOW_AI,
                _ASK + "find out what was sent to it, then approve it or turn it off.",
                "O4",
            ),
            "policy.mcp-server": _about(
                "MCP server outside the agent type's policy",
                Category.SHADOW_AI,
                _ASK + "look at where the server is configured and what it was given.",
                "O4",
            ),
            "policy.session-mode": _about(
                "Session mode outside the agent type's policy",
                Category.OVERREACH,
                "Ask who switched the mode, and read what ran without being asked for.",
                "I7",
            ),
            "policy.working-hours": _about(
                "Agent at work outside the hours of its policy",
                Category.OVERREACH,
                "Find out who started the session and whether anyone was there.",
                "E9",
                severity=Severity.LOW,
            ),
            "policy.approval": _about(
                "The approver that the policy asks for is missing",
                Category.OVERREACH,
                "Check what the call changed, undo it if nobody wanted it, and find out how it ran unasked.",
                *("D8", "I13"),
                severity=Severity.HIGH,
            ),
            "policy.credential": _about(
                "Credential of a kind the agent type's policy does not allow",
                Category.CREDENTIAL_EXPOSURE,
                "Find out where the session got it, and replace it by a kind the policy allows.",
                "I8",
            ),
            "policy.credential-lifetime": _about(
                "Credential that lives longer than the agent type's policy allows",
                Category.CREDENTIAL_EXPOSURE,
                "Revoke it and issue one that ends with the task.",
                "I9",
            ),
        }
    )

    def __init__(self, policies: Mapping[str, Policy], *, severities: Mapping[str, Severity] | None = None) -> None:
        self._policies = dict(policies)
        self._severities = dict(severities or {})

    def new_state(self) -> Heard:
        return Heard()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return bool(self._policies)

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        if not self._policies:
            return ()
        return [i for i, span in enumerate(events) if policy.of(self._policies, span.agent_type)]

    def observe(self, event: Span, state: Heard) -> Iterator[Finding]:
        ruled = policy.of(self._policies, event.agent_type)
        if ruled is None:
            return
        if event.kind == "approval" and event.call_id:
            yield from self._decided(event, ruled, state)
        for use in uses.of(event):
            if use.matter in RULES:
                yield from self._use(event, ruled, use, state)
        if (
            ruled.working_hours is not None
            and event.kind in uses.CALLS
            and not ruled.working_hours.covers(event.start_ns)
        ):
            when = datetime.fromtimestamp(event.start_ns / 1e9, UTC).strftime("%a %H:%M UTC")
            yield from self._tell(event, state, "policy.working-hours", when[:3], Severity.LOW, {"hour": when})
        if event.secrets:
            yield from self._credentials(event, ruled, state)
        if event.kind in uses.CALLS and ruled.approvals:
            yield from self._approved(event, ruled, state)

    def _use(self, event: Span, ruled: Policy, use: uses.Use, state: Heard) -> Iterator[Finding]:
        verdict = ruled.judge(use.matter, use.name, *use.also)
        if verdict not in ("denied", "unlisted"):
            return
        severity = Severity.HIGH
        if verdict == "unlisted":
            severity = Severity.LOW if use.matter in QUIETER else Severity.MEDIUM
        key = use.name
        if use.matter in ("read", "write"):
            key = f"{use.matter} {use.name if verdict == 'denied' else room(use.name)}"
        elif use.matter == "providers":
            key = f"provider {use.name}"
        evidence = {"used": f"{use.matter}: {use.name}", "verdict": verdict}
        yield from self._tell(event, state, RULES[use.matter], key, severity, evidence)

    def _credentials(self, event: Span, ruled: Policy, state: Heard) -> Iterator[Finding]:
        longest = ruled.credentials.lifetime_seconds
        for match in event.secrets:
            verdict = ruled.credentials.kinds.judge((match.rule_id,), policy.named)
            evidence = {"used": match.rule_id, "verdict": verdict, "fingerprint": match.fingerprint}
            if verdict in ("denied", "unlisted"):
                severity = Severity.HIGH if verdict == "denied" else Severity.MEDIUM
                yield from self._tell(event, state, "policy.credential", match.rule_id, severity, evidence)
            told = next((found for one in match.says if (found := _EXPIRES.match(one))), None)
            if told and longest is not None:
                ends = datetime.strptime(told[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
                left = int(ends - event.start_ns / 1e9)
                if left > longest + 60:  # the end is told in whole minutes
                    evidence |= {"lifetime": f"{left // 60} min left", "allowed": str(ruled.credentials.max_lifetime)}
                    rule = "policy.credential-lifetime"
                    yield from self._tell(event, state, rule, match.fingerprint, Severity.MEDIUM, evidence)

    def _approved(self, event: Span, ruled: Policy, state: Heard) -> Iterator[Finding]:
        """A finding when the call's approver is not who the policy asks for; kept, should the approval come late."""
        effects, classes = effects_of(event)
        by = ruled.approver(event.text("tool.name"), effects, classes)
        if by == NOBODY:
            return
        *known, at_ns = state.calls.get(event.call_id, ("", "", "", 0))
        own = approval(event)
        heard = own if own[0] else known if at_ns <= event.end_ns else ("", "", "")
        if heard[0] == "deny" or suffices(ruled, by, heard):
            return
        rule = "policy.approval"
        found = finding(
            self,
            event,
            rule_id=rule,
            severity=self._severities.get(rule),
            key=f"{by}/{event.text('tool.name')[:MAX_NAME]}",
            evidence={
                **describe(event),
                "required": by,
                "approver": heard[2] or heard[1] or "none",
                "used": ", ".join(sorted(effects | classes)),
            },
        )
        if event.call_id and not heard[0]:
            state.waiting[event.call_id] = (by, event.end_ns, found)
            if len(state.waiting) > MAX_WAITING:
                del state.waiting[next(iter(state.waiting))]
        yield found

    def _decided(self, event: Span, ruled: Policy, state: Heard) -> Iterator[Finding]:
        """Remember a decision; a finding that waited for it comes again, as information."""
        decided = approval(event)
        if not decided[0]:
            return
        state.calls.pop(event.call_id, None)
        first, second, third = (part[:MAX_NAME] for part in decided)
        state.calls[event.call_id] = (first, second, third, event.start_ns)
        if len(state.calls) > MAX_CALLS:
            del state.calls[next(iter(state.calls))]
        waited = state.waiting.get(event.call_id)
        if waited and event.start_ns <= waited[1] and (decided[0] == "deny" or suffices(ruled, waited[0], decided)):
            del state.waiting[event.call_id]
            evidence = {**waited[2].evidence, "approver": third or second}
            yield msgspec.structs.replace(waited[2], severity=Severity.INFO, evidence=evidence)

    def _tell(
        self, event: Span, state: Heard, rule: str, key: str, severity: Severity, evidence: dict[str, str]
    ) -> Iterator[Finding]:
        """One finding per session, rule and thing."""
        key = key[:MAX_NAME]
        mark = f"{rule}/{key}/{severity.label}"
        if mark in state.told:
            return
        state.told[mark] = None
        if len(state.told) > MAX_TOLD:
            del state.told[next(iter(state.told))]
        yield finding(
            self,
            event,
            rule_id=rule,
            severity=self._severities.get(rule, severity),
            key=key,
            subject=mark,
            evidence={**describe(event), **evidence, "agent_type": event.agent_type},
        )


def room(path: str) -> str:
    """The folder a path is told under, so that many files of one folder are one alert."""
    parts = path.split("/")
    return "/".join(parts[: max(2, min(4, len(parts) - 1))])


def effects_of(span: Span) -> tuple[frozenset[str], frozenset[str]]:
    """What the span's acts do to the world, and the classes of files they touch."""
    effects: set[str] = set()
    classes: set[str] = set()
    for act in facts.of(span).acts:
        effects.update(uses.values(act, "effect"))
        classes.update(uses.values(act, "path.class"))
    return frozenset(effects), frozenset(classes)


def suffices(ruled: Policy, by: str, decided: Sequence[str]) -> bool:
    """Whether a decision is the one the policy asks for."""
    decision, source, who = decided
    if decision != "allow" or source != "human":
        return False
    return by == HUMAN or who in ruled.groups.get(by, ())
