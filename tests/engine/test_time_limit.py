"""A run that was given so much time: it ends like one that was asked to, and says what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.app.gallery.report import ReportMaker
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.runs.run_report import exit_verdict
from pipeline.app.watch.digest import make_digest
from pipeline.app.watch.gauges import read_gauges
from pipeline.core.model import Lane, Parked, Trouble
from pipeline.engine.admission import RunEnd
from pipeline.ports.source import Item
from pipeline.views import RunReport
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life

HOUR: dict[str, dict[str, Any]] = {"run": {"max_time": "1h"}}


def test_the_time_is_up_and_the_next_run_finishes(tmp_path: Path) -> None:
    """Videos that settle for two hours: exit 6 after one, nothing failed, nothing paid twice."""
    life = Life.at(tmp_path, **HOUR)
    life.platform.behave(settle=7200.0)
    paths = clips(tmp_path, 4)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.time_up, report.resume_at) == (6, True, None)
        assert report.note == "The time of this run is up (1h); 4 items wait; the same command goes on."
        assert 3600 <= life.clock.now() - EPOCH < 3610
        assert await life.troubles() == {}
        (note,) = await life.database.runs(1)
        assert (note.summary["time_up"], "stopped" in note.summary) == (True, False)
        life.configure(tmp_path)
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


@pytest.mark.parametrize("seconds", [3599.5, 10.0])
def test_a_run_that_is_done_in_time_does_not_mention_it(tmp_path: Path, seconds: float) -> None:
    """Also if the last of it is finished within the grace."""
    life = Life.at(tmp_path, **HOUR)
    life.platform.behave(settle=seconds)
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert report.exit_code in ((0, 6) if seconds > 10 else (0,))
    assert (report.exit_code == 6) == report.time_up == bool(report.note)


def test_a_signal_after_the_time_is_an_interruption(tmp_path: Path) -> None:
    """Whoever waits for the grace may still send signals: one is heard, two end it at once."""
    life = Life.at(tmp_path, run={"max_time": 100, "stop_grace": 500})
    paths = clips(tmp_path, 2)

    async def hangs(*_: object) -> str:
        await anyio.sleep(5000)
        return ""

    life.api.create_asset = hangs  # type: ignore[method-assign]

    async def scenario() -> None:
        async with anyio.create_task_group() as group:

            async def later() -> None:
                for _ in range(2):
                    await anyio.sleep(150)
                    os.kill(os.getpid(), signal.SIGTERM)

            group.start_soon(later)
            report = await life.run(items(paths))
        assert (report.exit_code, report.time_up) == (130, False)
        assert life.clock.now() - EPOCH == pytest.approx(300, abs=5)

    run_virtual(scenario())


def test_a_list_that_goes_on_is_told(tmp_path: Path) -> None:
    """What was not read yet is not counted, so that the number is no promise."""
    life = Life.at(tmp_path, **HOUR)
    first = items(clips(tmp_path, 1))

    def endless() -> Iterator[Item]:
        yield from first
        number = 0
        while life.clock.now() < EPOCH + 7200:
            number += 1
            yield first[0]

    async def scenario() -> RunReport:
        session = life.session()
        enqueue = session.enqueuer.enqueue

        async def slowly(entries: Iterator[Any]) -> None:
            await enqueue(iter(first))
            await anyio.sleep(7200)

        session.enqueuer.enqueue = slowly  # type: ignore[method-assign]
        return await session.run(endless())

    report = run_virtual(scenario())
    assert report.exit_code == 6
    assert (
        report.note == "The time of this run is up (1h); the rest of the list was not read; the same command goes on."
    )


def test_what_needs_a_person_is_told_before_the_time() -> None:
    """The next run meets the budget again, and a person has interrupted; a quota waits for its own time."""
    said, limit = "The time of this run is up.", Trouble("budget", "The budget is used up.")
    quota = {Lane.ANALYZE: Parked("analyze", EPOCH, Trouble("quota", "The day's quota is used up."))}
    ends = [
        RunEnd(time_up=True, budget=limit),
        RunEnd(time_up=True, interrupted=True),
        RunEnd(time_up=True, parked=quota),
        RunEnd(time_up=True),
    ]
    codes = [exit_verdict(end, [], False, {}, None, said)[0] for end in ends]
    assert codes == [5, 130, 6, 6]
    assert exit_verdict(ends[2], [], False, {}, None, said)[1] == said


def test_nobody_is_woken_because_of_it(tmp_path: Path) -> None:
    """For those who watch, a run whose time was up has ended well."""
    life = Life.at(tmp_path, **HOUR)
    life.platform.behave(settle=7200.0)

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, 1)))
        assert report.exit_code == 6
        assert await make_digest(report, life.database, "never", life.clock.now()) is None
        told = await make_digest(report, life.database, "run", life.clock.now())
        assert told is not None
        assert told.title.startswith("reelmill: its time was up: 1 waiting")
        (run,) = (
            await ReportMaker(life.database, SafeWords(tmp_path), life.settings, lambda *_: True, 0.0).make(
                running=False
            )
        ).runs
        assert run.meaning == "its time was up"
        gauges = (await read_gauges(life.settings, life.database, 6, life.clock.now())).decode()
        assert "reelmill_last_success_timestamp_seconds 1.8" in gauges

    run_virtual(scenario())
