"""An idle pool is idle: in no situation does the loop ask the database over and over."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import anyio
import pytest

from pipeline.core.model import Lane, Task, Trouble
from pipeline.core.outcome import Advance, Done, Outcome, Park, Snooze
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import run_virtual
from tests.support.engine_harness import EngineHarness, engine, new, task_type

WHY = Trouble("why", "because")
LONG = 7200.0
#: Claims and looks at the next due time that an idle minute may cost: one of each every thirty seconds, and some.
FEW = 8


async def done(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Be done."""
    return Done()


async def long(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Take two hours."""
    await anyio.sleep(LONG)
    return Done()


async def paused(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Close the lane for two hours."""
    if anyio.current_time() < LONG:
        return Park("analyze", task.stage_since + LONG, WHY)
    return Done()


async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Look again in two hours."""
    return Snooze(LONG) if anyio.current_time() < LONG else Done()


def everybody() -> EngineHarness:
    """Return an engine in which every idle situation can be made."""
    return engine(
        task_type("slow", ("go", Lane.FETCH, long), deadline=1e6),
        task_type("video", ("upload", Lane.UPLOAD, done), ("settle", Lane.POLL, poll), deadline=1e6),
        task_type("ask", ("go", Lane.ANALYZE, paused), deadline=1e6),
        task_type("later", ("go", Lane.WRITE, done), deadline=1e6),
    )


MANY = [f"x{number}" for number in range(10_000)]


async def calls_per_minute(
    it: EngineHarness, work: Coroutine[Any, Any, Any], after: float = 120.0, minutes: int = 10
) -> float:
    """Return how many queue calls a running pool makes a minute, once it has settled."""
    async with anyio.create_task_group() as group:

        async def ran() -> None:
            await work

        group.start_soon(ran)
        await anyio.sleep(after)
        with it.counting() as made:
            await anyio.sleep(60.0 * minutes)
        group.cancel_scope.cancel()
    return sum(made[name] for name in ("claim", "next_due")) / minutes


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        pytest.param(new("slow", "go", *MANY), {}, id="a lane is full, ten thousand wait"),
        pytest.param(new("later", "go", *MANY[:50], due=4e9), {}, id="all is due in future"),
        pytest.param(
            new("video", "settle", "a", "b") + new("video", "upload", *MANY[:500]), {"in_hand": 2}, id="uploads capped"
        ),
        pytest.param(
            new("video", "settle", "a", "b") + new("video", "upload", *MANY[:500]) + new("slow", "go", *MANY[:9]),
            {"in_hand": 2},
            id="uploads capped, another lane full",
        ),
        pytest.param(new("ask", "go", *MANY[:50]), {"patience": 1e6}, id="a lane is paused"),
        pytest.param(
            new("ask", "go", *MANY[:50]) + new("slow", "go", *MANY[:4]), {"patience": 1e6}, id="paused, another full"
        ),
    ],
)
def test_an_idle_pool_asks_little(tasks: list[Any], options: dict[str, Any]) -> None:
    """Whatever it waits for, the loop looks into the queue a few times a minute."""
    it = everybody()

    async def scenario() -> float:
        await it.pool().submit(tasks)
        return await calls_per_minute(it, it.pool(**options).run())

    assert run_virtual(scenario()) <= FEW


def test_an_idle_pool_that_is_still_fed_asks_little() -> None:
    """An enqueuer that reads slowly keeps the run alive, not busy."""
    it = everybody()

    async def scenario() -> float:
        pool = it.pool()
        pool.feeding(+1)
        return await calls_per_minute(it, pool.run())

    assert run_virtual(scenario()) <= FEW


def test_a_busy_pool_asks_in_proportion_to_its_work() -> None:
    """Two thousand tasks cost at most three looks into the queue each, however many still wait."""
    it = engine(task_type("k", ("a", Lane.FETCH, done)))

    async def scenario() -> int:
        await it.pool().submit(new("k", "a", *MANY[:2000]))
        with it.counting() as made:
            await it.pool().run()
        return made["claim"] + made["next_due"]

    assert run_virtual(scenario()) <= 3 * 2000


def test_uploads_capped_behind_a_parked_poll_lane_end_the_run() -> None:
    """What cannot move in this run does not keep it alive: nothing is polled, so nothing more may be uploaded."""
    it = everybody()

    async def parked(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Park("poll", 4e9, WHY)

    it = engine(task_type("video", ("upload", Lane.UPLOAD, done), ("settle", Lane.POLL, parked), deadline=1e6))

    async def scenario() -> int:
        await it.pool().submit(new("video", "settle", "a", "b") + new("video", "upload", "c", "d"))
        with it.counting() as made, anyio.fail_after(3600):
            ending = await it.pool(in_hand=2).run()
        assert set(ending.parked) == {Lane.POLL}
        return made["claim"] + made["next_due"]

    assert run_virtual(scenario()) < 30


def test_a_run_with_nothing_to_do_ends_at_once() -> None:
    """An empty queue costs no virtual time."""
    it = everybody()

    async def scenario() -> float:
        await it.run()
        return anyio.current_time()

    assert run_virtual(scenario()) == 0.0


def test_a_run_whose_work_is_all_done_ends_at_once() -> None:
    """Terminal tasks are not waited for."""
    it = everybody()

    async def scenario() -> float:
        await it.run(new("later", "go", "a", "b"))
        before = anyio.current_time()
        await it.run(new("later", "go", "a", "b"))
        return anyio.current_time() - before

    assert run_virtual(scenario()) == 0.0


def test_advancing_through_stages_needs_no_idle_wait() -> None:
    """The next stage of a task starts when the last one ended, not at the next look."""

    async def on(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Advance("b")

    it = engine(task_type("k", ("a", Lane.FETCH, on), ("b", Lane.WRITE, done)))

    async def scenario() -> float:
        await it.run(new("k", "a", *"xyz"))
        return anyio.current_time()

    assert run_virtual(scenario()) < 0.1
