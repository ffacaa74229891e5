"""What is worked on at this moment, and how fast bytes move."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath

from pipeline.app.operator.attention import NAMED, item_names
from pipeline.app.operator.display_names import display_source
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Lane, Task
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ports.store import Applied, Records
from pipeline.ports.transfers import CURRENT, Transfer
from pipeline.views import WorkView

_REMEMBERED = 5000  #: names of videos at most
_WINDOW = 10.0  #: seconds over which a rate is counted
_LOOK = 1.0  #: seconds between two looks for names
_DOING = {
    Lane.FETCH: "reading", Lane.DOWNLOAD: "downloading", Lane.UPLOAD: "uploading",
    Lane.ANALYZE: "asking", Lane.WRITE: "writing", Lane.BATCH: "batching",
}  # fmt: skip
_AT_PLATFORM = {"video": "processing", "analysis": "analysing", "indexing": "indexing"}


@dataclass(slots=True)
class _Work:
    """One task at work here, or in the platform's hands."""

    task: Task
    transfer: Transfer = field(default_factory=Transfer)
    seen: deque[tuple[float, int]] = field(default_factory=deque)  #: (monotonic seconds, bytes moved by then)

    def view(self, name: str, now: float) -> WorkView:
        """Return it as people see it."""
        transfer, lane = self.transfer, self.task.lane
        doing = _AT_PLATFORM.get(self.task.kind, "waiting") if lane is Lane.POLL else _DOING[lane]
        self.seen.append((now, transfer.moved))
        while now - self.seen[0][0] > _WINDOW:
            self.seen.popleft()
        since, moved = self.seen[0]
        rate = (transfer.moved - moved) / (now - since) if now - since >= 1 else 0.0
        total = transfer.total or (VideoData.from_json(self.task.data).size if lane is Lane.UPLOAD else 0)
        done = transfer.before + transfer.moved
        return WorkView(doing, name, done, total if total >= done else 0, max(0.0, rate))


class WorkInProgress:
    """The tasks at work here and at the platform, with their videos' names."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._running: dict[int, _Work] = {}
        self._at_platform: dict[int, _Work] = {}  # as many as the run lets there be at once
        self._names: OrderedDict[str, str] = OrderedDict()  # key of a video -> what the user calls it

    @contextmanager
    def working(self, task: Task) -> Iterator[None]:
        """Count a task as at work, and the bytes that its step moves."""
        work = self._running[task.id] = _Work(task)
        self._at_platform.pop(task.id, None)
        token = CURRENT.set(work.transfer)
        try:
            yield
        finally:
            CURRENT.reset(token)
            if self._running.get(task.id) is work:
                del self._running[task.id]

    def ended(self, task: Task, applied: Applied) -> None:
        """Take note of where a task waits now, and of its video's name."""
        if task.kind in NAMED:
            self._learn(applied.move.subject or task.subject, display_source(ItemData.from_json(task.data).source))
        if applied.lane is Lane.POLL and applied.move.wake_at is not None:
            self._at_platform[task.id] = _Work(applied.placed())

    def views(self) -> list[WorkView]:
        """Return what is worked on, oldest first."""
        now = self._clock.monotonic()
        return [work.view(self._shown(work.task), now) for work in self._all()]

    async def look_for_names(self) -> None:
        """Look up, for ever, the names of videos that an earlier run took in."""
        while True:
            unknown = [work.task for work in self._all() if work.task.kind not in NAMED and not self._known(work.task)]
            try:
                found = await item_names(self._records, unknown) if unknown else {}
            except ReelmillError:  # a name is not worth a failure
                found = {}
            for task in unknown:
                self._learn(task.subject, found.get(task.id, ""))
            await self._clock.sleep(_LOOK)

    async def name(self, task: Task) -> str:
        """Return what the user calls a task's video."""
        if task.kind in NAMED:
            return display_source(ItemData.from_json(task.data).source)
        if not self._known(task):
            try:
                return (await item_names(self._records, [task]))[task.id]
            except ReelmillError:
                return task.key
        return self._names[task.subject]

    def _all(self) -> Iterable[_Work]:
        everything = [*self._running.values(), *self._at_platform.values()]
        return sorted(everything, key=lambda work: work.task.id)  # not by the last look: names must not jump

    def _known(self, task: Task) -> bool:
        return task.subject in self._names

    def _learn(self, subject: str, name: str) -> None:
        if subject and name:
            self._names[subject] = name
            self._names.move_to_end(subject)
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)

    def _shown(self, task: Task) -> str:
        if task.kind in NAMED:
            return display_source(ItemData.from_json(task.data).source)
        known = self._names.get(task.subject)
        return known or (PurePath(VideoData.from_json(task.data).path).name if task.kind == "video" else "") or "…"
