"""What one of several hosts does for all: a turn that comes back from the dead, and who is the last."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.config.database_address import DatabaseAddress, parse_address
from pipeline.engine.turns import close_run, end_turn, open_run, take_turn
from tests.conformance.postgres_kit import opened
from tests.support.clock import run_virtual
from tests.support.memory_database import MemoryDatabase
from tests.support.postgres import Databases, databases

__all__ = ["databases"]


def test_a_turn_is_one_hosts_until_it_ends_or_its_time_is_up() -> None:
    """Its holder takes it again; another waits."""

    async def scenario() -> None:
        journal = MemoryDatabase()
        assert await take_turn(journal, "index", "a", 0.0, 15.0)
        assert not await take_turn(journal, "index", "b", 14.0, 15.0)
        assert await take_turn(journal, "index", "a", 14.0, 15.0)
        assert not await take_turn(journal, "index", "b", 28.0, 15.0)
        assert await take_turn(journal, "index", "b", 29.0, 15.0)
        await end_turn(journal, "index", "a")
        assert not await take_turn(journal, "index", "a", 30.0, 15.0)
        await end_turn(journal, "index", "b")
        assert await take_turn(journal, "index", "a", 30.0, 15.0)

    run_virtual(scenario())


def test_the_run_that_closes_last_is_the_last() -> None:
    """Not one whose neighbour has more to do; one whose neighbour has died is."""

    async def scenario() -> None:
        journal = MemoryDatabase()
        for host in ("a", "b", "c"):
            await open_run(journal, host, f"run of {host}")
        assert not await close_run(journal, "a", ["b", "c"])
        assert not await close_run(journal, "b", ["a", "c"])  # whose process is still there, and writes its report
        assert await close_run(journal, "c", ["a", "b"])
        await open_run(journal, "a", "next")
        await open_run(journal, "b", "next")
        assert await close_run(journal, "a", [])  # b was killed
        await open_run(journal, "b", "again")
        assert await close_run(journal, "b", ["a"])

    run_virtual(scenario())


@pytest.mark.asyncio
async def test_of_hosts_that_close_at_once_one_is_the_last(databases: Databases) -> None:
    """Four over PostgreSQL, again and again."""
    async with databases.lent() as url:
        address: DatabaseAddress = parse_address(url)
        async with opened(address) as a, opened(address) as b, opened(address) as c, opened(address) as d:
            hosts = {"a": a, "b": b, "c": c, "d": d}
            for _ in range(5):
                for name, journal in hosts.items():
                    await open_run(journal, name, "run")
                closing = (close_run(journal, name, set(hosts) - {name}) for name, journal in hosts.items())
                assert sorted(await asyncio.gather(*closing)) == [False, False, False, True]
