"""Every database: writing what came of a task, and who may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.errors import Permanent
from pipeline.core.model import Lane, Lease, Result, Selection, Spend, State, Trouble
from pipeline.ports.store import ApplyAnswer, Database
from tests.conformance.store_kit import NOW, TROUBLE, bring, claim, each_database, moved, one, placed

database = each_database()

RESULT = Result("v", "gist", "f1", {"title": "A day"}, {"model": "m", "usd": 0.5}, created=NOW)
SPEND = Spend("v:f1", "analyze", 0.25, 1.5, "v", doubtful=True, at=NOW)


@pytest.mark.asyncio
async def test_an_outcome_is_written_whole(database: Database) -> None:
    """Every field of the transition is there afterwards, and the lease is gone."""
    task = await bring(database, State.RUNNING)
    outcome = moved(
        task, State.PENDING, stage="upload", attempt=3, claims=2, wake_at=NOW + 9, since=NOW + 1, data={"n": 2},
        subject="v", trouble=TROUBLE, lane=Lane.UPLOAD, rank=4, word="retried",
    )  # fmt: skip
    assert await database.apply(outcome, NOW + 2) is ApplyAnswer.WRITTEN
    after = await one(database)
    assert (after.state, after.stage, after.attempt, after.claims) == (State.PENDING, "upload", 3, 2)
    assert (after.wake_at, after.stage_since, after.updated, after.created) == (NOW + 9, NOW + 1, NOW + 2, 0.0)
    assert (after.data, after.subject, after.trouble) == ({"n": 2}, "v", TROUBLE)
    assert (after.lane, after.rank, after.lease) == (Lane.UPLOAD, 4, None)


@pytest.mark.asyncio
async def test_none_keeps_data_and_subject(database: Database) -> None:
    """What a transition does not give stays; empty is not None."""
    task = await bring(database, State.RUNNING, data={"n": 1}, subject="v")
    await database.apply(moved(task, State.PENDING), NOW)
    assert ((await one(database)).data, (await one(database)).subject) == ({"n": 1}, "v")
    (task,) = await claim(database)
    await database.apply(moved(task, State.PENDING, data={}, subject=""), NOW)
    assert ((await one(database)).data, (await one(database)).subject) == ({}, "")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "word", "kept"),
    [
        (State.PENDING, "snoozed", True),
        (State.PENDING, "released", True),
        (State.PENDING, "advanced", False),
        (State.FAILED, "failed", True),
        (State.HELD, "held", True),
        (State.DONE, "done", False),
    ],
)
async def test_trouble_is_kept_until_the_task_succeeds(database: Database, state: State, word: str, kept: bool) -> None:
    """No new trouble keeps the old one, except where a stage or the whole task succeeded."""
    task = await bring(database, State.RUNNING)
    await database.apply(moved(task, State.PENDING, trouble=TROUBLE, word="retried"), NOW)
    (task,) = await claim(database)
    assert task.trouble == TROUBLE
    await database.apply(moved(task, state, word=word), NOW)
    assert (await one(database)).trouble == (TROUBLE if kept else None)


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.HELD, State.CANCELLED])
async def test_an_ended_task_has_no_wake_time_and_no_lease(database: Database, state: State) -> None:
    """Terminal means that nothing happens by itself."""
    await bring(database, state)
    after = await one(database)
    assert (after.state, after.wake_at, after.lease) == (state, None, None)
    assert after.state.terminal
    assert await claim(database, 1e12) == []


@pytest.mark.asyncio
async def test_a_stale_lease_writes_nothing(database: Database) -> None:
    """An outcome under an older claim of the same owner is refused, with all that comes with it."""
    first = await bring(database, State.RUNNING)
    await database.apply(moved(first, State.PENDING, by_holder=False), NOW)
    (second,) = await claim(database)
    late = moved(first, results=[RESULT], spend=[SPEND], spawn=[placed("child")], data={"late": 1})
    assert await database.apply(late, NOW) is ApplyAnswer.LOST
    assert await one(database) == second
    assert await database.results(["v"]) == []
    assert await database.spends(["v"]) == []
    assert len(await database.tasks(Selection())) == 1
    assert await database.apply(moved(second), NOW) is ApplyAnswer.WRITTEN, "the holder is not disturbed"


@pytest.mark.asyncio
async def test_only_the_lease_that_was_given_out_counts(database: Database) -> None:
    """Another owner, another token, no lease at all, or an unknown task: refused."""
    task = await bring(database, State.RUNNING)
    lease = task.lease
    assert lease is not None
    forged = [
        replace(task, lease=Lease("you", lease.token, lease.until)),
        replace(task, lease=Lease(lease.owner, lease.token + 1, lease.until)),
        replace(task, lease=None),
        replace(task, id=task.id + 1),
    ]
    for other in forged:
        assert await database.apply(moved(other), NOW) is ApplyAnswer.LOST
    assert await one(database) == task


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [State.PENDING, State.DONE, State.FAILED])
async def test_an_outcome_that_is_repeated_is_written_once_and_told_as_written(
    database: Database, state: State
) -> None:
    """Its answer may have been lost: with all that comes with it, it stands, also while another goes on from there."""
    task = await bring(database, State.RUNNING)
    outcome = moved(task, state, results=[RESULT], spend=[SPEND], spawn=[placed("child", due=NOW + 9)])
    assert await database.apply(outcome, NOW) is ApplyAnswer.WRITTEN
    before = await database.tasks(Selection()), await database.results(["v"]), await database.spends(["v"])
    assert await database.apply(outcome, NOW + 5) is ApplyAnswer.WRITTEN
    assert (await database.tasks(Selection()), await database.results(["v"]), await database.spends(["v"])) == before
    taken = await claim(database, owner="you")
    await database.command("cancel", Selection(), NOW)
    assert await database.apply(outcome, NOW + 6) is ApplyAnswer.WRITTEN
    assert [each.key for each in taken] == ([task.key] if state is State.PENDING else [])
    assert {each.lease for each in await database.tasks(Selection())} == {None}


@pytest.mark.asyncio
async def test_an_outcome_stays_written_however_far_others_have_gone_on(database: Database) -> None:
    """Its holder repeats it late: another has finished the task by then, or was cancelled, and each knows of its own."""
    first = await bring(database, State.RUNNING)
    await database.apply(moved(first, State.PENDING), NOW)
    (second,) = await claim(database, owner="you")
    await database.apply(moved(second, State.PENDING, by_holder=False), NOW)
    (third,) = await claim(database)
    await database.command("cancel", Selection(), NOW)
    await database.command("retry", Selection(), NOW)
    (fourth,) = await claim(database)
    answers = [await database.apply(moved(each), NOW) for each in (first, second, third, fourth, third, first)]
    written, lost = ApplyAnswer.WRITTEN, ApplyAnswer.LOST
    assert answers == [written, lost, lost, written, lost, written]
    assert (await one(database)).state is State.DONE


@pytest.mark.asyncio
async def test_a_holder_whose_task_was_taken_back_has_lost_it(database: Database) -> None:
    """What others write for it is not its own: it is told so, before and after the next claim; so is who takes back twice."""
    task = await bring(database, State.RUNNING)
    back = moved(task, State.PENDING, word="lost", trouble=TROUBLE, by_holder=False)
    assert await database.apply(back, NOW) is ApplyAnswer.WRITTEN
    late = moved(task, results=[RESULT], spend=[SPEND])
    for _ in range(2):
        assert await database.apply(late, NOW) is ApplyAnswer.LOST
        assert await database.apply(back, NOW) is ApplyAnswer.LOST
        await claim(database, owner="you")
    assert (await one(database)).state is State.RUNNING
    assert await database.results(["v"]) == []


@pytest.mark.asyncio
async def test_nobody_takes_back_what_its_holder_has_written(database: Database) -> None:
    """Who thought that the holder was gone comes too late, and the outcome stands."""
    task = await bring(database, State.RUNNING)
    await database.apply(moved(task), NOW)
    back = moved(task, State.PENDING, word="lost", by_holder=False)
    assert await database.apply(back, NOW) is ApplyAnswer.LOST
    assert (await one(database)).state is State.DONE


@pytest.mark.asyncio
async def test_a_cancelled_task_drops_its_workers_outcome(database: Database) -> None:
    """An operator's cancel while it runs wins: the later outcome is lost and writes nothing."""
    task = await bring(database, State.RUNNING)
    assert await database.command("cancel", Selection(), NOW) == 1
    assert await database.apply(moved(task, results=[RESULT]), NOW) is ApplyAnswer.LOST
    assert (await one(database)).state is State.CANCELLED
    assert await database.results(["v"]) == []


@pytest.mark.asyncio
async def test_an_ended_lease_still_writes_while_nobody_took_over(database: Database) -> None:
    """Expiry alone is not loss: until the task is claimed or moved by another, its worker may write."""
    task = await bring(database, State.RUNNING)
    assert await database.apply(moved(task), NOW + 10_000) is ApplyAnswer.WRITTEN


@pytest.mark.asyncio
async def test_results_are_kept_once(database: Database) -> None:
    """A second result of the same identity changes nothing; each part of the identity makes another one."""
    others = [replace(RESULT, subject="w"), replace(RESULT, job="summary"), replace(RESULT, fingerprint="f2")]
    task = await bring(database, State.RUNNING)
    await database.apply(moved(task, State.PENDING, results=[RESULT, replace(RESULT, body="second")]), NOW)
    (task,) = await claim(database)
    await database.apply(moved(task, results=[replace(RESULT, body="third"), *others]), NOW)
    assert await database.results(["v"]) == [RESULT, others[1], others[2]]
    assert await database.results(["w", "v", "unknown"]) == [RESULT, *others]


@pytest.mark.asyncio
async def test_results_come_oldest_first(database: Database) -> None:
    """By the time of creation, then by arrival; any JSON may be a body, also a large one."""
    task = await bring(database, State.RUNNING)
    results = [
        replace(RESULT, job="late", created=9.0, body=None),
        replace(RESULT, job="early", created=1.0, body="text " * 400_000),
        replace(RESULT, job="middle", created=5.0, body=[1, {"x": "ü\0🎬"}]),
        replace(RESULT, job="middle2", created=5.0, body=False),
    ]
    await database.apply(moved(task, results=results), NOW)
    assert await database.results(["v"]) == [results[1], results[2], results[3], results[0]]


@pytest.mark.asyncio
async def test_all_about_a_video_comes_at_once(database: Database) -> None:
    """What its tasks, results and spends are when asked for one by one, and nothing of another video."""
    task = await bring(database, State.RUNNING)
    others = [replace(RESULT, subject="w"), replace(RESULT, job="late", created=RESULT.created + 9)]
    spends = [SPEND, replace(SPEND, key="w:1", subject="w")]
    await database.apply(moved(task, results=[RESULT, *others], spend=spends, subject="v"), NOW)
    await database.submit([placed("x", subject="v"), placed("y", subject="w")], NOW)
    known = await database.about("v")
    assert known.tasks == await database.tasks(Selection(subjects=("v",)))
    assert len(known.tasks) == 2
    assert (known.results, known.spends) == ([RESULT, others[1]], [SPEND])
    nothing = await database.about("unknown")
    assert (nothing.tasks, nothing.results, nothing.spends) == ([], [], [])


@pytest.mark.asyncio
async def test_the_ledger_holds_each_key_once(database: Database) -> None:
    """A repeated paid intent is entered once, with the first numbers."""
    other = Spend("w:f1", "upload", 0.5, 0.0, "w", at=NOW + 5)
    task = await bring(database, State.RUNNING)
    await database.apply(moved(task, State.PENDING, spend=[SPEND, replace(SPEND, usd=9.0)]), NOW)
    (task,) = await claim(database)
    await database.apply(moved(task, spend=[replace(SPEND, usd=7.0), other]), NOW)
    assert await database.spends(["v", "w"]) == [SPEND, other]
    assert await database.spends(["w"]) == [other]
    assert await database.spent() == (0.75, 1.5, 1)
    assert await database.spent(NOW + 5) == (0.5, 0.0, 0)
    assert await database.spent(NOW + 6) == (0.0, 0.0, 0)


@pytest.mark.asyncio
async def test_spawned_tasks_come_with_the_outcome(database: Database) -> None:
    """Children are put like submitted ones: new, ignored, restarted; a task may even restart itself."""
    await bring(database, State.DONE, "done", data={"old": 1})
    task = await bring(database, State.RUNNING)
    spawn = [
        placed("child", data={"n": 1}, subject="v"),
        placed("child", data={"n": 2}),
        placed("done", restart_at="publish", data={"new": 1}),
        placed("a", restart_at="publish", due=5.0),
    ]
    assert await database.apply(moved(task, spawn=spawn), NOW) is ApplyAnswer.WRITTEN
    child, done, again = await one(database, "child"), await one(database, "done"), await one(database)
    assert (child.state, child.data, child.subject, child.created) == (State.PENDING, {"n": 1}, "v", NOW)
    assert (done.state, done.stage, done.data) == (State.PENDING, "publish", {"old": 1, "new": 1})
    assert (again.state, again.stage, again.wake_at) == (State.PENDING, "publish", 5.0)


@pytest.mark.asyncio
async def test_an_outcome_that_cannot_be_stored_leaves_the_task_running(database: Database) -> None:
    """A poisoned result is a permanent error; nothing of the outcome is written and the lease still holds."""
    task = await bring(database, State.RUNNING)
    poison = replace(RESULT, body={"x": object()})
    with pytest.raises(Permanent):
        await database.apply(moved(task, results=[RESULT, poison], spawn=[placed("child")]), NOW)
    assert await one(database) == task
    assert await database.results(["v"]) == []
    assert await database.apply(moved(task, State.FAILED, trouble=TROUBLE), NOW) is ApplyAnswer.WRITTEN


@pytest.mark.asyncio
async def test_renew_extends_what_is_still_ours(database: Database) -> None:
    """The ids that came back have the new end; cancelled, taken, ended and unleased ones are missing."""
    for key in ("kept", "cancelled", "taken", "ended"):
        await database.submit([placed(key)], 0.0)
    tasks = {task.key: task for task in await claim(database)}
    await database.command("cancel", Selection(keys=("cancelled",)), NOW)
    await database.apply(moved(tasks["ended"]), NOW)
    await database.apply(moved(tasks["taken"], State.PENDING), NOW)
    await claim(database, owner="you")
    asked = [*tasks.values(), replace(tasks["kept"], lease=None)]
    assert await database.renew(asked, NOW + 500) == {tasks["kept"].id}
    kept = await one(database, "kept")
    assert kept.lease is not None
    assert (kept.wake_at, kept.lease.until) == (NOW + 500, NOW + 500)
    assert (await one(database, "taken")).wake_at == NOW + 60
    assert await database.renew([], NOW + 500) == frozenset()
    assert await database.apply(moved(tasks["kept"]), NOW) is ApplyAnswer.WRITTEN, "the token did not change"


@pytest.mark.asyncio
async def test_expired_names_running_tasks_past_their_lease(database: Database) -> None:
    """Only running ones, only with a lease that ended before now; None means all, because their owner is dead."""
    await database.submit([placed("early"), placed("late")], 0.0)
    await database.claim({Lane.FETCH: 1}, "me", NOW, NOW + 10)
    await database.claim({Lane.FETCH: 1}, "me", NOW, NOW + 20)
    await database.submit([placed("pending")], 0.0)
    assert await database.expired(NOW + 10) == []
    assert [task.key for task in await database.expired(NOW + 11)] == ["early"]
    assert [task.key for task in await database.expired(NOW + 21)] == ["early", "late"]
    orphans = await database.expired(None)
    assert [task.key for task in orphans] == ["early", "late"]
    lost = Trouble("lost_lease", "The process ended.")
    assert (
        await database.apply(moved(orphans[0], State.PENDING, trouble=lost, word="lost"), NOW + 21)
        is ApplyAnswer.WRITTEN
    )
    assert [task.key for task in await database.expired(None)] == ["late"]


@pytest.mark.asyncio
async def test_expired_can_be_asked_for_the_tasks_of_one_family(database: Database) -> None:
    """Owners whose names begin so, character for character; a name is no pattern."""
    for owner in ("a/1:7", "a/10:7", "a_1:7", "A/1:7"):
        await bring(database, State.PENDING, owner)
        await claim(database, owner=owner)
    assert [task.key for task in await database.expired(None, "a/1:")] == ["a/1:7"]
    assert [task.key for task in await database.expired(NOW + 61, "a/1")] == ["a/1:7", "a/10:7"]
    assert await database.expired(NOW, "a/1") == await database.expired(None, "%") == []
    assert len(await database.expired(None, "")) == 4
