"""What the suites of PostgreSQL share: one more host, and a foreign connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from pipeline.config.database_address import DatabaseAddress
from pipeline.config.store import Engine
from pipeline.store.postgres.connection import Hold
from pipeline.store.postgres.database import PostgresDatabase, open_database
from pipeline.store.postgres.handout.hints import HintHandOut


@asynccontextmanager
async def opened(
    address: DatabaseAddress, hold: Hold = "beside", engine: Engine = "none"
) -> AsyncIterator[PostgresDatabase]:
    """Open the database as one more host. No lost hints are looked for: none may be lost."""
    found = await open_database(address, hold=hold, engine=engine)
    if isinstance(found._handout, HintHandOut):
        found._handout._swept = float("inf")
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
