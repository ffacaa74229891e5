"""Every database: an entry of the ledger is written within the spending limits, or nothing of its outcome is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest

from pipeline.budget.limits import SpendingLimits
from pipeline.config.database_address import DatabaseAddress
from pipeline.config.settings import BudgetSection
from pipeline.core.model import REFUND, SETTLED, Result, Selection, Spend, State
from pipeline.ports.budget import CountedEntry
from pipeline.ports.store import Applied, ApplyAnswer, Database
from tests.conformance.postgres_kit import opened as opened_host
from tests.conformance.store_kit import NOW, claim, each_database, each_pair, moved, one, placed
from tests.support.clock import VirtualClock

WRITTEN, LOST, OVER = ApplyAnswer.WRITTEN, ApplyAnswer.LOST, ApplyAnswer.OVER
database = each_database()


two = each_pair()


def limits(run: str = "r1", **section: float) -> SpendingLimits:
    """Return limits that reserve nothing: what the database keeps by itself."""
    return SpendingLimits(BudgetSection(**(section or {"max_usd_per_day": 1.0})), VirtualClock(), run)


def call(key: str, usd: float, run: str = "r1", at: float = NOW) -> Spend:
    """Return an entry."""
    return Spend(key, "analyze", usd, 1.0, "v", at=at, run=run)


def within(budget: SpendingLimits, applied: Applied) -> Applied:
    """Return an outcome whose entries must keep these limits."""
    return replace(applied, budget=budget)


@pytest.mark.asyncio
async def test_nothing_is_written_of_what_a_limit_forbids(database: Database) -> None:
    """State, results, new tasks and entries stay as they are, and the holder hands in another outcome."""
    budget = limits()
    await database.submit([placed("a"), placed("b")], 0.0)
    first, second = await claim(database)
    result = Result("v", "gist", "f", {}, created=NOW)
    spent, more = [call("1", 0.7)], [call("2", 0.4)]
    assert await database.apply(within(budget, moved(first, spend=spent)), NOW) is WRITTEN
    forbidden = moved(second, results=[result], spend=more, spawn=[placed("c")])
    assert await database.apply(within(budget, forbidden), NOW) is OVER
    assert (await one(database, "b")).state is State.RUNNING
    assert await database.tasks(Selection(keys=("c",))) == []
    assert await database.results(["v"]) == []
    assert await database.spends(["v"]) == spent
    trouble = budget.refusal(more)
    assert "(up to $0.40) would pass the limit of $1.00 per day; $0.70 spent so far" in trouble.message
    assert await database.apply(within(budget, moved(second, State.PENDING, trouble=trouble)), NOW) is WRITTEN
    assert (await one(database, "b")).state is State.PENDING
    assert await database.apply(within(budget, forbidden), NOW) is WRITTEN, "the other outcome stands under this lease"
    assert await database.spends(["v"]) == spent


@pytest.mark.asyncio
async def test_what_is_written_is_told_as_written_whatever_is_spent_since(database: Database) -> None:
    """An outcome whose answer was lost is repeated; that the money is gone by then forbids nothing. A lost lease is lost."""
    budget = limits()
    await database.submit([placed("a")], 0.0)
    (task,) = await claim(database)
    outcome = within(budget, moved(task, State.PENDING, spend=[call("1", 0.9)]))
    assert await database.apply(outcome, NOW) is WRITTEN
    assert await database.enter(call("2", 0.1), budget)
    assert await database.apply(outcome, NOW) is WRITTEN
    (again,) = await claim(database)
    await database.command("cancel", Selection(keys=("a",)), NOW)
    assert await database.apply(within(budget, moved(again, spend=[call("3", 5.0)])), NOW) is LOST
    assert [spend.key for spend in await database.spends(["v"])] == ["1", "2"]


@pytest.mark.asyncio
async def test_corrections_pass_every_limit_and_free_what_they_take_back(database: Database) -> None:
    """A settlement, even for more; a refund; what moves to another day is counted once; what is free costs nothing."""
    budget = limits()
    assert await database.enter(call("1", 1.0), budget)
    assert not await database.enter(call("2", 0.1), budget)
    assert "per day" in budget.refusal([call("2", 0.1)]).message
    assert await database.enter(call("free", 0.0), budget)
    assert await database.enter(call("1" + SETTLED, 0.5), budget)
    assert await database.enter(call("1" + REFUND, -1.0), budget)
    assert await database.enter(call("2", 0.5), budget)
    assert not await database.enter(call("3", 0.1), budget)
    budget.refusal([call("3", 0.1)])
    await database.submit([placed("a")], 0.0)
    (task,) = await claim(database)
    moves = [call("2/moved-1" + REFUND, -0.5), call("2/moved-1", 0.5)]
    assert await database.apply(within(budget, moved(task, spend=moves)), NOW) is WRITTEN
    assert (await database.daily()).usd == {0: pytest.approx(1.0)}


@pytest.mark.asyncio
async def test_a_limit_counts_what_other_processes_have_entered(two: list[Database]) -> None:
    """Day and month are of the ledger; a run's limit counts that run's own calls, and its own only."""
    mine, theirs = limits("r1", max_usd_per_run=0.6, max_usd_per_day=1.0), limits("r2", max_usd_per_day=1.0)
    here, there = two
    assert await there.enter(call("1", 0.5, "r2"), theirs)
    assert await here.enter(call("2", 0.4), mine)
    assert not await here.enter(call("3", 0.2), mine)
    assert "per day" in mine.refusal([call("3", 0.2)]).message
    assert not await there.enter(call("4", 0.2, "r2"), theirs)
    assert await there.enter(call("1" + SETTLED, -0.4, "r2"), theirs)
    assert not await here.enter(call("5", 0.3), mine)
    assert "per run" in mine.refusal([call("5", 0.3)]).message
    assert await here.enter(call("6", 0.2), mine)
    tomorrow = NOW + 86_400.0
    assert await there.enter(call("7", 1.0, "r2", tomorrow), theirs)


@pytest.mark.asyncio
async def test_what_was_entered_is_read_once_and_in_its_order(two: list[Database]) -> None:
    """Whoever has entered it; a key that is there already is no entry; the sums by day name the last."""
    here, there = two
    assert (await here.daily()).last == 0
    await here.enter(call("a", 0.5))
    await there.enter(call("b", 0.25, "r2"))
    (first, second) = await here.entered_since(0)
    assert (first[1:], second[1:]) == (("a", 0.5, NOW, "r1"), ("b", 0.25, NOW, "r2"))
    await there.enter(call("a", 9.0))
    await there.enter(call("c", 0.125))
    (third,) = await here.entered_since(second.number)
    assert third == CountedEntry(third.number, "c", 0.125, NOW, "r1")
    assert first.number < second.number < third.number == (await there.daily()).last
    assert await there.entered_since(third.number) == []


@pytest.mark.asyncio
async def test_one_group_is_kept_within_the_limits_together(database: Database) -> None:
    """Outcomes that are committed together are counted one after the other: what fits is written, the rest is not."""
    budget = limits()
    await database.submit([placed(f"t{number}") for number in range(12)], 0.0)
    tasks = await claim(database)
    outcomes = [within(budget, moved(task, spend=[call(task.key, 0.3)])) for task in tasks]
    answers = await asyncio.gather(*(database.apply(outcome, NOW) for outcome in outcomes))
    assert (answers.count(WRITTEN), answers.count(OVER)) == (3, 9)
    assert (await database.spent())[0] == pytest.approx(0.9)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_hosts_side_by_side_never_pass_a_limit(address: DatabaseAddress, seed: int) -> None:
    """They spend, settle and take back at once: at every moment the ledger is within the limit, and all of it is used."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(opened_host(address)) for _ in range(3)]
        refused = 0

        async def spend(number: int, host: Database) -> None:
            nonlocal refused
            rng, budget = Random(seed * 10 + number), limits(f"r{number}", max_usd_per_day=2.0)
            for count in range(30):
                mine = call(f"{number}/{count}", rng.choice((0.1, 0.2, 0.4)), f"r{number}")
                if not await host.enter(mine, budget):
                    budget.refusal([mine])
                    refused += 1
                elif rng.random() < 0.6:
                    await host.enter(replace(mine, key=mine.key + SETTLED, usd=-mine.usd / 2), budget)

        await asyncio.gather(*(spend(number, host) for number, host in enumerate(hosts)))
        total, entries = 0.0, await hosts[0].entered_since(0)
    for entry in entries:
        total += entry.usd
        assert total <= 2.0 + 1e-6, entry
    assert refused > 0
    assert total > 2.0 - 0.4
