"""Several processes on one database: each hears of what the others leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from pipeline.core.errors import DatabaseAway, StoreError
from pipeline.core.model import Lane, Parked, Placed, Task, Trouble
from pipeline.core.outcome import Done, Outcome, Park
from pipeline.core.task_types import LeaseCheck
from pipeline.engine.pool import Pool
from tests.support.clock import EPOCH, run_virtual
from tests.support.engine_harness import WIDTHS, CountingStore, EngineHarness, engine, new, task_type
from tests.support.memory_database import MemoryDatabase


class Told(MemoryDatabase):
    """A database that tells every process at once when tasks were queued or a lane was opened."""

    def __init__(self) -> None:
        super().__init__()
        self._told = anyio.Event()

    async def news(self) -> None:
        await self._told.wait()
        self._told = anyio.Event()

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        changed = await super().submit(tasks, now)
        self._told.set()
        return changed

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        changed = await super().unpark(scopes, classes, now)
        self._told.set()
        return changed


class Begun:
    """A step that notes when it was begun."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.at.append(anyio.current_time())
        return Done()


def together(step: Begun) -> EngineHarness:
    """Return an engine over a database that tells its processes of each other's work."""
    store = CountingStore()
    store.inner = Told()
    return engine(task_type("k", ("go", Lane.ANALYZE, step)), store=store)


def test_work_that_another_process_leaves_is_begun_at_once() -> None:
    """An idle process would look after half a minute; it is told, and looks."""
    step = Begun()
    it = together(step)

    async def scenario() -> None:
        pool = it.pool()
        pool.feeding(+1)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(100)
            await it.pool(owner="you").submit(new("k", "go", "a"))
            await anyio.sleep(0.5)
            assert await it.states() == {"a": "done"}
            pool.feeding(-1)
        assert step.at == [pytest.approx(100.0, abs=0.1)]

    run_virtual(scenario())


def test_a_lane_that_another_process_opens_is_worked_at_once() -> None:
    """A row that is taken away opens the lane of a process at work."""
    step = Begun()
    it = together(step)

    async def scenario() -> None:
        pool = it.pool()
        pool.feeding(+1)
        await it.store.inner.park(Parked("analyze", EPOCH + 90_000, Trouble("quota", "Spent.")), EPOCH)
        await pool.submit(new("k", "go", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(100)
            assert step.at == []
            await it.store.inner.unpark(["analyze"], [], it.clock.now())
            await anyio.sleep(0.5)
            pool.feeding(-1)
        assert step.at == [pytest.approx(100.0, abs=0.1)]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("error", "halts"), [(DatabaseAway("no answer"), False), (StoreError("broken"), True)], ids=["away", "broken"]
)
def test_a_process_that_hears_nothing_looks_by_itself(error: Any, halts: bool) -> None:
    """Without news work is found within half a minute; a database that is unusable ends the run."""
    step = Begun()
    it = together(step)
    it.store.break_with("news", lambda: error)

    async def scenario() -> None:
        pool = it.pool()
        pool.feeding(+1)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(100)
            await it.pool(owner="you").submit(new("k", "go", "a"))
            await anyio.sleep(31)
            pool.feeding(-1)
        assert (pool.run_end.halted is not None, len(step.at)) == (halts, int(not halts))

    run_virtual(scenario())


def test_a_site_that_refuses_one_address_is_asked_from_another() -> None:
    """The lane of downloads rests on the host that was refused, in its next process too; on another it goes on."""
    asked: list[tuple[float, str]] = []
    refused = Trouble("bot_check", "YouTube refuses this address.")

    async def fetch(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        assert task.lease is not None
        host = task.lease.owner.partition(":")[0]
        asked.append((anyio.current_time(), host))
        bad = host == "one" and anyio.current_time() < 9_000
        return Park("download", EPOCH + 9_000, refused) if bad else Done()

    it = engine(task_type("k", ("go", Lane.DOWNLOAD, fetch)), widths={**WIDTHS, Lane.DOWNLOAD: 1})

    def on(host: str) -> Pool:
        return it.pool(owner=f"{host}:1", family=f"{host}:", patience=600)

    async def scenario() -> None:
        await on("one").submit(new("k", "go", "a", "b", "c"))
        assert set((await on("one").run()).parked) == {Lane.DOWNLOAD}
        assert set((await on("one").run()).parked) == {Lane.DOWNLOAD}
        assert [host for _, host in asked] == ["one"]
        assert [each.scope for each in await it.store.inner.parked(it.clock.now())] == ["download@one"]
        other = await on("two").run()
        assert (other.parked, [host for _, host in asked]) == ({}, ["one", "two", "two"])
        await anyio.sleep(9_000)
        await on("one").run()
        assert set((await it.states()).values()) == {"done"}

    run_virtual(scenario())
