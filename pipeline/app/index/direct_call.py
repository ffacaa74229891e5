"""A paid call without a task: a question to a whole index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.errors import Ambiguous, OverBudget, Transient
from pipeline.core.model import Spend, Trouble
from pipeline.ingest.paid_call import Billing, CallPolicy, Cost

T = TypeVar("T")


class DirectCall:
    """A paid call of which nothing could be looked for.

    ``enter`` writes into the ledger; ``wait`` waits, and returns False if that is too long or the run is stopped.
    """

    def __init__(
        self,
        policy: CallPolicy,
        billing: Billing,
        backoff: Backoff,
        rng: Random,
        *,
        enter: Callable[[Spend], Awaitable[None]],
        wait: Callable[[float], Awaitable[bool]],
    ) -> None:
        self._policy = policy
        self._billing = billing
        self._backoff = backoff
        self._rng = rng
        self._enter = enter
        self._wait = wait

    async def ask(
        self,
        cost: Cost,
        prepare: Callable[[], Awaitable[object]],
        send: Callable[[], Awaitable[T]],
        *,
        repeated: int = 0,
    ) -> T:
        """Ask until there is an answer, each doubtful repeat booked by itself.

        ``prepare`` is free and comes first. ``repeated``: calls before this one of which nobody can tell what became.

        Raises:
            ReelmillError: a limit forbids it, or what the last attempt raised.
        """
        booked = -1
        for attempt in range(1, self._policy.attempts + 1):
            try:
                await prepare()
                if booked < repeated:
                    await self._book(cost, repeated)
                    booked = repeated
                with self._billing.counted(cost.key):
                    return await send()
            except Ambiguous:
                if attempt == self._policy.attempts or self._policy.holds(repeated):
                    raise
                repeated += 1
            except Transient as error:
                delay = error.after if error.after is not None else self._backoff.delay(attempt, self._rng)
                if error.in_doubt and self._policy.holds(repeated):
                    raise
                repeated += error.in_doubt
                if attempt == self._policy.attempts or not await self._wait(delay):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _book(self, cost: Cost, repeated: int) -> None:
        spend = self._billing.book(cost, repeated)
        if isinstance(spend, Trouble):
            raise OverBudget.from_trouble(spend)
        await self._enter(spend)
