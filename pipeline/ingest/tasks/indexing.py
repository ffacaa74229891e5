"""Task type ``indexing``: puts one uploaded video into one index. Paid; v1.3.

It runs beside the video's analyses and never in their way.

::

    price ──▶ submit ─────────────────▶ await ──▶ done
     (intent,   │ stopped midway    ▲   (poll)
      ledger)   └─▶ find ───────────┘
                      └─ not there: submit again

The same asset may be put into the same index twice, and is paid for twice: so ``find`` asks by asset first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from pipeline.core.errors import Ambiguous, Permanent
from pipeline.core.lifecycle import Policy
from pipeline.core.log import get
from pipeline.core.model import Lane, NewTask, Task, Trouble, fingerprint
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.paid_call import Billing, CallPolicy, CallRefused, Cost, PaidCall, Stages
from pipeline.ingest.payloads import IndexingData, VideoData
from pipeline.ingest.remote_names import OWNER_LENGTH
from pipeline.ingest.services import HEAD_START, Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.restart_data import denied_to_indexing
from pipeline.ports.index_api import IndexApi, IndexSpec

_UNKNOWN = "resource_not_exist"
_log = get("indexing")


class ConfiguredIndex:
    """The configured index: found by its name, or made, when it is first needed."""

    def __init__(self, index_api: IndexApi, spec: IndexSpec) -> None:
        self._index_api = index_api
        self._spec = spec
        self.name = spec.name
        self._id = ""
        self._making = anyio.Lock()  # videos come to it together: one makes it, the others take it

    async def id(self) -> str:
        """Return the index's id. Its name is unique, so making it is repeatable."""
        async with self._making:
            if not self._id:
                self._id = await self._index_api.create_index(self._spec)
        return self._id


def indexing_task(subject: str, video: VideoData, index_id: str, name: str) -> NewTask:
    """Return the task that indexes a video; a new asset has its own."""
    asset_id, lost = video.media_id, video.indexing_lost
    data = IndexingData(
        asset_id=asset_id, index_id=index_id, index_name=name, seconds=video.length, lost=lost,
        adopted=video.adopted, yields=video.yields,
    )  # fmt: skip
    # What was denied of an earlier asset may be told late, when this one is on its way into the index already.
    again = lost and video.indexing_denied in ("", data.place)
    key = f"{subject}/{index_id}/{fingerprint(asset_id)[:8]}" + (f"-{lost}" if again else "")
    return NewTask("indexing", key, "price", data.to_json(), subject=subject)


def has_indexing(tasks: Sequence[Task], index_id: str) -> bool:
    """Return True if one of these tasks puts the video into the index."""
    return any(task.kind == "indexing" and IndexingData.of(task).index_id == index_id for task in tasks)


class IndexingTaskType:
    """The steps of putting a video into an index."""

    def __init__(
        self,
        services: Services,
        index_api: IndexApi,
        *,
        price: Callable[[float], float],
        billing: Billing,
        policy: CallPolicy,
    ) -> None:
        self._index_api = index_api
        self._clock = services.clock
        self._grace = services.api.grace
        self._price = price
        self._policy = policy
        self._attempts = policy.attempts
        self._paid: PaidCall[IndexingData] = PaidCall(
            Stages("price", "submit", "find", held="price"),
            policy,
            services.looks,
            billing,
            services.clock,
            services.rng,
            gave_up=Trouble("gave_up", "The video was never accepted for indexing."),
            give_up=lambda data, key: changed(data, given_up=True),
            # A person has agreed: what was given up is not looked for once more.
            renew=lambda data: changed(data, doubtful=data.doubtful + 1, given_up=False),
        )

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine, ranked below every other."""
        return TaskType.of("indexing", self, self.STAGES, policy)

    async def price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Reserve the money and store the intent."""
        data = IndexingData.of(task)
        if data.index_gone:  # an operator's retry: there may be another index of that name
            return _hand_back(task, data)
        try:
            # An earlier task that gave way late may follow another one that has put the same asset there.
            there = data.adopted or data.lost > 0
            found = await self._index_api.find_indexed(data.index_id, data.asset_id) if there else None
        except Permanent as error:
            if error.trouble.code != _UNKNOWN:
                raise
            return self._lost_asset(task, data, error.trouble)
        except Ambiguous as error:  # nobody can tell whether an earlier call has put it there
            if self._policy.holds(0) and not data.agreed:
                return Hold(error.trouble, stage="price", data=changed(data, agreed=True, yields=False).to_json())
            data, found = changed(data, agreed=False, doubtful=data.doubtful + 1), None
        if found is not None:
            _log.info("indexing.adopted", key=task.subject, id=found)
            return self._await(data, found)
        if data.yields:
            return Advance("price", changed(data, yields=False).to_json(), after=HEAD_START * self._grace)
        data = changed(data, since=self._clock.now(), adopted=False)
        return self._paid.intend(data, self._cost(task, data), given_up=data.given_up, repeated=data.doubtful)

    async def submit(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Put the asset into the index, once."""
        data = IndexingData.of(task)
        owner = {"reelmill_key": task.subject[:OWNER_LENGTH]}

        async def send() -> str:
            ensure_fresh()
            return await self._index_api.index_asset(data.index_id, data.asset_id, owner)

        try:
            made = await self._paid.act(task, data, self._cost(task, data), send)
        except Permanent as error:
            if error.trouble.code != _UNKNOWN:
                return self._paid.refused(data, error)
            return await self._unknown(task, data, error)
        return self._await(data, made) if isinstance(made, str) else made

    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask whether the asset is in the index already."""
        data = IndexingData.of(task)
        try:
            found = await self._paid.look(
                task, data, self._cost(task, data), lambda: self._index_api.find_indexed(data.index_id, data.asset_id)
            )
        except Permanent as error:
            if error.trouble.code == _UNKNOWN:
                return await self._unknown(task, data, error)
            if isinstance(error, CallRefused):
                return self._paid.refused(data, error)
            raise
        return self._await(data, found) if isinstance(found, str) else found

    def _cost(self, task: Task, data: IndexingData) -> Cost:
        minutes = data.seconds / 60
        return Cost(f"index/{task.key}", "index", self._price(minutes), minutes, task.subject)

    def _await(self, data: IndexingData, video_id: str) -> Advance:
        return Advance("await", changed(data, video_id=video_id, again=0, looks=0).to_json())

    async def _unknown(self, task: Task, data: IndexingData, error: Permanent) -> Outcome:
        """The platform has lost the asset, or the index is gone."""
        try:
            await self._index_api.find_indexed(data.index_id, data.asset_id)
        except Permanent as about_asset:
            if about_asset.trouble.code != _UNKNOWN:
                raise
            return self._lost_asset(task, data, about_asset.trouble)
        return Fail(error.trouble, stage="price", data=changed(data, index_gone=True).to_json())

    def _lost_asset(self, task: Task, data: IndexingData, trouble: Trouble) -> Outcome:
        if data.lost + 1 >= self._attempts:  # the platform shows the asset as ready and denies it, for ever
            return Fail(trouble, stage="price")
        return _hand_back(task, data)

    async def wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look whether the platform is done with it."""
        data = IndexingData.of(task)
        try:
            status = await self._index_api.indexing(data.index_id, data.video_id)
        except Permanent as error:
            if error.trouble.code != _UNKNOWN:
                raise
            return await self._renamed(data, error)
        if status.state == "ready" and status.video is not None:
            return Done(data=changed(data, indexed=status.video.indexed).to_json())
        if status.state == "failed":
            why = Trouble(
                "indexing_failed",
                "The platform could not index the video; it names no reason.",
                "look at it in the platform's own console; `reelmill retry` looks again",
            )
            return Fail(why)
        return Snooze(status.look_again, asked=bool(status.word))

    async def _renamed(self, data: IndexingData, error: Permanent) -> Outcome:
        """Go on with the asset's entry if the answer told a wrong id."""
        found = await self._index_api.find_indexed(data.index_id, data.asset_id)
        if found is None or found == data.video_id or data.again + 1 >= self._attempts:
            raise error
        return Advance("await", changed(data, video_id=found, again=data.again + 1).to_json())

    STAGES = (
        StageSpec("price", Lane.ANALYZE, price),
        StageSpec("submit", Lane.ANALYZE, submit),
        StageSpec("find", Lane.ANALYZE, find),
        StageSpec("await", Lane.POLL, wait),
    )


def _hand_back(task: Task, data: IndexingData) -> Done:
    """Have the video looked at again; another task takes over from this.

    It is uploaded where its asset is gone.
    """
    denied = denied_to_indexing(data.lost + 1, data.place)
    again = NewTask("video", task.subject, "place", denied, subject=task.subject, restart_at="settle")
    return Done(data=changed(data, superseded=True).to_json(), spawn=[again])
