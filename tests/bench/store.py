"""Measure the store: ``python -m tests.bench store [--rows 200000] [--callers 64] [--folder DIR]``.

Prints one line per figure: rows submitted per second, the time of a claim of 50 from a full queue, outcomes applied per
second by many concurrent callers, and the reading calls that a live display makes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pipeline.core.lifecycle import Transition
from pipeline.core.model import Lane, NewTask, Placed, Result, Spend, State, Task
from pipeline.ports.store import Applied, ApplyAnswer
from pipeline.store.sqlite.database import SqliteDatabase, open_database

_DATA = {"source": "/films/holiday.mp4", "title": "A day at the sea", "tags": ["summer", "family"], "seconds": 61.25}


def _placed(number: int) -> Placed:
    new = NewTask("item", f"file:/films/{number:07}.mp4", "resolve", _DATA, due=float(number % 100))
    return Placed(new, Lane.FETCH, 0)


async def fill(database: SqliteDatabase, rows: int, callers: int = 4, batch: int = 1000) -> float:
    """Submit ``rows`` tasks in batches from a few concurrent callers; return rows per second."""
    starts = iter(range(0, rows, batch))

    async def feed() -> None:
        for start in starts:
            await database.submit([_placed(number) for number in range(start, min(rows, start + batch))], 0.0)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(feed())
    return rows / (time.perf_counter() - began)


async def claims(database: SqliteDatabase, times: int, size: int) -> tuple[list[float], list[Task]]:
    """Claim ``size`` tasks again and again; return milliseconds of each, and the tasks."""
    took, tasks = [], []
    for _ in range(times):
        began = time.perf_counter()
        tasks += await database.claim({Lane.FETCH: size, Lane.UPLOAD: size, Lane.POLL: size}, "bench", 1000.0, 1e9)
        took.append((time.perf_counter() - began) * 1000)
    return took, tasks


async def _apply_all(database: SqliteDatabase, tasks: list[Task], callers: int) -> float:
    """Write an outcome with a result and a ledger entry for each task; return outcomes per second."""
    rest = iter(tasks)

    async def work() -> None:
        for task in rest:
            result = Result(task.key, "gist", "f" * 16, {"title": "x" * 200}, created=1.0)
            spend = Spend(f"{task.key}#1", "analyze", 0.01, 1.0, task.key, at=1.0)
            move = Transition(
                State.PENDING,
                "upload",
                0,
                0,
                2000.0,
                1000.0,
                data=_DATA,
                results=[result],
                spend=[spend],
                word="advanced",
            )
            assert await database.apply(Applied(task, move, Lane.FETCH, 1), 1000.0) is ApplyAnswer.WRITTEN

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(work())
    return len(tasks) / (time.perf_counter() - began)


async def _reading(call: Callable[[], Awaitable[object]]) -> float:
    """Return the median milliseconds of a reading call."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def _measure(path: Path, rows: int, callers: int) -> None:
    database = await open_database(path)
    try:
        print(f"submit   {await fill(database, rows):10,.0f} rows/s    batches of 1,000, {rows:,} rows")
        took, tasks = await claims(database, 200, 50)
        print(f"claim 50 {statistics.median(took):10.2f} ms median {max(took):.2f} ms worst of {len(took)}")
        print(f"apply    {await _apply_all(database, tasks, callers):10,.0f} outcomes/s  {callers} concurrent callers")
        took, tasks = await claims(database, 40, 50)
        print(f"claim 50 {statistics.median(took):10.2f} ms median, with 10,000 higher ones not yet due")
        print(f"apply    {await _apply_all(database, tasks[:1000], 1):10,.0f} outcomes/s  1 caller")
        for name, call in (
            ("counts", database.counts),
            ("tally", database.tally),
            ("next_due", lambda: database.next_due([*Lane])),
            ("spent", database.spent),
        ):
            print(f"{name:<9}{await _reading(call):10.2f} ms")
    finally:
        await database.aclose()


def main() -> None:
    """Read the arguments and measure in a folder of its own."""
    parser = argparse.ArgumentParser(description="Measure the store.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=None, help="where to make the database; a local disk")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        asyncio.run(_measure(Path(folder) / "bench.db", given.rows, given.callers))
