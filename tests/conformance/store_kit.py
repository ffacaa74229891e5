"""What the store's suites share: one database of each sort, and short names for tasks and outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pipeline.config.database_address import parse_address
from pipeline.core.lifecycle import Transition
from pipeline.core.model import Json, Lane, NewTask, Placed, Result, Selection, Spend, State, Task, Trouble
from pipeline.ports.store import Applied, ApplyAnswer, Database
from pipeline.store.postgres.database import open_database as open_postgres
from pipeline.store.sqlite.database import open_database
from tests.support.hinted import open_hinted
from tests.support.memory_database import MemoryDatabase
from tests.support.postgres import Databases

NOW = 1_000.0
ROOM: Mapping[Lane, int] = dict.fromkeys(Lane, 1_000)
TROUBLE = Trouble("video_too_short", "The video is too short.", "Use a longer one.", "duration 1.2")


SORTS = ("memory", "sqlite", "postgres", "pgqueuer")


async def opened(sort: str, folder: Path, url: str) -> Database:
    """Open a database of one of the :data:`SORTS`: in memory, in this folder, or at this address."""
    if sort == "memory":
        return MemoryDatabase()
    if sort == "sqlite":
        return await open_database(folder / "reelmill.db")
    return await (open_postgres(parse_address(url)) if sort == "postgres" else open_hinted(parse_address(url)))


def each_database() -> Callable[..., Any]:
    """Return a fixture that gives a test one database after the other."""

    @pytest_asyncio.fixture(params=SORTS)
    async def database(request: pytest.FixtureRequest, tmp_path: Path, databases: Databases) -> AsyncIterator[Database]:
        async with databases.lent() if request.param in ("postgres", "pgqueuer") else nullcontext("") as url:
            database = await opened(request.param, tmp_path, url)
            yield database
            await database.aclose()

    return database


def each_pair() -> Callable[..., Any]:
    """Return a fixture that gives a test what two processes hold of one database, for each sort of them."""

    @pytest_asyncio.fixture(params=SORTS)
    async def two(
        request: pytest.FixtureRequest, tmp_path: Path, databases: Databases
    ) -> AsyncIterator[list[Database]]:
        async with databases.lent() if request.param in ("postgres", "pgqueuer") else nullcontext("") as url:
            first = await opened(request.param, tmp_path, url)
            second = first if request.param == "memory" else await opened(request.param, tmp_path, url)
            yield [first, second]
            for each in (first, second):
                await each.aclose()

    return two


def placed(
    key: str = "a",
    *,
    kind: str = "video",
    stage: str = "fetch",
    data: Mapping[str, Json] | None = None,
    lane: Lane = Lane.FETCH,
    rank: int = 0,
    due: float = 0.0,
    subject: str = "",
    restart_at: str | None = None,
    restart_failed: bool = False,
    restart_lane: Lane = Lane.WRITE,
    restart_rank: int = 7,
) -> Placed:
    """Return a task to be put."""
    new = NewTask(kind, key, stage, data or {}, subject, due, restart_at, restart_failed)
    return Placed(
        new, lane, rank, restart_lane if restart_at is not None else None, restart_rank if restart_at is not None else 0
    )


def moved(
    task: Task,
    state: State = State.DONE,
    *,
    stage: str | None = None,
    attempt: int | None = None,
    claims: int | None = None,
    wake_at: float | None = None,
    data: Mapping[str, Json] | None = None,
    subject: str | None = None,
    trouble: Trouble | None = None,
    results: Sequence[Result] = (),
    spend: Sequence[Spend] = (),
    spawn: Sequence[Placed] = (),
    word: str = "",
    lane: Lane | None = None,
    rank: int | None = None,
    since: float | None = None,
    by_holder: bool = True,
) -> Applied:
    """Return an outcome for a claimed task; what is not given stays as it is."""
    move = Transition(
        state,
        task.stage if stage is None else stage,
        task.attempt if attempt is None else attempt,
        task.claims if claims is None else claims,
        (NOW if wake_at is None else wake_at) if state is State.PENDING else None,
        task.stage_since if since is None else since,
        data=data,
        subject=subject,
        trouble=trouble,
        results=results,
        spawn=[entry.new for entry in spawn],
        spend=spend,
        word=word,
    )
    return Applied(task, move, lane or task.lane, task.rank if rank is None else rank, spawn, by_holder)


async def claim(database: Database, now: float = NOW, *, owner: str = "me", until: float = NOW + 60) -> list[Task]:
    """Claim everything that is due."""
    return await database.claim(ROOM, owner, now, until)


async def one(database: Database, key: str = "a") -> Task:
    """Return the only task with this key."""
    (task,) = await database.tasks(Selection(keys=(key,)))
    return task


async def bring(database: Database, state: State, key: str = "a", **given: Any) -> Task:
    """Put a task and bring it into a state by the port's own calls; return it as it is then."""
    await database.submit([placed(key, **given)], 0.0)
    if state is State.PENDING:
        return await one(database, key)
    (task,) = [task for task in await claim(database) if task.key == key]
    if state is State.RUNNING:
        return task
    if state is State.CANCELLED:
        await database.command("cancel", Selection(keys=(key,)), NOW)
    else:
        trouble = TROUBLE if state in (State.FAILED, State.HELD) else None
        assert await database.apply(moved(task, state, trouble=trouble), NOW) is ApplyAnswer.WRITTEN
    return await one(database, key)
