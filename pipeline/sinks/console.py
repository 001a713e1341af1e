"""Alerts on a terminal as they are stored: when, how bad, which rule, who, what. All of it is masked text."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from rich.console import Console
from rich.text import Text

from detectors.model import Alert, Severity
from pipeline.records import Block

REMEMBERED = 10_000  # alerts that are not printed again while they only count up
INDENT = 21  # what stands before the second line
STYLES = {
    Severity.CRITICAL: "bold white on red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}


class ConsoleSink:
    """Prints an alert when it first appears and when it grows more severe, from `least` severity on."""

    def __init__(self, console: Console | None = None, *, least: Severity = Severity.LOW) -> None:
        self._console = console or Console(highlight=False)
        self._least = least
        self._shown: OrderedDict[str, Severity] = OrderedDict()

    def write(self, block: Block) -> None:
        worst: dict[str, Alert] = {}
        for outcome in block.outcomes:
            if isinstance(outcome, Alert) and outcome.severity >= self._least:
                worst[outcome.id] = outcome
        for alert in worst.values():
            if alert.severity > self._shown.get(alert.id, -1):
                self._console.print(described(alert, self._console.width), soft_wrap=True)
            self._shown[alert.id] = alert.severity
            self._shown.move_to_end(alert.id)
        while len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        return []


def described(alert: Alert, width: int, at: datetime | None = None) -> Text:
    """Two lines: when it came in, severity, rule, agent; then what was found or where."""
    at = at or datetime.now().astimezone()
    text = Text()
    text.append(f"{at:%H:%M:%S}  ", style="dim")
    text.append(f"{alert.severity.label.upper():^10}", style=STYLES[alert.severity])
    text.append(f" {alert.rule_id:<40}", style="bold")
    text.append(f" {alert.agent_type or alert.agent_id or 'unknown agent'}\n", style="dim")
    room = width - INDENT
    text.append(" " * INDENT + next((line for line in what(alert) if len(line) <= room), cut(what(alert)[-1], room)))
    return text


def what(alert: Alert) -> list[str]:
    """What to say in one line, the fuller wording first: the placeholder of a secret, a command, a host."""
    seen = alert.evidence
    if {"rule", "length", "fingerprint", "where"} <= seen.keys():
        placeholder = f"MASKED~{seen['rule']}~{seen['length']}~{seen['fingerprint']}~"
        return [f"{placeholder} in {seen['where']}", placeholder]
    said = [seen[name] for name in ("what", "host", "path") if seen.get(name) not in (None, "", alert.title)]
    place = " ".join(said[0].split()) if said else ""
    return [f"{alert.title}: {place}", place] if place else [alert.title]


def cut(text: str, width: int) -> str:
    """The text on one line of at most so many characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
