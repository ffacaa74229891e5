"""The PostgreSQL database alone: several hosts on it, and a server that goes away."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import anyio.lowlevel
import pytest
import pytest_asyncio
from pydantic import SecretStr

from pipeline.config.database_address import DatabaseAddress
from pipeline.config.store import Engine
from pipeline.core.errors import Busy, DatabaseAway, Permanent
from pipeline.core.model import Lane, Selection, Spend, State
from pipeline.ports.store import ApplyAnswer
from pipeline.store.postgres import database as store
from pipeline.store.postgres.database import PostgresDatabase, open_database
from pipeline.store.postgres.holders import find_holders
from tests.conformance.postgres_kit import linked, opened
from tests.conformance.store_kit import NOW, bring, claim, moved, one, placed
from tests.support.postgres import PASSWORD, Databases

T = TypeVar("T")


@pytest.fixture(params=["none", "pgqueuer"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Who hands out."""
    given: Engine = request.param
    return given


@pytest_asyncio.fixture
async def database(address: DatabaseAddress, engine: Engine) -> AsyncIterator[PostgresDatabase]:
    """The database, opened."""
    async with opened(address, engine=engine) as found:
        yield found


# -------------------------------------------------------------------------------------------------------- several hosts


@pytest.mark.asyncio
async def test_several_hosts_take_each_task_once_and_lose_no_wish(address: DatabaseAddress, engine: Engine) -> None:
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
        hosts = [await stack.enter_async_context(opened(address, engine=engine)) for _ in range(3)]
        await asyncio.gather(*(host(number, each) for number, each in enumerate(hosts)))
        left = await hosts[0].tasks(Selection())
    assert set(taken.values()) == {1}
    assert {key for key, _ in taken} == {task.key for task in left} == set(keys)
    assert all(task.lease is None for task in left)
    assert all(task.state is State.DONE or task.stage == "again" for task in left)


@pytest.mark.asyncio
async def test_what_another_host_is_taking_is_passed_over(address: DatabaseAddress) -> None:
    """A claim does not wait for the rows of another's, and gives others instead."""
    async with opened(address) as database:
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
async def test_what_another_release_has_put_is_left_for_it(address: DatabaseAddress, engine: Engine) -> None:
    """A host gives out the steps that it knows, in whatever order; the rest stays due, uncounted, for one that knows it."""
    async with opened(address, engine=engine) as old, opened(address, engine=engine) as new:
        old.know({("video", "fetch"): Lane.FETCH})
        new.know({("video", "fetch"): Lane.FETCH, ("video", "polish"): Lane.FETCH, ("song", "fetch"): Lane.FETCH})
        strange = [placed("p", stage="polish", rank=9), placed("s", kind="song"), placed("q", stage="polish")]
        await new.submit([*strange, placed("known"), placed("later", due=NOW * 1e7)], 0.0)
        assert await old.next_due([Lane.FETCH]) == 0.0
        assert [task.key for task in await claim(old)] + [task.key for task in await claim(old)] == ["known"]
        assert await old.next_due([Lane.FETCH]) == NOW * 1e7
        assert await new.next_due([Lane.FETCH]) == 0.0
        tasks = await claim(new)
        assert sorted(task.key for task in tasks) == ["p", "q", "s"]
        assert {task.claims for task in tasks} == {1}


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


@pytest.mark.asyncio
async def test_of_hosts_that_catch_up_at_once_one_does(address: DatabaseAddress) -> None:
    """Also where nothing was remembered before: the others must not forget changes that its value does not know."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(opened(address)) for _ in range(3)]
        for before in (None, 0):
            answers = await asyncio.gather(
                *(each.catch_up([], "index", number, before) for number, each in enumerate(hosts, 1))
            )
            assert answers.count(True) == 1
            assert await hosts[0].load("index") == answers.index(True) + 1
            await hosts[0].save("index", 0)


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
async def test_a_connection_that_ended_unused_fails_no_reading(
    address: DatabaseAddress, database: PostgresDatabase
) -> None:
    """Two in a row do: the server restarts, and is there again. A server that is not there is told."""
    task = await bring(database, State.RUNNING)
    for _ in range(2):
        await _cut(address)
        assert [found.key for found in await database.tasks(Selection())] == [task.key]
        await _cut(address)
        assert (await database.about("v")).tasks == []


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
    address: DatabaseAddress, databases: Databases, engine: Engine
) -> None:
    """An outcome is told as written, once; a claim is given back uncounted, and its tasks are given out again."""
    proxy = CuttingProxy(databases.server.port)
    async with proxy.serving() as port:
        through = replace(address, hosts=(("127.0.0.1", port),), password=SecretStr(PASSWORD))
        async with opened(through, engine=engine) as database:
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
