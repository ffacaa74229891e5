"""Who watches the pool."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from pipeline.core.model import Task
from pipeline.ports.store import Applied


class PoolObserver:
    """Is told of every attempt; this one takes no notice.

    What it raises would end the run.
    """

    def working(self, task: Task) -> AbstractContextManager[object]:
        """Return a context around the step."""
        return nullcontext()

    async def ended(self, task: Task, applied: Applied | None) -> None:
        """Take note of a written outcome; None if it was dropped."""
