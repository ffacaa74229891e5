"""No statement that a step, a claim or a sweep makes reads a large table whole; `python -m tests.bench plans` has a million."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.config.database_address import DatabaseAddress
from tests.conformance.postgres_kit import linked
from tests.support.plans import WHOLE, explain, fill, named, statements
from tests.support.postgres import TEMPLATE

ROWS = 20_000


@asynccontextmanager
async def own(address: DatabaseAddress) -> AsyncIterator[Any]:
    """Give a connection to a database that no test has used: what others have left in the files changes plans."""
    name = f"{address.name}_plans"
    async with linked(address) as link:
        await link.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            async with linked(address, name) as there:
                yield there
        finally:
            await link.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.asyncio
async def test_no_statement_reads_a_large_table_whole(address: DatabaseAddress) -> None:
    """Neither planned for its values nor, as after a few uses, for any; the blocks it touches are a small part of the table."""
    async with own(address) as link:
        await fill(link, ROWS)
        table = await link.fetchval("SELECT pg_relation_size('reelmill.task') / 8192")
        ids = [
            row[0] for row in await link.fetch("SELECT id FROM task WHERE state = 'pending' ORDER BY id DESC LIMIT 25")
        ]
        plans = [await explain(link, name, sql, values) for name, (sql, values) in statements(ids).items()]
    assert {plan.name: plan.scans for plan in plans if plan.scans} == {}
    assert table > 400
    steps = [plan for plan in plans if plan.name != "hint_queries.WITHOUT_HINT"]  # it looks at 500 of each rank
    assert {plan.name: plan.blocks for plan in steps if plan.blocks > 25 * 60} == {}


def test_every_statement_is_looked_at() -> None:
    """One that is new has parameters in the list, or a reason not to be there."""
    looked_at = {name for name in statements([1]) if name.startswith(("queries.", "hint_queries."))}
    assert named() - WHOLE == looked_at
