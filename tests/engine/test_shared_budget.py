"""Several pools on one queue and one ledger: together they keep the limits, and leave no money that one call could use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.budget.limits import SpendingLimits
from pipeline.config.database_address import parse_address
from pipeline.config.settings import BudgetSection
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.model import Lane, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Outcome, Park
from pipeline.core.task_types import LeaseCheck, TaskType, TaskTypes
from pipeline.engine.admission import RunEnd
from pipeline.engine.pool import Pool, PoolOptions
from pipeline.ingest.paid_call import Billing, Cost
from pipeline.ports.store import Database
from tests.conformance.postgres_kit import opened
from tests.support.clock import VirtualClock, run_virtual
from tests.support.engine_harness import WIDTHS, CountingStore, new, task_type
from tests.support.postgres import Databases, databases

__all__ = ["databases"]
MOST, COST = 0.10, 0.04  #: USD that a call reserves, and what it has cost by its end
CALLS = 40


@dataclass
class Host:
    """A run beside others: what it has paid for, and how it ended."""

    name: str
    database: Any
    clock: Clock
    think: float
    budget: BudgetSection
    paid: list[str] = field(default_factory=list)
    end: RunEnd | None = None

    def __post_init__(self) -> None:
        self.limits = SpendingLimits(self.budget, self.clock, self.name, shared=True)
        self.billing = Billing(self.limits, self.database, self.clock, self.name)

    async def run(self) -> None:
        """Work to the end."""
        await self.limits.open(self.database)
        options = PoolOptions(f"{self.name}:1", WIDTHS, family=f"{self.name}:")
        pool = Pool(self.database, TaskTypes([self._type()]), self.clock, Random(self.name), options, self.limits.guard)
        self.end = await pool.run()

    def _type(self) -> TaskType:
        money = (("price", Lane.ANALYZE, self._price), ("ask", Lane.ANALYZE, self._ask))
        return task_type("paid", *money, ("wait", Lane.POLL, self._wait), ("end", Lane.WRITE, _end))

    async def _price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        spend = self.billing.book(Cost(task.key, "analyze", COST, 1.0, task.key, most=MOST))
        if isinstance(spend, Trouble):
            return Park("budget", self.clock.now(), spend)
        return Advance("ask", spend=[spend], subject=task.key)

    async def _ask(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        self.paid.append(task.key)
        return Advance("wait", after=self.think)

    async def _wait(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Advance("end", spend=await self.billing.settle(Cost(task.key, "analyze", COST, 1.0, task.key)))


async def _end(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
    return Done()


async def work(hosts: Sequence[Host]) -> list[Host]:
    """Queue the calls and let all hosts work to their ends."""
    first = hosts[0]
    kinds = TaskTypes([first._type()])
    await first.database.submit([kinds.place(each) for each in new("paid", "price", *map(str, range(CALLS)))], 0.0)
    async with anyio.create_task_group() as group:
        for host in hosts:
            group.start_soon(host.run)
    return [*hosts]


async def check(database: Database, hosts: Sequence[Host], limit: float) -> None:
    """The ledger was never above the limit, no call was made twice, and no more would have fitted."""
    total = 0.0
    for entry in await database.entered_since(0):
        total += entry.usd
        assert total <= limit + 1e-6, entry
    paid = [key for host in hosts for key in host.paid]
    assert len(paid) == len(set(paid))
    assert total == pytest.approx(COST * len(paid))
    assert total > limit - MOST
    left = await database.tasks(Selection(states=(State.PENDING,)))
    assert len(left) == CALLS - len(paid)
    assert all(host.end is not None and host.end.budget is not None for host in hosts)


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("think", [0.0, 7.0, 300.0])
def test_hosts_use_a_days_limit_to_its_end_and_never_pass_it(number: int, think: float) -> None:
    """What one has reserved for more than it cost, any of them uses; all end at the limit, and say so."""

    async def scenario() -> None:
        store, clock, budget = CountingStore(), VirtualClock(), BudgetSection(max_usd_per_day=1.0)
        hosts = await work([Host(f"h{n}", store, clock, think, budget) for n in range(number)])
        await check(store, hosts, 1.0)  # type: ignore[arg-type]

    run_virtual(scenario())


def test_each_run_has_a_limit_of_its_own() -> None:
    """Two beside each other spend twice as much as one, and neither more than its own."""

    async def scenario() -> None:
        store, clock, budget = CountingStore(), VirtualClock(), BudgetSection(max_usd_per_run=0.5)
        hosts = await work([Host(f"h{n}", store, clock, 7.0, budget) for n in range(2)])
        runs = {group.name: group.usd for group in await store.costs("run")}
        assert all(0.5 - MOST < usd <= 0.5 + 1e-6 for usd in runs.values()), runs
        assert set(runs) == {"h0", "h1"}
        assert all(host.end is not None and host.end.budget is not None for host in hosts)
        assert not [entry for entry in await store.entered_since(0) if "moved" in entry.key]

    run_virtual(scenario())


@pytest.mark.asyncio
@pytest.mark.parametrize("think", [0.0, 0.2])
async def test_hosts_on_one_database_use_a_limit_to_its_end(databases: Databases, think: float) -> None:
    """The same over PostgreSQL: four connections race for the last cents."""
    async with databases.lent() as url, AsyncExitStack() as stack:
        opening = [opened(parse_address(url)) for _ in range(4)]
        links = [await stack.enter_async_context(each) for each in opening]
        clock, budget = SystemClock(), BudgetSection(max_usd_per_day=1.0)
        hosts = await work([Host(f"h{n}", link, clock, think, budget) for n, link in enumerate(links)])
        await check(links[0], hosts, 1.0)
