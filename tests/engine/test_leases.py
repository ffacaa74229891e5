"""Leases: who holds one may write; who is not sure of it does not pay; who lost it writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from pipeline.core.errors import DatabaseAway, LostLease
from pipeline.core.model import Lane, Result, Selection, State, Task
from pipeline.core.outcome import Done, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import VirtualLoop, run_virtual
from tests.support.engine_harness import CountingStore, EngineHarness, engine, new, task_type


class Payer:
    """A step that works for a while, asks whether it may pay, pays, and works on."""

    def __init__(self, before: float, after: float = 1.0) -> None:
        self.before = before
        self.after = after
        self.paid: list[float] = []
        self.fresh: list[bool] = []
        self.cancelled = 0

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.fresh.append(task.fresh)
        try:
            await anyio.sleep(self.before)
            ensure_fresh()
            self.paid.append(anyio.current_time())
            await anyio.sleep(self.after)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return Done(results=[Result("s", "job", f"{len(self.paid)}", {})])


def paying(payer: Payer, **words: float) -> EngineHarness:
    """Return an engine of one paying lane."""
    return engine(task_type("pay", ("go", Lane.ANALYZE, payer), deadline=1e6, **words))


def out_of_order(it: EngineHarness, name: str, start: float, end: float) -> None:
    """Let the named database call fail between two times."""

    def error() -> Exception | None:
        return DatabaseAway("busy") if start <= anyio.current_time() < end else None

    it.store.break_with(name, error)


@asynccontextmanager
async def at_work(it: EngineHarness, *keys: str) -> AsyncIterator[None]:
    """Let a pool pay for these while the block does something to it; it has ended behind the block."""
    await it.pool().submit(new("pay", "go", *keys))
    async with anyio.create_task_group() as group:
        group.start_soon(it.pool(lease=120.0).run)
        yield


def test_a_long_step_keeps_its_lease() -> None:
    """Ten lifetimes in one step: the lease is renewed all the time, and the step may pay at the end."""
    payer = Payer(1200.0)
    it = paying(payer)
    run_virtual(it.run(new("pay", "go", "a"), lease=120.0))
    assert len(payer.paid) == 1
    assert it.store.calls["renew"] >= 29
    assert run_virtual(it.task("a")).attempt == 0


def test_renewing_is_one_call_for_all() -> None:
    """However many tasks run, a renewal asks the database once, three times a lifetime."""
    it = paying(Payer(600.0))
    run_virtual(it.run(new("pay", "go", *"abcd"), lease=120.0))
    assert 13 <= it.store.calls["renew"] <= 16


def test_a_lease_lost_while_a_step_runs_cancels_it_and_writes_nothing() -> None:
    """An operator cancels the task: the step ends at the next renewal, unpaid, and its outcome is not written."""
    payer = Payer(300.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a", "b"):
            await anyio.sleep(50)
            assert await it.store.inner.command("cancel", Selection(keys=("a",)), it.clock.now()) == 1
            await anyio.sleep(45)
            assert payer.cancelled == 1
        assert await it.states() == {"a": "cancelled", "b": "done"}
        assert len(await it.store.inner.results(["s"])) == 1
        assert len(payer.paid) == 1

    run_virtual(scenario())


def test_an_operators_cancel_between_work_and_writing_is_not_overwritten() -> None:
    """The step ends before it notices: what it brings is refused by the database."""
    payer = Payer(10.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a"):
            await anyio.sleep(5)
            await it.store.inner.command("cancel", Selection(keys=("a",)), it.clock.now())
        assert await it.states() == {"a": "cancelled"}
        assert await it.store.inner.results(["s"]) == []

    run_virtual(scenario())


def test_no_paid_call_on_a_lease_older_than_half_its_life() -> None:
    """Renewals fail for a while: the step that wants to pay is refused, tried again later, and then asks first."""
    payer = Payer(90.0)
    it = paying(payer)
    out_of_order(it, "renew", 0.0, 100.0)

    async def scenario() -> None:
        await it.run(new("pay", "go", "a"), lease=120.0)
        assert len(payer.paid) == 1
        assert payer.fresh == [True, False]
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


def test_a_frozen_process_does_not_pay_when_it_wakes() -> None:
    """The loop stood still for ten minutes: steps that wake before the first renewal may not pay on what they had."""
    payer = Payer(30.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a"):
            await anyio.sleep(29)
            running = asyncio.get_running_loop()
            assert isinstance(running, VirtualLoop)
            running.jump(600)
        assert payer.fresh == [True, False]
        assert [at > 629 for at in payer.paid] == [True]
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


def test_a_machine_that_slept_pays_nothing_before_it_has_asked() -> None:
    """Where the monotonic clock stands still while a machine sleeps, the wall clock says that the lease is over."""
    payer = Payer(30.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a"):
            await anyio.sleep(29)
            it.clock.skew += 121
        assert payer.fresh == [True, False], "the next attempt asks the platform first"
        assert len(payer.paid) == 1
        assert payer.paid[0] > 31
        task = await it.task("a")
        assert (task.state, task.attempt) == (State.DONE, 0), "to have slept is no failure"

    run_virtual(scenario())


def test_a_paused_host_of_a_shared_database_pays_nothing_before_it_has_asked() -> None:
    """All clocks but the wall clock stood still, and it is not that one which tells the time of the leases."""
    payer = Payer(30.0)
    it = paying(payer)
    it.shared = True

    async def scenario() -> None:
        async with at_work(it, "a"):
            await anyio.sleep(29)
            it.clock.skew += 121
        assert payer.fresh == [True, False], "the next attempt asks the platform first"
        assert [at > 31 for at in payer.paid] == [True]
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


def test_a_machine_that_slept_pays_on_what_was_confirmed_since() -> None:
    """A step that works on until the next renewal keeps its task."""
    payer = Payer(60.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a"):
            await anyio.sleep(29)
            it.clock.skew += 3600
        assert payer.fresh == [True]

    run_virtual(scenario())


@pytest.mark.parametrize(("jump", "fresh"), [(7200.0, [True, True, False, False]), (-7200.0, [True, True])])
def test_a_wall_clock_that_jumps_takes_nothing_from_a_living_worker(jump: float, fresh: list[bool]) -> None:
    """Summer time on a machine without UTC, a late NTP: no step is paid twice, none is an attempt the poorer.

    Forwards, it cannot be told from a machine that slept: what wants to pay just then asks the platform first.
    """
    payer = Payer(212.0, 200.0)
    it = paying(payer)

    async def scenario() -> None:
        async with at_work(it, "a", "b"):
            await anyio.sleep(205)  # the next sweep comes before the next renewal
            it.clock.skew += jump
        assert payer.fresh == fresh
        assert len(payer.paid) == 2
        assert await it.states() == {"a": "done", "b": "done"}
        assert (await it.task("a")).attempt == 0

    run_virtual(scenario())


@pytest.mark.parametrize("during", [True, False], ids=["during a run", "between two runs"])
def test_a_wall_clock_that_is_set_back_lets_nothing_sleep(during: bool) -> None:
    """A clock that was a month ahead is put right: what was to wait ten minutes waits ten minutes."""
    month, looks = 30 * 86_400.0, []

    async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        looks.append(anyio.current_time())
        return Done() if len(looks) > 2 else Snooze(600)

    it = engine(task_type("job", ("go", Lane.POLL, poll), deadline=1e9))

    async def scenario() -> None:
        it.clock.skew += month
        await it.pool().submit(new("job", "go", "a"))
        if during:
            async with anyio.create_task_group() as group:
                group.start_soon(it.pool(lease=120.0).run)
                await anyio.sleep(5)
                it.clock.skew -= month
        else:
            with anyio.move_on_after(5):
                await it.pool().run()
            it.clock.skew -= month
            await it.pool().run()
        assert await it.states() == {"a": "done"}
        assert looks[-1] < 1_300

    run_virtual(scenario())


def test_an_expired_lease_is_swept_while_the_run_goes_on() -> None:
    """A running row that nobody works on comes back to the queue, an attempt the poorer, and not fresh."""
    payer = Payer(1.0)
    it = paying(payer)

    async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done() if anyio.current_time() > 900 else Snooze(30)

    it = engine(
        task_type("pay", ("go", Lane.ANALYZE, payer), deadline=1e6),
        task_type("other", ("go", Lane.POLL, poll), deadline=1e6),
    )

    async def scenario() -> None:
        pool = it.pool(lease=120.0)
        await pool.submit(new("other", "go", "o"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(10)
            await it.store.inner.submit([it.task_types.place(task) for task in new("pay", "go", "a")], it.clock.now())
            now = it.clock.now()
            assert len(await it.store.inner.claim({Lane.ANALYZE: 1}, "somebody else", now, now + 120)) == 1
        assert payer.fresh == [False]
        assert 130 < payer.paid[0] < 200
        assert await it.states() == {"a": "done", "o": "done"}

    run_virtual(scenario())


def test_a_predecessors_tasks_are_taken_over_at_once() -> None:
    """Under the lock of the state folder, running rows are orphans: no lease is waited for."""
    payer = Payer(1.0)
    it = paying(payer)

    async def scenario() -> None:
        await it.pool().submit(new("pay", "go", "a"))
        now = it.clock.now()
        await it.store.inner.claim({Lane.ANALYZE: 1}, "the dead", now, now + 3600)
        await it.run()
        assert payer.fresh == [False]
        assert anyio.current_time() < 5
        assert (await it.task("a")).trouble is None or (await it.task("a")).state is State.DONE

    run_virtual(scenario())


def test_a_task_that_kills_its_process_every_time_fails_in_the_end() -> None:
    """A lost lease is an attempt: after as many deaths as a stage has attempts, the task stays failed."""
    it = paying(Payer(1.0))

    async def scenario() -> None:
        await it.pool().submit(new("pay", "go", "a"))
        for _ in range(4):
            await anyio.sleep(3600)
            now = it.clock.now()
            await it.store.inner.claim({Lane.ANALYZE: 1}, "the dead", now, now + 3600)
            await it.pool().take_over()
        task = await it.task("a")
        assert (task.state, task.attempt) == (State.FAILED, 4)
        assert task.trouble is not None
        assert task.trouble.code == "lost_lease"

    run_virtual(scenario())


def test_a_worker_whose_task_was_given_to_another_writes_nothing() -> None:
    """Two workers, one task: only the one with the newest token is heard, and the other's end takes no lease from it."""
    lengths = [100.0, 400.0]

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        length = lengths.pop(0)
        await anyio.sleep(length)
        ensure_fresh()
        return Done(results=[Result("s", "job", f"{length:.0f}", {})])

    it = engine(task_type("pay", ("go", Lane.ANALYZE, step)))

    async def scenario() -> None:
        pool = it.pool(lease=120.0)
        await pool.submit(new("pay", "go", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(90)
            await it.store.inner.command("cancel", Selection(keys=("a",)), it.clock.now())
            await it.store.inner.command("retry", Selection(keys=("a",)), it.clock.now())
            pool.wake()
        assert [result.fingerprint for result in await it.store.inner.results(["s"])] == ["400"]
        task = await it.task("a")
        assert (task.state, task.attempt) == (State.DONE, 0)

    run_virtual(scenario())


def test_still_tells_a_young_lease_from_an_old_one() -> None:
    """Right after the claim a step may pay; beyond half a lifetime without a renewal it may not."""
    seen: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        for wait in (0.0, 59.0, 2.0):
            await anyio.sleep(wait)
            try:
                ensure_fresh()
                seen.append("may")
            except LostLease:
                seen.append("may not")
        return Done()

    it = engine(task_type("k", ("go", Lane.FETCH, step)))
    out_of_order(it, "renew", 0.0, 1e9)
    run_virtual(it.run(new("k", "go", "a"), lease=120.0))
    assert seen == ["may", "may", "may not"]


def test_the_counting_store_is_the_real_one() -> None:
    """What the tests of this folder count is the memory store that the conformance suite holds to the file."""
    assert type(CountingStore().inner).__name__ == "MemoryDatabase"
