"""The first time an agent uses the shell it was given: a grant that lay idle, or work that has changed."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import Inventory, covered
from detectors.model import Category, Finding, Severity, Sighting

SHELLS = (
    "bash",
    "sh",
    "zsh",
    "shell",
    "*shell*",
    "terminal",
    "*_terminal",
    "*terminal_cmd",
    "cmd",
    "*_command",
    "exec*",
)
SESSIONS = 5  # without a shell, before its first use is worth a word


class Known(msgspec.Struct, array_like=True):
    """Sessions of the agent, the last few by name, and whether it has used a shell."""

    sessions: int = 0
    recent: dict[str, None] = {}
    shell: bool = False


class FirstShell(Detector[Sighting, Known]):
    """An agent runs a shell for the first time: low after five sessions without, information where it was granted one.

    Blind spots: agents that had a shell from the start and no grant on the inventory; shells under unusual names.
    """

    id = "posture.first_shell"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "overreach.first-shell": About(
                title="An agent uses a shell for the first time",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI02", "AML.T0050"),
                runbook="Ask whether its task needs a shell; `spanwatch report shell` says who has one and uses it.",
                rows=("O3",),
            )
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def new_state(self) -> Known:
        return Known()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "agent"

    def observe(self, event: Sighting, state: Known) -> Iterator[Finding]:
        if event.entity_kind != "agent" or state.shell:
            return
        if event.session_id not in state.recent:
            state.sessions += 1
            state.recent[event.session_id] = None
            if len(state.recent) > SESSIONS:
                del state.recent[next(iter(state.recent))]
        name = event.detail.get("name", "")
        if event.detail.get("use") != "tool" or not covered(name.lower(), SHELLS):
            return
        state.shell = True
        grant = self._inventory.agent(event.agent_id, event.agent_type)
        granted = grant is not None and any(covered(name.lower(), (tool.lower(),)) for tool in grant.tools)
        if state.sessions <= SESSIONS and not granted:
            return
        yield finding(
            self,
            event,
            rule_id="overreach.first-shell",
            severity=Severity.INFO if granted else Severity.LOW,
            key=event.agent_id,
            evidence={
                "who": event.detail.get("user") or event.agent_id,
                "what": f"{name}, after {state.sessions - 1} sessions without",
                "tool": name,
                "granted": "by the inventory" if granted else "nobody said so",
            },
        )
