"""Lines that name a video again, with another window: they are told."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.core.model import Trouble
from pipeline.core.youtube_address import without_query
from pipeline.ports.source import Item
from pipeline.views import BadLine

_MOST = 20_000  #: lines without a window of which it is kept where they stand


class _First(NamedTuple):
    """The line of a video that counts."""

    place: str  #: empty: it is not kept
    window: str


class LineWindows:
    """The windows of a list's videos, as far as lines have any."""

    def __init__(self) -> None:
        self._first: dict[int, _First] = {}  #: by the hash of a key
        self._whole = 0  #: lines without a window among them

    def note(self, item: Item) -> None:
        """Keep the first line that names a video."""
        self._whole += not item.line.window
        if item.line.window or self._whole <= _MOST:
            self._first[hash(item.key)] = _First(item.line.place, item.line.window)

    def differs(self, item: Item) -> BadLine | None:
        """Return what is wrong with a further line of a video, or None.

        A folder, pattern or playlist without a window says nothing against the first: it names all that is in it.
        """
        first = self._first.get(hash(item.key), _First("", ""))
        if item.line.window == first.window or not (item.line.window or item.named):
            return None
        trouble = Trouble(
            "window_twice",
            f"This line asks about {_about(item.line.window)} of the video, and {first.place or 'an earlier line'} about "
            f"{_about(first.window)} of it. The first line counts.",
            'ask about several parts by jobs of their own, e.g. [jobs.beginning] job = "summary", window = "0:00-10:00"',
        )
        return BadLine(item.line.place, without_query(item.line.source)[:200], trouble)


def _about(window: str) -> str:
    return window or "the whole"
