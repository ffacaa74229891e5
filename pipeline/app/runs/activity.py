"""What a run works on and what came of it, item by item.

It is seen at the pool and kept in memory, with one log line per end.
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
from pipeline.engine.pool import PoolObserver
from pipeline.ingest.enqueue import EnqueueReport
from pipeline.ingest.payloads import ItemData, PublishData
from pipeline.ports.store import Applied, Records
from pipeline.views import NamedItems

_log = log.get("run")
_WRITTEN = ("new", "asked_again", "rewritten")
FAILING = ("item", "listing", "video", "analysis", "indexing")  #: kinds whose failure is the item's
NAMES = 5  #: items of each group that are named


@dataclass(slots=True)
class _Fate:
    """Items of one fate in this run."""

    members: TextSet = field(default_factory=TextSet)  #: their videos' keys
    first: list[Task] = field(default_factory=list)  #: the few that are named

    def add(self, task: Task) -> bool:
        """Return False if the item was counted already."""
        key = task.subject or task.key
        if key in self.members:
            return False
        self.members.add(key)
        if len(self.first) < NAMES:
            self.first.append(task)
        return True


class RunActivity(PoolObserver):
    """Watches the pool of one run (``engine.pool.PoolObserver``).

    ``complete``: the videos with every result; ``published`` is told the key of each video that was written, and
    ``entered`` what is in the ledger.
    """

    def __init__(
        self,
        records: Records,
        complete: TextSet,
        clock: Clock,
        published: Callable[[str], None] = lambda _key: None,
        entered: Callable[[Sequence[Spend]], None] = lambda spends: None,
    ) -> None:
        self._records = records
        self._published = published
        self._complete = complete
        self._entered = entered
        self._groups = {name: _Fate() for name in (*_WRITTEN, "skipped", "failed", "held")}
        self._answered = TextSet()  # the videos that an analysis of this run has answered
        self._partly: dict[str, str] = {}  # written in this run, but not with every result yet
        self._stopped_keys: set[str] = set()  # of what has failed or is held
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
        if word == "done" and task.kind == "analysis":
            self._answered.add(task.subject)
        elif word == "done" and task.kind == "publish":
            self._published(task.key)
            self._written(task, PublishData.from_json(applied.move.data or {}))
        elif word == "done" and task.kind == "item" and ItemData.from_json(applied.move.data or {}).skipped:
            self._groups["skipped"].add(task)
        elif word in ("failed", "held") and (task.kind in FAILING or task.kind == "publish"):
            await self._stopped(task, applied)

    def _written(self, task: Task, data: PublishData) -> None:
        before = PublishData.from_json(task.data).present
        key = task.key
        # Other results than before were asked for, or were there already: of a prompt that was taken back.
        asked = key in self._answered and dict(before) != dict(data.present)
        fate = self._partly.pop(key, "new" if not before else "asked_again" if asked else "rewritten")
        if key not in self._complete:
            self._partly[key] = fate
            return
        if any(key in self._groups[name].members for name in _WRITTEN):
            return
        self._groups[fate].add(task)
        if fate != "rewritten":
            self.finished_seconds += data.seconds or 0.0
        _log.info("item.done", key=task.key, title=data.title, seconds=data.seconds, fate=fate)

    async def _stopped(self, task: Task, applied: Applied) -> None:
        trouble = applied.move.trouble or reason(task)
        self._stopped_keys.add(task.subject or task.key)
        if self._groups[applied.move.word].add(task):
            name = await self.work.name(task)
            _log.info(
                "item." + applied.move.word,
                key=task.subject or task.key,
                title=name,
                code=trouble.code,
                why=trouble.message,
            )

    # ------------------------------------------------------------------------------------------- at the end

    async def groups(self, enqueued: EnqueueReport, waiting: int) -> dict[str, NamedItems]:
        """Return what came of the run's items; ``waiting`` of them are unfinished."""
        found = {}
        for name, group in self._groups.items():
            away = self._stopped_keys if name in _WRITTEN else set()
            first = [task for task in group.first if (task.subject or task.key) not in away]
            number = len(group.members) - sum(key in group.members for key in away)
            found[name] = NamedItems(number, await self._told(first))
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
