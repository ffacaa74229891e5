"""The platform's memory: shared commits, undoing alone, cancelled callers."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from starlette.datastructures import QueryParams

from pipeline.core.errors import Busy, ConfigError, StoreError
from pipeline.local.api.http.query import ListQuery
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.ledger import LedgerEntry, enter, entries
from pipeline.local.state.tables import ASSETS, AssetRow


def note(key: str) -> LedgerEntry:
    """Return an entry with this key."""
    return LedgerEntry(1.0, "POST", "/x", "asset_created", "id", key)


@pytest.mark.asyncio
async def test_work_that_fails_is_undone_alone(tmp_path: Path) -> None:
    """Of many changes that share a commit, the failing ones leave nothing and raise what they raised."""
    state = PlatformDatabase(tmp_path)
    await state.open()

    def work(number: int, db: sqlite3.Connection) -> int:
        enter(db, note(str(number)))
        if number % 3 == 0:
            raise KeyError(number)
        return number

    changes = [state.write(lambda db, n=n: work(n, db), durable=n % 2 == 0) for n in range(20)]  # type: ignore[misc]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert [o for o in outcomes if isinstance(o, int)] == [n for n in range(20) if n % 3]
    assert sum(isinstance(o, KeyError) for o in outcomes) == 7
    kept = await state.read(entries)
    assert [entry.client_key for entry in kept] == [str(n) for n in range(20) if n % 3]
    await state.aclose()


@pytest.mark.asyncio
async def test_a_cancelled_caller_leaves_its_change_whole(tmp_path: Path) -> None:
    """A change that was begun is carried out although nobody waits for it any more."""
    state = PlatformDatabase(tmp_path)
    await state.open()
    task = asyncio.create_task(state.write(lambda db: enter(db, note("mine"))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [entry.client_key for entry in await state.read(entries)] == ["mine"]
    await state.aclose()


@pytest.mark.asyncio
async def test_a_closed_memory_says_so(tmp_path: Path) -> None:
    """After closing, every write and read is a StoreError, and closing again is harmless."""
    state = PlatformDatabase(tmp_path)
    await state.open()
    await state.aclose()
    await state.aclose()
    with pytest.raises(StoreError):
        await state.read(entries)
    with pytest.raises(StoreError):
        await state.write(lambda db: enter(db, note("late")))


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_used_is_named_with_the_key_that_moves_it(tmp_path: Path) -> None:
    """A file in its place, or another platform in it: one sentence, and the setting that there really is."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/platform: the local platform's folder cannot be used") as refused:
        await PlatformDatabase(tmp_path / "file" / "platform").open()
    assert "[platform] state" in refused.value.trouble.remedy
    state = PlatformDatabase(tmp_path / "shared")
    await state.open()
    with pytest.raises(Busy) as busy:
        await PlatformDatabase(tmp_path / "shared").open()
    assert "[platform] state" in busy.value.trouble.remedy
    await state.aclose()


@pytest.mark.asyncio
async def test_what_the_disk_does_is_told_as_such(tmp_path: Path) -> None:
    """A read or a write that SQLite cannot carry out is a StoreError: the work behind the answers waits and goes on.

    Raw, it would end the embedded platform, and the run would wait for it for a day.
    """
    state = PlatformDatabase(tmp_path)
    await state.open()
    for ask in (state.read, state.write):
        with pytest.raises(StoreError, match="cannot be used"):
            await ask(lambda db: db.execute("SELECT * FROM nowhere"))
    with pytest.raises(sqlite3.IntegrityError):
        await state.write(lambda db: db.execute("INSERT INTO meta VALUES ('secret', NULL)"))
    await state.aclose()


def test_lists_are_in_the_order_of_the_times_they_show() -> None:
    """What arrived first and began later stands above: a busy machine lets requests overtake each other."""
    db = sqlite3.connect(":memory:")
    for statement in ASSETS.ddl:
        db.execute(statement)
    for name, created in (("a", 10.0), ("c", 30.0), ("b", 20.0), ("d", 30.0)):
        ASSETS.add(db, AssetRow(name, "direct", "ready", name, "video/mp4", created))
    total, found = ListQuery.build({}, QueryParams("page_limit=3")).fetch(db, ASSETS)
    assert (total, [each.id for each in found]) == (4, ["d", "c", "b"])
