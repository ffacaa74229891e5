"""A scratch index on disk: names of tasks, and which were seen.

SQLite's nameless database is a temporary file that only this connection sees; the system removes it with the process,
however that ends. 100,000 videos fit into its cache of a few megabytes and the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from json import dumps

import anyio

_CACHE_KB = 8_000
_TABLE = """
CREATE TABLE name (
    name   TEXT PRIMARY KEY,
    key    TEXT NOT NULL,
    wanted INTEGER NOT NULL,          -- must be seen, or something is missing
    seen   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT
"""
#: A name that is added twice keeps its first key, and is wanted if either says so.
_ADD = """
INSERT INTO name (name, key, wanted) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET wanted = max(wanted, excluded.wanted)
"""
_FIND = "SELECT name, key FROM name WHERE name IN (SELECT value FROM json_each(?))"
_MARK_SEEN = "UPDATE name SET seen = 1 WHERE name IN (SELECT value FROM json_each(?))"
_UNSEEN = "SELECT name, key FROM name WHERE wanted AND NOT seen AND name > ? ORDER BY name LIMIT ?"


class ScratchIndex:
    """Names and their tasks' keys; for one task at a time."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._db.execute("PRAGMA journal_mode = OFF")  # nobody needs it after a crash
        self._db.execute(_TABLE)

    async def add(self, entries: Iterable[tuple[str, str, bool]]) -> None:
        """Add entries of (name, key, wanted)."""
        rows = list(entries)

        def work() -> None:
            self._db.execute("BEGIN")
            self._db.executemany(_ADD, rows)
            self._db.execute("COMMIT")

        await anyio.to_thread.run_sync(work)

    async def find(self, names: Sequence[str]) -> dict[str, str]:
        """Return the keys of those names that are known."""
        return dict(await anyio.to_thread.run_sync(lambda: self._db.execute(_FIND, [dumps(names)]).fetchall()))

    async def mark_seen(self, names: Sequence[str]) -> None:
        """Mark names as seen."""
        await anyio.to_thread.run_sync(lambda: self._db.execute(_MARK_SEEN, [dumps(names)]))

    async def unseen(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return (name, key) of ``limit`` unseen wanted names above ``after``."""
        return await anyio.to_thread.run_sync(lambda: self._db.execute(_UNSEEN, [after, limit]).fetchall())

    def close(self) -> None:
        """Throw it away."""
        self._db.close()
