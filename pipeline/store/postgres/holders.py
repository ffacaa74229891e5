"""Who works on a database: what stands for the lock of a state folder."""

from __future__ import annotations

from pipeline.config.database_address import DatabaseAddress
from pipeline.store.postgres.connection import HOLDERS, Link


async def find_holders(address: DatabaseAddress) -> list[str]:
    """Return the processes at work on a database, as ``host:pid``.

    Raises:
        DatabaseAway: it does not answer now.
        StoreError: it cannot be used.
    """
    link = Link(address)
    await link.open()
    try:
        return [row[0] for row in await link.fetch(HOLDERS)]
    finally:
        await link.aclose()
