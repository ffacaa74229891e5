"""The PostgreSQL that the store's suites run on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from pipeline.config.database_address import DatabaseAddress, parse_address
from tests.support.postgres import Databases, databases

__all__ = ["databases"]


@pytest_asyncio.fixture
async def address(databases: Databases) -> AsyncIterator[DatabaseAddress]:
    """An empty database."""
    async with databases.lent() as url:
        yield parse_address(url)
