"""A queue that is fed while it is worked on, and tasks that are started again."""

from __future__ import annotations

import anyio
import pytest

from pipeline.core.model import Lane, NewTask, State, Task
from pipeline.core.outcome import Advance, Done, Outcome
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import run_virtual
from tests.support.engine_harness import engine, new, task_type


async def done(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Be done."""
    return Done()


def test_the_pool_does_not_end_while_an_enqueuer_reads() -> None:
    """An empty queue is no end as long as somebody may still bring something; when nobody may, it is, at once."""
    it = engine(task_type("k", ("go", Lane.FETCH, done)))

    async def scenario() -> None:
        pool = it.pool()
        pool.feeding(+1)
        ended = anyio.Event()

        async def work() -> None:
            await pool.run()
            ended.set()

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            for number in range(5):
                await anyio.sleep(1000)
                assert not ended.is_set()
                await pool.submit(new("k", "go", f"k{number}"))
                await anyio.sleep(0.5)
                assert (await it.task(f"k{number}")).state is State.DONE
            pool.feeding(-1)
            await anyio.sleep(0.1)
            assert ended.is_set()

    run_virtual(scenario())


def test_putting_a_task_twice_is_putting_it_once() -> None:
    """Submission is idempotent, before and after the work."""
    runs: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        runs.append(task.key)
        return Done()

    it = engine(task_type("k", ("go", Lane.FETCH, step)))
    run_virtual(it.run(new("k", "go", "a", "b", "a") + new("k", "go", "a")))
    run_virtual(it.run(new("k", "go", "a", "b")))
    assert sorted(runs) == ["a", "b"]


@pytest.mark.parametrize("moment", ["pending", "running", "done"])
def test_a_task_that_is_wished_again_runs_again(moment: str) -> None:
    """A restart that comes while the task waits, runs or rests: it sees the new world, and nothing gets lost."""
    world = 1
    seen: list[tuple[int, dict[str, int]]] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        seen.append((world, dict(task.data)))
        await anyio.sleep(10)
        return Done()

    it = engine(task_type("k", ("go", Lane.WRITE, step)))
    again = [NewTask("k", "a", "go", {"n": 2}, restart_at="go")]

    async def scenario() -> None:
        nonlocal world
        pool = it.pool()
        pool.feeding(+1)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await pool.submit([NewTask("k", "a", "go", {"n": 1}, due=it.clock.now() + 5)])
            await anyio.sleep({"pending": 2, "running": 8, "done": 20}[moment])
            world = 2
            await pool.submit(again)
            pool.feeding(-1)

    run_virtual(scenario())
    if moment == "pending":
        assert seen == [(2, {"n": 2})]
    elif moment == "running":  # the running attempt keeps its data, and so does the next
        assert seen == [(1, {"n": 1}), (2, {"n": 1})]
    else:
        assert seen == [(1, {"n": 1}), (2, {"n": 2})]


def test_a_restart_of_a_running_task_waits_through_its_stages() -> None:
    """Only when the task is done as a whole does it start again."""
    seen: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        seen.append(task.stage)
        await anyio.sleep(10)
        return Advance("two") if task.stage == "one" else Done()

    it = engine(task_type("k", ("one", Lane.FETCH, step), ("two", Lane.FETCH, step)))

    async def scenario() -> None:
        pool = it.pool()
        await pool.submit(new("k", "one", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(5)
            await pool.submit(new("k", "one", "a", restart_at="one"))

    run_virtual(scenario())
    assert seen == ["one", "two", "one", "two"]


def test_children_spawned_by_a_step_are_worked_on_in_the_same_run() -> None:
    """Spawned tasks need no look at the clock: a chain of a thousand costs no time."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        number = int(task.key)
        return Done(spawn=[NewTask("k", str(number + 1), "go")] if number < 1000 else [])

    it = engine(task_type("k", ("go", Lane.FETCH, step)))

    async def scenario() -> float:
        await it.run(new("k", "go", "1"))
        return anyio.current_time()

    assert run_virtual(scenario()) < 1.0
    assert len(run_virtual(it.states())) == 1000
