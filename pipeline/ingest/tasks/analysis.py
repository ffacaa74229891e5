"""Task type ``analysis``: one paid request for one video.

The raw answer is kept first, then split.

::

    price ──▶ submit ──────────────────▶ await ──▶ split ──▶ done
     (intent, │ │ stopped midway    ▲    (poll)   ▲  │
      ledger) │ └─▶ find ───────────┤             │  ├─ cut off: price again with more room
              │       └─ not there: submit again  │  └─ one part refused: an analysis of its own, once
              └─▶ join ── its batch has ended ────┘  └─ cancelled, since its words have changed: price again

In ``join`` it waits to be packed into a batch, and for that. What ``find`` looks for is our ``custom_id``. Where a dialect
cannot be asked, the request is repeated once, counted as possibly paid twice, or held, as the policy says. A bad answer to
a request that was repeated is no reason to pay again before ``duplicate`` has looked for the other one's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from pipeline.config.time_windows import TimeWindow
from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.lifecycle import Policy
from pipeline.core.log import get
from pipeline.core.model import Lane, NewTask, Result, Selection, Spend, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.adoption import Adoption
from pipeline.ingest.batches.coordinator import BatchCoordinator, Member
from pipeline.ingest.ending.costs import AnalysisCosts, Price
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.paid_call import Billing, CallPolicy, CallRefused, Cost, OnAmbiguous, PaidCall, Stages
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import build_custom_id
from pipeline.ingest.request_builder import build_question, renewed
from pipeline.ingest.services import HEAD_START, Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.bad_answer import ask_with_more_room, look_for_another, may_be_two
from pipeline.ingest.tasks.publish import publish_task
from pipeline.ingest.tasks.split_answer import ask_alone, build_result, check_answer
from pipeline.ingest.windows.parts import is_outside, outside_trouble
from pipeline.ports.batch_api import EndedItem
from pipeline.ports.video_api import AnalysisStatus, Answer, Question

_log = get("analysis")
#: What the local platform answers to a request that it cannot carry out honestly.
_UNSUPPORTED = "not_supported_by_local_platform"
#: Why a batch has ended an item that it had not got to: it is asked again, in this many batches, then alone.
_UNFINISHED = frozenset({"batch_expired", "batch_processing_timeout"})
_BATCHES = 3
_RECENT = 64  #: answers kept in memory between two steps; others are read again
_LOOK_AGAIN = 60.0  #: seconds between two looks whether a question that was asked is still wanted


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What an analysis may do by itself."""

    attempts: int = 8
    on_ambiguous: OnAmbiguous = "resubmit"


class AnalysisTaskType:
    """The steps of an analysis."""

    def __init__(
        self,
        services: Services,
        planner: JobPlanner,
        options: AnalysisOptions,
        *,
        price: Price,
        billing: Billing,
        adoption: Adoption,
        coordinator: BatchCoordinator | None = None,
    ) -> None:
        self.costs = AnalysisCosts(planner, price, billing)
        self._batches = coordinator
        self._api = services.api
        self._records = services.records
        self._clock = services.clock
        self._planner = planner
        self._options = options
        self._adoption = adoption
        self._billing = billing
        self._paid: PaidCall[AnalysisData] = PaidCall(
            Stages("price", "submit", "find", held="price"),
            CallPolicy(options.attempts, options.on_ambiguous, repeats=1),
            services.looks,
            self._billing,
            services.clock,
            services.rng,
            gave_up=Trouble("gave_up", "The request was never accepted.", "See the log, then `reelmill retry`."),
            give_up=lambda data, key: changed(data, given_up=key),
            # A person has agreed: what was given up is not looked for once more.
            renew=lambda data: changed(data, again=0, doubtful=data.doubtful + 1, given_up=""),
        )
        self._looked: dict[str, float] = {}  # by key of its task: when to look again whether a question is wanted
        self._recent: dict[str, Result] = {}  # answers on their way from one step, through the database, to the next

    @property
    def accepted(self) -> int:
        """Requests of this run that the platform has taken, or may have."""
        return self._billing.accepted

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of("analysis", self, self.STAGES, policy, base=20)

    # ---------------------------------------------------------------------------------------------------- paying

    async def price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Drop what is unwanted by now; else reserve money, store the intent."""
        data = AnalysisData.of(task)
        requests = self.costs.requests(data)
        wanted = await self._wanted(task, data)
        given_up = data.given_up == self.costs.cost(task, data, requests).key
        if wanted == "in part" and given_up and not data.sought:
            return self._paid.intend(data, None, given_up=True)  # what is still wanted of it may have been answered
        if wanted != "all":
            # Something else may be wanted in its place, and the manifest need not name the video any more.
            again = NewTask("video", task.subject, "place", {}, subject=task.subject, restart_at="fan_out")
            return Done(data=changed(data, superseded=True).to_json(), spawn=[again])
        window = TimeWindow(data.start, data.end or None)
        if data.windowed and is_outside(window, data.seconds):
            return Fail(outside_trouble(window, data.seconds), stage="price")
        data = changed(data, legacy="fuse" not in self._api.features)
        build_question(task.key, data, requests)  # raises for what cannot be asked: no money is reserved for that
        if data.adopted:
            found, unused = await self._adoption.analysis(task.key, data.media_id, data.generation)
            if found is not None:
                _log.info("analysis.adopted", key=task.subject, id=found.id, name=found.name)
                data = changed(data, since=found.created or data.since, generation=found.generation)
                return self._await(data, found.id)
            if data.yields and not data.yielded:
                return Advance("price", changed(data, yielded=True).to_json(), after=HEAD_START * self._api.grace)
            data = changed(data, generation=unused)
        data = changed(data, adopted=False, keyed_by_body=True, cancelled=False, replaced=False)
        cost = self.costs.cost(task, data, requests)
        if not given_up:  # else it is looked for among all that is younger than its first intent
            data = changed(data, since=self._clock.now())
        intent = self._paid.intend(data, cost, given_up=given_up, repeated=data.doubtful)
        if not isinstance(intent, Advance) or given_up or self._batches is None or not await self._batches.takes(data):
            return intent
        return replace(intent, stage="join")

    async def submit(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask the platform, once."""
        data = AnalysisData.of(task)
        requests = self.costs.requests(data)
        asked, cost = build_question(task.key, data, requests), self.costs.cost(task, data, requests)
        try:
            reply = await self._paid.act(task, data, cost, lambda: self._api.submit_analysis(asked, ensure_fresh))
        except Permanent as error:
            return await self._refused(task, data, error.trouble)
        if isinstance(reply, Answer):
            return self._answered(task, data, reply, await self.costs.settle(task, data, reply.usage))
        return self._await(changed(data, lost=0), reply) if isinstance(reply, str) else reply

    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask whether a request whose answer we never saw was accepted."""
        data = AnalysisData.of(task)
        requests = self.costs.requests(data)
        asked = replace(build_question(task.key, data, requests), as_of=self._paid.as_of(data))
        cost = self.costs.cost(task, data, requests)
        unwanted = await self._unwanted(task, data, cost)
        try:
            found = await self._paid.look(task, data, cost, lambda: self._api.find_analysis(asked), unwanted)
        except CallRefused as error:
            if error.trouble.code == "idempotency_key_reused":
                return await self._key_taken(task, data, error.trouble)
            return await self._refused(task, data, error.trouble, in_doubt=True)
        if not isinstance(found, str):
            return found
        return self._await(data, found)

    async def join(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Wait for a batch to be packed and to end."""
        data = AnalysisData.of(task)
        requests = self.costs.requests(data)
        if self._batches is None:  # another API is configured now: nobody can tell what became of it
            return Advance("find", data.to_json())
        if (mind := await self._changed_mind(task, data)) is not None:
            return Advance("join", mind.to_json())
        asked, cost = build_question(task.key, data, requests), self.costs.cost(task, data, requests)

        async def find(as_of: float) -> str | None:
            return await self._api.find_analysis(replace(asked, as_of=as_of))

        ended = await self._batches.join(
            Member(task.key, data, cost, self._billing, partial(self.is_wanted, task, data), find)
        )
        if not isinstance(ended, EndedItem):
            return ended
        self._billing.accepted += 1
        return await self._ended(task, changed(data, task_id=ended.task_id), ended.status, self._batches.rules.factor)

    def _await(self, data: AnalysisData, task_id: str) -> Advance:
        return Advance("await", changed(data, task_id=task_id, again=0, looks=0).to_json())

    async def _key_taken(self, task: Task, data: AnalysisData, trouble: Trouble) -> Outcome:
        """The idempotency key stands for another request: look, or take another key."""
        requests = self.costs.requests(data)
        found = await self._api.find_analysis(build_question(task.key, data, requests))
        if found is not None:
            return self._await(data, found)
        again = data.again + 1
        if again >= self._options.attempts:
            return await self._refused(task, data, trouble)
        refund = [] if data.again else await self._billing.refund(self.costs.cost(task, data, requests))
        return Advance("price", renewed(changed(data, again=again)).to_json(), spend=refund)

    async def _refused(self, task: Task, data: AnalysisData, trouble: Trouble, *, in_doubt: bool = False) -> Outcome:
        """The platform said no; a lost asset is uploaded again.

        This analysis then follows by itself.
        """
        cost = self.costs.cost(task, data, self.costs.requests(data))
        if trouble.code != "resource_not_exist":
            # This one may have been accepted all the same, or an earlier one under this key, of which nothing was heard.
            if in_doubt or data.again:
                return Fail(trouble, stage="price", data=changed(data, again=0, given_up=cost.key).to_json())
            refund = await self._billing.refund(cost)
            return Fail(trouble, stage="price", data=renewed(data).to_json(), spend=refund)
        lost = data.lost + 1
        if (
            lost >= self._options.attempts
        ):  # the platform shows the asset as ready and denies it: that can go on for ever
            return Fail(trouble, stage="price", data=renewed(changed(data, lost=0)).to_json())
        # The same analysis restarts, under a key of its own, once the video has a new asset.
        check = NewTask("video", task.subject, "place", {}, subject=task.subject, restart_at="settle")
        return Done(data=renewed(changed(data, superseded=True, lost=lost)).to_json(), spawn=[check])

    # --------------------------------------------------------------------------------------------------- waiting

    async def wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look whether the answer is there; keep it as received before anything reads it."""
        data = AnalysisData.of(task)
        requests = self.costs.requests(data)
        question = build_question(task.key, data, requests)
        again = self._clock.monotonic() >= self._looked.get(task.key, 0.0)
        if (mind := await self._changed_mind(task, data)) is not None:
            return Advance("await", mind.to_json())
        ours = not data.adopted  # else it is for the run that has asked it to say
        status = await self._cancelled(question, data) if again and data.replaced and ours else None
        if status is None or status.state == "working":
            status = await self._api.analysis(question, data.task_id)
        if status.state == "gone" and data.again + 1 < self._options.attempts:
            found = await self._api.find_analysis(question)  # the answer to the call may have told a wrong id
            if found is not None and found != data.task_id:
                return Advance("await", changed(data, task_id=found, again=data.again + 1).to_json())
        if status.state == "working":
            return Snooze(status.look_again, asked=bool(status.word))
        return await self._ended(task, data, status, None)

    async def _changed_mind(self, task: Task, data: AnalysisData) -> AnalysisData | None:
        """Return the payload of a question that was replaced, or is wanted again.

        None: as before, or looked at just now. The intent is stored first; then the platform is told to cancel it.
        """
        now = self._clock.monotonic()
        if now < self._looked.get(task.key, 0.0):
            return None
        replaced = await self._replaced(task, data)
        if replaced != data.replaced:
            return changed(data, replaced=replaced, cancelled=data.cancelled or replaced)
        self._looked[task.key] = now + _LOOK_AGAIN
        return None

    async def _replaced(self, task: Task, data: AnalysisData) -> bool:
        """Return True if each is asked in other words now. Fewer jobs replace nothing."""
        now = self._planner.requests(await self._items(task))
        names, prints = {request.name for request in now}, {request.fingerprint for request in now}
        asked = (request.question for request in data.requests)
        return all(name in names and words not in prints for name, words in asked)

    async def _cancelled(self, question: Question, data: AnalysisData) -> AnalysisStatus | None:
        """Tell the platform to cancel; return how it stands then, None if nobody knows."""
        try:
            return (await self._api.cancel_analysis(question, data.task_id)).status
        except Transient as error:
            _log.info("analysis.not_cancelled", id=data.task_id, why=error.trouble.message)
            return None

    async def _ended(self, task: Task, data: AnalysisData, status: AnalysisStatus, factor: float | None) -> Outcome:
        """Take what became of it; ``factor`` is the price in a batch, None alone."""
        requests, spend = self.costs.requests(data), await self.costs.reckon(task, data, status, factor)
        self._looked.pop(task.key, None)
        if status.state == "ready" and status.answer is not None:
            return self._answered(task, data, status.answer, spend)
        if may_be_two(data):
            return look_for_another(data, spend)
        if status.code == _UNSUPPORTED and len(requests) > 1:
            return self._apart(task, data, requests)
        # An item whose batch was lost from sight is found, and awaited, like one that was asked alone.
        if status.code in _UNFINISHED and data.unfinished < _BATCHES:
            data = changed(data, unfinished=data.unfinished + 1, alone=data.unfinished + 1 >= _BATCHES)
            return Advance("price", renewed(data).to_json(), spend=spend)
        # That of another run is not ours to have failed; what we have cancelled is asked again if it is still wanted.
        if data.adopted or (data.cancelled and status.state in ("canceled", "gone")):
            return Advance("price", renewed(data).to_json(), spend=spend)
        trouble = Trouble(
            _UNSUPPORTED if status.code == _UNSUPPORTED else f"analysis_{status.state}",
            f"The platform ended the analysis as '{status.word or status.state}'.",
            "`reelmill retry` asks again; an unfinished analysis is not billed by the platform's own rules.",
            f"{status.code} {status.message}".strip(),
        )
        return Fail(trouble, stage="price", data=renewed(changed(data, again=0)).to_json(), spend=spend)

    def _apart(self, task: Task, data: AnalysisData, requests: Sequence[JobRequest]) -> Outcome:
        """Ask each alone: one is beyond the platform, which refused all with it."""
        spawn = [ask_alone(task.subject, data, [request], "apart") for request in requests]
        return Done(data=changed(data, superseded=True).to_json(), spawn=spawn)

    def _answered(self, task: Task, data: AnalysisData, answer: Answer, spend: Sequence[Spend]) -> Outcome:
        key = build_custom_id(task.key, data.generation)
        meta = {
            "provider": self._api.identity,
            "model": answer.model or data.model,
            "finish_reason": answer.finish_reason,
            "usage": dict(answer.usage),
            "warning": answer.warning,
            "text": answer.text,
            "task_id": data.task_id,
            "media_id": data.media_id,
            "asked": data.since,
        }
        raw = Result(task.subject, "_answer", key, answer.raw, meta, self._clock.now())
        while len(self._recent) >= _RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[key] = raw
        return Advance("split", changed(data, answer=key, again=0).to_json(), results=[raw], spend=spend)

    async def duplicate(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look for the other one of two calls under this key.

        The answer of this one is of no use; where there is no other, it is taken for what it is.
        """
        data = AnalysisData.of(task)
        try:
            found = await self._api.find_analysis(build_question(task.key, data, self.costs.requests(data)))
        except Ambiguous:
            found = None
        if found is None:
            return Advance("await", changed(data, sought=True).to_json())
        _log.info("analysis.duplicate_taken", key=task.subject, id=found, useless=data.task_id)
        return Advance("await", changed(data, task_id=found).to_json())

    # -------------------------------------------------------------------------------------------------- splitting

    async def split(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Give each job its part, checked against the video.

        A part that cannot be accepted is asked for again, alone; all of them, where none can be accepted, by one more call.
        """
        data = AnalysisData.of(task)
        raw = await self._raw(task, data.answer)
        requests = self.costs.requests(data)
        if raw.meta["finish_reason"] != "stop" and may_be_two(data):
            return look_for_another(data)
        if raw.meta["finish_reason"] != "stop":
            return ask_with_more_room(data, requests, raw.meta["finish_reason"])
        verdicts, now = check_answer(task.subject, data, requests, raw.meta["text"]), self._clock.now()
        results = [
            build_result(task.subject, data, request, verdict, raw, now)
            for request, verdict in verdicts
            if verdict.value is not None
        ]
        refused = [(request, verdict.problem) for request, verdict in verdicts if verdict.value is None]
        publish = publish_task(task.subject)
        useless = len(refused) == len(requests)
        if refused and may_be_two(data):
            return look_for_another(data)
        if useless and data.correction:
            names = ", ".join(f"'{request.name}'" for request, _ in refused)
            bad = Trouble(
                "bad_answer",
                f"The answer for {names} was refused twice: {refused[0][1]}",
                "`reelmill retry` asks, and pays, once more",
            )
            return Fail(bad, spawn=[publish], stage="price", data=renewed(data).to_json())
        if useless and len(requests) > 1:
            alone = [ask_alone(task.subject, data, requests, "again", refused[0][1])]
        else:
            alone = [ask_alone(task.subject, data, [request], "alone", problem) for request, problem in refused]
        # Should the same be asked again, for a new upload, it must not be taken for what was answered badly.
        return Done(results=results, spawn=[*alone, publish], data=renewed(data).to_json() if refused else None)

    # ---------------------------------------------------------------------------------------------------- helpers

    async def is_wanted(self, task: Task, data: AnalysisData) -> bool:
        """Return True if somebody asks for all of it, in these words."""
        return await self._wanted(task, data) == "all"

    async def _wanted(self, task: Task, data: AnalysisData) -> Literal["all", "in part", "nothing"]:
        """Tell how much of it somebody asks for, in these words."""
        now = {request.identity for request in self._planner.requests(await self._items(task))}
        wanted = [request.question in now for request in data.requests]
        return "all" if all(wanted) else "in part" if any(wanted) else "nothing"

    async def _unwanted(self, task: Task, data: AnalysisData, cost: Cost) -> Advance | None:
        """Return what follows a look in vain; None: the call is still wanted.

        Nobody would ask the same again. What is still wanted of it is asked anew, and may be paid twice: the ledger says so,
        without an amount.
        """
        wanted = await self._wanted(task, data)
        if wanted == "all":
            return None
        given_up = changed(data, given_up=cost.key, sought=True, again=0, looks=0)
        if wanted == "nothing":
            return Advance("price", given_up.to_json())
        doubtful = data.doubtful + 1
        doubt = self._billing.doubt(cost, doubtful)
        return Advance("price", changed(given_up, doubtful=doubtful).to_json(), spend=[doubt])

    async def _items(self, task: Task) -> list[Task]:
        return await self._records.tasks(Selection(kinds=("item",), subjects=(task.subject,)))

    async def _raw(self, task: Task, key: str) -> Result:
        """Return what was stored before: as a rule by this run, a moment ago."""
        recent = self._recent.pop(key, None)
        if recent is not None and recent.subject == task.subject:
            return recent
        for result in await self._records.results([task.subject]):
            if result.job == "_answer" and result.fingerprint == key:
                return result
        raise Permanent(
            "The stored answer is missing from the database.", code="answer_missing", remedy="`reelmill retry`"
        )

    STAGES = (
        StageSpec("price", Lane.ANALYZE, price),
        # The same, of a video that is paid in part: it goes first, so that a wall leaves few of them unfinished.
        StageSpec("finish", Lane.ANALYZE, price),
        StageSpec("submit", Lane.ANALYZE, submit),
        StageSpec("find", Lane.ANALYZE, find),
        StageSpec("join", Lane.BATCH, join),
        StageSpec("await", Lane.POLL, wait),
        StageSpec("duplicate", Lane.POLL, duplicate),
        StageSpec("split", Lane.WRITE, split),
    )
