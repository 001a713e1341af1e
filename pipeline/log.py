"""The embedded driver's durable log: what the gateway has answered 200 for is in this file, whatever happens next.

One writer thread commits everything that is waiting in one transaction (group commit) and only then resolves the
futures of `append`. Entries stay until a checkpoint covers them. Offsets rise by one and are never used twice,
also not after everything was trimmed, because the store's deduplication tokens are made of them.

`sync="normal"` survives the end of the process at any moment; `sync="full"` also the loss of power.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

import structlog

from pipeline.errors import LogFull, SettingsError, SinkUnavailable

log = structlog.get_logger()

SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    size INTEGER NOT NULL,
    payload BLOB NOT NULL
)
"""
TRIM_ROWS = 256  # per transaction: appends wait behind it


class Log:
    """Appends from any thread, read by one worker thread, written by its own."""

    def __init__(self, path: Path, *, max_bytes: int, sync: Literal["full", "normal"] = "normal") -> None:
        self._max_bytes = max_bytes
        _make_private(path)
        try:
            self._writer = _connect(path, sync)
            self._reader = _connect(path, sync)
            self._writer.execute(SCHEMA)
            self._held: int = self._writer.execute("SELECT coalesce(sum(size), 0) FROM log").fetchone()[0]
            self._end: int = self._writer.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0]
        except sqlite3.Error as error:
            raise SettingsError(f"{path}: {_name(error)}") from None
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._waiting: deque[tuple[bytes, Future[int]]] = deque()
        self._trim_below = self._trimmed = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def end(self) -> int:
        """Offset of the newest committed entry; 0 when there never was one."""
        return self._end

    @property
    def held_bytes(self) -> int:
        """Payload that no checkpoint covers yet, with what is about to be committed."""
        return self._held

    @property
    def fullness(self) -> float:
        return self._held / self._max_bytes

    def advance(self, next_offset: int) -> None:
        """Give no offset below `next_offset` to a new entry.

        A store can be ahead of its log when the log's file was removed or the machine lost power; the offsets
        it has seen must not come back with other content. Call before the first append.
        """
        if next_offset - 1 <= self._end:
            return
        with self._writer:
            self._writer.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
            self._writer.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?)", (next_offset - 1,))
        self._end = next_offset - 1

    def check(self) -> None:
        """Raise LogFull when the next entry would not be taken."""
        if self._held >= self._max_bytes:
            raise LogFull(f"{self._held} bytes wait to be processed")

    def append(self, payload: bytes) -> Future[int]:
        """The offset, once committed. Raises LogFull; the future fails with SinkUnavailable when the disk refuses.

        An entry larger than the whole bound is taken when the log is empty, or it could never be.
        """
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # a client that hangs up must not cancel what is being written
        with self._changed:
            if self._closing:
                raise SinkUnavailable("the log is closed")
            if self._held and self._held + len(payload) > self._max_bytes:
                raise LogFull(f"{self._held} bytes wait to be processed")
            self._held += len(payload)
            self._waiting.append((payload, future))
            self._changed.notify_all()
        return future

    def read(self, from_offset: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """Committed entries from an offset on: as many as fit into `max_bytes`, at least one if there is one."""
        found: list[tuple[int, bytes]] = []
        total = 0
        with self._reading:
            rows = self._reader.execute(
                "SELECT offset, payload FROM log WHERE offset >= ? ORDER BY offset", (from_offset,)
            )
            try:
                for offset, payload in rows:
                    total += len(payload)
                    if found and total > max_bytes:
                        break
                    found.append((offset, payload))
            finally:
                rows.close()
        return found

    def wait(self, offset: int, timeout: float) -> bool:
        """Wait until the entry at `offset` is committed; False when it is not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._end >= offset or self._closing, timeout) and self._end >= offset

    def trim(self, below_offset: int) -> None:
        """Forget entries below an offset; done by the writer thread soon after."""
        with self._changed:
            self._trim_below = max(self._trim_below, below_offset)
            self._changed.notify_all()

    def close(self) -> None:
        """Commit what waits, carry out the last trim, close the file."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._writer.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._trim_below > self._trimmed or self._closing)
                batch = list(self._waiting)
                self._waiting.clear()
                below, closing = self._trim_below, self._closing
            if batch:
                self._commit(batch)
            if below > self._trimmed and self._trim(below):
                self._trimmed = below
            if closing and not batch:
                return

    def _commit(self, batch: list[tuple[bytes, Future[int]]]) -> None:
        offsets: list[int] = []
        try:
            with self._writer:
                for payload, _ in batch:
                    row = self._writer.execute("INSERT INTO log (size, payload) VALUES (?, ?)", (len(payload), payload))
                    offsets.append(row.lastrowid or 0)
        except sqlite3.Error as error:
            log.error("log write failed", error=_name(error))
            with self._changed:
                self._held -= sum(len(payload) for payload, _ in batch)
            for _, future in batch:
                future.set_exception(SinkUnavailable(f"log: {_name(error)}"))
            return
        for (_, future), offset in zip(batch, offsets, strict=True):
            future.set_result(offset)
        with self._changed:
            self._end = offsets[-1]
            self._changed.notify_all()

    def _trim(self, below: int) -> bool:
        """Delete a piece of what lies below; True when nothing is left there."""
        try:
            with self._writer:
                rows = self._writer.execute(
                    "DELETE FROM log WHERE offset IN (SELECT offset FROM log WHERE offset < ? ORDER BY offset LIMIT ?)"
                    " RETURNING size",
                    (below, TRIM_ROWS),
                ).fetchall()
        except sqlite3.Error as error:
            log.error("log trim failed", error=_name(error))
            return True  # the next checkpoint asks again
        with self._changed:
            self._held -= sum(size for (size,) in rows)
        return len(rows) < TRIM_ROWS


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def _make_private(path: Path) -> None:
    """Create file and folder readable by this user only; SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def _connect(path: Path, sync: Literal["full", "normal"]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {sync}")
    return connection
