"""The page is made from the database, whole or as much as has changed, and never from what lies on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.app.gallery import write as writing
from pipeline.app.gallery.write import GalleryWriter
from pipeline.core.clock import SystemClock
from pipeline.core.model import Result, Selection, State, Trouble
from pipeline.gallery.data_files import ROWS, SHARD
from pipeline.sink.disk import DiskSink
from pipeline.store.sqlite.database import open_database
from pipeline.views import GalleryMade
from tests.support.gallery_library import NOW, Finished, Library, put_finished


class HandClock(SystemClock):
    """A clock that stands still until it is set."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def pass_time(self, seconds: float) -> None:
        """Set it on."""
        self.at += seconds


class Place:
    """A library, and a clock that all its pages are made by."""

    def __init__(self, folder: Path, videos: int, **more: Any) -> None:
        self.library = Library(folder, videos, **more)
        self.out = self.library.output
        self.clock = HandClock(NOW + 1000)
        anyio.run(self.library.make)

    #: How many videos' answers were read for the page that was written last.
    read = 0

    def write(self, *, whole: bool = False, remember: bool = True, **sections: Any) -> GalleryMade:
        """Write the page as a run does at its end."""
        return anyio.run(partial(self._write, whole=whole, remember=remember, sections=sections))

    async def _write(self, *, whole: bool, remember: bool, sections: Mapping[str, Any]) -> GalleryMade:
        database = await open_database(self.library.state / "reelmill.db")
        try:
            settings = self.library.settings(**sections)
            read = database.results
            self.read = 0

            def results(subjects: Sequence[str], without: Sequence[str] = ()) -> Awaitable[list[Result]]:
                self.read += len(subjects)
                return read(subjects, without)

            database.results = results  # type: ignore[method-assign, assignment]
            writer = GalleryWriter(database, DiskSink(self.out), settings, self.clock)
            return await writer.write(whole=whole, remember=remember)
        finally:
            await database.aclose()

    def add(self, first: int, count: int = 1) -> None:
        """Finish more videos, now."""
        anyio.run(partial(self._add, first, count))

    async def _add(self, first: int, count: int) -> None:
        database = await open_database(self.library.state / "reelmill.db")
        try:
            await self.library.add(database, range(first, first + count), at=self.clock.now())
        finally:
            await database.aclose()

    def files(self) -> dict[str, bytes]:
        """Return every file of the page."""
        return {str(path.relative_to(self.out)): path.read_bytes() for path in self.out.rglob("*") if path.is_file()}

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return what tells whether a file was written again."""
        found = {path: path.stat() for path in self.out.rglob("*") if path.is_file()}
        return {str(path.relative_to(self.out)): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


def data(out: Path, name: str) -> Any:
    """Read a data file as a browser does."""
    text = (out / "gallery" / "data" / name).read_text(encoding="utf-8")
    called = re.fullmatch(r"reelmill\((.*)\);\n", text)
    assert called is not None
    return json.loads(json.loads(f"[{called[1]}]")[2])


def entries(out: Path) -> dict[int, Any]:
    """Return every view by its number, as the index finds them."""
    shards = data(out, "index.js")["shards"]
    return {entry["number"]: entry for shard in shards for entry in data(out, shard["file"])}


def rows(out: Path) -> list[Any]:
    """Return every card, as the index finds them."""
    index = data(out, "index.js")
    full = [row for each in index.get("rows_files", ()) for row in data(out, each["file"])]
    return [*full, *index.get("rows", ())]


def test_the_page_comes_back_from_the_database(tmp_path: Path) -> None:
    """Deleted and made again, every file has the same bytes; a part that was deleted makes all come back."""
    place = Place(tmp_path, 30)
    made = place.write()
    first = place.files()
    assert (made.videos, made.open_items) == (30, 12)
    assert made.page == place.out / "index.html"
    shutil.rmtree(place.out)
    place.write()
    assert place.files() == first
    (place.out / "gallery" / "data" / "v-0000.js").unlink()
    place.write()
    assert place.files() == first
    assert {"index.html", "index.txt", "gallery/app.js", "gallery/app.css", "gallery/data/index.js"} <= first.keys()


def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    """A page that is as it should be is left alone, every file of it, and no answer is read for it."""
    place = Place(tmp_path, 20)
    place.write()
    before = place.stamps()
    place.clock.pass_time(86_400.0)
    place.write()
    assert place.read == 0
    changed = {name for name, stamp in place.stamps().items() if stamp != before[name]}
    assert changed == {"gallery/data/index.js"}  # it says when it was made
    before = place.stamps()
    place.write()
    place.write(whole=True)
    assert place.stamps() == before


def test_one_more_video_rewrites_three_files(tmp_path: Path) -> None:
    """Index, last shard and plain list; beside them only what is new: the video's captions."""
    place = Place(tmp_path, SHARD + 3)
    place.write()
    before = place.stamps()
    place.clock.pass_time(86_400.0)
    place.add(SHARD + 3)
    place.write()
    after = place.stamps()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"index.txt", "gallery/data/index.js", "gallery/data/v-0001.js"}
    assert place.read == 4
    assert all("/c-" in name for name in after.keys() - before.keys())
    assert len(rows(place.out)) == len(entries(place.out)) == SHARD + 4


def test_changed_and_whole_give_the_same(tmp_path: Path) -> None:
    """What is written again bit by bit is what is written as a whole."""
    place = Place(tmp_path, SHARD + 3)
    place.write()
    place.clock.pass_time(86_400.0)
    place.add(SHARD + 3, 5)
    place.write()
    bit_by_bit = place.files()
    shutil.rmtree(place.out)
    place.write()
    assert place.files() == bit_by_bit


def test_a_full_range_of_rows_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers never change: a video more leaves the full range alone; an old one that changes rewrites its range."""
    monkeypatch.setattr(writing, "ROWS", 2 * SHARD)
    place = Place(tmp_path, 2 * SHARD + 2, captions=0.0, chapters=1)
    place.write()
    index = data(place.out, "index.js")
    full = [[row["number"] for row in data(place.out, each["file"])] for each in index["rows_files"]]
    assert full == [list(range(2 * SHARD))]
    assert [row["number"] for row in index["rows"]] == [2 * SHARD, 2 * SHARD + 1]
    before = place.stamps()
    place.clock.pass_time(86_400.0)
    place.add(2 * SHARD + 2)
    place.write()
    changed = {name for name, stamp in before.items() if place.stamps()[name] != stamp}
    assert changed == {"index.txt", "gallery/data/index.js", "gallery/data/v-0002.js"}
    assert [row["number"] for row in rows(place.out)] == list(range(2 * SHARD + 3))


def test_a_range_that_an_unfinished_video_fills_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last number that has no results yet makes the range full, though none of its cards has changed."""
    monkeypatch.setattr(writing, "ROWS", SHARD)
    place = Place(tmp_path, SHARD - 1, captions=0.0, chapters=1)
    place.write()
    before = rows(place.out)

    async def begin() -> None:
        database = await open_database(place.library.state / "reelmill.db")
        waits = Finished("publish", "sha256:late", "write", {}, "sha256:late", NOW, state=State.PENDING, wake_at=NOW)
        await put_finished(database, [waits])
        await database.aclose()

    anyio.run(begin)
    place.clock.pass_time(86_400.0)
    place.write()
    assert rows(place.out) == before


def test_a_poster_that_comes_later_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the rows of its range are written again; one that is lost, and another's that came instead, are told apart."""
    monkeypatch.setattr(writing, "ROWS", SHARD)
    place = Place(tmp_path, SHARD + 2, captions=0.0, chapters=1)
    place.write()
    posters = place.out / "gallery" / "posters"
    posters.mkdir()
    for number in (3, 7):
        before = place.stamps()
        for old in posters.iterdir():
            old.unlink()
        (posters / f"{rows(place.out)[number]['folder']}.webp").write_bytes(b"RIFF")
        place.write()
        changed = {name for name, stamp in before.items() if place.stamps().get(name, stamp) != stamp}
        assert changed == {"gallery/data/rows-0000.js"}
        assert [row["number"] for row in rows(place.out) if row.get("poster")] == [number]


def test_an_exactly_full_range_leaves_the_index_without_rows(tmp_path: Path) -> None:
    """The boundary is nobody's special case: every number is in exactly one place."""
    place = Place(tmp_path, SHARD, captions=0.0, chapters=1)
    place.write()
    assert [shard["file"] for shard in data(place.out, "index.js")["shards"]] == ["v-0000.js"]
    place.add(SHARD)
    place.write()
    assert [row["number"] for row in rows(place.out)] == list(range(SHARD + 1))
    assert ROWS % SHARD == 0


def test_another_state_folder_writes_everything(tmp_path: Path) -> None:
    """Two libraries that share an output folder: each makes the page its own, whole, and again when its turn comes."""
    one = Place(tmp_path / "one", 5)
    other = Place(tmp_path / "other", 7, seed=2)
    other.out = one.out
    one.write()
    first = one.files()
    other.write()
    assert len(rows(one.out)) == 7
    one.write()
    assert {name: one.files()[name] for name in first} == first
    assert len(rows(one.out)) == 5


def test_other_settings_write_everything(tmp_path: Path) -> None:
    """What may be named decides every file, and so does the release."""
    place = Place(tmp_path, 5)
    place.write()
    before = entries(place.out)
    place.write(gallery={"paths": "absolute"})
    after = entries(place.out)
    files = [row["number"] for row in rows(place.out) if row["source"] == "file"]
    assert files
    assert all(str(tmp_path) in json.dumps(after[number]) for number in files)
    assert str(tmp_path) not in json.dumps(before)


def test_a_note_of_another_form_is_no_obstacle(tmp_path: Path) -> None:
    """Whatever the journal remembers of an earlier time, the page is made."""
    place = Place(tmp_path, 3)
    place.write()
    first = place.files()

    async def spoil(value: Any) -> None:
        database = await open_database(place.library.state / "reelmill.db")
        await database.save("gallery", value)
        await database.aclose()

    for value in (None, [], {}, {"stamp": 1}, "x", {"stamp": [1, "0.1.0", ""], "since": "y", "shards": [], "sizes": 1}):
        anyio.run(spoil, value)
        place.write()
        assert place.files() == first


def test_what_an_earlier_form_has_written_is_written_again(tmp_path: Path) -> None:
    """The last release wrote captions as objects: a note that tells of them tells of nothing that can stay."""
    place = Place(tmp_path, 3, captions=1.0)
    place.write()
    first = place.files()
    old = next(place.out.glob("gallery/data/c-*.js"))

    async def age() -> None:
        database = await open_database(place.library.state / "reelmill.db")
        note: Any = await database.load("gallery")
        await database.save("gallery", {**note, "stamp": [1, *note["stamp"][1:]]})
        await database.aclose()

    old.write_text('reelmill("captions","c","{}");\n', encoding="utf-8")
    place.write()
    assert place.files() != first
    anyio.run(age)
    place.write()
    assert place.files() == first


def test_a_file_of_somebody_else_is_kept(tmp_path: Path) -> None:
    """An index.html that is not ours is put aside before ours takes its place; once."""
    place = Place(tmp_path, 2)
    place.out.mkdir()
    (place.out / "index.html").write_text("<h1>My own</h1>", encoding="utf-8")
    place.write()
    place.write(whole=True)
    assert (place.out / "index.edited.html").read_text(encoding="utf-8") == "<h1>My own</h1>"
    assert "Reelmill" in (place.out / "index.html").read_text(encoding="utf-8")
    assert len(list(place.out.glob("index.edited*"))) == 1


def test_an_empty_database_gives_an_empty_page(tmp_path: Path) -> None:
    """No video, no run: a page that says so, and no crash."""
    place = Place(tmp_path, 0, troubled=0)
    made = place.write()
    assert (made.videos, made.open_items) == (0, 0)
    index = data(place.out, "index.js")
    assert "rows" not in index
    assert index["report"]["sentence"]


def test_the_plain_list_can_be_searched_by_line(tmp_path: Path) -> None:
    """Length, title and folder of each video on a line of its own."""
    place = Place(tmp_path, 9)
    place.write()
    lines = (place.out / "index.txt").read_text(encoding="utf-8").splitlines()[2:]
    shown = [(row["title"], f"{row['folder']}/") for row in rows(place.out)]
    assert [tuple(line.split("\t")[1:]) for line in lines] == shown


def test_an_old_video_that_fails_now_shows_it(tmp_path: Path) -> None:
    """A failed analysis of a video with results makes it partly answered, with the reason, in its own shard only."""
    place = Place(tmp_path, SHARD + 2)
    place.write()
    before = place.stamps()
    place.clock.pass_time(86_400.0)

    async def fail() -> None:
        database = await open_database(place.library.state / "reelmill.db")
        (task,) = await database.tasks(Selection(("analysis",), limit=1))
        await database.command("retry", Selection(keys=(task.key,), states=(State.DONE,)), place.clock.now())
        await database.command("cancel", Selection(keys=(task.key,), states=(State.DONE,)), place.clock.now())
        await database.command("retry", Selection(keys=(task.key,)), place.clock.now())
        await database.aclose()

    anyio.run(fail)
    place.write()
    changed = {name for name, stamp in before.items() if place.stamps()[name] != stamp}
    assert changed <= {"gallery/data/index.js", "gallery/data/v-0000.js"}
    row = rows(place.out)[0]
    assert (row["state"], row["why"]["code"]) == ("partial", "stage")


def test_what_the_list_names_no_more_is_told_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that only the list has made count, or not, changes its old card, though no task has changed."""
    monkeypatch.setattr(writing, "ROWS", SHARD)
    place = Place(tmp_path, SHARD + 2, captions=0.0, chapters=1)
    place.write()
    place.clock.pass_time(86_400.0)

    async def fail() -> int:
        database = await open_database(place.library.state / "reelmill.db")
        (video,) = await database.tasks(Selection(("video",), limit=1))
        trouble = Trouble("index_full", "The index is full.")
        failed = Finished(
            "indexing", "of the first", "index", {}, video.key, place.clock.now(), (), (), State.FAILED, trouble
        )
        await put_finished(database, [failed])
        (task,) = await database.tasks(Selection(("indexing",), keys=("of the first",)))
        await database.aclose()
        return task.id

    async def leave_out(ids: list[int]) -> None:
        database = await open_database(place.library.state / "reelmill.db")
        await database.save("unlisted", ids)
        await database.aclose()

    failed = anyio.run(fail)
    for unlisted, state in (([], "partial"), ([failed], "done"), ([failed], "done"), ([], "partial")):
        anyio.run(leave_out, unlisted)
        place.clock.pass_time(86_400.0)
        place.write()
        assert rows(place.out)[0]["state"] == state
        assert {row["state"] for row in rows(place.out)[1:]} == {"done"}


def test_damaged_rows_cost_only_themselves(tmp_path: Path) -> None:
    """Answers, notes and history of a form that no release writes are shown as far as they go; the rest is there."""
    place = Place(tmp_path, 4, captions=1.0)

    async def damage() -> None:
        import aiosqlite

        async with aiosqlite.connect(place.library.state / "reelmill.db") as db:
            await db.execute(
                "UPDATE result SET packed = NULL, meta = '{}', body = '[1, {\"a\": null}]' WHERE job = 'chapters'"
            )
            await db.execute(
                "UPDATE result SET packed = NULL, body = '\"text\"', meta = '{\"notes\": 5}' WHERE job = 'gist'"
            )
            await db.execute(
                "UPDATE result SET packed = NULL, meta = '{}', body = '{\"text\": 7}' WHERE job = '_captions'"
            )
            await db.execute('UPDATE run SET summary = \'{"this_run": 5, "usd": "x", "note": 9}\'')
            await db.commit()

    anyio.run(damage)
    place.write()
    assert len(rows(place.out)) == len(entries(place.out)) == 4
    shown = entries(place.out)[0]["results"]
    assert [
        block["kind"] for result in shown if result["name"] in ("gist", "chapters") for block in result["blocks"]
    ] == [
        "value",
        "value",
    ]
    assert "captions" not in entries(place.out)[0]


def test_the_index_is_written_last(tmp_path: Path) -> None:
    """Whoever opens the page while it is written finds an index that names only what is there."""
    place = Place(tmp_path, 3)
    order: list[str] = []

    class Watched(DiskSink):
        async def add(self, folder: str, files: Any) -> None:
            order.extend(f"{folder}/{file.name}".lstrip("/") for file in files)
            await super().add(folder, files)

    async def go() -> None:
        database = await open_database(place.library.state / "reelmill.db")
        await GalleryWriter(database, Watched(place.out), place.library.settings(), place.clock).write(
            whole=True, remember=False
        )
        await database.aclose()

    anyio.run(go)
    assert order[-1] == "gallery/data/index.js"
    assert order[0] == "gallery/app.css"


def test_a_page_without_memory_is_written_whole_the_next_time(tmp_path: Path) -> None:
    """``reelmill gallery`` beside a run remembers nothing: the run's own page is not mistaken for its."""
    place = Place(tmp_path, 3)
    place.write()
    place.clock.pass_time(60.0)
    place.write(whole=True, remember=False)
    place.add(3)
    place.write()
    assert len(rows(place.out)) == 4
    assert os.listdir(place.out / "gallery")


def test_the_library_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """Tests and benchmarks can name what they look at."""
    one, two = Place(tmp_path / "a" / "x", 6), Place(tmp_path / "b" / "x", 6)
    one.write()
    two.write()
    assert rows(one.out) == rows(two.out)
