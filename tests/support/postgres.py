"""Empty PostgreSQL databases for tests, of the session's one server; each is used by many tests, one after the other."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from pipeline.config.database_address import parse_address
from pipeline.store.postgres.migrate import migrate
from pipeline.store.postgres.schema import SCHEMA, TABLES
from tests.support.postgres_server import ROLE, Server, shared_server

PASSWORD = "not-a-secret"  #: of the role, over TCP; over the Unix socket it needs none
_NUMBERS = count(1)  #: of databases; a process may have several of these fixtures
TEMPLATE = "reelmill_template"  #: the database that all others are copies of
#: What a test leaves; small tables are emptied faster than they are truncated.
_EMPTY = (
    f"DELETE FROM {SCHEMA}.pgqueuer;"
    + "".join(f"DELETE FROM {SCHEMA}.{table};" for table in TABLES if table != "migration")
    + "".join(
        f"ALTER TABLE {SCHEMA}.{table} ALTER COLUMN {column} RESTART;"
        for table, column in (("task", "id"), ("result", "id"), ("spend", "id"), ("run", "number"))
    )
)


class Databases:
    """The databases of one test process."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._free: list[str] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[str]:
        """Lend an empty database; give its address."""
        name = self._free.pop() if self._free else await self._make()
        link = await asyncpg.connect(self.server.url(name))
        try:
            await link.execute(_EMPTY)
        finally:
            await link.close()
        yield self.server.url(name)
        self._free.append(name)

    async def _make(self) -> str:
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        link = await asyncpg.connect(self.server.url("postgres"))
        try:
            await link.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        finally:
            await link.close()
        return name


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """The session's PostgreSQL, started by the first test that needs it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    return Databases(shared_server(Path(root) / "postgres", [sys.executable, "-m", __name__]))


async def fill_template(url: str) -> None:
    """Make the database that all others are copies of."""
    link = await asyncpg.connect(url)
    await link.execute(f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")
    await link.execute(f"CREATE DATABASE {TEMPLATE}")
    await link.close()
    await migrate(parse_address(url.replace("/postgres?", f"/{TEMPLATE}?")), engine="pgqueuer")


if __name__ == "__main__":
    asyncio.run(fill_template(sys.argv[1]))
