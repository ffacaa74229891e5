"""Several pools on one queue: what each leaves to the others, and what it takes on when one of them is gone."""

from __future__ import annotations

import anyio

from pipeline.core.model import Lane, State, Task, Trouble
from pipeline.core.outcome import Done, Outcome
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import run_virtual
from tests.support.engine_harness import EngineHarness, engine, new, task_type


def company(hours: float = 0.5) -> tuple[EngineHarness, list[str]]:
    """Return an engine whose steps take so long, and the keys they were begun for."""
    begun: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        begun.append(task.key)
        await anyio.sleep(hours * 3600)
        return Done()

    return engine(task_type("slow", ("go", Lane.FETCH, step), deadline=1e6)), begun


def test_a_pool_that_joins_leaves_living_leases_alone() -> None:
    """Its own predecessor's tasks it takes at once; another host's it does not, as long as they are renewed."""

    async def scenario() -> None:
        it, begun = company()
        await it.store.submit([it.task_types.place(each) for each in new("slow", "go", "a", "b")], 0.0)
        dead = await it.store.claim({Lane.FETCH: 1}, "two:7", it.clock.now(), it.clock.now() + 1e5)
        async with anyio.create_task_group() as group:
            group.start_soon(it.pool(family="one:", owner="one:1").run)
            await anyio.sleep(10)
            assert begun == ["b"]
            group.start_soon(it.pool(family="two:", owner="two:8").run)
        assert sorted(begun) == ["a", "b"]
        assert (await it.task(dead[0].key)).claims == 2
        assert await it.states() == {"a": "done", "b": "done"}

    run_virtual(scenario())


def test_a_pool_stays_while_others_work_and_takes_over_from_the_dead() -> None:
    """It has nothing to do, and does not end; a lease that is renewed no more is its own, once it has run out."""

    async def scenario() -> None:
        it, begun = company(hours=0.001)
        await it.store.submit([it.task_types.place(each) for each in new("slow", "go", "a")], 0.0)
        (task,) = await it.store.claim({Lane.FETCH: 1}, "dead:1", it.clock.now(), it.clock.now() + 120)
        assert task.state is State.RUNNING
        began = it.clock.now()
        await it.pool(family="one:", owner="one:1").run()
        assert begun == ["a"]
        assert 120 < it.clock.now() - began < 120 + 40
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


def test_nobody_is_overtaken_who_could_not_renew() -> None:
    """Within a lease's time after the database was away, an old lease says nothing about its holder."""

    async def scenario() -> None:
        it, begun = company(hours=0.001)
        await it.store.submit([it.task_types.place(each) for each in new("slow", "go", "a", "b")], 0.0)
        await it.store.claim({Lane.FETCH: 1}, "two:1", it.clock.now(), it.clock.now() + 10)
        pool = it.pool(family="one:", owner="one:1")
        pool._leases.note_away()
        began = it.clock.now()
        await pool.run()
        assert begun == ["b", "a"]
        assert it.clock.now() - began > 120

    run_virtual(scenario())


def test_a_worker_stays_and_takes_what_comes_later() -> None:
    """Nothing to do, a lane that it does not serve, and a pause of this run's own do not end it; a signal does."""

    async def scenario() -> None:
        it, begun = company(hours=0.001)
        pool = it.pool(family="one:", owner="one:1", stays=True)
        pool.run_end.budget = Trouble("budget", "The limit is reached.")
        pool._admission._closed.add(Lane.FETCH)
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(3600)
            await it.store.submit([it.task_types.place(each) for each in new("slow", "go", "a")], 0.0)
            await anyio.sleep(100)
            assert (begun, await it.states()) == (["a"], {"a": "done"})
            assert pool.run_end.budget is None
            pool.stop()

    run_virtual(scenario())
