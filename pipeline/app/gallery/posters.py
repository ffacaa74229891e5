"""Makes the posters that the page lacks, in a run and without."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias

import anyio
from anyio import to_thread

from pipeline.app.gallery.blocks import JobBlocks
from pipeline.app.gallery.entries import EntryMaker
from pipeline.app.gallery.poster_process import MadePoster, PosterProcess, PostersUnavailable
from pipeline.app.gallery.poster_wishes import PosterWish, PosterWishes
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.wiring.run_plan import load_jobs
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json, Selection, State, Task
from pipeline.gallery.data_files import FOLDER
from pipeline.ingest.payloads import PublishData
from pipeline.ports.sink import OutFile, Sink
from pipeline.ports.store import Database, read_pages

_NOTE = "posters_failed"
_MOST_FAILED = 2000
_AGAIN = 30 * 86_400.0  #: seconds after which what failed is tried again: FFmpeg may have learned it
_TOGETHER = 16  #: posters that are written at once
_PAGE = 500  #: videos that are read at once
_WAITING = 10_000  #: published videos that wait beside a run; the rest is found at its end
_log = log.get("gallery")


def made_posters(output: Path) -> set[str]:
    """Return the folders of the videos that have a poster. Blocks."""
    with suppress(OSError):
        names = os.listdir(output / FOLDER / "posters")
        return {name.removesuffix(".webp") for name in names if name.endswith(".webp")}
    return set()


class FailedPosters:
    """What no poster could be made of: left alone for a month.

    A file that has changed is tried again at once.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, list[Json]] = {}
        self._changed = False

    async def load(self) -> None:
        """Read what is remembered."""
        kept = await self._database.load(_NOTE)
        with suppress(TypeError, ValueError, AttributeError):  # of another release
            self._known = {
                str(name): [int(size), int(mtime), float(at)] for name, (size, mtime, at) in (kept or {}).items()
            }

    def has(self, name: str, size: int, mtime_ns: int) -> bool:
        """True if exactly this has failed within a month."""
        known = self._known.get(name)
        return known is not None and known[:2] == [size, mtime_ns] and self._clock.now() - known[2] < _AGAIN

    def add(self, name: str, size: int, mtime_ns: int) -> None:
        """Take note of a failure."""
        self._known.pop(name, None)
        self._known[name] = [size, mtime_ns, round(self._clock.now())]
        self._changed = True

    async def save(self) -> None:
        """Remember the newest failures."""
        if self._changed:
            newest = list(self._known.items())[-_MOST_FAILED:]
            await self._database.save(_NOTE, dict(newest))
            self._changed = False


@dataclass(frozen=True, slots=True)
class PosterReport:
    """What came of the posters."""

    made: int = 0
    failed: int = 0  #: there is nothing that one can be made of
    left: int = 0  #: for the next time


#: Is told how many videos were looked at, of how many.
Progress: TypeAlias = Callable[[int, int], None]


class PosterMaker:
    """Makes the posters of one output folder, one after the other.

    Whatever goes wrong is logged: no poster is worth a run.
    """

    def __init__(
        self,
        database: Database,
        sink: Sink,
        output: Path,
        wishes: PosterWishes,
        clock: Clock,
        *,
        remember: bool = True,
        wanted: bool = True,
    ) -> None:
        self._database = database
        self._sink = sink
        self._output = output
        self._wishes = wishes
        self._process = PosterProcess()
        self._failed = FailedPosters(database, clock)
        self._remember = remember
        self._queue: deque[str] = deque(maxlen=_WAITING)
        self._news = anyio.Event()
        self._turn = anyio.Lock()
        self._waiting = anyio.CancelScope()
        self._off = not wanted
        self._done: set[str] | None = None  #: folders that have one; None before they were looked for
        self._made = self._impossible = 0

    def published(self, key: str) -> None:
        """Take note that a video was published; cheap."""
        if not self._off:
            self._queue.append(key)
            self._news.set()

    async def beside(self) -> None:
        """Make the posters of what is published, until cancelled."""
        while not self._off:
            await self._news.wait()
            self._news = anyio.Event()
            while self._queue and not self._off:
                keys = [self._queue.popleft() for _ in range(min(_TOGETHER, len(self._queue)))]
                await self._safely(partial(self._make_queued, keys))

    async def finish(self, patience: float, told: Progress = lambda _done, _all: None) -> PosterReport:
        """Make all that are still wanted, for ``patience`` seconds at most; end the process."""
        if self._off:
            return PosterReport(self._made, self._impossible)
        left = 0

        async def work() -> None:
            nonlocal left
            total = left = (await self._database.counts()).by.get("publish", {}).get(State.DONE, 0)
            async for page in read_pages(self._database, Selection(("publish",), limit=_PAGE)):
                for at in range(0, len(page), _TOGETHER):
                    await self._make(page[at : at + _TOGETHER])
                left = max(0, left - len(page))
                told(total - left, total)

        try:
            with self._waiting, anyio.move_on_after(patience):
                await self._safely(work)
        finally:
            await self.aclose()
        if self._made or self._impossible or left:
            _log.info("posters.made", made=self._made, impossible=self._impossible, videos_left=left)
        return PosterReport(self._made, self._impossible, left)

    def stop(self) -> None:
        """End :meth:`finish` now; the next time goes on."""
        self._waiting.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the process, and remember what has failed."""
        self._off = True
        with anyio.CancelScope(shield=True):
            await self._process.aclose()
            if self._remember:
                await self._safely(self._failed.save)

    # ---------------------------------------------------------------------------------------------------- some videos

    async def _make_queued(self, keys: Sequence[str]) -> None:
        """Make the posters of these videos that have none."""
        await self._make(await self._database.tasks(Selection(("publish",), keys=tuple(keys))))

    async def _make(self, published: Sequence[Task]) -> None:
        async with self._turn:  # beside a run, and at its end
            if self._done is None:
                await self._failed.load()
                self._done = await to_thread.run_sync(made_posters, self._output)
            lacking = [task for task in published if PublishData.of(task).folder not in self._done]
            wishes = [wish for wish in await self._wishes.of(lacking) if self._can_be(wish)]
            if wishes:
                self._done |= await self._write(await self._wishes.with_moments(wishes, lacking))

    def _can_be(self, wish: PosterWish) -> bool:
        film = wish.film and not self._failed.has(wish.short, wish.size, wish.mtime_ns)
        return bool(film) or (wish.fetched and not self._failed.has(f"{wish.short}.picture", 0, 0))

    async def _write(self, wishes: Sequence[PosterWish]) -> set[str]:
        """Write what can be made; return the folders of these videos."""
        files = []
        for wish in wishes:
            if data := await self._poster(wish):
                files.append(OutFile(f"posters/{wish.folder}.webp", data))
            else:
                self._impossible += 1
        if files:
            await self._sink.add(FOLDER, files)
            self._made += len(files)
        return {wish.folder for wish in wishes}

    async def _poster(self, wish: PosterWish) -> bytes:
        """Return a video's poster; empty if there is none to be had."""
        if wish.film and not self._failed.has(wish.short, wish.size, wish.mtime_ns):
            made = await self._process.of_film(wish.film, wish.at, wish.seconds)
            if made.data:
                return made.data
            self._failed.add(wish.short, wish.size, wish.mtime_ns)
            _log.info("poster.impossible", folder=wish.folder, why=made.why)
        if not wish.fetched or self._failed.has(f"{wish.short}.picture", 0, 0):
            return b""
        thumbnail = await self._wishes.thumbnail(wish.key)
        made = await self._process.of_picture(thumbnail) if thumbnail else MadePoster(why="it came without a thumbnail")
        if not made.data:
            self._failed.add(f"{wish.short}.picture", 0, 0)
            _log.info("poster.impossible", folder=wish.folder, why=made.why)
        return made.data

    async def _safely(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do it; if it goes wrong, say so and make no more."""
        try:
            await work()
        except (ReelmillError, PostersUnavailable) as error:
            why = str(error)
        except Exception as error:
            _log.exception("posters.crashed")
            why = type(error).__name__
        else:
            return
        if not self._off:
            _log.warning("posters.given_up", why=why, remedy="the next run, or `reelmill gallery`, makes them")
        self._off = True


def poster_maker(
    database: Database, sink: Sink, settings: Settings, clock: Clock, *, remember: bool = True, wanted: bool = True
) -> PosterMaker:
    """Return what makes the posters that the settings want."""
    words = SafeWords(settings.run.output)
    entries = EntryMaker(
        words, JobBlocks({job.name: job for job in load_jobs()}), Standing(words, lambda _task, _tasks: True, 0.0)
    )
    wanted = wanted and settings.gallery.posters
    wishes = PosterWishes(database, entries)
    return PosterMaker(database, sink, settings.run.output, wishes, clock, remember=remember, wanted=wanted)
