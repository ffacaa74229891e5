"""Waits that concern a whole lane or the whole run: throttles, quotas, the budget, the operator."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from pipeline.core.errors import ConfigError, NeedsOperator, ReelmillError, StoreError, Throttled
from pipeline.core.model import Lane, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Outcome, Park, Snooze
from pipeline.core.task_types import LeaseCheck
from pipeline.ports.store import Records
from tests.support.clock import EPOCH, run_virtual
from tests.support.engine_harness import EngineHarness, engine, new, task_type

WHY = Trouble("why", "because")


class Gate:
    """A step that raises until a time, and notes when it was entered."""

    def __init__(self, until: float, error: Callable[[float], ReelmillError]) -> None:
        self.until = until
        self.error = error
        self.entered: list[float] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        now = anyio.current_time()
        self.entered.append(now)
        if now < self.until:
            raise self.error(self.until - now)
        return Done()


def throttle(left: float) -> ReelmillError:
    """Return the error of a limit that opens again in so many seconds."""
    return Throttled("too many requests", after=left, group="analyze")


async def done(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Work well."""
    await anyio.sleep(1)
    return Done()


def two_lanes(gate: Gate) -> EngineHarness:
    """Return an engine whose analyze lane meets the gate."""
    return engine(task_type("ask", ("go", Lane.ANALYZE, gate)), task_type("other", ("go", Lane.WRITE, done)))


def test_a_short_throttle_pauses_the_lane_and_goes_on_by_itself() -> None:
    """Nobody in the lane tries before the limit opens; other lanes work on; nothing is counted against the tasks."""
    gate = Gate(100.0, throttle)
    it = two_lanes(gate)
    ending = run_virtual(it.run(new("ask", "go", *(f"a{n}" for n in range(9))) + new("other", "go", "o")))
    early = [at for at in gate.entered if at < 100]
    assert len(early) <= it.widths[Lane.ANALYZE]
    assert len(gate.entered) == len(early) + 9
    assert (ending.parked, ending.halted) == ({}, None)
    assert set(run_virtual(it.states()).values()) == {"done"}
    assert run_virtual(it.task("a0")).attempt == 0


def test_a_throttled_task_stays_fresh() -> None:
    """A refused request reached nobody: the next claim acts without asking first."""
    fresh: list[bool] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        fresh.append(task.fresh)
        if len(fresh) < 3:
            raise throttle(10)
        return Done()

    run_virtual(engine(task_type("ask", ("go", Lane.ANALYZE, step))).run(new("ask", "go", "a")))
    assert fresh == [True, True, True]


def test_a_long_throttle_parks_the_lane_and_ends_the_run() -> None:
    """The park is in the database with its time, the other lanes drain, the lane's tasks wait untouched."""
    gate = Gate(5000.0, throttle)
    it = two_lanes(gate)

    async def scenario() -> None:
        ending = await it.run(new("ask", "go", "a", "b", "c") + new("other", "go", *"opqrstuv"), patience=600)
        assert ending.parked[Lane.ANALYZE].until == EPOCH + 5000
        assert ending.halted is None
        states = await it.states()
        assert {states[key] for key in "opqrstuv"} == {"done"}
        assert {states[key] for key in "abc"} == {"pending"}
        assert (await it.task("a")).attempt == 0
        records: Records = it.store.inner
        assert [(p.scope, p.until) for p in await records.parked(it.clock.now())] == [("analyze", EPOCH + 5000)]
        assert anyio.current_time() < 60

    run_virtual(scenario())


def test_the_next_run_respects_a_park_until_its_time_has_come() -> None:
    """Before the time nobody in the lane moves; after it, everybody does."""
    gate = Gate(5000.0, throttle)
    it = two_lanes(gate)

    async def another() -> tuple[int, dict[str, str]]:
        entered = len(gate.entered)
        ending = await it.run(patience=600)
        assert (Lane.ANALYZE in ending.parked) == (anyio.current_time() < 5000)
        return len(gate.entered) - entered, await it.states()

    async def scenario() -> None:
        await it.run(new("ask", "go", "a", "b"), patience=600)
        await it.pool().submit(new("other", "go", "o"))
        tried, states = await another()
        assert (tried, states) == (0, {"a": "pending", "b": "pending", "o": "done"})
        await anyio.sleep(5000)
        tried, states = await another()
        assert (tried, states) == (2, {"a": "done", "b": "done", "o": "done"})

    run_virtual(scenario())


@pytest.mark.parametrize("during", [True, False], ids=["during a run", "between two runs"])
def test_a_clock_that_is_set_back_opens_what_it_has_parked(during: bool) -> None:
    """A clock that was a month ahead is put right: a limit that opens in an hour and a half closes no lane for a month."""
    month, gate = 30 * 86_400.0, Gate(5000.0, throttle)

    async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done() if anyio.current_time() > 6000 else Snooze(500)

    it = engine(task_type("ask", ("go", Lane.ANALYZE, gate)), task_type("look", ("go", Lane.POLL, poll), deadline=1e9))

    async def scenario() -> None:
        it.clock.skew += month
        if during:
            pool = it.pool(patience=600)
            await pool.submit(new("ask", "go", "a") + new("look", "go", "l"))
            async with anyio.create_task_group() as group:
                group.start_soon(pool.run)
                await anyio.sleep(100)
                it.clock.skew -= month
        else:
            assert Lane.ANALYZE in (await it.run(new("ask", "go", "a"), patience=600)).parked
            it.clock.skew -= month
            assert not (await it.run(patience=600)).parked
            assert await it.store.inner.parked(it.clock.now()) == []
            await anyio.sleep(5000)
            assert not (await it.run(patience=600)).parked
        assert await it.states() == {"a": "done"} | ({"l": "done"} if during else {})
        assert anyio.current_time() < 7000

    run_virtual(scenario())


def test_the_next_run_waits_for_a_pause_that_ends_soon() -> None:
    """A process dies while a limit makes it wait: its successor tries nobody before the limit opens."""
    gate = Gate(100.0, throttle)
    it = two_lanes(gate)

    async def scenario() -> None:
        await it.pool().submit(new("ask", "go", "a", "b"))
        with anyio.move_on_after(30):
            await it.pool().run()
        assert gate.entered == [0.0, 0.0]
        ending = await it.run(new("other", "go", "o"))
        assert ending.parked == {}
        assert gate.entered == [0.0, 0.0, 100.0, 100.0]
        assert set((await it.states()).values()) == {"done"}

    run_virtual(scenario())


def test_a_process_ends_for_what_another_has_parked() -> None:
    """Beside it, another meets a limit of hours: it does not wait for a lane that nobody opens, and it knows why."""
    gate = Gate(90_000.0, throttle)
    it = two_lanes(gate)

    async def scenario() -> None:
        one, other = it.pool(patience=600), it.pool(patience=600, owner="you")
        other.feeding(+1)
        async with anyio.create_task_group() as group:
            group.start_soon(other.run)
            await anyio.sleep(5)
            await one.submit(new("ask", "go", *(f"a{n}" for n in range(20))))
            assert set((await one.run()).parked) == {Lane.ANALYZE}
            await anyio.sleep(60)
            assert [each.scope for each in other.waits] == ["analyze"]
            other.feeding(-1)
        assert other.run_end.parked == one.run_end.parked
        assert anyio.current_time() < 120
        assert len(gate.entered) <= it.widths[Lane.ANALYZE]

    run_virtual(scenario())


def test_a_lane_that_is_opened_before_its_time_goes_on_in_a_run_that_is_at_work() -> None:
    """Somebody else has taken the pause away: within a minute the lane's tasks are tried."""
    gate = Gate(90_000.0, throttle)
    it = two_lanes(gate)

    async def scenario() -> None:
        pool = it.pool(patience=600)
        pool.feeding(+1)
        await pool.submit(new("ask", "go", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(500)
            gate.until = 0.0
            assert await it.store.inner.unpark(["analyze"], ["throttled", "rate_limited"], it.clock.now()) == 1
            await anyio.sleep(60)
            assert await it.states() == {"a": "done"}
            pool.feeding(-1)
        assert pool.run_end.parked == {}

    run_virtual(scenario())


@pytest.mark.parametrize("during", [True, False], ids=["during a run", "between two runs"])
def test_a_clock_that_is_set_back_keeps_no_lane_paused_for_long(during: bool) -> None:
    """A clock that is a month ahead parks a lane for a minute, and is put right: a task that is due then waits no month."""
    month, gate = 30 * 86_400.0, Gate(60.0, throttle)
    it = two_lanes(gate)

    async def scenario() -> None:
        it.clock.skew += month
        pool = it.pool()
        pool.feeding(+1)
        await pool.submit(new("ask", "go", "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await anyio.sleep(10)
            await it.store.inner.command("cancel", Selection(), it.clock.now())
            if during:
                it.clock.skew -= month
                await pool.submit(new("ask", "go", "b"))
                await anyio.sleep(100)
            group.cancel_scope.cancel()
        if not during:
            it.clock.skew -= month
            await it.run(new("ask", "go", "b"))
        assert await it.states() == {"a": "cancelled", "b": "done"}
        assert anyio.current_time() < 200

    run_virtual(scenario())


def test_the_later_of_two_parks_counts() -> None:
    """Two steps of a lane that name different times: the report names the later one."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(0.1)
        return Park("analyze", EPOCH + float(task.data["until"]), WHY)

    it = engine(task_type("ask", ("go", Lane.ANALYZE, step)))
    tasks = [*new("ask", "go", "a", data={"until": 9000}), *new("ask", "go", "b", data={"until": 7000})]
    ending = run_virtual(it.run(tasks))
    assert ending.parked[Lane.ANALYZE].until == EPOCH + 9000


def test_the_budget_closes_the_paying_lane_only() -> None:
    """What is admitted already and every other lane go on to their end; the rest waits for another run."""

    async def pay(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(1)
        return Done() if task.key == "a" else Park("budget", EPOCH, Trouble("budget", "spent"))

    it = engine(task_type("ask", ("go", Lane.ANALYZE, pay)), task_type("other", ("go", Lane.WRITE, done)))
    ending = run_virtual(it.run(new("ask", "go", *"abcdefghi") + new("other", "go", *"rstuvwxyz")))
    assert ending.budget is not None
    states = run_virtual(it.states())
    assert {key for key, state in states.items() if state == "done"} == {"a", *"rstuvwxyz"}
    assert {states[key] for key in "bcdefghi"} == {"pending"}
    assert run_virtual(it.store.inner.parked(0.0)) == []


def test_what_the_budget_admitted_is_paid_for_and_finished() -> None:
    """A hundred wait, money for five: those five pass every stage of the paying lane, and nobody asks over and over."""
    money, asked, paid = 5, 0, list[str]()

    async def price(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        nonlocal money, asked
        asked += 1
        if not money:
            return Park("budget", EPOCH, Trouble("budget", "spent"))
        money -= 1
        return Advance("pay")

    async def pay(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(30)
        paid.append(task.key)
        return Advance("wait")

    it = engine(task_type("ask", ("price", Lane.ANALYZE, price), ("pay", Lane.ANALYZE, pay), ("wait", Lane.POLL, done)))
    keys = [f"a{n}" for n in range(100)]

    async def scenario() -> None:
        nonlocal money
        ending = await it.run(new("ask", "price", *keys))
        assert ending.budget is not None
        assert len(paid) == 5
        states = await it.states()
        assert sorted(states.values()) == ["done"] * 5 + ["pending"] * 95
        assert asked < 30
        money = 1000
        assert (await it.run()).budget is None
        assert set((await it.states()).values()) == {"done"}

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NeedsOperator("the key was refused", code="bad_key"), "operator"),
        (ConfigError("the configuration is wrong"), "config"),
        (StoreError("the database is damaged"), "store"),
    ],
)
def test_what_concerns_everybody_halts_the_run_and_blames_no_task(error: ReelmillError, cause: str) -> None:
    """No task is claimed after it, running ones finish, the task that met it waits uncounted, the next run finishes.

    The database may have broken behind the step's call: then whoever goes on asks first.
    """
    broken = True
    begun: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        begun.append(task.key)
        if broken and task.key == "a":
            raise error
        await anyio.sleep(5)
        return Done()

    it = engine(task_type("k", ("go", Lane.FETCH, step)))

    async def scenario() -> None:
        nonlocal broken
        ending = await it.run(new("k", "go", *"abcdefghi"))
        assert ending.halted is error.trouble
        assert ending.cause == cause
        assert begun == list("abcd")
        states = await it.states()
        assert {key for key, state in states.items() if state == "done"} == set("bcd")
        task = await it.task("a")
        assert (task.state, task.attempt, task.claims) == (State.PENDING, 0, int(cause == "store"))
        broken = False
        assert (await it.run()).halted is None
        assert set((await it.states()).values()) == {"done"}

    run_virtual(scenario())
