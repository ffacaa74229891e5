"""Migrations: in order, each whole or not at all, and every query has the index it was written for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio
from aiosqlite import Connection

from pipeline.core.errors import StoreError
from pipeline.core.model import Selection, State
from pipeline.store.sqlite import queries, reads, schema, tallies
from pipeline.store.sqlite.schema import MIGRATIONS, Migration

NEXT = Migration("a colour", ("ALTER TABLE task ADD COLUMN colour TEXT", "CREATE INDEX task_colour ON task (colour)"))
BROKEN = Migration("a mistake", ("CREATE TABLE half (x TEXT) STRICT", "CREATE TABLE task (x TEXT)"))


@pytest_asyncio.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    """An empty database file."""
    async with aiosqlite.connect(tmp_path / "a.db", isolation_level=None) as opened:
        yield opened


async def _names(connection: Connection) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in await connection.execute_fetchall("SELECT version, name FROM migration")]


async def _plan(connection: Connection, sql: str, values: Any) -> str:
    rows = await connection.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)
    return "\n".join(row[3] for row in rows)


@pytest.mark.asyncio
async def test_an_empty_file_becomes_the_newest_version(connection: Connection, tmp_path: Path) -> None:
    """All migrations run in order, each is recorded, and a second run changes nothing."""
    assert await schema.check(connection, tmp_path) == len(MIGRATIONS)
    for _ in range(2):
        await schema.migrate(connection, tmp_path)
        assert await _names(connection) == [(n, migration.name) for n, migration in enumerate(MIGRATIONS, 1)]
    assert await schema.check(connection, tmp_path) == 0


@pytest.mark.asyncio
async def test_only_what_is_missing_runs(connection: Connection, tmp_path: Path) -> None:
    """A file of the release before gets the new steps and keeps its rows; then the older release refuses it."""
    await schema.migrate(connection, tmp_path)
    await connection.execute("INSERT INTO note VALUES ('limits', '{}')")
    await schema.migrate(connection, tmp_path, (*MIGRATIONS, NEXT))
    assert (await _names(connection))[-1] == (len(MIGRATIONS) + 1, "a colour")
    assert [row[0] for row in await connection.execute_fetchall("SELECT name FROM note")] == ["limits"]
    with pytest.raises(StoreError) as caught:
        await schema.migrate(connection, tmp_path)
    assert caught.value.trouble.code == "database_newer"


@pytest.mark.asyncio
async def test_a_failing_migration_leaves_nothing_behind(connection: Connection, tmp_path: Path) -> None:
    """What it had done is undone with its record; the ones before it stay; no transaction stays open."""
    with pytest.raises(sqlite3.OperationalError):
        await schema.migrate(connection, tmp_path, (*MIGRATIONS, NEXT, BROKEN))
    assert not connection.in_transaction
    assert [name for _, name in await _names(connection)] == [*(each.name for each in MIGRATIONS), "a colour"]
    assert not list(await connection.execute_fetchall("SELECT 1 FROM sqlite_schema WHERE name = 'half'"))
    await schema.migrate(connection, tmp_path, (*MIGRATIONS, NEXT))


@pytest.mark.asyncio
async def test_a_failing_first_migration_leaves_an_empty_file(connection: Connection, tmp_path: Path) -> None:
    """Also the mark of ownership is undone, so that the next start is a first start again."""
    with pytest.raises(sqlite3.OperationalError):
        await schema.migrate(connection, tmp_path, (Migration("bad", (*MIGRATIONS[0].statements, "nonsense")),))
    assert await schema.version(connection, tmp_path) == 0
    await schema.migrate(connection, tmp_path)


@pytest.mark.asyncio
async def test_two_that_open_at_once_migrate_once(tmp_path: Path) -> None:
    """Two connections to a new file both end at the newest version, each step run once."""
    path = tmp_path / "a.db"
    async with (
        aiosqlite.connect(path, isolation_level=None) as one,
        aiosqlite.connect(path, isolation_level=None) as two,
    ):
        await asyncio.gather(schema.migrate(one, path), schema.migrate(two, path))
        assert await _names(one) == await _names(two)
        assert len(await _names(one)) == len(MIGRATIONS)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "wake_at", "owner"),
    [("pending", None, None), ("running", 1.0, None), ("done", 1.0, None), ("done", None, "me"), ("held", 5.0, None)],
)
async def test_the_file_refuses_impossible_rows(
    connection: Connection, tmp_path: Path, state: str, wake_at: float | None, owner: str | None
) -> None:
    """Live tasks have a time to wake and ended ones have none; a lease and running belong together."""
    await schema.migrate(connection, tmp_path)
    with pytest.raises(sqlite3.IntegrityError):
        await connection.execute(
            "INSERT INTO task (kind, key, stage, state, lane, rank, wake_at, owner, stage_since, created, updated, data)"
            " VALUES ('k', 'k', 's', ?, 'fetch', 0, ?, ?, 0, 0, 0, '{}')",
            (state, wake_at, owner),
        )


@pytest.mark.asyncio
async def test_each_query_walks_its_index(connection: Connection, tmp_path: Path) -> None:
    """What runs for every step or every page never walks the task table from end to end."""
    await schema.migrate(connection, tmp_path)
    page = Selection(kinds=("item",), states=(State.DONE,), limit=50, after_id=7)
    named = Selection(kinds=("item",), mentions=("a",))
    due = {"free_slots": '{"fetch": 1}', "now": 1.0, "most": 1}
    for sql, values, index in (
        (queries.FIND_DUE, due, "USING INDEX task_due (lane=? AND rank=? AND wake_at<?)"),
        (queries.TAKE, ("[1]", "me", 1.0, 1.0), "USING INTEGER PRIMARY KEY"),
        (queries.RENEW, ("[]", 1.0), "USING INTEGER PRIMARY KEY"),
        (queries.FENCE, ("[]",), "USING INTEGER PRIMARY KEY"),
        (queries.EXISTING, ("[]",), "USING INDEX task_identity (key=? AND kind=?)"),
        (reads.NEXT_DUE, {"lanes": "[]", "now": 1.0}, "USING INDEX task_due (lane=? AND rank=?)"),
        (tallies.of_schema(tallies.TALLY, indexed=True), {}, "USING INDEX task_item (state=?)"),
        (tallies.of_schema(tallies.TALLY_VIDEOS, indexed=True), {}, "USING COVERING INDEX task_stopped (state=?)"),
        (reads.selected(named)[0], reads.selected(named)[1], "task_named (kind=? AND id>?)"),
        (tallies.of_schema(reads.COUNTS, indexed=True), {}, "USING COVERING INDEX task_state"),
        (tallies.of_schema(reads.COUNTS, indexed=True), {}, "USING INDEX task_stopped (state=?)"),
        (reads.RESULTS, ("[]", "[]"), "USING INDEX result_identity (subject=?)"),
        (reads.SPENDS, ("[]",), "USING INDEX spend_subject (subject=?)"),
        (reads.selected(page)[0], reads.selected(page)[1], "task_state (state=? AND kind=? AND rowid>?)"),
        (*reads.selected(Selection(keys=("a", "b"))), "task_identity (key=?"),
        (*reads.selected(Selection(subjects=("a", "b"))), "task_subject (subject=?"),
        (*reads.selected(Selection(classes=("a", "b"))), "task_trouble (trouble_code=?"),
    ):
        plan = await _plan(connection, sql, values)
        assert index in plan, sql
        assert "SCAN task\n" not in f"{plan}\n", sql
