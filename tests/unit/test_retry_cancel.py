"""``retry`` and ``cancel`` on a real state folder: whom they take, whom they leave, and what they say of it."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import anyio
import pytest

from pipeline import app
from pipeline.config.settings import BucketSection, LimitsSection, Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError, Throttled
from pipeline.core.model import Lane, Parked, Selection, State, Trouble
from pipeline.ingest.payloads import ItemData
from pipeline.ports.quota import QuotaNote
from pipeline.ports.store import Database
from pipeline.provider.http.rate_limits import NAME, SharedLimiter, read_usage
from pipeline.store.sqlite.database import open_database
from tests.conformance.store_kit import bring, moved
from tests.support.run_harness import settings_for

T = TypeVar("T")
FAR = SystemClock().now() + 86_400  #: a time tomorrow: what is due then sleeps


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with an empty state folder."""
    (tmp_path / "state").mkdir()
    return settings_for(tmp_path)


def fill(settings: Settings, *tasks: tuple[str, State, str, str, dict[str, Any]]) -> None:
    """Put (kind, state, key, subject, more) into the database."""

    async def put(database: Database) -> None:
        for kind, state, key, subject, more in tasks:
            data = ItemData(source=key, locator=key, type="file").to_json() if kind in ("item", "listing") else {}
            await bring(database, state, key, kind=kind, subject=subject, data=data, **more)

    within(settings, put)


def within(settings: Settings, work: Any) -> Any:
    """Carry out work on the open database."""

    async def opened() -> Any:
        database = await open_database(settings.run.state / "reelmill.db")
        try:
            return await work(database)
        finally:
            await database.aclose()

    return anyio.run(opened)


def states(settings: Settings) -> dict[str, str]:
    """Return key -> state of all tasks."""

    async def read(database: Database) -> dict[str, str]:
        return {f"{task.kind} {task.key}": task.state.value for task in await database.tasks(Selection())}

    found: dict[str, str] = within(settings, read)
    return found


def do(work: Coroutine[Any, Any, T]) -> T:
    """Run a command of the operator."""

    async def run() -> T:
        return await work

    return anyio.run(run)


@pytest.mark.parametrize("state", [State.FAILED, State.HELD])
def test_cancel_takes_what_stopped_and_the_lines_of_its_video(settings: Settings, state: State) -> None:
    """The video failed or is held, its lines are done: all are put away, so that no run takes them up again."""
    fill(
        settings,
        ("item", State.DONE, "a.mp4", "v", {}), ("item", State.DONE, "b.mp4", "v", {}), ("video", state, "v", "v", {}),
        ("item", State.DONE, "other.mp4", "w", {}), ("video", state, "w", "w", {}),
    )  # fmt: skip
    assert do(app.cancel(settings, ["a.mp4"])).tasks == 3
    after = states(settings)
    assert [after[name] for name in ("item a.mp4", "item b.mp4", "video v")] == ["cancelled"] * 3
    assert (after["item other.mp4"], after["video w"]) == ("done", state.value)
    again = do(app.cancel(settings, ["other.mp4", "a.mp4", "b.mp4"]))
    assert [(item.tasks, item.left) for item in again.items][1:] == [(0, "it was cancelled before")] * 2
    do(app.retry(settings, ["other.mp4"]))
    with pytest.raises(ConfigError):  # an unknown name changes nothing at all
        do(app.retry(settings, ["b.mp4", "nobody"]))
    assert do(app.retry(settings, ["b.mp4", "a.mp4"])).tasks == 3
    assert [states(settings)[name] for name in ("item a.mp4", "item b.mp4", "video v")] == ["pending"] * 3


@pytest.mark.parametrize(("verb", "done"), [("retry", "retried"), ("cancel", "cancelled")])
def test_unknown_names_are_told_all_at_once_and_change_nothing(settings: Settings, verb: str, done: str) -> None:
    """Every name that is not known with what was meant, and in plain words that the known ones were left."""
    fill(settings, ("item", State.FAILED, "films/talk.mp4", "", {}), ("item", State.FAILED, "other.mp4", "", {}))
    before = states(settings)
    with pytest.raises(ConfigError) as caught:
        do(getattr(app, verb)(settings, ["other.mp4", "tolk.mp4", "zzz"]))
    assert caught.value.trouble.message == (
        f"No item is called 'tolk.mp4'; No item is called 'zzz': nothing was {done}, the other items neither"
    )
    assert "did you mean 'talk.mp4'?" in caught.value.trouble.remedy
    assert states(settings) == before
    with pytest.raises(ConfigError, match=r"^No item is called 'zzz'$"):
        do(getattr(app, verb)(settings, ["zzz"]))


def test_what_belongs_to_no_line_any_more_can_be_put_away(settings: Settings) -> None:
    """Its file holds other content now: the old video, or a question about it, is named by its key, as status shows it."""
    fill(settings, ("video", State.FAILED, "v", "v", {}), ("analysis", State.FAILED, "w/1", "w", {}))
    fill(settings, ("item", State.DONE, "w.mp4", "w", {}))
    assert do(app.show(settings, "v")).state == "failed"
    assert do(app.cancel(settings, ["v", "w/1"])).tasks == 3
    assert states(settings) == {"video v": "cancelled", "analysis w/1": "cancelled", "item w.mp4": "cancelled"}


def test_a_question_that_is_no_longer_asked_does_not_make_an_item_failed(settings: Settings) -> None:
    """``show`` says what a run says: what is asked for now is there; what still counts goes first."""
    fill(settings, ("item", State.DONE, "a.mp4", "v", {}), ("analysis", State.FAILED, "v/1", "v", {}))
    fill(settings, ("analysis", State.HELD, "v/2", "v", {}), ("publish", State.DONE, "v", "v", {}))
    assert do(app.show(settings, "a.mp4")).state == "held"
    within(settings, lambda database: database.save("unlisted", [3]))
    assert do(app.show(settings, "a.mp4")).state == "failed"
    within(settings, lambda database: database.save("unlisted", [2, 3]))
    view = do(app.show(settings, "a.mp4"))
    assert (view.state, view.explanation) == ("done", "What is asked for now is there.")


def test_cancel_says_what_it_left_and_why(settings: Settings) -> None:
    """Done ones keep their results, cancelled ones are as wanted; one sentence for each, and the rest is cancelled."""
    fill(
        settings,
        ("item", State.DONE, "done.mp4", "v", {}), ("video", State.DONE, "v", "v", {}),
        ("item", State.CANCELLED, "gone.mp4", "", {}), ("item", State.FAILED, "bad.mp4", "", {}),
        ("listing", State.DONE, "list", "", {}),
    )  # fmt: skip
    changed = do(app.cancel(settings, ["done.mp4", "gone.mp4", "bad.mp4", "list"]))
    done, gone, bad, listing = changed.items
    assert (done.tasks, gone.tasks, bad.tasks, listing.tasks) == (0, 0, 1, 1)
    assert "results stay" in done.left
    assert "cancelled before" in gone.left
    assert (bad.left, listing.left, changed.tasks) == ("", "", 2)


def test_cancel_failed_takes_all_that_failed_and_nothing_else(settings: Settings) -> None:
    """With the lines of failed videos; with --all, what is unfinished; where there is nothing, it says so."""
    fill(
        settings,
        ("item", State.DONE, "a.mp4", "v", {}), ("video", State.FAILED, "v", "v", {}),
        ("item", State.FAILED, "bad.mp4", "", {}), ("item", State.HELD, "held.mp4", "", {}),
        ("item", State.PENDING, "new.mp4", "", {"due": FAR}),
    )  # fmt: skip
    assert do(app.cancel(settings, [], failed=True)).tasks == 3
    after = states(settings)
    assert (after["item held.mp4"], after["item new.mp4"], after["item a.mp4"]) == ("held", "pending", "cancelled")
    assert do(app.cancel(settings, [], failed=True)).nothing == "nothing failed: there is nothing to cancel"
    assert do(app.cancel(settings, [])).tasks == 2
    assert do(app.cancel(settings, [])).nothing == "nothing is unfinished: there is nothing to cancel"


def test_retry_wakes_what_sleeps_of_the_named_item_alone(settings: Settings) -> None:
    """A backing-off upload and a premiere are due at once; the same of another item sleep on."""
    fill(
        settings,
        ("item", State.DONE, "a.mp4", "v", {}), ("video", State.PENDING, "v", "v", {"due": FAR}),
        ("item", State.PENDING, "b.mp4", "", {"due": FAR}), ("item", State.PENDING, "c.mp4", "", {"due": FAR}),
    )  # fmt: skip
    assert do(app.retry(settings, ["a.mp4", "b.mp4"])).tasks == 2

    async def due(database: Database) -> list[str]:
        now = SystemClock().now()
        return [task.key for task in await database.tasks(Selection()) if task.wake_at and task.wake_at <= now]

    assert within(settings, due) == ["v", "b.mp4"]
    (left,) = do(app.retry(settings, ["a.mp4"])).items
    assert (left.tasks, "due already" in left.left) == (0, True)


def test_retry_opens_the_lane_that_the_item_waits_for(settings: Settings) -> None:
    """The pause is over, though not for what else sleeps in it: that keeps its time."""
    park = Parked("fetch", FAR, Trouble("quota", "A quota is spent."))
    fill(
        settings,
        ("item", State.PENDING, "a.mp4", "", {"due": FAR}), ("item", State.PENDING, "b.mp4", "", {"due": FAR}),
    )  # fmt: skip
    within(settings, lambda database: database.park(park, FAR - 86_400))
    changed = do(app.retry(settings, ["a.mp4"]))
    assert (changed.tasks, changed.lanes) == (1, ["fetch"])

    async def claimed(database: Database) -> list[str]:
        now = SystemClock().now()
        return [task.key for task in await database.claim({Lane.FETCH: 9}, "me", now, now + 60)]

    assert within(settings, claimed) == ["a.mp4"]


@pytest.mark.parametrize("lever", ["item", "parked"])
def test_retry_ends_the_waits_that_the_platform_asked_for(settings: Settings, lever: str) -> None:
    """An opened lane whose limit is remembered would be parked again by the next run; our own limits go on counting."""
    fill(settings, ("item", State.DONE, "a.mp4", "v", {}),
         ("video", State.PENDING, "v", "v", {"due": FAR, "stage": "upload", "lane": Lane.UPLOAD}))  # fmt: skip
    limits = LimitsSection(assets=BucketSection(requests_per_minute=1), read=BucketSection(requests_per_minute=5))

    async def admitted(database: Database, *, wait: float = 0.0) -> list[bool]:
        limiter, found = SharedLimiter(limits, database, SystemClock(), Random(1)), []
        for group in ("assets", "read"):
            try:
                await limiter.admit(group)
                found.append(True)
            except Throttled:
                found.append(False)
            limiter.learn(group, wait=wait)
        await limiter.aclose()
        return found

    assert within(settings, lambda database: admitted(database, wait=3600.0)) == [True, True]
    assert within(settings, admitted) == [False, False]
    within(
        settings, lambda database: database.park(Parked("upload", FAR, Trouble("rate_limited", "Later.")), FAR - 86_400)
    )
    do(app.retry(settings, ["a.mp4"]) if lever == "item" else app.retry_parked(settings, []))
    assert within(settings, admitted) == [False, True]


@pytest.mark.parametrize("classes", [[], ["bot_check"]])
def test_retry_forgets_the_limits_that_the_platform_has_named(settings: Settings, classes: list[str]) -> None:
    """One that is wrong, or of a plan that is no more, would hold for a week; it slows a run that nothing has parked."""
    limits = LimitsSection(assets=BucketSection(requests_per_day=50))

    async def work(database: Database) -> list[tuple[str, float]]:
        limiter = SharedLimiter(limits, database, SystemClock(), Random(1))
        await limiter.start()
        if not seen:
            limiter.learn("assets", notes=[QuotaNote("requests", "day", 2), QuotaNote("minutes", "day", 0.01)])
        await limiter.admit("assets")
        await limiter.aclose()
        kept = await database.load(NAME)
        return [
            (each.window, each.limit)
            for each in read_usage(limits, kept, SystemClock().now())
            if each.group == "assets" and each.window != "requests_per_minute"
        ]

    seen: list[tuple[str, float]] = []
    seen += within(settings, work)
    assert seen == [("requests_per_day", 2)]
    opened = do(app.retry_parked(settings, classes))
    assert (opened.limits, opened.nothing) == ((0, "nothing is parked") if classes else (1, ""))
    assert within(settings, work) == [("requests_per_day", 2 if classes else 50)]
    assert do(app.retry_parked(settings, ["bot_check"])).limits == 0


def test_retry_does_not_hurry_the_look_for_a_paid_call(settings: Settings) -> None:
    """To wait is what keeps it from being paid twice: it is left as it is, and that is said."""
    fill(
        settings,
        ("item", State.DONE, "a.mp4", "v", {}),
        ("video", State.PENDING, "v", "v", {"due": FAR, "stage": "find", "lane": Lane.UPLOAD}),
    )  # fmt: skip
    (left,) = do(app.retry(settings, ["a.mp4"])).items
    assert left.tasks == 0
    assert "paying twice" in left.left


def test_retry_wakes_a_look_that_was_due_and_could_not_be_made(settings: Settings) -> None:
    """The platform refused the look with a wait of its own: the time that keeps from paying twice is over already."""
    fill(
        settings,
        ("item", State.DONE, "a.mp4", "v", {}),
        ("video", State.PENDING, "v", "v", {"due": 0.0, "stage": "find", "lane": Lane.UPLOAD}),
    )  # fmt: skip

    async def refused(database: Database) -> None:
        (task,) = await database.claim({Lane.UPLOAD: 9}, "me", 1.0, 61.0)
        await database.apply(moved(task, State.PENDING, wake_at=FAR, trouble=Trouble("rate_limited", "Later.")), 2.0)

    within(settings, refused)
    assert do(app.retry(settings, ["a.mp4"])).tasks == 1
    (left,) = do(app.retry(settings, ["a.mp4"])).items
    assert "due already" in left.left


def test_retry_without_a_match_says_what_there_is(settings: Settings) -> None:
    """An unknown class, a mistyped one, nothing at all; a done item is told how it is done again."""
    fill(settings, ("item", State.DONE, "a.mp4", "v", {}), ("video", State.DONE, "v", "v", {}))
    assert do(app.retry(settings, [], ["x"])).nothing == "nothing has failed: there is nothing to retry"
    assert do(app.retry(settings, [], failed=True)).nothing == "nothing has failed: there is nothing to retry"
    fill(settings, ("item", State.FAILED, "bad.mp4", "", {}))
    assert do(app.retry(settings, [], ["video_too_shrt"])).nothing.endswith("did you mean video_too_short?")
    assert do(app.retry(settings, [], ["x"])).nothing == "nothing stopped with class x; these did: video_too_short"
    (done,) = do(app.retry(settings, ["a.mp4"])).items
    assert "it is done" in done.left
    (other,) = do(app.retry(settings, ["bad.mp4"], ["x"])).items
    assert other.left == "it did not stop with x"
