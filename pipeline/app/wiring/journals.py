"""The hash cache in the database's journal; and a journal that remembers nothing."""

from __future__ import annotations

from pipeline.core.model import Json, RunNote, Spend
from pipeline.ports.store import Journal


class JournalHashCache:
    """The hash cache: one entry per path, valid for one state of the file."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
        """Return the hash remembered for exactly this state of the file, or None."""
        known = await self._journal.load(f"sha256:{path}")
        return str(known[3]) if known is not None and known[:3] == [size, mtime_ns, inode] else None

    async def remember(self, path: str, size: int, mtime_ns: int, inode: int, sha256: str) -> None:
        """Remember a hash; a later one for the same path replaces it."""
        await self._journal.save(f"sha256:{path}", [size, mtime_ns, inode, sha256])


class NullJournal(Journal):
    """A journal that remembers nothing, for commands that only look."""

    async def note_run(self, note: RunNote) -> None:
        pass

    async def load(self, name: str) -> Json | None:
        return None

    async def save(self, name: str, value: Json) -> None:
        pass

    async def enter(self, spend: Spend) -> None:
        pass
