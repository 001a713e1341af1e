"""Whom a record belongs to: the session and agent it names, else those its trace is known to belong to.

Agents put their conversation on some records of a trace only, and never on the traffic and queries below them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

from detectors.model import digest
from pipeline.normalise import Meaning

SessionFrom: TypeAlias = Literal["attribute", "trace", "trace_id", "none"]

MAX_TRACES = 100_000  # per tenant
MAX_SERVICES = 16  # per trace
MAX_ID = 256  # characters; longer ids and names are hashed


class Trace:
    """What a trace told about itself: its session, and by service its agent (id, name) and user."""

    __slots__ = ("agents", "session", "users")

    def __init__(self) -> None:
        self.session = ""
        self.agents: dict[str, tuple[str, str]] = {}
        self.users: dict[str, str] = {}


UNTOLD = Trace()


class Traces:
    """The traces last heard of, per tenant; bounded, the one not heard of for longest goes first."""

    def __init__(self, agent_services: Collection[str]) -> None:
        self._tenants: dict[str, dict[str, Trace]] = {}
        self._agent_services = agent_services

    def of(self, tenant: str) -> dict[str, Trace]:
        """The tenant's traces by id, oldest first."""
        return self._tenants.setdefault(tenant, {})

    def trim(self, tenant: str) -> None:
        """Forget what is over the bound."""
        traces = self._tenants[tenant]
        while len(traces) > MAX_TRACES:
            del traces[next(iter(traces))]

    def agent_of(self, meaning: Meaning, known: Trace, service: str) -> tuple[str, str]:
        """Agent id and type: the record's own, else what its trace told of the same service, else the service.

        A proxy's record is about the agent whose trace it stands in, where that is one agent's.
        """
        agent_id, name = short(meaning.aside.get("agent.id", "")), short(meaning.agent_name)
        if meaning.plan.dialect.proxy and not agent_id and not name and len(known.agents) == 1:
            ((agent_id, name),) = known.agents.values()
            return agent_id or name, name
        if heard := known.agents.get(service):
            name = name or heard[1]
            if name == heard[1]:
                agent_id = agent_id or heard[0]
        agent_id = agent_id or short(str(meaning.fields.get("agent.instance", "")))
        if service in self._agent_services:
            name = service  # runs as its developer: one agent per human, not one for all of them
            user = meaning.fields.get("user") or known.users.get(service)
            agent_id = agent_id or (f"{service}/{short(str(user))}" if user else "")
        name = name or service
        return agent_id or name, name


def hear(traces: dict[str, Trace], trace_id: str, service: str, meaning: Meaning) -> None:
    """Remember what a record asserts about its trace; the first to assert a thing is believed."""
    user = meaning.fields.get("user")
    if not (meaning.session or meaning.agent_name or user):
        return
    known = traces.pop(trace_id, None) or Trace()
    traces[trace_id] = known
    if not known.session:
        known.session = short(meaning.session)
    if meaning.agent_name:
        heard = known.agents.get(service)
        if heard is None or not heard[0]:
            agent_id, name = short(meaning.aside.get("agent.id", "")), short(meaning.agent_name)
            if heard is None:
                if len(known.agents) < MAX_SERVICES:
                    known.agents[service] = (agent_id, name)
            elif agent_id and heard[1] == name:
                known.agents[service] = (agent_id, name)
    if user and len(known.users) < MAX_SERVICES:
        known.users.setdefault(service, short(str(user)))


def short(one: str) -> str:
    """The id or name, hashed where nobody could have meant to read it."""
    return one if len(one) <= MAX_ID else digest(one)


def session_of(meaning: Meaning, known: Trace, trace_id: str, service: str) -> tuple[str, SessionFrom]:
    """Session and where it is from; that of an MCP connection only counts where nothing better is known."""
    if meaning.session:
        return meaning.session, "attribute"
    if known.session:
        return known.session, "trace"
    if weak := meaning.aside.get("session.weak"):
        return weak, "attribute"
    if trace_id:
        return trace_id, "trace_id"
    return f"unresolved/{service}", "none"
