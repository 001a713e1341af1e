"""Reviews: what agents made and who looked at it before it was merged: humans, scanners, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors import changes
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import Inventory, Review, covered
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import iso, tell

MAX_LISTED = 64
LONGEST = 1_800  # seconds: no diff is asked to take longer
HOUR = 3_600


class Look(msgspec.Struct, frozen=True, array_like=True):
    """One review."""

    time_ns: int
    reviewer: str
    seconds: float = -1.0
    approves: bool = True
    human: bool = True


class Made(msgspec.Struct, array_like=True):
    """A change or branch: who made it, how large it is, who looked at it, what its sessions were like."""

    agent: str = ""
    author: str = ""
    lines: int = 0
    ready_ns: int = 0
    looks: list[Look] = []
    commits: dict[str, int] = {}  # commits of agents → when
    scans_ns: int = 0
    sessions: dict[str, str] = {}  # session → what was found in it
    told: dict[str, None] = {}


class Reviews(Detector[Sighting, Made]):
    """Merges of agents' changes without a human's review or with one too short, unscanned branches, risk of a change.

    Judged when the merge is told. Blind spots: reviews and scans told after the merge; changes whose agent neither
    the feed, a trailer nor a session's own call names; how well somebody looked.
    """

    id = "change.reviews"
    scope = "entity"
    rules = MappingProxyType(
        {
            "change.merged-unreviewed": About(
                title="A change made by an agent was merged and no human had reviewed it",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("ASI09", "LLM03:2026", "LLM07:2026"),
                runbook="Review it now as if it were not merged yet; require a human's approval on the branch.",
                rows=("F8",),
            ),
            "change.review-too-short": About(
                title="A change made by an agent was approved faster than it can be read",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("ASI09", "LLM07:2026"),
                runbook="Have somebody else read the change; talk to the reviewer about the time it needs.",
                rows=("F8",),
            ),
            "change.unscanned-agent-branch": About(
                title="A branch with commits of an agent is merged or ready, and no scanner has looked at it",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI04", "T1552.001"),
                runbook="Run the secret scan on the branch, all of its commits; make it a required check.",
                rows=("K5",),
            ),
            "change.risky-sessions": About(
                title="A merged change comes from sessions in which something was found",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("ASI09", "LLM03:2026"),
                runbook="Read the sessions' alerts beside the diff; `spanwatch report risk` has every commit.",
                rows=("O2",),
            ),
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._review = inventory.review or Review()
        self._protected = inventory.protected_branches

    def new_state(self) -> Made:
        return Made()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("change", "branch", "commit")

    def observe(self, event: Sighting, state: Made) -> Iterator[Finding]:
        if event.entity_kind not in ("change", "branch", "commit"):
            return
        told, feed = event.detail, event.detail.get("feed", "")
        if "made" in told:
            state.agent = state.agent or event.agent_id
            state.sessions[event.session_id] = told.get("risk", state.sessions.get(event.session_id, ""))
            _bound(state.sessions)
            if sha := told.get("sha"):
                state.commits[changes.commit(sha)] = event.time_ns
                _bound(state.commits)
            return
        self._learn(event, feed, state)
        if feed == "merge":
            whole = "change" if told.get("change") else "branch" if told.get("branch") else "commit"
            if event.entity_kind == whole:
                yield from self._reviewed(event, state)
            if event.entity_kind in (whole, "commit"):
                yield from self._risk(event, state)
        if feed == "merge" or (feed == "change_request" and told.get("ready") == "true"):
            yield from self._scanned(event, feed, state)

    @staticmethod
    def _learn(event: Sighting, feed: str, state: Made) -> None:
        told, now = event.detail, event.time_ns
        if by := changes.attributed(told):
            state.agent = state.agent or by
            if feed == "commit":
                state.commits[changes.commit(told.get("sha", ""))] = now
                _bound(state.commits)
        state.author = told.get("author", "") or state.author
        state.lines = max(state.lines, _whole(told.get("lines", "")))
        if feed == "change_request" and (told.get("ready") == "true" or not state.ready_ns):
            state.ready_ns = now
        elif feed == "scan":
            state.scans_ns = max(state.scans_ns, now)
        elif feed == "review":
            look = Look(
                now,
                told.get("reviewer", ""),
                _number(told.get("seconds", "")),
                told.get("verdict", "approved") == "approved",
                told.get("human", "true") == "true",
            )
            if look not in state.looks:
                state.looks.append(look)
                del state.looks[:-MAX_LISTED]

    def _human(self, look: Look, state: Made) -> bool:
        return look.human and look.reviewer not in ("", state.author) and not covered(look.reviewer, self._review.bots)

    def _reviewed(self, event: Sighting, state: Made) -> Iterator[Finding]:
        if not state.agent:
            return
        told, now = event.detail, event.time_ns
        looks = [look for look in state.looks if look.time_ns <= now]
        looks += [Look(now, name) for name in changes.items(told.get("reviewers", ""))]
        people = [look for look in looks if self._human(look, state)]
        facts = {
            "who": f"{state.agent}, merged by {told.get('merged_by') or 'unknown'}",
            "what": f"merge of {told.get('repo', '')} {event.entity_id}, {state.lines or 'unknown number of'} lines",
            "agent": state.agent,
            "author": state.author or "unknown",
            "reviewers": ", ".join(dict.fromkeys(look.reviewer for look in looks)) or "none",
            "approver": ", ".join(dict.fromkeys(look.reviewer for look in people if look.approves)) or "none",
            "sessions": ", ".join(state.sessions) or "unknown",
        }
        if not any(look.approves for look in people):
            guarded = covered(told.get("base", ""), self._protected)
            if tell(state.told, "unreviewed"):
                level = Severity.HIGH if guarded else None
                yield self._found(event, "change.merged-unreviewed", facts, severity=level, confirmed=True)
            return
        spent, given = self._spent(people, told, state)
        needed = min(max(self._review.seconds, state.lines * HOUR / self._review.lines_per_hour), LONGEST)
        if given and state.lines and spent < needed and tell(state.told, "short"):
            seconds = {"review_seconds": f"{spent:.0f}", "needed_seconds": f"{needed:.0f}"}
            yield self._found(event, "change.review-too-short", {**facts, **seconds})

    @staticmethod
    def _spent(people: list[Look], told: dict[str, str], state: Made) -> tuple[float, bool]:
        """Seconds all humans looked, and whether anybody said so."""
        if (whole := _number(told.get("review_seconds", ""))) >= 0:
            return whole, True
        times = [
            look.seconds if look.seconds >= 0 else (look.time_ns - state.ready_ns) / 1e9 if state.ready_ns else -1.0
            for look in people
        ]
        return sum(one for one in times if one >= 0), any(one >= 0 for one in times)

    def _scanned(self, event: Sighting, feed: str, state: Made) -> Iterator[Finding]:
        told = event.detail
        whole = "branch" if told.get("branch") else "change"
        if event.entity_kind != whole or not (state.commits or state.agent):
            return
        if state.scans_ns and state.scans_ns >= min(state.commits.values(), default=0):
            return
        if tell(state.told, "unscanned"):
            yield self._found(
                event,
                "change.unscanned-agent-branch",
                {
                    "who": state.agent or told.get("author", "") or "unknown",
                    "what": f"{told.get('repo', '')} {told.get('branch', '')} {feed.replace('_', ' ')}, never scanned",
                    "commits": ", ".join(state.commits) or "unknown",
                    "sessions": ", ".join(state.sessions) or "unknown",
                    "last_scan": iso(state.scans_ns) if state.scans_ns else "none",
                },
            )

    def _risk(self, event: Sighting, state: Made) -> Iterator[Finding]:
        risky = {session: risk for session, risk in state.sessions.items() if risk}
        if not risky or not tell(state.told, "risk"):
            return
        said = " ".join(risky.values())
        high = "critical " in said or "high " in said
        yield self._found(
            event,
            "change.risky-sessions",
            {
                "who": state.agent,
                "what": f"merge of {event.detail.get('repo', '')} {event.entity_id}",
                "risk": "; ".join(f"{session}: {risk}" for session, risk in risky.items()),
                "sessions": ", ".join(state.sessions),
                "reviewers": ", ".join(dict.fromkeys(look.reviewer for look in state.looks)) or "unknown",
            },
            severity=Severity.MEDIUM if high else None,
        )

    def _found(
        self,
        event: Sighting,
        rule_id: str,
        evidence: dict[str, str],
        *,
        severity: Severity | None = None,
        confirmed: bool = False,
    ) -> Finding:
        return finding(
            self,
            event,
            rule_id=rule_id,
            severity=severity,
            confidence="confirmed" if confirmed else "suspected",
            key=event.entity_id,
            subject=f"{rule_id}/{event.entity_id}",
            evidence=evidence,
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _whole(text: str) -> int:
    return max(int(_number(text)), 0)


def _bound(known: dict[str, str] | dict[str, int]) -> None:
    while len(known) > MAX_LISTED:
        del known[next(iter(known))]
