"""Unexpected commits: signed by an agent, and no session, branch or time window of the author explains them."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors import changes
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import iso, tell

MAX_KNOWN = 512
MAX_SPELLS = 128
GAP_NS = 1_800_000_000_000  # activity with smaller gaps is one spell
PUSHED_NS = 3_600_000_000_000  # a commit may be pushed so long after the work
BEFORE_NS = 120_000_000_000  # clocks of two systems


class Work(msgspec.Struct, array_like=True):
    """When agents worked for the author, and the commits and branches their sessions showed."""

    spells: list[tuple[int, int]] = []
    commits: dict[str, None] = {}
    branches: dict[str, None] = {}
    sessions: dict[str, None] = {}
    told: dict[str, None] = {}


class UnexpectedCommits(Detector[Sighting, Work]):
    """Commits of the VCS feed that carry an agent's name, beside the agent sessions of their author.

    A commit is explained by a session that showed it, by a branch a session worked on, or by agent activity of the
    author in the hour before. Blind spots: authors whose commits and telemetry go by different names look
    unexplained; telemetry that arrives after the commit event comes too late to explain it; agents nobody signs.
    """

    id = "change.unexpected_commits"
    scope = "entity"
    rules = MappingProxyType(
        {
            "change.unexpected-commit": About(
                title="A commit is signed by an agent and no session explains it",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("ASI10", "ASI03", "LLM03:2026"),
                runbook="Ask the author which agent made it and where its telemetry goes; until then review the "
                "commit as if a stranger had made it.",
                rows=("F9",),
            )
        }
    )

    def new_state(self) -> Work:
        return Work()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("owner", "agent")

    def observe(self, event: Sighting, state: Work) -> Iterator[Finding]:
        if event.entity_kind not in ("owner", "agent"):
            return
        told = event.detail
        feed = told.get("feed", "")
        if not feed:
            self._learn(event, state)
        elif feed == "commit":
            sha = changes.commit(told.get("sha", ""))
            if sha and not self._explained(event, sha, state) and tell(state.told, sha):
                yield self._found(event, state, sha)

    @staticmethod
    def _learn(event: Sighting, state: Work) -> None:
        told, now = event.detail, event.time_ns
        tell(state.sessions, event.session_id, MAX_KNOWN)
        if sha := told.get("sha"):
            tell(state.commits, changes.commit(sha), MAX_KNOWN)
        if name := told.get("branch"):
            tell(state.branches, name, MAX_KNOWN)
        for place, (start, end) in enumerate(state.spells):
            if start - GAP_NS <= now <= end + GAP_NS:
                state.spells[place] = (min(start, now), max(end, now))
                return
        state.spells.append((now, now))
        state.spells.sort()
        del state.spells[:-MAX_SPELLS]

    @staticmethod
    def _explained(event: Sighting, sha: str, state: Work) -> bool:
        told = event.detail
        if sha in state.commits or told.get("session", "") in state.sessions:
            return True
        if told.get("branch", "").removeprefix("refs/heads/") in state.branches:
            return True
        return any(start - BEFORE_NS <= event.time_ns <= end + PUSHED_NS for start, end in state.spells)

    def _found(self, event: Sighting, state: Work, sha: str) -> Finding:
        told = event.detail
        last = max((end for _, end in state.spells if end <= event.time_ns), default=0)
        return finding(
            self,
            event,
            rule_id="change.unexpected-commit",
            key=sha,
            subject=sha,
            evidence={
                "who": told.get("author") or changes.attributed(told),
                "what": f"commit {told.get('sha', '')} in {told.get('repo', '')} {told.get('branch', '')}".strip(),
                "agent": changes.attributed(told),
                "message": told.get("message", "").partition("\n")[0],
                "last_activity": iso(last) if last else "no session of this author was ever seen",
            },
        )
