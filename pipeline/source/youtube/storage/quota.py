"""The disk quota of downloads: more of them wait until uploads have freed space."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from anyio import to_thread

from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, Throttled
from pipeline.core.model import Trouble
from pipeline.source.youtube.storage.folder import measure_usage

_SOON = 5.0  #: seconds between two looks while uploads may still free space
_STALLED = 300.0  #: seconds without a byte of change after which no upload is at work any more


class DiskQuota:
    """Bounds what a run's downloads hold and running ones have reserved."""

    def __init__(self, base: Path, most: int, clock: Clock, patience: float) -> None:
        self._base, self._most, self._clock, self._patience = base, most, clock, patience
        self._reserved: dict[str, int] = {}  # folder name -> bytes it will hold
        self._unmet: dict[str, int] = {}  # folder name -> bytes that did not fit when it was last looked at
        self._full_at: tuple[int, float] = (-1, 0.0)  # bytes when it was full, and since when they have not changed

    async def require_space(self, name: str) -> None:
        """Make sure that a folder fits, before the site is asked for anything.

        What a video needs is remembered from the look that found too little space: it is not looked at again before it
        fits, and then its space is reserved at once, so that no two count on the same bytes. ``release`` returns it.

        Raises:
            Throttled: there is none.
        """
        if not self._most:
            return
        size, others = self._unmet.get(name, 0), await self._taken(name)
        if others >= self._most or others + size > self._most:
            raise self._full(others)
        if size:
            self._reserved[name] = size

    async def reserve(self, name: str, size: int) -> int:
        """Reserve bytes for a folder; return its most, 0 for no limit.

        Raises:
            Throttled: there are not enough now.
            Permanent: ``fetch_too_large``, there never will be.
        """
        if not self._most:
            return 0
        if size > self._most:
            message = f"The video has about {size / 1e9:.3g} GB; [fetch] max_bytes is {self._most / 1e9:.3g} GB."
            raise Permanent(message, code="fetch_too_large", remedy="raise [fetch] max_bytes, then retry")
        others = await self._taken(name)
        if others + size > self._most or others >= self._most:
            self._unmet[name] = size
            raise self._full(others)
        self._unmet.pop(name, None)
        self._reserved[name] = size
        return self._most - others

    def release(self, name: str) -> None:
        """Give back what was reserved; what is on disk counts by itself."""
        self._reserved.pop(name, None)

    async def _taken(self, without: str) -> int:
        on_disk = await to_thread.run_sync(partial(measure_usage, self._base))
        names = {*on_disk, *self._reserved} - {without}
        return sum(max(on_disk.get(name, 0), self._reserved.get(name, 0)) for name in names)

    def _full(self, taken: int) -> Throttled:
        now = self._clock.monotonic()
        if self._full_at[0] != taken:
            self._full_at = (taken, now)
        hopeless = now - self._full_at[1] > _STALLED and not self._reserved
        message = f"Downloads wait: {taken / 1e9:.3g} GB of fetched videos are not uploaded yet."
        error = Throttled(message, after=self._patience + 60 if hopeless else _SOON, group="fetch")
        remedy = "see `reelmill status` for what keeps them, or raise [fetch] max_bytes"
        error.trouble = Trouble("disk_room", message, remedy if hopeless else "nothing; it goes on by itself")
        return error
