"""Secrets the masker met, as findings: how bad by where they stood, and not where a team has allowed them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args

import msgspec

from detectors.detector import Detector, finding
from detectors.model import Category, Finding, SecretMatch, Severity, Span
from detectors.secret_context import Context, Entered, PathClass, Surface, context
from detectors.secret_rules import SecretRule
from detectors.secrets import UNSCANNED

MAX_ORIGINS = 256  # secrets remembered per session, the first seen forgotten first


class Allowed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exposure a team has decided to live with: everything given must fit, up to the end of the day `until`."""

    reason: str
    fingerprint: str = ""
    path_class: PathClass | None = None
    agent_type: str = ""
    surface: Surface | None = None
    until: date | None = None

    def covers(self, span: Span, match: SecretMatch, seen: Context) -> bool:
        """Whether the exposure is one this entry speaks of, at the time it happened."""
        return (
            self.fingerprint in ("", match.fingerprint)
            and self.path_class in (None, seen.path_class)
            and self.agent_type in ("", span.agent_type)
            and self.surface in (None, seen.surface)
            and (self.until is None or span.start_ns < _end_ns(self.until))
        )


def _end_ns(day: date) -> int:
    return int(datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()) * 1_000_000_000


class Origins(msgspec.Struct, array_like=True):
    """How each secret of a session first came in, by fingerprint."""

    entered: dict[str, str] = {}


class SecretFindings(Detector[Span, Origins]):
    """One finding for every distinct secret a span held before it was masked, if its tier is worth an alert.

    Blind spots: knows only what the masker found, so a secret in a form no rule describes is silent; one known by
    a common key name alone (tier `possible`) is masked and stored, not reported; a secret in text the emitter did
    not capture was never here; per session the origin of 256 secrets is remembered.
    """

    id = "secrets"
    version = "2"
    scope = "session"

    def __init__(self, rules: Sequence[SecretRule], allowed: Mapping[str, Sequence[Allowed]] | None = None) -> None:
        self._rules = {rule.id: rule for rule in (*rules, UNSCANNED)}
        self._allowed = allowed or {}
        self.spared: Counter[str] = Counter()  # findings an allow-list entry withheld, by rule id

    def new_state(self) -> Origins:
        return Origins()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return secrets

    def observe(self, event: Span, state: Origins) -> Iterator[Finding]:
        worst: dict[tuple[str, str], tuple[Severity, SecretMatch, Context]] = {}
        for one in event.secrets:
            seen = _remembered(context(event, one), one, state)
            severity = self._severity(one, seen)
            key = (one.rule_id, one.fingerprint)
            if key not in worst or severity > worst[key][0]:
                worst[key] = severity, one, seen
        for severity, one, seen in sorted(worst.values(), key=lambda w: -w[0]):
            if one.tier == "possible" and one.verdict == "unchecked":
                continue
            if self._spares(event, one, seen):
                self.spared[one.rule_id] += 1
                continue
            yield self._finding(event, severity, one, seen)

    def _spares(self, event: Span, one: SecretMatch, seen: Context) -> bool:
        entries = (*self._allowed.get(one.rule_id, ()), *self._allowed.get(self.id, ()))
        return any(entry.covers(event, one, seen) for entry in entries)

    def _finding(self, event: Span, severity: Severity, one: SecretMatch, seen: Context) -> Finding:
        rule = self._rules.get(one.rule_id)
        return finding(
            self,
            event,
            rule_id=one.rule_id,
            severity=severity,
            category=rule.category if rule else Category.CREDENTIAL_EXPOSURE,
            title=rule.title if rule else "Secret of a rule no longer loaded",
            confidence="confirmed" if one.verdict == "valid" else "suspected",
            key=one.fingerprint,
            evidence={
                "rule": one.rule_id,
                "where": one.where,
                "surface": seen.surface,
                "direction": seen.direction,
                "entered": seen.entered,
                "brought_by": seen.brought_by,
                "length": str(one.length),
                "fingerprint": one.fingerprint,
                "tier": one.tier,
                "verdict": one.verdict,
                **({"encoded": " in ".join(reversed(one.layers))} if one.layers else {}),
                **({"says": ", ".join(one.says)} if one.says else {}),
                "issuer": rule.issuer if rule else "unknown",
                "rotation": rule.rotation if rule else "unknown",
                "static": str(rule.static).lower() if rule else "unknown",
                "advice": _advice(seen, rule),
                "runbook": _advice(seen, rule),
            },
            standards=rule.standards if rule else (),
        )

    @staticmethod
    def _severity(one: SecretMatch, seen: Context) -> Severity:
        """The rule's severity; a failed checksum lowers it to low, a secret the user brought by one step."""
        if one.verdict == "invalid":
            return min(one.severity, Severity.LOW)
        if seen.brought_by == "user" and seen.direction != "outside" and one.severity > Severity.LOW:
            return Severity(one.severity - 1)
        return one.severity


def _remembered(seen: Context, one: SecretMatch, state: Origins) -> Context:
    """The surroundings with the origin the session already knows: who sends a secret need not have brought it."""
    first = state.entered.get(one.fingerprint, "unknown")
    if first == "unknown":
        state.entered[one.fingerprint] = seen.entered
        if len(state.entered) > MAX_ORIGINS:
            del state.entered[next(iter(state.entered))]
        return seen
    return seen._replace(entered=_ENTERED[first])


def spared(detectors: Iterable[Any]) -> Counter[str]:
    """Findings that allow-lists withheld, by rule, over all detectors of this kind."""
    return sum((one.spared for one in detectors if isinstance(one, SecretFindings)), Counter())


_ENTERED: Mapping[str, Entered] = {name: name for name in get_args(Entered)}


def _advice(seen: Context, rule: SecretRule | None) -> str:
    """What to do, said to the user who pasted it where a user did."""
    if seen.surface == "user prompt":
        return "You pasted a credential into a prompt: revoke it and pass it by a secrets manager or variable instead."
    return rule.runbook if rule else "Revoke it."
