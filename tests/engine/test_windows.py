"""Windows over whole runs: a part is asked and paid, a long video is asked in parts, and the times are a player's."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import chapters as chapters_module
from pipeline.core.model import State
from pipeline.ports.source import Item, MediaFacts
from pipeline.ports.video_api import Ceilings
from tests.support.clock import run_virtual
from tests.support.fakes import FakeSource, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced

#: A video has 60 s; one call looks at no more than 40.
LONG = Ceilings(window_seconds=40.0)


def written(life: Life, name: str) -> Any:
    """Return one file of the only folder."""
    (files,) = life.sink.folders.values()
    content = files[name]
    return json.loads(content) if name.endswith(".json") else content


def chapters(life: Life) -> list[tuple[float, float]]:
    """Return the times of the chapters of the only video."""
    return [(each["start_time"], each["end_time"]) for each in written(life, "chapters.json")["chapters"]]


async def minutes(life: Life) -> float:
    """Return what the ledger holds in minutes."""
    keys = [task.key for task in await life.tasks("video")]
    return round(sum(spend.minutes for spend in await life.database.spends(keys)), 6)


def billed(life: Life) -> float:
    """Return what the platform has billed."""
    return sum(thing.data["usd"] for thing in life.platform.things.values() if thing.kind == "analysis")


async def booked(life: Life) -> float:
    """Return what the ledger holds in USD."""
    keys = [task.key for task in await life.tasks("video")]
    return sum(spend.usd for spend in await life.database.spends(keys))


def test_a_window_of_a_line_is_asked_and_paid_alone_and_once(tmp_path: Path) -> None:
    """Half a minute of one: ledger, bill and answer are of that part; another window asks again, the old one does not."""
    life, paths = Life.at(tmp_path, **priced(jobs={"enabled": ["chapters"]})), clips(tmp_path, 1)

    async def scenario() -> None:
        for window, calls in (
            ("0:10-0:40", 1),
            ("0:10-0:40", 1),
            ("10-40", 1),
            ("0:20-", 2),
            ("", 3),
            ("0:10-0:40", 3),
        ):
            report = await life.run(items(paths, window=window))
            assert (report.exit_code, len(life.effects_of("analysis"))) == (0, calls), window
        assert [(each.start, each.end) for each in life.api.questions] == [(10.0, 40.0), (20.0, None), (None, None)]
        assert await minutes(life) == pytest.approx(0.5 + 40 / 60 + 1.0, abs=1e-4)
        assert await booked(life) == pytest.approx(billed(life))
        assert chapters(life)[0] == (10.0, 17.5)
        assert chapters(life)[-1] == (32.5, 40.0)
        assert "chapters.txt" not in written(life, "video.json")["files"]
        assert written(life, "video.json")["results"]["chapters"]["window"] == [10.0, 40.0]

    run_virtual(scenario())


def test_a_second_window_of_a_video_is_told_and_takes_nothing_out_of_the_list(tmp_path: Path) -> None:
    """The first line counts; another one is a bad line that names both, and every video is still named by the list. A folder
    says nothing against a window, and the same window twice is one.
    """
    life, paths = Life.at(tmp_path, **priced(jobs={"enabled": ["chapters"]})), clips(tmp_path, 1)
    in_folder = [replace(item, named=False) for item in items(paths)]

    async def scenario() -> None:
        session = life.session()
        first = items(paths, window="0:10-0:40")
        report = await session.run(iter([*first, *in_folder, *first, *items(paths, window="0:00-0:05"), *items(paths)]))
        assert (report.exit_code, report.bad_count, len(life.effects_of("analysis"))) == (3, 2, 1)
        assert [bad.trouble.code for bad in report.bad_lines] == ["window_twice"] * 2
        part, whole = (bad.trouble.message for bad in report.bad_lines)
        place = first[0].line.place
        assert f"about 0:00-0:05 of the video, and {place} about 0:10-0:40 of it" in part
        assert "about the whole of the video" in whole
        assert (report.lines, report.duplicates) == (3, 2)  # each line is told of once

    run_virtual(scenario())


def test_a_window_of_a_video_that_is_asked_about_as_a_whole_is_told(tmp_path: Path) -> None:
    """Also where a folder has named it."""
    life, paths = Life.at(tmp_path, **priced(jobs={"enabled": ["chapters"]})), clips(tmp_path, 1)
    first = [replace(item, named=False) for item in items(paths)]
    report = run_virtual(life.run([*first, *items(paths, window="0:00-0:05")]))
    (bad,) = report.bad_lines
    assert f"about 0:00-0:05 of the video, and {first[0].line.place} about the whole of it" in bad.trouble.message


def test_parts_of_a_video_by_jobs_of_their_own_are_paid_once_each_over_one_upload(tmp_path: Path) -> None:
    """As the advice says: two jobs of one kind with windows of their own; a second run asks nothing."""
    windows = {"beginning": "0:00-0:20", "end": "0:20-1:00"}
    parts = {name: {"job": "summary", "window": window} for name, window in windows.items()}
    jobs = {"enabled": ["beginning", "end"], "settings": parts}
    life = Life.at(tmp_path, **priced(jobs=jobs))
    entries = items(clips(tmp_path, 1))
    assert [run_virtual(life.run(entries)).exit_code for _ in range(2)] == [0, 0]
    assert Counter(effect for effect, _ in life.platform.ledger) == {"asset": 1, "analysis": 2}
    assert sorted(question.minutes for question in life.api.questions) == pytest.approx([1 / 3, 2 / 3])
    (files,) = life.sink.folders.values()
    assert {"summary.md", "end-summary.md"} <= set(files)


def test_a_window_behind_the_end_fails_with_a_sentence_and_costs_nothing(tmp_path: Path) -> None:
    """The other jobs are done; a corrected window is asked by itself, without a retry."""
    settings: dict[str, Any] = {"enabled": ["gist", "chapters"], "settings": {"chapters": {"window": "1:30-2:00"}}}
    life, films = Life.at(tmp_path, **priced(jobs=settings)), items(clips(tmp_path, 1))

    async def scenario() -> None:
        report = await life.run(films)
        assert (report.exit_code, len(life.effects_of("analysis"))) == (3, 1)
        (failed,) = [task for task in await life.tasks("analysis") if task.state is State.FAILED]
        assert failed.trouble is not None
        assert failed.trouble.message == "The window 1:30-2:00 begins after the end of the video, which is 1:00 long."
        life.configure(tmp_path, **priced(jobs={**settings, "settings": {"chapters": {"window": "0:30-2:00"}}}))
        assert (await life.run(films)).exit_code == 0
        assert len(life.effects_of("analysis")) == 2
        assert (chapters(life)[0][0], chapters(life)[-1][1]) == (30.0, 60.0)

    run_virtual(scenario())


def test_a_long_video_is_asked_in_parts_that_make_one_result(tmp_path: Path) -> None:
    """Two calls, each billed by its half; a second run, a lost database and deleted results ask nothing again."""
    jobs = {"enabled": ["gist", "summary", "chapters", "highlights"]}
    life, films = Life.at(tmp_path, LONG, **priced(jobs=jobs)), items(clips(tmp_path, 1), title="film")

    async def scenario() -> None:
        assert (await life.run(films)).exit_code == 0
        assert [(each.start, each.end) for each in life.api.questions] == [(0.0, 30.0), (30.0, None)]
        assert await minutes(life) == pytest.approx(1.0)
        assert await booked(life) == pytest.approx(billed(life))
        first = dict(next(iter(life.sink.folders.values())))
        assert [each[0] for each in chapters(life)] == [0.0, 7.5, 15.0, 22.5, 30.0, 37.5, 45.0, 52.5]
        assert "## 0:00–0:30" in written(life, "summary.md")
        card = written(life, "video.json")["results"]["chapters"]
        assert (card["parts"], len(card["answers"])) == ([[0.0, 30.0], [30.0, 60.0]], 2)
        assert set(card["answers"]) <= set(first)
        life.sink.folders.clear()
        for database in (life.database, MemoryDatabase()):
            life.database = database
            assert (await life.run(films)).exit_code == 0
            assert len(life.effects_of("analysis")) == 2
            again = next(iter(life.sink.folders.values()))
            assert {name: again[name] for name in first if name != "video.json"} == {
                name: text for name, text in first.items() if name != "video.json"
            }

    run_virtual(scenario())


def test_one_part_that_fails_is_asked_again_alone(tmp_path: Path) -> None:
    """The answer of the other part is kept, and the whole waits for both."""
    life, films = Life.at(tmp_path, LONG, **priced(jobs={"enabled": ["chapters"]})), items(clips(tmp_path, 1))
    life.platform.fates["answer"] = ["failed"]

    async def scenario() -> None:
        assert (await life.run(films)).exit_code == 3
        (files,) = life.sink.folders.values()
        assert "chapters.json" not in files
        await life.retry()
        assert (await life.run(films)).exit_code == 0
        assert len(life.effects_of("analysis")) == 3
        assert len(chapters(life)) == 8

    run_virtual(scenario())


@pytest.mark.parametrize("method", ["merge", "render", "check"])
def test_a_job_whose_own_code_raises_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """It names job, method and video; the other job's results are written, and a corrected job pays nothing again."""
    jobs = {"enabled": ["gist", "chapters"], "fuse": False}
    life, films = Life.at(tmp_path, LONG, **priced(jobs=jobs)), items(clips(tmp_path, 1), title="Night shift")

    def broken(self: Any, *_: Any) -> Any:
        return [{}["who"]]

    async def scenario() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(chapters_module.Chapters, method, broken)
            report = await life.run(films)
        assert report.exit_code == 3
        (told,) = {trouble for _, trouble in report.troubles}
        video = "this video" if method == "check" else "Night shift"
        assert told.message == f"`{method}` of the job \"chapters\" failed for {video}: KeyError: 'who'"
        assert (told.code, told.detail.split(",")[0]) == ("job_failed", "test_windows.py")
        assert "gist.json" in next(iter(life.sink.folders.values()))
        await life.retry()
        assert (await life.run(films)).exit_code == 0
        assert len(life.effects_of("analysis")) == 4
        assert len(chapters(life)) == 8

    run_virtual(scenario())


class Late(FakeSource):
    """Files whose clock starts at ten hours."""

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        return replace(await super().fetch(item, workdir), clock_start=36_000.0)


@pytest.mark.parametrize("clock", ["", "window", "file"])
@pytest.mark.parametrize("window", ["", "0:20-0:40"])
def test_times_are_the_players_whatever_the_platform_counts_by(tmp_path: Path, clock: str, window: str) -> None:
    """The request names the clock inside the file; the answer may count by that, by the window, or as a player does."""
    life = Life.at(tmp_path, LONG, **priced(jobs={"enabled": ["chapters"]}))
    life.source = Late()
    vendor: Any = life.platform._vendors["v1.3"]
    vendor.clock, vendor.clock_start = clock, 36_000.0

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1), window=window))).exit_code == 0
        assert life.api.questions[0].start == 36_020.0 if window else 36_000.0
        assert (chapters(life)[0][0], chapters(life)[-1][1]) == ((20.0, 40.0) if window else (0.0, 60.0))

    run_virtual(scenario())
