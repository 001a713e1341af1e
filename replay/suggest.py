"""A least-privilege policy from what an agent type really used: counted, made general with care, loud calls left out.

What few sessions show is no habit: it stands under `undecided`, where it raises nothing until someone decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from detectors import urls, uses
from detectors.behaviour import approval
from detectors.egress import Destinations
from detectors.engine import PLACED, Engine
from detectors.model import Finding, Outcome, Severity, Span
from detectors.policy import MATTERS, Matter
from detectors.violations import effects_of
from pipeline.sinks.clickhouse import raised
from replay.suggest_text import SENSITIVE, Counted, Suggestion

History: TypeAlias = Callable[[], Iterator[Span]]
MANY = 20  # names at the root of the working tree, past which the tree as a whole is named
HOSTS = 3  # hosts of one registered domain, past which the domain is named
MAX_TREES = 100_000
MAX_SESSIONS = 10_000  # counted apart per thing
RISKY = ("delete", "grant", "stop", "publish", "deploy")
_UNASKED = re.compile(r"bypass|yolo|danger|full.?(?:access|auto)|never", re.IGNORECASE)
_TEMP = re.compile(r"/(?:private/)?(?:var/)?tmp/|/dev/shm/|/(?:private/)?var/folders/")


class Tally(msgspec.Struct):
    """How often a thing was used, in which sessions, under which further names, and how often in a loud call."""

    calls: int = 0
    loud: int = 0
    sessions: set[str] = msgspec.field(default_factory=set)
    also: tuple[str, ...] = ()

    def add(self, session: str, loud: bool) -> None:
        if loud:
            self.loud += 1
            return
        self.calls += 1
        if len(self.sessions) < MAX_SESSIONS:
            self.sessions.add(session)


class Asked(msgspec.Struct):
    """Calls with a risky effect, and by whom they were allowed."""

    calls: int = 0
    by_human: int = 0
    sessions: set[str] = msgspec.field(default_factory=set)
    people: dict[str, int] = msgspec.field(default_factory=dict)


class Used(NamedTuple):
    """Everything the agent type used."""

    things: dict[tuple[Matter, str], Tally]
    asked: dict[str, Asked]
    sessions: int
    spans: int


class _Trees:
    """The working tree of each session, as the engine lends it to spans that name files."""

    def __init__(self) -> None:
        self._trees: dict[str, str] = {}

    def place(self, span: Span) -> Span:
        fields = span.fields
        tree = self._trees.get(span.session_key, "")
        if not tree and (told := fields.get("workdir") or fields.get("cwd")):
            tree = self._trees[span.session_key] = str(told)
            if len(self._trees) > MAX_TREES:
                del self._trees[next(iter(self._trees))]
        if not tree or "workdir" in fields or fields.keys().isdisjoint(PLACED):
            return span
        return msgspec.structs.replace(span, fields={**fields, "workdir": tree})


def used(history: History, agent_type: str, loud: Collection[str], only: Collection[str] = ()) -> Used:
    """What spans of the agent type used. `loud` are ids of spans that raised a high alert; a loud call counts as a
    whole, whichever of its records comes first, so history is read twice where there are any."""
    calls = {(s.session_key, s.call_id) for s in history() if s.span_id in loud and s.call_id} if loud else set()
    things: dict[tuple[Matter, str], Tally] = defaultdict(Tally)
    asked: dict[str, Asked] = defaultdict(Asked)
    decided: dict[tuple[str, str], tuple[str, str, str]] = {}
    sessions: set[str] = set()
    trees, spans = _Trees(), 0
    for one in history():
        if one.agent_type != agent_type or (only and one.session_id not in only):
            continue
        span = trees.place(one)
        spans += 1
        sessions.add(span.session_key)
        call = (span.session_key, span.call_id)
        if span.kind == "approval" and span.call_id and approval(span)[0]:
            decided[call] = approval(span)
        bad = span.span_id in loud or call in calls
        for use in uses.of(span):
            tally = things[use.matter, use.name]
            tally.add(span.session_key, bad)
            tally.also = use.also
        if span.kind in uses.CALLS and not bad:
            _ask(span, decided.get(call), asked)
    return Used(dict(things), dict(asked), len(sessions), spans)


def _ask(span: Span, heard: tuple[str, str, str] | None, asked: dict[str, Asked]) -> None:
    effects, _ = effects_of(span)
    decision, source, who = approval(span) if approval(span)[0] else heard or ("", "", "")
    for effect in effects.intersection(RISKY):
        one = asked[effect]
        one.calls += 1
        one.sessions.add(span.session_key)
        if decision == "allow" and source == "human":
            one.by_human += 1
            one.people[who or "someone"] = one.people.get(who or "someone", 0) + 1


def loud(history: Iterable[Sequence[Span]], engine: Engine) -> set[str]:
    """Ids of the spans that findings of severity high are about."""
    found: set[str] = set()
    for spans in history:
        found |= _named(engine.run(spans))
    return found


def _named(outcomes: Iterable[Outcome]) -> set[str]:
    high = [one for one in outcomes if isinstance(one, Finding) and one.severity >= Severity.HIGH]
    return {span for one in high for span in (one.span_id, *one.span_ids) if span}


def stored_loud(client: Any, database: str) -> set[str]:
    """The same by the findings of the live run."""
    query = (
        f"SELECT SpanId, SpanIds FROM {database}.findings FINAL\n"
        f"WHERE Run = 'live' AND toInt8(Severity) >= {int(Severity.HIGH)}"
    )
    try:
        rows = client.query(query).result_rows
    except (ClickHouseError, OSError) as error:
        raised("findings", error)
    return {span for one, more in rows for span in (one, *more) if span}


def suggest(found: Used, agent_type: str, destinations: Destinations, *, min_sessions: int) -> Suggestion:
    """The policy that allows what was used in at least so many sessions."""
    allow: dict[Matter, list[Counted]] = {}
    undecided: dict[Matter, list[Counted]] = {}
    left: list[Counted] = []
    for matter in MATTERS:
        named = {name: tally for (m, name), tally in found.things.items() if m == matter}
        kept: dict[str, Tally] = {}
        for name, tally in named.items():
            reason = _refused(matter, name, tally, agent_type, destinations)
            if reason:
                left.append(Counted(matter, name, len(tally.sessions), tally.calls or tally.loud, reason))
            else:
                kept[name] = tally
        for name, tally in sorted(_general(matter, kept, destinations, agent_type).items()):
            one = Counted(matter, name, len(tally.sessions), tally.calls)
            (allow if one.sessions >= min_sessions else undecided).setdefault(matter, []).append(one)
    classes = {one for tally in found.things.values() for one in tally.also}
    return Suggestion(
        agent_type=agent_type,
        sessions=found.sessions,
        spans=found.spans,
        min_sessions=min_sessions,
        allow=allow,
        undecided=undecided,
        left=tuple(left),
        never=tuple(name for name in SENSITIVE if f"class:{name}" not in classes),
        approvals=tuple(
            Counted("tools", effect, len(one.sessions), one.calls, ", ".join(sorted(one.people)))
            for effect, one in sorted(found.asked.items())
            if one.by_human == one.calls and len(one.sessions) >= min_sessions
        ),
        unasked=tuple(
            Counted("tools", effect, len(one.sessions), one.calls, f"{one.by_human} allowed by a human")
            for effect, one in sorted(found.asked.items())
            if one.by_human < one.calls
        ),
    )


def _refused(matter: Matter, name: str, tally: Tally, agent_type: str, destinations: Destinations) -> str:
    """Why a thing that was used is not for the policy to allow; empty where it is."""
    if not tally.calls:
        return "only in calls that raised a high alert"
    if matter == "session_modes" and _UNASKED.search(name):
        return "a mode in which nobody is asked"
    if matter == "egress" and destinations.listed(name, agent_type)[0] in ("metadata", "suspicious"):
        return "wrong for any agent until someone says otherwise"
    return ""


def _general(matter: Matter, named: dict[str, Tally], destinations: Destinations, agent_type: str) -> dict[str, Tally]:
    """The things by the pattern that stands for them, of several things' counts the union."""
    if matter in ("read", "write"):
        roots = {name.split("/")[1] for name in named if name.startswith("./")}
        spelled = {name: _path(name, tally.also, len(roots) > MANY) for name, tally in named.items()}
    elif matter == "egress":
        spelled = _domains([name for name in named if destinations.listed(name, agent_type)[0] != "local"])
    else:
        spelled = {name: glob_free(name) for name in named}
    merged: dict[str, Tally] = defaultdict(Tally)
    for name, pattern in spelled.items():
        one, tally = merged[pattern], named[name]
        one.calls, one.sessions = one.calls + tally.calls, one.sessions | tally.sessions
    return dict(merged)


def _path(name: str, also: Iterable[str], tree: bool) -> str:
    """The folder a file stands for; a file of a sensitive class stands for itself."""
    if any(one.removeprefix("class:") in SENSITIVE for one in also):
        return glob_free(name)
    if found := _TEMP.match(name):
        return found[0] + "*"
    parts = name.split("/")
    if name.startswith("./"):
        if tree:
            return "./*"
        return f"./{glob_free(parts[1])}/*" if len(parts) > 2 else glob_free(name)
    depth = 2 if name.startswith("~") else 3
    return "/".join(map(glob_free, parts[:depth])) + "/*" if len(parts) > depth else glob_free(name)


def _domains(hosts: list[str]) -> dict[str, str]:
    """Each host under its registered domain where several hosts of that were used."""
    domains = {host: found.domain if (found := urls.destination(host)) else host for host in hosts}
    counts: dict[str, int] = defaultdict(int)
    for domain in domains.values():
        counts[domain] += 1
    return {host: domain if domain and counts[domain] >= HOSTS else host for host, domain in domains.items()}


def glob_free(name: str) -> str:
    """The name as a pattern that fits nothing else."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", name)
