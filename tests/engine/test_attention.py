"""What failed and what of it still counts: the lists are the truth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.app.operator import attention
from pipeline.app.operator.attention import Attention, noted_attention
from pipeline.app.operator.find_item import find_item
from pipeline.core.errors import InputError, Permanent
from pipeline.core.model import Parked, Selection, State, Task, Trouble
from pipeline.ingest.payloads import PublishData
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.views import BadLine, MissingFile
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import FakeSource, clips, items
from tests.support.scripted_run import Life


class PickySource(FakeSource):
    """Files that cannot be read as long as they begin with "broken"."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        self.looks += 1
        facts = await super().fetch(item, workdir)
        if Path(item.locator).read_bytes().startswith(b"broken"):  # noqa: ASYNC240 - a few bytes
            raise InputError("this is not a video", code="unreadable_video")
        return facts


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Return outsides with files that can be broken."""
    made = Life.at(tmp_path)
    made.source = PickySource()
    return made


def told(life: Life) -> Attention:
    """Return what ``status`` tells of stopped tasks."""

    async def look() -> Attention:
        return await noted_attention(life.database, 20)

    return run_virtual(look())


def missing(item: Item, *, video: bool = True) -> MissingFile:
    """Return what is read of a line whose file is not there."""
    return MissingFile("list:1", item.locator, Trouble("file_missing", "There is no such file or folder."), item, video)


def test_a_file_that_was_mended_is_tried_again_by_itself(life: Life, tmp_path: Path) -> None:
    """Another size or time is reason enough; without one nothing is looked at again, night after night."""
    (path,) = clips(tmp_path, 1)
    path.write_bytes(b"broken")
    assert run_virtual(life.run(items([path]))).exit_code == 3
    assert run_virtual(life.run(items([path]))).exit_code == 3
    assert isinstance(life.source, PickySource)
    assert life.source.looks == 1
    path.write_bytes(b"a good one")
    report = run_virtual(life.run(items([path])))
    assert (report.exit_code, report.published) == (0, 1)


def test_a_file_that_failed_in_an_earlier_release_is_tried_again_too(life: Life, tmp_path: Path) -> None:
    """That one kept no size and time: what was touched since the failure counts as mended."""
    (path,) = clips(tmp_path, 1)
    path.write_bytes(b"broken")
    run_virtual(life.run(items([path])))
    for line in life.database._lines.values():
        line.data = line.data.replace('"mtime_ns"', '"unknown"')
    path.write_bytes(b"a good one")
    os.utime(path, (2e9, 2e9))
    assert run_virtual(life.run(items([path]))).exit_code == 0


def test_a_file_that_was_away_is_tried_again_when_it_is_back(life: Life, tmp_path: Path) -> None:
    """It failed because there was no such file; nobody has to say ``retry``."""
    (path,) = clips(tmp_path, 1)
    content = path.read_bytes()
    path.unlink()
    assert run_virtual(life.run(items([path]))).exit_code == 3
    path.write_bytes(content)
    assert run_virtual(life.run(items([path]))).exit_code == 0


def test_what_no_list_names_any_more_does_not_count(life: Life, tmp_path: Path) -> None:
    """The exit code and what needs attention are of what is listed; the rest stays, and is told apart."""
    good, broken = clips(tmp_path, 2)
    broken.write_bytes(b"broken")
    first = run_virtual(life.run(items([good, broken])))
    assert (first.exit_code, len(first.troubles)) == (3, 1)
    assert (len(told(life).shown), told(life).unlisted) == (1, [])
    second = run_virtual(life.run(items([good])))
    assert (second.exit_code, second.troubles) == (0, [])
    assert told(life).total == 0
    ((state, name, why),) = told(life).unlisted
    assert (state, name, why.code) == ("failed", str(broken), "unreadable_video")
    resumed = run_virtual(life.run([]))
    assert resumed.exit_code == 0
    assert run_virtual(life.run(items([broken]))).exit_code == 3
    assert (told(life).total, told(life).unlisted) == (1, [])


def test_of_many_that_no_list_names_some_are_read(tmp_path: Path) -> None:
    """All are counted and noted, and what counts is found among them; a run says the same as ``status`` does later."""
    life, files = Life.at(tmp_path, gallery={"enabled": False}), clips(tmp_path, 60)
    life.source = PickySource()
    for path in files[1:]:
        path.write_bytes(b"broken")
    run_virtual(life.run(items(files)))
    read = 0
    reading = life.database.tasks

    async def tasks(which: Selection) -> list[Task]:
        nonlocal read
        found = await reading(which)
        read += len(found) if which.states == (State.FAILED,) and which.keys else 0
        return found

    life.database.tasks = tasks  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_PAGE", 10)
        report = run_virtual(life.run(items([files[0], files[57]])))
    assert (report.exit_code, [name for name, _ in report.troubles]) == (3, [str(files[57])])
    assert 20 < read < 40
    assert (told(life).total, told(life).unlisted_total, len(told(life).unlisted)) == (1, 58, 20)


def test_a_run_without_a_list_counts_what_was_never_taken_out_of_one(life: Life, tmp_path: Path) -> None:
    """It only goes on, and cannot know what is wanted: what failed still counts."""
    (broken,) = clips(tmp_path, 1)
    broken.write_bytes(b"broken")
    run_virtual(life.run(items([broken])))
    assert run_virtual(life.run([])).exit_code == 3


def test_a_line_that_cannot_be_used_takes_nothing_out_of_the_lists(life: Life, tmp_path: Path) -> None:
    """Nobody knows what it would have named: perhaps a whole list could not be read."""
    good, broken = clips(tmp_path, 2)
    broken.write_bytes(b"broken")
    run_virtual(life.run(items([good, broken])))
    bad = BadLine("list.csv:1", "", Trouble("manifest_unreadable", "no"))
    report = run_virtual(life.run([*items([good]), bad]))
    assert (report.exit_code, len(report.troubles)) == (3, 1)
    assert told(life).total == 1
    folder = missing(*items([tmp_path / "films"]), video=False)  # not mounted tonight
    assert len(run_virtual(life.run([*items([good]), folder])).troubles) == 1
    file = missing(*items([tmp_path / "never.mp4"]))
    assert run_virtual(life.run([*items([good]), file])).troubles == []


def test_a_playlist_that_could_not_be_read_takes_none_of_its_videos_out(life: Life, tmp_path: Path) -> None:
    """Tonight nobody knows what it holds: its failed videos count until it was read."""
    video = Item("youtube:video:x", "youtube", "https://youtu.be/x", ManifestLine("https://youtu.be/x", "test"))
    playlist = Item("youtube:list:y", "youtube_list", "https://youtube.com/y", ManifestLine("y", "test"))
    assert run_virtual(life.run([video])).exit_code == 3  # nothing here can fetch it
    run_virtual(life.run([playlist]))  # nor list that
    assert {name for _, name, _ in told(life).shown} == {"https://youtu.be/x", "y"}
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert (told(life).total, len(told(life).unlisted)) == (0, 2)


def test_a_pause_for_what_no_list_names_any_more_ends_no_run_early(life: Life, tmp_path: Path) -> None:
    """An upload from last night waits in a paused lane; tonight's list is done all the same, and the pause stays."""
    kept, gone = clips(tmp_path, 2)
    refused = Trouble("blocked", "The uploads are refused.")

    async def scenario() -> None:
        await life.run(items([kept]))
        await life.database.park(Parked("upload", EPOCH + 90_000, refused), life.clock.now())
        first = await life.run(items([kept, gone]))
        assert (first.exit_code, first.resume_at) == (6, EPOCH + 90_000)
        second = await life.run(items([kept]), seed=2)
        assert (second.exit_code, second.resume_at, second.note) == (0, None, "")
        assert len(await life.database.parked(life.clock.now())) == 1
        assert (await life.run(items([gone]), seed=3)).exit_code == 6

    run_virtual(scenario())


def test_what_was_replaced_by_another_file_is_over(life: Life, tmp_path: Path) -> None:
    """The platform could not read the old content; the path holds another now, and the old video is nobody's."""
    (path,) = clips(tmp_path, 1)
    life.api.upload_trouble = lambda number: Permanent("no", code="video_file_broken") if number == 1 else None
    assert run_virtual(life.run(items([path]))).exit_code == 3
    path.write_bytes(b"mended")
    assert run_virtual(life.run(items([path]))).exit_code == 0
    assert told(life).total == 0
    ((_, name, _),) = told(life).unlisted
    assert run_virtual(find_item(life.database, name)).kind == "video"  # what is shown can be named, to cancel it


def test_a_refused_question_that_nobody_asks_any_more_is_over(life: Life, tmp_path: Path) -> None:
    """Take the job out of the configuration, and the night is good again."""
    paths = clips(tmp_path, 1)
    life.configure(tmp_path, jobs={"enabled": ["gist"]})
    assert run_virtual(life.run(items(paths))).exit_code == 0
    life.api.ask_trouble = lambda number: Permanent("no", code="refused")
    life.configure(tmp_path, jobs={"enabled": ["gist", "summary"]})
    assert run_virtual(life.run(items(paths))).exit_code == 3
    life.configure(tmp_path, jobs={"enabled": ["gist"]})
    report = run_virtual(life.run(items(paths)))
    assert (report.exit_code, report.troubles) == (0, [])
    assert told(life).total == 0


def test_a_deleted_file_whose_results_are_there_is_no_failure(life: Life, tmp_path: Path) -> None:
    """Its line may stay: nothing needs the file, and a new title is written all the same."""
    kept, deleted = clips(tmp_path, 2)
    run_virtual(life.run(items([kept, deleted])))
    deleted.unlink()
    report = run_virtual(life.run([*items([kept]), missing(*items([deleted]))]))
    assert (report.exit_code, report.bad_count, report.lines) == (0, 0, 2)
    report = run_virtual(life.run([*items([kept]), missing(*items([deleted], title="A new title"))]))
    assert (report.exit_code, report.published) == (0, 1)
    assert "A new title" in {PublishData.of(task).title for task in run_virtual(life.tasks("publish"))}


def test_a_file_that_was_never_seen_is_a_bad_line(life: Life, tmp_path: Path) -> None:
    """Also one that had failed: nothing is there of it."""
    (path,) = clips(tmp_path, 1)
    path.write_bytes(b"broken")
    run_virtual(life.run(items([path])))
    path.unlink()
    report = run_virtual(life.run([missing(*items([path])), missing(*items([tmp_path / "never.mp4"]))]))
    assert (report.exit_code, report.bad_count) == (3, 2)


def test_a_lost_file_fails_only_what_still_needs_it(life: Life, tmp_path: Path) -> None:
    """An upload that is made again for nothing but itself, from a file that is gone, takes nothing away."""
    (path,) = clips(tmp_path, 1)
    life.configure(tmp_path, jobs={"enabled": ["gist"]})
    run_virtual(life.run(items([path])))
    for line in life.database._lines.values():
        if line.kind == "video":
            line.state = State.FAILED
            line.trouble = '{"code": "file_missing", "message": "gone"}'
    path.unlink()
    assert run_virtual(life.run([missing(*items([path]))])).exit_code == 0
    life.configure(tmp_path, jobs={"enabled": ["gist", "summary"]})
    assert run_virtual(life.run([missing(*items([path]))])).exit_code == 3
