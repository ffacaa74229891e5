"""Stopping: gracefully within the grace, at once when asked twice; nothing is counted, nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from pipeline.core.model import Lane, NewTask, State, Task
from pipeline.core.outcome import Done, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck
from pipeline.engine.admission import RunEnd
from pipeline.engine.pool import Pool
from tests.support.clock import run_virtual
from tests.support.engine_harness import EngineHarness, engine, new, task_type


class Slow:
    """A step that takes its time, and remembers who came and how fresh they were."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun: list[str] = []
        self.fresh: dict[str, list[bool]] = {}

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.begun.append(task.key)
        self.fresh.setdefault(task.key, []).append(task.fresh)
        await anyio.sleep(self.seconds)
        return Done()


async def stopped(
    it: EngineHarness, tasks: list[NewTask], at: float, act: Callable[[Pool], None]
) -> tuple[RunEnd, float]:
    """Run a pool and do something to it at a time; return its ending and when it ended."""
    pool = it.pool(stop_grace=20.0)
    await pool.submit(tasks)
    async with anyio.create_task_group() as group:

        async def later() -> None:
            await anyio.sleep(at)
            act(pool)

        group.start_soon(later)
        return await pool.run(), anyio.current_time()


@pytest.mark.parametrize("seconds", [5.0, 20.0])
def test_what_is_short_is_finished_and_nothing_new_is_begun(seconds: float) -> None:
    """A stop waits for steps that end within the grace, and for no longer than they take."""
    slow = Slow(seconds)
    it = engine(task_type("k", ("go", Lane.FETCH, slow)))
    ending, ended = run_virtual(stopped(it, new("k", "go", *"abcdefgh"), 1.0, lambda pool: pool.stop()))
    assert ending.interrupted
    assert slow.begun == list("abcd")
    assert ended == pytest.approx(seconds, abs=0.1)
    states = run_virtual(it.states())
    assert {states[key] for key in "abcd"} == {"done"}
    assert {states[key] for key in "efgh"} == {"pending"}


def test_what_is_long_is_given_back_after_the_grace() -> None:
    """After the grace every step is cancelled; its task is due at once, uncounted, and will ask before it acts."""
    slow = Slow(500.0)
    it = engine(task_type("k", ("go", Lane.FETCH, slow)))

    async def scenario() -> None:
        _, ended = await stopped(it, new("k", "go", "a", "b"), 1.0, lambda pool: pool.stop())
        assert ended == pytest.approx(21.0, abs=0.1)
        task = await it.task("a")
        assert (task.state, task.attempt, task.claims) == (State.PENDING, 0, 1)
        assert task.wake_at is not None
        assert task.wake_at <= it.clock.now()
        await it.run()
        assert slow.fresh == {"a": [True, False], "b": [True, False]}
        assert await it.states() == {"a": "done", "b": "done"}

    run_virtual(scenario())


def test_a_stop_now_waits_for_nothing() -> None:
    """Asked twice, the pool ends at once, and everything is back in the queue."""
    it = engine(task_type("k", ("go", Lane.FETCH, Slow(500.0))))

    def twice(pool: Pool) -> None:
        pool.stop()
        pool.stop(now=True)

    _, ended = run_virtual(stopped(it, new("k", "go", *"abcdef"), 3.0, twice))
    assert ended == pytest.approx(3.0, abs=0.01)
    assert set(run_virtual(it.states()).values()) == {"pending"}


def test_a_step_that_ends_while_it_is_cancelled_is_heard() -> None:
    """A step that shields its paid call through the cancel brings its outcome, and the outcome counts."""

    async def shielded(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
        return Done(data={"paid": True})

    it = engine(task_type("k", ("go", Lane.FETCH, shielded)))
    _, ended = run_virtual(stopped(it, new("k", "go", "a"), 1.0, lambda pool: pool.stop(now=True)))
    assert ended == pytest.approx(2.0, abs=0.01)
    assert run_virtual(it.task("a")).data == {"paid": True}


def test_a_stop_before_the_start_ends_at_once() -> None:
    """A signal that comes while the run is still being put together is not lost."""
    slow = Slow(1.0)
    it = engine(task_type("k", ("go", Lane.FETCH, slow)))

    async def scenario() -> RunEnd:
        pool = it.pool()
        await pool.submit(new("k", "go", "a"))
        pool.stop()
        return await pool.run()

    assert run_virtual(scenario()).interrupted
    assert slow.begun == []


def test_a_stop_wakes_a_pool_that_waits_for_the_future() -> None:
    """Polls that are due in an hour, an enqueuer that still reads: neither holds up the end."""

    async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Snooze(3600)

    it = engine(task_type("k", ("go", Lane.POLL, poll)))

    def act(pool: Pool) -> None:
        pool.stop()

    async def scenario() -> float:
        pool = it.pool()
        pool.feeding(+1)
        await pool.submit(new("k", "go", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(7)
            act(pool)
        return anyio.current_time()

    assert run_virtual(scenario()) == pytest.approx(7.0, abs=0.01)
