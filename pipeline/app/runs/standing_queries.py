"""Standing queries: what every run asks of the index at its end, and writes.

Each is a paid call that only asks: its price is in the ledger before the call, under a key that this run has once. A query
that fails is reported and harms nothing: what was found the last time stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import anyio

from pipeline.app.index.direct_call import DirectCall
from pipeline.app.index.questions import QuestionRunner
from pipeline.app.runs.query_files import FOLDER, query_files
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.budget.limits import SpendingLimits
from pipeline.config.queries import StandingQuery
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import NeedsOperator, OverBudget, ReelmillError, Throttled
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Spend, Trouble, fingerprint
from pipeline.engine.admission import RunEnd
from pipeline.ingest.paid_call import Billing, CallPolicy, Cost
from pipeline.ports.index_api import IndexApi
from pipeline.ports.sink import Sink
from pipeline.ports.store import Database
from pipeline.views import ClassifyView, QueryReport, SearchView

_ATTEMPTS = 3
#: What ends the queries of a run, because the next one would meet it, too.
_ENDING = (ExitCode.NEEDS_OPERATOR, ExitCode.BUDGET, ExitCode.QUOTA)
_log = log.get("queries")


class StandingQueries:
    """The standing queries of one run."""

    def __init__(
        self,
        plan: RunPlan,
        index_api: IndexApi,
        database: Database,
        sink: Sink,
        spending: SpendingLimits,
        clock: Clock,
        rng: Random,
        run_id: str,
    ) -> None:
        self._settings = plan.settings
        self._database = database
        self._spending = spending
        self._prices = plan.prices
        self._questions = QuestionRunner(plan, index_api, database, clock)
        self._sink = sink
        self._call = DirectCall(
            CallPolicy(_ATTEMPTS, plan.settings.policy.on_ambiguous_ask, repeats=1),
            Billing(spending, database, clock, run_id),
            plan.policy.backoff,
            rng,
            enter=self._enter,
            wait=self._wait,
        )
        self._stopping = anyio.Event()
        self._scope = anyio.CancelScope()

    def stop(self, *, now: bool = False) -> None:
        """Ask nothing more; with ``now``, drop the question in progress."""
        self._stopping.set()
        if now:
            self._scope.cancel()

    async def ask_all(self, ending: RunEnd, run_id: str, *, because: str = "") -> list[QueryReport]:
        """Ask them one by one if ingestion came to its end; report each.

        ``because``: why this run asks none.
        """
        reports: list[QueryReport] = []
        because = _undrained(ending) or because
        with self._scope:
            for ask in self._settings.queries:
                if because or self._stopping.is_set():
                    break
                reports.append(await self._run(ask, run_id))
                if reports[-1].exit_code in _ENDING:
                    because = f"'{ask.name}' could not be asked, and this one would fare the same."
        missed = Trouble("not_asked", because or "The run was stopped.", "the next run asks it")
        rest = self._settings.queries[len(reports) :]
        return [*reports, *(QueryReport(ask.name, "skipped", trouble=missed) for ask in rest)]

    async def _run(self, ask: StandingQuery, run_id: str) -> QueryReport:
        try:
            found = await self._ask(ask, f"search/{fingerprint(ask.model_dump(mode='json'))}/{run_id}")
            await self._sink.add(FOLDER, query_files(ask.name, run_id, found, self._settings.run.output))
        except ReelmillError as error:
            _log.error("query.failed", query=ask.name, code=error.trouble.code, why=str(error))
            return QueryReport(ask.name, "failed", trouble=error.trouble, exit_code=int(_grave(error)))
        number = len(found.hits) if isinstance(found, SearchView) else len(found.videos)
        _log.info("query.done", query=ask.name, found=number)
        return QueryReport(ask.name, "done", number, self._settings.run.output / FOLDER / f"{ask.name}.md")

    async def _ask(self, ask: StandingQuery, key: str) -> SearchView | ClassifyView:
        async def prepare() -> None:
            if ask.index or not ask.videos:
                await self._questions.index(ask.index)  # free, and nothing is paid where there is none

        async def send() -> SearchView | ClassifyView:
            return await (self._questions.classify(ask) if ask.classes else self._questions.search(ask))

        return await self._call.ask(Cost(key, "search", self._prices.query()), prepare, send)

    async def _enter(self, spend: Spend) -> None:
        if not await self._database.enter(spend, self._spending.guard):
            raise OverBudget.from_trouble(self._spending.refusal([spend]))
        self._spending.entered([spend])

    async def _wait(self, seconds: float) -> bool:
        """Wait unless it takes too long or the run is stopped meanwhile."""
        if seconds > self._settings.limits.patience:
            return False
        with anyio.move_on_after(seconds):
            await self._stopping.wait()
        return not self._stopping.is_set()


def gravest(reports: Sequence[QueryReport]) -> tuple[ExitCode, str] | None:
    """Return the queries' exit code and sentence; None if all is well."""
    for report in reports:
        if report.exit_code in _ENDING and report.trouble is not None:
            return ExitCode(report.exit_code), f"{report.trouble.message} {report.trouble.remedy}".strip()
    return (ExitCode.INCOMPLETE, "") if any(report.state == "failed" for report in reports) else None


def _grave(error: ReelmillError) -> ExitCode:
    if isinstance(error, NeedsOperator):
        return ExitCode.NEEDS_OPERATOR
    if isinstance(error, Throttled):
        return ExitCode.QUOTA
    return ExitCode.BUDGET if isinstance(error, OverBudget) else ExitCode.INCOMPLETE


def _undrained(ending: RunEnd) -> str:
    """Return why ingestion did not come to its end; empty if it did."""
    if ending.halted is not None or ending.stopped:
        return "The run was stopped before its ingestion was done."
    if ending.output is not None:
        return "Results cannot be written."
    if ending.budget is not None:
        return "The run stopped at its budget."
    return "Part of the ingestion waits for a quota." if ending.parked else ""
