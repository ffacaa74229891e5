"""Which analyses the platform is still to be told of. Every ``cancel`` reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.model import Task
from pipeline.ports.store import Journal

NOTE = "recalls"  #: name of the note: keys of analyses


async def note_recalls(books: Journal, tasks: Iterable[Task]) -> None:
    """Note which of these the platform is to be told of; then cancel them."""
    asked = [task.key for task in tasks if task.kind == "analysis" and task.stage in ("await", "join")]
    noted = await books.load(NOTE) or [] if asked else []
    there = set(noted)
    if new := [key for key in asked if key not in there]:
        await books.save(NOTE, [*noted, *new])


async def count_recalls(books: Journal) -> int:
    """Return of how many analyses the platform is still to be told."""
    return len(await books.load(NOTE) or [])
