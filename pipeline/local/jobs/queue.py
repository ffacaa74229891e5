"""The background queue: bounded work on a table's rows, with retries."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import StoreError
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import AssetRow, JobRow, KnowledgeItemRow, Table, VideoRow

R = TypeVar("R", AssetRow, JobRow, VideoRow, KnowledgeItemRow)
_log = log.get("platform")
RETRY_AFTER = 5.0  #: seconds until failed work is tried again
_CRASHED = "fail:internal_error:The platform made a mistake over this; its log says which."


class JobQueue(Generic[R]):
    """Runs work on the rows of one table; holds their ids only.

    Args:
        state: where the rows are.
        clock: time for delays.
        table: of the rows.
        work: does the work on one row. It may be called again for the same row, so it looks first whether any is left.
        at_once: how many rows are worked on at the same time.
        unfinished: SQL condition for the rows that an earlier process has left; none by default.
        delay: seconds between :meth:`push` and the work.
    """

    def __init__(
        self,
        state: PlatformDatabase,
        clock: Clock,
        table: Table[R],
        work: Callable[[str], Awaitable[None]],
        *,
        at_once: int,
        unfinished: str = "0",
        delay: float = 0.0,
    ) -> None:
        self._state = state
        self._clock = clock
        self._table: Table[R] = table
        self._work = work
        self._unfinished = unfinished
        self._delay = delay
        self._slots = anyio.Semaphore(at_once)
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._keys: set[str] = set()  # waiting or worked on
        self._group: TaskGroup | None = None

    def push(self, key: str) -> None:
        """Queue an accepted row, unless it waits or is worked on."""
        if self._group is not None and key not in self._keys:
            self._keys.add(key)
            self._put(key, self._delay)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled, beginning with what an earlier process has left, oldest first."""
        left = await self._state.read(lambda db: self._table.select(db, self._unfinished))
        try:
            async with anyio.create_task_group() as self._group:
                for row in left:
                    self.push(row.id)
                task_status.started()
                while True:
                    key = await self._ready.get()
                    await self._slots.acquire()
                    self._group.start_soon(self._attempt, key)
        finally:
            self._group = None

    def _put(self, key: str, after: float) -> None:
        if after > 0:
            assert self._group is not None
            self._group.start_soon(self._put_later, key, after)
        else:
            self._ready.put_nowait(key)

    async def _put_later(self, key: str, after: float) -> None:
        await self._clock.sleep(after)
        self._ready.put_nowait(key)

    async def _attempt(self, key: str) -> None:
        try:
            finished = await self._guarded(key)
        finally:
            self._slots.release()
        if finished:
            self._keys.discard(key)
        else:
            self._put(key, RETRY_AFTER)

    async def _guarded(self, key: str) -> bool:
        """Do the work; return False where it is to be tried again.

        An unforeseen exception is logged and forces the outcome of this one row, which the next try then fails. Passed on,
        it would end the work on all other rows, and a run would wait for answers until its stages' hours are over.
        """
        try:
            await self._work(key)
        except (StoreError, OSError) as error:  # a full disk, for one: it may have room again
            _log.error("platform.disk", why=str(error), again_in=RETRY_AFTER)
        except Exception as error:
            _log.error("platform.crashed", key=key, again_in=RETRY_AFTER, exc_info=error)
            with suppress(StoreError, OSError):
                await self._state.write(lambda db: self._mark_poisoned(db, key))
        else:
            return True
        return False

    def _mark_poisoned(self, db: sqlite3.Connection, key: str) -> None:
        row = self._table.get(db, key)
        if row is not None:
            self._table.put(db, dataclasses.replace(row, forced_outcome=_CRASHED))
