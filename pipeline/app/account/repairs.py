"""Repairs lost uploads: finds their bytes, and builds the task that sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import anyio

from pipeline.core.model import NewTask, Task
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ingest.tasks.restart_data import upload_anew


async def find_repair(video: Task, items: Sequence[Task]) -> Literal["file", "fetch", "address", "none"]:
    """Return where a video's bytes would come from; ``none`` if they are gone."""
    data, sources = VideoData.of(video), [ItemData.of(item) for item in items]
    if data.url or data.external:
        return "address"
    names = [data.path, *(item.locator for item in sources if item.type == "file")]
    for name in dict.fromkeys(filter(None, names)):
        try:
            if (await anyio.Path(name).stat()).st_size == data.size:
                return "file"
        except OSError:
            continue
    return "fetch" if data.fetched and any(item.type == "youtube" for item in sources) else "none"


def upload_again(video: Task) -> NewTask:
    """Return the task that uploads a video once more; results stay done."""
    data = upload_anew(VideoData.of(video))
    return NewTask("video", video.key, "place", data, subject=video.key, restart_at="place")
