"""How often each trouble was waited out, kept in a task's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.model import Json, Task


@dataclass(frozen=True, slots=True)
class WaitCounts:
    """Waits by trouble code, within one visit to a stage.

    An operator's retry, a restart and the next stage start at zero.
    """

    since: float  #: when the stage was entered, epoch seconds
    of: Mapping[str, int]

    @classmethod
    def of_task(cls, task: Task) -> WaitCounts:
        """Return what was counted in the task's present stage."""
        stored = task.data.get("tries", {})
        return cls(task.stage_since, stored["of"] if stored.get("since") == task.stage_since else {})

    def counted(self, code: str, data: Mapping[str, Json]) -> dict[str, Json]:
        """Return a task's data with one more wait, which task types keep."""
        return {**data, "tries": {"since": self.since, "of": {**self.of, code: self.of.get(code, 0) + 1}}}
