"""Lanes: each has a width of its own, later stages go first, and the provider never holds more than it should."""

from __future__ import annotations

from collections import Counter

import anyio

from pipeline.core.model import Lane, Task
from pipeline.core.outcome import Advance, Done, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck
from tests.support.clock import run_virtual
from tests.support.engine_harness import WIDTHS, engine, new, task_type


class Crowd:
    """A step that takes its time and remembers how many were in it at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0
        self.most = 0
        self.order: list[tuple[float, str]] = []

    async def __call__(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.sleep(self.seconds)
        self.now -= 1
        self.order.append((anyio.current_time(), task.key))
        return Done()


def test_each_lane_is_as_wide_as_it_was_made() -> None:
    """Twenty tasks in each of two lanes: never more at once than the lane's width, and no fewer either."""
    wide, narrow = Crowd(10.0), Crowd(10.0)
    it = engine(task_type("wide", ("go", Lane.POLL, wide)), task_type("narrow", ("go", Lane.ANALYZE, narrow)))
    tasks = new("wide", "go", *(f"w{n}" for n in range(20))) + new("narrow", "go", *(f"n{n}" for n in range(20)))
    run_virtual(it.run(tasks))
    assert (wide.most, narrow.most) == (it.widths[Lane.POLL], it.widths[Lane.ANALYZE])
    assert Counter(run_virtual(it.states()).values()) == {"done": 40}


def test_a_slow_lane_never_starves_a_fast_one() -> None:
    """While four uploads of an hour fill their lane, a hundred quick tasks of another lane are done within a minute."""
    slow, fast = Crowd(3600.0), Crowd(1.0)
    it = engine(task_type("slow", ("go", Lane.UPLOAD, slow), deadline=1e6), task_type("fast", ("go", Lane.WRITE, fast)))
    run_virtual(it.run(new("slow", "go", *"abcdefgh") + new("fast", "go", *(f"f{n}" for n in range(100)))))
    assert max(at for at, _ in fast.order) < 60
    assert len(slow.order) == 8


def test_later_stages_go_first() -> None:
    """With room for one, what was begun is finished before anything new is begun."""
    order: list[tuple[str, str]] = []

    async def step(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        order.append((task.key, task.stage))
        await anyio.sleep(1)
        return Done() if task.stage == "second" else Advance("second")

    it = engine(
        task_type("k", ("first", Lane.FETCH, step), ("second", Lane.FETCH, step)), widths={**WIDTHS, Lane.FETCH: 1}
    )
    run_virtual(it.run(new("k", "first", "a", "b", "c")))
    assert order == [(key, stage) for key in "abc" for stage in ("first", "second")]


def test_a_kind_of_higher_base_goes_before_any_stage_of_a_lower_one() -> None:
    """An analysis is claimed before a new upload, whatever was queued first."""
    crowd = Crowd(1.0)
    low, high = task_type("low", ("go", Lane.FETCH, crowd)), task_type("high", ("go", Lane.FETCH, crowd), base=10)
    it = engine(low, high, widths={**WIDTHS, Lane.FETCH: 1})
    run_virtual(it.run(new("low", "go", "l1", "l2") + new("high", "go", "h1", "h2")))
    assert [key for _, key in crowd.order] == ["h1", "h2", "l1", "l2"]


def test_uploads_wait_while_the_provider_holds_enough() -> None:
    """With ``in_hand`` three, never more than three videos are uploading or waited for; all get there in the end."""
    held: set[str] = set()
    most = 0

    async def upload(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        nonlocal most
        held.add(task.key)
        most = max(most, len(held))
        await anyio.sleep(2)
        return Advance("settle", {"until": anyio.current_time() + 50})

    async def settle(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        if anyio.current_time() < task.data["until"]:
            return Snooze(10)
        held.discard(task.key)
        return Done()

    it = engine(task_type("video", ("upload", Lane.UPLOAD, upload), ("settle", Lane.POLL, settle)))
    run_virtual(it.run(new("video", "upload", *(f"v{n}" for n in range(12))), in_hand=3))
    assert most == 3
    assert Counter(run_virtual(it.states()).values()) == {"done": 12}


def test_uploads_wait_while_the_provider_holds_enough_of_all_hosts() -> None:
    """Three pools on one queue have no more in its hands than one may; all get there in the end."""
    held: set[str] = set()
    most, hosts = 0, set[str]()

    async def upload(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        nonlocal most
        held.add(task.key)
        hosts.add(task.lease.owner if task.lease is not None else "")
        most = max(most, len(held))
        await anyio.sleep(2)
        return Advance("settle", {"until": anyio.current_time() + 50})

    async def settle(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        if anyio.current_time() < task.data["until"]:
            return Snooze(10)
        held.discard(task.key)
        return Done()

    it = engine(task_type("video", ("upload", Lane.UPLOAD, upload), ("settle", Lane.POLL, settle)))

    async def scenario() -> None:
        pools = [it.pool(in_hand=5, family=f"h{number}:", owner=f"h{number}:1") for number in range(3)]
        await pools[0].submit(new("video", "upload", *(f"v{n}" for n in range(30))))
        async with anyio.create_task_group() as group:
            for pool in pools:
                group.start_soon(pool.run)

    run_virtual(scenario())
    assert most == 5
    assert len(hosts) > 1
    assert Counter(run_virtual(it.states()).values()) == {"done": 30}


def test_in_hand_counts_what_an_earlier_run_left_with_the_provider() -> None:
    """Videos that wait to be polled at the start fill the hand as well: no upload starts before one of them is done."""
    uploads: list[float] = []

    async def upload(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        uploads.append(anyio.current_time())
        return Done()

    async def settle(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done()

    it = engine(task_type("video", ("upload", Lane.UPLOAD, upload), ("settle", Lane.POLL, settle)))

    async def scenario() -> None:
        due = it.clock.now() + 300
        await it.pool().submit(new("video", "settle", "old1", "old2", due=due) + new("video", "upload", "new"))
        await it.pool(in_hand=2).run()

    run_virtual(scenario())
    assert len(uploads) == 1
    assert uploads[0] >= 300
