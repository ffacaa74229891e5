"""Kind ``indexing``: one uploaded video into one index, beside its analyses and never in their way. Paid; v1.3.

::

    price ──▶ submit ─────────────────▶ await ──▶ done
     (intent,   │ stopped midway    ▲   (poll)
      ledger)   └─▶ find ───────────┘
                      └─ not there: submit again

The same asset may be put into the same index twice, and is paid for twice: so ``find`` asks by asset first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, NewTask, Spend, Task, Trouble, fingerprint
from pipeline.core.outcome import Advance, Done, Fail, Outcome, Park, Snooze
from pipeline.core.task_types import ASKING, LeaseCheck, StageSpec, TaskType
from pipeline.ports.index_api import IndexApi, IndexSpec

Admit = Callable[[float, float], Trouble | None]

_UNKNOWN = "resource_not_exist"


class ConfiguredIndex:
    """The configured index: found by its name, or made, when it is first needed."""

    def __init__(self, index_api: IndexApi, spec: IndexSpec) -> None:
        self._index_api = index_api
        self._spec = spec
        self._id = ""

    async def id(self) -> str:
        """Return the index's id. The name is unique in the account, so making it is safe to repeat."""
        if not self._id:
            self._id = await self._index_api.create_index(self._spec)
        return self._id


def indexing_task(subject: str, asset_id: str, seconds: float, index_id: str, lost: int = 0) -> NewTask:
    """Return the task that puts a video into an index; a new asset of the same video is put there anew.

    ``lost``: how often the platform has denied the asset or the index to an earlier task, which gave way to this one.
    """
    data = {"asset_id": asset_id, "index_id": index_id, "seconds": seconds, "lost": lost}
    key = f"{subject}/{index_id}/{fingerprint(asset_id)[:8]}" + (f"-{lost}" if lost else "")
    return NewTask("indexing", key, "price", data, subject=subject)


def has_indexing(tasks: Sequence[Task], index_id: str) -> bool:
    """Return True if one of these tasks of a video has put it into the index, or is about to."""
    return any(task.kind == "indexing" and task.data["index_id"] == index_id for task in tasks)


class IndexingTaskType:
    """The steps of putting a video into an index."""

    def __init__(
        self,
        index_api: IndexApi,
        clock: Clock,
        rng: Random,
        *,
        price: Callable[[float], float],
        admit: Admit,
        tries: int,
        grace: float,
    ) -> None:
        self._index_api = index_api
        self._clock = clock
        self._rng = rng
        self._price = price
        self._admit = admit
        self._tries = tries
        self._grace = grace
        self._backoff = Backoff(2.0, 300.0)

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine; its rank is below every other, because nothing waits for it."""
        return TaskType.of("indexing", self, self.STAGES, policy)

    async def price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Reserve the money and store the intent."""
        if task.data.get("index_gone"):  # an operator's retry: there may be another index of that name
            return _anew(task)
        minutes = float(task.data["seconds"]) / 60
        usd = self._price(minutes)
        trouble = self._admit(usd, 0.0)
        if trouble is not None:
            return Park("budget", self._clock.now(), trouble)
        spend = Spend(f"index/{task.key}", "index", usd, minutes, task.subject, at=self._clock.now())
        # Given up once and taken up again: what never seemed to arrive may have arrived since.
        stage = "find" if task.data.get("given_up") else "submit"
        return Advance(stage, {**task.data, "since": self._clock.now()}, spend=[spend])

    async def submit(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Put the asset into the index, once."""
        if not task.fresh:
            return Advance("find", task.data, after=self._grace)
        ensure_fresh()
        data = task.data
        about = {"reelmill_key": task.subject[:200]}
        try:
            made = await self._index_api.index_asset(data["index_id"], data["asset_id"], about)
        except Permanent as error:
            if error.trouble.code != _UNKNOWN:
                raise
            return await self._unknown(task, error)
        return Advance("await", {**data, "video_id": made, "again": 0})

    async def _unknown(self, task: Task, error: Permanent) -> Outcome:
        """The platform has lost the asset, and the video needs a new one; or it is the index that is gone."""
        try:
            await self._index_api.find_indexed(task.data["index_id"], task.data["asset_id"])
        except Permanent as about_asset:
            if about_asset.trouble.code != _UNKNOWN:
                raise
            return self._lost_asset(task, about_asset.trouble)
        return Fail(error.trouble, stage="price", data={**task.data, "index_gone": True})

    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask whether the asset is in the index already."""
        try:
            found = await self._index_api.find_indexed(task.data["index_id"], task.data["asset_id"])
        except Permanent as error:
            if error.trouble.code != _UNKNOWN:
                raise
            return self._lost_asset(task, error.trouble)
        if found is not None:
            return Advance("await", {**task.data, "video_id": found, "again": 0})
        again = int(task.data.get("again", 0)) + 1
        if again >= self._tries:
            why = task.trouble or Trouble("gave_up", "The video was never accepted for indexing.")
            return Fail(why, stage="price", data={**task.data, "again": 0, "given_up": True})
        return Advance("submit", {**task.data, "again": again}, after=self._backoff.delay(again, self._rng))

    def _lost_asset(self, task: Task, trouble: Trouble) -> Outcome:
        if int(task.data.get("lost", 0)) + 1 >= self._tries:  # it shows the asset as ready and denies it, for ever
            return Fail(trouble, stage="price")
        return _anew(task)

    async def wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look whether the platform is done with it."""
        status = await self._index_api.indexing(task.data["index_id"], task.data["video_id"])
        if status.state == "ready" and status.video is not None:
            return Done(data={**task.data, "indexed": status.video.indexed})
        if status.state == "failed":
            why = Trouble(
                "indexing_failed",
                "The platform could not index the video; it names no reason.",
                "look at it in the platform's own console; `reelmill retry` looks again",
            )
            return Fail(why)
        return Snooze(status.look_again)

    STAGES = (
        StageSpec("price", Lane.ANALYZE, price, "waits to be put into the index"),
        StageSpec("submit", Lane.ANALYZE, submit, "waits to be put into the index"),
        StageSpec("find", Lane.ANALYZE, find, ASKING),
        StageSpec("await", Lane.POLL, wait, "is being put into the index by the platform"),
    )


def _anew(task: Task) -> Done:
    """Have the video looked at again, and uploaded where its asset is gone; a task of its own takes over from this one."""
    denied = {"indexing_lost": int(task.data.get("lost", 0)) + 1}
    again = NewTask("video", task.subject, "place", denied, subject=task.subject, restart_at="settle")
    return Done(data={**task.data, "superseded": True}, spawn=[again])
