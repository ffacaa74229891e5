"""What can be done about an upload that the platform has lost: where its bytes come from, and the task that sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import anyio

from pipeline.core.model import NewTask, Task


async def find_repair(video: Task, items: Sequence[Task]) -> Literal["file", "fetch", "address", "none"]:
    """Return where the bytes of a video would come from; ``none`` if its file is gone or has another size now."""
    data = video.data
    if data.get("url") or data.get("external"):
        return "address"
    names = [data.get("path", ""), *(item.data["locator"] for item in items if item.data.get("type") == "file")]
    for name in dict.fromkeys(filter(None, names)):
        try:
            if (await anyio.Path(name).stat()).st_size == data.get("size"):
                return "file"
        except OSError:
            continue
    fetched = data.get("fetched") and any(item.data.get("type") == "youtube" for item in items)
    return "fetch" if fetched else "none"


def again(video: Task) -> NewTask:
    """Return the task that uploads a video anew, under the name of the next generation. What has a result stays done."""
    data = {"generation": int(video.data.get("generation", 0)) + 1, "settled": False, "again": 0}
    return NewTask("video", video.key, "place", data, subject=video.key, restart_at="place")
