"""PgQueuer inside PostgreSQL: hints that are lost, late or wrong, limits of lanes, and what others do to the tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import anyio.lowlevel
import pytest
import pytest_asyncio

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.errors import StoreError
from pipeline.core.model import Lane, Selection, State
from pipeline.ports.store import ApplyAnswer
from pipeline.store.postgres.database import PostgresDatabase, open_database
from pipeline.store.postgres.handout import hints
from pipeline.store.postgres.handout.hints import HintHandOut
from pipeline.store.postgres.migrate import migrate
from tests.conformance.postgres_kit import linked
from tests.conformance.store_kit import ROOM, moved, one, placed

HINTS = "SELECT dedupe_key, status, entrypoint, execute_after > now() FROM reelmill.pgqueuer ORDER BY id"


@asynccontextmanager
async def hinted(address: DatabaseAddress, *, sweeps: bool = False, limit: int = 0) -> AsyncIterator[PostgresDatabase]:
    """Open the database as one more host, in the server's time."""
    handout = HintHandOut({Lane.FETCH: limit} if limit else {})
    handout._swept = float("-inf" if sweeps else "inf")
    database = PostgresDatabase(address, "beside", handout)
    await database.connect()
    try:
        yield database
    finally:
        await database.aclose()


@pytest_asyncio.fixture
async def database(address: DatabaseAddress) -> AsyncIterator[PostgresDatabase]:
    """The database, opened; nothing is swept."""
    async with hinted(address) as found:
        yield found


async def taken(database: PostgresDatabase, now: float | None = None) -> list[str]:
    """Claim everything; return the keys."""
    now = await database.time() if now is None else now
    return [task.key for task in await database.claim(ROOM, "me", now, now + 60)]


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.asyncio
async def test_hosts_keep_the_limit_of_a_lane_together(address: DatabaseAddress) -> None:
    """Three hosts race for three slots: each task is given out once, never more than three are at work, and all get done."""
    at_work, most, times = 0, 0, Counter[str]()
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(hinted(address, limit=3)) for _ in range(3)]
        now = await hosts[0].time()
        await hosts[0].submit([placed(f"t{number}") for number in range(40)], now)

        async def host(database: PostgresDatabase) -> None:
            nonlocal at_work, most
            while sum(times.values()) < 40:
                tasks = await database.claim({Lane.FETCH: 2}, "me", now, now + 60)
                at_work += len(tasks)
                most = max(most, at_work)
                times.update(task.key for task in tasks)
                for task in tasks:
                    await anyio.lowlevel.checkpoint()
                    at_work -= 1  # before the others can know
                    assert await database.apply(moved(task), now) is ApplyAnswer.WRITTEN

        await asyncio.wait_for(asyncio.gather(*map(host, hosts)), 60)
    assert set(times.values()) == {1}
    assert most <= 3


@pytest.mark.asyncio
async def test_a_slot_that_another_host_takes_first_costs_no_outcome(address: DatabaseAddress) -> None:
    """PgQueuer swallows the error that ends the transaction: what was written in it before stays."""
    async with hinted(address, limit=1) as database, linked(address) as link:
        now = await database.time()
        await database.submit([placed("mine", lane=Lane.POLL), placed("a"), placed("b")], now)
        (mine,) = await database.claim({Lane.POLL: 1}, "me", now, now + 60)
        transaction = link.transaction()
        await transaction.start()
        picked = "status = 'picked', slot = 0, queue_manager_id = gen_random_uuid()"
        await link.execute(
            f"UPDATE reelmill.pgqueuer SET {picked} WHERE dedupe_key = $1", str((await one(database, "b")).id)
        )
        both = asyncio.gather(database.apply(moved(mine), now), database.claim({Lane.FETCH: 1}, "me", now, now + 60))
        async with linked(address) as watcher:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
            while not await watcher.fetchval(waiting, address.name):
                await anyio.lowlevel.checkpoint()
        await transaction.commit()
        assert await both == [ApplyAnswer.WRITTEN, []]
        assert (await one(database, "mine")).state is State.DONE
        await link.execute(
            "UPDATE reelmill.pgqueuer SET status = 'queued', slot = NULL, queue_manager_id = NULL WHERE slot = 0"
        )
        assert [task.key for task in await database.claim({Lane.FETCH: 2}, "me", now, now + 60)] == ["a"]


# ------------------------------------------------------------------------------------------------------------- in time


@pytest.mark.asyncio
@pytest.mark.parametrize("ahead", [-600.0, 0.0, 0.5])
async def test_one_clock_says_what_is_due(database: PostgresDatabase, ahead: float) -> None:
    """What a host has put as due now is given out now, also where its clock is not quite the server's."""
    now = await database.time() + ahead
    await database.submit([placed("due", due=now), placed("later", due=now + 3600)], now)
    assert await taken(database, now) == ["due"]


@pytest.mark.asyncio
async def test_what_an_outcome_makes_due_is_given_out_by_the_same_commit(database: PostgresDatabase) -> None:
    """PgQueuer takes a job that is due exactly now for not due yet."""
    now = await database.time()
    await database.submit([placed("a")], now)
    (task,) = await database.claim(ROOM, "me", now, now + 60)
    outcome = moved(task, spawn=[placed("child", due=now)])
    _, claimed = await asyncio.gather(database.apply(outcome, now), database.claim(ROOM, "me", now, now + 60))
    assert [task.key for task in claimed] == ["child"]


# ------------------------------------------------------------------------------------------------------ wrong and lost


@pytest.mark.asyncio
async def test_a_hint_that_is_wrong_is_dropped(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """A host without hints has ended one task, put another off, and is changing a third: nothing of that is given out."""
    now = await database.time()
    await database.submit([placed(key) for key in ("ended", "put off", "held", "due")], now)
    async with linked(address) as link, linked(address) as other, other.transaction():
        await link.execute("UPDATE reelmill.task SET state = 'done', wake_at = NULL WHERE key = 'ended'")
        await link.execute("UPDATE reelmill.task SET wake_at = $1 WHERE key = 'put off'", now + 3600)
        await other.execute("SELECT FROM reelmill.task WHERE key = 'held' FOR UPDATE")
        assert await taken(database, now) == ["due"]
        found = {row[0]: (row[1], row[3]) for row in await link.fetch(HINTS)}
        names = {key: str((await one(database, key)).id) for key in ("ended", "put off", "held", "due")}
        assert names["ended"] not in found
        assert (found[names["put off"]], found[names["held"]][0]) == (("queued", True), "queued")
        assert found[names["due"]][0] == "picked"


@pytest.mark.asyncio
async def test_hints_that_are_lost_are_made_again_by_one_host(address: DatabaseAddress) -> None:
    """Of what is due, also of what a host without hints has put; the others leave it to the one."""
    async with open_plain(address) as plain:
        now = await plain.time()
        await plain.submit([placed("due"), placed("later", due=now + 3600)], now)
    async with hinted(address, sweeps=True) as one_host, hinted(address, sweeps=True) as other:
        assert await taken(one_host) == ["due"]
        await other.submit([placed("b")], now)
        async with linked(address) as link:
            await link.execute("TRUNCATE reelmill.pgqueuer")
        assert await taken(other) == []  # somebody has looked less than ten seconds ago
        async with linked(address) as link:
            await link.execute("UPDATE reelmill.note SET value = (value::float8 - 11)::text WHERE name = 'hints/swept'")
        other._handout._swept = float("-inf")  # type: ignore[attr-defined]
        assert await taken(other) == ["b"]


@pytest.mark.asyncio
async def test_many_lost_hints_come_back_at_once(address: DatabaseAddress) -> None:
    """Whoever has found some looks for more behind them, without a pause."""
    async with open_plain(address) as plain:
        await plain.submit([placed(f"t{number}") for number in range(1_200)], 0.0)
    async with hinted(address, sweeps=True) as database:
        assert [len(await taken(database)) for _ in range(4)] == [500, 500, 200, 0]


@pytest.mark.asyncio
async def test_the_log_of_pgqueuer_is_kept_for_a_day(address: DatabaseAddress) -> None:
    """It would grow with every step of every task."""
    async with hinted(address, sweeps=True) as database, linked(address) as link:
        await link.execute("DELETE FROM reelmill.pgqueuer_log")
        await database.submit([placed("a"), placed("b")], 0.0)
        await link.execute("UPDATE reelmill.pgqueuer_log SET created = now() - interval '25 hours' WHERE job_id IN"
                           " (SELECT min(id) FROM reelmill.pgqueuer)")  # fmt: skip
        await database.claim({Lane.POLL: 1}, "me", 0.0, 60.0)
        assert await link.fetchval("SELECT count(*) FROM reelmill.pgqueuer_log") == 1


@pytest.mark.asyncio
async def test_a_commands_many_tasks_get_their_hints(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some at a time, all in its one transaction."""
    monkeypatch.setattr(hints, "_AT_ONCE", 7)
    now = await database.time()
    await database.submit([placed(f"t{number}") for number in range(30)], now)
    assert await database.command("cancel", Selection(states=(State.PENDING,)), now) == 30
    assert await taken(database) == []
    assert await database.command("retry", Selection(states=(State.CANCELLED,)), now) == 30
    assert len(await taken(database)) == 30


# --------------------------------------------------------------------------------------------------------- its tables


@pytest.mark.asyncio
async def test_a_database_without_its_tables_is_refused_with_the_remedy(address: DatabaseAddress) -> None:
    """Nothing would be handed out; migrate makes them, and a host without PgQueuer needs none."""
    async with linked(address) as link:
        await link.execute("ALTER TABLE reelmill.pgqueuer RENAME TO away")
        try:
            with pytest.raises(StoreError, match="no tables of PgQueuer") as caught:
                await open_database(address, engine="pgqueuer")
            assert "reelmill migrate" in caught.value.trouble.remedy
            async with open_plain(replace(address)) as plain:
                assert await plain.tasks(Selection()) == []
        finally:
            await link.execute("ALTER TABLE reelmill.away RENAME TO pgqueuer")


@pytest.mark.asyncio
async def test_its_tables_are_made_beside_a_queue_that_is_at_work(address: DatabaseAddress) -> None:
    """Also late, and again: what was queued without hints is given out, and its trigger stays off."""
    async with linked(address) as link:
        await link.execute("CREATE DATABASE late")
    late = replace(address, name="late")
    try:
        await migrate(late)
        async with open_plain(late) as plain:
            await plain.submit([placed("a")], 0.0)
            for _ in range(2):
                await migrate(late, engine="pgqueuer")
            async with hinted(late, sweeps=True) as database:
                assert await taken(database) == ["a"]
        async with linked(late) as link:
            off = "SELECT tgenabled = 'D' FROM pg_trigger WHERE tgname = 'tg_pgqueuer_changed'"
            assert await link.fetchval(off) is True
    finally:
        async with linked(address) as link:
            await link.execute("DROP DATABASE late WITH (FORCE)")


@pytest.mark.asyncio
async def test_nobody_is_told_of_each_hint(address: DatabaseAddress, database: PostgresDatabase) -> None:
    """Its trigger is off: the server lets one commit at a time tell something, and the store tells of a whole group."""
    told: list[object] = []
    async with linked(address) as link:
        await link.add_listener("reelmill_pgqueuer", lambda *said: told.append(said))
        await database.submit([placed("a")], 0.0)
        await link.execute("SELECT 1")
    assert told == []


@asynccontextmanager
async def open_plain(address: DatabaseAddress) -> AsyncIterator[PostgresDatabase]:
    """Open the database as a host that keeps no hints."""
    found = await open_database(address)
    try:
        yield found
    finally:
        await found.aclose()
