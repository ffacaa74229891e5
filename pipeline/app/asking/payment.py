"""The one paid call of ``ask``: reserved before, settled by its answer's tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Protocol

from pipeline.app.index.direct_call import DirectCall
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.budget.limits import SpendingLimits
from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, OverBudget, ReelmillError, Transient
from pipeline.core.model import Spend
from pipeline.core.retry import AwayPatience, retry
from pipeline.ingest.paid_call import Billing, CallPolicy, Cost
from pipeline.ports.knowledge_api import CrossReply
from pipeline.ports.store import Database

#: Tokens that are reserved for: a call names no limit of its own, and the platform reads as much as it likes.
_MOST_TOKENS = (200_000, 20_000)  #: input, output
_ATTEMPTS = 3  #: of a call that was surely not taken


class CallNote(Protocol):
    """The note of a question that is about to be sent."""

    repeated: int  #: calls before this one of which nobody can tell what became

    async def intend(self) -> None:
        """Write down that the call is made now."""
        ...

    async def take_back(self) -> None:
        """Take that back: it was surely not accepted."""
        ...


class AnswerPayment:
    """Pays for answers of one process."""

    def __init__(self, plan: RunPlan, database: Database, clock: Clock, rng: Random, run_id: str) -> None:
        self._prices = plan.prices
        self._patience = plan.settings.limits.patience
        self._backoff = plan.policy.backoff
        self._database = database
        self._clock = clock
        self._rng = rng
        self._spending = SpendingLimits(plan.settings.budget, clock, run_id)
        self._run_id = run_id
        self._away = plan.settings.store.patience
        self._billing = Billing(self._spending, database, clock, run_id, patience=self._away)
        self._entry: Spend | None = None  #: of the ledger, written before the call

    async def ask(self, name: str, send: Callable[[], Awaitable[CrossReply]], note: CallNote) -> CrossReply:
        """Reserve what the call may cost, and make it.

        Raises:
            OverBudget: a limit forbids it.
            Ambiguous: nobody can tell whether it was answered.
            ReelmillError: the platform does not take it.
        """
        await self._spending.open(self._database)
        most = self._prices.response(*_MOST_TOKENS) or 0.0

        async def enter(spend: Spend) -> None:
            await note.intend()
            if not await self._database.enter(spend, self._spending.guard):
                raise OverBudget.from_trouble(self._spending.refusal([spend]))
            self._spending.entered([spend])
            self._entry = spend

        # What nobody can look for is never made again by itself: a person decides.
        policy = CallPolicy(_ATTEMPTS, "hold")
        call = DirectCall(policy, self._billing, self._backoff, self._rng, enter=enter, wait=self._wait)
        try:
            return await call.ask(Cost(f"{name}/{self._run_id}", "ask", most), _nothing, send, repeated=note.repeated)
        except ReelmillError as error:
            if self._entry is None:  # nothing was sent
                await note.take_back()
            elif _surely_not_taken(error):
                await self._enter_all(await self._billing.refund(Cost(self._entry.key, "ask")))
                await note.take_back()
            raise

    def price(self, reply: CrossReply) -> float | None:
        """Return what a reply has cost, USD; None: nobody knows.

        By its usage; without one, what was reserved.
        """
        if not reply.usage:  # the reservation stands
            return self._prices.response(*_MOST_TOKENS)
        return self._prices.response(reply.usage["input_tokens"], reply.usage["output_tokens"])

    async def settle(self, reply: CrossReply) -> None:
        """Let the ledger hold what the reply has cost."""
        usd = self.price(reply)
        if usd is not None and self._entry is not None:
            cost = Cost(self._entry.key, "ask", usd)
            await self._enter_all(await self._billing.settle(cost, expected=False))

    async def _enter_all(self, spends: Iterable[Spend]) -> None:
        """Enter what corrects the entry of the call.

        A repeat is in doubt because of the call before it: what its answer has settled is surely paid, and what was reserved
        beyond that stays possibly paid, for the lost one.
        """
        for spend in spends:
            spend = replace(spend, doubtful=False)
            await retry(partial(self._database.enter, spend), AwayPatience(self._away), self._clock)
            self._spending.entered([spend])

    async def _wait(self, seconds: float) -> bool:
        """Wait unless it takes longer than anyone waits here."""
        if seconds > self._patience:
            return False
        await self._clock.sleep(seconds)
        return True


def _surely_not_taken(error: ReelmillError) -> bool:
    if error.in_doubt or isinstance(error, Ambiguous):
        return False
    return error.untouched if isinstance(error, Transient) else True


async def _nothing() -> None:
    """Nothing free comes before the call that was not done already."""
