"""The embedded log: what it acknowledged is there, its offsets never come back, and it has a bound."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import LogFull, SettingsError, SinkUnavailable
from pipeline.log import Log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.sqlite"


@pytest.fixture
def entries(path: Path) -> Iterator[Log]:
    log = Log(path, max_bytes=10_000)
    yield log
    log.close()


def until(condition: object) -> None:
    """Wait for what another thread does soon."""
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]  # a callable
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_entries_come_back_in_order_with_rising_offsets(entries: Log) -> None:
    """Offsets rise by one from one; a read starts where it is asked to."""
    futures = [entries.append(b"entry %d" % i) for i in range(20)]
    assert [f.result(10) for f in futures] == list(range(1, 21))
    assert entries.read(1, 10**6) == [(i + 1, b"entry %d" % i) for i in range(20)]
    assert [offset for offset, _ in entries.read(18, 10**6)] == [18, 19, 20]
    assert entries.end == 20


def test_a_read_is_bounded_and_never_empty_while_there_is_an_entry(entries: Log) -> None:
    """A bound smaller than the next entry still gives that entry, or a reader would stand still."""
    for size in (100, 100, 500):
        entries.append(b"x" * size).result(10)
    assert [len(p) for _, p in entries.read(1, 250)] == [100, 100]
    assert [len(p) for _, p in entries.read(3, 10)] == [500]
    assert entries.read(4, 10) == []


def test_appends_from_many_threads_all_arrive_once(path: Path) -> None:
    """Group commit loses and repeats nothing."""
    log = Log(path, max_bytes=10**7)
    got: dict[int, bytes] = {}

    def send(name: int) -> None:
        for i in range(50):
            payload = b"%d/%d" % (name, i)
            got[log.append(payload).result(30)] = payload

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(log.read(1, 10**7)) == got
    assert sorted(got) == list(range(1, 401))
    log.close()


def test_full_log_refuses_until_trimmed(entries: Log) -> None:
    """Past the bound LogFull; after a checkpoint covered entries, room again."""
    for _ in range(10):
        entries.append(b"x" * 1000).result(10)
    with pytest.raises(LogFull):
        entries.append(b"x" * 1000)
    with pytest.raises(LogFull):
        entries.check()
    assert entries.fullness == 1.0
    entries.trim(6)
    until(lambda: entries.held_bytes == 5000)
    entries.check()
    assert entries.append(b"y" * 1000).result(10) == 11
    assert [offset for offset, _ in entries.read(1, 10**6)] == [6, 7, 8, 9, 10, 11]


def test_one_entry_over_the_bound_is_taken_by_an_empty_log(entries: Log) -> None:
    """Otherwise a client would be told to retry what can never succeed."""
    assert entries.append(b"x" * 20_000).result(10) == 1
    with pytest.raises(LogFull):
        entries.append(b"x")


def test_trim_takes_any_number_of_entries(path: Path) -> None:
    """More entries than one transaction deletes."""
    log = Log(path, max_bytes=10**7)
    futures = [log.append(b"x") for _ in range(1000)]
    assert futures[-1].result(30) == 1000
    log.trim(1000)
    until(lambda: log.held_bytes == 1)
    assert log.read(0, 10**6) == [(1000, b"x")]
    log.close()


def test_offsets_never_come_back(path: Path) -> None:
    """Not after everything was trimmed, not after a restart, and not below what a store has seen."""
    log = Log(path, max_bytes=10_000)
    assert log.append(b"a").result(10) == 1
    log.trim(2)
    until(lambda: log.held_bytes == 0)
    log.close()
    log = Log(path, max_bytes=10_000)
    assert (log.end, log.append(b"b").result(10)) == (1, 2)
    log.close()
    log = Log(path, max_bytes=10_000)
    log.advance(40)
    assert log.end == 39
    assert log.append(b"c").result(10) == 40
    log.advance(5)
    assert log.append(b"d").result(10) == 41
    assert [offset for offset, _ in log.read(1, 10**6)] == [2, 40, 41]
    log.close()


def test_advance_on_an_empty_file(entries: Log) -> None:
    """A log whose file was removed goes on above what its store knows."""
    entries.advance(100)
    assert entries.append(b"a").result(10) == 100


def test_held_bytes_survive_a_restart(path: Path) -> None:
    """The bound counts what an earlier process left."""
    log = Log(path, max_bytes=2000)
    log.append(b"x" * 1500).result(10)
    log.close()
    log = Log(path, max_bytes=2000)
    assert log.held_bytes == 1500
    with pytest.raises(LogFull):
        log.append(b"x" * 600)
    log.close()


def test_waiting_ends_with_the_entry_or_the_time(entries: Log) -> None:
    """A reader sleeps until there is something to read."""
    assert not entries.wait(1, 0.01)
    timer = threading.Timer(0.05, entries.append, (b"x",))
    timer.start()
    assert entries.wait(1, 20)
    timer.join()


def test_closing_commits_what_waits_and_then_refuses(path: Path) -> None:
    """Nothing accepted is dropped by a clean stop."""
    log = Log(path, max_bytes=10**6)
    futures = [log.append(b"x") for _ in range(100)]
    log.close()
    assert [f.result(0) for f in futures] == list(range(1, 101))
    with pytest.raises(SinkUnavailable):
        log.append(b"x")


def test_files_are_private(path: Path, entries: Log) -> None:
    """Log, its side files and its folder are for this user only."""
    entries.append(b"x").result(10)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"log.sqlite": 0o600, "log.sqlite-wal": 0o600, "log.sqlite-shm": 0o600}


def test_a_disk_that_refuses_fails_the_append_and_the_log_lives(entries: Log, path: Path) -> None:
    """The client is told to keep its spans; once the disk takes writes again so does the log."""
    entries.append(b"x" * 100).result(10)
    entries._writer.execute("PRAGMA max_page_count = 1")  # as a full disk: SQLITE_FULL
    with pytest.raises(SinkUnavailable, match="SQLITE_FULL"):
        entries.append(b"x" * 9_000).result(10)
    assert entries.held_bytes == 100
    entries._writer.execute("PRAGMA max_page_count = 100000")
    assert entries.append(b"y").result(10) == 2


def test_a_file_that_is_no_log_is_a_settings_error(path: Path) -> None:
    """Refuse to start, naming the file."""
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(SettingsError, match="SQLITE_NOTADB"):
        Log(path, max_bytes=1000)


def test_sync_setting_reaches_sqlite(path: Path) -> None:
    """full = 2, normal = 1 in SQLite's words."""
    for sync, value in (("full", 2), ("normal", 1)):
        log = Log(path, max_bytes=1000, sync=sync)  # type: ignore[arg-type]  # both are valid
        assert log._writer.execute("PRAGMA synchronous").fetchone() == (value,)
        log.close()


WRITER = """
import sys
from pathlib import Path
from pipeline.log import Log
log = Log(Path(sys.argv[1]), max_bytes=10**9)
while True:
    futures = [log.append(b"%d" % i * 300) for i in range(7)]
    for future in futures:
        sys.stdout.write("%d\\n" % future.result())
    sys.stdout.flush()
    log.trim(int(sys.argv[2]))
"""


def test_killed_writer_keeps_all_it_acknowledged(path: Path) -> None:
    """SIGKILL at any moment: each acknowledged offset is in the file, and new ones start above all of them."""
    acknowledged: set[int] = set()
    for pause in (0.05, 0.11, 0.23, 0.02):
        first = max(acknowledged, default=0)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "3"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().split(b"\n")[:-1]
        process.stdout.close()
        process.wait()
        new = {int(line) for line in lines}
        assert min(new) > first
        acknowledged |= new
    log = Log(path, max_bytes=10**9)
    stored = {offset for offset, _ in log.read(1, 10**9)}
    assert {offset for offset in acknowledged if offset >= 3} <= stored
    assert log.end >= max(acknowledged)
    log.close()
    with sqlite3.connect(path) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
