"""The commands of `spanwatch policy`: read a policy back, and write one from what was really used."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import errors

if TYPE_CHECKING:
    from detectors.model import Span
    from detectors.rule import RuleSet
    from pipeline import otlp_files
    from pipeline.settings import Settings
    from replay.suggest import Used

policy_app = typer.Typer(help="What agents of a type may do.", no_args_is_help=True)
_AGO = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def _since(text: str) -> datetime:
    """`30d`, `12h`, or an ISO time; UTC where it says nothing."""
    if found := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _settings(context: typer.Context) -> Settings:
    from pipeline import settings, telemetry

    built = settings.load(context.obj)
    telemetry.configure(built.log_level, built.log_format)
    return built


@policy_app.command("check")
def check(files: Annotated[list[Path], typer.Argument(help="policy files, or folders of them")]) -> None:
    """Read policy files and print all faults, and what each leaves undecided; 4 when any is wrong."""
    from detectors import rule
    from detectors.policy import MATTERS

    faults: list[errors.RuleError] = []
    found = rule.read_policies(files, faults)
    for fault in faults:
        print(f"spanwatch: {fault}", file=sys.stderr)
    for name, one in found.items():
        open_ = sum(len(getattr(one.undecided, matter)) for matter in MATTERS)
        print(f"{name}: version {one.version}" + (f", {open_} undecided" if open_ else ""))
    raise typer.Exit(4 if faults else 0)


@policy_app.command("suggest")
def suggest(
    context: typer.Context,
    agent_type: Annotated[str, typer.Option(help="the agent type the policy is for")],
    since: Annotated[
        datetime | None, typer.Option(parser=_since, metavar="30d|ISO-TIME", help="only what was received since then")
    ] = None,
    session: Annotated[list[str] | None, typer.Option(help="only this session; may be given again")] = None,
    from_: Annotated[list[Path] | None, typer.Option("--from", help="OTLP files instead of the store")] = None,
    min_sessions: Annotated[int, typer.Option(min=1, help="what fewer sessions show is left undecided")] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write here; default: standard output")] = None,
) -> None:
    """Write a least-privilege policy from what agents of a type really used.

    Calls that raised a high alert are left out, and what few sessions show is left undecided.
    """
    settings = _settings(context)
    from pipeline import build
    from replay import suggest as suggesting

    rules = build.rules(settings)
    only = frozenset(session or ())
    if from_:
        used = _from_files(settings, rules, from_, agent_type, only)
    else:
        used = _from_store(settings, agent_type, only, since)
    if not used.sessions:
        print(f"spanwatch: no session of agent type {agent_type}, so nothing to suggest", file=sys.stderr)
        raise typer.Exit(1)
    made = suggesting.suggest(used, agent_type, rules.destinations, min_sessions=min_sessions)
    if out is None:
        print(made.text(), end="")
    else:
        out.write_text(made.text(), "utf-8")
    print(f"spanwatch: {made.summary()}", file=sys.stderr)


def _from_files(settings: Settings, rules: RuleSet, files: list[Path], agent_type: str, only: Collection[str]) -> Used:
    """What files show, and what of it the rules call loud."""
    from pipeline import build, offline, otlp_files
    from replay import suggest as suggesting

    ingest = build.ingest(settings, rules)
    received_ns = time.time_ns()

    def history(complain: Callable[[otlp_files.Broken], None]) -> Iterator[list[Span]]:
        return offline.spans_of(
            otlp_files.find(files),
            ingest,
            max_bytes=settings.gateway.max_body_bytes,
            received_ns=received_ns,
            report=offline.Report(),
            complain=complain,
        )

    loud = suggesting.loud(history(offline.Complaints(offline.Report())), build.engine(settings, rules))
    return suggesting.used(lambda: chain.from_iterable(history(lambda broken: None)), agent_type, loud, only)


def _from_store(settings: Settings, agent_type: str, only: Collection[str], since: datetime | None) -> Used:
    """What the store holds, and what of it raised high alerts."""
    from contextlib import closing

    from pipeline.migrate import migrate
    from pipeline.sinks.clickhouse import Clients
    from replay import suggest as suggesting
    from replay.history import Stored, spans_in

    if settings.clickhouse.interface == "chdb":
        settings.make_data_dir()
    with closing(Clients(settings.clickhouse, settings.data_dir)) as clients:
        client, database = clients.mine(), settings.clickhouse.database
        migrate(client, settings.clickhouse)
        loud = suggesting.stored_loud(client, database)

        def history() -> Iterator[Span]:
            for record in Stored(client, database, since=since):
                yield from spans_in(record)

        return suggesting.used(history, agent_type, loud, only)
