"""The SQLite database alone: files that are not as they should be, other processes, cancels, kills, full disks."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from pipeline.core.errors import DatabaseAway, Permanent, StoreError
from pipeline.core.model import ItemQuery, Lane, Result, Selection, State
from pipeline.ports.store import ApplyAnswer
from pipeline.store.sqlite import schema
from pipeline.store.sqlite.database import SqliteDatabase, open_database
from pipeline.store.sqlite.errors import translate
from tests.conformance.store_kit import NOW, bring, claim, moved, one, placed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "reel?mill #1.db"


@asynccontextmanager
async def opened(path: Path, *, read_only: bool = False) -> AsyncIterator[SqliteDatabase]:
    """Open the database and close it whatever happens: an open one would keep the test run alive."""
    found = await open_database(path, read_only=read_only, lock_seconds=0.05)
    try:
        yield found
    finally:
        await found.aclose()


@pytest_asyncio.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    """A new database, closed at the end."""
    async with opened(path) as found:
        yield found


@pytest.fixture
def other(path: Path, database: SqliteDatabase) -> Iterator[sqlite3.Connection]:
    """A foreign connection to the same file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def content(path: Path) -> bytes:
    """Return all bytes of the file."""
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    """Make these the bytes of the file."""
    path.write_bytes(data)


async def _refused(path: Path, *, read_only: bool = False) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await open_database(path, read_only=read_only, lock_seconds=0.05)
    assert str(path) in str(caught.value)
    assert caught.value.trouble.remedy
    return caught.value


# ------------------------------------------------------------------------------------------------------- the file


@pytest.mark.asyncio
async def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    """Closing and opening again loses nothing; opening an up-to-date file changes nothing."""
    async with opened(path) as first:
        task = await bring(first, State.FAILED, data={"n": 1})
    before = content(path)
    assert os.listdir(path.parent) == [path.name], "closing folds the log into the file"
    async with opened(path) as second:
        assert await one(second) == task
    assert content(path) == before


@pytest.mark.asyncio
async def test_commits_are_durable(database: SqliteDatabase, other: sqlite3.Connection) -> None:
    """The file is in WAL mode, and the writer waits for the disk at each commit."""
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database._writer is not None
    (row,) = await database._writer.statement("PRAGMA synchronous")
    assert row[0] == 2, "2 is FULL"


@pytest.mark.asyncio
async def test_a_newer_database_is_refused(path: Path) -> None:
    """The error names the file, both versions and the remedy; reading is refused too; nothing is changed."""
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO migration VALUES (99, 'from the future')")
        connection.commit()
    before = content(path)
    for read_only in (False, True):
        error = await _refused(path, read_only=read_only)
        assert error.trouble.code == "database_newer"
        assert "99" in str(error)
        assert str(len(schema.MIGRATIONS)) in str(error)
    assert content(path) == before


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Damage is reported with advice and left as it is."""
    put(path, b"this is not a database, it is a diary\n" * 200)
    before = content(path)
    for read_only in (False, True):
        error = await _refused(path, read_only=read_only)
        assert error.trouble.code == "database_damaged"
        assert "recover" in error.trouble.remedy
    assert content(path) == before


@pytest.mark.asyncio
async def test_damage_found_while_reading_is_named(path: Path) -> None:
    """A page that was overwritten is a plain error at the call that meets it, never a silent repair."""
    async with opened(path) as database:
        await database.submit([placed(f"{number:05}", data={"x": "y" * 500}) for number in range(2_000)], 0.0)
    whole = content(path)
    put(path, whole[: 40 * 4096] + b"\xff" * (160 * 4096) + whole[200 * 4096 :])
    async with opened(path) as database:
        with pytest.raises(StoreError) as caught:
            await database.tasks(Selection())
    assert caught.value.trouble.code == "database_damaged"


@pytest.mark.asyncio
async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    """Nothing is added to a file that is not ours."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")
        connection.commit()
    before = content(path)
    for read_only in (False, True):
        assert (await _refused(path, read_only=read_only)).trouble.code == "database_foreign"
    assert content(path) == before


@pytest.mark.asyncio
async def test_a_folder_that_is_missing_or_in_the_way_is_named(tmp_path: Path) -> None:
    """Where no file can be made, the path and what to check are said."""
    for path in (tmp_path / "no" / "such" / "folder.db", tmp_path):
        assert (await _refused(path)).trouble.code == "database_unwritable"


@pytest.mark.asyncio
async def test_reading_what_is_not_there_creates_nothing(path: Path) -> None:
    """Read-only, a missing file is an error and stays missing; an empty one is not brought up to date."""
    assert (await _refused(path, read_only=True)).trouble.code == "database_missing"
    assert os.listdir(path.parent) == []
    put(path, b"")
    assert (await _refused(path, read_only=True)).trouble.code == "database_older"
    assert content(path) == b""


@pytest.mark.parametrize("known", range(1, len(schema.MIGRATIONS)))
@pytest.mark.asyncio
async def test_a_file_of_every_older_version_is_read_as_the_newest(
    path: Path, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table shows the columns of today, the file stays as it is; a migration without such a view fails here.

    A writer brings it up to date, and says so first where that may take a while.
    """
    before, after = (
        [statement for each in migrations for statement in each.statements]
        for migrations in (schema.MIGRATIONS[:known], schema.MIGRATIONS)
    )
    with closing(sqlite3.connect(":memory:")) as newest:
        for statement in after:
            newest.execute(statement)
        tables = [name for (name,) in newest.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        wanted = {table: {column[1] for column in newest.execute(f"PRAGMA table_info({table})")} for table in tables}
    with closing(sqlite3.connect(path)) as connection:
        for statement in before:
            connection.execute(statement)
        connection.execute("CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT) STRICT")
        connection.execute("INSERT INTO migration VALUES (?, 'older')", (known,))
        connection.execute(
            "INSERT INTO task (kind, key, stage, state, lane, rank, subject, stage_since, created, updated, data)"
            """ VALUES ('item', 'a', 's', 'done', 'fetch', 0, 'v', 0, 0, 0, '{"title":"bees"}')"""
        )
        connection.execute(
            "INSERT INTO spend (key, what, usd, minutes, subject, doubtful, at) VALUES ('k', 'w', 2.5, 1, 's', 0, 9)"
        )
        connection.commit()
    file = content(path)
    async with opened(path, read_only=True) as reader:
        for table, columns in wanted.items():
            cursor = await reader._reader.execute(f"SELECT * FROM {table}")
            assert {each[0] for each in cursor.description} >= columns - schema.WRITERS_COLUMNS.get(table, frozenset())
            await cursor.close()
        estimate = 2.5 if known < 2 else 0.0  # before, nothing else was booked
        assert [(spend.usd, spend.estimate) for spend in await reader.spends(["s"])] == [(2.5, estimate)]
        assert [task.key for task in await reader.tasks(Selection(mentions=("BEES",)))] == ["a"]
        assert [[page[0].item.key] async for page in reader.items(ItemQuery(mentions=("bees",)))] == [["a"]]
        assert (await reader.tally())["done"] == (await reader.tally(by_video=True))["done"] == 1
        assert (await reader.stopped(("item",), ())).items == 0
    assert content(path) == file
    monkeypatch.setattr(schema, "_LARGE", 1_000)
    structlog.reset_defaults()  # the tests' own set-up hears no warnings
    with capture_logs() as said:
        async with opened(path):
            pass
        async with opened(path):
            pass
    told = [entry["file"] for entry in said if entry["event"] == "database.brought_up_to_date"]
    assert told == [str(path)] * (len(schema.MIGRATIONS) - known)


# ---------------------------------------------------------------------------------------- readers, other processes


@pytest.mark.asyncio
async def test_a_reader_sees_commits_and_blocks_nothing(path: Path, database: SqliteDatabase) -> None:
    """Beside an open transaction of the writer it reads what was committed; what it may not do is said."""
    await database.submit([placed("a")], 0.0)
    writer = database._writer
    assert writer is not None
    async with opened(path, read_only=True) as reader:

        def look(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE task SET stage = 'half written'")
            assert anyio.from_thread.run(one, reader, token=token).stage == "fetch"
            assert anyio.from_thread.run(database.counts, token=token).by == {"video": {"pending": 1}}

        token = anyio.lowlevel.current_token()
        async with writer.lock:
            await writer.transaction_in_lock(look)
        assert (await one(reader)).stage == "half written"
        assert await reader.change("x", lambda kept: (None, kept)) is None, "it may look"
        calls = (
            reader.submit([placed("b")], 0.0), claim(reader), reader.save("x", 1), reader.change("x", lambda _: (1, 2)),
            reader.unpark([], [], 0.0),
        )  # fmt: skip
        for call in calls:
            with pytest.raises(StoreError) as caught:
                await call
            assert caught.value.trouble.code == "database_read_only"
        assert await database.submit([placed("b")], 0.0) == 1
        assert len(await reader.tasks(Selection())) == 2


@pytest.mark.asyncio
async def test_a_file_locked_by_another_is_a_plain_error(
    path: Path, database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """While another process writes for long, writing says so; opening and reading go on."""
    await database.submit([placed("a")], 0.0)
    other.execute("BEGIN IMMEDIATE")
    for call in (database.submit([placed("b")], 0.0), claim(database), database.save("x", 1)):
        with pytest.raises(DatabaseAway) as caught:
            await call
        assert caught.value.trouble.code == "database_locked"
        assert "another process" in str(caught.value)
    async with opened(path) as second:
        assert (await one(second)).state is State.PENDING
    other.execute("ROLLBACK")
    assert await database.submit([placed("b")], 0.0) == 1, "the same call works once the lock is gone"


@pytest.mark.asyncio
async def test_opening_a_locked_new_file_is_a_plain_error(path: Path) -> None:
    """A file that another process is just making can not be made by us: locked, and what to do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert (await _refused(path)).trouble.code == "database_locked"
        connection.execute("ROLLBACK")


def test_a_disk_that_fails_for_a_moment_is_waited_for(path: Path) -> None:
    """An error of the disk may pass, but not where the file is only just opened."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    assert isinstance(translate(error, path), DatabaseAway)
    assert isinstance(translate(error, path, opening=True), StoreError)


@pytest.mark.asyncio
async def test_a_full_disk_is_temporary_and_harms_nothing(database: SqliteDatabase) -> None:
    """A write that finds no room raises DatabaseAway ``disk_full``, changes nothing, and works once there is room."""
    task = await bring(database, State.RUNNING)
    assert database._writer is not None
    # SQLite's own page limit stands in for the disk: the same result code, from the same place.
    (row,) = await database._writer.statement("PRAGMA page_count")
    await database._writer.statement(f"PRAGMA max_page_count = {row[0]}")
    answer = moved(task, results=[Result("v", "gist", "f", Random(1).randbytes(250_000).hex())])
    with pytest.raises(DatabaseAway) as caught:
        await database.apply(answer, NOW)
    assert caught.value.trouble.code == "disk_full"
    assert "full" in str(caught.value)
    assert await one(database) == task
    await database._writer.statement("PRAGMA max_page_count = 1000000")
    assert await database.apply(answer, NOW) is ApplyAnswer.WRITTEN
    assert len(await database.results(["v"])) == 1


@pytest.mark.asyncio
async def test_a_change_by_another_process_between_look_and_claim_is_respected(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """A task that was cancelled elsewhere is not claimed."""
    await database.submit([placed("a"), placed("b")], 0.0)
    other.execute("UPDATE task SET state = 'cancelled', wake_at = NULL WHERE key = 'a'")
    assert [task.key for task in await claim(database)] == ["b"]


# ------------------------------------------------------------------------------------------------ cancels and kills


@pytest.mark.asyncio
async def test_a_cancel_during_a_write_leaves_no_open_transaction(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """Wherever a cancel strikes, nothing stays locked: another writer gets in at once, and so do we."""
    other.execute("PRAGMA busy_timeout = 0")
    for turns in range(12):
        task = await bring(database, State.RUNNING, f"t{turns}")
        async with anyio.create_task_group() as group:
            group.start_soon(database.apply, moved(task), NOW)
            group.start_soon(database.submit, [placed(f"s{turns}")], NOW)
            group.start_soon(database.save, "turns", turns)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        await database.submit([placed(f"after{turns}")], NOW)


@pytest.mark.asyncio
async def test_asyncios_own_cancel_leaves_no_open_transaction(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """The cancel that no shield holds back undoes or completes the write; those who were written with are told."""
    other.execute("PRAGMA busy_timeout = 0")
    for turns in range(16):
        tasks = [await bring(database, State.RUNNING, f"t{turns}{letter}") for letter in "abc"]
        applying = [asyncio.create_task(database.apply(moved(task), NOW)) for task in tasks]
        for _ in range(turns):
            await asyncio.sleep(0)
        applying[0].cancel()
        answers = await asyncio.gather(*applying, return_exceptions=True)
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        for task, answer in zip(tasks, answers, strict=True):
            assert answer is ApplyAnswer.WRITTEN or isinstance(answer, (DatabaseAway, asyncio.CancelledError))
            assert await database.apply(moved(task), NOW) is ApplyAnswer.WRITTEN, "now, or then unheard"
            assert (await one(database, task.key)).state is State.DONE


_CHILD = """
import asyncio, sys
from pathlib import Path
from random import Random
from pipeline.core.model import Lane, Result, State
from pipeline.store.sqlite.database import open_database
from tests.conformance.store_kit import ROOM, moved, placed

async def work(database, name):
    for number in range(100_000):
        key = f"{name}-{number}"
        await database.submit([placed(key)], 0.0)
        for task in await database.claim({Lane.FETCH: 1}, "child", 1.0, 61.0):
            spawn = [placed(f"child-of-{task.key}", lane=Lane.WRITE)]
            result = Result(task.key, "gist", "f", "x" * 2000)
            if await database.apply(moved(task, results=[result], spawn=spawn), 2.0):
                print(task.key, flush=True)

async def main():
    database = await open_database(Path(sys.argv[1]))
    await asyncio.gather(*(work(database, name) for name in "abcd"))

asyncio.run(main())
"""


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_killed_process_leaves_a_consistent_database(path: Path) -> None:
    """After kill -9 in full flight: the file is sound, what was answered is there, and outcomes are whole or absent."""
    child = await anyio.open_process([sys.executable, "-c", _CHILD, str(path)], stderr=None)
    async with child:
        assert child.stdout is not None
        told = b""
        while told.count(b"\n") < 150:
            told += await child.stdout.receive()
        child.send_signal(signal.SIGKILL)
        with suppress(anyio.EndOfStream):
            while True:
                told += await child.stdout.receive()
        assert await child.wait() == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    async with opened(path) as database:
        tasks = {task.key: task for task in await database.tasks(Selection())}
        assert all(tasks[key].state is State.DONE for key in told.decode().split("\n")[:-1])
        done = {task.key for task in tasks.values() if task.state is State.DONE}
        assert set(await database.subjects("", 1_000_000)) == done
        assert {key.removeprefix("child-of-") for key in tasks if key.startswith("child-of-")} == done
        running = {task.key for task in tasks.values() if task.state is State.RUNNING}
        assert {task.key for task in await database.expired(None)} == running


# --------------------------------------------------------------------------------------------------- group commit


async def _commits(path: Path, database: SqliteDatabase) -> list[str]:
    """Record each BEGIN that the writer runs from now on."""
    begun: list[str] = []
    assert database._writer is not None

    def trace(sql: str) -> None:
        if sql.startswith("BEGIN"):
            begun.append(sql)

    await database._writer._connection.set_trace_callback(trace)
    return begun


@pytest.mark.asyncio
async def test_what_arrives_together_is_one_transaction(path: Path, database: SqliteDatabase) -> None:
    """A hundred outcomes and submissions at once need a few commits, and each caller gets its own answer."""
    await database.submit([placed(f"{number}") for number in range(50)], 0.0)
    tasks = await claim(database)
    await database.command("cancel", Selection(keys=("7",)), NOW)
    begun = await _commits(path, database)
    answers: dict[str, ApplyAnswer] = {}
    submitted: list[int] = []

    async def apply(index: int) -> None:
        answers[tasks[index].key] = await database.apply(moved(tasks[index]), NOW)

    async def submit(index: int) -> None:
        submitted.append(await database.submit([placed("0"), placed(f"new {index // 2}")], NOW))

    async with anyio.create_task_group() as group:
        for index in range(50):
            group.start_soon(apply, index)
            group.start_soon(submit, index)
    assert len(begun) <= 3
    assert [key for key, answer in answers.items() if answer is ApplyAnswer.LOST] == ["7"]
    assert (len(answers), len(submitted), sum(submitted)) == (50, 50, 25)
    assert (await database.counts()).by == {"video": {"done": 49, "cancelled": 1, "pending": 25}}


@pytest.mark.asyncio
async def test_two_outcomes_of_one_task_in_a_group(database: SqliteDatabase) -> None:
    """Under one lease only the first counts, under a stale one none, also within one transaction."""
    old = await bring(database, State.RUNNING)
    await database.apply(moved(old, State.PENDING, by_holder=False), NOW)
    (task,) = await claim(database)
    await database.submit([placed("b")], 0.0)
    answers: dict[int, ApplyAnswer] = {}

    async def apply(place: int, state: State) -> None:
        outcome = moved(old if place == 1 else task, state, by_holder=place != 4)
        answers[place] = await database.apply(outcome, NOW)

    async with anyio.create_task_group() as group:
        group.start_soon(database.save, "lock", "held")
        for place, state in ((1, State.FAILED), (2, State.DONE), (3, State.DONE), (4, State.FAILED)):
            group.start_soon(apply, place, state)
    written, lost = ApplyAnswer.WRITTEN, ApplyAnswer.LOST
    assert answers == {1: lost, 2: written, 3: written, 4: lost}, "repeated by its holder, taken back by another"
    assert (await one(database)).state is State.DONE


@pytest.mark.asyncio
async def test_a_poisoned_member_fails_alone(database: SqliteDatabase) -> None:
    """A value that only the file itself refuses fails the group; the others are written, its bringer gets the error."""
    await database.submit([placed(f"{number}") for number in range(10)], 0.0)
    tasks = await claim(database)
    answers: dict[str, object] = {}

    async def apply(index: int) -> None:
        task = tasks[index]
        attempt = 2**70 if index == 5 else 0  # more than a column holds
        try:
            answers[task.key] = await database.apply(moved(task, attempt=attempt), NOW)
        except Permanent as error:
            answers[task.key] = error.trouble.code

    async with anyio.create_task_group() as group:
        for index in range(10):
            group.start_soon(apply, index)
    assert answers == {f"{number}": ApplyAnswer.WRITTEN for number in range(10)} | {"5": "unstorable"}
    assert (await database.counts()).by == {"video": {"done": 9, "running": 1}}


@pytest.mark.asyncio
async def test_an_impossible_row_is_refused_not_skipped(database: SqliteDatabase) -> None:
    """A due time that is no number would leave a task that never wakes: it is an error, not a silent loss."""
    with pytest.raises(Permanent):
        await database.submit([placed("a", due=float("nan"))], 0.0)
    assert await database.tasks(Selection()) == []


@pytest.mark.asyncio
async def test_a_locked_file_fails_each_member_with_an_error_of_its_own(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """Each caller of a group that could not be written gets the reason, and may come again."""
    await database.submit([placed("a"), placed("b")], 0.0)
    tasks = await claim(database)
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(*(database.apply(moved(task), NOW) for task in tasks), return_exceptions=True)
    other.execute("ROLLBACK")
    assert [type(answer) for answer in answers] == [DatabaseAway, DatabaseAway]
    assert answers[0] is not answers[1]
    assert [await database.apply(moved(task), NOW) for task in tasks] == [ApplyAnswer.WRITTEN] * 2


# -------------------------------------------------------------------------------------------------------- query plans


@pytest.mark.asyncio
async def test_a_claim_walks_no_long_queue(database: SqliteDatabase, other: sqlite3.Connection) -> None:
    """The work of a claim does not grow with the queue, due or not due: counted in steps of SQLite's machine."""

    async def steps(calls: int) -> int:
        counted = 0

        def tick() -> int:
            nonlocal counted
            counted += 1
            return 0

        assert database._writer is not None
        await database._writer._connection.set_progress_handler(tick, 100)
        for _ in range(calls):
            assert len(await database.claim({Lane.FETCH: 5, Lane.POLL: 5}, "me", NOW, NOW + 60)) == 5
        await database._writer._connection.set_progress_handler(tick, 0)
        return counted

    due = [placed(f"due{number}", rank=number % 3) for number in range(500)]
    await database.submit(due, 0.0)
    few = await steps(5)
    more = [placed(f"more{number}", rank=number % 3) for number in range(5_000)]
    later = [placed(f"later{number}", rank=number % 5, due=NOW + 1) for number in range(5_000)]
    await database.submit([*more, *later], 0.0)
    assert await steps(5) < 2 * few + 20
