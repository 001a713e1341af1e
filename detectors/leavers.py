"""Leavers: what still happens in the name of somebody who has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import Mark, iso, keep, lines, mark, placed, tell

MAX_ACTS = 128
SKEW_NS = 60_000_000_000  # clocks of two systems
ISSUES = frozenset({"credential_issued", "commit"})


class Owner(msgspec.Struct, array_like=True):
    """When the owner left, what was done in that name, and what of it was told."""

    left_ns: int = 0
    acts: list[Mark] = []
    told: dict[str, None] = {}


class Leavers(Detector[Sighting, Owner]):
    """Calls of agents and tokens issued in the name of an owner after the offboarding time; also when told late.

    Blind spots: an owner's further names that the offboarding event does not list; calls of one minute and session
    are one sighting, which names the first; of calls before a late offboarding event the newest 128 are known.
    """

    id = "identity.leavers"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.leaver-active": About(
                title="Something was done in the name of an owner who had left",
                severity=Severity.CRITICAL,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI03", "ASI10", "T1078.004"),
                runbook="Stop the agent, revoke every token of the owner, give its agents a new owner; "
                "`spanwatch report calls --user OWNER --since TIME` lists every call.",
                rows=("I3",),
            )
        }
    )

    def new_state(self) -> Owner:
        return Owner()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("owner", "agent")

    def select(self, events: Sequence[Sighting]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if _concerns(event)]

    def observe(self, event: Sighting, state: Owner) -> Iterator[Finding]:
        if not _concerns(event):
            return
        feed = event.detail.get("feed", "")
        if feed == "offboarding":
            state.left_ns = event.time_ns if not state.left_ns else min(state.left_ns, event.time_ns)
            for act in state.acts:
                yield from self._judge(event, act, state)
        elif not feed or feed in ISSUES:
            what = event.detail.get("what") or f"{feed} {event.detail.get('credential') or event.detail.get('sha', '')}"
            act = mark(event, what)
            keep(state.acts, act, MAX_ACTS)
            yield from self._judge(event, act, state)

    def _judge(self, event: Sighting, act: Mark, state: Owner) -> Iterator[Finding]:
        if not state.left_ns or act.time_ns <= state.left_ns + SKEW_NS:
            return
        subject = f"{act.session_id}/{act.span_id}"
        if not tell(state.told, subject, MAX_ACTS * 2):
            return
        since = [one for one in state.acts if one.time_ns > state.left_ns + SKEW_NS]
        yield finding(
            self,
            placed(event, act),
            rule_id="identity.leaver-active",
            confidence="confirmed",
            key=event.entity_id,
            subject=subject,
            evidence={
                "who": f"{act.agent_id or 'a token'} for {event.entity_id}",
                "what": act.what,
                "owner": event.entity_id,
                "offboarded": iso(state.left_ns),
                "sessions": ", ".join(dict.fromkeys(one.session_id for one in since)),
                "calls_since": lines(since),
            },
            span_ids=tuple(one.span_id for one in since[-20:] if one.span_id),
        )


def _concerns(event: Sighting) -> bool:
    if event.entity_kind == "owner":
        return "made" not in event.detail
    return event.entity_kind == "agent" and (event.detail.get("feed") == "offboarding" or "feed" not in event.detail)
