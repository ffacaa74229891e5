"""The platform on a disk that is full: it says so, forgets nothing, and goes on when there is room."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
import pytest
import structlog
from structlog.testing import capture_logs

from pipeline.errors import StoreError
from pipeline.local.limits import Limits
from pipeline.local.state import State
from tests.contract.double import Canned, Wrist, finished, platform, question, ready

BLOB = "x" * 100_000


def fill(db: sqlite3.Connection, number: int) -> None:
    """Write about a hundred kilobytes."""
    db.execute("INSERT INTO meta VALUES (?, ?)", [f"filling-{number}", BLOB])


def squeeze(db: sqlite3.Connection, pages: int = 0) -> None:
    """Let the database grow no further, as on a full disk; or, with a number of pages, let it grow again."""
    (used,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages or used}")


@pytest.mark.asyncio
async def test_a_full_disk_fails_the_commit_and_nothing_else(tmp_path: Path) -> None:
    """Everybody in the commit is told, in our words; what was committed before is there, and later ones succeed."""
    state = State(tmp_path)
    await state.open()
    await state.change(lambda db: fill(db, 1))
    await state.look(squeeze)
    with pytest.raises(StoreError, match="cannot be written"):
        await state.change(lambda db: fill(db, 2))
    await state.look(lambda db: squeeze(db, 100_000))
    await state.change(lambda db: fill(db, 3))
    names = await state.look(lambda db: [row[0] for row in db.execute("SELECT name FROM meta WHERE name LIKE 'fill%'")])
    assert names == ["filling-1", "filling-3"]
    await state.aclose()


@pytest.mark.asyncio
async def test_work_that_the_disk_did_not_take_is_done_later(tmp_path: Path) -> None:
    """Calls are refused with 503 meanwhile, the platform stays up, and an accepted analysis is answered in the end."""
    clock = Wrist()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with capture_logs() as said:
        async with platform(tmp_path, clock=clock, analyse=Canned(BLOB), limits=Limits(think_seconds=10.0)) as (
            served,
            client,
        ):
            asset_id = await ready(client)
            task = (await client.post("/analyze/tasks", json=question(asset_id))).json()
            state = served._state
            await state.look(squeeze)
            body = question(asset_id, prompt=BLOB[:1900] * 20)
            refused = await client.post("/analyze/tasks", json=body)
            assert refused.status_code == 503, refused.text
            clock.move(10.0)
            with anyio.fail_after(10):  # the analysis runs into the full disk
                while not any("again_in" in event for event in said):
                    assert (await client.get("/assets")).status_code == 200
            await state.look(lambda db: squeeze(db, 100_000))
            clock.move(10.0)
            assert (await finished(client, task["task_id"]))["status"] == "ready"
            assert [entry.effect for entry in served.ledger.entries()] == ["asset_created", "analyze_task_created"]
