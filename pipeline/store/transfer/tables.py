"""What a copy holds: tables and columns that every kind of database has. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Protocol

from pipeline.store.encoding import Row

PAGE = 1000
#: Notes of hosts and of one database, which mean nothing in another.
_OWN_NOTES = ("host:", "turn:", "output", "moved")


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table: its columns, and the one that orders its rows."""

    name: str
    columns: Sequence[str]
    order: str


TASK = CopiedTable("task", (
    "id", "kind", "key", "stage", "state", "lane", "rank", "wake_at", "subject", "attempt", "claims", "stage_since",
    "created", "updated", "owner", "token", "data", "trouble", "rearm_stage", "rearm_lane", "rearm_rank", "rearm_due",
    "lapsed",
), "id")  # fmt: skip
RESULT = CopiedTable("result", ("id", "subject", "job", "fingerprint", "body", "meta", "created"), "id")
SPEND = CopiedTable("spend", (
    "id", "key", "what", "usd", "minutes", "subject", "doubtful", "at", "estimate", "jobs", "run",
), "id")  # fmt: skip
PARKED = CopiedTable("parked", ("scope", "until", "trouble", "since"), "scope")
RUN = CopiedTable("run", ("id", "started", "ended", "exit_code", "summary"), "id")
NOTE = CopiedTable("note", ("name", "value"), "name")
CHANGED = CopiedTable("changed", ("mark", "key"), "mark")
TABLES = (TASK, RESULT, SPEND, PARKED, RUN, NOTE, CHANGED)
#: Whose rows are counted: what is parked, or noted, may be of one host only.
COUNTED = (TASK, RESULT, SPEND, RUN, CHANGED)
#: That must be empty in a target.
_FILLED = (TASK, RESULT, SPEND, RUN)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is compared once all is copied."""

    rows: dict[str, int]
    states: dict[str, int]  #: kind and state of tasks -> number
    usd: float
    minutes: float

    def same(self, other: Totals) -> bool:
        """Tell whether both hold the same, but for notes."""
        close = isclose(self.usd, other.usd, abs_tol=1e-6) and isclose(self.minutes, other.minutes, abs_tol=1e-6)
        return self.rows == other.rows and self.states == other.states and close

    @property
    def empty(self) -> bool:
        """True if nothing was ever run there."""
        return not any(self.rows[table.name] for table in _FILLED)


class CopySource(Protocol):
    """A database that is read."""

    async def page(self, table: CopiedTable, after: object, limit: int) -> list[Row]:
        """Return the next rows in order, above a value; None: the first."""
        ...

    async def totals(self) -> Totals:
        """Return what it holds."""
        ...


class CopyTarget(Protocol):
    """An empty database that is filled in one transaction."""

    async def totals(self) -> Totals:
        """Return what it holds."""
        ...

    async def fill(self, copy: Callable[[Put], Awaitable[Totals]]) -> None:
        """Run ``copy``, which returns what the target must hold then, or leave nothing.

        Raises:
            StoreError: ``database_not_empty``, or ``copy_differs``.
        """
        ...


#: Puts rows into a table of the target.
Put = Callable[[CopiedTable, Sequence[Row]], Awaitable[None]]
#: Changes rows on their way.
Change = Callable[[CopiedTable, Row], Row | None]


@dataclass(slots=True)
class Copied:
    """How many rows were copied, by table."""

    rows: dict[str, int] = field(default_factory=dict)


async def copy_all(source: CopySource, put: Put, change: Change) -> Copied:
    """Copy every table, page by page, in order; memory holds one page."""
    copied = Copied()
    for table in TABLES:
        number, after = 0, None
        place = table.columns.index(table.order)
        while rows := await source.page(table, after, PAGE):
            after = rows[-1][place]
            kept = [changed for row in rows if (changed := change(table, row)) is not None]
            await put(table, kept)
            number += len(kept)
        copied.rows[table.name] = number
    return copied


def is_own_note(name: str) -> bool:
    """Tell whether a note is of one database or host only."""
    return name.startswith(_OWN_NOTES)
