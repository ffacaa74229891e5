"""One host polls for all: what the platform is asked does not grow with the hosts, and a dead one is followed soon."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from pipeline.core.model import Lane, Task
from pipeline.core.outcome import Advance, Done, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck, TaskTypes
from pipeline.engine.poll_turn import LASTS
from pipeline.engine.pool import Pool, PoolOptions
from tests.support.clock import VirtualClock, run_virtual
from tests.support.engine_harness import WIDTHS, CountingStore, new, task_type
from tests.unit.test_status_board import Platform

CALLS = 60
THINK = 600.0  #: seconds that the platform is at work on one


class World:
    """A platform, a queue, and hosts with a board each."""

    def __init__(self) -> None:
        self.clock, self.store = VirtualClock(), CountingStore()
        self.platform = Platform(self.clock)
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.looks: list[tuple[float, str]] = []  #: when, and by whom

    def pool(self, name: str, polls: int = 64) -> Pool:
        """Return the pool of one more host."""
        board = self.platform.analyses()

        async def submit(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
            await self.clock.sleep(4.0)
            self.platform.ready_at[task.key] = self.clock.monotonic() + THINK
            return Advance("await", after=2.0)

        async def wait(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
            self.looks.append((self.clock.monotonic(), name))
            status = await board.look(task.key)
            return Done() if status.state == "ready" else Snooze(status.look_again)

        kind = task_type("call", ("submit", Lane.ANALYZE, submit), ("await", Lane.POLL, wait))
        options = PoolOptions(f"{name}:1", {**WIDTHS, Lane.POLL: polls}, family=f"{name}:")
        return Pool(self.store, TaskTypes([kind]), self.clock, Random(name), options)  # type: ignore[arg-type]

    async def live(self, name: str) -> None:
        """Run one host until it ends, or is killed: then it says nothing more."""
        pool = self.pool(name)
        with anyio.CancelScope() as scope:
            self.scopes[name] = scope
            await pool.run()

    async def work(self, hosts: int, kill: float | None = None) -> float:
        """Let so many hosts do it all; return the seconds it took. ``kill``: when the one that polls dies."""
        kinds = TaskTypes([task_type("call", ("submit", Lane.ANALYZE, _never), ("await", Lane.POLL, _never))])
        tasks = new("call", "submit", *(f"c{number}" for number in range(CALLS)))
        await self.store.submit([kinds.place(each) for each in tasks], 0.0)
        async with anyio.create_task_group() as group:
            for number in range(hosts):
                group.start_soon(self.live, f"h{number}")
            if kill is not None:
                await self.clock.sleep(kill)
                self.scopes[self.looks[-1][1]].cancel()
        return self.clock.monotonic()


async def _never(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    raise NotImplementedError


@pytest.fixture(scope="module")
def alone() -> tuple[int, float]:
    """Requests that one host makes, and the seconds that it takes."""
    world = World()
    took = run_virtual(world.work(1))
    return len(world.platform.lists) + len(world.platform.singles), took


@pytest.mark.parametrize("hosts", [2, 4])
def test_requests_do_not_grow_with_hosts(alone: tuple[int, float], hosts: int) -> None:
    """At most a tenth more than one host makes; one polls at a time; all ends with all done, and no later."""
    world = World()
    took = run_virtual(world.work(hosts))
    assert len(world.platform.lists) + len(world.platform.singles) <= 1.1 * alone[0]
    assert len({name for _, name in world.looks}) == 1
    assert set(run_virtual(_states(world))) == {"done"}
    assert took <= alone[1] + 60


def test_who_polls_and_dies_is_followed_within_twenty_seconds() -> None:
    """Another takes over once the turn has lapsed, and all is done."""
    world = World()
    run_virtual(world.work(3, kill=300.0))
    names = [name for _, name in world.looks]
    second = next(number for number, name in enumerate(names) if name != names[0])
    assert world.looks[second][0] - 300.0 <= LASTS + 5.0
    assert len(set(names)) == 2
    assert set(run_virtual(_states(world))) == {"done"}


def test_who_stops_leaves_the_turn_at_once() -> None:
    """A host that takes nothing on any more polls for nobody: the next look is five seconds later at most."""

    async def scenario() -> None:
        world = World()
        pools = {name: world.pool(name) for name in ("a", "b")}
        kinds = TaskTypes([task_type("call", ("submit", Lane.ANALYZE, _never), ("await", Lane.POLL, _never))])
        await world.store.submit([kinds.place(each) for each in new("call", "submit", "x", "y", "z")], 0.0)
        async with anyio.create_task_group() as group:
            for pool in pools.values():
                group.start_soon(pool.run)
            await world.clock.sleep(100)
            first = world.looks[-1][1]
            pools[first].stop()
        after = [at for at, name in world.looks if name != first]
        assert after[0] - 100 <= 10 + 5, "its own wait between two looks, and one of theirs for the turn"
        assert len([at for at, name in world.looks if name == first and at > 100]) == 0

    run_virtual(scenario())


def test_a_host_that_does_not_poll_takes_no_turn() -> None:
    """It serves other lanes only, and leaves the turn to one that comes later."""

    async def scenario() -> None:
        world = World()
        kinds = TaskTypes([task_type("call", ("submit", Lane.ANALYZE, _never), ("await", Lane.POLL, _never))])
        await world.store.submit([kinds.place(each) for each in new("call", "submit", "x", "y", "z")], 0.0)
        async with anyio.create_task_group() as group:
            group.start_soon(world.pool("a", polls=0).run)
            await world.clock.sleep(60)
            assert world.looks == []
            group.start_soon(world.pool("b").run)
        assert {name for _, name in world.looks} == {"b"}
        assert set(await _states(world)) == {"done"}

    run_virtual(scenario())


async def _states(world: World) -> list[str]:
    found = await world.store.counts()
    return [state for states in found.by.values() for state in states]
