"""The three roles of a shared database, on a real server: what each may do, and what it is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.errors import StoreError
from pipeline.core.model import Parked, Result, RunNote, Selection, Spend, State
from pipeline.ports.store import ApplyAnswer
from pipeline.store.postgres.migrate import migrate
from tests.conformance.postgres_kit import linked, opened
from tests.conformance.store_kit import NOW, TROUBLE, bring, claim, moved, placed

#: What neither may do, whatever a table is.
_NEVER = (
    "CREATE TABLE {0}mine ()", "DROP TABLE {0}task", "ALTER TABLE {0}task ADD COLUMN mine int", "TRUNCATE {0}parked",
    "CREATE FUNCTION {0}fact(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION {0}note_change CASCADE",
    "ALTER TABLE {0}task DISABLE TRIGGER task_written", "CREATE INDEX ON {0}task (id)", "UPDATE {0}migration SET version = 0",
    "DELETE FROM {0}spend", "UPDATE {0}spend SET usd = 0", "DELETE FROM {0}task", "DELETE FROM {0}result",
    "DELETE FROM {0}run",
)  # fmt: skip
_NOT_A_READER = (
    "INSERT INTO {0}note VALUES ('a', '1')", "UPDATE {0}task SET rank = 0", "DELETE FROM {0}parked",
    "SELECT nextval('{0}task_id_seq')", "SELECT FROM {0}task FOR UPDATE",
)  # fmt: skip


@pytest_asyncio.fixture
async def roles(address: DatabaseAddress) -> AsyncIterator[tuple[DatabaseAddress, DatabaseAddress]]:
    """The database as its worker, and as its reader."""
    worker, reader = (await migrate(address, make_roles=True)).roles
    yield replace(address, role=worker), replace(address, role=reader)
    async with linked(address) as link:
        for name in (worker, reader):
            await link.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


async def _refused(address: DatabaseAddress, *statements: str) -> None:
    async with linked(address) as link:
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await link.execute(statement.format("reelmill."))


@pytest.mark.asyncio
async def test_a_worker_does_what_a_run_and_an_operator_do(roles: tuple[DatabaseAddress, DatabaseAddress]) -> None:
    """Claims, outcomes, the ledger, pauses, notes, retry and cancel; tables and what is paid it can only add to."""
    async with opened(roles[0]) as database:
        task = await bring(database, State.RUNNING, kind="publish")
        assert await database.renew([task], NOW + 90) == {task.id}
        outcome = moved(task, results=[Result("v", "gist", "f", 1)], spend=[Spend("k", "analyze", 1.0, at=NOW)],
                        spawn=[placed("child", restart_at="x")])  # fmt: skip
        assert await database.apply(outcome, NOW) is ApplyAnswer.WRITTEN
        await database.submit([placed("child", restart_at="x", data={"n": 1})], NOW)
        (change,) = await database.changed_videos(0, 9)
        assert await database.catch_up([change.mark], "index", 1, None)
        await database.enter(Spend("l", "ask", 1.0, at=NOW))
        await database.park(Parked("fetch", NOW + 9, TROUBLE), NOW)
        assert await database.unpark(["fetch"], ["x"], NOW) == 0
        assert await database.bring_forward(NOW) == 0
        await database.note_run(RunNote("r", NOW))
        await database.note_run(RunNote("r", NOW, NOW + 1, 0))
        await database.save("x", 1)
        await database.change("x", lambda _before: (2, None))
        assert [each.key for each in await claim(database)] == ["child"]
        assert await database.command("cancel", Selection(keys=("child",)), NOW) == 1
        assert await database.command("retry", Selection(keys=("child",)), NOW) == 1
        for upkeep in (database.drop_runs(0), database.forget([task.id], "v", "now"), database.compact()):
            with pytest.raises(StoreError) as caught:
                await upkeep
            assert caught.value.trouble.code == "database_unwritable"
            assert "owner" in caught.value.trouble.remedy
    await _refused(roles[0], *_NEVER)


@pytest.mark.asyncio
async def test_a_reader_looks(address: DatabaseAddress, roles: tuple[DatabaseAddress, DatabaseAddress]) -> None:
    """It reads everything that there is, and changes nothing."""
    async with opened(address) as database:
        await database.submit([placed()], 0.0)
    async with opened(roles[1], "") as database:
        assert len(await database.tasks(Selection())) == 1
        assert (await database.tally())["working"] == 0
        assert await database.runs(1) == []
        assert await database.time() > 0
    await _refused(roles[1], *_NEVER, *_NOT_A_READER)


@pytest.mark.asyncio
async def test_each_migration_sets_the_rights_again(
    address: DatabaseAddress, roles: tuple[DatabaseAddress, DatabaseAddress]
) -> None:
    """Also of roles that exist already, and without being asked: new tables are theirs, too much is taken back."""
    async with linked(address) as link:
        await link.execute(f'GRANT DELETE ON reelmill.spend TO "{roles[1].role}"; CREATE TABLE reelmill.later ()')
        try:
            assert (await migrate(address)).roles == (roles[0].role, roles[1].role)
            await _refused(roles[1], "DELETE FROM {0}spend")
            async with opened(roles[0]) as database:
                assert await database._reader.fetch("SELECT FROM later") == []
        finally:
            await link.execute("DROP TABLE reelmill.later")


@pytest.mark.asyncio
async def test_who_may_make_no_roles_is_told_what_to_ask_for(address: DatabaseAddress) -> None:
    """The statements for an administrator stand in the remedy; with them, every later migration does the rest."""
    async with linked(address) as link:
        await link.execute("CREATE ROLE modest LOGIN")
        await link.execute("CREATE DATABASE modest OWNER modest")
    theirs = replace(address, role="modest", name="modest")
    try:
        with pytest.raises(StoreError, match="may make no roles") as caught:
            await migrate(theirs, make_roles=True)
        statements = " ".join(re.findall("CREATE ROLE [^;]*;", caught.value.trouble.remedy))
        async with linked(address) as link:
            await link.execute(statements)
        assert (await migrate(theirs)).roles == ("modest_worker", "modest_reader")
        async with opened(replace(theirs, role="modest_worker")) as database:
            assert await database.submit([placed()], 0.0) == 1
    finally:
        async with linked(address) as link:
            await link.execute("DROP DATABASE modest WITH (FORCE)")
            await link.execute("DROP ROLE IF EXISTS modest_worker, modest_reader, modest")
