"""Which videos a question is about: ours that are on the platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.app.asking.citations import AskedVideo
from pipeline.app.items.list_items import matching_videos
from pipeline.core.errors import ConfigError
from pipeline.core.model import ItemFilter, Selection
from pipeline.ingest.payloads import VideoData
from pipeline.ports.store import Database

MOST_VIDEOS = 1000  #: of one question
_PAGE = 500  #: tasks read at once


@dataclass(frozen=True, slots=True)
class Selected:
    """The videos of a question."""

    videos: Sequence[AskedVideo]  #: by their keys
    absent: int = 0  #: that fit, and are not on the platform


async def select_videos(database: Database, which: ItemFilter, identity: str) -> Selected:
    """Return the videos that fit and are on this platform, ready.

    Raises:
        ConfigError: there are none, or more than one question takes.
    """
    keys = sorted(await matching_videos(database, which))
    found: list[AskedVideo] = []
    for first in range(0, len(keys), _PAGE):
        asked = Selection(kinds=("video",), subjects=tuple(keys[first : first + _PAGE]))
        for task in await database.tasks(asked):
            data = VideoData.of(task)
            if data.settled and data.media_id and data.provider == identity:
                found.append(AskedVideo(task.key, data.media_id, data.seconds, clock_start=data.clock_start))
    if not found:
        narrowed = which != ItemFilter()
        raise ConfigError(
            f"ask: no video that fits is on {identity} yet" if narrowed else f"ask: no video is on {identity} yet",
            remedy="`reelmill list` shows what there is" if narrowed else "`reelmill run FILE…` brings them there",
        )
    if len(found) > MOST_VIDEOS:
        raise ConfigError(
            f"ask: {len(found):,} videos fit; one question takes {MOST_VIDEOS:,}",
            remedy="narrow them with --in, --tag or --source",
        )
    return Selected(sorted(found, key=lambda video: video.key), len(keys) - len(found))
