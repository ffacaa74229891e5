"""Every database: putting tasks into the queue and taking them out."""

from __future__ import annotations

import math

import pytest

from pipeline.core.errors import Permanent
from pipeline.core.model import Lane, NewTask, Parked, Placed, Selection, State, Trouble
from pipeline.ports.store import ApplyAnswer, Database
from tests.conformance.store_kit import NOW, ROOM, TROUBLE, bring, claim, each_database, moved, one, placed

database = each_database()

ENDED = [State.DONE, State.FAILED, State.CANCELLED, State.HELD]


@pytest.mark.asyncio
async def test_a_new_task_is_kept_as_given(database: Database) -> None:
    """Every field of a new task is there when it is read, pending and unclaimed."""
    data = {"n": 1, "deep": {"list": [1, 2.5, None, True, "ü"]}}
    put = placed("k", kind="item", stage="resolve", data=data, lane=Lane.POLL, rank=4, due=12.5, subject="v")
    assert await database.submit([put], 10.0) == 1
    task = await one(database, "k")
    assert (task.kind, task.key, task.stage, task.data, task.subject) == ("item", "k", "resolve", data, "v")
    assert (task.state, task.lane, task.rank, task.wake_at) == (State.PENDING, Lane.POLL, 4, 12.5)
    assert (task.attempt, task.claims, task.lease, task.trouble) == (0, 0, None, None)
    assert (task.stage_since, task.created, task.updated) == (10.0, 10.0, 10.0)


@pytest.mark.asyncio
async def test_putting_twice_is_putting_once(database: Database) -> None:
    """The same (kind, key) again changes nothing, in the same call or a later one; another kind is another task."""
    assert await database.submit([placed("a", data={"n": 1}), placed("a", data={"n": 2})], 0.0) == 1
    before = await one(database)
    assert await database.submit([placed("a", data={"n": 3}, stage="other")], 5.0) == 0
    assert await one(database) == before
    assert before.data == {"n": 1}
    assert await database.submit([placed("a", kind="item"), placed("b")], 0.0) == 2


@pytest.mark.asyncio
async def test_putting_nothing_is_allowed(database: Database) -> None:
    """An empty submission changes nothing."""
    assert await database.submit([], 0.0) == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("state", list(State))
async def test_an_existing_task_without_a_restart_is_left_as_it_is(database: Database, state: State) -> None:
    """Without a restart nothing moves, whatever the state."""
    before = await bring(database, state)
    assert await database.submit([placed("a", data={"new": 1}, restart_failed=True)], NOW) == 0
    assert await one(database) == before


@pytest.mark.asyncio
async def test_a_restart_starts_a_done_task_again(database: Database) -> None:
    """A done task is pending at the restart stage, in its lane and rank, counters fresh, the new data over the old."""
    await bring(database, State.DONE, data={"old": 1, "both": 1, "deep": {"x": 1}})
    again = placed("a", restart_at="publish", due=NOW + 5, data={"both": 2, "new": None, "deep": {"y": 2}})
    assert await database.submit([again], NOW) == 1
    task = await one(database)
    assert (task.state, task.stage, task.lane, task.rank) == (State.PENDING, "publish", Lane.WRITE, 7)
    assert (task.attempt, task.claims, task.wake_at, task.stage_since) == (0, 0, NOW + 5, NOW)
    assert task.data == {"old": 1, "both": 2, "new": None, "deep": {"y": 2}}


@pytest.mark.asyncio
async def test_a_restart_takes_failed_only_when_told_to(database: Database) -> None:
    """A failed task starts again only when told to; its trouble is kept until it succeeds."""
    before = await bring(database, State.FAILED)
    assert await database.submit([placed("a", restart_at="publish")], NOW) == 0
    assert await one(database) == before
    assert await database.submit([placed("a", restart_at="publish", restart_failed=True)], NOW) == 1
    task = await one(database)
    assert (task.state, task.stage, task.attempt, task.claims) == (State.PENDING, "publish", 0, 0)
    assert task.trouble == TROUBLE


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [State.CANCELLED, State.HELD])
@pytest.mark.parametrize("restart_failed", [False, True])
async def test_a_restart_never_moves_what_an_operator_must_decide(
    database: Database, state: State, restart_failed: bool
) -> None:
    """Cancelled and held tasks stay, and so does their data."""
    before = await bring(database, state)
    assert (
        await database.submit([placed("a", restart_at="publish", restart_failed=restart_failed, data={"x": 1})], NOW)
        == 0
    )
    assert await one(database) == before


@pytest.mark.asyncio
async def test_restarting_a_pending_task_only_merges_data(database: Database) -> None:
    """A pending task keeps its stage, time and place; it counts as neither new nor restarted."""
    before = await bring(database, State.PENDING, data={"old": 1, "both": 1}, due=3.0)
    assert await database.submit([placed("a", restart_at="publish", due=99.0, data={"both": 2})], NOW) == 0
    task = await one(database)
    assert (task.stage, task.lane, task.rank, task.wake_at) == ("fetch", Lane.FETCH, 0, 3.0)
    assert (task.data, task.stage_since, task.updated) == ({"old": 1, "both": 2}, before.stage_since, NOW)


@pytest.mark.asyncio
async def test_a_restart_within_one_submission_sees_what_came_before(database: Database) -> None:
    """Tasks of one call take effect in order: a new one is pending for the next of the same identity."""
    await bring(database, State.DONE, "old")
    tasks = [
        placed("new", data={"a": 1}, restart_at="publish"),
        placed("new", data={"b": 2}, restart_at="publish"),
        placed("old", data={"a": 1}, restart_at="publish"),
        placed("old", data={"b": 2}, restart_at="other"),
    ]
    assert await database.submit(tasks, NOW) == 2
    new, old = await one(database, "new"), await one(database, "old")
    assert (new.stage, new.data) == ("fetch", {"a": 1, "b": 2})
    assert (old.stage, old.data) == ("publish", {"a": 1, "b": 2})


@pytest.mark.asyncio
async def test_restarting_a_running_task_waits_until_it_is_done(database: Database) -> None:
    """It keeps running with its own data, and becomes pending at the restart stage the moment it ends as done."""
    task = await bring(database, State.RUNNING, data={"own": 1})
    assert await database.submit([placed("a", restart_at="publish", due=NOW + 9, data={"new": 1})], NOW) == 1
    running = await one(database)
    assert (running.state, running.lease, running.data) == (State.RUNNING, task.lease, {"own": 1})
    assert await database.submit([placed("a", restart_at="publish")], NOW) == 0, "the same wish again is no news"
    assert await database.apply(moved(task, data={"own": 2}, trouble=None), NOW + 1) is ApplyAnswer.WRITTEN
    again = await one(database)
    assert (again.state, again.stage, again.lane, again.rank) == (State.PENDING, "publish", Lane.WRITE, 7)
    assert (again.wake_at, again.attempt, again.claims, again.stage_since) == (NOW + 9, 0, 0, NOW + 1)
    assert (again.data, again.lease) == ({"own": 2}, None)
    (task,) = await claim(database, NOW + 10)
    assert await database.apply(moved(task), NOW + 10) is ApplyAnswer.WRITTEN
    assert (await one(database)).state is State.DONE, "the wish is granted once"


@pytest.mark.asyncio
async def test_the_last_of_several_wishes_counts(database: Database) -> None:
    """A wish for another stage replaces the earlier one."""
    task = await bring(database, State.RUNNING)
    await database.submit([placed("a", restart_at="publish")], NOW)
    assert await database.submit([placed("a", restart_at="settle", restart_lane=Lane.POLL, restart_rank=3)], NOW) == 1
    await database.apply(moved(task), NOW)
    again = await one(database)
    assert (again.stage, again.lane, again.rank) == ("settle", Lane.POLL, 3)


@pytest.mark.asyncio
async def test_a_wish_survives_everything_but_done(database: Database) -> None:
    """Advancing, failing and an operator's retry keep the wish: it is granted when the task next ends as done."""
    task = await bring(database, State.RUNNING)
    await database.submit([placed("a", restart_at="publish")], NOW)
    await database.apply(moved(task, State.PENDING, stage="upload", word="advanced"), NOW)
    (task,) = await claim(database)
    await database.apply(moved(task, State.FAILED, trouble=TROUBLE), NOW)
    assert (await one(database)).state is State.FAILED
    await database.command("retry", Selection(), NOW)
    (task,) = await claim(database)
    await database.apply(moved(task), NOW)
    assert ((await one(database)).state, (await one(database)).stage) == (State.PENDING, "publish")


@pytest.mark.asyncio
async def test_restarting_uses_the_wish_up(database: Database) -> None:
    """A failed task that is restarted has used its wish up: the older wish does not start it once more."""
    task = await bring(database, State.RUNNING)
    await database.submit([placed("a", restart_at="publish")], NOW)
    await database.apply(moved(task, State.FAILED, trouble=TROUBLE), NOW)
    await database.submit([placed("a", restart_at="settle", restart_failed=True)], NOW)
    (task,) = await claim(database)
    await database.apply(moved(task), NOW)
    assert (await one(database)).state is State.DONE


@pytest.mark.asyncio
async def test_claim_gives_a_lease_and_counts(database: Database) -> None:
    """A claimed task is running, claims grew, the lease carries owner, end and a token that grows with each claim."""
    await database.submit([placed("a")], 0.0)
    (first,) = await claim(database, until=NOW + 60)
    assert (first.state, first.claims, first.fresh, first.wake_at) == (State.RUNNING, 1, True, NOW + 60)
    assert first.lease is not None
    assert (first.lease.owner, first.lease.until) == ("me", NOW + 60)
    assert await one(database) == first
    await database.apply(moved(first, State.PENDING), NOW)
    (second,) = await claim(database, owner="you")
    assert second.lease is not None
    assert (second.claims, second.fresh, second.lease.owner) == (2, False, "you")
    assert second.lease.token > first.lease.token


@pytest.mark.asyncio
async def test_tokens_grow_over_an_operators_retry(database: Database) -> None:
    """An operator's retry does not reset the token: a worker from before it stays fenced out."""
    first = await bring(database, State.RUNNING)
    await database.command("cancel", Selection(), NOW)
    await database.command("retry", Selection(), NOW)
    (second,) = await claim(database)
    assert first.lease is not None
    assert second.lease is not None
    assert (second.claims, second.lease.token > first.lease.token) == (2, True)
    assert await database.apply(moved(first), NOW) is ApplyAnswer.LOST


@pytest.mark.asyncio
async def test_claim_takes_only_what_is_due_and_pending(database: Database) -> None:
    """A due time equal to now is due, a later one is not; running and ended tasks are not taken."""
    for state in ENDED:
        await bring(database, state, state.value)
    await database.submit([placed("running")], 0.0)
    await claim(database)
    await database.submit([placed("due", due=NOW), placed("later", due=NOW + 5)], 0.0)
    assert [task.key for task in await claim(database)] == ["due"]
    assert [task.key for task in await claim(database, NOW + 5)] == ["later"]


@pytest.mark.asyncio
async def test_claim_order_is_rank_then_time_then_id(database: Database) -> None:
    """Highest rank first, then longest due, then first submitted; also where higher ranks are not due."""
    tasks = [
        placed("low-late", due=5.0),
        placed("low-early", due=1.0),
        placed("high-late", rank=2, due=9.0),
        placed("high-early", rank=2, due=8.0),
        placed("high-early-2", rank=2, due=8.0),
        placed("higher-not-due", rank=3, due=NOW + 1),
        placed("negative", rank=-1, due=0.0),
    ]
    await database.submit(tasks, 0.0)
    order = ["high-early", "high-early-2", "high-late", "low-early", "low-late", "negative"]
    assert [task.key for task in await claim(database)] == order


@pytest.mark.asyncio
async def test_claim_keeps_to_the_room_of_each_lane(database: Database) -> None:
    """At most ``room[lane]`` per lane; none from a lane with no room or not asked for."""
    for lane in Lane:
        await database.submit([placed(f"{lane}{number}", lane=lane, due=float(number)) for number in range(4)], 0.0)
    free_slots = {Lane.FETCH: 2, Lane.UPLOAD: 0, Lane.POLL: 9, Lane.WRITE: -1}
    tasks = await database.claim(free_slots, "me", NOW, NOW + 60)
    assert sorted(task.key for task in tasks) == ["fetch0", "fetch1", "poll0", "poll1", "poll2", "poll3"]
    assert await database.claim({}, "me", NOW, NOW + 60) == []


@pytest.mark.asyncio
async def test_a_parked_lane_gives_nothing_until_its_time(database: Database) -> None:
    """Parked until a time means not before it; other lanes and scopes are not touched; unpark opens at once."""
    await database.submit([placed("f"), placed("p", lane=Lane.POLL)], 0.0)
    await database.park(Parked("fetch", NOW + 10, TROUBLE), NOW)
    await database.park(Parked("source:youtube", NOW + 10, TROUBLE), NOW)
    (task,) = await claim(database)
    assert task.key == "p"
    assert await claim(database, NOW + 9.9) == []
    assert [task.key for task in await claim(database, NOW + 10)] == ["f"]
    await database.submit([placed("g")], 0.0)
    assert await claim(database) == []
    await database.unpark(["fetch", "unknown"], [], NOW)
    assert [task.key for task in await claim(database)] == ["g"]


@pytest.mark.asyncio
async def test_a_clock_that_is_set_back_lets_nobody_wait_longer(database: Database) -> None:
    """What began to wait in what is the future now waits as long from now on; other waits, and what is due, stay."""
    day = 86_400.0
    await database.submit([placed(key) for key in ("retry", "due", "running")], NOW)
    for task in await claim(database):
        if task.key != "running":
            back = moved(
                task, State.PENDING, wake_at=NOW + day + 60 if task.key == "retry" else NOW - 1, lane=task.lane
            )
            assert await database.apply(back, NOW + day) is ApplyAnswer.WRITTEN
    await database.submit([placed("known", lane=Lane.POLL)], NOW - 100)
    (known,) = [task for task in await claim(database) if task.key == "known"]
    back = moved(known, State.PENDING, wake_at=NOW + 500, lane=known.lane)
    assert await database.apply(back, NOW - 50) is ApplyAnswer.WRITTEN
    running = {task.key: task.wake_at for task in await database.tasks(Selection()) if task.key in ("running", "due")}
    quota = Trouble("quota", "Spent.")
    await database.park(Parked("poll", NOW + day + 60, quota), NOW)
    assert await database.bring_forward(NOW) == 1
    assert await database.parked(NOW) == []
    await database.park(Parked("poll", NOW + 60, quota), NOW)
    assert await database.bring_forward(NOW) == 0
    assert len(await database.parked(NOW)) == 1
    assert {task.key: task.wake_at for task in await database.tasks(Selection())} == {
        "retry": NOW + 60, "known": NOW + 500, **running,
    }  # fmt: skip


@pytest.mark.asyncio
async def test_a_clock_that_is_set_back_keeps_no_lane_parked_that_nothing_waits_in(database: Database) -> None:
    """What was parked in what is the future now is forgotten, though no task sleeps; what was parked before stays."""
    day, quota = 86_400.0, Trouble("quota", "Spent.")
    await database.submit([placed("due", lane=Lane.POLL)], NOW)
    await database.park(Parked("poll", NOW + day + 60, quota), NOW + day)
    await database.park(Parked("fetch", NOW + 600, quota), NOW - 10)
    assert await database.bring_forward(NOW) == 0
    assert [each.scope for each in await database.parked(NOW)] == ["fetch"]
    assert [task.key for task in await claim(database)] == ["due"]


@pytest.mark.asyncio
async def test_opening_a_lane_lets_those_wait_no_longer_that_met_its_trouble(database: Database) -> None:
    """They are due at once, in whatever lane; what waits for another reason, or for less long, is left alone."""
    quota, other = Trouble("quota", "Spent."), Trouble("upcoming", "Not yet.")
    await bring(database, State.FAILED, "failed")
    await database.submit([placed(key) for key in ("met", "premiere", "soon")], 0.0)
    await database.submit([placed("far", lane=Lane.POLL)], 0.0)
    ends = {"met": (quota, 600.0), "premiere": (other, 600.0), "soon": (quota, -5.0), "far": (quota, 600.0)}
    for task in await claim(database):
        trouble, after = ends[task.key]
        back = moved(task, State.PENDING, trouble=trouble, wake_at=NOW + after, lane=task.lane)
        assert await database.apply(back, NOW) is ApplyAnswer.WRITTEN
    await database.park(Parked("fetch", NOW + 600, quota), NOW)
    assert await database.unpark(["poll"], [], NOW + 1) == 0
    assert await database.unpark(["fetch"], ["quota", "unheard"], NOW + 1) == 2
    assert await database.unpark(["fetch"], ["quota"], NOW + 1) == 0
    assert await database.parked(NOW) == []
    due = {task.key: task.wake_at for task in await database.tasks(Selection())}
    assert due == {"met": NOW + 1, "premiere": NOW + 600, "soon": NOW - 5, "far": NOW + 1, "failed": None}
    assert sorted(task.key for task in await claim(database, NOW + 1)) == ["far", "met", "soon"]


@pytest.mark.asyncio
async def test_next_due_is_the_soonest_in_these_lanes(database: Database) -> None:
    """The smallest due time of pending tasks, due or not, in a parked lane as well; other states do not count."""
    assert await database.next_due(list(Lane)) is None
    await bring(database, State.DONE, "done")
    tasks = [placed("f", due=50.0), placed("f2", due=40.0, rank=-3), placed("f3", due=90.0, rank=5)]
    await database.submit([*tasks, placed("p", lane=Lane.POLL, due=20.0)], 0.0)
    assert await database.next_due(list(Lane)) == 20.0
    assert await database.next_due([Lane.FETCH]) == 40.0
    assert await database.next_due([Lane.FETCH, Lane.FETCH]) == 40.0
    assert await database.next_due([Lane.WRITE]) is None
    assert await database.next_due([]) is None
    await database.park(Parked("poll", 1e9, TROUBLE), NOW)
    assert await database.next_due(list(Lane)) == 20.0


@pytest.mark.asyncio
async def test_every_task_is_claimed_exactly_once(database: Database) -> None:
    """Claims in small bites hand out each of many tasks once, and together all of them."""
    await database.submit(
        [placed(f"{number:03}", rank=number % 3, due=float(number % 7)) for number in range(200)], 0.0
    )
    seen: list[str] = []
    while tasks := await database.claim({Lane.FETCH: 7}, "me", NOW, NOW + 60):
        seen += [task.key for task in tasks]
    assert len(seen) == 200
    assert sorted(seen) == [f"{number:03}" for number in range(200)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "new",
    [
        NewTask("video", "a", "fetch", {"x": object()}),
        NewTask("video", "a", "fetch", {"x": {1, 2}}),
        NewTask("video", "a", "fetch", {"x": math.nan}),
        NewTask("video", "a\0b", "fetch"),
        NewTask("video", "a\udcff", "fetch"),
    ],
    ids=["object", "set", "nan", "nul", "surrogate"],
)
async def test_what_cannot_be_stored_is_refused_whole(database: Database, new: NewTask) -> None:
    """A value that is not JSON, or a name that is not text, is a permanent error, and its batch leaves nothing behind."""
    with pytest.raises(Permanent) as caught:
        await database.submit([placed("good"), Placed(new, Lane.FETCH, 0)], 0.0)
    assert caught.value.trouble.code == "unstorable"
    assert await database.tasks(Selection()) == []


@pytest.mark.asyncio
async def test_any_text_in_data_comes_back(database: Database) -> None:
    """Titles hold anything: NUL, newlines, emoji, half a surrogate pair, ten thousand characters."""
    title = "../\n\r\0\t\"'\\ 🎬 ü \udcff " + "x" * 10_000
    await database.submit([placed("a", data={"title": title, title: 1})], 0.0)
    assert (await one(database)).data == {"title": title, title: 1}
    (task,) = await database.claim(ROOM, "me", NOW, NOW + 60)
    assert task.data["title"] == title


@pytest.mark.asyncio
async def test_what_is_read_is_not_shared(database: Database) -> None:
    """Changing what was handed in or out changes nothing in the database."""
    data = {"list": [1]}
    await database.submit([placed("a", data=data)], 0.0)
    data["list"].append(2)
    (await one(database)).data["list"].append(3)
    assert (await one(database)).data == {"list": [1]}
