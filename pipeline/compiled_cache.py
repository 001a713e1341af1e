"""Compiled pattern databases kept in a folder, so that a process with the same rules starts without compiling.

A database is code for an engine that does not check it, so a file counts only when nobody but this user could write
it and its digest fits; whatever is wrong with a file or the folder, the patterns are compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
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
    """A folder of compiled databases, this user's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, content: bytes) -> hyperscan.Database | None:
        """The database of those patterns, if a trustworthy file holds it."""
        file = self._file(content)
        try:
            if not _ours(self._folder) or not _ours(file):
                return None
            stored = file.read_bytes()
        except OSError:
            return None
        digest, blob = stored[:_DIGEST], stored[_DIGEST:]
        if digest != self._digest(content, blob):
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
        return hashlib.sha256(content + _engine() + blob).digest()


def _ours(path: Path) -> bool:
    """Whether nobody but this user could have written it."""
    stat = path.stat()
    return stat.st_uid == os.getuid() and not stat.st_mode & 0o022
