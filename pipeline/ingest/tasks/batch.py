"""Task type ``batch``: many analyses asked by one call.

Each is an ``analysis`` at stage ``join``.

::

    gather ─▶ (a task of its own:) submit ─────────────▶ await ──▶ split ──▶ done
                                     │ stopped midway ▲   (poll)    ▲
                                     └─▶ look ────────┘             │
                                           └─ refused, doubtful ────┘

The money is the analyses': each has reserved its own before it joined. What ``look`` looks for are their custom ids. A batch
never fails for good and is never asked twice in doubt: it is dissolved, and each analysis looks for itself alone. In
``split`` it waits until each has taken what became of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from pipeline.core.errors import NOT_FOR_US, NeedsOperator, Permanent, Throttled
from pipeline.core.lifecycle import Policy
from pipeline.core.log import get
from pipeline.core.model import Lane, NewTask, Spend, Task, Trouble, fingerprint
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.batches.coordinator import BatchCoordinator
from pipeline.ingest.batches.lane import pack
from pipeline.ingest.batches.payload import BatchData, Verdict
from pipeline.ingest.ending.costs import AnalysisCosts
from pipeline.ingest.ending.recalls import is_awaited
from pipeline.ingest.paid_call import Billing, CallPolicy, CallRefused, Cost, PaidCall, Stages
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed

_log = get("batch")
_QUIET, _MOST = 12, 180  #: graces without anybody new, and of the longest wait, after which a batch goes as it is
_LONGEST_LOOK = 300.0  #: seconds between two looks at a batch
_LATE = 2 * 3600.0  #: seconds after its end at which a batch that does not end counts as ended
_SETTLE = 60.0  #: seconds in which an unknown id may still be one that was just made
_PATIENCE = 72 * 3600.0  #: seconds in one stage, at least


class BatchTaskType:
    """The steps of a batch."""

    def __init__(
        self,
        services: Services,
        coordinator: BatchCoordinator,
        costs: AnalysisCosts,
        billing: Billing,
        attempts: int,
        *,
        is_wanted: Callable[[Task, AnalysisData], Awaitable[bool]],
    ) -> None:
        self._batches = coordinator
        self._clock = services.clock
        self._grace = services.api.grace
        self._costs = costs
        self._billing = billing
        self._is_wanted = is_wanted
        self._paid: PaidCall[BatchData] = PaidCall(
            Stages("submit", "submit", "look", held="split"),
            CallPolicy(attempts, "hold"),  # what nobody can tell is told here by dissolving the batch
            services.looks,
            billing,
            services.clock,
            services.rng,
            gave_up=Trouble("gave_up", "The batch was never accepted."),
        )

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of(
            "batch", self, self.STAGES, replace(policy, deadline=max(policy.deadline, _PATIENCE)), base=30
        )

    # ------------------------------------------------------------------------------------------------------ packing

    async def gather(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Pack those that wait into batches, as many as may be active."""
        candidates = await self._batches.begin_packing()
        if not candidates:
            return Done()
        ceilings, rules, now = self._batches.api.ceilings, self._batches.rules, self._clock.now()
        if self._batches.active >= ceilings.active:
            return Snooze(max(2.0, 6 * self._grace), untouched=True, asked=False)
        quiet, most = _QUIET * self._grace, _MOST * self._grace
        within = replace(ceilings, seconds=min(ceilings.seconds, rules.most_seconds))
        chosen = pack(candidates, within, now=now, quiet=quiet, most=most)
        if not chosen:
            return Snooze(max(0.1, quiet / 4), untouched=True, asked=False)
        there = await self._batches.take(chosen)
        members = {each.key: each.task for each in chosen if each.key in there and not there[each.key].state.terminal}
        if not members:
            return Advance("gather")
        seconds = sum(each.seconds for each in chosen if each.key in members)
        return Advance("gather", spawn=[_batch(members, seconds, now)])

    # ------------------------------------------------------------------------------------------------------- paying

    async def submit(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Send the batch, once."""
        data = BatchData.of(task)
        unsent = task.fresh and not data.again
        there = await self._batches.members(data.members)
        waiting = {
            key: data.members[key]
            for key, member in there.items()
            if not member.state.terminal and (not unsent or await self._is_wanted(member, AnalysisData.of(member)))
        }
        if unsent and not waiting:
            return self._dissolved(data, "outdated")
        if unsent and not self._batches.allowed:
            return self._dissolved(data, "refused")
        if unsent and any(self._billing.outdated(AnalysisData.of(there[key])) for key in waiting):
            return self._dissolved(data, "outdated")  # it waited: the money is another day's, or another run's
        if unsent and len(waiting) < len(data.members):  # some are not wanted any more
            return Advance("submit", changed(data, members=waiting).to_json())
        questions = [self._costs.question(there[key]) for key in waiting]

        cost = Cost(task.key, "analyze")  # what it costs is booked by its analyses

        async def send() -> str:
            return await self._batches.api.create(questions, ensure_fresh)

        try:
            reply = await self._paid.act(task, data, cost, send)
        except Throttled as error:  # this batch waits, and those that are there go on
            return Snooze(max(error.after or 0.0, 6 * self._grace), untouched=True, trouble=error.trouble, asked=False)
        except NeedsOperator as error:
            if error.trouble.code not in NOT_FOR_US:
                raise
            self._batches.close(error.trouble)
            return self._dissolved(data, "refused")
        except Permanent as error:
            return self._refused(data, error.trouble)
        return self._accepted(data, reply) if isinstance(reply, str) else reply

    async def look(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look for a batch without an answer.

        If it cannot be found, each analysis looks for itself.
        """
        data = BatchData.of(task)
        try:
            found = await self._paid.look(
                task, data, Cost(task.key, "analyze"), lambda: self._batches.api.find(data.members, data.since)
            )
        except CallRefused:
            return self._dissolved(data, "doubtful")
        if isinstance(found, str):
            return self._accepted(data, found)
        return self._dissolved(data, "doubtful") if isinstance(found, Hold | Fail) else found

    def _accepted(self, data: BatchData, batch_id: str) -> Advance:
        _log.info("batch.accepted", id=batch_id, analyses=len(data.members))
        data = changed(data, batch_id=batch_id, accepted=self._clock.now(), size=len(data.members), again=0, looks=0)
        return Advance("await", data.to_json(), after=self._grace)

    def _dissolved(self, data: BatchData, verdict: Verdict) -> Advance:
        return Advance("split", changed(data, verdict=verdict, ended=self._clock.now()).to_json())

    def _refused(self, data: BatchData, trouble: Trouble) -> Outcome:
        """Halve a batch that was surely refused, until the culprit is alone."""
        _log.warning("batch.refused", analyses=len(data.members), why=trouble.message, detail=trouble.detail)
        if len(data.members) == 1:
            return self._dissolved(data, "refused")
        members, half, now = list(data.members.items()), len(data.members) // 2, self._clock.now()
        share = data.seconds / len(members)
        parts = [_batch(dict(part), share * len(part), now) for part in (members[:half], members[half:])]
        return Done(data=_settled(data, {}), spawn=parts)

    # ------------------------------------------------------------------------------------------------------ waiting

    async def wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look how far it is; cancel it if nobody wants it any more."""
        data, now = BatchData.of(task), self._clock.now()
        if data.accepted > now:  # the clock was set back since
            return Advance("await", changed(data, accepted=now).to_json())
        there = await self._batches.members(data.members)
        awaited = any(map(is_awaited, there.values()))
        if not awaited:
            await self._batches.api.cancel(data.batch_id)  # what is at work there finishes, and is looked at then
        status, age = await self._batches.api.status(data.batch_id), now - data.accepted
        if status.state == "gone":
            return Snooze(self._grace, asked=False) if age < _SETTLE else self._dissolved(data, "ended")
        if status.state != "working" or age > self._batches.api.ceilings.life + _LATE:
            _log.info("batch.ended", id=data.batch_id, word=status.word, **status.counts)
            return self._dissolved(changed(data, counts=status.counts), "ended")
        after = min(_LONGEST_LOOK if awaited else _QUIET * self._grace, max(self._grace, age / 4))
        if status.counts == data.counts:
            return Snooze(after, asked=False)
        return Advance("await", changed(data, counts=status.counts).to_json(), after=after)

    async def split(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Wait until each analysis has taken what became of it.

        Those that a person has stopped find it later; what they have cost is booked now.
        """
        data = BatchData.of(task)
        there = await self._batches.members(data.members)
        if any(not member.state.terminal for member in there.values()):
            return Snooze(max(2.0, len(there) / 100), asked=False)
        if spend := await self._reckon(data, there) if data.batch_id else []:
            return Advance("split", data.to_json(), spend=spend)
        self._batches.forget([data.batch_id])
        return Done(data=_settled(data, {key: data.members[key] for key in there}))

    async def _reckon(self, data: BatchData, there: Mapping[str, Task]) -> list[Spend]:
        """Return what the end of these changes in the ledger, once."""
        spend: list[Spend] = []
        items = (await self._batches.results(data.batch_id)).items if there else {}
        for key, member in there.items():
            if (item := items.get(key)) is not None:
                mine = AnalysisData.of(member)
                spend += await self._costs.reckon(member, mine, item.status, self._batches.rules.factor)
        return spend

    STAGES = (
        StageSpec("gather", Lane.BATCH, gather),
        StageSpec("submit", Lane.BATCH, submit),
        StageSpec("look", Lane.BATCH, look),
        StageSpec("await", Lane.BATCH, wait),
        StageSpec("split", Lane.BATCH, split),
    )


def _batch(members: Mapping[str, str], seconds: float, now: float) -> NewTask:
    """Return the task of a batch; the same members are the same batch."""
    data = BatchData(members=members, since=now, seconds=seconds, size=len(members))
    return NewTask("batch", f"batch/{fingerprint(sorted(members))}", "submit", data.to_json())


def _settled(data: BatchData, members: Mapping[str, str]) -> Mapping[str, object]:
    """Return the payload of a batch whose other members know what became of them."""
    return changed(data, members=members, verdict=data.verdict or "ended").to_json()
