"""What an analysis costs: before it is asked, and by what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.core.errors import Permanent
from pipeline.core.log import get
from pipeline.core.model import Json, Spend, Task
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.paid_call import Billing, Cost
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import build_custom_id
from pipeline.ingest.request_builder import billed_tokens, build_question, expected_tokens, max_tokens
from pipeline.ports.video_api import AnalysisStatus, Question

_log = get("analysis")
#: (seconds of video, output tokens, model) -> USD
Price = Callable[[float, int, str], float]


class AnalysisCosts:
    """Prices analyses, and settles each by what the platform says of its end."""

    def __init__(self, planner: JobPlanner, price: Price, billing: Billing) -> None:
        self._planner = planner
        self._price = price
        self._billing = billing

    def requests(self, data: AnalysisData) -> list[JobRequest]:
        """Return what an analysis asks.

        Raises:
            Permanent: this release lacks one of its jobs.
        """
        found = [self._planner.restore(each) for each in data.requests]
        requests = [request for request in found if request is not None]
        if len(requests) < len(found):
            names = [each.job for each in data.requests]
            raise Permanent(
                f"This release has no job for all of {names}.", code="unknown_job", remedy="install the job again"
            )
        return requests

    def question(self, task: Task) -> Question:
        """Return the call that an analysis stands for."""
        data = AnalysisData.of(task)
        return build_question(task.key, data, self.requests(data))

    def cost(self, task: Task, data: AnalysisData, requests: Sequence[JobRequest]) -> Cost:
        """Return what is reserved for a call, under its custom id."""
        expected, room = expected_tokens(requests), max_tokens(requests, data.doublings)
        return Cost(
            build_custom_id(task.key, data.generation),
            "analyze",
            self._price(data.looks_at, expected, data.model),
            data.looks_at / 60,
            task.subject,
            most=None if data.legacy else self._price(data.looks_at, room, data.model),  # v1.2 tells no most
            jobs=", ".join(request.name for request in requests),
        )

    async def reckon(
        self, task: Task, data: AnalysisData, status: AnalysisStatus, factor: float | None
    ) -> Sequence[Spend]:
        """Return what the end of an analysis changes in the ledger, once.

        ``factor`` is the price in a batch, None alone. What a batch did not answer is not billed, by the platform's own
        rules. Of one alone nobody knows that: unless it tells a usage, what was reserved stays counted.
        """
        if status.state == "ready" and status.answer is not None:
            return await self.settle(task, data, status.answer.usage, 1.0 if factor is None else factor)
        if factor is not None and status.state in ("failed", "canceled"):
            return await self._billing.refund(self.cost(task, data, self.requests(data)))
        return await self.settle(task, data, status.usage) if status.usage else []

    async def settle(
        self, task: Task, data: AnalysisData, usage: Mapping[str, Json], factor: float = 1.0
    ) -> Sequence[Spend]:
        """Return the entry that books what was used, by the lane's factor."""
        tokens = billed_tokens(usage)
        if tokens is None:
            if usage:
                _log.warning("analysis.usage_ignored", key=task.subject, usage=dict(usage))
            return []
        cost = self.cost(task, data, self.requests(data))
        usd = factor * self._price(data.looks_at, tokens, data.model)
        if cost.most is not None and usd > cost.most + 1e-9:
            _log.warning(
                "analysis.cost_more_than_reserved",
                key=task.subject,
                reserved_usd=round(cost.most, 6),
                usd=round(usd, 6),
                why="the platform counts more tokens than the request allows: the ledger and every limit count them, too",
            )
        return await self._billing.settle(replace(cost, usd=usd))
