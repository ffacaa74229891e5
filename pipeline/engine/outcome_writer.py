"""Writes an outcome until it is committed, fenced, or forbidden by a spending limit."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, StoreError
from pipeline.core.lifecycle import Policy, Transition, decide
from pipeline.core.model import Task, Trouble
from pipeline.core.outcome import Fail
from pipeline.core.task_types import TaskTypes
from pipeline.engine.attempt import unplaceable_spawn
from pipeline.engine.store_retry import retry_while_away
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import Applied, ApplyAnswer, Store

_DEFAULT = Policy()


class OutcomeWriter:
    """Writes what became of tasks.

    ``patience``: seconds for which a database that does not answer is waited for. ``halt`` is told that it stayed away.
    ``budget``: the limits that ledger entries must keep; None: there are none.
    """

    def __init__(
        self,
        store: Store,
        task_types: TaskTypes,
        clock: Clock,
        rng: Random,
        *,
        patience: float,
        halt: Callable[[Trouble], None],
        budget: BudgetGuard | None,
    ) -> None:
        self._store = store
        self._task_types = task_types
        self._clock = clock
        self._rng = rng
        self._patience = patience
        self._halt = halt
        self._budget = budget

    async def write(self, task: Task, move: Transition, *, by_holder: bool = True) -> Applied | Trouble | None:
        """Write an outcome until it is committed or fenced.

        A full disk must not lose a paid answer. Return what was written: a failure where the outcome itself cannot be
        stored; None: nothing. A trouble says which spending limit forbids it: then the lease still holds, for another
        outcome. If the database stays away, the row stays running, and the next start finds the intent and asks the provider.
        """
        try:
            try:
                return await self._apply(self._applied(task, move, by_holder=by_holder))
            except Permanent as error:
                failed = decide(task, Fail(error.trouble), self._clock.now(), _DEFAULT, self._rng)
                return await self._apply(self._applied(task, failed, by_holder=by_holder))
        except StoreError as error:
            self._halt(error.trouble)
            return None

    async def _apply(self, applied: Applied) -> Applied | Trouble | None:
        answer = await retry_while_away(
            lambda: self._store.apply(applied, self._clock.now()), self._clock, self._patience
        )
        if answer is ApplyAnswer.OVER and applied.budget is not None:
            return applied.budget.refusal(applied.move.spend)
        return applied if answer is ApplyAnswer.WRITTEN else None

    def _applied(self, task: Task, move: Transition, *, by_holder: bool) -> Applied:
        try:
            spawn = [self._task_types.place(new) for new in move.spawn]
        except KeyError as error:
            raise Permanent.from_trouble(unplaceable_spawn(task, error)) from error
        try:
            lane, rank = self._task_types.lane_and_rank(task.kind, move.stage)
        except KeyError:
            lane, rank = task.lane, task.rank
        return Applied(task, move, lane, rank, spawn, by_holder, self._budget if move.spend else None)
