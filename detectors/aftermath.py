"""Aftermath: changes of agents that had to be taken back, would not deploy, or broke the build."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors import changes
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import tell

MAX_LISTED = 32
MAX_TEXT = 200
FAILED = frozenset({"failure", "failed", "error", "unstable"})
PRODUCTION = ("prod", "live")


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """What went wrong with the change."""

    rule_id: str
    severity: int
    event: Sighting


class Story(msgspec.Struct, array_like=True):
    """Where the commit or request came from, who passed it, and what became of it."""

    agent: str = ""
    author: str = ""
    change: str = ""
    repo: str = ""
    sessions: dict[str, None] = {}
    reviewers: dict[str, None] = {}
    review_seconds: float = -1.0
    troubles: list[Trouble] = []
    told: dict[str, None] = {}


class Aftermath(Detector[Sighting, Story]):
    """Reverts, rollbacks, failed deploys and failed CI of commits an agent made, whichever is told first.

    An agent made it when the feed or a trailer says so, or when a session's own call showed the commit.
    Blind spots: changes corrected by a later commit without a revert; squashed commits whose parts the merge event
    does not list; who reviewed, where only the request's events say it and the revert names no request.
    """

    id = "hallucination.aftermath"
    scope = "entity"
    rules = MappingProxyType(
        {
            f"hallucination.{name}": About(
                title=title,
                severity=severity,
                category=Category.HALLUCINATION,
                standards=("LLM07:2026", "LLM10:2026", "ASI09"),
                runbook="Find out what customers saw and write it into customer_impact: the incident stays open until "
                "then. Revert what is left, and add a test that fails on the change.",
                rows=("O6",),
            )
            for name, title, severity in (
                ("change-reverted", "A change made by an agent was reverted", Severity.MEDIUM),
                ("rolled-back", "A version with a change made by an agent was rolled back", Severity.HIGH),
                ("deploy-failed", "A deploy with a change made by an agent failed", Severity.MEDIUM),
                ("ci-failed", "The build of a commit made by an agent failed", Severity.LOW),
            )
        }
    )

    def new_state(self) -> Story:
        return Story()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("commit", "change")

    def observe(self, event: Sighting, state: Story) -> Iterator[Finding]:
        if event.entity_kind not in ("commit", "change"):
            return
        self._learn(event, state)
        if trouble := _trouble(event):
            state.troubles.append(trouble)
            del state.troubles[:-MAX_LISTED]
        if state.agent or state.sessions:
            for one in state.troubles:
                key = one.event.detail.get("change") or one.event.entity_id
                undone = one.event.session_id in state.sessions  # by the session that made it: work in progress
                if not undone and tell(state.told, f"{one.rule_id}/{one.event.time_ns}/{key}"):
                    yield self._found(one, key, state)

    @staticmethod
    def _learn(event: Sighting, state: Story) -> None:
        told, feed = event.detail, event.detail.get("feed", "")
        if "made" in told:
            tell(state.sessions, event.session_id, MAX_LISTED)
            state.agent = state.agent or event.agent_id
        elif feed in ("commit", "change_request", "merge"):
            state.agent = state.agent or changes.attributed(told)
            state.author = told.get("author", "") or state.author
            if session := told.get("session"):
                tell(state.sessions, session, MAX_LISTED)
        state.change = told.get("change", "") or state.change
        state.repo = told.get("repo", "") or state.repo
        seconds = told.get("review_seconds") or (told.get("seconds", "") if feed == "review" else "")
        if seconds:
            added = float(seconds) if seconds.replace(".", "", 1).isdigit() else 0.0
            state.review_seconds = added if feed == "merge" else max(state.review_seconds, 0.0) + added
        for name in (*changes.items(told.get("reviewers", "")), told.get("reviewer", "")):
            if name:
                tell(state.reviewers, name, MAX_LISTED)

    def _found(self, one: Trouble, key: str, state: Story) -> Finding:
        told = one.event.detail
        words = (told.get("feed", ""), told.get("service", ""), told.get("environment", ""), told.get("result", ""))
        seconds = f"{state.review_seconds:.0f}" if state.review_seconds >= 0 else "unknown"
        return finding(
            self,
            one.event,
            rule_id=one.rule_id,
            severity=Severity(one.severity),
            confidence="confirmed",
            key=key,
            subject=f"{one.event.time_ns}/{told.get('service', '')}",
            evidence={
                "who": state.agent or state.author or "unknown",
                "what": f"{' '.join(filter(None, words))}: {state.repo} {told.get('sha', '')}".strip(" :"),
                "change": state.change or "unknown",
                "commit": told.get("sha") or one.event.entity_id,
                "session": ", ".join(state.sessions) or "unknown",
                "reviewer": ", ".join(state.reviewers) or "unknown",
                "review_seconds": seconds,
                "by": told.get("by") or "unknown",
                "customer_impact": "not assessed",
            },
        )


def _trouble(event: Sighting) -> Trouble | None:
    told = event.detail
    feed, failed = told.get("feed", ""), told.get("result", "").lower() in FAILED
    live = any(word in told.get("environment", "").lower() for word in PRODUCTION)
    name, severity = "", Severity.MEDIUM
    if feed == "revert":
        name = "change-reverted"
    elif feed == "rollback":
        name, severity = "rolled-back", Severity.HIGH
    elif feed == "deploy" and failed:
        name, severity = "deploy-failed", Severity.HIGH if live else Severity.MEDIUM
    elif feed == "ci" and failed:
        name, severity = "ci-failed", Severity.LOW
    if not name:
        return None
    kept = {key: value[:MAX_TEXT] for key, value in told.items() if key not in ("shas", "files", "message")}
    return Trouble(f"hallucination.{name}", severity, msgspec.structs.replace(event, detail=kept))
