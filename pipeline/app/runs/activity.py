"""What a run works on and what came of it, item by item.

While the run works, it is seen at the pool and told with one log line per end. What the report says is read at the end from
the rows that have changed since the run began, whichever process has changed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pipeline.app.operator.attention import item_names, reason
from pipeline.app.operator.display_names import display_source
from pipeline.app.runs.work_in_progress import WorkInProgress
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.model import Selection, Spend, State, Task
from pipeline.core.text import TextSet
from pipeline.engine.observer import PoolObserver
from pipeline.ingest.enqueue import EnqueueReport
from pipeline.ingest.payloads import ItemData, PublishData
from pipeline.ports.store import Applied, Records, read_pages
from pipeline.views import NamedItems

_log = log.get("run")
_WRITTEN = ("new", "asked_again", "rewritten")
_OTHER = ("skipped", "failed", "held")
_PAGE = 500  #: tasks that are read at once
FAILING = ("item", "listing", "video", "analysis", "indexing")  #: kinds whose failure is the item's
NAMES = 5  #: items of each group that are named


@dataclass(slots=True)
class _Fate:
    """Items of one fate."""

    members: TextSet = field(default_factory=TextSet)  #: their videos' keys
    first: list[Task] = field(default_factory=list)  #: the few that are named

    def add(self, task: Task) -> None:
        """Count an item, once."""
        key = task.subject or task.key
        if key not in self.members:
            self.members.add(key)
            if len(self.first) < NAMES:
                self.first.append(task)


@dataclass(slots=True)
class RunOutcome:
    """What has come of items since a run began."""

    published: int = 0  #: videos written with every result
    fates: dict[str, _Fate] = field(default_factory=lambda: {name: _Fate() for name in (*_WRITTEN, *_OTHER)})

    @classmethod
    async def read(cls, records: Records, started: float) -> RunOutcome:
        """Read the rows that have changed since ``started``.

        Memory holds a page, and the keys.
        """
        found = cls()
        stopped = Selection((*FAILING, "publish"), states=(State.FAILED, State.HELD), since=started, limit=_PAGE)
        async for page in read_pages(records, stopped):
            for task in page:
                found.fates[task.state.value].add(task)
        # In one pass and by kind alone: every pass walks all tasks of its kinds, whenever they changed.
        async for page in read_pages(records, Selection(("item", "publish"), since=started, limit=_PAGE)):
            for task in page:
                if task.state is State.DONE and task.kind == "publish":
                    found._written(task, PublishData.of(task), started)
                elif task.state is State.DONE and ItemData.of(task).skipped:
                    found.fates["skipped"].add(task)
        return found

    def _written(self, task: Task, data: PublishData, started: float) -> None:
        if data.missing:
            return
        self.published += 1
        if not any(task.key in self.fates[name].members for name in ("failed", "held")):
            self.fates[fate_of(data, started)].add(task)


def fate_of(data: PublishData, started: float) -> str:
    """Return what a run that began at ``started`` made of a written video."""
    if data.first >= started:
        return "new"
    return "asked_again" if data.answered >= started else "rewritten"


class RunActivity(PoolObserver):
    """Watches the pool of one run (``engine.observer.PoolObserver``).

    ``published`` is told the key of each video that was written, and ``entered`` what is in the ledger.
    """

    def __init__(
        self,
        records: Records,
        started: float,
        clock: Clock,
        published: Callable[[str], None] = lambda _key: None,
        entered: Callable[[Sequence[Spend]], None] = lambda spends: None,
    ) -> None:
        self._records = records
        self._started = started
        self._published = published
        self._entered = entered
        self._stopped_keys = TextSet()  # of what has failed or is held
        self.completed = TextSet()  #: the videos that were written here with every result
        self.work = WorkInProgress(records, clock)
        self.finished_seconds = 0.0  #: length of the videos that are new or were asked again

    # ------------------------------------------------------------------------------------- what the pool tells

    def working(self, task: Task) -> AbstractContextManager[object]:
        """Return a context around the step."""
        return self.work.working(task)

    async def ended(self, task: Task, applied: Applied | None) -> None:
        """Take note of a written outcome; None if it was dropped."""
        if applied is None:
            return
        self._entered(applied.move.spend)
        word = applied.move.word
        self.work.ended(task, applied)
        if word == "done" and task.kind == "publish":
            self._published(task.key)
            self._written(task, PublishData.from_json(applied.move.data or {}))
        elif word in ("failed", "held") and (task.kind in FAILING or task.kind == "publish"):
            await self._stopped(task, applied)

    def _written(self, task: Task, data: PublishData) -> None:
        if data.missing or task.key in self.completed:
            return
        self.completed.add(task.key)
        fate = fate_of(data, self._started)
        if fate != "rewritten":
            self.finished_seconds += data.seconds or 0.0
        _log.info("item.done", key=task.key, title=data.title, seconds=data.seconds, fate=fate)

    async def _stopped(self, task: Task, applied: Applied) -> None:
        trouble, key = applied.move.trouble or reason(task), task.subject or task.key
        if key not in self._stopped_keys:
            self._stopped_keys.add(key)
            title, word = await self.work.name(task), applied.move.word
            _log.info("item." + word, key=key, title=title, code=trouble.code, why=trouble.message)

    # ------------------------------------------------------------------------------------------- at the end

    async def groups(self, outcome: RunOutcome, enqueued: EnqueueReport, waiting: int) -> dict[str, NamedItems]:
        """Return what came of the run's items; ``waiting`` of them are unfinished."""
        found = {}
        for name, fate in outcome.fates.items():
            found[name] = NamedItems(len(fate.members), await self._told(fate.first))
            if name == _WRITTEN[-1]:
                found["unchanged"] = _decided(enqueued, "nothing")
        found["still_failed"] = _decided(enqueued, "failed", "held")
        kinds = (*FAILING, "publish")
        open_tasks = Selection(kinds=kinds, states=(State.PENDING, State.RUNNING), limit=20 * NAMES)
        names = await self._told(await self._records.tasks(open_tasks)) if waiting else []
        found["cancelled"] = _decided(enqueued, "cancelled")
        found["waiting"] = NamedItems(waiting, names)
        return {name: items for name, items in found.items() if items.count}

    async def _told(self, tasks: Sequence[Task]) -> list[str]:
        names = await item_names(self._records, tasks)
        return list(dict.fromkeys(names[task.id] for task in tasks))[:NAMES]


def _decided(enqueued: EnqueueReport, *actions: str) -> NamedItems:
    names = [display_source(name) for action in actions for name in enqueued.named.get(action, ())]
    return NamedItems(sum(Counter(enqueued.actions)[action] for action in actions), names[:NAMES])
