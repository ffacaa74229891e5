"""The PostgreSQL database alone: one that is not as it should be, its schema, its plans."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.errors import Busy, DatabaseAway, Permanent, StoreError
from pipeline.core.model import Lane, Result, Selection, Spend, State, Task
from pipeline.ports.store import ApplyAnswer
from pipeline.store.migration import Migration
from pipeline.store.postgres import connection as border
from pipeline.store.postgres import errors, queries, schema
from pipeline.store.postgres.database import PostgresDatabase
from pipeline.store.postgres.migrate import migrate
from pipeline.store.postgres.tallies import ENTERED_SINCE
from tests.conformance.postgres_kit import linked, opened
from tests.conformance.store_kit import NOW, bring, claim, moved, one, placed
from tests.support.postgres import PASSWORD, Databases


@pytest_asyncio.fixture
async def database(address: DatabaseAddress) -> AsyncIterator[PostgresDatabase]:
    """The database, opened."""
    async with opened(address) as found:
        yield found


async def _refused(address: DatabaseAddress) -> StoreError | DatabaseAway:
    with pytest.raises((StoreError, DatabaseAway)) as caught:
        async with opened(address):
            pass
    assert PASSWORD not in f"{caught.value!r} {caught.value.trouble}"
    assert address.name in str(caught.value)
    assert caught.value.trouble.remedy
    return caught.value


# ------------------------------------------------------------------------------------------- not as it should be


@pytest.mark.asyncio
async def test_a_database_that_is_not_ready_is_refused_with_the_remedy(
    address: DatabaseAddress, databases: Databases
) -> None:
    """One that is not there, holds nothing, is older or newer, or keeps other text."""
    missing = await _refused(replace(address, name="nowhere"))
    assert (missing.trouble.code, "does not exist" in str(missing)) == ("database_missing", True)
    assert "reelmill migrate" in (await _refused(replace(address, name="postgres"))).trouble.remedy
    version = "UPDATE reelmill.migration SET version = version {0}, beside = version {0}"
    async with linked(address) as link:
        await link.execute(version.format("+ 5"))
        assert (await _refused(address)).trouble.code == "database_newer"
        with pytest.raises(StoreError, match="knows up to version"):
            await migrate(address)
        await link.execute(version.format("- 5"))
        await link.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    assert (await _refused(replace(address, name="latin"))).trouble.code == "database_encoding"
    async with linked(address) as link:
        await link.execute("DROP DATABASE latin")


@pytest.mark.asyncio
async def test_a_server_that_cannot_be_used_is_refused(
    address: DatabaseAddress, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens; the password is wrong; it speaks no TLS; it is too old. Each in one sentence without the password."""
    near = replace(address, hosts=(("127.0.0.1", databases.server.port),), password=SecretStr(PASSWORD))
    async with opened(near) as database:
        assert await database.submit([placed()], 0.0) == 1
    assert (await _refused(replace(near, hosts=(("127.0.0.1", 1),)))).trouble.code == "database_away"
    wrong = await _refused(replace(near, password=SecretStr("hunter2")))
    assert wrong.trouble.code == "database_refused"
    assert "hunter2" not in f"{wrong.trouble}"
    assert (await _refused(replace(near, tls="require"))).trouble.code == "database_tls"
    away = replace(near, tls="verify-full", root_certificate=Path("/nowhere/root.pem"))
    with pytest.raises(StoreError, match=r"/nowhere/root\.pem"):
        async with opened(away):
            pass
    monkeypatch.setattr(border, "OLDEST_SERVER", 990_000)
    assert (await _refused(near)).trouble.code == "database_too_old"


@pytest.mark.asyncio
async def test_a_role_without_rights_is_told_so(address: DatabaseAddress) -> None:
    """Reading goes as far as its rights; writing is refused, and is not waited for."""
    async with linked(address) as link:
        await link.execute("CREATE ROLE looker LOGIN")
        await link.execute(
            "GRANT USAGE ON SCHEMA reelmill TO looker; GRANT SELECT ON ALL TABLES IN SCHEMA reelmill TO looker"
        )
        try:
            async with opened(replace(address, role="looker")) as database:
                assert await database.tasks(Selection()) == []
                with pytest.raises(StoreError) as caught:
                    await database.submit([placed()], 0.0)
                assert caught.value.trouble.code == "database_unwritable"
        finally:
            await link.execute("DROP OWNED BY looker; DROP ROLE looker")


@pytest.mark.asyncio
async def test_a_database_opened_for_reading_refuses_to_write(address: DatabaseAddress) -> None:
    """In words; reading goes on."""
    async with opened(address, "") as database:
        with pytest.raises(StoreError) as caught:
            await database.submit([placed()], 0.0)
        assert caught.value.trouble.code == "database_read_only"
        assert await database.tasks(Selection()) == []


@pytest.mark.parametrize(
    ("code", "sort", "name"),
    [
        ("08006", DatabaseAway, "database_away"), ("57P01", DatabaseAway, "database_away"),
        ("57P03", DatabaseAway, "database_away"), ("53300", DatabaseAway, "database_away"),
        ("53100", DatabaseAway, "disk_full"), ("25006", DatabaseAway, "database_standby"),
        ("55P03", DatabaseAway, "database_locked"), ("40P01", DatabaseAway, "database_locked"),
        ("57014", DatabaseAway, "database_away"), ("58030", DatabaseAway, "database_io"),
        ("28P01", StoreError, "database_refused"), ("28000", StoreError, "database_refused"),
        ("3D000", StoreError, "database_missing"), ("42501", StoreError, "database_unwritable"),
        ("42P01", StoreError, "database_older"), ("XX001", StoreError, "database_damaged"),
        ("22021", Permanent, "unstorable"), ("54000", Permanent, "unstorable"), ("42601", StoreError, "database_unexpected"),
    ],
)  # fmt: skip
def test_every_code_says_whether_waiting_helps(code: str, sort: type[Exception], name: str) -> None:
    """What passes is waited for, a value is refused for good, the rest ends a run with advice."""
    found = errors.of_code(code, "detail", "the database 'x' at y")
    assert (type(found), found.trouble.code, found.trouble.detail) == (sort, name, "detail")
    assert sort is Permanent or "atabase 'x' at y" in str(found)


@pytest.mark.asyncio
async def test_a_full_disk_is_waited_for(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """Nothing of a group is there before there is room, and all of it afterwards; the connection stays."""
    task = await bring(database, State.RUNNING)
    outcome = moved(task, spawn=[placed("child")], spend=[Spend("k", "analyze", 1.0)])
    async with linked(address) as link:
        await link.execute(
            "CREATE FUNCTION reelmill.no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;"
            "CREATE TRIGGER no_room BEFORE INSERT ON reelmill.task EXECUTE FUNCTION reelmill.no_room()"
        )
        try:
            with pytest.raises(DatabaseAway) as caught:
                await database.apply(outcome, NOW)
            assert caught.value.trouble.code == "disk_full"
            assert ((await one(database)).state, (await database.spent())[0]) == (State.RUNNING, 0.0)
        finally:
            await link.execute("DROP FUNCTION reelmill.no_room CASCADE")
    assert await database.apply(outcome, NOW) is ApplyAnswer.WRITTEN
    assert ((await one(database, "child")).state, (await database.spent())[0]) == (State.PENDING, 1.0)


# -------------------------------------------------------------------------------------------------------------- schema


@pytest.mark.asyncio
async def test_two_hosts_that_migrate_at_once_do_it_once(address: DatabaseAddress) -> None:
    """The second waits for the first and has nothing left to do; a step that fails leaves the version before it."""
    async with linked(address) as link:
        await link.execute("CREATE DATABASE empty")
    empty = replace(address, name="empty")
    try:
        newest = len(schema.MIGRATIONS)
        done = await asyncio.gather(migrate(empty), migrate(empty))
        assert sorted((each.before, each.version) for each in done) == [(0, newest), (newest, newest)]
        broken = (*schema.MIGRATIONS, Migration("broken", ("CREATE TABLE kept (n int)", "SELECT nonsense")))
        with pytest.raises(StoreError):
            await migrate(empty, broken)
        async with opened(empty) as database, linked(empty) as link:
            assert await database.submit([placed()], 0.0) == 1
            assert await link.fetchval("SELECT to_regclass('reelmill.kept')") is None
    finally:
        async with linked(address) as link:
            await link.execute("DROP DATABASE empty WITH (FORCE)")


@pytest.mark.asyncio
async def test_hosts_of_the_release_before_go_on_beside_a_step_that_only_adds(address: DatabaseAddress) -> None:
    """Each step says which version can: then it works as before. Any other step waits until they have ended, and then they
    are refused, also those that come back after their connection was cut; and so is `migrate` of theirs.
    """
    known = len(schema.MIGRATIONS)
    adds = Migration("adds", ("ALTER TABLE task ADD COLUMN mood text NOT NULL DEFAULT ''",), beside=known)
    takes = Migration("takes", ("ALTER TABLE task DROP COLUMN mood",))
    async with linked(address) as link:
        await link.execute("CREATE DATABASE newer")
    newer = replace(address, name="newer")
    try:
        await migrate(newer)
        async with opened(newer) as before:
            await migrate(newer, (*schema.MIGRATIONS, adds))
            assert await before.submit([placed()], 0.0) == 1
        async with opened(newer) as beside:
            assert [task.key for task in await claim(beside)] == ["a"]
            with pytest.raises(StoreError, match="knows up to version"):
                await migrate(newer)
            with pytest.raises(Busy, match=rf"Others work on .*: {socket.gethostname()[:40]}:{os.getpid()}"):
                await migrate(newer, (*schema.MIGRATIONS, adds, takes))
            async with linked(address) as link:
                await link.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'newer'")
            await migrate(newer, (*schema.MIGRATIONS, adds, takes))
            codes = []
            for _ in range(2):  # the first call only learns that the connection has ended
                with pytest.raises((DatabaseAway, StoreError)) as caught:
                    await beside.submit([placed("b")], 0.0)
                codes.append(caught.value.trouble.code)
            assert codes[-1] == "database_newer"
        assert (await _refused(newer)).trouble.code == "database_newer"
    finally:
        async with linked(address) as link:
            await link.execute("DROP DATABASE newer WITH (FORCE)")


@pytest.mark.asyncio
async def test_names_are_read_from_any_json(database: PostgresDatabase) -> None:
    """NUL, half a pair and backslashes in one member hide no other; a trouble's code is found beside them."""
    data = {"title": "plain", "folder": "a\\u0000b \0 \ud83d ü", "place": "🎬"}
    await bring(database, State.DONE, "odd", kind="item", data=data)
    for text in ("plain", "a\\u0000b", "🎬", "ü"):
        assert [task.key for task in await database.tasks(Selection(mentions=(text,)))] == ["odd"]
    await database.command("cancel", Selection(states=(State.DONE,)), NOW)
    assert (await one(database, "odd")).data == {**data, "cancelled": True}


# --------------------------------------------------------------------------------------------------------------- plans


async def _touched(link: Any, sql: str, *values: Any) -> int:
    """Return how many blocks a statement touches; what it changes is undone."""
    transaction = link.transaction()
    await transaction.start()
    plan = await link.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT TEXT) {sql}", *values)
    await transaction.rollback()
    lines = [row[0] for row in plan]
    buffers = next(line for line in lines if "Buffers:" in line)  # of the whole statement: the first
    return sum(int(word.partition("=")[2]) for word in buffers.split() if word[:4] in ("hit=", "read"))


def _statements(task: Task, other: Task) -> Sequence[tuple[str, tuple[Any, ...]]]:
    assert task.lease is not None
    move = (
        [task.id], ["done"], ["x"], ["fetch"], [0], [0], [0], [None], [0.0], [None], [None], [None], [True], [0.0],
        [True],
    )  # fmt: skip
    return (
        (queries.FIND_DUE, (["fetch", "poll"], [5, 5], NOW, "", ["video"], ["fetch"])),
        (queries.AT_WORK, ("upload", "fetch", 50)),
        (queries.LOCK, ([task.id], [other.kind], [other.key])),
        (queries.RENEW, ([task.id], [task.lease.owner], [task.lease.token], NOW + 90)),
        (queries.MOVE, move),
        (queries.EXISTING, ([other.kind], [other.key], [True])),
        (queries.MERGE, (other.kind, other.key, "{}", NOW)),
    )


@pytest.mark.asyncio
async def test_no_statement_of_a_step_walks_the_table(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """The blocks that each touches do not grow with the queue, due or not due."""

    async def measured() -> list[int]:
        async with linked(address) as link:
            await link.execute("SET search_path = reelmill; ANALYZE task")
            task, other = (await database.tasks(Selection(keys=(key,))))[0], await one(database, "due1")
            return [await _touched(link, sql, *values) for sql, values in _statements(task, other)]

    await database.submit([placed(f"due{number}", rank=number % 3) for number in range(300)], 0.0)
    (first,) = await database.claim({Lane.FETCH: 1}, "me", NOW, NOW + 60)
    key = first.key
    few = await measured()
    later = [placed(f"later{number}", rank=number % 5, due=NOW + 1) for number in range(4_000)]
    await database.submit([*(placed(f"more{number}", rank=number % 3) for number in range(1_500)), *later], 0.0)
    many = await measured()
    assert all(after < 2 * before + 60 for before, after in zip(few, many, strict=True)), (few, many)


@pytest.mark.asyncio
async def test_the_ledger_is_read_on_from_where_it_was(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """What spending limits read before each entry does not grow with the ledger."""
    async with linked(address) as link:
        await link.execute(
            "INSERT INTO reelmill.spend (key, what, usd, minutes, subject, doubtful, at, estimate, jobs, run)"
            " SELECT 'k' || n, 'analyze', 0.01, 1, '', 0, n, 0.01, '', 'r' FROM generate_series(1, 20000) AS n"
        )
        await link.execute("SET search_path = reelmill; ANALYZE spend")
        last = (await database.daily()).last
        assert len(await database.entered_since(last - 3)) == 3
        assert await _touched(link, ENTERED_SINCE, last - 3) <= 10


@pytest.mark.asyncio
async def test_results_of_a_group_are_kept_once(database: PostgresDatabase) -> None:
    """Two outcomes of one commit with the same answer and the same ledger entry leave one of each."""
    await database.submit([placed("a"), placed("b")], 0.0)
    tasks = await claim(database)
    made = [Result("v", "gist", "f", {"n": 1}, {}, NOW)]
    answers = await asyncio.gather(*(database.apply(moved(task, results=made), NOW) for task in tasks))
    assert answers == [ApplyAnswer.WRITTEN] * 2
    assert len(await database.results(["v"])) == 1
