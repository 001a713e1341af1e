"""Looks for the planted secrets in everything the product kept: every byte of every file, and what those bytes pack."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from pipeline.records import decode_entry


class Found(msgspec.Struct, kw_only=True):
    """What was searched and how many of the secrets were in it."""

    secrets: int
    found: set[int] = msgspec.field(default_factory=set)
    files: int = 0
    file_bytes: int = 0
    rows: int = 0
    records: int = 0

    def look(self, data: bytes, needles: Sequence[Sequence[bytes]]) -> None:
        for number, parts in enumerate(needles):
            if number not in self.found and any(part in data for part in parts):
                self.found.add(number)


def needles_of(secrets: Iterable[Sequence[str]]) -> list[list[bytes]]:
    """Each secret as the byte strings any of which would give it away: its parts, plain and in hex."""
    return [[form for part in parts for form in (part.encode(), part.encode().hex().encode())] for parts in secrets]


def search_tables(client: Any, database: str, needles: Sequence[Sequence[bytes]], found: Found) -> None:
    """Every value of every row of every table, as text: the files hold them compressed."""
    for (table,) in client.query(f"SHOW TABLES FROM {database}").result_rows:
        dump: bytes = client.raw_query(f"SELECT * FROM {database}.{table} FORMAT TSVRaw")
        found.rows += dump.count(b"\n")
        found.look(dump, needles)


def search_log(path: Path, needles: Sequence[Sequence[bytes]], found: Found) -> None:
    """Every record that is left in the durable log, unpacked."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
        for (payload,) in log.execute("SELECT payload FROM log"):
            found.records += 1
            found.look(zstandard.decompress(payload), needles)
            decode_entry(payload)  # what is searched really is a record


def search_files(folder: Path, needles: Sequence[Sequence[bytes]], found: Found) -> None:
    """Every byte of every file."""
    for path in _files(folder):
        data = path.read_bytes()
        found.files += 1
        found.file_bytes += len(data)
        found.look(data, needles)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
