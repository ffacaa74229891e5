"""What a poster can be made of, by database and disk."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from pipeline.app.gallery.collect import read_videos
from pipeline.app.gallery.entries import EntryMaker
from pipeline.core.model import Selection, Task
from pipeline.gallery.values import PageResult
from pipeline.ingest.payloads import PublishData, VideoData
from pipeline.kit.page import Moment, Moments
from pipeline.ports.store import Records

_PICTURE = "_thumbnail"


@dataclass(frozen=True, slots=True)
class PosterWish:
    """A video without a poster, and what one can be made of."""

    key: str
    folder: str
    film: str = ""  #: path of the file that was sent, where it still is; else empty
    size: int = 0  #: bytes of that file
    mtime_ns: int = 0
    seconds: float = 0.0
    at: float | None = None  #: the second that tells most, if the answers say so
    fetched: bool = False  #: from a site: there may be a thumbnail

    @property
    def short(self) -> str:
        """The folder's last eight characters, which stay whatever its title."""
        return self.folder.rpartition("--")[2]


class PosterWishes:
    """Finds out what posters can be made of."""

    def __init__(self, records: Records, entries: EntryMaker) -> None:
        self._records = records
        self._entries = entries

    async def of(self, published: Sequence[Task]) -> list[PosterWish]:
        """Return what these published videos have to make one of."""
        folders = {task.key: PublishData.of(task).folder for task in published}
        if not folders:
            return []
        videos = await self._records.tasks(Selection(("video",), subjects=tuple(folders)))
        known = {task.subject: VideoData.of(task) for task in videos}
        found = await to_thread.run_sync(
            lambda: [_wish(key, folders[key], known[key]) for key in folders if key in known]
        )
        return [wish for wish in found if wish.folder and (wish.film or wish.fetched)]

    async def with_moments(self, wishes: Sequence[PosterWish], published: Sequence[Task]) -> list[PosterWish]:
        """Return the wishes with the second that tells most."""
        wanted = {wish.key for wish in wishes if wish.film}
        triples = [(0, task, PublishData.of(task)) for task in published if task.key in wanted]
        videos = await read_videos(self._records, triples, captions=False)
        moments = {video.publish.key: telling_second(self._entries.results(video)) for video in videos}
        return [replace(wish, at=moments.get(wish.key)) for wish in wishes]

    async def thumbnail(self, key: str) -> bytes:
        """Return the newest thumbnail that came with a video; empty if there is none."""
        results = await self._records.results([key], without=("_answer", "_captions", "_transcript"))
        bodies = [result.body for result in results if result.job == _PICTURE]
        return base64.b64decode(bodies[-1]["base64"]) if bodies else b""


def _wish(key: str, folder: str, video: VideoData) -> PosterWish:
    there = bool(video.path) and _is_unchanged(video)
    return PosterWish(
        key=key,
        folder=folder,
        film=video.path if there else "",
        size=video.size,
        mtime_ns=video.mtime_ns,
        seconds=video.length,
        fetched=video.fetched or bool(video.external),
    )


def _is_unchanged(video: VideoData) -> bool:
    try:
        seen = os.stat(video.path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(seen.st_mode) and (seen.st_size, seen.st_mtime_ns) == (video.size, video.mtime_ns)


def telling_second(results: Collection[PageResult]) -> float | None:
    """Return a third of the longest chapter, seconds; None without chapters."""
    blocks = [block for result in results for block in result.blocks if isinstance(block, Moments) and block.chapters]
    chapters: list[Moment] = [moment for block in blocks for moment in block.items if moment.end > moment.start >= 0]
    if not chapters:
        return None
    longest = max(chapters, key=lambda chapter: chapter.end - chapter.start)
    return longest.start + (longest.end - longest.start) / 3
