"""What an agent can reach and where its secrets come from, against what the same agent and tool did before."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting

WARM_UP = 5  # sessions whose reach is learnt before any is judged
MAX_PAST = 30  # sessions the baseline is made of
MAX_OPEN = 16  # sessions of one agent at a time
MAX_ITEMS = 24  # of one session
LEAST = 4  # distinct credentials and servers of a session that nobody is warned of
FACTOR = 2.0
MAX_PLACES = 64


class Reached(msgspec.Struct, array_like=True):
    """Open sessions with what each reached, and how much those before did."""

    open: dict[str, list[str]] = {}
    told: dict[str, None] = {}
    past: list[int] = []


class ReachGrowth(Detector[Sighting, Reached]):
    """Distinct credentials and MCP servers of a session, far above what the agent's sessions had before.

    The baseline is the median of its last 30 sessions; quiet for the first five, and up to four items.
    Blind spots: sessions that reach nothing are not counted; slow growth is learnt as normal; what an agent could
    reach and did not touch is not seen; 16 sessions at a time, 24 items each.
    """

    id = "exposure.reach"
    scope = "entity"
    rules = MappingProxyType(
        {
            "exposure.reach": About(
                title="An agent reaches far more credentials and MCP servers than before",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI03", "MCP02:2025", "AML.T0098"),
                runbook="Ask the agent's owner what changed; take away the servers and credentials its task "
                "does not need.",
                rows=("K8",),
            )
        }
    )

    def new_state(self) -> Reached:
        return Reached()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "reach"

    def observe(self, event: Sighting, state: Reached) -> Iterator[Finding]:
        if event.entity_kind != "reach":
            return
        reached = state.open.pop(event.session_id, None)
        if reached is None:
            reached = []
            if len(state.open) >= MAX_OPEN:
                _close(next(iter(state.open)), state)
        state.open[event.session_id] = reached
        if len(reached) < MAX_ITEMS:
            reached.append(f"{event.detail.get('what', '')} {event.detail.get('name', '')}"[:100])
        before = [*state.past, *(len(items) for session, items in state.open.items() if session != event.session_id)]
        if len(before) < WARM_UP or event.session_id in state.told:
            return
        usual = median(before[-MAX_PAST:])
        if len(reached) <= max(LEAST, FACTOR * usual, *before[-MAX_PAST:]):
            return
        state.told[event.session_id] = None
        if len(state.told) > MAX_PAST:
            del state.told[next(iter(state.told))]
        yield finding(
            self,
            event,
            rule_id="exposure.reach",
            key=event.entity_id,
            evidence={
                "what": f"{len(reached)} credentials and MCP servers in one session, {usual:g} is usual",
                "reached": ", ".join(reached),
                "usual": f"{usual:g}",
                "most": str(max(before[-MAX_PAST:])),
            },
        )


def _close(session: str, state: Reached) -> None:
    """A session becomes part of the past."""
    state.past.append(len(state.open.pop(session)))
    del state.past[:-MAX_PAST]


class Places(msgspec.Struct, array_like=True):
    """Places a tool was seen to read secrets from, and the session that showed each first."""

    seen: dict[str, str] = {}


class SecretPlaces(Detector[Sighting, Places]):
    """A place an AI tool was not seen to read secrets from before; the first place of a tool is told as information.

    Blind spots: only what was captured; 64 places of a tool are remembered, the oldest forgotten first.
    """

    id = "exposure.places"
    scope = "entity"
    rules = MappingProxyType(
        {
            "exposure.new-place": About(
                title="An AI tool reads secrets from a new place",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "AML.T0055", "AML.T0037", "T1552"),
                runbook="Decide whether the tool may read there; if not, take the place out of its reach.",
                rows=("O7",),
            )
        }
    )

    def new_state(self) -> Places:
        return Places()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "secret-place"

    def observe(self, event: Sighting, state: Places) -> Iterator[Finding]:
        place = event.detail.get("place", "")
        if event.entity_kind != "secret-place" or place in state.seen:
            return
        known = ", ".join(state.seen)
        state.seen[place] = event.session_id
        if len(state.seen) > MAX_PLACES:
            del state.seen[next(iter(state.seen))]
        yield finding(
            self,
            event,
            rule_id="exposure.new-place",
            severity=Severity.LOW if known else Severity.INFO,
            key=place,
            evidence={
                "who": event.detail.get("user", "") or event.agent_id or event.agent_type,
                "what": f"{event.entity_id} read secrets from {place}",
                "product": event.entity_id,
                "place": place,
                "tool": event.detail.get("tool", ""),
                "known": known or "none before",
            },
        )
