"""Production in a development session: its endpoints and its credentials, where only test ones belong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.egress import hosts_of
from detectors.inventory import Production, covered
from detectors.model import Category, Finding, SecretMatch, Severity, Span
from detectors.secret_rules import SecretRule

DEVELOPMENT = frozenset(
    {
        *("dev", "devel", "development", "local", "test", "testing", "tests", "sandbox", "qa", "ci", "preview"),
        *("staging", "stage", "demo", "playground", "integration", "review"),
    }
)
# A label of a name that stands for production: prod-db, db.production.internal, live_orders; not product, preprod.
_PRODUCTION = re.compile(r"(?:^|[.\-_/:@])(?:prod|production|prd|live)\d{0,2}(?=$|[.\-_/:@])", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:^|\.)(?:live\.com|live\.net|githubusercontent\.com)$", re.IGNORECASE)
_LIVE_FORM = re.compile(r"_(?:live|prod)_\[")  # a rule's pattern that takes live keys, with a prefix of their own
ENTERS = frozenset(("result", "prompt", "command.line", "arguments", "header", "url", "attribute", "resource"))


class ProductionInDevelopment(Detector[Span, None]):
    """A production endpoint, database or credential in a session that calls itself development.

    The environment is the one the telemetry tells (`deployment.environment.name`); production is what a name says
    (prod-db, live keys) and what the inventory lists.
    Blind spots: a session that does not tell its environment; production under names that do not say so and that no
    inventory lists; credentials without a live form.
    """

    id = "environment.production"
    scope = "span"
    rules = MappingProxyType(
        {
            "environment.production-endpoint": About(
                title="A production endpoint in a development session",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI02", "ASI03", "T1078"),
                runbook="Find out which credential let it in, take production out of the development environment, then "
                "read what the session did there.",
                rows=("K9",),
            ),
            "environment.production-credential": About(
                title="A production credential in a development session",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "AML.T0055", "T1552"),
                runbook="Rotate the credential, replace it by a test one, and find the place it was read from.",
                rows=("K9",),
            ),
        }
    )

    def __init__(self, production: Production | None = None, rules: Iterable[SecretRule] = ()) -> None:
        self._production = production or Production()
        self._live = live(rules)

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return "environment" in fields and kind != "approval"

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if event.text("environment").lower() in DEVELOPMENT]

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        environment = event.text("environment").lower()
        if environment not in DEVELOPMENT or event.kind == "approval":
            return
        told = {**describe(event), "environment": environment}
        for name in dict.fromkeys(self._endpoints(event)):
            yield finding(
                self,
                event,
                rule_id="environment.production-endpoint",
                key=name[:200],
                evidence={**told, "endpoint": name, "why_production": self._why(name)},
            )
        for match in {one.fingerprint: one for one in event.secrets if self._is_live(one)}.values():
            yield finding(
                self,
                event,
                rule_id="environment.production-credential",
                key=match.fingerprint,
                evidence={**told, "type": match.rule_id, "fingerprint": match.fingerprint, "where": match.where},
            )
        subject = event.text("credential")
        if subject and (covered(subject, self._production.credentials) or _PRODUCTION.search(subject)):
            yield finding(
                self,
                event,
                rule_id="environment.production-credential",
                key=subject[:200],
                evidence={**told, "credential": subject},
            )

    def _endpoints(self, span: Span) -> Iterator[str]:
        known = self._production
        for host in hosts_of(span):
            if covered(host, known.hosts) or (_PRODUCTION.search(host) and not _PUBLIC.search(host)):
                yield host
        if (host := span.text("db.host")) and (covered(host, known.hosts) or _PRODUCTION.search(host)):
            yield host
        database = span.text("db.namespace")
        if database and (covered(database, known.databases) or _PRODUCTION.search(database)):
            yield database

    def _why(self, name: str) -> str:
        known = self._production
        return "listed in the inventory" if covered(name, (*known.hosts, *known.databases)) else "its name says so"

    def _is_live(self, match: SecretMatch) -> bool:
        if match.tier == "possible" or match.verdict == "invalid" or match.surface not in ENTERS:
            return False
        return match.rule_id in self._live or "production" in " ".join(match.says).lower()


def live(rules: Iterable[SecretRule]) -> frozenset[str]:
    """Rules of issuers that give live and test keys forms of their own, where the form is the live one alone."""
    return frozenset(
        rule.id
        for rule in rules
        if rule.pattern and _LIVE_FORM.search(rule.pattern) and "|[" not in rule.pattern and "test" not in rule.pattern
    )
