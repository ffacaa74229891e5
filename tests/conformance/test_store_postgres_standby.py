"""PostgreSQL with a standby that lags: who works asks the primary, whatever place it has in the address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from pipeline.config.database_address import DatabaseAddress, parse_address
from pipeline.core.errors import DatabaseAway
from pipeline.core.model import ItemQuery, Selection
from pipeline.store.postgres import database as store
from pipeline.store.postgres.database import open_database
from pipeline.store.postgres.migrate import migrate
from tests.conformance.postgres_kit import opened
from tests.conformance.store_kit import placed
from tests.support.postgres_server import RECKLESS, PostgresProcess

_REPLICATED = {**RECKLESS, "wal_level": "replica", "max_wal_senders": "2"}


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[DatabaseAddress]:
    """An empty database of two hosts: the first one is a standby and stays as it is, the second one the primary."""
    with ExitStack() as stack:

        def process(primary: PostgresProcess | None = None) -> PostgresProcess:
            folder = Path(tempfile.mkdtemp(prefix="reelmill-pg-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            made = PostgresProcess(folder, _REPLICATED, primary)
            made.start()
            stack.callback(made.stop)
            return made

        primary = process()
        address = parse_address(primary.server.url("postgres"))
        await migrate(address)
        standby = process(primary)
        yield replace(address, hosts=((str(standby.server.folder), standby.server.port), *address.hosts))


@pytest.mark.asyncio
async def test_who_works_reads_what_was_written(pair: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover the old primary may come back as a standby, and answers first: only who just looks reads there."""
    monkeypatch.setattr(store, "_LOOK", 0.0)
    async with opened(pair) as database:
        await database.submit([placed(kind="item")], 0.0)
        assert [task.key for task in await database.tasks(Selection())] == ["a"]
        assert [[one.item.key for one in page] async for page in database.items(ItemQuery())] == [["a"]]
        await database.news()
    async with opened(pair, "") as reader:
        assert await reader.tasks(Selection()) == []
    for hosts in (pair.hosts[:1], pair.hosts[:1] * 2):
        with pytest.raises(DatabaseAway) as caught:
            await open_database(replace(pair, hosts=hosts))
        assert caught.value.trouble.code == "database_standby"
