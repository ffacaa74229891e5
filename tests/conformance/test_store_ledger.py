"""Both databases: entries of the ledger that no task stands for."""

from __future__ import annotations

import pytest

from pipeline.core.model import Spend
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
