"""Spending limits: nothing is admitted beyond a limit, and what was admitted counts at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.budget.limits import SpendingLimits
from pipeline.budget.prices import PriceList
from pipeline.config.settings import BudgetSection, PricesSection
from pipeline.core.lifecycle import Transition
from pipeline.core.model import Lane, NewTask, Spend, State
from pipeline.core.outcome import Done
from pipeline.ingest.paid_call import Billing, Cost
from pipeline.ports.store import Applied
from tests.support.clock import run_virtual
from tests.support.engine_harness import task_type
from tests.support.memory_database import MemoryDatabase

MIDNIGHT = 1_800_000_000.0 // 86_400 * 86_400


class Hand:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def limits(now: float = MIDNIGHT + 3600, **section: float) -> tuple[SpendingLimits, Hand]:
    """Return spending limits and their clock."""
    clock = Hand(now)
    return SpendingLimits(BudgetSection(**section), clock), clock


async def ledger(*spends: tuple[float, float]) -> MemoryDatabase:
    """Return a database whose ledger holds (when, USD)."""

    async def never(task: object, ensure_fresh: object) -> Done:
        return Done()

    database, made = MemoryDatabase(), task_type("k", ("go", Lane.FETCH, never))
    from pipeline.core.task_types import TaskTypes

    await database.submit([TaskTypes([made]).place(NewTask("k", "a", "go"))], 0.0)
    (task,) = await database.claim({Lane.FETCH: 1}, "me", 0.0, 60.0)
    entries = [Spend(f"s{n}", "analyze", usd, 1.0, "v", at=at) for n, (at, usd) in enumerate(spends)]
    move = Transition(State.DONE, "go", 0, 1, None, 0.0, spend=entries)
    assert await database.apply(Applied(task, move, Lane.FETCH, 0), 0.0)
    return database


def test_without_limits_everything_is_admitted_and_counted() -> None:
    """The report reads from here what this run may have cost."""
    it, _ = limits()
    assert [it.reserve(1000.0, 30.0) for _ in range(3)] == [None, None, None]
    assert (it.run, it.day, it.minutes) == (3000.0, 3000.0, 90.0)


def test_the_limit_itself_may_be_reached() -> None:
    """Ten times a tenth is one, also in binary; a cent more is refused, by the name of the limit."""
    it, _ = limits(max_usd_per_run=1.0)
    assert [it.reserve(0.1, 1.0) for _ in range(10)] == [None] * 10
    trouble = it.reserve(0.01, 1.0)
    assert trouble is not None
    assert trouble.code == "budget"
    assert "per run" in trouble.message
    assert "max_usd_per_run" in trouble.remedy
    assert it.minutes == 10.0


def test_what_costs_nothing_is_always_admitted() -> None:
    """A limit of nothing stops paid calls only."""
    it, _ = limits(max_usd_per_run=0.0)
    assert it.reserve(0.0, 5.0) is None
    assert it.reserve(0.001, 5.0) is not None


def test_a_limit_below_one_call_is_told_as_hopeless() -> None:
    """To run again cannot help: the remedy says how high the limit must be, and nothing else."""
    for name, words in (("run", "run again"), ("day", "midnight")):
        it, _ = limits(**{f"max_usd_per_{name}": 0.05})
        trouble = it.reserve(0.123, 1.0)
        assert trouble is not None
        assert "alone" in trouble.message
        assert f"raise [budget] max_usd_per_{name} to $0.13 or more" in trouble.remedy
        assert words not in trouble.remedy
        assert it.reserve(0.03, 1.0) is None
        later = it.reserve(0.03, 1.0)
        assert later is not None
        assert words in later.remedy


def test_a_refusal_reserves_nothing() -> None:
    """A small one still fits after a large one did not."""
    it, _ = limits(max_usd_per_run=1.0)
    assert it.reserve(0.8, 1.0) is None
    assert it.reserve(0.8, 1.0) is not None
    assert it.reserve(0.2, 1.0) is None
    assert it.run == pytest.approx(1.0)


def test_the_day_knows_what_earlier_runs_spent() -> None:
    """The ledger since midnight UTC counts; yesterday does not."""
    it, _ = limits(max_usd_per_day=10.0)
    run_virtual(it.open(run_virtual(ledger((MIDNIGHT - 1, 100.0), (MIDNIGHT + 60, 7.0)))))
    assert it.day == 7.0
    assert it.reserve(3.5, 1.0) is not None
    assert it.reserve(3.0, 1.0) is None
    trouble = it.reserve(0.1, 1.0)
    assert trouble is not None
    assert "per day" in trouble.message


def test_a_run_over_midnight_has_a_new_day() -> None:
    """The day's limit starts again at midnight UTC; the run's does not."""
    it, clock = limits(MIDNIGHT + 86_390, max_usd_per_day=1.0, max_usd_per_run=1.5)
    assert it.reserve(1.0, 1.0) is None
    assert it.reserve(0.5, 1.0) is not None
    clock.at += 20
    assert it.reserve(0.5, 1.0) is None
    assert it.reserve(0.1, 1.0) is not None
    assert (it.day, it.run) == (0.5, 1.5)


@given(st.lists(st.floats(0, 5), max_size=40), st.floats(0, 20), st.floats(0, 20))
def test_no_order_of_calls_overdraws(prices: list[float], per_run: float, per_day: float) -> None:
    """Whatever is asked, what was admitted stays within both limits."""
    it, _ = limits(max_usd_per_run=per_run, max_usd_per_day=per_day)
    admitted = [price for price in prices if it.reserve(price, 1.0) is None]
    assert sum(admitted) <= min(per_run, per_day) + 1e-6
    assert it.minutes == len(admitted)


def test_prices_count_minutes_and_tokens() -> None:
    """The configured prices times what goes in and what may come out."""
    prices = PriceList(
        PricesSection(analyze_minute=0.03, output_1000_tokens=0.01, index_minute=0.04, search_1000_queries=4.0)
    )
    assert prices.analysis(120.0, 2000) == pytest.approx(0.08)
    assert prices.indexing(2.0) == pytest.approx(0.08)
    assert prices.query() == pytest.approx(0.004)


def test_our_own_platform_is_free() -> None:
    """Whatever the prices say, no call to the local platform costs anything."""
    free = PriceList(PricesSection(), free=True)
    assert (free.analysis(120.0, 2000), free.indexing(2.0), free.query()) == (0.0, 0.0, 0.0)


def test_a_refund_counts_even_beyond_a_limit() -> None:
    """A limit that was lowered since refuses every reservation, but takes back what a refused call had reserved."""
    spending, clock = limits(max_usd_per_day=1.0)
    spending.add(5.0, 0.0)
    billing = Billing(spending.reserve, spending.add, clock)
    assert billing.refund(Cost("k", "analyze", 0.5, 2.0)).usd == -0.5
    assert (spending.run, spending.day) == (4.5, 4.5)
