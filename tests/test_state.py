"""Checkpoints: what was saved last is loaded, exactly, from memory, chDB and a server alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SinkUnavailable
from pipeline.migrate import migrate
from pipeline.records import Checkpoint, StateStore
from pipeline.sinks.clickhouse import connect
from pipeline.state import ClickHouseStore, MemoryStore
from tests.clickhouse_server import Running, for_tests

EVERY_BYTE = bytes(range(256)) * 300  # bytes that are no text, and more than one buffer


def checkpoint(offset: int = 5, **changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "topic": "spans",
        "partition": 3,
        "next_offset": offset,
        "state": b"state-%d" % offset,
        "rules_hash": "abc",
        "saved_ns": 1_795_186_800_123_456_789,
    }
    return Checkpoint(**{**values, **changes})


Open = Callable[[], StateStore]  # each call another store over the same place, as after a restart


@pytest.fixture(params=["memory", "chdb", "http"])
def reopen(request: pytest.FixtureRequest, folder: Path) -> Iterator[Open]:
    if request.param == "memory":
        memory = MemoryStore()
        yield lambda: memory
        return
    server = request.getfixturevalue("clickhouse_server") if request.param == "http" else None
    settings = server.settings() if server else for_tests()
    client = connect(settings, folder)
    migrate(client, settings)
    client.close()
    opened: list[ClickHouseStore] = []

    def make() -> ClickHouseStore:
        opened.append(ClickHouseStore(settings, folder))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def test_nothing_saved_is_nothing_loaded(reopen: Open) -> None:
    assert reopen().load("spans", 3) is None


@pytest.mark.parametrize("state", [b"", b"\x00", EVERY_BYTE, os.urandom(2_000_000)], ids=["none", "nul", "all", "big"])
def test_a_checkpoint_comes_back_exactly(reopen: Open, state: bytes) -> None:
    """State is msgpack and pickles: any bytes, any length."""
    saved = checkpoint(state=state)
    reopen().save(saved)
    assert reopen().load("spans", 3) == saved


def test_the_newest_wins(reopen: Open) -> None:
    """By when it was saved: an offset may also go back, after a log was lost."""
    store = reopen()
    for offset in (5, 9, 7):
        store.save(checkpoint(offset))
    assert reopen().load("spans", 3) == checkpoint(7)


def test_the_same_checkpoint_can_be_saved_again(reopen: Open) -> None:
    """A, B, A: the second A is a save of its own, not a duplicate to be dropped."""
    for saved in (checkpoint(5), checkpoint(6), checkpoint(5)):
        reopen().save(saved)
    assert reopen().load("spans", 3) == checkpoint(5)


def test_partitions_and_topics_are_apart(reopen: Open) -> None:
    store = reopen()
    others = [checkpoint(1, partition=4), checkpoint(2, topic="activity"), checkpoint(3)]
    for saved in others:
        store.save(saved)
    for saved in others:
        assert reopen().load(saved.topic, saved.partition) == saved


def test_a_newer_save_wins_over_a_clock_that_stands_still(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves are ordered even when the machine's clock goes back between them."""
    settings = for_tests()
    client = connect(settings, folder)
    migrate(client, settings)
    first, second = ClickHouseStore(settings, folder), ClickHouseStore(settings, folder)
    first.save(checkpoint(1))
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    second.save(checkpoint(2))
    second.save(checkpoint(3))
    assert first.load("spans", 3) == checkpoint(3)
    for each in (first, second, client):
        each.close()


def test_old_checkpoints_do_not_pile_up(folder: Path) -> None:
    """Once parts merge, one row per partition is left."""
    settings = for_tests()
    client = connect(settings, folder)
    migrate(client, settings)
    store = ClickHouseStore(settings, folder)
    for offset in range(5):
        store.save(checkpoint(offset))
    client.command(f"OPTIMIZE TABLE {settings.database}.checkpoints FINAL")
    assert client.query(f"SELECT count() FROM {settings.database}.checkpoints").result_rows == [(1,)]
    assert store.load("spans", 3) == checkpoint(4)
    store.close()
    client.close()


def test_a_refusing_server_is_unavailable(clickhouse_server: Running, tmp_path: Path) -> None:
    settings = clickhouse_server.settings()
    client = connect(settings, tmp_path)
    migrate(client, settings)
    store = ClickHouseStore(settings, tmp_path)
    store.save(checkpoint(1))
    clickhouse_server.control("refuse")
    with pytest.raises(SinkUnavailable):
        store.save(checkpoint(2))
    with pytest.raises(SinkUnavailable):
        store.load("spans", 3)
    clickhouse_server.control("none")
    assert store.load("spans", 3) == checkpoint(1)
    store.save(checkpoint(2))
    assert store.load("spans", 3) == checkpoint(2)
    store.close()
    client.close()


WRITER = """
import sys
from pathlib import Path
from pipeline.migrate import migrate
from pipeline.records import Checkpoint
from pipeline.settings import ClickHouse
from pipeline.sinks.clickhouse import connect
from pipeline.state import ClickHouseStore
settings, folder = ClickHouse(), Path(sys.argv[1])
client = connect(settings, folder)
migrate(client, settings)
store = ClickHouseStore(settings, folder)
found = store.load("spans", 0)
if found:
    assert found.state == b"%d" % found.next_offset * 1000
print(found.next_offset if found else -1, flush=True)
for offset in range(found.next_offset + 1 if found else 0, 1_000_000):
    store.save(Checkpoint(topic="spans", partition=0, next_offset=offset, state=b"%d" % offset * 1000))
    print(offset, flush=True)
"""


def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """SIGKILL at any moment: the next process loads a save that was whole, no older than the last acknowledged."""
    acknowledged = -1
    for more in (3, 20, 41):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as writer:
            assert writer.stdout is not None
            loaded = int(writer.stdout.readline())
            assert acknowledged <= loaded <= acknowledged + 1
            for _ in range(more):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().splitlines()
            acknowledged = max([acknowledged, *(int(line) for line in rest if line)])
    assert acknowledged > 60
