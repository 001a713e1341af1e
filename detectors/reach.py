"""Reach: what an agent was granted beside what it used, what its human may do, and what it could do to the world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import DAY_NS, Grant, Inventory, covered
from detectors.model import Category, Finding, Severity, Sighting
from detectors.remembered import iso, moment, tell

MAX_USED = 512
MAX_QUARTERS = 8
UNUSED_DAYS = 30
SHELLS = frozenset({"bash", "shell", "powershell", "sh", "zsh", "cmd", "run_command", "execute_command", "terminal"})
DESTRUCTIVE = frozenset({"delete", "stop", "grant", "deploy", "execute", "admin", "write", "install"})


class Used(msgspec.Struct, array_like=True):
    """What the agent used, `kind/name` → when last; since when it is known; what was told."""

    first_ns: int = 0
    last_ns: int = 0
    used: dict[str, int] = {}
    trend: dict[str, str] = {}  # quarter → unused of granted
    told: dict[str, None] = {}

    def names(self, kind: str) -> list[str]:
        return sorted(one.partition("/")[2] for one in self.used if one.startswith(f"{kind}/"))


class Reach(Detector[Sighting, Used]):
    """Agents beside the inventory: permissions never used, MCP servers never called, more than their human, reach.

    Told once a quarter and agent, when the agent shows itself. Blind spots: agents the inventory does not name,
    unless they reach a protected target; an agent that never runs again is in `spanwatch report` only; permissions
    in the issuer's words count as used only where cloud audit events name the agent; of what it used the newest 512
    are remembered.
    """

    id = "posture.reach"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.unused-permissions": About(
                title="An agent was granted what it has not used for a long time",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI03"),
                runbook="Take away what is not used; `spanwatch report permissions` has the list and the trend.",
                rows=("I11",),
            ),
            "identity.agent-exceeds-human": About(
                title="An agent may do more than the human it works for",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI03", "MCP02:2025"),
                runbook="Cut the agent's grant down to its human's, or have the owner of the target sign the rest.",
                rows=("I12",),
            ),
            "posture.stale-mcp-server": About(
                title="An MCP server is configured and has not been called for a long time",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("ASI04", "MCP09:2025"),
                runbook="Take it out of the configuration and revoke its credential; `spanwatch report mcp` lists all.",
                rows=("K7",),
            ),
            "posture.agent-reach": About(
                title="What the agent could still do if it ignored every instruction",
                severity=Severity.INFO,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI02", "ASI03"),
                runbook="Take away shells, verbs and credentials the task does not need; put targets behind the proxy.",
                rows=("O8",),
            ),
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._days = inventory.unused_days or UNUSED_DAYS

    def new_state(self) -> Used:
        return Used()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "agent"

    def observe(self, event: Sighting, state: Used) -> Iterator[Finding]:
        if event.entity_kind != "agent" or event.detail.get("feed") == "offboarding":
            return
        now = event.time_ns
        state.first_ns = min(state.first_ns or now, now)
        state.last_ns = max(state.last_ns, now)
        if kind := event.detail.get("use"):
            name = f"{kind}/{event.detail.get('name', '')}"
            state.used[name] = max(state.used.pop(name, 0), now)
            if len(state.used) > MAX_USED:
                del state.used[next(iter(state.used))]
            return
        if "made" in event.detail or "feed" in event.detail:
            return
        grant = self._inventory.agent(event.entity_id, event.agent_type)
        quarter = _quarter(now)
        yield from self._stale(event, state, quarter)
        yield from self._reach(event, state, grant, quarter)
        if grant is not None:
            yield from self._unused(event, state, grant, quarter)
            yield from self._exceeds(event, state, grant, quarter)

    def _unused(self, event: Sighting, state: Used, grant: Grant, quarter: str) -> Iterator[Finding]:
        if state.last_ns - state.first_ns < self._days * DAY_NS:
            return
        since = state.last_ns - self._days * DAY_NS
        if max(state.used.values(), default=0) < since:  # it was idle: what this session uses is not known yet
            return
        granted = {
            kind: words for kind, words in grant.words.items() if words and (kind != "permission" or state.names(kind))
        }
        unused = {
            kind: [word for word in words if not _was_used(state, kind, word, since)] for kind, words in granted.items()
        }
        count, of = sum(map(len, unused.values())), sum(map(len, granted.values()))
        if not of:
            return
        before = "; ".join(f"{when}: {what}" for when, what in state.trend.items() if when != quarter)
        state.trend[quarter] = f"{count} of {of}"
        while len(state.trend) > MAX_QUARTERS:
            del state.trend[next(iter(state.trend))]
        if not count or not tell(state.told, f"unused/{quarter}"):
            return
        listed = [f"{kind} {word}" for kind, words in unused.items() for word in words]
        yield self._found(
            event,
            "identity.unused-permissions",
            quarter,
            what=f"{count} of {of} grants not used for {self._days} days: {', '.join(listed)}",
            unused=", ".join(listed),
            trend=before or "first quarter seen",
            owner=grant.owner or grant.team or "not in the inventory",
        )

    def _exceeds(self, event: Sighting, state: Used, grant: Grant, quarter: str) -> Iterator[Finding]:
        user = event.detail.get("user") or grant.owner
        human = self._inventory.human(user) if user else None
        if human is None or (grant.task and human.task and grant.task != human.task):
            return
        theirs = human.words
        more = [
            f"{kind} {word}"
            for kind, words in grant.words.items()
            if theirs[kind]  # nobody listed the human's: unknown, not none
            for word in words
            if not covered(word, theirs[kind])
        ]
        if more and tell(state.told, f"exceeds/{user}/{quarter}"):
            yield self._found(
                event,
                "identity.agent-exceeds-human",
                user,
                confidence="confirmed",
                what=f"granted beyond {user}: {', '.join(more)}",
                human=user,
                task=grant.task or human.task or "any",
                more=", ".join(more),
            )

    def _stale(self, event: Sighting, state: Used, quarter: str) -> Iterator[Finding]:
        for server in self._inventory.mcp_servers:
            if not (covered(event.entity_id, server.agents) or covered(event.agent_type, server.agents)):
                continue
            called = state.used.get(f"mcp/{server.name}", 0)
            known = max(called, moment(server.since), state.first_ns)  # before that nobody looked
            if event.time_ns - known < self._days * DAY_NS or not tell(state.told, f"stale/{server.name}/{quarter}"):
                continue
            yield self._found(
                event,
                "posture.stale-mcp-server",
                server.name,
                what=f"MCP server {server.name}, not called for {(event.time_ns - known) // DAY_NS} days",
                server=server.name,
                last_called=iso(called) if called else "never seen",
                configured=server.since or "unknown",
                projects=", ".join(server.projects) or "unknown",
            )

    def _reach(self, event: Sighting, state: Used, grant: Grant | None, quarter: str) -> Iterator[Finding]:
        if not (grant or any(self._guarded(one) for one in state.names("target"))):
            return
        if not tell(state.told, f"reach/{quarter}"):
            return
        reach = {
            kind: sorted({*state.names(kind), *(grant.words[kind] if grant else ())})
            for kind in ("credential", "target", "verb", "tool")
        }
        shell = [tool for tool in reach["tool"] if tool.lower() in SHELLS or tool == "*"]
        verbs = [verb for verb in reach["verb"] if verb in DESTRUCTIVE or verb == "*"]
        guarded = [one for one in reach["target"] if self._guarded(one)]
        severe = (shell or verbs) and guarded
        yield self._found(
            event,
            "posture.agent-reach",
            quarter,
            severity=Severity.MEDIUM if severe else None,
            what=f"{', '.join(shell + verbs) or 'no changing verb'} on {', '.join(guarded) or 'nothing protected'}",
            credentials=", ".join(reach["credential"]) or "none seen or granted",
            targets=", ".join(reach["target"]) or "none seen or granted",
            verbs=", ".join(reach["verb"]) or "none seen or granted",
            tools=", ".join(reach["tool"]) or "none seen or granted",
            owner=(grant.owner or grant.team if grant else "") or "not in the inventory",
        )

    def _guarded(self, target: str) -> bool:
        production = self._inventory.production
        if self._inventory.protects(target):
            return True
        return production is not None and covered(target, (*production.hosts, *production.databases))

    def _found(
        self,
        event: Sighting,
        rule_id: str,
        key: str,
        *,
        severity: Severity | None = None,
        confidence: str = "suspected",
        **evidence: str,
    ) -> Finding:
        return finding(
            self,
            event,
            rule_id=rule_id,
            severity=severity,
            confidence="confirmed" if confidence == "confirmed" else "suspected",
            key=f"{event.entity_id}/{key}",
            subject=f"{rule_id}/{key}",
            evidence={"who": event.entity_id, **evidence},
        )


def _was_used(state: Used, kind: str, word: str, since: int) -> bool:
    return any(
        at >= since and covered(one.partition("/")[2], (word,))
        for one, at in state.used.items()
        if one.startswith(f"{kind}/")
    )


def _quarter(ns: int) -> str:
    when = datetime.fromtimestamp(ns / 1e9, UTC)
    return f"{when.year}Q{(when.month + 2) // 3}"
