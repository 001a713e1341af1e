"""Leases: credentials that live longer than the task they were issued for, and their use after its end."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import Inventory
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import Mark, iso, keep, mark, moment, placed, tell

MAX_USES = 64
MAX_TOLD = 64
MINUTE_NS = 60_000_000_000
SKEW_NS = MINUTE_NS  # clocks of two systems
SPARE_NS = 15 * MINUTE_NS  # a lease may outlive a finished task by so much


class Lease(msgspec.Struct, array_like=True):
    """The lease in force, when and why it ended, and its uses."""

    issued_ns: int = 0
    expires_ns: int = 0
    ended_ns: int = 0
    reason: str = ""
    task: str = ""
    session: str = ""
    uses: list[Mark] = []
    told: dict[str, None] = {}


class Leases(Detector[Sighting, Lease]):
    """Issuer events beside what sessions show: a lease that outlives its task, a use after the lease or task ended.

    Blind spots: credentials whose subject or fingerprint telemetry does not show; tasks nobody gave a limit, until
    their end is told; of uses before a late event the newest 64 are known, one a minute and session.
    """

    id = "identity.leases"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.lease-too-long": About(
                title="A credential lives longer than the task it was issued for",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM03:2026", "ASI03", "MCP01:2025"),
                runbook="Set the issuer's time to live to the task's length; revoke this one when the task is done.",
                rows=("I9",),
            ),
            "identity.lease-used-after-end": About(
                title="A credential was used after its task or its lease had ended",
                severity=Severity.HIGH,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM03:2026", "ASI03", "MCP01:2025", "T1078.004"),
                runbook="Revoke it at the issuer, then find out who kept it and what it did since.",
                rows=("I9",),
            ),
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def new_state(self) -> Lease:
        return Lease()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "lease"

    def observe(self, event: Sighting, state: Lease) -> Iterator[Finding]:
        if event.entity_kind != "lease":
            return
        told = event.detail
        feed = told.get("feed", "")
        if feed == "credential_issued":
            yield from self._issued(event, state)
        elif feed in ("credential_expired", "session_ended"):
            state.ended_ns, state.reason = event.time_ns, told.get("reason") or feed.replace("_", " ")
            if feed == "session_ended" and state.expires_ns > event.time_ns + SPARE_NS:
                minutes = (event.time_ns - state.issued_ns) / MINUTE_NS
                yield from self._too_long(event, state, f"the task took {minutes:.0f} minutes")
        elif not feed:
            keep(state.uses, mark(event), MAX_USES)
        for use in state.uses:
            yield from self._late(event, use, state)

    def _issued(self, event: Sighting, state: Lease) -> Iterator[Finding]:
        told = event.detail
        issued = moment(told.get("issued", "")) or event.time_ns
        if issued < state.issued_ns:
            return
        state.issued_ns, state.expires_ns, state.ended_ns = issued, moment(told.get("expires", "")), 0
        state.task, state.session = told.get("task", ""), told.get("session", "")
        most = self._inventory.minutes(state.task)
        if most is not None and state.expires_ns - issued > most * MINUTE_NS:
            yield from self._too_long(event, state, f"{state.task} needs {most} minutes")

    def _too_long(self, event: Sighting, state: Lease, why: str) -> Iterator[Finding]:
        if not tell(state.told, f"long/{state.issued_ns}", MAX_TOLD):
            return
        minutes = (state.expires_ns - state.issued_ns) / MINUTE_NS
        yield finding(
            self,
            event,
            rule_id="identity.lease-too-long",
            confidence="confirmed",
            key=event.entity_id,
            subject=str(state.issued_ns),
            evidence={
                "who": event.detail.get("agent") or event.detail.get("owner") or event.entity_id,
                "what": f"{event.entity_id} issued for {minutes:.0f} minutes; {why}",
                "credential": event.entity_id,
                "task": state.task,
                "issued": iso(state.issued_ns),
                "expires": iso(state.expires_ns),
                "session": state.session,
            },
        )

    def _late(self, event: Sighting, use: Mark, state: Lease) -> Iterator[Finding]:
        ends = [ns for ns in (state.expires_ns, state.ended_ns) if ns]
        if not ends or use.time_ns <= min(ends) + SKEW_NS:
            return
        subject = f"{use.session_id}/{use.span_id}"
        if not tell(state.told, subject, MAX_USES * 2):
            return
        ended = min(ends)
        yield finding(
            self,
            placed(event, use),
            rule_id="identity.lease-used-after-end",
            confidence="confirmed",
            key=event.entity_id,
            subject=subject,
            evidence={
                "who": use.agent_id or event.entity_id,
                "what": use.what,
                "credential": event.entity_id,
                "ended": iso(ended),
                "why_ended": state.reason if ended == state.ended_ns else "expired",
                "late_by": f"{(use.time_ns - ended) / MINUTE_NS:.0f} minutes",
                "issued_for": state.session or state.task,
            },
            span_ids=(use.span_id,) if use.span_id else (),
        )
