"""The local platform's background queue: bounded, durable through its rows, and patient with a disk and with our mistakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio.lowlevel import checkpoint

from pipeline.local.jobs.queue import JobQueue
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import JOBS, JobRow
from tests.contract.platform_double import ManualClock


@asynccontextmanager
async def jobs_in(folder: Path, *keys: str, status: str = "queued") -> AsyncIterator[PlatformDatabase]:
    """Open a platform's database with queued analyses in it."""
    state = PlatformDatabase(folder)
    await state.open()
    for key in keys:
        row = JobRow(key, "asset", status, 1.0, 1.0)
        await state.write(lambda db, row=row: JOBS.add(db, row))  # type: ignore[misc]
    try:
        yield state
    finally:
        await state.aclose()


@asynccontextmanager
async def working(
    state: PlatformDatabase, work: Callable[[str], Awaitable[None]], clock: ManualClock | None = None, **options: Any
) -> AsyncIterator[JobQueue[JobRow]]:
    """Run a queue, two at once unless told otherwise."""
    queue = JobQueue(state, clock or ManualClock(), JOBS, work, **{"at_once": 2, **options})
    async with anyio.create_task_group() as group:
        await group.start(queue.run)
        yield queue
        group.cancel_scope.cancel()


async def until(true: Callable[[], object]) -> None:
    """Let the others run until something holds."""
    with anyio.fail_after(20):
        while not true():
            await checkpoint()


@pytest.mark.asyncio
async def test_rows_left_by_an_earlier_process_come_first_and_in_order(tmp_path: Path) -> None:
    """What the condition finds is done, oldest first, before what is pushed; other rows are not touched."""
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)

    left = "status = 'queued' AND id <> 'two'"
    async with (
        jobs_in(tmp_path, "one", "two", "three") as state,
        working(state, work, at_once=1, unfinished=left) as queue,
    ):
        queue.push("four")
        await until(lambda: len(seen) == 3)
    assert seen == ["one", "three", "four"]


@pytest.mark.asyncio
async def test_no_more_at_once_than_allowed_and_none_twice_at_a_time(tmp_path: Path) -> None:
    """Slots bound the work; a row that waits or is worked on is not queued again, one that is done is."""
    running: list[str] = []
    most, gate, seen = 0, anyio.Event(), 0

    async def work(key: str) -> None:
        nonlocal most, seen
        running.append(key)
        most, seen = max(most, len(running)), seen + 1
        await gate.wait()
        running.remove(key)

    async with jobs_in(tmp_path) as state, working(state, work) as queue:
        for key in ("a", "b", "c", "a", "c"):
            queue.push(key)
        await until(lambda: len(running) == 2)
        gate.set()
        await until(lambda: seen == 3 and not running)
        queue.push("a")
        await until(lambda: seen == 4)
    assert most == 2


@pytest.mark.asyncio
async def test_what_the_disk_refused_is_tried_again_and_a_crash_forces_the_outcome(tmp_path: Path) -> None:
    """A disk error changes nothing; any other mistake marks that row, so that the next try ends it. Both after a delay."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock, tries = ManualClock(), {"full": 0, "odd": 0}

    async def work(key: str) -> None:
        tries[key] += 1
        if tries[key] == 1:
            raise OSError("no space left") if key == "full" else KeyError(key)

    async with jobs_in(tmp_path, "full", "odd") as state, working(state, work, clock, unfinished="1"):
        await until(lambda: len(clock.slept) == 2)
        assert set(tries.values()) == {1}
        clock.move(5.0)
        await until(lambda: set(tries.values()) == {2})
        rows = await state.read(JOBS.select)
    assert clock.slept == [5.0, 5.0]
    forced = {row.id: row.forced_outcome.partition(":")[0] for row in rows}
    assert forced == {"full": "", "odd": "fail"}


@pytest.mark.asyncio
async def test_accepted_work_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    """The delay is the platform's clock's; a queue that has stopped takes nothing, since its rows are still there."""
    clock = ManualClock()
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)

    async with jobs_in(tmp_path) as state:
        async with working(state, work, clock, delay=30.0) as queue:
            queue.push("later")
            await until(lambda: clock.slept == [30.0])
            assert seen == []
            clock.move(30.0)
            await until(lambda: seen)
        queue.push("too late")
    assert (seen, clock.slept) == (["later"], [30.0])
