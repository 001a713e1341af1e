"""What agents may do, did, and could still do: permissions, reach, credential subjects and MCP servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from detectors import changes
from detectors.inventory import DAY_NS, Inventory, covered
from detectors.reach import SHELLS, UNUSED_DAYS
from detectors.remembered import moment
from replay.report import Past, Table

CALLS = changes.ACTING | {"ci_step", "commit"}
NEVER = "never"


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds") if ns else NEVER


def quarter(ns: int) -> str:
    when = datetime.fromtimestamp(ns / 1e9, UTC)
    return f"{when.year}Q{(when.month + 2) // 3}"


class Seen:
    """What one agent was seen to use: kind → name → time last used, and per quarter."""

    def __init__(self, agent_type: str) -> None:
        self.agent_type = agent_type
        self.last: dict[str, dict[str, int]] = {}
        self.quarters: dict[str, set[tuple[str, str]]] = {}
        self.users: dict[str, None] = {}
        self.last_ns = 0

    def add(self, kind: str, name: str, ns: int) -> None:
        names = self.last.setdefault(kind, {})
        names[name] = max(names.get(name, 0), ns)
        self.quarters.setdefault(quarter(ns), set()).add((kind, name))

    def names(self, kind: str) -> list[str]:
        return sorted(self.last.get(kind, ()))


def seen(past: Past) -> dict[str, Seen]:
    """Every agent that did anything, and what it used."""
    agents: dict[str, Seen] = {}
    for span in past.spans():
        if span.kind == changes.FEED:
            shown = [one for one in changes.of(span) if one.told().get("use")]
        else:
            shown = list(changes.uses(span))
        for one in shown:
            agent = agents.setdefault(one.id, Seen(span.agent_type))
            used = one.told()
            agent.add(used["use"], used["name"], span.start_ns)
            agent.last_ns = max(agent.last_ns, span.start_ns)
            if user := span.text("user"):
                agent.users[user] = None
    return agents


def permissions(past: Past) -> Iterator[Table]:
    """Grants beside uses, the trend per quarter, and agents that may do more than their human."""
    inventory = past.rules.inventory
    rows: list[tuple[str | int, ...]] = []
    trend: list[tuple[str | int, ...]] = []
    more: list[tuple[str | int, ...]] = []
    found = seen(past)
    for agent_id, agent in sorted(found.items()):
        grant = inventory.agent(agent_id, agent.agent_type)
        if grant is None:
            continue
        granted = [(kind, word) for kind, words in grant.words.items() for word in words]
        for kind, word in granted:
            last = max((ns for name, ns in agent.last.get(kind, {}).items() if covered(name, (word,))), default=0)
            told = iso(last) if last or kind != "permission" or agent.last.get(kind) else "unknown: no audit events"
            rows.append((agent_id, grant.owner or grant.team, kind, word, told))
        for when, used in sorted(agent.quarters.items()):
            unused = sum(not any(kind == k and covered(name, (word,)) for k, name in used) for kind, word in granted)
            trend.append((agent_id, when, len(granted), unused))
        for user in dict.fromkeys((*agent.users, grant.owner)):
            more += [
                (agent_id, user, kind, word) for kind, word in _beyond(inventory, agent_id, agent.agent_type, user)
            ]
    columns = ("agent", "owner", "kind", "granted", "last used")
    note = "" if inventory.agents else "The inventory names no agent: nothing is known to be granted."
    yield Table(title="Permissions", columns=columns, rows=rows, note=note)
    yield Table(title="Unused per quarter", columns=("agent", "quarter", "granted", "unused"), rows=trend)
    yield Table(title="Granted beyond the human", columns=("agent", "human", "kind", "granted"), rows=more)


def _beyond(inventory: Inventory, agent_id: str, agent_type: str, user: str) -> Iterator[tuple[str, str]]:
    grant, human = inventory.agent(agent_id, agent_type), inventory.human(user) if user else None
    if grant is None or human is None or (grant.task and human.task and grant.task != human.task):
        return
    theirs = human.words
    for kind, words in grant.words.items():
        if theirs[kind]:
            yield from ((kind, word) for word in words if not covered(word, theirs[kind]))


def agents(past: Past) -> Iterator[Table]:
    """What each agent could still do if it ignored every instruction: seen or granted."""
    inventory = past.rules.inventory
    rows = []
    for agent_id, agent in sorted(seen(past).items()):
        grant = inventory.agent(agent_id, agent.agent_type)
        words = grant.words if grant else {}
        reach = {
            kind: sorted({*agent.names(kind), *words.get(kind, ())})
            for kind in ("credential", "target", "verb", "tool", "mcp")
        }
        granted_shell = [one for one in words.get("tool", ()) if one.lower() in SHELLS or one == "*"]
        used_shell = [one for one in agent.names("tool") if one.lower() in SHELLS]
        shell = "used" if used_shell else "granted, never used" if granted_shell else "no"
        guarded = [one for one in reach["target"] if inventory.protects(one)]
        rows.append(
            (
                agent_id,
                inventory.owner(agent_id, agent.agent_type) or "unknown",
                shell,
                *(", ".join(reach[kind]) or "none" for kind in ("credential", "target", "verb", "tool", "mcp")),
                ", ".join(guarded) or "none",
                iso(agent.last_ns),
            )
        )
    columns = (
        "agent",
        "owner",
        "shell",
        "credentials",
        "targets",
        "verbs",
        "tools",
        "MCP servers",
        "protected",
        "last",
    )
    yield Table(title="If it ignores every instruction", columns=columns, rows=rows)


def subjects(past: Past) -> Iterator[Table]:
    """Which credential subjects each agent acted as, since when, for whom."""
    known: dict[tuple[str, str], list[int]] = {}
    users: dict[tuple[str, str], dict[str, None]] = {}
    for span in past.spans():
        if (subject := span.text("credential")) and span.kind != changes.FEED:
            times = known.setdefault((subject, span.agent_id), [span.start_ns, span.start_ns, 0])
            times[0], times[1] = min(times[0], span.start_ns), max(times[1], span.start_ns)
            times[2] += 1
            if user := span.text("user"):
                users.setdefault((subject, span.agent_id), {})[user] = None
    rows = [
        (subject, agent, ", ".join(users.get((subject, agent), ())) or "unknown", iso(first), iso(last), count)
        for (subject, agent), (first, last, count) in sorted(known.items())
    ]
    columns = ("credential", "agent", "users", "first", "last", "records")
    yield Table(title="Credential subjects", columns=columns, rows=rows)


def mcp(past: Past) -> Iterator[Table]:
    """MCP servers configured and called; stale is configured and not called for the inventory's days."""
    inventory = past.rules.inventory
    called: dict[str, dict[str, int]] = {}
    now = 0
    for agent_id, agent in seen(past).items():
        now = max(now, agent.last_ns)
        for name, last in agent.last.get("mcp", {}).items():
            called.setdefault(name, {})[agent_id] = last
    days = inventory.unused_days or UNUSED_DAYS
    rows = []
    listed = {server.name: server for server in inventory.mcp_servers}
    for name in sorted({*listed, *called}):
        server, last = listed.get(name), max(called.get(name, {}).values(), default=0)
        idle = now - max(last, moment(server.since) if server else 0)
        state = "not in the inventory" if server is None else "stale" if idle > days * DAY_NS else "in use"
        rows.append(
            (
                name,
                ", ".join(server.agents) or "all" if server else "unknown",
                ", ".join(server.projects) if server else "",
                (server.since or "unknown") if server else "unknown",
                iso(last),
                ", ".join(sorted(called.get(name, ()))) or "nobody",
                state,
            )
        )
    columns = ("server", "configured for", "projects", "since", "last called", "by", "state")
    yield Table(title="MCP servers", columns=columns, rows=rows, note=f"Stale: not called for {days} days.")


def calls(past: Past) -> Iterator[Table]:
    """Every call in order."""
    rows = [
        (
            iso(span.start_ns),
            span.session_id,
            span.agent_id,
            span.text("user"),
            span.kind,
            span.text("tool.name"),
            span.text("command.line") or span.text("db.statement") or span.text("path") or span.text("url"),
            span.text("approval.decision"),
        )
        for span in past.spans()
        if span.kind in CALLS
    ]
    columns = ("time", "session", "agent", "user", "kind", "tool", "what", "approval")
    yield Table(title="Calls", columns=columns, rows=rows)
