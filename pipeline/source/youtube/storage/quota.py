"""How much disk downloads may take: more of them wait until uploads have made room."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from anyio import to_thread

from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, Throttled
from pipeline.core.model import Trouble
from pipeline.source.youtube.storage.folder import measure_usage

_SOON = 5.0  #: seconds between two looks while uploads may still make room

_HOPE = 300.0  #: seconds without a byte of change after which no upload is at work any more


class DiskQuota:
    """The bound over all downloads of a run, with what those under way are going to take."""

    def __init__(self, base: Path, most: int, clock: Clock, patience: float) -> None:
        self._base, self._most, self._clock, self._patience = base, most, clock, patience
        self._coming: dict[str, int] = {}  # folder name -> bytes it will hold
        self._wanted: dict[str, int] = {}  # folder name -> bytes for which there was no room when it was last looked at
        self._seen: tuple[int, float] = (-1, 0.0)  # bytes when it was full, and since when they have not changed

    async def look(self, name: str) -> None:
        """Make sure that there is room for a folder, before the site is asked for anything.

        What a video needs is remembered from the look that found too little room: it is not looked at again before it fits,
        and then its place is taken at once, so that no two find out about the same room. ``free`` gives it back.

        Raises:
            Throttled: there is none.
        """
        if not self._most:
            return
        size, others = self._wanted.get(name, 0), await self._taken(name)
        if others >= self._most or others + size > self._most:
            raise self._full(others)
        if size:
            self._coming[name] = size

    async def take(self, name: str, size: int) -> int:
        """Set room aside for a folder and return how many bytes it may have at most; 0 for no limit.

        Raises:
            Throttled: there is not enough now.
            Permanent: ``fetch_too_large``, there never will be.
        """
        if not self._most:
            return 0
        if size > self._most:
            message = f"The video has about {size / 1e9:.3g} GB; [fetch] max_bytes is {self._most / 1e9:.3g} GB."
            raise Permanent(message, code="fetch_too_large", remedy="raise [fetch] max_bytes, then retry")
        others = await self._taken(name)
        if others + size > self._most or others >= self._most:
            self._wanted[name] = size
            raise self._full(others)
        self._wanted.pop(name, None)
        self._coming[name] = size
        return self._most - others

    def free(self, name: str) -> None:
        """Give back what was set aside; what is on disk counts by itself."""
        self._coming.pop(name, None)

    async def _taken(self, without: str) -> int:
        there = await to_thread.run_sync(partial(measure_usage, self._base))
        names = {*there, *self._coming} - {without}
        return sum(max(there.get(name, 0), self._coming.get(name, 0)) for name in names)

    def _full(self, taken: int) -> Throttled:
        now = self._clock.monotonic()
        if self._seen[0] != taken:
            self._seen = (taken, now)
        hopeless = now - self._seen[1] > _HOPE and not self._coming
        message = f"Downloads wait: {taken / 1e9:.3g} GB of fetched videos are not uploaded yet."
        error = Throttled(message, after=self._patience + 60 if hopeless else _SOON, group="fetch")
        remedy = "see `reelmill status` for what keeps them, or raise [fetch] max_bytes"
        error.trouble = Trouble("disk_room", message, remedy if hopeless else "nothing; it goes on by itself")
        return error
