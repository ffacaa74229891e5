"""Which analyses the platform is still to be told of. Every ``cancel`` reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.model import State, Task
from pipeline.ingest.payloads import AnalysisData
from pipeline.ports.store import Journal

NOTE = "recalls"  #: name of the note: keys of analyses


def may_be_at_work(task: Task) -> bool:
    """Return True if the platform may be at work on an analysis.

    So it may on one whose call was never answered. What API v1.2 was asked is answered, or lost.
    """
    if task.kind != "analysis" or task.state is State.DONE:
        return False
    if task.stage in ("await", "join"):
        return True
    data = AnalysisData.of(task)
    sent = task.stage == "find" or bool(data.given_up) or (task.stage == "submit" and task.claims > 0)
    return sent and not data.legacy


async def note_recalls(books: Journal, tasks: Iterable[Task]) -> None:
    """Note which of these the platform is to be told of; then cancel them."""
    asked = [task.key for task in tasks if may_be_at_work(task)]
    noted = await books.load(NOTE) or [] if asked else []
    there = set(noted)
    if new := [key for key in asked if key not in there]:
        await books.save(NOTE, [*noted, *new])


async def count_recalls(books: Journal) -> int:
    """Return of how many analyses the platform is still to be told."""
    return len(await books.load(NOTE) or [])
