"""Sums by day and month under a clock that is set back, or was ahead: nothing is forgotten, nothing blocks for long."""

from __future__ import annotations

from random import Random

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pipeline.budget.dated_sums import DAY, DatedSums
from pipeline.budget.limits import SpendingLimits
from pipeline.config.settings import BudgetSection
from pipeline.core.model import Spend
from tests.support.clock import run_virtual
from tests.support.memory_database import MemoryDatabase
from tests.unit.test_spending_limits import Hand

DECEMBER = 1_796_083_200.0  #: midnight UTC of 1 December 2026


def test_a_clock_set_back_over_midnight_forgets_nothing() -> None:
    """What was spent after the midnight that comes again counts before it, with what that day had; and after it again."""
    sums = DatedSums()
    sums.add(DECEMBER + 5 * DAY - 60, 8.0)
    sums.add(DECEMBER + 5 * DAY + 60, 3.0)
    before, after = DECEMBER + 5 * DAY - 30, DECEMBER + 5 * DAY + 120
    assert (sums.day(after), sums.day(before), sums.day(after)) == (3.0, 11.0, 3.0)
    assert sums.month(before) == 11.0


def test_a_clock_set_back_over_the_end_of_a_month_forgets_nothing() -> None:
    """The new month's money counts in the old one while that is there again."""
    sums = DatedSums()
    sums.add(DECEMBER - DAY, 8.0)
    sums.add(DECEMBER + 60, 3.0)
    assert (sums.month(DECEMBER + 120), sums.month(DECEMBER - 60)) == (3.0, 11.0)
    assert (sums.day(DECEMBER - 60), sums.month(DECEMBER + 120)) == (11.0, 3.0)


def test_a_clock_that_was_a_month_ahead_does_not_block_the_month() -> None:
    """Its money counts on the day on which that is found out, in that month, and once more when its date comes."""
    sums = DatedSums()
    sums.add(DECEMBER + 40 * DAY, 5.0)
    assert (sums.day(DECEMBER), sums.month(DECEMBER)) == (5.0, 5.0)
    assert (sums.day(DECEMBER + DAY), sums.month(DECEMBER + DAY)) == (0.0, 5.0)
    assert (sums.day(DECEMBER + 40 * DAY), sums.month(DECEMBER + 40 * DAY)) == (5.0, 5.0)
    sums.add(DECEMBER + 41 * DAY, 2.0)
    assert sums.day(DECEMBER + 2 * DAY) == 2.0


def test_what_is_settled_later_frees_nothing_of_another_day() -> None:
    """A call of a false future that is settled for less lessens what was counted for it, not what today has spent."""
    sums = DatedSums()
    sums.add(DECEMBER + 40 * DAY, 5.0)
    assert sums.day(DECEMBER) == 5.0
    sums.add(DECEMBER + DAY, 1.0)
    sums.add(DECEMBER + 40 * DAY, -4.0)
    assert (sums.day(DECEMBER + DAY), sums.day(DECEMBER)) == (1.0, 2.0), "the first day: what is left, and the second's"


def test_what_was_counted_early_is_remembered() -> None:
    """By the journal, as JSON; what cannot be read counts as nothing remembered, so that all of it counts again."""
    sums = DatedSums()
    sums.add(DECEMBER + 40 * DAY, 5.0)
    assert sums.day(DECEMBER) == 5.0
    database = MemoryDatabase()
    run_virtual(database.enter(Spend("a", "analyze", 5.0, at=DECEMBER + 40 * DAY)))
    days = run_virtual(database.daily()).usd
    assert DatedSums(days, sums.as_json()).day(DECEMBER + DAY) == 0.0
    for early in (None, [[1]], "x", [["a", "b", "c"]], 7):
        assert DatedSums(days, early).day(DECEMBER + DAY) == 5.0


def test_an_entry_beyond_the_calendar_stops_nothing() -> None:
    """A clock that read the year 300,000: it counts today, and the sums go on."""
    sums = DatedSums()
    sums.add(1e13, 5.0)
    assert (sums.day(DECEMBER), sums.month(DECEMBER)) == (5.0, 5.0)
    assert (sums.day(DECEMBER + DAY), sums.month(DECEMBER + DAY)) == (0.0, 5.0)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_whatever_the_clock_does_no_day_or_month_is_overdrawn(seed: int) -> None:
    """Runs come and go while the clock jumps by minutes, days and months: of the entries dated on any one day, and in any one
    month, the sum stays within the limit; and of those that a stretch without a new day by the clock has made, too.
    """
    rng, clock, database = Random(seed), Hand(DECEMBER - 3 * DAY), MemoryDatabase()
    budget = BudgetSection(max_usd_per_day=3.0, max_usd_per_month=7.0)
    limits = SpendingLimits(budget, clock)
    today, stretch = clock.at // DAY, 0.0
    for number in range(60):
        if rng.random() < 0.15:
            limits = SpendingLimits(budget, clock)
            run_virtual(limits.open(database))
        clock.at += rng.choice((60.0, 3600.0, -60.0, 30_000.0, -30_000.0, DAY, -DAY, 31 * DAY, -31 * DAY))
        # Going back to an earlier day makes no new day: what was spent before the jump still counts.
        if clock.at // DAY > today:
            stretch = 0.0
        today = clock.at // DAY
        spend = Spend(f"{number}", "analyze", rng.choice((0.1, 0.7, 1.3)), at=clock.at)
        if limits.reserve(spend) is None:
            assert run_virtual(database.enter(spend, limits.guard))
            stretch += spend.usd
            assert stretch <= 3.0 + 1e-6
    for by, most in (("day", 3.0), ("month", 7.0)):
        assert all(group.usd <= most + 1e-6 for group in run_virtual(database.costs(by)))  # type: ignore[arg-type]


def test_what_lies_ahead_is_told() -> None:
    """The run that finds it says in the log how much it is, once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    clock, database = Hand(DECEMBER), MemoryDatabase()
    run_virtual(database.enter(Spend("a", "analyze", 5.0, at=DECEMBER + 40 * DAY)))
    for told in (True, False):
        with capture_logs() as logs:
            run_virtual(SpendingLimits(BudgetSection(), clock).open(database))
        assert any("$5.00 of the ledger are dated after today" in line.get("why", "") for line in logs) == told
