"""A register for one comparison: which task of ours goes by which word, and which words were met. On disk, not in memory.

SQLite's nameless database is a temporary file that only this connection sees; the system removes it with the process,
however that ends. 100,000 videos fit into the few megabytes of its cache and the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from json import dumps

import anyio

_CACHE = 8_000  #: kB of pages kept in memory

_TABLE = """
CREATE TABLE word (
    word   TEXT PRIMARY KEY,
    key    TEXT NOT NULL,
    wanted INTEGER NOT NULL,          -- must be met, or something is missing
    met    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT
"""
#: A word that is noted twice keeps its first key, and is wanted if either says so.
_NOTE = """
INSERT INTO word (word, key, wanted) VALUES (?, ?, ?)
ON CONFLICT (word) DO UPDATE SET wanted = max(wanted, excluded.wanted)
"""

_FIND = "SELECT word, key FROM word WHERE word IN (SELECT value FROM json_each(?))"

_MEET = "UPDATE word SET met = 1 WHERE word IN (SELECT value FROM json_each(?))"

_MISSED = "SELECT word, key FROM word WHERE wanted AND NOT met AND word > ? ORDER BY word LIMIT ?"


class ScratchIndex:
    """Words and the keys of the tasks that they stand for. Use from one task at a time; close it."""

    def __init__(self) -> None:
        self._there = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._there.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._there.execute("PRAGMA journal_mode = OFF")  # it is nobody's after a crash
        self._there.execute(_TABLE)

    async def note(self, entries: Iterable[tuple[str, str, bool]]) -> None:
        """Enter (word, key, wanted)."""
        rows = list(entries)

        def work() -> None:
            self._there.execute("BEGIN")
            self._there.executemany(_NOTE, rows)
            self._there.execute("COMMIT")

        await anyio.to_thread.run_sync(work)

    async def find(self, words: Sequence[str]) -> dict[str, str]:
        """Return the keys of those words that are known."""
        rows = await anyio.to_thread.run_sync(lambda: self._there.execute(_FIND, [dumps(words)]).fetchall())
        return dict(rows)

    async def meet(self, words: Sequence[str]) -> None:
        """Mark words as met."""
        await anyio.to_thread.run_sync(lambda: self._there.execute(_MEET, [dumps(words)]))

    async def missed(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return (word, key) of up to ``limit`` wanted words that were not met, in order, above ``after``."""
        return await anyio.to_thread.run_sync(lambda: self._there.execute(_MISSED, [after, limit]).fetchall())

    def close(self) -> None:
        """Throw it away."""
        self._there.close()
