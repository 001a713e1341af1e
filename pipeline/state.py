"""Where checkpoints live: in memory, or as rows beside what they explain (docs/decisions/0002)."""

from __future__ import annotations

import time
from pathlib import Path

from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.records import Checkpoint
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import Clients, insert_settings, raised, types

TYPES = ("String", "UInt32", "Int64", "UInt64", "DateTime64(9)", "String", "String")


class MemoryStore:
    """A StateStore that forgets when the process ends: for replays and tests."""

    def __init__(self) -> None:
        self._saved: dict[tuple[str, int], Checkpoint] = {}

    def load(self, topic: str, partition: int) -> Checkpoint | None:
        return self._saved.get((topic, partition))

    def save(self, checkpoint: Checkpoint) -> None:
        self._saved[checkpoint.topic, checkpoint.partition] = checkpoint


class ClickHouseStore:
    """A StateStore in the `checkpoints` table: one row per save, the newest is the checkpoint.

    A save is one insert of one row, so it is there whole or not at all. Raises SinkUnavailable and SinkRejected
    like the sink.
    """

    def __init__(self, settings: ClickHouse, data_dir: Path) -> None:
        self._table = f"{settings.database}.checkpoints"
        self._cluster = bool(settings.cluster)
        self._clients = Clients(settings, data_dir)
        self._versions: dict[tuple[str, int], int] = {}

    def load(self, topic: str, partition: int) -> Checkpoint | None:
        query = (
            "SELECT Version, NextOffset, State, RulesHash, toUnixTimestamp64Nano(SavedAt)\n"
            f"FROM {self._table}\n"
            "WHERE Topic = {topic:String} AND Partition = {partition:UInt32}\n"
            "ORDER BY Version DESC LIMIT 1"
        )
        try:
            found = (
                self._clients.mine()
                .query(
                    query,
                    parameters={"topic": topic, "partition": partition},
                    column_formats={"State": "bytes"},
                )
                .result_rows
            )
        except (ClickHouseError, OSError) as error:
            raised("checkpoints", error)
        if not found:
            return None
        version, next_offset, state, rules_hash, saved_ns = found[0]
        self._versions[topic, partition] = version
        return Checkpoint(
            topic=topic,
            partition=partition,
            next_offset=next_offset,
            state=state,
            rules_hash=rules_hash,
            saved_ns=saved_ns,
        )

    def save(self, checkpoint: Checkpoint) -> None:
        place = checkpoint.topic, checkpoint.partition
        if place not in self._versions:
            self.load(*place)
        # By the clock, so that the newest save of any process wins; never behind what was read or saved before.
        version = max(time.time_ns(), self._versions.get(place, 0) + 1)
        columns = {
            "Topic": checkpoint.topic,
            "Partition": checkpoint.partition,
            "NextOffset": checkpoint.next_offset,
            "Version": version,
            "SavedAt": checkpoint.saved_ns,
            "RulesHash": checkpoint.rules_hash,
            "State": checkpoint.state,
        }
        try:
            self._clients.mine().insert(
                self._table,
                [[value] for value in columns.values()],
                column_names=tuple(columns),
                column_types=types(TYPES),
                column_oriented=True,
                settings=insert_settings(f"checkpoint/{place[0]}/{place[1]}/{version}", cluster=self._cluster),
            )
        except (ClickHouseError, OSError) as error:
            raised("checkpoints", error)
        self._versions[place] = version

    def close(self) -> None:
        self._clients.close()
