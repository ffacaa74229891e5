"""The hash cache in the database's journal; and a journal without a database."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.model import Json, RunNote, Spend
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import Change, Journal, T


class JournalHashCache:
    """The hash cache: one entry per path, valid for one state of the file.

    ``host``: whose paths they are; empty where there is no other.
    """

    def __init__(self, journal: Journal, host: str = "") -> None:
        self._journal = journal
        self._whose = f"sha256:{host}:" if host else "sha256:"

    async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
        """Return the hash remembered for exactly this state of the file, or None."""
        known = await self._journal.load(f"{self._whose}{path}")
        return str(known[3]) if known is not None and known[:3] == [size, mtime_ns, inode] else None

    async def remember(self, path: str, size: int, mtime_ns: int, inode: int, sha256: str) -> None:
        """Remember a hash; a later one for the same path replaces it."""
        await self._journal.save(f"{self._whose}{path}", [size, mtime_ns, inode, sha256])


class NullJournal(Journal):
    """A journal without a database, for commands that only look.

    It keeps what is changed for as long as it lives, and nothing else.
    """

    def __init__(self) -> None:
        self._changed: dict[str, Json] = {}

    async def note_run(self, note: RunNote) -> None:
        pass

    async def load(self, name: str) -> Json | None:
        return None

    async def load_all(self, begins: str) -> Mapping[str, Json]:
        return {}

    async def save(self, name: str, value: Json) -> None:
        pass

    async def drop(self, name: str) -> None:
        pass

    async def change(self, name: str, change: Change[T]) -> T:
        new, answer = change(self._changed.get(name))
        if new is not None:
            self._changed[name] = new
        return answer

    async def enter(self, spend: Spend, budget: BudgetGuard | None = None) -> bool:
        return True
