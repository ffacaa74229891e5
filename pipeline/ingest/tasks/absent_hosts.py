"""What a host has left that does not come back."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.model import Lane, NewTask, Placed, Selection, Task
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ingest.tasks.restart_data import without_host
from pipeline.ports.store import Database

_PAGE = 500


async def release_videos(database: Database, host: str, now: float, *, all_of_them: bool = False) -> int:
    """Let any host go on with videos of this one's disk; return how many.

    What it had fetched is fetched again. A file goes on where another host has the same content; else it waits, or with
    ``all_of_them`` is missing.
    """
    released = after = 0
    while page := await database.tasks_of_place(host, "video", after, _PAGE):
        after = page[-1].id
        elsewhere = await _found_elsewhere(database, page, host)
        free = [each for each in page if all_of_them or VideoData.of(each).fetched or each.key in elsewhere]
        await database.submit([_released(each, "fan_out", Lane.POLL) for each in free], now)
        released += len(free)
    return released


async def release_items(database: Database, host: str, now: float) -> int:
    """Let any host find that this one's files are missing; return their number."""
    released = after = 0
    while page := await database.tasks_of_place(host, "item", after, _PAGE):
        after = page[-1].id
        await database.submit([_released(each, each.stage, each.lane) for each in page], now)
        released += len(page)
    return released


def _released(task: Task, restart_at: str, lane: Lane) -> Placed:
    """Return what any host may go on with.

    Only a pending task changes so. One that has gone on meanwhile, because its host is back, loses nothing: where a restart
    begins, nothing is paid twice.
    """
    new = NewTask(task.kind, task.key, task.stage, without_host(), task.subject, restart_at=restart_at)
    return Placed(new, task.lane, task.rank, lane, task.rank)


async def _found_elsewhere(database: Database, videos: Sequence[Task], host: str) -> set[str]:
    """Return the keys of videos whose content another host has found, too."""
    items = await database.tasks(Selection(kinds=("item",), subjects=tuple(each.key for each in videos)))
    found = [(each.subject, ItemData.of(each)) for each in items]
    return {subject for subject, data in found if data.type == "file" and data.host != host and not data.host_gone}
