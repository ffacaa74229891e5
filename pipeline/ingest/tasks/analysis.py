"""Kind ``analysis``: one paid request for one video. Intent, ask, act; keep the raw answer first, then split it.

::

    price ──▶ submit ──────────────────▶ await ──▶ split ──▶ done
     (intent,   │ stopped midway    ▲    (poll)      │
      ledger)   └─▶ find ───────────┤                ├─ cut off: price again with more room
                      └─ not there: submit again     └─ one part refused: an analysis of its own, once

``price`` writes the spend into the ledger in the transaction that stores the intent, before the call. ``submit`` acts
only when fresh; otherwise ``find`` looks for our ``custom_id``, and so does a retry of what was given up. Where a
dialect cannot be asked, the policy decides: repeat once, counted as possibly paid twice, or hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, ConfigError, LostLease, NeedsOperator, Permanent, Transient
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Json, Lane, NewTask, Result, Selection, Spend, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Park, Snooze
from pipeline.core.task_types import ASKING, LeaseCheck, StageSpec, TaskType
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.request_builder import (
    analysis_key,
    at_max_tokens,
    build_question,
    expected_tokens,
    max_tokens,
    read_legacy_answer,
)
from pipeline.kit.answers import Verdict
from pipeline.kit.job import Video
from pipeline.ports.store import Records
from pipeline.ports.video_api import Answer, VideoApi

#: What the local platform answers to a request that it cannot carry out honestly.
_UNSUPPORTED = "not_supported_by_local_platform"

_RECENT = 64  #: answers kept in memory between two steps; others are read again

#: (seconds of video, output tokens) -> USD
Price = Callable[[float, int], float]
#: Reserve (USD, minutes of video) for this run; a Trouble says why it must not be spent.
Admit = Callable[[float, float], Trouble | None]


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What an analysis may do by itself."""

    tries: int = 8
    on_ambiguous: Literal["resubmit", "hold"] = "resubmit"


class AnalysisTaskType:
    """The steps of an analysis."""

    def __init__(
        self,
        api: VideoApi,
        records: Records,
        planner: JobPlanner,
        clock: Clock,
        rng: Random,
        *,
        price: Price,
        admit: Admit,
        options: AnalysisOptions,
    ) -> None:
        self._api = api
        self._records = records
        self._planner = planner
        self._clock = clock
        self._rng = rng
        self._price = price
        self._admit = admit
        self._options = options
        self._backoff = Backoff(2.0, 300.0)
        self.accepted = 0  #: requests of this run that the platform has taken, or may have
        self._recent: dict[str, Result] = {}  # answers on their way from one step, through the database, to the next
        self._doubtful: set[str] = set()  # those of which only asking can tell

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of("analysis", self, self.STAGES, policy, base=20)

    # ---------------------------------------------------------------------------------------------------- paying

    async def price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Drop what is not all wanted any more; else reserve the money and store the intent with its ledger entry."""
        requests = self._requests(task)
        if not await self._wanted(task, requests):
            # Something else may be wanted in its place, and the manifest need not name the video any more.
            anew = NewTask("video", task.subject, "place", {}, subject=task.subject, restart_at="fan_out")
            return Done(data={**task.data, "superseded": True}, spawn=[anew])
        data = {**task.data, "since": self._clock.now(), "legacy": "fuse" not in self._api.features}
        key = build_question(
            task.key, data, requests
        ).key  # raises for what cannot be asked: no money is reserved for that
        usd = self._price(task.data["seconds"], expected_tokens(requests))
        trouble = self._admit(usd, task.data["seconds"] / 60)
        if trouble is not None:
            return Park("budget", self._clock.now(), trouble)
        # Given up once under this very key and taken up again: what never seemed to arrive may have arrived since.
        stage = "find" if data.get("given_up") == key else "submit"
        return Advance(stage, data, spend=[self._spend(task, key, usd)])

    async def submit(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask the platform, once."""
        if not task.fresh:
            return Advance("find", task.data, after=self._api.grace)
        asked = build_question(task.key, task.data, self._requests(task))
        try:
            with self._counted(asked.key):
                reply = await self._api.submit_analysis(asked, ensure_fresh)
        except Permanent as error:
            return self._refused(task, error.trouble, asked.key)
        if isinstance(reply, Answer):
            return self._answered(task, reply)
        return Advance("await", {**task.data, "task_id": reply, "again": 0, "lost": 0})

    @contextmanager
    def _counted(self, key: str) -> Iterator[None]:
        """Count a request unless it was surely refused; remember the ones in doubt."""
        self.accepted += 1
        self._doubtful.add(key)
        try:
            yield
        except (Permanent, NeedsOperator, ConfigError, LostLease):
            self._never_came(key)
            raise
        except Transient as error:
            if error.untouched:
                self._never_came(key)
            raise
        self._doubtful.discard(key)

    def _never_came(self, key: str) -> None:
        self.accepted -= key in self._doubtful
        self._doubtful.discard(key)

    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask whether a request whose answer we never saw was accepted."""
        again = int(task.data.get("again", 0)) + 1
        requests = self._requests(task)
        asked = build_question(task.key, task.data, requests)
        try:
            found = await self._api.find_analysis(asked)
        except Ambiguous as error:
            return self._cannot_ask(task, again, requests, error.trouble)
        if found is not None:
            self._doubtful.discard(asked.key)
            return Advance("await", {**task.data, "task_id": found, "again": 0})
        self._never_came(asked.key)
        if again >= self._options.tries:
            given_up = {**task.data, "again": 0, "given_up": asked.key}
            return Fail(task.trouble or _gave_up(), stage="price", data=given_up)
        return Advance("submit", {**task.data, "again": again}, after=self._backoff.delay(again, self._rng))

    def _cannot_ask(self, task: Task, again: int, requests: Sequence[JobRequest], trouble: Trouble) -> Outcome:
        if self._options.on_ambiguous == "hold" or again > 1:
            return Hold(trouble, stage="price", data=_next(task, again=0))
        usd = self._price(task.data["seconds"], expected_tokens(requests))
        short = self._admit(usd, task.data["seconds"] / 60)
        if short is not None:
            return Park("budget", self._clock.now(), short)
        key = build_question(task.key, task.data, requests).key
        # The first entry stays: both may have been billed, and the report says so.
        spend = self._spend(task, f"{key}/again", usd, doubtful=True)
        return Advance("submit", {**task.data, "again": again}, spend=[spend])

    def _refused(self, task: Task, trouble: Trouble, key: str) -> Outcome:
        """The platform said no. If it has lost the asset, have it uploaded again; this analysis follows by itself."""
        if trouble.code != "resource_not_exist":
            # An earlier one under this key, of which nothing was heard, need not have been refused with it.
            doubt = {"given_up": key} if task.data.get("again") else {}
            return Fail(trouble, stage="price", data={**task.data, "again": 0, **doubt})
        lost = int(task.data.get("lost", 0)) + 1
        if lost >= self._options.tries:  # the platform shows the asset as ready and denies it: that can go on for ever
            return Fail(trouble, stage="price", data=_next(task, lost=0))
        # The same analysis is armed again, under a key of its own, once the video has a new asset.
        check = NewTask("video", task.subject, "place", {}, subject=task.subject, restart_at="settle")
        return Done(data=_next(task, superseded=True, lost=lost), spawn=[check])

    def _spend(self, task: Task, key: str, usd: float, *, doubtful: bool = False) -> Spend:
        minutes = task.data["seconds"] / 60
        return Spend(key, "analyze", usd, minutes, task.subject, doubtful, self._clock.now())

    # --------------------------------------------------------------------------------------------------- waiting

    async def wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look whether the answer is there; keep it as received before anything reads it."""
        status = await self._api.analysis(
            build_question(task.key, task.data, self._requests(task)), task.data["task_id"]
        )
        if status.state == "working":
            return Snooze(status.look_again, asked=bool(status.word))
        if status.state == "ready" and status.answer is not None:
            return self._answered(task, status.answer)
        requests = self._requests(task)
        if status.code == _UNSUPPORTED and len(requests) > 1:
            return self._apart(task, requests)
        trouble = Trouble(
            _UNSUPPORTED if status.code == _UNSUPPORTED else f"analysis_{status.state}",
            f"The platform ended the analysis as '{status.word or status.state}'.",
            "`reelmill retry` asks again; an unfinished analysis is not billed by the platform's own rules.",
            f"{status.code} {status.message}".strip(),
        )
        return Fail(trouble, stage="price", data=_next(task, again=0))

    def _apart(self, task: Task, requests: Sequence[JobRequest]) -> Outcome:
        """One wish is beyond a platform that refused them together: the others must not be lost with it."""
        shared = ("media_id", "seconds", "temperature", "model")
        spawn = [
            NewTask(
                "analysis",
                analysis_key(task.subject, [request], "apart"),
                "price",
                {"wishes": [request.as_json()], **{name: task.data[name] for name in shared}},
                subject=task.subject,
                restart_at="price",
            )
            for request in requests
        ]
        return Done(data={**task.data, "superseded": True}, spawn=spawn)

    def _answered(self, task: Task, answer: Answer) -> Outcome:
        mark = build_question(task.key, task.data, self._requests(task)).key
        meta = {
            "provider": self._api.identity,
            "model": task.data["model"],
            "finish_reason": answer.finish_reason,
            "usage": dict(answer.usage),
            "warning": answer.warning,
            "text": answer.text,
            "task_id": task.data.get("task_id", ""),
            "media_id": task.data["media_id"],
            "asked": task.data.get("since", 0.0),
        }
        raw = Result(task.subject, "_answer", mark, answer.raw, meta, self._clock.now())
        while len(self._recent) >= _RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[mark] = raw
        return Advance("split", {**task.data, "answer": mark}, results=[raw])

    # -------------------------------------------------------------------------------------------------- splitting

    async def split(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Give each job its part, checked against the video; ask again, alone, for a part that cannot be accepted."""
        raw = await self._raw(task)
        requests = self._requests(task)
        if raw.meta["finish_reason"] != "stop":
            return self._unfinished(task, requests, raw.meta["finish_reason"])
        answer = _parsed(raw.meta["text"])
        if task.data.get("legacy") and not isinstance(answer, str):
            answer = read_legacy_answer(requests, answer)
        verdicts = [(request, self._check(request, answer, task)) for request in requests]
        results = [
            self._result(task, request, verdict, raw) for request, verdict in verdicts if verdict.value is not None
        ]
        refused = [(request, verdict.problem) for request, verdict in verdicts if verdict.value is None]
        publish = NewTask(
            "publish", task.subject, "write", {}, subject=task.subject, restart_at="write", restart_failed=True
        )
        if refused and task.data.get("correction"):
            request, problem = refused[0]
            bad = Trouble(
                "bad_answer", f"The answer for '{request.name}' was refused twice: {problem}", "`reelmill retry`"
            )
            return Fail(bad, spawn=[publish], stage="price", data=_next(task))
        alone = [self._alone(task, request, problem) for request, problem in refused]
        # Should the same be asked again, for a new upload, it must not be taken for what was answered badly.
        return Done(results=results, spawn=[*alone, publish], data=_next(task) if refused else None)

    def _check(self, request: JobRequest, answer: Mapping[str, Json] | str, task: Task) -> Verdict:
        if isinstance(answer, str):
            return Verdict(None, answer)
        part = {name: answer[name] for name in request.ask.schema if name in answer}
        return request.job.check(part, Video(task.subject, task.data["seconds"]), request.params)

    def _result(self, task: Task, request: JobRequest, verdict: Verdict, raw: Result) -> Result:
        meta = {name: raw.meta[name] for name in ("provider", "model", "usage", "task_id", "media_id", "asked")}
        meta |= {
            "answer": raw.fingerprint,
            "notes": list(verdict.notes),
            "job": request.job.name,
            "version": request.job.version,
        }
        return Result(task.subject, request.name, request.fingerprint, verdict.value, meta, self._clock.now())

    def _unfinished(self, task: Task, requests: Sequence[JobRequest], reason: str) -> Outcome:
        """Ask again with more room, where it is room that was missing: each time is paid for."""
        if reason != "length":
            why = Trouble(
                "answer_unfinished",
                f"The platform ended the answer as '{reason}'.",
                "`reelmill retry` asks, and pays, again; asking for less, or in other words, may help.",
            )
            return Fail(why, stage="price", data=_next(task))
        doublings = int(task.data.get("doublings", 0)) + 1
        if task.data.get("legacy"):  # v1.2 takes no number of tokens: the same would be cut off, and billed, again
            cut = Trouble("answer_cut_off", "The answer was cut off; API v1.2 gives no more room.", "Ask for less.")
            return Fail(cut, stage="price", data=_next(task))
        if at_max_tokens(requests, doublings - 1):
            limit = max_tokens(requests, doublings)
            cut = Trouble(
                "answer_cut_off", f"The answer did not fit into {limit:,} tokens.", "Ask for less, or set fuse = false."
            )
            return Fail(cut, stage="price", data=_next(task, doublings=0))
        return Advance("price", _next(task, doublings=doublings))

    def _alone(self, task: Task, request: JobRequest, problem: str) -> NewTask:
        data = {
            "wishes": [request.as_json()],
            "media_id": task.data["media_id"],
            "seconds": task.data["seconds"],
            "temperature": min(task.data["temperature"], 0.1),
            "model": task.data["model"],
            "correction": problem[:300],
        }
        key = analysis_key(task.subject, [request], "alone")
        # One that ended without an answer (its asset was lost, or nobody wanted it for a while) is to be asked now.
        return NewTask("analysis", key, "price", data, subject=task.subject, restart_at="price")

    # ---------------------------------------------------------------------------------------------------- helpers

    def _requests(self, task: Task) -> list[JobRequest]:
        found = [self._planner.restore(data) for data in task.data["wishes"]]
        requests = [request for request in found if request is not None]
        if len(requests) < len(found):
            names = [data["job"] for data in task.data["wishes"]]
            raise Permanent(
                f"This release has no job for all of {names}.", code="unknown_job", remedy="install the job again"
            )
        return requests

    async def _wanted(self, task: Task, requests: Sequence[JobRequest]) -> bool:
        items = await self._records.tasks(Selection(kinds=("item",), subjects=(task.subject,)))
        now = {(request.name, request.fingerprint) for request in self._planner.requests(items)}
        return all((request.name, request.fingerprint) in now for request in requests)

    async def _raw(self, task: Task) -> Result:
        """Return what was stored before: as a rule by this run, a moment ago."""
        recent = self._recent.pop(task.data["answer"], None)
        if recent is not None and recent.subject == task.subject:
            return recent
        for result in await self._records.results([task.subject]):
            if result.job == "_answer" and result.fingerprint == task.data["answer"]:
                return result
        raise Permanent(
            "The stored answer is missing from the database.", code="answer_missing", remedy="`reelmill retry`"
        )

    STAGES = (
        StageSpec("price", Lane.ANALYZE, price, "waits for its analysis to be started"),
        StageSpec("submit", Lane.ANALYZE, submit, "waits for its analysis to be started"),
        StageSpec("find", Lane.ANALYZE, find, ASKING),
        StageSpec("await", Lane.POLL, wait, "is being analysed by the platform"),
        StageSpec("split", Lane.WRITE, split, "is analysed; the answer waits to be checked"),
    )


def _next(task: Task, **changes: Json) -> dict[str, Json]:
    """Return the data for asking anew: a new generation has a key of its own, so it is not taken for the old one."""
    return {**task.data, "gen": int(task.data.get("gen", 0)) + 1, **changes}


def _parsed(text: str) -> Mapping[str, Json] | str:
    """Return the answer's object, or one sentence why there is none."""
    try:
        answer = json.loads(text)
    except ValueError as error:
        return f"the answer is not valid JSON ({error})"[:200]
    except RecursionError:
        return "the answer is nested too deeply"
    return answer if isinstance(answer, dict) else "the answer is not a JSON object"


def _gave_up() -> Trouble:
    return Trouble("gave_up", "The request was never accepted.", "See the log, then `reelmill retry`.")
