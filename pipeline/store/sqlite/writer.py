"""The one connection that writes: one lock, explicit transactions, no cancel inside."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from pipeline.store.encoding import Row
from pipeline.store.sqlite.connection import Connection, Values
from pipeline.store.sqlite.errors import closed, translate_errors

T = TypeVar("T")


class Writer:
    """Does all writing. The lock keeps one coroutine's statements out of another's transaction.

    A transaction is one piece of work in the connection's thread, which no cancel can leave half done. Waiting for it is
    shielded all the same: a caller must learn whether its write happened.
    """

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._closed = False
        self.lock = anyio.Lock()

    async def statement(self, sql: str, values: Values = ()) -> list[Row]:
        """Run one writing statement, which is a transaction by itself; return its rows."""
        async with self._locked() as connection:
            return [*await connection.execute_fetchall(sql, values)]

    async def count(self, sql: str, values: Values = ()) -> int:
        """Run one writing statement; return how many rows it changed."""
        async with self._locked() as connection:
            cursor = await connection.execute(sql, values)
            changed = cursor.rowcount
            await cursor.close()
            return changed

    async def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` between BEGIN IMMEDIATE and COMMIT."""
        async with self._locked() as connection:
            return await connection.run(partial(_commit, work))

    async def transaction_in_lock(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` between BEGIN IMMEDIATE and COMMIT; the caller holds the lock."""
        connection = self._open()
        with translate_errors(self._path):
            try:
                return await connection.run(partial(_commit, work))
            except anyio.get_cancelled_exc_class():
                # asyncio's own cancel passes every shield: keep the lock until the thread is through.
                with anyio.CancelScope(shield=True):
                    await connection.run(_nothing)
                raise

    async def aclose(self) -> None:
        """Wait for the write at work and close. Idempotent."""
        with anyio.CancelScope(shield=True):
            async with self.lock:
                if not self._closed:
                    self._closed = True
                    await self._connection.close()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Connection]:
        with anyio.CancelScope(shield=True):
            async with self.lock:
                with translate_errors(self._path):
                    yield self._open()

    def _open(self) -> Connection:
        if self._closed:
            raise closed(self._path)
        return self._connection


def _commit(work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.OperationalError):  # none is open: the BEGIN failed, or SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise
    return answer


def _nothing(_connection: sqlite3.Connection) -> None:
    """Do nothing, after all work handed in before."""
