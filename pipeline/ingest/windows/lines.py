"""Lines that name a video again, with another window: they are told."""

from __future__ import annotations

from pipeline.core.model import Trouble
from pipeline.core.youtube_address import without_query
from pipeline.ports.source import Item
from pipeline.views import BadLine


class LineWindows:
    """The windows of a list's videos, as far as lines have any."""

    def __init__(self) -> None:
        self._first: dict[int, str] = {}  #: hash of a key -> the window of its first line; without one it is not kept

    def note(self, item: Item) -> None:
        """Keep the window of the first line that names a video."""
        if item.line.window:
            self._first[hash(item.key)] = item.line.window

    def differs(self, item: Item) -> BadLine | None:
        """Return what is wrong with a further line of a video, or None.

        One without a window says nothing against the first: a folder names all that is in it.
        """
        first = self._first.get(hash(item.key), "")
        if item.line.window in ("", first):
            return None
        about = f"with the window {first}" if first else "without a window"
        trouble = Trouble(
            "window_twice",
            f"An earlier line names this video {about}, and that one counts.",
            "ask about several parts by jobs with windows of their own: [jobs.NAME] window",
        )
        return BadLine(item.line.place, without_query(item.line.source)[:200], trouble)
