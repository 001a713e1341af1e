"""What ran and what may run: every command of a session, shells granted and used, AI that nobody approved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from detectors import facts, policy
from detectors.activity import Activity
from detectors.first_use import SHELLS
from detectors.inventory import covered
from detectors.model import Span
from detectors.uses import CALLS, spell, values
from replay.report import Past, Table
from replay.report_agents import iso

BROAD = ("/etc/hostname", "~/notes/a.txt", "/srv/other/a.txt")  # who may read these may read nearly anything
MAX_SESSIONS = 10_000


class _Sessions:
    """What each session told of its working tree and of who allowed what."""

    def __init__(self) -> None:
        self._known: dict[str, Activity] = {}

    def hear(self, span: Span) -> Activity:
        known = self._known.get(span.session_key)
        if known is None:
            if len(self._known) >= MAX_SESSIONS:
                del self._known[next(iter(self._known))]
            known = self._known[span.session_key] = Activity(span.tenant, span.session_id)
        known.hear(span)
        return known


def _placed(span: Span, session: Activity) -> Span:
    """The span with the working tree its session told of, as the engine lends it."""
    if not session.tree or "workdir" in span.fields:
        return span
    return msgspec.structs.replace(span, fields={**span.fields, "workdir": session.tree})


def commands(past: Past) -> Iterator[Table]:
    """Every simple command, also those inside pipelines, nested shells, scripts and encodings."""
    sessions = _Sessions()
    rows: list[tuple[str | int, ...]] = []
    for span in past.spans():
        session = sessions.hear(span)
        if span.kind not in CALLS:
            continue
        told: set[tuple[str, ...]] = set()
        for act in facts.of(_placed(span, session)).acts:
            words, where = " ".join(values(act, "command.words")), " ".join(values(act, "command.origin"))
            via = " > ".join(values(act, "command.wrappers"))
            if not words or (words, where, via) in told:
                continue
            told.add((words, where, via))
            effects = ", ".join(values(act, "effect"))
            begun = (iso(span.start_ns), span.session_id, span.agent_id, span.call_id)
            rows.append((*begun, where, via, words, effects, session.approver(span)))
    columns = ("time", "session", "agent", "call", "where", "via", "command", "effect", "approver")
    yield Table(
        title="Commands",
        columns=columns,
        rows=rows,
        note="What a script file runs by itself is not seen; a decision that came after its call is not counted.",
    )


class _Agent(msgspec.Struct):
    type: str = ""
    shells: int = 0
    last_shell_ns: int = 0
    outside: int = 0
    last_outside_ns: int = 0


def shell(past: Past) -> Iterator[Table]:
    """Who may run a shell or read nearly anything, by policy or inventory, and whether they did."""
    sessions, agents = _Sessions(), defaultdict[str, _Agent](_Agent)
    for span in past.spans():
        session = sessions.hear(span)
        if not span.agent_id:
            continue
        one = agents[span.agent_id]
        one.type = span.agent_type or one.type
        if span.kind not in CALLS:
            continue
        if "command.line" in span.fields:
            one.shells, one.last_shell_ns = one.shells + 1, max(one.last_shell_ns, span.start_ns)
        if any(map(_far, facts.of(_placed(span, session)).acts)):
            one.outside, one.last_outside_ns = one.outside + 1, max(one.last_outside_ns, span.start_ns)
    for name in past.rules.inventory.agents:
        agents[name]
    rows = [
        (
            name,
            one.type,
            _shell_by(past, name, one.type),
            one.shells,
            iso(one.last_shell_ns),
            _reads_by(past, one.type),
            one.outside,
            iso(one.last_outside_ns),
        )
        for name, one in sorted(agents.items())
    ]
    columns = ("agent", "type", "shell granted by", "commands", "last command")
    columns += ("broad read granted by", "files outside", "last outside")  # type: ignore[assignment]  # a longer tuple
    kept = [row for row in rows if row[2] or row[3] or row[5] or row[6]]
    yield Table(title="Shells and broad reads", columns=columns, rows=kept, note="files outside: calls that name one.")


def _far(act: facts.Act) -> bool:
    return not {"outside", "home", "system"}.isdisjoint(values(act, "path.scope"))


def _shell_by(past: Past, name: str, agent_type: str) -> str:
    """Who granted a shell: the inventory, the policy, or a policy that limits no tools; empty when nobody did."""
    grant = past.rules.inventory.agent(name, agent_type)
    if grant is not None and any(covered(tool.lower(), SHELLS) or tool == "*" for tool in grant.tools):
        return "inventory"
    ruled = policy.of(past.rules.policies, agent_type)
    if ruled is None:
        return ""
    if ruled.tools.unlimited:
        return "policy, which limits no tools"
    allowed = ruled.tools.allow or ()
    return "policy" if any(covered(tool.lower(), SHELLS) or tool == "*" for tool in allowed) else ""


def _reads_by(past: Past, agent_type: str) -> str:
    """Who granted reads of nearly anything."""
    ruled = policy.of(past.rules.policies, agent_type)
    if ruled is None:
        return ""
    if ruled.paths.read.unlimited:
        return "policy, which limits no reads"
    broad = [path for path in BROAD if ruled.judge("read", spell(path, "")) == "allowed"]
    return "policy" if len(broad) == len(BROAD) else ""


def shadow_ai(past: Past) -> Iterator[Table]:
    """AI that nobody approved: what, who, why, and which data it met. For governance: with --json one object a row."""
    rows = [
        (
            iso(one.time_ns),
            ("info", "low", "medium", "high", "critical")[one.severity],
            one.rule_id,
            one.evidence.get("name") or one.evidence.get("used") or one.evidence.get("what", ""),
            one.evidence.get("who", ""),
            one.agent_id,
            one.session_id,
            one.evidence.get("data", "not told"),
            one.evidence.get("why", ""),
        )
        for one in past.findings()
        if one.category == "shadow_ai"
    ]
    columns = ("time", "severity", "rule", "name", "who", "agent", "session", "data", "why")
    yield Table(title="Shadow AI", columns=columns, rows=rows, note="severity follows the data of the session.")
