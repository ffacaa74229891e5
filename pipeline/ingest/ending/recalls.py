"""Tells the platform what an operator has cancelled here.

A note in the journal names the analyses, from before they are cancelled until the platform was told of each; so whatever
dies, the next ``cancel`` or run tells the rest. To tell it twice changes nothing: a platform that has ended an analysis says
how, and the ledger takes each correction once. What was adopted is another state folder's, and is left to it.

A call that was never answered is looked for first, and stays noted for as long as such calls are looked for: the ledger
counts it in any case.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import anyio

from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, StoreError
from pipeline.core.log import get
from pipeline.core.model import Recalled, Selection, Spend, State, Task, Trouble
from pipeline.ingest.batches.payload import BatchData
from pipeline.ingest.ending.costs import AnalysisCosts
from pipeline.ingest.ending.note import NOTE, may_be_at_work
from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ingest.payloads import AnalysisData, VideoData
from pipeline.ingest.remote_names import build_custom_id
from pipeline.ports.batch_api import BatchApi
from pipeline.ports.store import Journal, Records
from pipeline.ports.video_api import VideoApi

_log = get("recall")
_AT_ONCE = 8  #: calls


class Books(Journal, Records, Protocol):
    """What is read and written: records and journal."""


class Recalls:
    """Tells the platform of what is noted.

    ``entered`` is told of what is written into the ledger.
    """

    def __init__(
        self,
        api: VideoApi,
        batches: BatchApi | None,
        costs: AnalysisCosts,
        books: Books,
        looks: LookSchedule,
        clock: Clock,
        entered: Callable[[Sequence[Spend]], None] = lambda spends: None,
    ) -> None:
        self._api = api
        self._batches = batches
        self._costs = costs
        self._books = books
        self._looks = looks
        self._clock = clock
        self._entered = entered
        self._told = Recalled()
        self._answers = True
        self._began = 0.0
        self._sought: list[str] = []

    async def carry_out(self) -> Recalled:
        """Tell the platform of each; what it cannot be told now stays noted."""
        self._told, self._answers, self._sought, self._began = Recalled(), True, [], self._clock.now()
        rest: list[str] = await self._books.load(NOTE) or []
        untold: list[str] = []
        while rest and self._answers:
            now, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
            untold += await self._tell(now)
            await self._books.save(NOTE, [*untold, *self._sought, *rest] or None)
        return replace(self._told, sought=len(self._sought), untold=len(untold) + len(rest))

    async def _tell(self, keys: Sequence[str]) -> list[str]:
        """Tell of these; return the keys of those that could not be told.

        What was asked of another platform is told once that is configured again.
        """
        found = await self._books.tasks(Selection(("analysis",), tuple(keys), states=(State.CANCELLED,)))
        asked = [task for task in found if may_be_at_work(task)]
        subjects = tuple({task.subject for task in asked})
        videos = await self._books.tasks(Selection(("video",), subjects)) if subjects else []
        here = {video.key for video in videos if VideoData.of(video).provider == self._api.identity}
        untold = [task.key for task in asked if task.subject not in here]
        alone = [task for task in asked if task.subject in here and task.stage != "join"]
        joined = [task for task in asked if task.subject in here and task.stage == "join"]
        async with anyio.create_task_group() as group:
            for task in alone:
                group.start_soon(self._guarded, self._cancel, [task], untold)
            if joined:
                group.start_soon(self._guarded, self._cancel_batches, joined, untold)
        return untold

    async def _guarded(
        self, tell: Callable[[Sequence[Task]], Awaitable[None]], tasks: Sequence[Task], untold: list[str]
    ) -> None:
        try:
            await tell(tasks)
        except StoreError:
            raise
        except ReelmillError as error:
            _log.info("recall.not_told", why=error.trouble.message, detail=error.trouble.detail)
            self._told, self._answers = replace(self._told, trouble=error.trouble), False
            untold += [task.key for task in tasks if task.key not in self._sought]

    async def _cancel(self, tasks: Sequence[Task]) -> None:
        (task,) = tasks
        data = AnalysisData.of(task)
        if data.adopted and task.stage == "await":
            self._told = replace(self._told, going_on=self._told.going_on + 1, trouble=_ANOTHERS)
            return
        question = replace(self._costs.question(task), as_of=self._began)
        task_id = data.task_id if task.stage == "await" else await self._api.find_analysis(question)
        if task_id is None:
            # Of one that is held, or given up and not made again, nothing was found while it was looked for.
            over = data.agreed or task.stage == "price"
            self._not_shown([task], over=over, since=data.doubted or task.updated)
            return
        cancelling = await self._api.cancel_analysis(question, task_id)
        status = cancelling.status
        for spend in await self._costs.reckon(task, data, status, None):
            await self._books.enter(spend)
            self._entered([spend])
        told = self._told
        if status.state == "working":
            self._told = replace(told, going_on=told.going_on + 1, trouble=cancelling.refused or _BEING_CANCELLED)
        elif status.state == "ready":
            self._told = replace(told, answered=told.answered + 1)
        elif status.state == "canceled":
            self._told = replace(told, cancelled=told.cancelled + 1, usd=told.usd + await self._counted(task, data))
        _log.info("recall.told", key=task.subject, id=task_id, state=status.state)

    def _not_shown(self, tasks: Sequence[Task], *, over: bool, since: float) -> None:
        """Take note that the platform shows nothing of calls without an answer.

        A clock that was set back since then lets them be looked for once more.
        """
        if over or self._clock.now() - since >= self._looks.whole():
            self._told = replace(self._told, absent=self._told.absent + len(tasks))
        else:
            self._sought += [task.key for task in tasks]
        _log.info("recall.not_shown", keys=[task.subject for task in tasks])

    async def _counted(self, task: Task, data: AnalysisData) -> float:
        """Return what the ledger counts for a call."""
        key = build_custom_id(task.key, data.generation)
        spends = await self._books.spends([task.subject])
        return sum(spend.usd for spend in spends if spend.key == key or spend.key.startswith(f"{key}/"))

    async def _cancel_batches(self, tasks: Sequence[Task]) -> None:
        """Cancel the batches of which nobody wants anything any more."""
        named = {build_custom_id(task.key, AnalysisData.of(task).generation): task for task in tasks}
        for batch in await self._books.tasks(Selection(kinds=("batch",))):
            about = BatchData.of(batch)
            ours = [named[name] for name in named.keys() & about.members.keys()]
            if not ours or self._batches is None:
                continue
            if about.verdict:
                # Nobody can tell what became of it: each item may be there all the same.
                for task in ours if about.verdict == "doubtful" else []:
                    await self._cancel([task])
                continue
            members = await self._books.tasks(Selection(("analysis",), tuple(about.members.values())))
            if any(is_awaited(member) for member in members if member.stage == "join"):
                self._told = replace(self._told, in_batches=self._told.in_batches + len(ours))
                continue
            batch_id = about.batch_id
            if not batch_id and (batch.claims > 0 or batch.stage == "look"):  # it may have been sent
                batch_id = await self._batches.find(about.members, about.since) or ""
                if not batch_id:
                    self._not_shown(ours, over=False, since=about.doubted or max(task.updated for task in ours))
            if batch_id:
                await self._batches.cancel(batch_id)
                self._told = replace(self._told, cancelled=self._told.cancelled + len(ours))


def is_awaited(member: Task) -> bool:
    """Return True if its task waits for the answer, and takes it."""
    return not member.state.terminal and not AnalysisData.of(member).replaced


_BEING_CANCELLED = Trouble("canceling", "the platform has not ended it yet")
_ANOTHERS = Trouble("adopted", "another state folder has asked it, and pays for it")
