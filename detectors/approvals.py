"""Who authorised each risky step of a session: nobody, a mode that asks nobody, or somebody in a wrong way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

import msgspec

from detectors import sameness
from detectors.about import About
from detectors.behaviour import Matcher, SpanRule, describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span, digest

MAX_KEPT = 128  # decisions, and steps whose decision may still come
MAX_NAME = 200
SLACK_NS = 1_000_000_000  # two clocks agree no better than this
MAX_AGE_NS = 3_600_000_000_000  # a decision about one call is not good for longer
NEAR = 8  # characters: a shorter operation names nothing in particular
BY_RULE = frozenset({"policy", "rule", "hook", "auto", "unknown"})
V = TypeVar("V")


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One decision: by whom, when, asked by whom, until when, on what, and how long it took."""

    decision: str
    source: str
    who: str
    at_ns: int
    requester: str = ""
    expires_ns: int = 0
    operation: str = ""
    ticket: str = ""
    waited_ms: int = -1


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A risky step nobody had allowed when it was seen, and the finding that said so."""

    found: Finding
    subject: str
    end_ns: int
    text: str
    rules: tuple[str, ...]


class Chain(msgspec.Struct, array_like=True):
    """Decisions of a session by call (`^` and a span id where only the parent is known), and what came of them."""

    calls: dict[str, Decision] = {}
    tickets: dict[str, Decision] = {}
    used: dict[str, str] = {}  # call or ticket → what it was used for
    asked: dict[str, int] = {}
    waiting: dict[str, Step] = {}
    mode: str = ""
    mode_ns: int = 0


def _about(title: str, *rows: str, runbook: str) -> About:
    return About(
        title=title,
        severity=Severity.MEDIUM,
        category=Category.OVERREACH,
        standards=("LLM03:2026", "ASI02", "ASI03", "ASI09"),
        runbook=runbook,
        rows=rows,
    )


class ApprovalChain(Detector[Span, Chain]):
    """Authorisation of every step that a rule of severity high calls risky and an approval would have made harmless.

    A human, a stored rule or a hook that allowed the very call before it ended authorises it; a session in a mode
    that asks nobody does not. Decisions may arrive after their call: one that was made in time takes the finding
    back, one that was made afterwards is a finding of its own.
    Blind spots: a decision told for another session, or for none; emitters that tell no decisions at all look as if
    nobody approved; per session 128 decisions are remembered and 128 steps wait for one, the oldest forgotten first.
    """

    id = "approval.chain"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "approval.missing": _about(
                "A risky step that nobody approved",
                "D8",
                "I6",
                runbook="Ask the agent's owner whether the step was wanted; require an approval for it from now on.",
            ),
            "approval.bypassed": _about(
                "A risky step in a session that asks nobody for permission",
                "I6",
                "D8",
                runbook="Stop the session, put it back into a mode that asks, and review what it did meanwhile.",
            ),
            "approval.after-the-fact": _about(
                "A risky step approved only after it was done",
                "D8",
                runbook="Ask the approver why the step could run first; an approval must hold the call back.",
            ),
            "approval.by-requester": _about(
                "A risky step approved by whoever asked for it",
                "D8",
                runbook="Have somebody else review the step now; forbid approvals of one's own requests.",
            ),
            "approval.reused": _about(
                "One approval used for two different steps",
                "D8",
                runbook="Ask the approver which of the steps was meant, and review the other as unapproved.",
            ),
            "approval.expired": _about(
                "A risky step under an approval that had expired",
                "D8",
                runbook="Ask the approver whether the step was still wanted; let approvals end with their task.",
            ),
        }
    )

    def __init__(self, matcher: Matcher, *, max_age_ns: int = MAX_AGE_NS) -> None:
        self._matcher = matcher
        self._max_age_ns = max_age_ns

    def new_state(self) -> Chain:
        return Chain()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        matched = self._matcher.prepare(events)
        return [
            i
            for i, span in enumerate(events)
            if span.kind == "approval"
            or "permission.mode" in span.fields
            or (span.kind == "feed" and span.name == "approval")
            or (i in matched and _risky(rule for rule, _ in matched[i]))
        ]

    def observe(self, event: Span, state: Chain) -> Iterator[Finding]:
        mode = event.fields.get("permission.mode")
        if mode is not None and event.start_ns >= state.mode_ns:
            state.mode, state.mode_ns = str(mode), event.start_ns
        if event.kind == "approval" or (event.kind == "feed" and event.name == "approval"):
            yield from self._decided(event, state)
            return
        rules = _risky(rule for rule, _ in self._matcher.of(event))
        if rules and event.kind != "feed":
            yield from self._stepped(event, rules, state)

    # decisions

    def _decided(self, event: Span, state: Chain) -> Iterator[Finding]:
        made = _decision(event, state)
        if made is None:
            return
        external = event.kind == "feed"
        call = event.text("feed.call") if external else event.call_id
        place = call or (f"^{event.parent_id}" if event.parent_id and not external else "")
        if place:
            _keep(state.calls, place, made)
        else:
            _keep(state.tickets, event.text("feed.ticket") or event.id, made)
        for known, step in list(state.waiting.items()):
            if place in (known, f"^{step.found.span_id}") if place else _covers(made, step.text, step.rules):
                del state.waiting[known]
                yield from self._late(made, step)

    def _late(self, made: Decision, step: Step) -> Iterator[Finding]:
        """A step already told as unapproved, and now its decision."""
        if made.decision != "allow" or made.source not in ("human", *BY_RULE):
            return
        if made.at_ns > step.end_ns + SLACK_NS:
            yield self._again(step, "approval.after-the-fact", made)
        else:  # made in time, delivered late: the finding takes itself back
            evidence = {**step.found.evidence, "approver": made.who or made.source}
            yield msgspec.structs.replace(step.found, severity=Severity.INFO, evidence=evidence)

    def _again(self, step: Step, rule_id: str, made: Decision) -> Finding:
        about = self.rules[rule_id]
        return msgspec.structs.replace(
            step.found,
            id=digest(self.id, self.version, rule_id, step.found.tenant, step.found.session_id, "", step.subject),
            rule_id=rule_id,
            title=about.title,
            severity=about.severity,
            evidence={
                **step.found.evidence,
                "approver": made.who or made.source,
                "runbook": about.runbook,
                "late_ms": str((made.at_ns - step.end_ns) // 1_000_000),
            },
        )

    # steps

    def _stepped(self, event: Span, rules: list[SpanRule], state: Chain) -> Iterator[Finding]:
        text, names = sameness.said(event), tuple(rule.id for rule in rules)
        place, made = self._allowed_by(event, text, names, state)
        if made is not None and made.decision != "allow":
            return  # refused: it did not run, or another detector says so
        if made is None or (state.mode == "bypass" and made.source not in ("human", "hook")):
            if not event.call_id and made is None and not text:
                return
            rule_id = "approval.bypassed" if state.mode == "bypass" else "approval.missing"
            found = self._tell(event, rules, rule_id, "bypass mode" if state.mode == "bypass" else "none", made)
            if made is None:
                step = Step(found, event.call_id or event.id, event.end_ns, sameness.plain(text)[:1000], names)
                _keep(state.waiting, event.call_id or f"^{event.span_id}", step)
            yield found
            return
        yield from self._flaws(event, rules, place, made, text, state)

    def _allowed_by(self, event: Span, text: str, names: tuple[str, ...], state: Chain) -> tuple[str, Decision | None]:
        """The decision about this call: its own, the call's, its child span's, or one about the operation."""
        if event.fields.get("approval.decision"):
            own = _decision(event, state)
            heard = state.calls.get(event.call_id) if event.call_id else None
            return event.call_id, heard or own
        for place in (event.call_id, f"^{event.span_id}"):
            if place and place in state.calls:
                return place, state.calls[place]
        for ticket, made in reversed(state.tickets.items()):
            if _covers(made, sameness.plain(text), names):
                return ticket, made
        return "", None

    def _flaws(
        self, event: Span, rules: list[SpanRule], place: str, made: Decision, text: str, state: Chain
    ) -> Iterator[Finding]:
        """What is wrong with an approval that there is."""
        who = made.who or made.source
        if made.at_ns > event.end_ns + SLACK_NS:
            yield self._tell(event, rules, "approval.after-the-fact", who, made)
        expired = made.expires_ns and event.start_ns > made.expires_ns + SLACK_NS
        if expired or (made.source == "human" and event.start_ns - made.at_ns > self._max_age_ns):
            yield self._tell(event, rules, "approval.expired", who, made)
        asked_by = {made.requester.casefold(), event.agent_id.casefold()} - {""}
        if made.source == "human" and made.who and made.who.casefold() in asked_by:
            yield self._tell(event, rules, "approval.by-requester", who, made)
        if made.source == "human" and place and (made.ticket or made.operation or place == event.call_id):
            now = f"{event.call_id or event.id} {sameness.plain(text)[:1000]}"
            before = state.used.get(place)
            if before is None:
                _keep(state.used, place, now)
            elif _another(before, now):
                yield self._tell(event, rules, "approval.reused", who, made, first=before.partition(" ")[2])

    def _tell(
        self, event: Span, rules: list[SpanRule], rule_id: str, approver: str, made: Decision | None, **more: str
    ) -> Finding:
        evidence = {
            **describe(event),
            "approver": approver,
            "risk": ", ".join(rule.id for rule in rules),
            **{name: value[:300] for name, value in more.items() if value},
        }
        if made is not None:
            evidence["authorised_by"] = made.source
            if made.requester:
                evidence["requester"] = made.requester
            if made.waited_ms >= 0:
                evidence["approval_latency_ms"] = str(made.waited_ms)
            evidence["approved_at_ns"] = str(made.at_ns)
        return finding(self, event, rule_id=rule_id, evidence=evidence)


def _risky(rules: Iterable[SpanRule]) -> list[SpanRule]:
    """The rules an approval would have answered, and that are grave without one."""
    return [rule for rule in rules if rule.approved is not None and rule.severity >= Severity.HIGH]


def _decision(event: Span, state: Chain) -> Decision | None:
    """The decision a span tells; a question is only remembered, to know how long its answer took."""
    text = event.text
    if event.kind == "feed":
        return Decision(
            "deny" if text("feed.decision") in ("deny", "denied", "rejected") else "allow",
            "human",
            text("feed.approver")[:MAX_NAME],
            event.start_ns,
            text("feed.requester")[:MAX_NAME],
            _moment(text("feed.expires")),
            sameness.plain(text("feed.operation"))[:1000],
            text("feed.ticket")[:MAX_NAME],
        )
    decision = text("approval.decision")
    if decision == "ask":
        if event.call_id:
            _keep(state.asked, event.call_id, event.start_ns)
        return None
    if not decision:
        return None
    waited = -1
    if (asked := state.asked.get(event.call_id)) is not None:
        waited = max(0, event.start_ns - asked) // 1_000_000
    elif event.kind == "approval" and event.signal == "span":
        waited = max(0, event.end_ns - event.start_ns) // 1_000_000
    at_ns = event.end_ns if event.kind == "approval" else event.start_ns
    return Decision(decision, text("approval.source"), text("user")[:MAX_NAME], at_ns, waited_ms=waited)


def _covers(made: Decision, text: str, rules: tuple[str, ...]) -> bool:
    """Whether an approval from outside is about this step; one that names no operation is about the session."""
    wanted = made.operation
    if not wanted:
        return True
    return wanted in rules or wanted == text or (len(wanted) >= NEAR and wanted in text)


def _another(before: str, now: str) -> bool:
    """Whether a second use is another step, and no second record of the first: emitters cut long commands."""
    (call, _, text), (again, _, more) = before.partition(" "), now.partition(" ")
    if call == again and (not text or not more or text.startswith(more[:64]) or more.startswith(text[:64])):
        return False
    return call != again or text != more


def _moment(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e9) if text else 0
    except (ValueError, OverflowError):
        return 0


def _keep(known: dict[str, V], name: str, value: V) -> None:
    known.pop(name, None)
    known[name] = value
    if len(known) > MAX_KEPT:
        del known[next(iter(known))]
