"""The ledger: every accepted call; tests prove by it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.core.model import Json

#: Effects that create or bill something. The others are free or repeatable.
PAID = frozenset(
    {
        "asset_created", "session_opened", "analyze_task_created", "analyze_sync", "batch_item_created",
        "task_created", "external_task_created", "indexed", "gist", "summarize", "generate",
        "knowledge_item_created", "response",
    }
)  # fmt: skip

DDL = (
    "CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL,"
    " path TEXT NOT NULL, effect TEXT NOT NULL, object_id TEXT NOT NULL, client_key TEXT NOT NULL,"
    " minutes REAL NOT NULL) STRICT"
)
_NAMES = "at, method, path, effect, object_id, client_key, minutes"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One accepted call, written in the transaction that carried it out."""

    at: float  #: epoch seconds by the platform's clock
    method: str
    path: str
    effect: str  #: ``asset_created``, ``session_opened``, ``session_completed``, ``analyze_task_created``, ...
    object_id: str
    client_key: str  #: the caller's own name for it: custom_id, Idempotency-Key, filename, address, index name, query
    minutes: float = 0.0  #: billed minutes of video

    def as_json(self) -> dict[str, Json]:
        """Return the entry as a JSON object."""
        return asdict(self)


def enter(db: sqlite3.Connection, entry: LedgerEntry) -> None:
    """Write an entry inside the caller's transaction."""
    db.execute(
        f"INSERT INTO ledger ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [entry.at, entry.method, entry.path, entry.effect, entry.object_id, entry.client_key, entry.minutes],
    )


def entries(db: sqlite3.Connection, effect: str = "", key: str = "", after: int = 0) -> list[LedgerEntry]:
    """Return entries in order; empty filters do not narrow."""
    rows = db.execute(
        f"SELECT {_NAMES} FROM ledger WHERE seq > ? AND (? = '' OR effect = ?) AND (? = '' OR client_key = ?)"
        " ORDER BY seq",
        [after, effect, effect, key, key],
    )
    return [LedgerEntry(*row) for row in rows]


class Ledger:
    """Reads the ledger from outside, also while the platform runs."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def entries(self, effect: str = "", key: str = "") -> list[LedgerEntry]:
        """Return accepted calls in order, narrowed by effect and by the caller's key."""
        if not self._database.exists():
            return []
        with closing(sqlite3.connect(f"{self._database.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return entries(db, effect, key)

    def paid(self) -> Counter[tuple[str, str]]:
        """Count paid effects by (effect, caller's key)."""
        return Counter((entry.effect, entry.client_key) for entry in self.entries() if entry.effect in PAID)

    def twice(self) -> list[tuple[str, str]]:
        """Return paid effects that a key had twice; must stay empty."""
        return sorted(pair for pair, number in self.paid().items() if number > 1)

    def minutes(self) -> float:
        """Return all billed minutes."""
        return sum(entry.minutes for entry in self.entries())
