"""Spending limits: nothing is admitted beyond a limit, and what was admitted counts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.budget.limits import SpendingLimits
from pipeline.budget.prices import PriceList
from pipeline.config.settings import BudgetSection, PricesSection
from pipeline.core.lifecycle import Transition
from pipeline.core.model import REFUND, SETTLED, Lane, NewTask, Spend, State, Trouble
from pipeline.core.outcome import Done
from pipeline.ingest.paid_call import Billing, Cost
from pipeline.ports.budget import CountedEntry
from pipeline.ports.store import Applied, ApplyAnswer
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


class Limits(SpendingLimits):
    """Limits with calls that are numbered."""

    number = 0

    def entered(self, spends: Sequence[Spend]) -> None:
        """Have these seen in the ledger."""
        if self.guard is None:
            super().entered(spends)
        else:
            self.update([CountedEntry(self.seen + n, s.key, s.usd, s.at, s.run) for n, s in enumerate(spends, 1)])

    def reserve_usd(self, usd: float) -> Trouble | None:
        """Reserve the money of another call, and enter it into the ledger."""
        self.number += 1
        spend = Spend(f"call {self.number}", "analyze", usd, 1.0, at=self._clock.now())
        trouble = self.reserve(spend)
        self.entered([] if trouble else [spend])
        return trouble


def limits(now: float = MIDNIGHT + 3600, **section: float) -> tuple[Limits, Hand]:
    """Return spending limits and their clock."""
    clock = Hand(now)
    return Limits(BudgetSection(**section), clock), clock


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
    assert await database.apply(Applied(task, move, Lane.FETCH, 0), 0.0) is ApplyAnswer.WRITTEN
    return database


def test_without_limits_everything_is_admitted_and_counted() -> None:
    """The report reads from here what this run may have cost."""
    it, _ = limits()
    assert [it.reserve_usd(1000.0) for _ in range(3)] == [None, None, None]
    assert (it.run, it.day, it.month) == (3000.0, 3000.0, 3000.0)


def test_the_limit_itself_may_be_reached() -> None:
    """Ten times a tenth is one, also in binary; a cent more is refused, by the name of the limit."""
    it, _ = limits(max_usd_per_run=1.0)
    assert [it.reserve_usd(0.1) for _ in range(10)] == [None] * 10
    trouble = it.reserve_usd(0.01)
    assert trouble is not None
    assert trouble.code == "budget"
    assert "per run" in trouble.message
    assert "max_usd_per_run" in trouble.remedy


def test_what_costs_nothing_is_always_admitted() -> None:
    """A limit of nothing, and one that is passed already, stop paid calls only: a free one would wait for ever."""
    it, _ = limits(max_usd_per_run=0.0)
    assert it.reserve_usd(0.0) is None
    assert it.reserve_usd(0.001) is not None
    it.entered([Spend("doubtful", "analyze", 0.63, 1.0, at=MIDNIGHT + 3600)])
    assert it.reserve_usd(0.0) is None


def test_a_limit_below_one_call_is_told_as_hopeless() -> None:
    """To run again cannot help: the remedy says how high the limit must be, and nothing else."""
    for name, words in (("run", "run again"), ("day", "midnight")):
        it, _ = limits(**{f"max_usd_per_{name}": 0.05})
        trouble = it.reserve_usd(0.123)
        assert trouble is not None
        assert "alone" in trouble.message
        assert f"raise [budget] max_usd_per_{name} to $0.13 or more" in trouble.remedy
        assert words not in trouble.remedy
        assert it.reserve_usd(0.03) is None
        later = it.reserve_usd(0.03)
        assert later is not None
        assert words in later.remedy


def test_a_refusal_reserves_nothing() -> None:
    """A small one still fits after a large one did not."""
    it, _ = limits(max_usd_per_run=1.0)
    assert it.reserve_usd(0.8) is None
    assert it.reserve_usd(0.8) is not None
    assert it.reserve_usd(0.2) is None
    assert it.run == pytest.approx(1.0)


def test_the_day_knows_what_earlier_runs_spent() -> None:
    """The ledger since midnight UTC counts; yesterday does not."""
    it, _ = limits(max_usd_per_day=10.0)
    run_virtual(it.open(run_virtual(ledger((MIDNIGHT - 1, 100.0), (MIDNIGHT + 60, 7.0)))))
    assert it.day == 7.0
    assert it.reserve_usd(3.5) is not None
    assert it.reserve_usd(3.0) is None
    trouble = it.reserve_usd(0.1)
    assert trouble is not None
    assert "per day" in trouble.message


def test_a_run_over_midnight_has_a_new_day() -> None:
    """The day's limit starts again at midnight UTC; the run's does not."""
    it, clock = limits(MIDNIGHT + 86_390, max_usd_per_day=1.0, max_usd_per_run=1.5)
    assert it.reserve_usd(1.0) is None
    assert it.reserve_usd(0.5) is not None
    clock.at += 20
    assert it.reserve_usd(0.5) is None
    assert it.reserve_usd(0.1) is not None
    assert (it.day, it.run) == (0.5, 1.5)


@given(st.lists(st.floats(0, 5), max_size=40), st.floats(0, 20), st.floats(0, 20))
def test_no_order_of_calls_overdraws(prices: list[float], per_run: float, per_day: float) -> None:
    """Whatever is asked, what was admitted stays within both limits."""
    it, _ = limits(max_usd_per_run=per_run, max_usd_per_day=per_day)
    admitted = [price for price in prices if it.reserve_usd(price) is None]
    assert sum(admitted) <= min(per_run, per_day) + 1e-6
    assert it.run == pytest.approx(sum(admitted))


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


def call(key: str, usd: float, at: float = MIDNIGHT + 3600, run: str = "") -> Spend:
    """Return an entry."""
    return Spend(key, "analyze", usd, 1.0, "v", at=at, run=run)


def test_what_is_granted_counts_before_it_is_written_and_only_once() -> None:
    """Steps beside each other cannot overdraw; one that is repeated, because its entry was never written, reserves what it
    had reserved.
    """
    it, _ = limits(max_usd_per_run=1.0)
    assert it.reserve(call("a", 0.6)) is None
    assert it.reserve(call("b", 0.6)) is not None
    assert it.reserve(call("a", 0.7)) is None
    assert it.reserve(call("c", 0.3)) is None
    assert it.run == pytest.approx(1.0)
    it.entered([call("a", 0.7), call("c", 0.3)])
    assert (it.run, it.day) == (pytest.approx(1.0), pytest.approx(1.0))


def test_what_is_settled_for_less_is_free_again_for_its_own_run_and_day() -> None:
    """A call of yesterday, or of an earlier run, frees nothing today: what counts today was spent today."""
    it, _ = limits(max_usd_per_day=1.0)
    it._run_id = "r2"
    it.entered([call("old", 0.9, MIDNIGHT - 60, "r1"), call("mine", 0.8, run="r2")])
    settled = [call("old" + SETTLED, -0.8, MIDNIGHT - 60, "r1"), call("mine" + SETTLED, -0.3, run="r2")]
    it.entered(settled)
    assert (it.day, it.run) == (pytest.approx(0.5), pytest.approx(0.5))
    assert it.reserve_usd(0.6) is not None
    assert it.reserve_usd(0.5) is None


def test_the_month_has_a_limit_of_its_own() -> None:
    """Days add up to the month; the next one, by UTC, begins with nothing."""
    december = 1_796_083_200.0  # 1 December 2026
    it, clock = limits(december - 2 * 86_400, max_usd_per_month=10.0)
    assert it.reserve_usd(6.0) is None
    clock.at += 86_400
    trouble = it.reserve_usd(5.0)
    assert trouble is not None
    assert "$10.00 per month" in trouble.message
    assert "next month" in trouble.remedy
    assert it.reserve_usd(4.0) is None
    clock.at += 86_400
    assert it.month == 0.0
    assert it.reserve_usd(9.0) is None


def test_money_that_waited_over_midnight_is_another_days() -> None:
    """Only where a day's or a month's limit is set, and only for another day; for another run where that has a limit."""
    for section, outdated in (({"max_usd_per_day": 1.0}, True), ({"max_usd_per_month": 1.0}, True), ({}, False)):
        it, _ = limits(MIDNIGHT + 10, **section)
        assert not it.outdated(MIDNIGHT, "another")
        assert it.outdated(MIDNIGHT - 1, "") == outdated
    it, _ = limits(MIDNIGHT + 10, max_usd_per_run=1.0)
    assert it.outdated(MIDNIGHT, "another")
    assert not it.outdated(MIDNIGHT - 86_400, "")


def test_money_that_moves_is_counted_once() -> None:
    """What one run has reserved and left unsent, another counts as its own; the day is not charged for it twice."""
    it, clock = limits(max_usd_per_day=1.0, max_usd_per_run=0.9)
    it._run_id = "r2"
    old = replace(call("k", 0.6), at=clock.at - 60, run="r1")
    it.entered([old])
    billing = Billing(it, run_virtual(_billed(old)), clock, "r2")
    moved = run_virtual(billing.move(COST))
    assert not isinstance(moved, Trouble)
    back, here = moved
    assert (back.usd, back.at, back.run, back.refund) == (-0.6, old.at, "r1", True)
    assert (here.usd, here.at, here.run, here.key) == (0.6, clock.at, "r2", "k/moved-1")
    it.entered(moved)
    assert (it.run, it.day) == (pytest.approx(0.6), pytest.approx(0.6))
    again = Billing(it, run_virtual(_billed(old, *moved)), clock, "r3")
    assert [each.key for each in run_virtual(again.move(COST))] == ["k/moved-2/refused", "k/moved-2"]  # type: ignore[union-attr]
    (settled,) = run_virtual(again.settle(replace(COST, usd=0.1)))
    assert (settled.key, settled.usd, settled.run) == ("k/settled", pytest.approx(-0.5), "r2")
    other = Billing(it, run_virtual(_billed(replace(old, at=clock.at - 86_400))), clock, "r2")
    assert isinstance(run_virtual(other.move(COST)), Trouble)  # another day's money, for which this one has no room


async def _billed(*spends: Spend) -> MemoryDatabase:
    database = MemoryDatabase()
    for spend in spends:
        await database.enter(spend)
    return database


COST = Cost("k", "analyze", 0.2, 1.0, "v", most=0.5, jobs="gist")


def test_the_most_is_reserved_and_what_was_expected_is_remembered() -> None:
    """The entry before the call counts what it can cost; beside it stands what the plan had said."""
    it, clock = limits(max_usd_per_day=0.5)
    billing = Billing(it, run_virtual(_billed()), clock, "r1")
    spend = billing.book(COST)
    assert spend == Spend("k", "analyze", 0.5, 1.0, "v", at=clock.at, estimate=0.2, jobs="gist", run="r1")
    assert isinstance(billing.book(replace(COST, key="other")), Trouble)


def test_a_settlement_is_of_the_booking_and_comes_once() -> None:
    """It corrects what was booked by whatever prices, dated as that; a second one, or one of nothing, does nothing."""
    it, clock = limits()
    booked = Spend("k", "analyze", 0.9, 1.0, "v", at=MIDNIGHT, estimate=0.3, jobs="gist", run="r0")
    actual = replace(COST, usd=0.1)
    entry = replace(booked, key="k" + SETTLED, usd=pytest.approx(-0.8), minutes=0.0, estimate=0.0)
    assert run_virtual(Billing(it, run_virtual(_billed(booked)), clock).settle(actual)) == [entry]
    for there in ((), (booked, replace(booked, key="k" + SETTLED)), (booked, replace(booked, key="k" + REFUND))):
        assert run_virtual(Billing(it, run_virtual(_billed(*there)), clock).settle(actual)) == []


def test_a_refund_takes_back_what_was_booked_even_beyond_a_limit() -> None:
    """A limit that was lowered since refuses every reservation, but not that; prices that changed since do not matter."""
    it, clock = limits(max_usd_per_day=1.0)
    booked = call("k", 5.0)
    it.entered([booked])
    billing = Billing(it, run_virtual(_billed(booked)), clock)
    (refund,) = run_virtual(billing.refund(COST))
    assert (refund.usd, refund.minutes, refund.at, refund.refund) == (-5.0, -1.0, booked.at, True)
    it.entered([refund])
    assert (it.run, it.day) == (0.0, 0.0)
