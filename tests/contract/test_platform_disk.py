"""The platform on a disk that is full, and over its own mistakes: it says so, forgets nothing, and goes on."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from structlog.testing import capture_logs

from pipeline.core.errors import StoreError
from pipeline.local.analysis.protocol import AnalysisRequest, ProbedFile, Reply, VideoWords
from pipeline.local.limits import PlatformLimits
from pipeline.local.state.database import PlatformDatabase
from tests.contract.platform_double import (
    VIDEO,
    Canned,
    ManualClock,
    finished,
    new_index,
    platform,
    question,
    ready,
    upload,
)

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
    state = PlatformDatabase(tmp_path)
    await state.open()
    await state.write(lambda db: fill(db, 1))
    await state.read(squeeze)
    with pytest.raises(StoreError, match="cannot be written"):
        await state.write(lambda db: fill(db, 2))
    await state.read(lambda db: squeeze(db, 100_000))
    await state.write(lambda db: fill(db, 3))
    names = await state.read(lambda db: [row[0] for row in db.execute("SELECT name FROM meta WHERE name LIKE 'fill%'")])
    assert names == ["filling-1", "filling-3"]
    await state.aclose()


@pytest.mark.asyncio
async def test_work_that_the_disk_did_not_take_is_done_later(tmp_path: Path) -> None:
    """Calls are refused with 503 meanwhile, the platform stays up, and an accepted analysis is answered in the end."""
    clock = ManualClock()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with capture_logs() as said:
        async with platform(
            tmp_path, clock=clock, analyzer=Canned(BLOB), limits=PlatformLimits(think_seconds=10.0)
        ) as (
            served,
            client,
        ):
            asset_id = await ready(client)
            task = (await client.post("/analyze/tasks", json=question(asset_id))).json()
            state = served._state
            await state.read(squeeze)
            body = question(asset_id, prompt=BLOB[:1900] * 20)
            refused = await client.post("/analyze/tasks", json=body)
            assert refused.status_code == 503, refused.text
            clock.move(10.0)
            with anyio.fail_after(10):  # the analysis runs into the full disk
                while not any("again_in" in event for event in said):
                    assert (await client.get("/assets")).status_code == 200
            await state.read(lambda db: squeeze(db, 100_000))
            clock.move(10.0)
            assert (await finished(client, task["task_id"]))["status"] == "ready"
            assert [entry.effect for entry in served.ledger.entries()] == ["asset_created", "analyze_task_created"]


class Mistaken(Canned):
    """Returns nonsense about some: a mistake of ours that nobody foresaw."""

    def probe(self, path: Path) -> ProbedFile:
        found = super().probe(path)
        odd: Any = "wide"
        return replace(found, width=odd) if path.read_bytes().startswith(b"odd") else found

    def answer(self, request: AnalysisRequest) -> Reply:
        nothing: Any = None
        return nothing if request.prompt.startswith("odd") else super().answer(request)

    def words(self, request: AnalysisRequest) -> VideoWords:
        nothing: Any = None
        return nothing


@pytest.mark.asyncio
async def test_a_mistake_over_one_thing_ends_that_thing_alone(tmp_path: Path) -> None:
    """An asset, an analysis and a video fail, each with a line in the log; the next ones are looked at as ever."""
    clock = ManualClock()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))

    async def ended(address: str) -> dict[str, Any]:
        with anyio.fail_after(20):
            while (found := (await client.get(address)).json())["status"] not in ("ready", "failed"):
                clock.move(1.0)
        return dict(found)

    with capture_logs() as said:
        async with platform(tmp_path, clock=clock, analyzer=Mistaken()) as (_, client):
            assert (await ended(f"/assets/{await upload(client, content=b'odd' + VIDEO)}"))["status"] == "failed"
            asset_id = await ready(client)
            task = (await client.post("/analyze/tasks", json=question(asset_id, prompt="odd"))).json()["task_id"]
            assert (await ended(f"/analyze/tasks/{task}"))["error"]["code"] == "internal_error"
            base = f"/indexes/{await new_index(client)}/indexed-assets"
            made = (await client.post(base, json={"asset_id": asset_id})).json()["_id"]
            assert (await ended(f"{base}/{made}"))["status"] == "failed"
            good = (await client.post("/analyze/tasks", json=question(asset_id))).json()["task_id"]
            assert (await finished(client, good))["status"] == "ready"
    assert [event["event"] for event in said] == ["platform.crashed"] * 3
