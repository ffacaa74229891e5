"""The posters of a library: what they are made of, in a process that a film may take down, and what is remembered."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio
from PIL import Image

from pipeline.app.gallery import poster_process, posters
from pipeline.app.gallery.blocks import JobBlocks
from pipeline.app.gallery.entries import EntryMaker
from pipeline.app.gallery.poster_process import PosterProcess, PostersUnavailable
from pipeline.app.gallery.poster_wishes import PosterWishes, telling_second
from pipeline.app.gallery.posters import FailedPosters, PosterMaker, PosterReport, made_posters
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.wiring.run_plan import load_jobs
from pipeline.core.model import Json, Result
from pipeline.gallery.values import PageResult
from pipeline.kit.page import Moment, Moments, Prose
from pipeline.ports.store import Database
from pipeline.sink.disk import DiskSink
from tests.support.clock import VirtualClock
from tests.support.fakes import FakeSink
from tests.support.gallery_library import Finished, put_finished
from tests.support.media import clip, film_bytes, picture_bytes
from tests.support.memory_database import MemoryDatabase

DOUBLE = "tests.support.poster_double"


class Library:
    """Published videos over a database in memory, with posters on a real disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "out"
        self.database: Any = MemoryDatabase()
        self.clock = VirtualClock()
        self.sink: Any = DiskSink(self.output)
        self.makers: list[PosterMaker] = []

    def maker(self, **options: Any) -> PosterMaker:
        """Return a maker of a new process."""
        words = SafeWords(self.output)
        entries = EntryMaker(
            words, JobBlocks({job.name: job for job in load_jobs()}), Standing(words, lambda _task, _tasks: True, 0.0)
        )
        database: Database = self.database
        made = PosterMaker(database, self.sink, self.output, PosterWishes(database, entries), self.clock, **options)
        self.makers.append(made)
        return made

    async def add(self, number: int, film: Path | bytes | None, results: Sequence[Result] = (), **video: Json) -> str:
        """Put a published video into the database; return its folder."""
        key, folder = f"sha256:{number}", f"film-{number}--aaaaaaa{number}"
        data: dict[str, Json] = {"seconds": 5.0, **video}
        if isinstance(film, bytes):
            path = self.root / f"{number}.mp4"
            path.write_bytes(film)
            film = path
        if film is not None:
            seen = film.stat()
            data |= {"path": str(film), "size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
        mine = [Result(key, each.job, each.fingerprint, each.body, each.meta) for each in results]
        present = {each.job: each.fingerprint for each in mine if not each.job.startswith("_")}
        await put_finished(self.database, [
            Finished("video", key, "fan_out", data, key, 1.0, mine),
            Finished("publish", key, "write", {"folder": folder, "present": present}, key, 2.0),
        ])  # fmt: skip
        return folder

    def posters(self) -> set[str]:
        """Return which posters are there, each a whole WebP of no more than 320 pixels."""
        for name in made_posters(self.output):
            with Image.open(self.output / "gallery" / "posters" / f"{name}.webp") as image:
                assert image.format == "WEBP"
                assert image.width <= 320
        return made_posters(self.output)


@pytest_asyncio.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    """Return an empty library; processes are ended."""
    made = Library(tmp_path)
    yield made
    for maker in made.makers:
        await maker.aclose()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let films do as they say, with a second of processor time."""
    monkeypatch.setattr(poster_process, "MAIN", DOUBLE)


THUMBNAIL = Result(
    "", "_thumbnail", "1", {"name": "thumbnail.jpg", "base64": base64.b64encode(picture_bytes()).decode()}
)


@pytest.mark.asyncio
async def test_a_poster_comes_from_the_film_else_from_the_thumbnail(library: Library) -> None:
    """A film that is not there any more, or another one, has none; a fetched one has its thumbnail; none is made twice."""
    there = await library.add(1, clip(library.root / "a.mp4"))
    changed = clip(library.root / "b.mp4", 1)
    await library.add(2, changed)
    changed.write_bytes(film_bytes(1.0))
    await library.add(3, None, path=str(library.root / "gone.mp4"), size=5, mtime_ns=5)
    fetched = await library.add(4, None, [THUMBNAIL], path=str(library.root / "gone.mp4"), fetched=True)
    await library.add(5, None, fetched=True)
    await library.add(6, library.root)
    assert await library.maker().finish(60) == PosterReport(made=2, failed=1, left=0)
    assert library.posters() == {there, fetched}
    assert await library.maker().finish(60) == PosterReport()
    (library.output / "gallery" / "posters" / f"{there}.webp").unlink()
    assert await library.maker().finish(60) == PosterReport(made=1)
    assert library.posters() == {there, fetched}


@pytest.mark.asyncio
async def test_a_film_that_takes_the_process_down_loses_its_poster_only(library: Library, double: None) -> None:
    """A crash, an endless loop, hunger for memory, a write, a broken file, a talkative library: the next one has its poster."""
    victim = library.root / "victim.txt"
    for number, data in enumerate((b"crash", b"spin", b"eat", b"write " + os.fsencode(victim), b"print", b"no film")):
        await library.add(number, data)
    good = await library.add(8, clip(library.root / "good.mp4"))
    assert await library.maker().finish(60) == PosterReport(made=1, failed=6)
    assert library.posters() == {good}
    assert not victim.exists() or victim.stat().st_size == 0


@pytest.mark.asyncio
async def test_what_failed_is_not_tried_at_each_run(library: Library, double: None) -> None:
    """It is remembered with the file's size and time: a mended file is tried at once, any other after a month."""
    folder = await library.add(1, b"crash")
    path = library.root / "1.mp4"
    assert await library.maker().finish(60) == PosterReport(failed=1)
    assert await library.maker().finish(60) == PosterReport()
    library.clock.skew += 31 * 86_400.0
    assert await library.maker().finish(60) == PosterReport(failed=1)
    clip(path)
    seen = path.stat()
    library.database = MemoryDatabase()
    await library.add(1, path)
    await library.database.save(
        "posters_failed", {"aaaaaaa1": [seen.st_size, seen.st_mtime_ns - 1, library.clock.now()]}
    )
    assert await library.maker().finish(60) == PosterReport(made=1)
    assert library.posters() == {folder}


@pytest.mark.asyncio
async def test_nothing_is_remembered_beside_a_run(library: Library, double: None) -> None:
    """Without a database to write to, what failed is tried again the next time."""
    await library.add(1, b"crash")
    assert await library.maker(remember=False).finish(60) == PosterReport(failed=1)
    assert await library.database.load("posters_failed") is None


@pytest.mark.asyncio
async def test_a_process_that_somebody_kills_blames_no_film(library: Library, double: None) -> None:
    """As when memory runs out elsewhere: no more are made this time, and all are tried the next time."""
    await library.add(1, b"killed")
    good = await library.add(2, clip(library.root / "good.mp4"))
    assert (await library.maker().finish(60)).made == 0
    (library.root / "1.mp4").unlink()
    assert await library.maker().finish(60) == PosterReport(made=1)
    assert library.posters() == {good}


@pytest.mark.asyncio
async def test_a_machine_that_cannot_start_the_process(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once; no film is blamed for it."""
    monkeypatch.setattr(poster_process, "MAIN", "pipeline.no_such_module")
    await library.add(1, clip(library.root / "good.mp4"))
    assert await library.maker().finish(60) == PosterReport(left=1)
    assert await library.database.load("posters_failed") is None
    process = PosterProcess()
    with pytest.raises(PostersUnavailable):
        await process.of_film("a", None, 0.0)


@pytest.mark.asyncio
async def test_posters_are_made_beside_a_run(library: Library) -> None:
    """What is published gets its poster while the run goes on; the end makes the rest."""
    early = await library.add(1, clip(library.root / "a.mp4"))
    late = await library.add(2, clip(library.root / "b.mp4", 1))
    maker = library.maker()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(maker.beside)
            maker.published("sha256:1")
            while not library.posters():
                await anyio.lowlevel.checkpoint()
            assert library.posters() == {early}
            assert await maker.finish(60) == PosterReport(made=2)
            group.cancel_scope.cancel()
    assert library.posters() == {early, late}


@pytest.mark.asyncio
async def test_the_end_of_a_run_waits_for_a_while_only(library: Library, double: None) -> None:
    """What is not made by then is left to the next time, and so is everything where the run is told to stop."""
    for number in range(3):
        await library.add(number, b"spin")
    assert (await library.maker().finish(0.2)).left == 3
    maker = library.maker()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                while maker._process._process is None:
                    await anyio.lowlevel.checkpoint()
                maker.stop()

            group.start_soon(stop)
            assert (await maker.finish(3600)).left == 3
    assert await library.database.load("posters_failed") is None


@pytest.mark.asyncio
async def test_the_wanted_second_is_asked_for(library: Library, double: None) -> None:
    """A third of the longest chapter, with the film's length."""
    chapters = {"chapters": [
        {"start_time": 0.0, "end_time": 10.0, "chapter_title": "A", "chapter_summary": "a"},
        {"start_time": 10.0, "end_time": 100.0, "chapter_title": "B", "chapter_summary": "b"},
    ]}  # fmt: skip
    folder = await library.add(1, b"echo ", [Result("", "chapters", "1", chapters, {"job": "chapters"})], seconds=120.0)
    library.sink = FakeSink()
    assert (await library.maker().finish(60)).made == 1
    assert library.sink.folders["gallery"][f"posters/{folder}.webp"] == b"40.0 120.0"


@pytest.mark.asyncio
async def test_an_output_folder_that_cannot_be_written(library: Library) -> None:
    """A file where the folder belongs: the posters are given up with a word, nothing is raised."""
    library.output.mkdir()
    (library.output / "gallery").write_text("mine")
    await library.add(1, clip(library.root / "a.mp4"))
    assert await library.maker().finish(60) == PosterReport(left=1)


@pytest.mark.asyncio
async def test_what_is_remembered_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest failures are kept; a note of another form is left out."""
    monkeypatch.setattr(posters, "_MOST_FAILED", 3)
    await library.database.save("posters_failed", ["of another release"])
    failed = FailedPosters(library.database, library.clock)
    await failed.load()
    for number in range(5):
        failed.add(str(number), number, number)
    await failed.save()
    assert sorted(await library.database.load("posters_failed")) == ["2", "3", "4"]


def test_the_second_that_tells_most() -> None:
    """A third of the longest chapter of any answer; none without chapters."""
    chapters = Moments([Moment(0, 30, "a"), Moment(30, 90, "b"), Moment(90, 95, "c")], chapters=True)
    others = [Prose("text"), Moments([Moment(0, 900, "no chapter")]), Moments([Moment(9, 1, "x")], chapters=True)]
    assert telling_second([PageResult("a", "a", others), PageResult("b", "b", [chapters])]) == 50.0
    assert telling_second([PageResult("a", "a", others)]) is None
