"""A copy out of, and into, the SQLite file of a state folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from json import dumps, loads
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from pipeline.core.errors import StoreError
from pipeline.store.encoding import Row
from pipeline.store.sqlite.database import open_database
from pipeline.store.sqlite.errors import translate_errors
from pipeline.store.sqlite.packing import pack, unpack
from pipeline.store.transfer.tables import COUNTED, RESULT, TASK, CopiedTable, Put, Totals

T = TypeVar("T")


class SqliteCopy:
    """One file, by a connection of its own. The state folder is locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Bring the file to this release's schema, and connect.

        Raises:
            StoreError: it cannot be used.
        """
        await (await open_database(self._path)).aclose()
        self._connection = await anyio.to_thread.run_sync(
            lambda: sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        )

    async def aclose(self) -> None:
        """Close the file."""
        if self._connection is not None:
            await anyio.to_thread.run_sync(self._connection.close)

    async def page(self, table: CopiedTable, after: object, limit: int) -> list[Row]:
        columns = [*table.columns, *(["packed"] if table is RESULT else [])]
        above = "" if after is None else f"WHERE {table.order} > ?"
        sql = f"SELECT {', '.join(columns)} FROM {table.name} {above} ORDER BY {table.order} LIMIT {limit}"
        rows = await self._run(lambda connection: connection.execute(sql, [] if after is None else [after]).fetchall())
        return [_read(table, row) for row in rows]

    async def totals(self) -> Totals:
        return await self._run(_totals)

    async def fill(self, copy: Callable[[Put], Awaitable[Totals]]) -> None:
        if not (await self.totals()).empty:
            raise not_empty(str(self._path))
        await self._run(lambda connection: connection.execute("BEGIN IMMEDIATE"))
        try:
            wanted = await copy(self._put)
            if not wanted.same(await self.totals()):
                raise differs(str(self._path))
            await self._run(lambda connection: connection.execute("COMMIT"))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._run(
                    lambda connection: connection.execute("ROLLBACK") if connection.in_transaction else None
                )
            raise

    async def _put(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        columns = [*table.columns, *(["packed"] if table is RESULT else [])]
        sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        written = [_write(table, row) for row in rows]
        await self._run(lambda connection: connection.executemany(sql, written))

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        assert connection is not None
        with translate_errors(self._path):
            return await anyio.to_thread.run_sync(work, connection)


def _read(table: CopiedTable, row: Row) -> Row:
    if table is RESULT:
        return (row[0], *unpack(row[1:]))
    if table is TASK:
        return (*row[:-1], loads(row[-1]) if row[-1] else [])
    return tuple(row)


def _write(table: CopiedTable, row: Row) -> Row:
    if table is RESULT:
        return (row[0], *pack(row[1:]))
    if table is TASK:
        return (*row[:-1], dumps(row[-1]) if row[-1] else None)
    return row


def _totals(connection: sqlite3.Connection) -> Totals:
    def one(sql: str) -> list[Row]:
        return connection.execute(sql).fetchall()

    rows = {table.name: one(f"SELECT count(*) FROM {table.name}")[0][0] for table in COUNTED}
    states = {f"{kind} {state}": number for kind, state, number in one(STATES)}
    return Totals(rows, states, *one(SUMS)[0])


STATES = "SELECT kind, state, count(*) FROM task GROUP BY kind, state"
SUMS = "SELECT coalesce(sum(usd), 0.0), coalesce(sum(minutes), 0.0) FROM spend"


def not_empty(where: str) -> StoreError:
    """Return the error for a target in which something was run already."""
    return StoreError(
        f"{where} is not empty: a database can only be moved into one in which nothing was run yet.",
        code="database_not_empty",
        remedy="Name another state folder, or another database after `reelmill migrate`. Nothing was changed.",
    )


def differs(where: str) -> StoreError:
    """Return the error for a copy that does not hold what its source does."""
    return StoreError(
        f"What was copied to {where} is not the same as what was read; nothing was kept of it.",
        code="copy_differs",
        remedy="Make sure that nothing works on either of them, and try again.",
    )
