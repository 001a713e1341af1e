"""Drives workers over history under a run label: other rules, same engine, results beside the live ones.

A replay has no webhook, no topic and no checkpoint: its only way out is the store, under its own label.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from detectors.model import SecretMatch, Sighting, Span, Window
from detectors.rule import RuleSet
from detectors.secrets import Scanner, match
from pipeline import build, offline
from pipeline.errors import SettingsError
from pipeline.migrate import migrate
from pipeline.records import Activity, Entry, Record, Sink
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Clients, raised
from pipeline.state import MemoryStore
from pipeline.worker import Worker
from replay.history import Files, Place, Stored, batches, spans_in

LIVE = "live"
BATCH = 8192
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Report(msgspec.Struct, kw_only=True):
    """What one replay did."""

    label: str
    spans: int = 0
    findings: int = 0
    alerts: int = 0
    failures: int = 0
    broken: int = 0
    rules_hash: str = ""

    def line(self) -> str:
        words = [f"{self.spans:,} spans", f"{self.findings:,} findings", f"{self.alerts:,} alert updates"]
        words += [f"{self.failures:,} detector failures"] if self.failures else []
        words += [f"{self.broken:,} inputs could not be read"] if self.broken else []
        return f"run {self.label}: " + ", ".join(words)


class Rescan:
    """Spans as they would have been masked under other secret rules, as far as masked text can tell.

    What the live rules hid stays hidden and counts as found, under the new severity of its rule; rules that are
    gone take their matches with them; rules that are new or changed look at what text is left.
    """

    def __init__(self, live: RuleSet, now: RuleSet, key: bytes) -> None:
        before = {rule.id: rule for rule in live.secrets}
        self._after = {rule.id: rule for rule in now.secrets}
        self._gone = before.keys() - self._after.keys()
        changed = [rule for rule in now.secrets if before.get(rule.id) != rule]
        self._scanner = Scanner(changed, key) if changed else None
        self._levels = {rule.id: rule.level for rule in changed}

    def __call__(self, span: Span) -> Span:
        known = tuple(self._known(span.secrets)) if span.secrets and (self._gone or self._levels) else span.secrets
        if self._scanner is None:
            return span if known == span.secrets else msgspec.structs.replace(span, secrets=known)
        attributes, new = self._masked(span)
        if not new:
            return span if known == span.secrets else msgspec.structs.replace(span, secrets=known)
        return msgspec.structs.replace(span, attributes=attributes, secrets=(*known, *new))

    def _known(self, secrets: Sequence[SecretMatch]) -> Iterator[SecretMatch]:
        for one in secrets:
            if one.rule_id not in self._gone:
                level = self._levels.get(one.rule_id, one.severity)
                yield one if level == one.severity else msgspec.structs.replace(one, severity=level)

    def _masked(self, span: Span) -> tuple[dict[str, Any], list[SecretMatch]]:
        assert self._scanner is not None
        keys = [key for key, value in span.attributes.items() if isinstance(value, str)]
        texts = [str(span.attributes[key]) for key in keys]
        attributes, new = dict(span.attributes), []
        surfaces = {value: name for name, value in span.fields.items()}
        for place, hits in self._scanner.mask_many(texts).items():
            attributes[keys[place]] = self._scanner.apply(texts[place], hits)
            surface = surfaces.get(texts[place], "attribute")
            new += [match(hit, keys[place], surface) for hit in hits]
        return attributes, new


class Drive:
    """One worker per partition of history, and one for stage two where there is more than one partition."""

    def __init__(self, settings: Settings, rules: RuleSet, sink: Sink, label: str, places: Sequence[Place]) -> None:
        def worker(topic: str, partition: int, **more: Any) -> Worker:
            engine = build.engine(settings, rules)
            return Worker(engine, sink, MemoryStore(), topic=topic, partition=partition, run=label, **more)

        self._activity: list[Window | Sighting] = []
        self._second: Worker | None = None
        if len(places) > 1:
            self._second = worker(settings.kafka.topic_activity, 0)
        route = self._activity.extend if self._second else None
        self.workers = {place: worker(*place, route=route) for place in places}

    def handle(self, records: Sequence[Record]) -> None:
        """Records of any partitions, in the order of history."""
        for place, mine in groupby(records, key=lambda record: Place(record.topic, record.partition)):
            self.workers[place].handle(mine)

    def flush(self) -> None:
        """End of history: close every window, then let stage two see what all partitions told it, by event time."""
        for worker in self.workers.values():
            worker.flush()
        if self._second:
            self._activity.sort(key=lambda a: (a.end_ns if isinstance(a, Window) else a.time_ns, a.id))
            for start in range(0, len(self._activity), BATCH):
                self._stage_two(self._second, self._activity[start : start + BATCH])
            self._second.flush()

    def counts(self, name: str) -> int:
        return sum(getattr(w.counts, name) for w in (*self.workers.values(), *filter(None, (self._second,))))

    def _stage_two(self, worker: Worker, some: Sequence[Window | Sighting]) -> None:
        activity = Activity(
            windows=tuple(a for a in some if isinstance(a, Window)),
            sightings=tuple(a for a in some if isinstance(a, Sighting)),
        )
        worker.handle([Record(worker.topic, 0, worker.next_offset, activity)])


def replay(
    live: Settings,
    label: str,
    *,
    settings: Settings | None = None,
    files: Sequence[Path] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> Report:
    """Run history through the engine of `settings`, by default the live ones, and store the results under `label`.

    Raises SettingsError for a label that is taken: its results would mix with the new ones.
    """
    settings = settings or live
    if label == LIVE or not LABEL.fullmatch(label):
        raise SettingsError(f"label {label!r}: letters, digits and ._- only, and not {LIVE!r}")
    rules = build.rules(settings)
    with closing(build.sink(settings)) as sink, closing(Clients(settings.clickhouse, settings.data_dir)) as clients:
        client, database = clients.mine(), settings.clickhouse.database
        migrate(client, settings.clickhouse)
        _refuse_taken(client, database, label)
        reading = offline.Report()
        history: Stored | Files
        if files:
            ingest = build.ingest(settings, rules)
            history = Files(
                files,
                ingest,
                max_bytes=settings.gateway.max_body_bytes,
                received_ns=time.time_ns(),
                report=reading,
                complain=offline.Complaints(reading),
            )
            rescan = None
        else:
            history = Stored(client, database, since=since, until=until)
            rescan = Rescan(build.rules(live), rules, settings.deployment_key())
        drive = Drive(settings, rules, sink, label, history.places())
        for batch in batches(iter(history), BATCH):
            drive.handle([_rescanned(record, rescan) for record in batch] if rescan else batch)
        drive.flush()
    return Report(
        label=label,
        spans=drive.counts("spans"),
        findings=drive.counts("findings"),
        alerts=drive.counts("alerts"),
        failures=drive.counts("failures"),
        broken=reading.broken,
        rules_hash=rules.hash,
    )


def _rescanned(record: Record, rescan: Rescan) -> Record:
    return record._replace(payload=Entry(spans=[rescan(span) for span in spans_in(record)]))


def _refuse_taken(client: Any, database: str, label: str) -> None:
    query = f"SELECT count() FROM {database}.plan WHERE Run = {{run:String}}"
    try:
        taken = client.query(query, parameters={"run": label}).result_rows[0][0]
    except (ClickHouseError, OSError) as error:
        raised("plan", error)
    if taken:
        raise SettingsError(f"label {label!r}: a run of this name is stored already; choose another")
