"""What hands out due tasks; the table of tasks does by itself.

What stands in the table is the truth for both. An engine keeps a *hint* for each task that is pending, and finds the due ones
by it; a hint that is missing or wrong costs time, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.core.model import Task
from pipeline.store.encoding import parse_task
from pipeline.store.postgres import queries
from pipeline.store.postgres.connection import Transaction
from pipeline.store.postgres.selection import columns_of
from pipeline.store.requeue import Identity
from pipeline.store.write_group import Claim


class HandOut(Protocol):
    """Finds due tasks. Each call is part of a transaction of the caller's."""

    @property
    def follows(self) -> bool:
        """Whether it must learn of what is written."""
        ...

    async def claim(self, transaction: Transaction, claim: Claim) -> Sequence[Task]:
        """Take due tasks, in the order of their lanes and ranks."""
        ...

    async def follow(
        self, transaction: Transaction, now: float, ids: Sequence[int], identities: Sequence[Identity] = ()
    ) -> None:
        """Learn that these tasks were written, in this transaction.

        ``now`` is the caller's, epoch seconds.
        """
        ...

    async def renewed(self, transaction: Transaction, ids: Sequence[int]) -> None:
        """Learn that these leases were extended."""
        ...


class TableHandOut:
    """By the table alone: what another host is taking right now is passed over."""

    follows = False

    async def claim(self, transaction: Transaction, claim: Claim) -> Sequence[Task]:
        lanes, free = [lane.value for lane in claim.free_slots], [*claim.free_slots.values()]
        due = await transaction.fetch(queries.FIND_DUE, lanes, free, claim.now, claim.host, *columns_of(claim.steps))
        if not due:
            return ()
        order = {row[0]: place for place, row in enumerate(due)}
        rows = await transaction.fetch(queries.TAKE, [*order], claim.owner, claim.until, claim.now)
        return sorted((parse_task(row) for row in rows), key=lambda task: order[task.id])

    async def follow(
        self, transaction: Transaction, now: float, ids: Sequence[int], identities: Sequence[Identity] = ()
    ) -> None:
        return

    async def renewed(self, transaction: Transaction, ids: Sequence[int]) -> None:
        return


async def change_rows(transaction: Transaction, handout: HandOut, now: float, sql: str, *values: Any) -> int:
    """Run a statement that changes tasks; return how many.

    The hand-out learns which.
    """
    if not handout.follows:
        return await transaction.count(sql, *values)
    ids = [row[0] for row in await transaction.fetch(f"{sql} RETURNING id", *values)]
    await handout.follow(transaction, now, ids)
    return len(ids)
