"""Blocks of the page made by two processes, and by one where the other does not help."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from pipeline.app.gallery import write as writing
from pipeline.app.gallery.making import process as making
from pipeline.app.gallery.making.block import BlockMaker
from pipeline.app.gallery.making.workers import BlockWorkers
from tests.support import gallery_library
from tests.unit.test_gallery_writing import Place

VIDEOS, SHARD = 60, 20


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a library of three blocks, with odd captions."""
    monkeypatch.setattr(gallery_library, "_SPOKEN", ("wörd of {s}\u2028 \ud800 </script>",))
    monkeypatch.setattr(writing, "SHARD", SHARD)
    return Place(tmp_path, VIDEOS, captions=0.5)


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """Yield warnings of the log as they come."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with capture_logs() as events:
        yield events


def full_disk() -> Any:
    """Make a file where there is no room for one."""
    raise OSError(errno.ENOSPC, "No space left on device")


def made(place: Place, monkeypatch: pytest.MonkeyPatch, most: int) -> tuple[dict[str, bytes], int]:
    """Return the page's files, and how many blocks were made in this process."""
    here = []
    make = BlockMaker.make

    def counted(*given: Any) -> Any:
        here.append(given)
        return make(*given)

    monkeypatch.setattr(BlockMaker, "make", counted)
    monkeypatch.setattr(writing, "_MANY", most)
    place.write(whole=True)
    monkeypatch.setattr(BlockMaker, "make", make)
    return place.files(), len(here)


def test_two_processes_make_the_same_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte what one makes, half characters included; few blocks are not worth a process."""
    alone, here = made(place, monkeypatch, 4)
    assert here == VIDEOS // SHARD
    captions = next(content for name, content in alone.items() if "/data/c-" in name)
    assert "wörd of".encode() in captions
    together, here = made(place, monkeypatch, 3)
    assert here < VIDEOS // SHARD
    assert together == alone


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("this", "JSONDecodeError|its process ended with 0"),
        ("pipeline.no_such_module", "No module named pipeline.no_such_module"),
        ("no room", "No space left on device"),
    ],
)
def test_a_process_that_does_not_help_costs_nothing_but_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, said: list[Any], harm: str, why: str
) -> None:
    """It ends, or has no place for its answers: all is made here then, and the page is the same."""
    alone, _ = made(place, monkeypatch, 4)
    monkeypatch.setattr(making, *(("TemporaryFile", full_disk) if harm == "no room" else ("MAIN", harm)))
    assert made(place, monkeypatch, 1) == (alone, VIDEOS // SHARD)
    assert [(each["event"], bool(re.search(why, each["why"]))) for each in said if each["event"] != "library"] == [
        ("gallery.made_alone", True)
    ]


async def idle(_workers: BlockWorkers, _jobs: Any, send: Any) -> None:
    """Make nothing here: the second process makes all."""
    send.close()


def test_a_job_whose_page_fails_in_the_second_process_is_logged(
    place: Place, monkeypatch: pytest.MonkeyPatch, said: list[Any]
) -> None:
    """Once, as one that fails here; its results are shown as tables."""
    kind = gallery_library._Video
    usual = kind._result
    monkeypatch.setattr(
        kind, "_result", lambda *given: usual(*given[:3], {"summary": 5} if given[1] == "summary" else given[3])
    )
    place.add(VIDEOS, 2)
    alone, _ = made(place, monkeypatch, 9)
    monkeypatch.setattr(BlockWorkers, "_work_here", idle)
    said.clear()
    assert made(place, monkeypatch, 1) == (alone, 0)
    (told,) = [each for each in said if each["event"] == "gallery.job_page_failed"]
    assert (told["log_level"], told["job"], told["why"]) == (
        "warning",
        "summary",
        "ValueError('Prose cannot be shown')",
    )


def test_the_second_process_loads_nothing_of_the_folder_that_one_works_in(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Films lie there, and whatever else was downloaded with them."""
    (tmp_path / "json.py").write_text("open('loaded', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BlockWorkers, "_work_here", idle)
    assert made(place, monkeypatch, 1)[1] == 0
    assert not (tmp_path / "loaded").exists()
