"""Blocks of the page made by two processes, and by one where the other does not help."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.gallery import write as writing
from pipeline.app.gallery.making import process as making
from pipeline.app.gallery.making.block import BlockMaker
from tests.support import gallery_library
from tests.unit.test_gallery_writing import Place

VIDEOS, SHARD = 60, 20


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a library of three blocks, with odd captions."""
    monkeypatch.setattr(gallery_library, "_SPOKEN", ("wörd of {s}\u2028 \ud800 </script>",))
    monkeypatch.setattr(writing, "SHARD", SHARD)
    return Place(tmp_path, VIDEOS, captions=0.5)


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


@pytest.mark.parametrize("harm", ["this", "pipeline.no_such_module", "no room"])
def test_a_process_that_does_not_help_costs_nothing_but_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """It ends, or has no place for its answers: all is made here then, and the page is the same."""
    alone, _ = made(place, monkeypatch, 4)
    monkeypatch.setattr(making, *(("TemporaryFile", full_disk) if harm == "no room" else ("MAIN", harm)))
    assert made(place, monkeypatch, 1) == (alone, VIDEOS // SHARD)
