"""The PostgreSQL database alone: several hosts, a server that goes away, databases that are not as they should be, plans."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import anyio.lowlevel
import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from pipeline.config.database_address import DatabaseAddress, parse_address
from pipeline.core.errors import Busy, DatabaseAway, Permanent, StoreError
from pipeline.core.model import Lane, Result, Selection, Spend, State, Task
from pipeline.ports.store import ApplyAnswer
from pipeline.store.migration import Migration
from pipeline.store.postgres import connection as border
from pipeline.store.postgres import database as store
from pipeline.store.postgres import errors, queries, schema
from pipeline.store.postgres.connection import Hold
from pipeline.store.postgres.database import PostgresDatabase, open_database
from pipeline.store.postgres.holders import find_holders
from pipeline.store.postgres.migrate import migrate
from tests.conformance.store_kit import NOW, bring, claim, moved, one, placed
from tests.support.postgres import PASSWORD, Databases

T = TypeVar("T")


@pytest_asyncio.fixture
async def address(databases: Databases) -> AsyncIterator[DatabaseAddress]:
    """An empty database."""
    async with databases.lent() as url:
        yield parse_address(url)


@asynccontextmanager
async def opened(address: DatabaseAddress, hold: Hold = "beside") -> AsyncIterator[PostgresDatabase]:
    """Open the database as one more host."""
    found = await open_database(address, hold=hold)
    try:
        yield found
    finally:
        await found.aclose()


@pytest_asyncio.fixture
async def database(address: DatabaseAddress) -> AsyncIterator[PostgresDatabase]:
    """The database, opened."""
    async with opened(address) as found:
        yield found


@asynccontextmanager
async def linked(address: DatabaseAddress, name: str = "") -> AsyncIterator[Any]:
    """Give a foreign connection to the same server."""
    host, port = address.hosts[0]
    link = await asyncpg.connect(host=host, port=port, user=address.role, database=name or address.name)
    try:
        yield link
    finally:
        await link.close()


async def _refused(address: DatabaseAddress) -> StoreError | DatabaseAway:
    with pytest.raises((StoreError, DatabaseAway)) as caught:
        async with opened(address):
            pass
    assert PASSWORD not in f"{caught.value!r} {caught.value.trouble}"
    assert address.name in str(caught.value)
    assert caught.value.trouble.remedy
    return caught.value


# -------------------------------------------------------------------------------------------------------- several hosts


@pytest.mark.asyncio
async def test_several_hosts_take_each_task_once_and_lose_no_wish(address: DatabaseAddress) -> None:
    """They submit the same keys, claim, write outcomes and wish for restarts at once: each lease is given out once."""
    taken: Counter[tuple[str, int]] = Counter()
    keys = [f"k{number}" for number in range(30)]

    async def host(number: int, database: PostgresDatabase) -> None:
        order = keys[number * 7 :] + keys[: number * 7]
        await database.submit([placed(key) for key in order], 0.0)
        for _ in range(40):
            tasks = await database.claim({Lane.FETCH: 6, Lane.WRITE: 6}, f"host{number}", NOW, NOW + 60)
            taken.update((task.key, task.lease.token) for task in tasks if task.lease is not None)
            spawn = [placed(key, restart_at="again") for key in order[:: len(order) // 5]]
            answers = [database.apply(moved(task, spawn=spawn), NOW) for task in tasks]
            _, *written = await asyncio.gather(database.submit(spawn, NOW), *answers)
            assert set(written) <= {ApplyAnswer.WRITTEN}

    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(opened(address)) for _ in range(3)]
        await asyncio.gather(*(host(number, each) for number, each in enumerate(hosts)))
        left = await hosts[0].tasks(Selection())
    assert set(taken.values()) == {1}
    assert {key for key, _ in taken} == {task.key for task in left} == set(keys)
    assert all(task.lease is None for task in left)
    assert all(task.state is State.DONE or task.stage == "again" for task in left)


@pytest.mark.asyncio
async def test_what_another_host_is_taking_is_passed_over(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """A claim does not wait for the rows of another's, and gives others instead."""
    await database.submit([placed(f"t{number}") for number in range(6)], 0.0)
    async with linked(address) as link, link.transaction():
        await link.fetch("SELECT FROM reelmill.task WHERE key IN ('t0', 't1') FOR UPDATE")
        assert [task.key for task in await database.claim({Lane.FETCH: 2}, "me", NOW, NOW + 60)] == ["t2", "t3"]
    assert [task.key for task in await claim(database)] == ["t0", "t1", "t4", "t5"]


@pytest.mark.asyncio
async def test_a_new_task_that_another_host_puts_at_the_same_time_is_put_once(
    address: DatabaseAddress, database: PostgresDatabase
) -> None:
    """The transaction that comes second waits, sees it, and goes through with the rest."""
    async with linked(address) as link:
        transaction = link.transaction()
        await transaction.start()
        await link.execute(
            "INSERT INTO reelmill.task (kind, key, stage, state, lane, rank, wake_at, stage_since, created, updated, data)"
            " VALUES ('video', 'a', 'fetch', 'pending', 'fetch', 0, 0, 0, 0, 0, '{\"first\":1}')"
        )
        second = asyncio.ensure_future(database.submit([placed("b"), placed("a", data={"second": 1})], 0.0))
        async with linked(address) as watcher:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
            while not await watcher.fetchval(waiting, address.name):
                await anyio.lowlevel.checkpoint()
        await transaction.commit()
        assert await second == 1
    assert (await one(database)).data == {"first": 1}
    assert (await one(database, "b")).state is State.PENDING


@pytest.mark.asyncio
async def test_others_hear_of_work_at_once(address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tasks that are due, of what an operator retries, of a lane that is opened; of its own a process hears nothing."""
    monkeypatch.setattr(store, "_LOOK", 3600.0)
    async with opened(address) as here, opened(address) as there:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(here.news)
                while here._ear._hearing is None:
                    await anyio.lowlevel.checkpoint()
                await there.submit([placed("a"), placed("later", due=NOW)], 0.0)
            await there.command("retry", Selection(), NOW)
            await here.news()
            await there.unpark(["fetch"], [], NOW)
            await here.news()
            await here.submit([placed("own")], 0.0)
            await here.command("retry", Selection(), NOW)
            await there.submit([placed("far", due=NOW)], 0.0)
            await here._ear.fetch("SELECT 1")
            assert not here._ear._heard.is_set()
            await _cut(address)
            await here.news()
            await there.tasks(Selection())


# ---------------------------------------------------------------------------------------------------- it goes away


async def _cut(address: DatabaseAddress) -> None:
    """End all connections to a database, as an administrator does."""
    async with linked(address, "postgres") as link:
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
        assert await link.fetch(ended, address.name)


async def _at_last(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call answers, if need be after it has told once that the database is away."""
    try:
        return await call()
    except DatabaseAway:
        return await call()


@pytest.mark.asyncio
async def test_lost_connections_come_back(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """Whatever is asked next answers, at the latest when it is asked again: writing and reading."""
    task = await bring(database, State.RUNNING)
    await _cut(address)
    assert await _at_last(lambda: database.apply(moved(task, State.DONE, data={"n": 1}), NOW)) is ApplyAnswer.WRITTEN
    assert [task.data for task in await _at_last(lambda: database.tasks(Selection()))] == [{"n": 1}]


@pytest.mark.asyncio
async def test_a_connection_that_ends_under_a_write_is_told(
    address: DatabaseAddress, database: PostgresDatabase
) -> None:
    """Nobody knows whether it happened; asked again, it is there once."""
    await database.submit([placed()], 0.0)
    async with linked(address) as link, link.transaction():
        await link.fetch("SELECT FROM reelmill.task FOR UPDATE")
        writing = asyncio.ensure_future(database.submit([placed("b"), placed(restart_at="x", data={"n": 1})], 0.0))
        async with linked(address, "postgres") as watcher:
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
            )
            while not await watcher.fetch(ended, address.name):
                await anyio.lowlevel.checkpoint()
        with pytest.raises(DatabaseAway):
            await writing
    await database.submit([placed("b"), placed(restart_at="x", data={"n": 1})], 0.0)
    assert sorted(task.key for task in await database.tasks(Selection())) == ["a", "b"]


class CuttingProxy:
    """Passes bytes on to the server; where told to, it lets a COMMIT through and loses the answer with the connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on a free port; give it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        lost = False

        async def ask() -> None:
            nonlocal lost
            while data := await reader.read(65_536):
                if self.cut and b"COMMIT" in data:
                    self.cut, lost = False, True
                back.write(data)

        async def answer() -> None:
            while (data := await there.read(65_536)) and not lost:
                writer.write(data)

        both = [asyncio.ensure_future(each()) for each in (ask, answer)]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.cancel()
        writer.close()
        back.close()


@pytest.mark.asyncio
async def test_an_answer_that_is_lost_with_its_commit_loses_nothing(
    address: DatabaseAddress, databases: Databases
) -> None:
    """An outcome is told as written, once; a claim is given back uncounted, and its tasks are given out again."""
    proxy = CuttingProxy(databases.server.port)
    async with proxy.serving() as port:
        through = replace(address, hosts=(("127.0.0.1", port),), password=SecretStr(PASSWORD))
        async with opened(through) as database:
            task = await bring(database, State.RUNNING)
            outcome = moved(task, spawn=[placed("child")], spend=[Spend("k", "analyze", 1.0, subject="v")])
            proxy.cut = True
            with pytest.raises(DatabaseAway):
                await database.apply(outcome, NOW)
            assert (await one(database)).state is State.DONE
            assert await database.apply(outcome, NOW) is ApplyAnswer.WRITTEN
            assert (await database.spent())[0] == 1.0
            proxy.cut = True
            with pytest.raises(DatabaseAway):
                await claim(database)
            assert (await one(database, "child")).state is State.RUNNING
            (child,) = await claim(database, NOW + 1)
            assert (child.key, child.claims) == ("child", 1)
            assert await database.apply(moved(child), NOW) is ApplyAnswer.WRITTEN


@pytest.mark.asyncio
async def test_a_server_that_only_reads_is_waited_for(address: DatabaseAddress) -> None:
    """As a standby does after a failover, until the address leads to the primary again."""
    async with opened(address) as database, linked(address, "postgres") as link:
        setting = f"ALTER DATABASE {address.name} {{}} default_transaction_read_only"
        await link.execute(setting.format("SET") + " = on")
        try:
            await _cut(address)
            with pytest.raises(DatabaseAway) as caught:
                await _at_last(lambda: database.submit([placed()], 0.0))
            assert caught.value.trouble.code == "database_standby"
        finally:
            await link.execute(setting.format("RESET"))
        assert await database.submit([placed()], 0.0) == 1


@pytest.mark.asyncio
async def test_a_cancel_does_not_leave_a_transaction_open(database: PostgresDatabase) -> None:
    """asyncio's own cancel passes every shield: the connection is given up, and the next call has another."""
    writing = asyncio.ensure_future(database.submit([placed(f"t{number}") for number in range(200)], 0.0))
    for _ in range(6):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert await database.submit([placed("after")], 0.0) == 1
    assert len(await database.tasks(Selection())) in (1, 201)


@pytest.mark.asyncio
async def test_a_value_that_cannot_be_stored_costs_only_its_own_call(database: PostgresDatabase) -> None:
    """Others of the same group are written; the connection stays."""
    await database.submit([placed("a"), placed("b")], 0.0)
    first, second = await claim(database)
    too_much = replace(first, rank=2**70)
    answers = await asyncio.gather(
        database.apply(moved(too_much, rank=2**70), NOW), database.apply(moved(second), NOW), return_exceptions=True
    )
    assert isinstance(answers[0], Permanent)
    assert answers[1] is ApplyAnswer.WRITTEN
    assert (await one(database)).state is State.RUNNING


@pytest.mark.asyncio
async def test_who_needs_the_database_alone_waits_for_nobody(address: DatabaseAddress) -> None:
    """It is told who is at work; when they have ended, or their connection has, it is let in, and nobody else is."""
    async with opened(address), opened(address) as other, opened(address, "") as reader:
        with pytest.raises(Busy, match=rf"{socket.gethostname()[:40]}:{os.getpid()}"):
            await open_database(address, hold="alone")
        assert await find_holders(address) == [f"{socket.gethostname()[:40]}:{os.getpid()}"]
        await other.submit([placed()], 0.0)
        assert len(await reader.tasks(Selection())) == 1
    assert await find_holders(address) == []
    async with opened(address, "alone"):
        with pytest.raises(Busy):
            await open_database(address, hold="alone")
        assert await find_holders(address) != []


# ------------------------------------------------------------------------------------------- not as it should be


@pytest.mark.asyncio
async def test_a_database_that_is_not_ready_is_refused_with_the_remedy(
    address: DatabaseAddress, databases: Databases
) -> None:
    """One that is not there, holds nothing, is older or newer, or keeps other text."""
    assert (await _refused(replace(address, name="nowhere"))).trouble.code == "database_missing"
    assert "reelmill migrate" in (await _refused(replace(address, name="postgres"))).trouble.remedy
    version = "UPDATE reelmill.migration SET version = version {}"
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


# -------------------------------------------------------------------------------------------------------------- schema


@pytest.mark.asyncio
async def test_two_hosts_that_migrate_at_once_do_it_once(address: DatabaseAddress) -> None:
    """The second waits for the first and has nothing left to do; a step that fails leaves the version before it."""
    async with linked(address) as link:
        await link.execute("CREATE DATABASE empty")
    empty = replace(address, name="empty")
    try:
        newest = len(schema.MIGRATIONS)
        assert sorted(await asyncio.gather(migrate(empty), migrate(empty))) == [(0, newest), (newest, newest)]
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
        (queries.FIND_DUE, (["fetch", "poll"], [5, 5], NOW)),
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
async def test_results_of_a_group_are_kept_once(database: PostgresDatabase) -> None:
    """Two outcomes of one commit with the same answer and the same ledger entry leave one of each."""
    await database.submit([placed("a"), placed("b")], 0.0)
    tasks = await claim(database)
    made = [Result("v", "gist", "f", {"n": 1}, {}, NOW)]
    answers = await asyncio.gather(*(database.apply(moved(task, results=made), NOW) for task in tasks))
    assert answers == [ApplyAnswer.WRITTEN] * 2
    assert len(await database.results(["v"])) == 1
