"""Metrics of the worker pool: what the live display and the run's report show."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.model import Counts, Lane, Task
from pipeline.views import LaneView

_WINDOW_SECONDS = 60.0  #: over which a lane's rate is counted


@dataclass(slots=True)
class PoolMetrics:
    """Counters in memory. ``waiting`` starts from the database and follows every transition."""

    widths: Mapping[Lane, int]
    running: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    writing: dict[Lane, int] = field(
        default_factory=lambda: dict.fromkeys(Lane, 0)
    )  #: part of running: the step is over
    waiting: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    finished: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    words: dict[str, int] = field(default_factory=dict)  #: "kind.word" -> how often
    _recent: dict[Lane, deque[float]] = field(default_factory=lambda: {lane: deque() for lane in Lane})

    def start_from(self, counts: Counts) -> None:
        """Set the waiting tasks to what the database holds."""
        for lane in Lane:
            self.waiting[lane] = counts.in_lane.get(lane.value, 0)

    def submitted(self, lane: Lane, number: int = 1) -> None:
        """Count new tasks."""
        self.waiting[lane] += number

    def began(self, task: Task) -> None:
        """Count a claimed task as running."""
        self.running[task.lane] += 1

    def step_over(self, task: Task) -> None:
        """Count a running task's step as over: its lane has a slot again."""
        self.writing[task.lane] += 1

    def busy(self, lane: Lane) -> int:
        """Return how many steps of a lane run at this moment."""
        return self.running[lane] - self.writing[lane]

    def ended(self, task: Task, word: str, lane: Lane | None, at: float) -> None:
        """Count a written outcome at ``at``, monotonic seconds.

        ``lane`` is where the task waits now, None if it is terminal.
        """
        self.running[task.lane] -= 1
        self.writing[task.lane] -= 1
        self.waiting[task.lane] -= 1
        if lane is not None:
            self.waiting[lane] += 1
        if word in ("advanced", "done", "failed", "held"):
            self.finished[task.lane] += 1
            recent = self._recent[task.lane]
            recent.append(at)
            while recent[0] < at - _WINDOW_SECONDS:  # most runs have no display, which would do this
                recent.popleft()
        name = f"{task.kind}.{word}"
        self.words[name] = self.words.get(name, 0) + 1

    def lanes(self, now: float) -> list[LaneView]:
        """Return every lane as it stands; ``now`` is monotonic seconds."""
        return [self._view(lane, now) for lane in Lane]

    def _view(self, lane: Lane, now: float) -> LaneView:
        recent = self._recent[lane]
        while recent and now - recent[0] > _WINDOW_SECONDS:
            recent.popleft()
        waiting = max(0, self.waiting[lane] - self.running[lane])
        return LaneView(
            lane.value, self.busy(lane), waiting, self.widths.get(lane, 0), self.finished[lane], float(len(recent))
        )
