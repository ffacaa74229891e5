"""What the sink leaves behind when a write fails halfway and the power fails later."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.app.wiring.state_folder import mark_moved
from pipeline.core.errors import Transient
from pipeline.ports.sink import OutFile
from pipeline.sink.disk import DiskSink
from tests.support.clock import run_virtual
from tests.support.disk import MemoryDisk, silent

FOLDER = "film--abcdefgh"
FILES = (OutFile("gist.json", "{}\n"), OutFile("raw/a.json", "[1]\n"), OutFile("video.json", '{"files": []}\n'))


class Failing:
    """Lets one change of the disk fail."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, what: str) -> None:
        if not what.endswith("done"):
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EIO, "an accident")


class Death(BaseException):
    """The process ends here."""


class Dying:
    """Lets the process die at one change of the disk: nothing changes any more."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, what: str) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Death


def version(number: int) -> list[OutFile]:
    """Return the files of a video, with checksums, as they are at some time."""
    files = [OutFile(name, f"{number}") for name in ("gist.md", "raw/a.json", f"only{number % 2}.md")]
    sums = {file.name: file.sha256 for file in files}
    return [*files, OutFile("video.json", json.dumps({"files": [*sums, "video.json"], "sha256": sums}))]


def changes(root: Path) -> int:
    """Return how many changes one undisturbed write makes."""
    counted: list[str] = []
    disk = MemoryDisk(str(root))
    disk.watch = counted.append
    with disk.mounted():
        run_virtual(DiskSink(root).write(FOLDER, FILES))
    return sum(not what.endswith("done") for what in counted)


def test_a_write_that_is_repeated_after_a_failure_is_safe_when_it_says_so(tmp_path: Path) -> None:
    """Wherever a write fails, the one that succeeds after it leaves nothing that a power failure could take away."""
    total = changes(tmp_path)
    assert total > 15
    for at in range(1, total + 1):
        disk = MemoryDisk(str(tmp_path))
        disk.watch = Failing(at)
        with disk.mounted():
            with pytest.raises(Transient):
                run_virtual(DiskSink(tmp_path).write(FOLDER, FILES))
            sizes = run_virtual(DiskSink(tmp_path).write(FOLDER, FILES))
        safe = {path: len(content) for path, content in disk.safe().items() if not path.endswith(".tmp")}
        assert safe == {f"{FOLDER}/{name}": size for name, size in sizes.items()}, f"failed at change {at}"


@pytest.mark.parametrize("end", [Dying, Failing])
def test_what_a_broken_off_write_has_left_is_not_taken_for_an_edit(tmp_path: Path, end: type[Dying | Failing]) -> None:
    """Wherever two writes of other contents end, the third finds its own files: none is kept as edited, none stays."""
    for at in range(1, 80):
        disk = MemoryDisk(str(tmp_path))
        with disk.mounted():
            run_virtual(DiskSink(tmp_path).write(FOLDER, version(1)))
            for number in (2, 3):
                disk.watch = end(at)
                with suppress(Death, Transient):
                    run_virtual(DiskSink(tmp_path).write(FOLDER, version(number)))
            disk.watch = silent
            sink = DiskSink(tmp_path)
            run_virtual(sink.write(FOLDER, version(4)))
        assert sink.edited == []
        assert disk.files() == {f"{FOLDER}/{file.name}": file.data for file in version(4)}, f"ended at change {at}"


class Unreadable(MemoryDisk):
    """A disk that opens one file for nobody, while ``locked``."""

    locked = ""

    def open(self, name: str | os.PathLike[str], flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """See ``os.open``."""
        if self.locked and os.fspath(name) == self.locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        return super().open(name, flags, mode, dir_fd=dir_fd)


async def index(*lines: str) -> AsyncIterator[str]:
    """Return lines as a stream."""
    for line in lines:
        yield line


def test_what_others_wrote_is_not_lost_where_it_cannot_be_read(tmp_path: Path) -> None:
    """An index or a record that cannot be read is an error, not an empty one; a result that cannot be read is kept."""
    disk, sink = Unreadable(str(tmp_path)), DiskSink(tmp_path)
    with disk.mounted():
        run_virtual(sink.write(FOLDER, version(1)))
        run_virtual(sink.write_index(index('{"folder":"theirs"}')))
        before = disk.files()
        disk.locked = "results.jsonl"
        with pytest.raises(Transient, match=r"results\.jsonl: writing is not permitted"):
            run_virtual(sink.write_index(index("{}"), lambda _: FOLDER))
        disk.locked = "video.json"
        with pytest.raises(Transient, match="writing is not permitted"):
            run_virtual(sink.write(FOLDER, version(2)))
        assert disk.files() == before
        disk.locked = "gist.md"
        run_virtual(sink.write(FOLDER, version(2)))
    assert sink.edited == [f"{FOLDER}/gist.edited.md"]
    assert disk.files()[f"{FOLDER}/gist.md"] == b"2"


def test_that_a_folder_was_moved_outlives_a_power_cut(tmp_path: Path) -> None:
    """Else two databases are worked on after it, and all is paid twice."""
    disk = MemoryDisk(str(tmp_path))
    with disk.mounted():
        mark_moved(tmp_path, "the database films")
    assert disk.safe() == {"moved": b"the database films"}
