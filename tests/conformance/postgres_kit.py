"""What the suites of PostgreSQL share: one more host, and a foreign connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from pipeline.config.database_address import DatabaseAddress
from pipeline.store.postgres.connection import Hold
from pipeline.store.postgres.database import PostgresDatabase, open_database


@asynccontextmanager
async def opened(address: DatabaseAddress, hold: Hold = "beside") -> AsyncIterator[PostgresDatabase]:
    """Open the database as one more host."""
    found = await open_database(address, hold=hold)
    try:
        yield found
    finally:
        await found.aclose()


@asynccontextmanager
async def linked(address: DatabaseAddress, name: str = "") -> AsyncIterator[Any]:
    """Give a foreign connection to the same server."""
    host, port = address.hosts[0]
    link = await asyncpg.connect(host=host, port=port, user=address.role, database=name or address.name)
    try:
        yield link
    finally:
        await link.close()
