"""Two runs side by side: which findings were added, lost, or stayed the same, rule by rule."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Clients, raised

UNKNOWN_DATABASE = 81  # ClickHouse's number


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one rule, counted by id."""

    rule_id: str
    added: int
    lost: int
    same: int


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What `run` found that `base` did not, and the other way round."""

    run: str
    base: str
    added: int
    lost: int
    same: int
    rules: tuple[Row, ...]

    @property
    def differs(self) -> bool:
        return bool(self.added or self.lost)

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def show(self, console: Console | None = None) -> None:
        table = Table("rule", title=f"findings of {self.run} against {self.base}", box=None)
        for name in ("added", "lost", "same"):
            table.add_column(name, justify="right")
        for row in self.rules:
            table.add_row(row.rule_id, *(f"{n:,}" if n else "." for n in (row.added, row.lost, row.same)))
        table.add_row("all rules", f"{self.added:,}", f"{self.lost:,}", f"{self.same:,}", style="bold")
        (console or Console()).print(table)


def stored(
    settings: Settings, run: str, base: str = "live", *, since: datetime | None = None, until: datetime | None = None
) -> Diff:
    """Compare two runs of the store; `since` and `until` bound the time of what was found."""
    with closing(Clients(settings.clickhouse, settings.data_dir)) as clients:
        return between(clients.mine(), settings.clickhouse.database, run, base, since=since, until=until)


def between(
    client: Any,
    database: str,
    run: str,
    base: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Diff:
    """Compare two runs by finding id. Raises SettingsError when a run was never made."""
    bounds = {name: at for name, at in (("since", since), ("until", until)) if at is not None}
    signs = {"since": ">=", "until": "<"}
    where = "".join(f" AND Timestamp {signs[name]} {{{name}:DateTime64(9)}}" for name in bounds)
    query = (
        "SELECT RuleId, countIf(InRun AND NOT InBase), countIf(InBase AND NOT InRun), countIf(InRun AND InBase)\n"
        "FROM (SELECT RuleId, Id, max(Run = {run:String}) AS InRun, max(Run = {base:String}) AS InBase\n"
        f"      FROM {database}.findings WHERE Run IN ({{run:String}}, {{base:String}}){where}\n"
        "      GROUP BY RuleId, Id)\n"
        "GROUP BY RuleId ORDER BY RuleId"
    )
    try:
        for label in (run, base):
            made = f"SELECT count() FROM {database}.plan WHERE Run = {{run:String}}"
            if not client.query(made, parameters={"run": label}).result_rows[0][0]:
                raise SettingsError(f"run {label!r}: nothing is stored under this name")
        rows = client.query(query, parameters={"run": run, "base": base, **bounds}).result_rows
    except (ClickHouseError, OSError) as error:
        if getattr(error, "code", None) == UNKNOWN_DATABASE:
            raise SettingsError(f"database {database}: nothing is stored yet; is data_dir the right one?") from None
        raised("findings", error)
    rules = tuple(Row(rule_id=r[0], added=r[1], lost=r[2], same=r[3]) for r in rows)
    return Diff(
        run=run,
        base=base,
        added=sum(r.added for r in rules),
        lost=sum(r.lost for r in rules),
        same=sum(r.same for r in rules),
        rules=rules,
    )
