"""What the organisation knows and telemetry does not say: granted permissions, MCP servers, packages, targets.

Files of the folder `inventory` of a rules folder, each with any of the keys below; lists of several files are joined,
entries of one name are laid over each other. Names of agents, people, hosts and branches may hold `*` and `?`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

DAY_NS = 86_400_000_000_000
LINES_PER_HOUR = 2_000
MINUTES = {"pr_review": 15}  # how long a credential for a task need live, where nobody said


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one agent, agent type or human may do. Words are the organisation's own; `*` covers any rest."""

    owner: str = ""
    team: str = ""
    task: str = ""  # the task the grant is for: pr_review, deploy, ...
    also: tuple[str, ...] = ()  # further names of the same agent or human
    permissions: tuple[str, ...] = ()  # as the issuer spells them: repo:write, s3:GetObject
    tools: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()  # hosts, databases, services, repositories
    verbs: tuple[str, ...] = ()  # read, write, delete, deploy, grant, ...
    credentials: tuple[str, ...] = ()  # subjects it may act as
    environment: str = ""

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Everything granted, by what kind of thing it is."""
        return {
            "permission": self.permissions,
            "tool": self.tools,
            "target": self.targets,
            "verb": self.verbs,
            "credential": self.credentials,
        }


class McpServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server in somebody's configuration."""

    name: str
    agents: tuple[str, ...] = ()  # agent ids or types that have it; none is all
    projects: tuple[str, ...] = ()
    since: str = ""  # ISO date it was configured
    url: str = ""
    approved: bool = True


class Protected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A database or host that is reached through the proxy only."""

    name: str
    kind: str = "host"  # host, database, service, cluster
    hosts: tuple[str, ...] = ()
    proxy: tuple[str, ...] = ()  # hosts of the proxy: traffic from there is the way it should come


class Production(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How production is told from the rest."""

    hosts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ("prod", "production")  # values of deployment.environment.name
    databases: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()  # cloud accounts, projects, subscriptions
    credentials: tuple[str, ...] = ()  # subjects that only production has


class Approved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AI the organisation allows; an empty list allows everything of its kind."""

    providers: tuple[str, ...] = ()
    products: tuple[str, ...] = ()  # agent types
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()  # organisation ids, workspaces


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as a review of a change: slower than `lines_per_hour` and no shorter than `seconds`."""

    lines_per_hour: int = LINES_PER_HOUR
    seconds: int = 20
    bots: tuple[str, ...] = ("*[[]bot]", "*-bot")  # reviewers that are no human


class Inventory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder `inventory`, or all of them together."""

    agents: dict[str, Grant] = {}
    people: dict[str, Grant] = {}
    teams: dict[str, tuple[str, ...]] = {}  # team → members
    mcp_servers: tuple[McpServer, ...] = ()
    packages: dict[str, tuple[str, ...]] = {}  # pypi, npm, crates, go, gems → names the organisation uses
    protected: tuple[Protected, ...] = ()
    production: Production | None = None
    approved: Approved | None = None
    email_domains: tuple[str, ...] = ()
    protected_branches: tuple[str, ...] = ()
    masking: tuple[str, ...] = ()  # services and MCP servers whose responses must hold no secret and no personal data
    review: Review | None = None
    task_minutes: dict[str, int] = {}  # task → how long its credential need live
    malicious_sessions: tuple[str, ...] = ()  # found to be attacks: no baseline learns from them
    unused_days: int = 0  # 0: the detectors' own default

    @classmethod
    def joined(cls, files: Sequence[Inventory]) -> Inventory:
        """All files as one; of what only one may say, the last one that says it counts."""
        return cls(
            agents=_laid(file.agents for file in files),
            people=_laid(file.people for file in files),
            teams=_together(file.teams for file in files),
            mcp_servers=tuple(one for file in files for one in file.mcp_servers),
            packages=_together(file.packages for file in files),
            protected=tuple(one for file in files for one in file.protected),
            production=next((file.production for file in reversed(files) if file.production), None),
            approved=next((file.approved for file in reversed(files) if file.approved), None),
            email_domains=tuple(one for file in files for one in file.email_domains),
            protected_branches=tuple(one for file in files for one in file.protected_branches),
            masking=tuple(one for file in files for one in file.masking),
            review=next((file.review for file in reversed(files) if file.review), None),
            task_minutes={task: most for file in files for task, most in file.task_minutes.items()},
            malicious_sessions=tuple(one for file in files for one in file.malicious_sessions),
            unused_days=next((file.unused_days for file in reversed(files) if file.unused_days), 0),
        )

    def agent(self, agent_id: str, agent_type: str = "") -> Grant | None:
        """The grant of an agent: by its id, else by its type; the exact name before a pattern."""
        return _named(self.agents, agent_id) or (_named(self.agents, agent_type) if agent_type else None)

    def human(self, user: str) -> Grant | None:
        """The grant of a human, by any of the names one goes by."""
        return _named(self.people, user)

    def owner(self, agent_id: str, agent_type: str = "") -> str:
        """Who answers for the agent; empty when nobody said."""
        grant = self.agent(agent_id, agent_type)
        return (grant.owner or grant.team) if grant else ""

    def protects(self, host: str) -> Protected | None:
        """The protected target a host or a database name belongs to."""
        name = host.lower()
        return next((one for one in self.protected if covered(name, (one.name.lower(), *one.hosts))), None)

    def minutes(self, task: str) -> int | None:
        """How long a credential for the task need live."""
        return self.task_minutes.get(task, MINUTES.get(task))


def covered(word: str, allowed: Iterable[str]) -> bool:
    """Whether one of the names or patterns covers the word."""
    return any(word == one or fnmatchcase(word, one) for one in allowed)


def _named(grants: Mapping[str, Grant], name: str) -> Grant | None:
    if exact := grants.get(name):
        return exact
    for pattern, grant in grants.items():
        if fnmatchcase(name, pattern) or name in grant.also:
            return grant
    return None


def _laid(files: Iterable[Mapping[str, Grant]]) -> dict[str, Grant]:
    """Grants of one name joined: lists added up, words of the later file win."""
    found: dict[str, Grant] = {}
    for file in files:
        for name, grant in file.items():
            before = found.get(name)
            found[name] = grant if before is None else _more(before, grant)
    return found


def _more(before: Grant, grant: Grant) -> Grant:
    changes = {}
    for field in Grant.__struct_fields__:
        old, new = getattr(before, field), getattr(grant, field)
        changes[field] = tuple(dict.fromkeys((*old, *new))) if isinstance(old, tuple) else new or old
    return msgspec.structs.replace(before, **changes)


def _together(files: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for file in files:
        for name, values in file.items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *values)))
    return found
