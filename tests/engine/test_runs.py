"""Whole runs: how each kind of stop looks from outside, and that the next run finishes what this one left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.app.operator.last_run import read_last_run
from pipeline.core.errors import NeedsOperator, StoreError, Throttled
from pipeline.core.model import Parked, Selection, State, Task, Trouble
from pipeline.ports.source import Item
from pipeline.ports.video_api import AnalysisStatus, MediaStatus
from pipeline.views import BadLine
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import Wreck, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced


def test_a_bad_key_at_the_first_call_blames_no_video(tmp_path: Path) -> None:
    """Exit 4 with the platform's words; everything waits uncounted; with a good key the next run finishes."""
    life = Life.at(tmp_path)
    refused = NeedsOperator("The key was refused.", code="bad_key", remedy="check TWELVELABS_API_KEY")
    life.api.upload_trouble = lambda number: refused
    paths = clips(tmp_path, 5)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.note) == (4, "The key was refused; check TWELVELABS_API_KEY")
        assert report.items["failed"] == 0
        assert len(life.api.uploads) <= 4
        assert {task.state for task in await life.tasks("video")} <= {State.PENDING}
        assert all(task.attempt == 0 for task in await life.tasks("video"))
        life.api.upload_trouble = lambda number: None
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.items["done"]) == (0, 5)
        assert len(life.effects_of("asset")) == 5

    run_virtual(scenario())


def test_a_credit_that_runs_out_on_the_way_stops_the_run(tmp_path: Path) -> None:
    """What was asked before is not lost: the next run adopts it and asks only for the rest."""
    life = Life.at(tmp_path, **priced(lanes={"analyze": 1}))
    life.api.ask_trouble = lambda number: NeedsOperator("No credit.", code="credit") if number == 3 else None
    paths = clips(tmp_path, 5)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert report.exit_code == 4
        assert {task.state for task in await life.tasks("analysis")} <= {State.PENDING, State.DONE}
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        assert sorted(life.platform.effects().values()) == [1] * 10

    run_virtual(scenario())


def test_the_budget_ends_the_run_with_everything_else_done(tmp_path: Path) -> None:
    """Exit 5: all are uploaded, as many are analysed as the money allows, written too; more money finishes it."""
    prices = {"analyze_minute": 0.05, "output_1000_tokens": 0.0}
    life = Life.at(tmp_path, **priced(prices=prices, budget={"max_usd_per_run": 0.14}))
    paths = clips(tmp_path, 5)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert report.exit_code == 5
        assert "max_usd_per_run" in report.note
        assert report.usd == pytest.approx(0.10)
        assert (len(life.effects_of("analysis")), report.analyses, report.published) == (2, 2, 2)
        assert len(life.effects_of("asset")) == 5
        assert await life.database.parked(life.clock.now()) == []
        life.configure(tmp_path, **priced(prices=prices, budget={"max_usd_per_run": 10.0}))
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.analyses, report.items["done"]) == (0, 3, 5)

    run_virtual(scenario())


def test_a_long_quota_ends_the_run_with_the_time_to_resume(tmp_path: Path) -> None:
    """Exit 6, twice before that time without a single try, 0 after it."""
    life = Life.at(tmp_path, limits={"patience": 600.0})
    until = EPOCH + 40_000
    life.api.ask_trouble = lambda number: (
        Throttled("Daily quota spent.", after=until - life.clock.now(), group="analyze")
        if life.clock.now() < until
        else None
    )
    paths = clips(tmp_path, 3)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.resume_at) == (6, until)
        assert "Daily quota spent;" in report.note
        assert "2027-01-15T19:06:40Z" in report.note
        assert len(life.effects_of("asset")) == 3
        tried = len(life.api.questions)
        await anyio.sleep(3600)
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.resume_at, len(life.api.questions)) == (6, until, tried)
        await anyio.sleep(until - life.clock.now() + 1)
        assert (await life.run(items(paths), seed=3)).exit_code == 0
        assert len(life.effects_of("analysis")) == 3

    run_virtual(scenario())


def test_a_pause_that_nobody_waits_for_is_no_reason_to_come_back(tmp_path: Path) -> None:
    """A site refused an earlier run for hours; this one has nothing of that site, does all it was given, and ends with 0."""
    life = Life.at(tmp_path)
    refused = Trouble("blocked", "YouTube refuses this machine.")

    async def scenario() -> None:
        await life.database.park(Parked("download", EPOCH + 40_000, refused), life.clock.now())
        report = await life.run(items(clips(tmp_path, 2)))
        assert (report.exit_code, report.resume_at, report.note, report.items["done"]) == (0, None, "", 2)

    run_virtual(scenario())


def test_a_short_throttle_costs_time_and_nothing_else(tmp_path: Path) -> None:
    """Five minutes of 429: the run goes on by itself and ends well."""
    life = Life.at(tmp_path)
    life.api.ask_trouble = lambda number: (
        Throttled("slow down", after=300.0, group="analyze") if life.clock.now() < EPOCH + 300 else None
    )
    report = run_virtual(life.run(items(clips(tmp_path, 3))))
    assert (report.exit_code, report.resume_at) == (0, None)
    assert len(life.effects_of("analysis")) == 3


def test_a_signal_ends_the_run_gracefully_and_the_next_one_finishes(tmp_path: Path) -> None:
    """SIGTERM while videos settle: exit 130 at once, nothing failed, nothing paid twice."""
    life = Life.at(tmp_path)
    life.platform.behave(settle=500.0)
    paths = clips(tmp_path, 4)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:

            async def later() -> None:
                await anyio.sleep(100)
                os.kill(os.getpid(), signal.SIGTERM)

            group.start_soon(later)
            report = await life.run(items(paths))
        assert report.exit_code == 130
        assert life.clock.now() - EPOCH < 110
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


def test_a_source_that_crashes_ends_the_run_with_an_error(tmp_path: Path) -> None:
    """Not silently, not for ever: what was read before it is in the queue, and the next run goes on with it."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 3)

    def broken() -> Iterator[Item | BadLine]:
        yield from items(paths)
        raise OSError("the stick was pulled out")

    async def scenario() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await life.session().run(broken())
        assert caught.group_contains(OSError, match="pulled out")
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


def test_a_database_that_fails_while_it_is_fed_ends_the_run(tmp_path: Path) -> None:
    """Exit 1 and the database's own words."""
    life = Life.at(tmp_path)
    real = life.database.submit
    damaged = StoreError("The file is damaged.", code="database_damaged", remedy="restore a backup")

    async def refuse(tasks: object, now: float) -> int:
        raise damaged

    async def scenario() -> None:
        life.database.submit = refuse
        report = await life.run(items(clips(tmp_path, 2)))
        assert (report.exit_code, report.note) == (1, "The file is damaged; restore a backup")
        life.database.submit = real

    run_virtual(scenario())


def test_a_run_with_only_bad_lines_ends_at_once_and_says_so(tmp_path: Path) -> None:
    """Exit 3: nothing else was to be done. The history keeps the lines for ``status``."""
    life = Life.at(tmp_path)
    bad = BadLine("list:1", "?", Trouble("input", "no such file", "check the path"))

    async def scenario() -> None:
        report = await life.run([bad])
        assert (report.exit_code, report.bad_count, report.lines) == (3, 1, 0)
        assert report.ended == report.started
        last = await read_last_run(life.database)
        assert (last.stopped, last.bad_lines, last.bad_count) == (None, [bad], 1)

    run_virtual(scenario())


def test_a_run_without_lines_goes_on_with_what_is_left(tmp_path: Path) -> None:
    """The manifest is empty tonight; yesterday's unfinished videos are finished all the same."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        life.api.upload_trouble = lambda number: NeedsOperator("no", code="bad_key")
        await life.run(items(paths))
        life.api.upload_trouble = lambda number: None
        report = await life.run([], seed=2)
        assert (report.exit_code, report.items["done"], report.published) == (0, 2, 2)

    run_virtual(scenario())


def test_one_bad_video_harms_no_other(tmp_path: Path) -> None:
    """Missing, refused and good ones in one list: exit 3, the good ones are done, the report names the others."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 4)
    paths[1].unlink()
    report = run_virtual(life.run(items(paths)))
    assert (report.exit_code, report.items["done"], report.items["failed"]) == (3, 3, 1)
    ((name, trouble),) = report.troubles
    assert str(paths[1]) in name
    assert trouble.code == "file_missing"
    assert report.published == 3


def test_many_videos_end_in_bounded_virtual_time(tmp_path: Path) -> None:
    """Lanes keep each other busy: no lane waits for a look at the clock."""
    life = Life.at(tmp_path, provider={"in_hand": 50}, lanes={"fetch": 8})
    report = run_virtual(life.run(items(clips(tmp_path, 200))))
    assert (report.exit_code, report.items["done"]) == (0, 200)
    assert report.ended - report.started < 200 / 50 * (12 + 25 + 30) * 2


@pytest.mark.parametrize("call", ["api.create_asset", "api.media", "api.submit_analysis", "api.analysis", "sink.write"])
def test_what_died_on_friday_is_finished_on_monday(tmp_path: Path, call: str) -> None:
    """The weekend is longer than any stage may take: nothing that was at work then has failed because of it."""
    life, quiet = Life.at(tmp_path), Wreck()
    (tmp_path / "calm").mkdir()
    run_virtual(Life.at(tmp_path / "calm").run(items(clips(tmp_path, 3)), quiet))

    async def scenario() -> None:
        with pytest.raises(BaseExceptionGroup):
            await life.run(items(clips(tmp_path, 3)), Wreck((1 + quiet.calls.index(call), "before")))
        await anyio.sleep(2.5 * 86_400)
        report = await life.run(items(clips(tmp_path, 3)), seed=2)
        assert (report.exit_code, report.items["done"]) == (0, 3), report.troubles
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


@pytest.mark.parametrize("look", ["media", "analysis"])
def test_what_waited_over_a_weekend_is_not_given_up_before_anybody_was_asked(tmp_path: Path, look: str) -> None:
    """The looks are shared and have a pace: the first answer on Monday may be that it is not this one's turn yet."""
    life = Life.at(tmp_path)
    real = getattr(life.api, look)
    told: set[str] = set()

    async def in_turn(*about: Any) -> Any:
        if about[-1] in told:
            return await real(*about)
        told.add(about[-1])
        return MediaStatus("working", look_again=1.0) if look == "media" else AnalysisStatus("working", look_again=1.0)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            session = life.session()
            group.start_soon(session.run, iter(items(clips(tmp_path, 3))))
            await anyio.sleep(2.0 if look == "media" else 20.0)
            session.components.pool.stop()
        waiting = [task for task in await life.database.tasks(Selection()) if not task.state.terminal]
        assert {task.stage for task in waiting} == {"settle" if look == "media" else "await"}
        await anyio.sleep(2.5 * 86_400)
        setattr(life.api, look, in_turn)
        report = await life.run([], seed=2)
        assert (report.exit_code, report.items["done"]) == (0, 3), report.troubles
        assert len(told) == 3

    run_virtual(scenario())


class _Slow(MemoryDatabase):
    """Takes a moment to find what a dead run has left, as a file does."""

    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        await anyio.sleep(0.1)
        return await super().expired(now, family)


def test_a_line_that_was_corrected_after_a_crash_counts_at_once(tmp_path: Path) -> None:
    """What the dead run had in hand is given back before the list is read: the new words reach every item."""
    life, quiet = Life.at(tmp_path), Wreck()
    life.database = _Slow()
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        with pytest.raises(BaseExceptionGroup):
            await life.run(items(paths), Wreck((1 + quiet.calls.index("store.apply"), "before")))
        assert State.RUNNING in {task.state for task in await life.tasks("item")}
        assert (await life.run(items(paths, title="Corrected"), seed=2)).exit_code == 0
        assert {task.data["line"]["title"] for task in await life.tasks("item")} == {"Corrected"}

    calm = Life.at(tmp_path)
    calm.database = _Slow()
    run_virtual(calm.run(items(paths), quiet))
    run_virtual(scenario())
