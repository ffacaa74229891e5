"""The one connection that writes: one lock, explicit transactions, and no cancel between begin and commit."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
from aiosqlite import Connection

from pipeline.store.border import border, closed
from pipeline.store.rows import Row

T = TypeVar("T")

#: What a statement's parameters may be.
Values = Sequence[Any] | dict[str, Any]


class Writer:
    """All writing goes through here. The lock keeps one coroutine's statements out of another's transaction.

    A cancel inside ``await connection.execute("BEGIN")`` would leave the transaction open, because the thread still runs
    the statement: so each short write, begin to commit, is shielded.
    """

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._closed = False
        self.lock = anyio.Lock()

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Connection]:
        with anyio.CancelScope(shield=True):
            async with self.lock:
                with border(self._path):
                    yield self._open()

    async def statement(self, sql: str, values: Values = ()) -> list[Row]:
        """Run one writing statement, which is a transaction by itself; return its rows."""
        async with self._held() as connection:
            return [*await connection.execute_fetchall(sql, values)]

    async def count(self, sql: str, values: Values = ()) -> int:
        """Run one writing statement; return how many rows it changed."""
        async with self._held() as connection:
            cursor = await connection.execute(sql, values)
            changed = cursor.rowcount
            await cursor.close()
            return changed

    async def two(self, first: str, values: Values, second: str, then: Callable[[Sequence[Row]], Values]) -> list[Row]:
        """Run a query and, if it finds rows, one statement made from them; return the rows of the second.

        Not a transaction: the second statement must itself check what the first one saw.
        """
        async with self._held() as connection:
            found = [*await connection.execute_fetchall(first, values)]
            return [*await connection.execute_fetchall(second, then(found))] if found else []

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run ``work`` between BEGIN IMMEDIATE and COMMIT. The caller holds the lock and is shielded."""
        connection = self._open()
        with border(self._path):
            try:
                await connection.execute("BEGIN IMMEDIATE")
                answer = await work(connection)
                await connection.execute("COMMIT")
            except BaseException:
                # Unasked whether one is open: after asyncio's own cancel the thread may still be beginning it.
                with anyio.CancelScope(shield=True), suppress(sqlite3.OperationalError):
                    await connection.execute("ROLLBACK")
                raise
        return answer

    async def aclose(self) -> None:
        """Wait for the write at work and close. Idempotent."""
        with anyio.CancelScope(shield=True):
            async with self.lock:
                if not self._closed:
                    self._closed = True
                    await self._connection.close()

    def _open(self) -> Connection:
        if self._closed:
            raise closed(self._path)
        return self._connection
