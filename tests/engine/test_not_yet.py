"""What is not there yet: premieres, patience of an error's own, lanes that open again during a long run."""

from __future__ import annotations

import anyio

from pipeline.core.errors import NotYet, ReelmillError, Throttled, Transient
from pipeline.core.model import Lane, Selection, State, Task
from pipeline.core.outcome import Done, Outcome
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import EPOCH, run_virtual
from tests.support.engine_harness import engine, new, task_type

WIDTHS = dict.fromkeys(Lane, 2)


class Raising:
    """A step that raises until a time, and notes when it was entered."""

    def __init__(self, until: float, error: ReelmillError) -> None:
        self.until, self.error = until, error
        self.entered: list[float] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.entered.append(anyio.current_time())
        if anyio.current_time() < self.until:
            raise self.error
        return Done()


async def quick(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    """Work well at once."""
    return Done()


def test_what_will_be_there_soon_is_waited_for_and_costs_no_attempt() -> None:
    """Ten looks, none of them counted; what is waited for can be read from the task."""
    step = Raising(600.0, NotYet("not shown yet", after=60.0, code="upcoming"))
    it = engine(task_type("get", ("go", Lane.DOWNLOAD, step)), widths=WIDTHS)
    ending = run_virtual(it.run(new("get", "go", "a")))
    task = run_virtual(it.task("a"))
    assert (task.state, task.attempt, ending.later) == (State.DONE, 0, None)
    assert len(step.entered) == 11


def test_a_run_does_not_wait_for_days() -> None:
    """The rest is done, the run ends and says when; the row stays and knows what it waits for."""
    step = Raising(1e9, NotYet("not shown yet", after=200_000.0, code="upcoming"))
    it = engine(
        task_type("get", ("go", Lane.DOWNLOAD, step), deadline=1e6),
        task_type("do", ("go", Lane.WRITE, quick)),
        widths=WIDTHS,
    )

    async def work() -> tuple[float | None, float]:
        ending = await it.run(new("get", "go", "a") + new("do", "go", "b"))
        return ending.later, anyio.current_time()

    later, took = run_virtual(work())
    assert later is not None
    assert later - EPOCH >= 200_000
    assert took < 3600
    task = run_virtual(it.task("a"))
    assert task.state is State.PENDING
    assert task.trouble is not None
    assert task.trouble.code == "upcoming"


def test_what_is_not_there_for_long_is_looked_at_ever_less_often() -> None:
    """An hour, six, then once a day; none is an attempt, and the stage's deadline ends it."""
    step = Raising(1e9, NotYet("processed", after=3600.0, then=(21_600.0, 86_400.0), code="processing"))
    it = engine(task_type("get", ("go", Lane.DOWNLOAD, step), attempts=2, deadline=300_000.0), widths=WIDTHS)
    run_virtual(it.run(new("get", "go", "a"), horizon=1e6))
    task = run_virtual(it.task("a"))
    hours = [round(at / 3600) for at in step.entered]
    assert (hours, task.attempt, task.state) == ([0, 1, 7, 31, 55, 79, 103], 0, State.FAILED)


def test_an_error_may_bring_its_own_patience() -> None:
    """30 seconds, five minutes, then it is final: whatever the engine's own patience is."""
    step = Raising(1e9, Transient("refused", waits=(30.0, 300.0), code="forbidden"))
    it = engine(task_type("get", ("go", Lane.DOWNLOAD, step), attempts=20), widths=WIDTHS)
    run_virtual(it.run(new("get", "go", "a")))
    task = run_virtual(it.task("a"))
    assert task.state is State.FAILED
    assert [round(at) for at in step.entered] == [0, 30, 330]


def test_each_class_of_trouble_counts_for_itself() -> None:
    """A night of resets and a premiere use up nothing of what a 403 is worth; a retry by hand starts at zero."""
    reset, refused = Transient("reset", code="network"), Transient("refused", waits=(30.0, 300.0), code="forbidden")
    odd = Transient("odd", waits=(60.0,), code="unknown")
    script = [reset, reset, NotYet("soon", after=60.0, code="upcoming"), refused, odd, reset, refused, odd]
    met: list[str] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        if not script:
            return Done(data={"met": len(met)})
        met.append(script[0].trouble.code)
        raise script.pop(0)

    it = engine(task_type("get", ("go", Lane.DOWNLOAD, step), attempts=4), widths=WIDTHS)

    async def work() -> None:
        await it.run(new("get", "go", "a"))
        task = await it.task("a")
        assert task.trouble is not None
        assert (task.state, task.trouble.code) == (State.FAILED, "unknown")  # the second of one
        assert (len(met), task.attempt) == (8, 3)
        script.extend([odd, refused, refused])
        await it.store.inner.command("retry", Selection(), it.clock.now())
        await it.run()
        assert (await it.task("a")).state is State.DONE

    run_virtual(work())


def test_a_parked_lane_opens_again_in_a_run_that_is_still_busy() -> None:
    """An hour's pause of one lane does not last as long as a night's work of the others."""
    blocked = Raising(1.0, Throttled("blocked", after=3600.0, group="youtube"))

    async def slow(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await anyio.sleep(7200)
        return Done()

    it = engine(
        task_type("get", ("go", Lane.DOWNLOAD, blocked)), task_type("do", ("go", Lane.WRITE, slow)), widths=WIDTHS
    )
    ending = run_virtual(it.run(new("get", "go", "a") + new("do", "go", "b"), lease=100_000.0))
    assert ending.parked == {}
    assert len(blocked.entered) == 2
    assert 3600 <= blocked.entered[1] <= 3700
    assert run_virtual(it.states()) == {"a": "done", "b": "done"}
