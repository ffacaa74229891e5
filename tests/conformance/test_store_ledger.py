"""Both databases: entries of the ledger that no task stands for."""

from __future__ import annotations

import pytest

from pipeline.core.model import LedgerDay, Spend
from pipeline.ports.store import Database
from tests.conformance.store_kit import NOW, each_database

database = each_database()


@pytest.mark.asyncio
async def test_what_no_task_paid_for_is_in_the_ledger_once(database: Database) -> None:
    """Each key once, the first entry stands; the sums and the reading side see it."""
    first = Spend("search/x/r1", "search", 0.004, at=NOW)
    await database.enter(first)
    await database.enter(Spend("search/x/r1", "search", 9.0, at=NOW + 1))
    await database.enter(Spend("search/x/r1/2", "search", 0.004, doubtful=True, at=NOW + 5))
    assert (await database.spends([""]))[0] == first
    assert await database.spent() == (pytest.approx(0.008), 0.0, 1)
    assert await database.spent(since=NOW + 5) == (pytest.approx(0.004), 0.0, 1)


@pytest.mark.asyncio
async def test_the_ledger_is_told_by_day(database: Database) -> None:
    """A day is one of UTC; what is taken back counts, a video counts once a day, an entry of no video is no video."""
    day = 86_400.0
    entries = [
        Spend("a", "analyze", 0.5, 2.0, "v", at=10 * day),
        Spend("a/refused", "analyze", -0.5, -2.0, "v", at=11 * day - 1),
        Spend("b", "analyze", 1.0, 3.0, "w", at=10 * day + 5),
        Spend("c", "search", 0.25, 0.0, "", at=12 * day),
        Spend("d", "analyze", 1.0, 1.0, "v", at=9 * day),
    ]
    for entry in entries:
        await database.enter(entry)
    assert await database.days(10 * day + 7) == [
        LedgerDay("1970-01-11", 1.0, 3.0, 2),
        LedgerDay("1970-01-13", 0.25, 0.0, 0),
    ]
    assert [each.day for each in await database.days(0.0)] == ["1970-01-10", "1970-01-11", "1970-01-13"]
