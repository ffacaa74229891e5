"""The coordinator of batches: who waits, who is in which, what came of it.

What is durable is in the tasks: a batch's own names its members, an analysis that waits is at stage ``join``. The
coordinator holds only what is on its way between two commits, and the answers of batches that have ended, until they are
taken. An analysis leaves ``join`` by what its batch says, or while no batch can name it: so nothing is asked twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import anyio

from pipeline.core.errors import Transient
from pipeline.core.log import get
from pipeline.core.model import NewTask, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Outcome, Retry, Snooze
from pipeline.ingest.batches.lane import Backlog, BatchRules, Candidate, choose_lane
from pipeline.ingest.batches.payload import BatchData
from pipeline.ingest.paid_call import Billing, Cost
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import build_custom_id
from pipeline.ingest.request_builder import renewed
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed
from pipeline.ports.batch_api import UNREADABLE, BatchApi, BatchResults, EndedItem
from pipeline.ports.video_api import AnalysisStatus

_log = get("batch")
PACKER = NewTask("batch", "packer", "gather", {}, restart_at="gather", restart_failed=True)
_FRESH = 2.0  #: seconds for which what was read of the batches counts
_COUNTED = 60.0  #: the same of what is to come
_AT_WORK = 60.0  #: and for which a packer that looked is at work
_LOOKS = 4  #: for an item that its batch does not name, each four times as late as the one before
_A_SECOND = 50  #: analyses that look how their batch stands, in a second
#: Seconds between two looks of one that waits to be packed, at most: it is a quarter of what it has waited.
_LONGEST = 600.0


class Member(NamedTuple):
    """An analysis as it asks the coordinator."""

    task: str  #: key of its task
    data: AnalysisData
    cost: Cost  #: under its custom id
    billing: Billing
    is_wanted: Callable[[], Awaitable[bool]]  #: somebody still asks for it
    #: Looks for it in the account's list of analyses, as that was at this time or later, epoch seconds.
    find: Callable[[float], Awaitable[str | None]]


class BatchCoordinator:
    """What the analyses of a run know of batches."""

    def __init__(self, api: BatchApi, services: Services, rules: BatchRules, per_minute: float | None) -> None:
        self.api = api
        self._records, self._clock, self._rng = services.records, services.clock, services.rng
        self._grace, self._looks = services.api.grace, services.looks
        self.rules = rules
        self._per_minute = per_minute  #: analyses that may be asked alone
        self._open = 0  #: analyses to come, as last counted
        self._counted: float | None = None
        self._closed = False
        self._waiting: dict[str, Candidate] = {}  #: by custom id: whom the packer may take
        self._packing: set[str] = set()  #: custom ids that it has taken, and whose batch may not be stored yet
        self._batches: Mapping[str, Task] = {}  #: by custom id of a member
        self._read: float | None = None  #: when they were read, monotonic seconds
        self._stopped: set[str] = set()  #: batches that an earlier run has left failed, not revived yet
        self._revived: dict[str, float] = {}  #: when it was, monotonic seconds
        self._results: dict[str, BatchResults] = {}
        self._gathered: float | None = None  #: when the packer last looked, monotonic seconds; None: it has ended
        self._turn, self._reading = anyio.Lock(), anyio.Lock()

    # ---------------------------------------------------------------------------------------------- an analysis's side

    async def takes(self, data: AnalysisData) -> bool:
        """Return True if an analysis that is asked now is asked by a batch."""
        again = data.alone or data.correction or data.doublings or data.doubtful
        if again or data.legacy or not self.allowed:
            return False
        if self.rules.mode == "auto" and self._per_minute is None and self.rules.factor >= 1:
            return False  # neither quicker nor cheaper, however many they are: nobody needs to count them
        backlog = Backlog(await self._backlog(), data.model, self._per_minute)
        return choose_lane(backlog, self.rules, self.api.ceilings).lane == "batch"

    @property
    def allowed(self) -> bool:
        """True if this run may send batches."""
        return self.rules.mode != "off" and not self._closed

    def close(self, why: Trouble) -> None:
        """Take nothing more in this run: the account may not use batches."""
        if not self._closed:
            _log.warning("batches.not_allowed", why=why.message, remedy=why.remedy, detail=why.detail)
        self._closed = True

    async def _backlog(self) -> int:
        """Return how many analyses are to come, as far as can be known."""
        asked = self._clock.monotonic()
        if self._counted is None or asked - self._counted >= _COUNTED:
            by = (await self._records.counts()).by
            states = (State.PENDING.value, State.RUNNING.value)
            self._open = sum(
                by.get(kind, {}).get(state, 0) for kind in ("item", "video", "analysis") for state in states
            )
            self._counted = asked
        return self._open

    async def join(self, member: Member) -> Outcome | EndedItem:
        """Return what becomes of an analysis, or its item once that has ended."""
        data, key = member.data, member.cost.key
        await self._refresh()
        batch = self._batches.get(key)
        if batch is not None:
            return await self._in_batch(batch, member)
        if key in self._packing:
            return Snooze(_FRESH, asked=False)
        known = self._waiting.pop(key, None)  # from here on, no batch can name it
        if member.billing.outdated(data) or data.replaced or (known is None and not await member.is_wanted()):
            return await self._priced_again(member)
        if not self.allowed:
            return Advance("submit", data.to_json())
        self._waiting[key] = known or Candidate(key, member.task, data.model, data.looks_at, self._clock.now())
        # A packer that is at work needs no call; one that ended, or was never heard of, does.
        if known is not None and self._gathered is not None and self._clock.monotonic() - self._gathered < _AT_WORK:
            return Snooze(max(self._pause(), min(_LONGEST, (self._clock.now() - known.since) / 4)), asked=False)
        return Advance("join", data.to_json(), after=self._pause(), spawn=[PACKER])

    async def _in_batch(self, batch: Task, member: Member) -> Outcome | EndedItem:
        about, alone = BatchData.of(batch), changed(member.data, alone=True)
        verdict = about.verdict
        if batch.state in (State.CANCELLED, State.HELD):
            verdict = verdict or ("ended" if about.batch_id else "doubtful")
        if verdict == "refused":
            return Advance("submit", alone.to_json())
        if verdict == "outdated":
            return await self._priced_again(member)
        if verdict == "doubtful":  # nobody can tell what became of it: it looks for itself, when the others do
            since = min(about.ended or self._clock.now(), self._clock.now())
            after = max(0.0, since + self._looks.planned(0, "lost") - self._clock.now())
            return Advance("find", changed(alone, looks=0, doubt="lost", doubted=since).to_json(), after=after)
        if batch.state is State.FAILED:
            return self._revive(batch, member.data)
        if verdict != "ended":
            due = batch.wake_at if batch.state is State.PENDING else None  # of one at work, it is when its lease ends
            return Snooze(max(0.0, (due or 0.0) - self._clock.now()) + self._pause(), asked=False)
        item = (await self.results(about.batch_id)).items.get(member.cost.key)
        if item is None or item.status.state == "working":  # lost, or it goes on although its batch has ended
            return await self._lost(member, alone, about.ended or self._clock.now())
        return item

    async def _lost(self, member: Member, data: AnalysisData, ended: float) -> Outcome | EndedItem:
        """Look for an accepted item by itself; only a person may ask again."""
        found = await member.find(ended + sum(self._grace * 4**look for look in range(data.looks)))
        if found is not None:
            return Advance("await", changed(data, task_id=found, looks=0).to_json())
        if data.looks < _LOOKS:
            after = self._grace * 4**data.looks
            return Advance("join", changed(data, looks=data.looks + 1).to_json(), after=after)
        return EndedItem(AnalysisStatus("gone", message="its batch does not name it, and nor does the account"))

    async def _priced_again(self, member: Member) -> Advance:
        spend = await member.billing.refund(member.cost)
        return Advance("price", renewed(member.data).to_json(), spend=spend)

    def _revive(self, batch: Task, data: AnalysisData) -> Outcome:
        """Let a batch go on that an earlier run has given up."""
        now = self._clock.monotonic()
        if now - self._revived.get(batch.key, -_AT_WORK) < _AT_WORK:
            return Snooze(_FRESH, asked=False)
        if batch.key not in self._stopped:
            return Retry(batch.trouble or Trouble("gave_up", "The batch was given up."))
        self._stopped.discard(batch.key)
        self._revived[batch.key] = now
        stage = "look" if batch.stage == "submit" else batch.stage
        again = NewTask("batch", batch.key, stage, {}, restart_at=stage, restart_failed=True)
        return Advance("join", data.to_json(), after=self._pause(), spawn=[again])

    def _pause(self) -> float:
        """Return a wait at which so many ask that nobody is crowded out."""
        many = len(self._waiting) + len(self._batches)
        return _FRESH + self._rng.random() * many / _A_SECOND

    async def results(self, batch_id: str) -> BatchResults:
        """Return the items of a batch that has ended; one read serves all."""
        async with self._turn:
            if batch_id not in self._results:
                try:
                    self._results[batch_id] = await self.api.results(batch_id)
                except Transient as error:
                    if error.trouble.code not in UNREADABLE:
                        raise
                    _log.warning("batch.unreadable", batch=batch_id, why=error.trouble.message)
                    self._results[batch_id] = BatchResults({})
            return self._results[batch_id]

    # --------------------------------------------------------------------------------------------------- a batch's side

    async def _refresh(self, *, now: bool = False) -> None:
        """Read the batches in the database again, unless that was just done."""
        async with self._reading:  # one after the other: no older reading may replace a newer one
            asked = self._clock.monotonic()
            if now or self._read is None or asked - self._read >= _FRESH:
                stored = await self._records.tasks(Selection(kinds=("batch",)))
                if self._read is None:
                    self._stopped = {batch.key for batch in stored if batch.state is State.FAILED}
                self._read = asked
                self._batches = {key: batch for batch in stored for key in BatchData.of(batch).members}

    async def begin_packing(self) -> list[Candidate]:
        """Return whom a batch may take.

        What was packed before is stored by now, or never will be.
        """
        await self._refresh(now=True)
        self._gathered = self._clock.monotonic()
        self._packing.clear()
        for key in self._waiting.keys() & self._batches.keys():
            del self._waiting[key]
        if not self._waiting:
            self._gathered = None
        return list(self._waiting.values())

    @property
    def active(self) -> int:
        """How many batches are on their way to the platform, or there."""
        batches = {batch.id: batch for batch in self._batches.values()}.values()
        return sum(not BatchData.of(batch).verdict for batch in batches)

    async def take(self, chosen: Sequence[Candidate]) -> Mapping[str, Task]:
        """Take these for a batch: return those that still wait, by custom id."""
        keys = {each.key: each.task for each in chosen}
        self._packing |= keys.keys()
        for key in keys:
            self._waiting.pop(key, None)
        return await self.members(keys)

    async def members(self, keys: Mapping[str, str]) -> Mapping[str, Task]:
        """Return the analyses that wait under these custom ids, in the order given."""
        if not keys:
            return {}
        found = await self._records.tasks(Selection(kinds=("analysis",), keys=tuple(keys.values())))
        waiting = {
            build_custom_id(task.key, AnalysisData.of(task).generation): task for task in found if task.stage == "join"
        }
        return {key: waiting[key] for key in keys if key in waiting}

    def forget(self, batch_ids: Collection[str]) -> None:
        """Drop answers that were all taken."""
        for batch_id in batch_ids:
            self._results.pop(batch_id, None)
