"""Reports over what is stored: each part reads spans and findings once and answers one question with tables.

A part is a function from the past to tables, in a module of its own, and stands in `PARTS` under the word that
`spanwatch report` knows it by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table as Grid

from detectors.model import Span
from detectors.rule import RuleSet
from pipeline import build
from pipeline.errors import SettingsError
from pipeline.migrate import migrate
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Clients, raised
from replay.history import Stored, spans_in

Cell: TypeAlias = str | int | float
LIVE = "live"
MAX_CELL = 120  # characters of a cell at a terminal


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: a heading, columns, rows, and a sentence for what the rows do not say."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


class Found(NamedTuple):
    """A stored finding, as far as reports need it."""

    time_ns: int
    rule_id: str
    title: str
    severity: int
    category: str
    agent_id: str
    session_id: str
    span_id: str
    evidence: Mapping[str, str]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Whom and when a report is about; empty is everybody, ever."""

    agent: str = ""
    session: str = ""
    user: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Past:
    """The stored spans and findings a question is about, and the rules of the deployment."""

    def __init__(self, client: Any, database: str, rules: RuleSet, question: Question, run: str = LIVE) -> None:
        self._client, self._database, self._run = client, database, run
        self.rules, self.question = rules, question

    def spans(self) -> Iterator[Span]:
        """Spans in recorded order; since and until are times of receipt."""
        asked = self.question
        for record in Stored(self._client, self._database, since=asked.since, until=asked.until):
            for span in spans_in(record):
                if asked.agent and asked.agent not in (span.agent_id, span.agent_type):
                    continue
                if asked.session and asked.session != span.session_id:
                    continue
                if asked.user and asked.user != span.text("user"):
                    continue
                yield span

    def everyone(self) -> Past:
        """The same time, asked about everybody."""
        wide = Question(since=self.question.since, until=self.question.until)
        return Past(self._client, self._database, self.rules, wide, self._run)

    def findings(self) -> Iterator[Found]:
        """Findings by time; since and until are times of what was found."""
        asked = self.question
        where, parameters = ["Run = {run:String}"], {"run": self._run}
        for column, value in (("AgentId", asked.agent), ("SessionId", asked.session)):
            if value:
                where.append(f"{column} = {{{column}:String}}")
                parameters[column] = value
        for sign, moment in ((">=", asked.since), ("<", asked.until)):
            if moment is not None:
                where.append(f"Timestamp {sign} fromUnixTimestamp64Nano({int(moment.timestamp() * 1e6) * 1000})")
        query = (
            "SELECT toUnixTimestamp64Nano(Timestamp), RuleId, Title, toInt8(Severity), toString(Category), AgentId,\n"
            f"SessionId, SpanId, Evidence FROM {self._database}.findings FINAL\n"
            f"WHERE {' AND '.join(where)} ORDER BY Timestamp, Id"
        )
        try:
            with self._client.query_row_block_stream(query, parameters=parameters) as stream:
                for rows in stream:
                    for row in rows:
                        yield Found(*row)
        except (ClickHouseError, OSError) as error:
            raised("findings", error)


Part: TypeAlias = Callable[[Past], Iterable[Table]]
PARTS: dict[str, tuple[str, str]] = {  # word → where its part is, and what it answers
    "commands": ("replay.report_commands:commands", "every command, also inside pipelines, shells and scripts"),
    "shell": ("replay.report_commands:shell", "who may run a shell or read nearly anything, and whether they did"),
    "shadow-ai": ("replay.report_commands:shadow_ai", "AI that nobody approved, and which data it met"),
    "flows": ("replay.report_exposures:flows", "outbound flows of a session's host, workload or credential"),
    "secret-places": ("replay.report_exposures:secret_places", "where each AI tool reads secrets from"),
    "masking": ("replay.report_exposures:masking", "how much gateways that mask left in texts"),
    "identity": ("replay.report_identity:identity", "how far events resolve to an agent, an owner, a credential"),
    "credentials": ("replay.report_identity:credentials", "static and short-lived credentials per agent type"),
    "approvals": ("replay.report_identity:approvals", "who authorised each step, and how long humans took"),
    "infrastructure": ("replay.report_identity:infrastructure", "unapproved changes of infrastructure per month"),
    "permissions": ("replay.report_agents:permissions", "what was granted and never used, per agent and quarter"),
    "agents": ("replay.report_agents:agents", "what each agent could do if it ignored every instruction"),
    "subjects": ("replay.report_agents:subjects", "which credential subjects each agent acted as"),
    "mcp": ("replay.report_agents:mcp", "MCP servers configured, and when each was last called"),
    "risk": ("replay.report_changes:risk", "the risk of the sessions behind each commit and request"),
    "calls": ("replay.report_agents:calls", "every call, in order: of a session, an agent or a user"),
}


def part(what: str) -> Part:
    """The part a word stands for; SettingsError names those there are."""
    if what not in PARTS:
        raise SettingsError(f"no report {what!r}; there are {', '.join(sorted(PARTS))}")
    module, _, name = PARTS[what][0].partition(":")
    found: Part = getattr(import_module(module), name)
    return found


@contextmanager
def opened(settings: Settings, question: Question) -> Iterator[Past]:
    """The past of the deployment's own store, while the store is open."""
    rules = build.rules(settings)
    with closing(Clients(settings.clickhouse, settings.data_dir)) as clients:
        client = clients.mine()
        migrate(client, settings.clickhouse)
        yield Past(client, settings.clickhouse.database, rules, question)


def run(settings: Settings, what: str, question: Question) -> list[Table]:
    """The tables of one report over the deployment's own store."""
    answer = part(what)
    with opened(settings, question) as past:
        return list(answer(past))


def as_json(tables: Iterable[Table]) -> Iterator[bytes]:
    """One JSON object per row, its table beside its columns."""
    for table in tables:
        for row in table.rows:
            yield msgspec.json.encode({"table": table.title, **dict(zip(table.columns, row, strict=True))}) + b"\n"


def show(tables: Iterable[Table], console: Console | None = None) -> None:
    """The tables for a person at a terminal."""
    console = console or Console()
    for table in tables:
        grid = Grid(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
        for column in table.columns:
            grid.add_column(column, overflow="fold")
        for row in table.rows:
            grid.add_row(*(str(cell)[:MAX_CELL] for cell in row))
        console.print(grid)
