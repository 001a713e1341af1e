"""What is wrong with spanwatch itself, told as a finding like any other: nobody reads the log of a detector."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span

KIND = "health"  # of spans that spanwatch makes about itself; no emitter's record becomes one
SESSION = "spanwatch/health"


class Health(Detector[Span, None]):
    """Rules that were refused while others run: what a team believes is detected is not.

    Blind spots: a broken file at start, which stops the start; rules that read well and mean something else; the same
    fault of the same file is told once a day.
    """

    id = "health"
    version = "1"
    scope = "span"
    rules = MappingProxyType(
        {
            "health.rules-refused": About(
                title="Changed rules were refused; the rules before them stay in use",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("MCP08:2025", "T1685"),
                runbook="Run `spanwatch rules check` on the folder, correct the file or take it back, and look again.",
                rows=("D11",),
            )
        }
    )

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == KIND

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        rule_id = f"health.{event.text('health.what')}"
        if event.kind != KIND or rule_id not in self.rules:
            return
        file, line = event.text("health.file"), event.text("health.line")
        yield finding(
            self,
            event,
            rule_id=rule_id,
            key=file,
            confidence="confirmed",
            evidence={
                "who": event.resource.service,
                "what": f"{file}:{line}" if line else file,
                "place": event.text("health.place"),
                "reason": event.text("health.reason"),
                "rules": event.text("health.rules"),
            },
        )
