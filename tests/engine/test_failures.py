"""What goes wrong in steps and in the database: counted, bounded, told, and never the death of the whole run."""

from __future__ import annotations

import anyio
import pytest

from pipeline.core.errors import Ambiguous, DatabaseAway, InputError, Permanent, ReelmillError, StoreError, Transient
from pipeline.core.model import Lane, NewTask, Result, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import run_virtual
from tests.support.engine_harness import EngineHarness, engine, new, task_type

FULL = DatabaseAway("the disk is full", code="disk_full")


class Raising:
    """A step that raises the next error, and is done when there is none."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.at: list[float] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.at.append(anyio.current_time())
        if self.errors:
            raise self.errors.pop(0)
        return Done()


async def good(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Work well."""
    await anyio.sleep(1)
    return Done()


def beside(step: Raising, **words: float) -> EngineHarness:
    """Return an engine with the step in one task type and a well-behaved one beside it."""
    return engine(task_type("bad", ("go", Lane.FETCH, step), **words), task_type("good", ("go", Lane.WRITE, good)))


def test_an_unexpected_exception_is_retried_with_backoff() -> None:
    """A fault of ours does not lose a video: the step runs again, later each time, and may succeed."""
    step = Raising(ZeroDivisionError("oops"), KeyError("gone"))
    it = beside(step)
    run_virtual(it.run(new("bad", "go", "a")))
    waits = [after - before for before, after in zip(step.at, step.at[1:], strict=False)]
    assert 2.5 <= waits[0] <= 5.1 <= waits[1] <= 10.1
    task = run_virtual(it.task("a"))
    assert (task.state, task.trouble) == (State.DONE, None)


def test_an_unexpected_exception_fails_in_the_end_under_its_own_class() -> None:
    """After the last attempt the task is failed as ``unexpected``, with the exception's words; others are untouched."""
    it = beside(Raising(*(ValueError(f"number {n}") for n in range(9))))
    ending = run_virtual(it.run(new("bad", "go", "a") + new("good", "go", "b")))
    task = run_virtual(it.task("a"))
    assert (task.state, task.attempt) == (State.FAILED, 4)
    assert task.trouble is not None
    assert (task.trouble.code, task.trouble.detail) == ("unexpected", "number 3")
    assert ending.halted is None
    assert run_virtual(it.states())["b"] == "done"


def test_an_exception_group_from_a_step_is_unexpected_too() -> None:
    """A step that works with a task group of its own may break in its way."""
    step = Raising(ExceptionGroup("several", [ValueError("one"), OSError("two")]))
    it = beside(step)
    run_virtual(it.run(new("bad", "go", "a")))
    assert len(step.at) == 2
    assert run_virtual(it.states()) == {"a": "done"}


@pytest.mark.parametrize("error", [Permanent("no", code="refused"), InputError("empty file", code="refused")])
def test_a_permanent_error_fails_at_once(error: ReelmillError) -> None:
    """What cannot help is not tried again, and does not look exhausted."""
    step = Raising(error)
    it = beside(step)
    run_virtual(it.run(new("bad", "go", "a")))
    task = run_virtual(it.task("a"))
    assert (task.state, task.attempt, len(step.at)) == (State.FAILED, 0, 1)
    assert task.trouble == error.trouble


def test_a_named_wait_is_kept() -> None:
    """Where the other side names a delay, it is waited for, not the backoff."""
    step = Raising(Transient("soon", after=100.0))
    run_virtual(beside(step).run(new("bad", "go", "a")))
    assert step.at == pytest.approx([0.0, 100.0], abs=0.01)


def test_after_an_ambiguous_answer_the_stage_is_not_fresh() -> None:
    """The next claim comes at once and knows that somebody may have acted."""
    fresh: list[bool] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        fresh.append(task.fresh)
        if len(fresh) == 1:
            raise Ambiguous("reset")
        return Done()

    it = engine(task_type("k", ("go", Lane.FETCH, step)))
    run_virtual(it.run(new("k", "go", "a")))
    assert fresh == [True, False]


def test_an_unknown_stage_fails_that_task_only() -> None:
    """A database of another release: the task says so, nothing else is harmed."""
    it = beside(Raising())
    old = engine(task_type("bad", ("gone", Lane.FETCH, good)), task_type("never", ("go", Lane.FETCH, good)))

    async def scenario() -> None:
        tasks = new("bad", "gone", "a") + new("never", "go", "n")
        await it.store.inner.submit([old.task_types.place(task) for task in tasks], it.clock.now())
        ending = await it.run(new("good", "go", "b"))
        assert ending.halted is None
        assert await it.states() == {"a": "failed", "n": "failed", "b": "done"}
        trouble = (await it.task("a")).trouble
        assert trouble is not None
        assert trouble.code == "unknown_stage"

    run_virtual(scenario())


def test_a_predecessors_task_of_an_unknown_stage_can_be_taken_over() -> None:
    """An orphan that this release does not know fails like any other, and does not stop the start."""
    it = beside(Raising())
    old = engine(task_type("never", ("go", Lane.FETCH, good)))

    async def scenario() -> None:
        now = it.clock.now()
        await it.store.inner.submit([old.task_types.place(task) for task in new("never", "go", "n")], now)
        await it.store.inner.claim({Lane.FETCH: 1}, "the dead", now, now + 60)
        await it.run(new("good", "go", "b"))
        assert await it.states() == {"n": "failed", "b": "done"}

    run_virtual(scenario())


def test_nothing_is_polled_for_ever() -> None:
    """A stage that snoozes past its deadline fails, after one last look when the deadline falls due."""
    looks: list[float] = []

    async def poll(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        looks.append(anyio.current_time())
        return Snooze(700)

    it = engine(task_type("k", ("go", Lane.POLL, poll), deadline=3600.0))
    run_virtual(it.run(new("k", "go", "a")))
    task = run_virtual(it.task("a"))
    assert task.trouble is not None
    assert (task.state, task.trouble.code) == (State.FAILED, "deadline")
    assert looks[-1] == pytest.approx(3600, abs=0.1)
    assert task.attempt == 0


def test_a_failing_task_spawns_what_it_asks_for() -> None:
    """A Fail with spawned tasks and a stage for the retry is written as one."""
    why = Trouble("bad", "no")

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Fail(why, spawn=[NewTask("good", "child", "go")], stage="go", data={"next": 1})

    it = engine(task_type("k", ("go", Lane.FETCH, step)), task_type("good", ("go", Lane.WRITE, good)))
    run_virtual(it.run(new("k", "go", "a")))
    assert run_virtual(it.states()) == {"a": "failed", "child": "done"}
    assert run_virtual(it.task("a")).data == {"next": 1}


# ------------------------------------------------------------------------------------------------ the database


def breaking(it: EngineHarness, name: str, error: ReelmillError, start: float, end: float) -> None:
    """Let a database call fail between two times."""
    it.store.break_with(name, lambda: error if start <= anyio.current_time() < end else None)


def test_an_outcome_is_kept_in_hand_while_the_disk_is_full() -> None:
    """A paid answer whose writing fails for a while is written when there is room again; its step runs once."""
    runs = 0

    async def pay(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        nonlocal runs
        runs += 1
        return Done(results=[Result("s", "job", "f", {"dear": True})])

    it = engine(task_type("k", ("go", Lane.ANALYZE, pay)))
    breaking(it, "apply", FULL, 0.0, 12.0)

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a"))
        assert ending.halted is None
        assert runs == 1
        assert [result.body for result in await it.store.inner.results(["s"])] == [{"dear": True}]
        assert 12 <= anyio.current_time() < 40

    run_virtual(scenario())


def test_a_disk_that_stays_full_ends_the_run_with_its_name() -> None:
    """After some patience the run halts; the row stays running, so that the next start asks what came of it."""
    it = beside(Raising())
    breaking(it, "apply", FULL, 0.0, 1e6)

    async def scenario() -> None:
        ending = await it.run(new("bad", "go", "a"))
        assert ending.halted == FULL.trouble
        assert ending.cause == "store"
        assert 20 <= anyio.current_time() < 120
        assert (await it.task("a")).state is State.RUNNING

    run_virtual(scenario())


@pytest.mark.parametrize("name", ["claim", "apply", "next_due", "counts", "expired", "park"])
def test_a_broken_database_halts_the_run_whatever_call_meets_it(name: str) -> None:
    """A StoreError from any call of the pool ends the run as halted by the store, not with a traceback."""
    broken = StoreError("the database is damaged", code="database_damaged")

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(50)
        return Snooze(60) if anyio.current_time() < 900 else Done()

    async def limited(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        from pipeline.core.errors import Throttled

        await anyio.sleep(20)
        raise Throttled("quota", after=7200.0, group="read")

    it = engine(task_type("k", ("go", Lane.POLL, step)), task_type("l", ("go", Lane.ANALYZE, limited)))
    breaking(it, name, broken, 10.0, 1e6)

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a") + new("l", "go", "b"))
        assert ending.halted is broken.trouble
        assert ending.cause == "store"
        assert anyio.current_time() < 900

    run_virtual(scenario())


@pytest.mark.parametrize("name", ["claim", "next_due", "counts", "expired", "renew", "park"])
def test_a_database_that_is_busy_for_a_while_is_waited_for(name: str) -> None:
    """A lock held by a backup for ten seconds: no call of the pool minds, none is made over and over, the work ends."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(1)
        return Advance("then")

    async def limited(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        from pipeline.core.errors import Throttled

        await anyio.sleep(20)
        raise Throttled("quota", after=7200.0, group="read")

    it = engine(
        task_type("k", ("go", Lane.POLL, step), ("then", Lane.WRITE, good)),
        task_type("l", ("go", Lane.ANALYZE, limited)),
    )
    breaking(it, name, DatabaseAway("locked", code="database_locked"), 15.0, 25.0)

    async def scenario() -> None:
        pool = it.pool(lease=30.0)
        await pool.submit(
            [*new("l", "go", "l"), *(NewTask("k", f"k{n}", "go", due=it.clock.now() + n) for n in range(40))]
        )
        with it.counting() as made:
            ending = await pool.run()
        assert ending.halted is None
        assert made[name] < 300
        states = await it.states()
        assert {states[key] for key in states if key != "l"} == {"done"}
        assert [parked.scope for parked in await it.store.inner.parked(it.clock.now())] == ["analyze"]

    run_virtual(scenario())


def test_a_database_that_is_busy_while_a_list_is_read_is_waited_for() -> None:
    """Who feeds the run has patience, too: a lock that goes ends neither the reading nor the run."""
    it = beside(Raising())
    breaking(it, "submit", DatabaseAway("locked", code="database_locked"), 5.0, 25.0)

    async def scenario() -> None:
        pool = it.pool()
        pool.feeding(+1)

        async def feed() -> None:
            for number in range(3):
                await anyio.sleep(5)
                await pool.submit(new("good", "go", f"b{number}"))
            pool.feeding(-1)

        async with anyio.create_task_group() as group:
            group.start_soon(feed)
            assert (await pool.run()).halted is None
        assert await it.states() == {"b0": "done", "b1": "done", "b2": "done"}

    run_virtual(scenario())


def test_a_database_that_is_busy_while_a_list_starts_things_again_is_waited_for() -> None:
    """What a line takes up again has the same patience as what it puts in."""
    it = beside(Raising())
    breaking(it, "command", DatabaseAway("locked", code="database_locked"), 5.0, 25.0)

    async def scenario() -> None:
        pool = it.pool()
        await pool.submit(new("good", "go", "a"))
        await it.store.inner.command("cancel", Selection(), it.clock.now())
        await anyio.sleep(10)
        assert await pool.command("retry", Selection(), it.clock.now()) == 1
        assert it.clock.monotonic() >= 25

    run_virtual(scenario())


def test_a_database_that_stays_busy_ends_the_run() -> None:
    """Nothing runs and no claim succeeds: the run does not hang for ever."""
    it = beside(Raising())
    breaking(it, "claim", FULL, 0.0, 1e9)

    async def scenario() -> None:
        with anyio.fail_after(3600):
            ending = await it.run(new("good", "go", "a"))
        assert ending.halted == FULL.trouble

    run_virtual(scenario())


def test_an_outcome_that_cannot_be_stored_fails_its_task_only() -> None:
    """A job that brings a value that is no JSON: that task fails and says so, the others finish, so does the run."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done(results=[Result("s", "job", "f", {"value": float("nan")})])

    it = engine(task_type("k", ("go", Lane.WRITE, step)), task_type("good", ("go", Lane.WRITE, good)))

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a") + new("good", "go", "b"))
        assert ending.halted is None
        assert await it.states() == {"a": "failed", "b": "done"}
        trouble = (await it.task("a")).trouble
        assert trouble is not None
        assert trouble.code == "unstorable"

    run_virtual(scenario())


def test_an_outcome_that_spawns_what_is_not_known_fails_its_task_only() -> None:
    """A kind that names a stage that does not exist is a fault of ours, and no reason to end the run for everybody."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done(spawn=[NewTask("good", "child", "no such stage")])

    it = engine(task_type("k", ("go", Lane.WRITE, step)), task_type("good", ("go", Lane.WRITE, good)))

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a") + new("good", "go", "b"))
        assert ending.halted is None
        assert await it.states() == {"a": "failed", "b": "done"}

    run_virtual(scenario())


def test_an_outcome_that_goes_on_where_nothing_is_fails_its_task_only() -> None:
    """Advancing to a stage that does not exist ends as an unknown stage."""

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Advance("no such stage")

    it = engine(task_type("k", ("go", Lane.WRITE, step)), task_type("good", ("go", Lane.WRITE, good)))

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a") + new("good", "go", "b"))
        assert ending.halted is None
        assert await it.states() == {"a": "failed", "b": "done"}

    run_virtual(scenario())


class Reading:
    """A step that pays, or not, and then reads from a database that does not answer for a while."""

    def __init__(self, until: float, *, code: str = "database_locked") -> None:
        self.until, self.code = until, code
        self.fresh: list[bool] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.fresh.append(task.fresh)
        if anyio.current_time() < self.until:
            raise DatabaseAway("no answer", code=self.code)
        return Done()


@pytest.mark.parametrize("code", ["database_locked", "disk_full", "database_io"])
def test_a_database_that_is_away_counts_no_attempt_of_a_step(code: str) -> None:
    """What a step reads does not come for twenty seconds: nothing is counted, waits grow, the next try asks first."""
    step = Reading(20.0, code=code)
    it = engine(task_type("k", ("go", Lane.ANALYZE, step), attempts=2))

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a"))
        assert ending.halted is None
        assert await it.states() == {"a": "done"}
        assert (await it.task("a")).attempt == 0
        assert step.fresh[:2] == [True, False], "the step may have paid before it read"
        assert 5 <= len(step.fresh) <= 9
        assert anyio.current_time() <= 20 + 5.5

    run_virtual(scenario())


def test_a_stage_that_is_overdue_does_not_fail_for_the_databases_sake() -> None:
    """The database is away when a deadline passes: the step has its look, once it is back."""
    step = Reading(20.0)
    it = engine(task_type("k", ("go", Lane.ANALYZE, step), deadline=10.0))

    async def scenario() -> None:
        await it.run(new("k", "go", "a"))
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


@pytest.mark.parametrize("patience", [30.0, 90.0])
def test_a_database_that_one_step_cannot_read_for_long_ends_the_run(patience: float) -> None:
    """Else it would be read for ever. The task is as it was, and the next run goes on with it."""
    step = Reading(1e9)
    it = engine(task_type("k", ("go", Lane.ANALYZE, step)))

    async def scenario() -> None:
        ending = await it.run(new("k", "go", "a"), store_patience=patience)
        assert ending.halted is not None
        assert (ending.halted.code, ending.cause) == ("database_locked", "store")
        assert patience <= anyio.current_time() < patience + 5
        step.until = 0.0
        assert (await it.run()).halted is None
        assert await it.states() == {"a": "done"}
        assert (await it.task("a")).attempt == 0

    run_virtual(scenario())


@pytest.mark.parametrize("name", ["claim", "apply", "submit"])
def test_a_database_is_waited_for_as_long_as_configured(name: str) -> None:
    """Two minutes without an answer end no run that has ten of patience, and work goes on at once."""
    it = beside(Raising())
    breaking(it, name, DatabaseAway("locked", code="database_locked"), 0.0, 120.0)

    async def scenario() -> None:
        ending = await it.run(new("good", "go", "a"), store_patience=600.0)
        assert ending.halted is None
        assert anyio.current_time() < 120 + 6
        assert await it.states() == {"a": "done"}

    run_virtual(scenario())


def test_an_outcome_whose_answer_was_lost_is_repeated_and_counts_once() -> None:
    """The commit stood, its answer did not come: nothing is told as fenced out, nothing happens twice."""
    made: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        made.append(f"{task.key} {task.stage}")
        go_on = [NewTask("k", f"{task.key}{number}", "then") for number in range(2)]
        return Advance("then", spawn=go_on) if task.stage == "go" else Done()

    it = engine(task_type("k", ("go", Lane.ANALYZE, step), ("then", Lane.WRITE, step)))
    lost = iter([True, True, False] * 100)
    it.store.lose_answers("apply", lambda: DatabaseAway("no answer") if next(lost) else None)

    async def scenario() -> None:
        pool = it.pool()
        await pool.submit(new("k", "go", "a", "b"))
        assert (await pool.run()).halted is None
        assert pool.metrics.words == {"k.advanced": 2, "k.done": 6}
        assert set((await it.states()).values()) == {"done"}
        assert sorted(made) == sorted({*made})
        assert len(made) == 8
        assert it.store.calls["apply"] == 24

    run_virtual(scenario())
