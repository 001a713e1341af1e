"""Compiled pattern databases kept in a folder, so that a process with the same rules starts without compiling.

A database is code for an engine that does not check it, so a file counts only with this deployment's keyed digest
over its name and content; whatever is wrong with a file or the folder, the patterns are compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import hyperscan

_DIGEST = 32
_KEPT_FILES = 8  # of earlier rules; the oldest go


@lru_cache(maxsize=1)
def _engine() -> bytes:
    """Version and processor features the engine compiles for: another machine's file is another file."""
    probe = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    probe.compile(expressions=[b"a"], ids=[0], elements=1, flags=0)
    return str(probe.info()).encode()


class CompiledCache:
    """A folder of compiled databases under one key."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = hmac.digest(key, b"compiled pattern database", "sha256")

    def load(self, content: bytes) -> hyperscan.Database | None:
        """The database of those patterns, if a trustworthy file holds it."""
        try:
            stored = self._file(content).read_bytes()
        except OSError:
            return None
        digest, blob = stored[:_DIGEST], stored[_DIGEST:]
        if not hmac.compare_digest(digest, self._digest(content, blob)):
            return None
        try:
            database = hyperscan.loadb(blob, hyperscan.HS_MODE_BLOCK)
            database.scratch = hyperscan.Scratch(database)
        except hyperscan.error:
            return None
        return database

    def save(self, content: bytes, database: hyperscan.Database) -> None:
        """Keep the database, whole or not at all; a folder that cannot be written to is no error."""
        blob = hyperscan.dumpb(database)
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix="new-")  # readable for its owner only
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self._digest(content, blob) + blob)
                os.replace(name, self._file(content))
            except OSError:
                os.unlink(name)
                raise
            kept = sorted(self._folder.glob("*.hsdb"), key=lambda file: file.stat().st_mtime)
            for old in kept[:-_KEPT_FILES]:
                old.unlink()

    def _file(self, content: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(content + _engine()).hexdigest()[:32]}.hsdb"

    def _digest(self, content: bytes, blob: bytes) -> bytes:
        return hmac.digest(self._key, content + _engine() + blob, "sha256")
