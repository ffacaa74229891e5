"""Every database: the operator's word, the reading side and the journal."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from pipeline.core.errors import Permanent, StoreError
from pipeline.core.model import Json, Lane, Parked, Result, RunNote, Selection, Spend, State, Trouble
from pipeline.ports.store import Database
from tests.conformance.store_kit import NOW, ROOM, TROUBLE, bring, claim, each_database, moved, one, placed

database = each_database()

CANCELLABLE = {State.PENDING, State.RUNNING, State.HELD}
RETRYABLE = {State.FAILED, State.HELD, State.CANCELLED}


@pytest.mark.asyncio
@pytest.mark.parametrize("state", list(State))
async def test_cancel_stops_what_is_not_over(database: Database, state: State) -> None:
    """Pending, running and held become cancelled; what is over stays as it is."""
    before = await bring(database, state)
    assert await database.command("cancel", Selection(), NOW + 1) == (state in CANCELLABLE)
    after = await one(database)
    if state not in CANCELLABLE:
        assert after == before
        return
    assert (after.state, after.wake_at, after.lease) == (State.CANCELLED, None, None)
    assert (after.updated, after.trouble, after.data) == (NOW + 1, before.trouble, {**before.data, "cancelled": True})


@pytest.mark.asyncio
@pytest.mark.parametrize("state", list(State))
async def test_retry_starts_what_gave_up(database: Database, state: State) -> None:
    """Failed, held and cancelled are pending now, attempts fresh, trouble kept; others stay. Claims are kept: what was
    cancelled may have acted, and only the platform can tell.
    """
    before = await bring(database, state)
    assert await database.command("retry", Selection(), NOW + 1) == (state in RETRYABLE)
    after = await one(database)
    if state not in RETRYABLE:
        assert after == before
        return
    assert (after.state, after.stage, after.wake_at) == (State.PENDING, before.stage, NOW + 1)
    assert (after.attempt, after.claims, after.stage_since, after.updated) == (0, before.claims, NOW + 1, NOW + 1)
    assert after.trouble == before.trouble
    (task,) = await claim(database, NOW + 1)
    assert task.fresh == (before.claims == 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("state", list(State))
async def test_cancel_takes_whatever_state_is_named(database: Database, state: State) -> None:
    """Failed and done ones, too: the operator puts them away. Another state than the named one stays."""
    await bring(database, state)
    others = tuple(each for each in State if each is not state)
    assert await database.command("cancel", Selection(states=others), NOW + 1) == 0
    assert await database.command("cancel", Selection(states=(state,)), NOW + 1) == 1
    after = await one(database)
    assert (after.state, after.wake_at, after.lease) == (State.CANCELLED, None, None)


@pytest.mark.asyncio
async def test_retry_wakes_what_sleeps_where_pending_is_named(database: Database) -> None:
    """A wait is over at once, with attempts and deadline fresh; claims are kept. What is due already is not touched."""
    task = await bring(database, State.RUNNING)
    await database.apply(moved(task, State.PENDING, wake_at=NOW + 3600, attempt=3, trouble=TROUBLE), NOW)
    before = await one(database)
    assert await database.command("retry", Selection(), NOW + 1) == 0
    assert await database.command("retry", Selection(states=(State.PENDING,)), NOW + 1) == 1
    after = await one(database)
    assert (after.wake_at, after.attempt, after.stage_since) == (NOW + 1, 0, NOW + 1)
    assert (after.claims, after.trouble) == (before.claims, before.trouble)
    assert await database.command("retry", Selection(states=(State.PENDING,)), NOW + 1) == 0
    (woken,) = await claim(database, NOW + 1)
    assert woken.id == task.id


@pytest.mark.asyncio
async def test_a_command_means_the_selected_ones_only(database: Database) -> None:
    """Trouble class, key, subject, kind, page: each narrows, and together they narrow further."""
    for number in range(4):
        task = await bring(database, State.RUNNING, f"{number}", subject=f"v{number % 2}")
        trouble = Trouble("a" if number < 2 else "b", "?")
        await database.apply(moved(task, State.FAILED, trouble=trouble), NOW)
    assert await database.command("retry", Selection(classes=("none",)), NOW) == 0
    assert await database.command("retry", Selection(kinds=("item",)), NOW) == 0
    assert await database.command("retry", Selection(classes=("a",), subjects=("v1",)), NOW) == 1
    assert (await one(database, "1")).state is State.PENDING
    assert await database.command("cancel", Selection(), NOW) == 1
    assert await database.command("retry", Selection(keys=("0", "1")), NOW) == 2
    first = (await one(database, "2")).id
    assert await database.command("retry", Selection(after_id=first), NOW) == 1
    assert (await one(database, "3")).state is State.PENDING
    assert await database.command("cancel", Selection(limit=1), NOW) == 1
    assert (await one(database, "0")).state is State.CANCELLED


@pytest.mark.asyncio
async def test_tasks_are_selected_by_any_field(database: Database) -> None:
    """Values of one field are alternatives, fields narrow each other, empty ones do not; order is first submission."""
    await bring(database, State.FAILED, "f", subject="v")
    await bring(database, State.DONE, "d", subject="v")
    await database.submit([placed("p", subject="w"), placed("d", kind="item", subject="v")], 0.0)

    async def found(**given: object) -> list[str]:
        return [f"{task.kind[0]}:{task.key}" for task in await database.tasks(Selection(**given))]  # type: ignore[arg-type]

    assert await found() == ["v:f", "v:d", "v:p", "i:d"]
    assert await found(kinds=("item",)) == ["i:d"]
    assert await found(kinds=("item", "video")) == ["v:f", "v:d", "v:p", "i:d"]
    assert await found(keys=("d",)) == ["v:d", "i:d"]
    assert await found(keys=("p", "f", "x")) == ["v:f", "v:p"]
    assert await found(subjects=("v",), kinds=("video",)) == ["v:f", "v:d"]
    assert await found(states=(State.PENDING, State.FAILED)) == ["v:f", "v:p", "i:d"]
    assert await found(states=(State.PENDING,), keys=("d",)) == ["i:d"]
    (stage,) = {task.stage for task in await database.tasks(Selection(keys=("p",)))}
    assert await found(stages=(stage,), keys=("p", "x")) == ["v:p"]
    assert await found(stages=("nowhere", "else")) == []
    assert await found(classes=(TROUBLE.code,)) == ["v:f"]
    assert await found(classes=(TROUBLE.code, "x"), states=(State.DONE,)) == []


@pytest.mark.asyncio
async def test_tasks_are_read_page_by_page(database: Database) -> None:
    """Pages by limit and last id together hold everything once, in order, also with a narrowing field."""
    await database.submit([placed(f"{number}", kind="ab"[number % 2]) for number in range(25)], 0.0)
    for kinds, expected in (((), 25), (("a",), 13), (("a", "b"), 25)):
        seen, after = [], 0
        while page := await database.tasks(Selection(kinds=kinds, limit=4, after_id=after)):
            assert len(page) <= 4
            seen += [task.id for task in page]
            after = page[-1].id
        assert seen == sorted(set(seen))
        assert len(seen) == expected


@pytest.mark.asyncio
async def test_ten_thousand_keys_are_one_selection(database: Database) -> None:
    """Long lists of keys and subjects are fine, for reading and for commands."""
    keys = tuple(f"key-{number}" for number in range(10_000))
    assert await database.submit([placed(key, subject=key) for key in keys[::100]], 0.0) == 100
    assert len(await database.tasks(Selection(keys=keys))) == 100
    assert len(await database.tasks(Selection(subjects=keys, keys=keys))) == 100
    assert await database.results(keys) == []
    assert await database.spends(keys) == []
    assert await database.command("cancel", Selection(keys=keys), NOW) == 100


@pytest.mark.asyncio
async def test_counts_by_kind_state_lane_and_trouble(database: Database) -> None:
    """Numbers by kind and state; lanes count pending and running; troubles count failed and held."""
    empty = await database.counts()
    assert (empty.by, empty.in_lane, empty.troubles) == ({}, {}, {})
    await bring(database, State.FAILED, "f")
    await bring(database, State.HELD, "h")
    await bring(database, State.DONE, "d", kind="item")
    await bring(database, State.RUNNING, "r", kind="item", lane=Lane.POLL)
    await database.submit([placed("p1", lane=Lane.POLL), placed("p2", due=1e9)], 0.0)
    task = await bring(database, State.RUNNING, "t", lane=Lane.WRITE)
    await database.apply(moved(task, State.PENDING, trouble=Trouble("passing", "?")), NOW)
    counts = await database.counts()
    assert counts.by == {
        "video": {"failed": 1, "held": 1, "running": 1, "pending": 2},
        "item": {"done": 1, "running": 1},
    }
    assert counts.in_lane == {"poll": 2, "fetch": 1, "write": 1}
    assert counts.troubles == {TROUBLE.code: 2}


def _spoken(**given: int) -> dict[str, int]:
    return {**dict.fromkeys(("done", "failed", "held", "cancelled", "working"), 0), **given}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State.PENDING, "working"),
        (State.RUNNING, "working"),
        (State.FAILED, "failed"),
        (State.HELD, "held"),
        (State.CANCELLED, "cancelled"),
        (State.DONE, "done"),
    ],
)
async def test_tally_of_one_item(database: Database, state: State, word: str) -> None:
    """An item counts by its own state, whatever other items do; tasks of other kinds are not items."""
    assert await database.tally() == _spoken()
    await bring(database, State.FAILED, "other")
    await bring(database, state, "i", kind="item")
    assert await database.tally() == _spoken(**{word: 1})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State.DONE, State.DONE], "done"),
        ([State.DONE, State.CANCELLED], "done"),
        ([State.DONE, State.PENDING], "working"),
        ([State.RUNNING, State.CANCELLED], "working"),
        ([State.FAILED, State.PENDING, State.RUNNING], "failed"),
        ([State.HELD, State.FAILED, State.PENDING], "held"),
    ],
)
async def test_tally_of_a_done_item_is_the_worst_of_its_video(
    database: Database, states: list[State], word: str
) -> None:
    """Held, then failed, then working, then done; an item that is not itself done keeps its own state."""
    for number, state in enumerate(states):
        await bring(database, state, f"t{number}", subject="v", kind="analysis")
    await bring(database, State.DONE, "done", kind="item", subject="v")
    await bring(database, State.CANCELLED, "cancelled", kind="item", subject="v")
    await bring(database, State.DONE, "elsewhere", kind="item", subject="w")
    expected = _spoken(cancelled=1, done=1)
    expected[word] += 1
    assert await database.tally() == expected


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bees", ["a", "b"]), ("bees", ["a", "b"]), ("100%", ["b"]), ("50_", []), ("50^", []), ('say "hi"', ["a"]),
        ("é", ["a"]), ("É", []), ("C", ["c"]), ("A", ["a", "b", "c"]), ("\\", ["b"]), ("50-", []), ("100% a\\b", ["b"]),
        ("\udcff100%", ["b"]), ("", ["a", "b", "c", "sha256:c", "d", "e"]),
        ("file:x/1", ["d", "e"]), ("FILE:x/", ["d", "e"]), ("le:x/", ["d", "e"]), ("https://h/1", ["d", "e"]), ("file:y", []),
    ],
)  # fmt: skip
async def test_tasks_that_mention_a_text(database: Database, text: str, found: list[str]) -> None:
    """In a name, ASCII letters in any case; every character means itself. One of several is enough.

    Whether it is done or not, and whatever has happened to it in between; a key that is a hash is no name, and a file
    is also called by its scheme.
    """
    await database.submit([placed("a", data={"title": 'Bees say "hi" é', "n": "50-"})], NOW)
    await bring(database, State.DONE, "b", data={"line": {"tags": ["bees", "100% a\\b"]}})
    await bring(database, State.HELD, "c", kind="item", data={"folder": "alm"})
    await bring(database, State.DONE, "sha256:c", kind="publish", data={"title": "x"})
    await bring(database, State.DONE, "bees", kind="analysis", data={"title": "bees 100% a"})
    for key, state in (("d", State.DONE), ("e", State.FAILED)):
        await bring(database, state, key, data={"source": "x/1", "locator": "https://h/1"})
    assert [task.key for task in await database.tasks(Selection(mentions=(text,)))] == found
    assert [task.key for task in await database.tasks(Selection(mentions=("nothing", text), limit=1))] == found[:1]
    assert [key for _, key in await database.keys(Selection(mentions=(text,)))] == found


@pytest.mark.asyncio
async def test_keys_are_those_of_the_tasks_page_by_page(database: Database) -> None:
    """Of the same selection, in the same order."""
    for key, state in (("c", State.FAILED), ("a", State.DONE), ("b", State.FAILED), ("d", State.HELD)):
        await bring(database, state, key)
    for which in (Selection(), Selection(states=(State.FAILED,)), Selection(keys=("a", "d", "z"))):
        tasks = await database.tasks(which)
        assert await database.keys(which) == [(task.id, task.key) for task in tasks]
        assert await database.keys(replace(which, limit=1, after_id=tasks[0].id)) == [(tasks[1].id, tasks[1].key)]


@pytest.mark.asyncio
async def test_a_name_that_is_no_unicode_finds_nothing(database: Database) -> None:
    """A file's name may hold any bytes; asked for, it is found nowhere, and that is no fault."""
    await bring(database, State.DONE, "a", kind="item", subject="v")
    for text in ("\udcff.mp4", "\udcff"):
        for which in (
            Selection(keys=(text,)),
            Selection(("item",), subjects=(text,)),
            Selection(mentions=(f"{text}zz",)),
        ):
            assert await database.tasks(which) == []


@pytest.mark.asyncio
async def test_pending_tasks_are_told_in_groups(database: Database) -> None:
    """By kind, stage, lane, trouble and whether they are due; a video counts once; with the first and the last time."""
    await bring(database, State.DONE, "done")
    task = await bring(database, State.RUNNING, "1", kind="analysis", subject="v")
    await database.apply(moved(task, State.PENDING, wake_at=NOW + 50, trouble=TROUBLE), NOW)
    for key, subject, due in (("2", "v", 20.0), ("3", "v", 30.0), ("4", "", 40.0), ("5", "", -10.0)):
        await database.submit([placed(key, kind="analysis", subject=subject, due=NOW + due)], NOW)
    found = await database.pending(NOW)
    assert [(group.items, group.due - NOW, group.until - NOW, group.example.key) for group in found] == [
        (1, -10, -10, "5"), (2, 20, 40, "2"), (1, 50, 50, "1"),
    ]  # fmt: skip
    assert found[-1].example.trouble == TROUBLE
    assert (await database.pending(NOW + 100))[0].items == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State.DONE, State.DONE], "done"),
        ([State.DONE, State.CANCELLED], "done"),
        ([State.CANCELLED, State.CANCELLED], "cancelled"),
        ([State.DONE, State.RUNNING], "working"),
        ([State.DONE, State.FAILED, State.PENDING], "failed"),
        ([State.HELD, State.FAILED], "held"),
    ],
)
async def test_a_video_counts_once(database: Database, states: list[State], word: str) -> None:
    """A file that was renamed, or is there twice, is two items and one video: the worst of them counts."""
    assert await database.tally(by_video=True) == _spoken()
    for number, state in enumerate(states):
        await bring(database, state, f"i{number}", subject="v", kind="item")
    await bring(database, State.FAILED, "f", kind="item")
    await bring(database, State.DONE, "d", kind="item")
    await bring(database, State.HELD, "no item", subject="w")
    expected = _spoken(done=1, failed=1)
    expected[word] += 1
    assert await database.tally(by_video=True) == expected
    assert sum((await database.tally()).values()) == len(states) + 2


@pytest.mark.asyncio
async def test_tally_does_not_join_items_without_a_subject(database: Database) -> None:
    """No subject yet means no video yet: a done item is done, even beside a failed task without a subject."""
    await bring(database, State.FAILED, "f")
    await bring(database, State.DONE, "i", kind="item")
    assert await database.tally() == _spoken(done=1)


@pytest.mark.asyncio
async def test_subjects_are_paged_in_key_order(database: Database) -> None:
    """Each video with results once, above the last key, at most the limit; order is by code point."""
    task = await bring(database, State.RUNNING)
    keys = ["b", "a", "ü", "Z", "🎬", "a/1"]
    results = [Result(key, job, "f", 1) for key in keys for job in ("gist", "summary")]
    await database.apply(moved(task, results=results), NOW)
    assert await database.subjects("", 100) == ["Z", "a", "a/1", "b", "ü", "🎬"]
    assert await database.subjects("a", 2) == ["a/1", "b"]
    assert await database.subjects("🎬", 2) == []


@pytest.mark.asyncio
async def test_parked_scopes_are_listed_while_they_are(database: Database) -> None:
    """A scope is parked before its time only; the later time replaces the earlier, never the other way round."""
    second = Trouble("blocked", "Blocked.")
    await database.park(Parked("poll", NOW + 20, TROUBLE), NOW)
    await database.park(Parked("poll", NOW + 10, second), NOW)
    await database.park(Parked("fetch", NOW + 10, second), NOW)
    assert await database.parked(NOW) == [Parked("fetch", NOW + 10, second), Parked("poll", NOW + 20, TROUBLE)]
    await database.park(Parked("poll", NOW + 30, second), NOW)
    assert await database.parked(NOW + 10) == [Parked("poll", NOW + 30, second)]
    assert await database.parked(NOW + 30) == []
    await database.unpark(["poll"], [], NOW)
    assert await database.parked(NOW + 10) == []
    await database.unpark([], [], NOW)


@pytest.mark.asyncio
async def test_runs_are_listed_newest_first(database: Database) -> None:
    """A run's line is replaced by its id; the newest come first, at most the limit."""
    for number in range(4):
        await database.note_run(RunNote(f"r{number}", float(number // 2)))
    ended = RunNote("r0", 0.0, 5.0, 3, {"usd": 0.5, "items": {"done": 2}})
    await database.note_run(ended)
    assert [run.id for run in await database.runs(10)] == ["r3", "r2", "r1", "r0"]
    assert [run.id for run in await database.runs(2)] == ["r3", "r2"]
    assert (await database.runs(4))[3] == ended
    assert (await database.runs(1))[0] == RunNote("r3", 1.0)


@pytest.mark.asyncio
async def test_the_journal_remembers_the_last_value(database: Database) -> None:
    """Any JSON under any name; a name never saved is None, and so is one saved as None."""
    assert await database.load("limits") is None
    await database.save("limits", {"a": [1, 2.5, "ü"]})
    await database.save("other", None)
    assert await database.load("limits") == {"a": [1, 2.5, "ü"]}
    await database.save("limits", False)
    assert await database.load("limits") is False
    assert await database.load("other") is None


@pytest.mark.asyncio
async def test_the_journal_tells_all_names_that_begin_alike(database: Database) -> None:
    """By name, and nothing else; what is dropped is not there any more, dropped twice as well."""
    for name in ("host:b", "host:a", "hosts", "Host:c", "host:ü", "host"):
        await database.save(name, {"name": name})
    assert list(await database.load_all("host:")) == ["host:a", "host:b", "host:ü"]
    assert (await database.load_all("host:"))["host:b"] == {"name": "host:b"}
    await database.drop("host:b")
    await database.drop("host:b")
    assert (list(await database.load_all("host:")), await database.load("host:b")) == (["host:a", "host:ü"], None)


@pytest.mark.asyncio
async def test_a_change_is_made_alone(database: Database) -> None:
    """Whoever looks and decides sees what the one before has left; None leaves it; what fails changes nothing."""
    answers: list[int] = []

    async def count() -> None:
        answers.append(await database.change("n", lambda kept: ((kept or 0) + 1, (kept or 0) + 1)))

    def broken(kept: object) -> tuple[Json | None, None]:
        raise ValueError(kept)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(count)
    assert sorted(answers) == list(range(1, 21))
    assert await database.change("n", lambda kept: (None, f"saw {kept}")) == "saw 20"
    with pytest.raises(ValueError, match="20"):
        await database.change("n", broken)
    with pytest.raises(Permanent):
        await database.change("n", lambda kept: (object(), None))
    assert await database.load("n") == 20


@pytest.mark.asyncio
async def test_after_closing_nothing_answers(database: Database) -> None:
    """Closing twice is closing once; every later call is a plain error."""
    task = await bring(database, State.RUNNING)
    await database.aclose()
    await database.aclose()
    calls = [
        database.submit([placed("b")], 0.0), database.claim(ROOM, "me", NOW, NOW), database.renew([task], NOW),
        database.apply(moved(task), NOW), database.expired(None), database.next_due(list(Lane)),
        database.command("cancel", Selection(), NOW), database.park(Parked("fetch", NOW, TROUBLE), NOW),
        database.unpark(["fetch"], ["x"], 0.0), database.tasks(Selection()), database.results(["v"]), database.subjects("", 1),
        database.about("v"),
        database.counts(), database.tally(), database.pending(NOW), database.parked(NOW), database.spent(),
        database.spends(["v"]),
        database.runs(1), database.note_run(RunNote("r", 0.0)), database.load("x"), database.save("x", 1),
        database.load_all("x"), database.drop("x"),
        database.change("x", lambda kept: (1, kept)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StoreError) as caught:
            await call
        assert caught.value.trouble.code == "database_closed"


@pytest.mark.asyncio
async def test_tasks_are_selected_by_when_they_changed(database: Database) -> None:
    """Whatever changes a task counts: submission, an outcome, a command. Exactly at the time counts, too."""
    await bring(database, State.DONE, "old")
    await bring(database, State.FAILED, "mended")
    await database.command("retry", Selection(keys=("mended",)), NOW + 9)
    await database.submit([placed("new")], NOW + 5)

    async def since(at: float, **more: object) -> list[str]:
        return [task.key for task in await database.tasks(Selection(since=at, **more))]  # type: ignore[arg-type]

    assert await since(NOW) == ["old", "mended", "new"]
    assert await since(NOW + 5) == ["mended", "new"]
    assert await since(NOW + 5.1, states=(State.PENDING,)) == ["mended"]
    assert await since(NOW + 10) == []


@pytest.mark.asyncio
async def test_results_of_some_jobs_can_be_left_out(database: Database) -> None:
    """What is large and not needed is not read."""
    task = await bring(database, State.RUNNING, subject="v")
    made = [Result("v", job, "f", {}, {}, NOW) for job in ("gist", "_answer", "_captions")]
    await database.apply(moved(task, results=made), NOW)
    assert {result.job for result in await database.results(["v"])} == {"gist", "_answer", "_captions"}
    assert {result.job for result in await database.results(["v"], ("_answer", "_captions"))} == {"gist"}


@pytest.mark.asyncio
async def test_answers_as_received_can_be_dropped_by_themselves(database: Database) -> None:
    """By age and page by page; a result of a job is never among them, not even by its id."""
    task = await bring(database, State.RUNNING, subject="v")
    made = [Result("v", "_answer", f"f{at}", {"é": at}, {"m": 1}, NOW + at) for at in range(3)]
    await database.apply(moved(task, results=[*made, Result("v", "gist", "g", {}, {}, NOW)]), NOW)
    assert await database.answers(NOW, 0, 10) == []
    first, second = await database.answers(NOW + 2, 0, 10)
    assert (first.subject, first.fingerprint, first.size) == ("v", "f0", len('{"é":0}'.encode()) + len('{"m":1}'))
    assert await database.answers(NOW + 2, first.id, 10) == [second]
    assert await database.answers(NOW + 2, 0, 1) == [first]
    assert await database.drop_answers([first.id, first.id + 1000, second.id]) == 2
    assert [each.fingerprint for each in await database.answers(NOW + 9, 0, 10)] == ["f2"]
    assert await database.drop_answers(range(1, 100)) == 1
    assert [each.job for each in await database.results(["v"])] == ["gist"]


@pytest.mark.asyncio
async def test_runs_behind_the_newest_can_be_dropped(database: Database) -> None:
    """The oldest go; asked twice, none goes; the file can be compacted."""
    for at in (3, 1, 2):
        await database.note_run(RunNote(f"r{at}", NOW + at, None, None, {"n": at}))
    assert await database.surplus_runs(3) == (0, 0)
    number, size = await database.surplus_runs(1)
    assert (number, size) == (2, 2 * len('{"n":1}'))
    assert [await database.drop_runs(1), await database.drop_runs(1)] == [2, 0]
    assert [note.id for note in await database.runs(9)] == ["r3"]
    await database.compact()
    assert (await database.disk_use()).unused == 0


@pytest.mark.asyncio
async def test_videos_that_have_changed_are_known_until_someone_catches_up(database: Database) -> None:
    """Written or forgotten, each once, by its last change; other tasks and other states are no change."""

    async def changed(after: int = 0, limit: int = 9) -> list[str]:
        return [video.key for video in await database.changed_videos(after, limit)]

    for key in ("v1", "v2", "v3"):
        await bring(database, State.DONE, key, kind="publish")
    await bring(database, State.FAILED, "v4", kind="publish")
    await bring(database, State.DONE, "v5")
    assert await changed() == ["v1", "v2", "v3"]
    await database.submit([placed("v1", kind="publish", restart_at="write")], NOW)
    assert await changed() == ["v1", "v2", "v3"]
    for task in await claim(database):
        await database.apply(moved(task, State.DONE), NOW)
    assert await changed() == ["v2", "v3", "v1"]
    marks = [video.mark for video in await database.changed_videos(0, 9)]
    assert await changed(marks[0], 1) == ["v3"]
    assert not await database.catch_up(marks[:2], "index", [7], [6])
    assert (len(await changed()), await database.load("index")) == (3, None)
    assert await database.catch_up(marks[:2], "index", [7], None)
    assert (await changed(), await database.load("index")) == (["v1"], [7])
    await database.forget([task.id for task in await database.tasks(Selection(kinds=("publish",)))], "v1", "now")
    assert sorted(await changed()) == ["v1", "v2", "v3", "v4"]
    assert not await database.catch_up([], "index", [8], None)
    await database.catch_up([video.mark for video in await database.changed_videos(0, 9)], "index", [8], [7])
    assert await changed() == []


@pytest.mark.asyncio
async def test_the_database_forgets_in_one_step(database: Database) -> None:
    """Named tasks and the video's results go; of the ledger only names change, and settlements stay what they are."""
    task = await bring(database, State.DONE, "a", kind="item", subject="v")
    other = await bring(database, State.DONE, "b", kind="item", subject="w")
    for key, subject in (("k", "v"), ("k/settled", "v"), ("k/refused", "v"), ("o", "w")):
        await database.enter(Spend(key, "analyze", 1.0, subject=subject))
    before = await database.costs("kind")
    assert await database.forget([task.id, 99], "v", "now") == 1
    assert await database.forget([], "", "later") == 0
    assert [each.id for each in await database.tasks(Selection())] == [other.id]
    assert await database.costs("kind") == before
    names = [spend.key for spend in await database.spends(["v", "w"])]
    assert sorted(names) == ["forgotten/now/k", "forgotten/now/k/refused", "forgotten/now/k/settled", "o"]
