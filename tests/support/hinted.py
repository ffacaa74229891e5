"""The PostgreSQL database with PgQueuer inside, in the time of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.model import Lane, Parked, Placed, Selection, Task
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, LaneCaps
from pipeline.store.postgres.connection import Hold, Transaction
from pipeline.store.postgres.database import PostgresDatabase
from pipeline.store.postgres.handout.hints import HintHandOut

_FIRST = "INSERT INTO note (name, value) VALUES ('test/now', $1::float8::text) ON CONFLICT DO NOTHING"
#: What has passed in the time of the tests. What passes on the server's clock meanwhile is left in: less than a second.
_SHIFT = """
WITH passed AS (
    SELECT make_interval(secs => $1 - value::float8) AS by FROM note WHERE name = 'test/now' AND value::float8 <> $1
),
moved AS (UPDATE pgqueuer SET execute_after = execute_after - passed.by, heartbeat = heartbeat - passed.by FROM passed)
UPDATE note SET value = $1::float8::text WHERE name = 'test/now'
"""


class TravellingDatabase(PostgresDatabase):
    """Moves all hints whenever a call comes at another time than the last.

    PgQueuer asks the server's clock what is due. That a minute has passed on it and that all hints were put a minute earlier
    is the same. Nothing is swept: what a call forgets to hint stays forgotten.
    """

    async def _travel(self, now: float) -> None:
        await self._writing().transaction(partial(_shift, now))

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        await self._travel(now)
        return await super().submit(tasks, now)

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        await self._travel(now)
        return await super().claim(free_slots, owner, now, until, caps)

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        await self._travel(now)
        return await super().apply(applied, now)

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        await self._travel(now)
        return await super().command(verb, which, now)

    async def park(self, parked: Parked, now: float) -> None:
        await self._travel(now)
        await super().park(parked, now)

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        await self._travel(now)
        return await super().unpark(scopes, classes, now)

    async def bring_forward(self, now: float) -> int:
        await self._travel(now)
        return await super().bring_forward(now)


async def _shift(now: float, transaction: Transaction) -> None:
    await transaction.count(_FIRST, now)
    await transaction.fetch("SELECT FROM note WHERE name = 'test/now' FOR UPDATE")
    await transaction.count(_SHIFT, now)


async def open_hinted(
    address: DatabaseAddress, hold: Hold = "beside", limits: Mapping[Lane, int] | None = None
) -> TravellingDatabase:
    """Open a database whose schema has PgQueuer's tables."""
    handout = HintHandOut(limits or {})
    handout._swept = float("inf")
    database = TravellingDatabase(address, hold, handout)
    try:
        await database.connect()
    except BaseException:
        await database.aclose()
        raise
    return database
