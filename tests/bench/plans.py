"""How PostgreSQL carries out each statement of the store over a million rows; fails where one reads a large table whole."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from pipeline.config.database_address import parse_address
from pipeline.store.postgres.migrate import migrate
from tests.support.plans import Plan, explain, fill, statements
from tests.support.postgres_server import RECKLESS, PostgresProcess

_BLOCKS = 25 * 60  #: that a statement for 25 tasks may touch: its rows, some indices, and their entries


def main() -> None:
    """Start a server, fill it, explain every statement, print a table."""
    parser = argparse.ArgumentParser(prog="tests.bench plans", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each large table")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="reelmill-pg-"))
    process = PostgresProcess(folder, {**RECKLESS, "shared_buffers": "512MB"})
    try:
        process.start()
        plans = asyncio.run(_explained(process.server.url("postgres"), given.rows))
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
    wrong = [plan for plan, _ in plans if plan.scans or plan.blocks > _BLOCKS]
    for plan, milliseconds in plans:
        print(f"{plan.name:<28} {plan.blocks:>7} blocks {milliseconds:>8.2f} ms  {', '.join(plan.scans) or '-'}")
    print(f"{given.rows:,} rows; {len(plans)} statements; reading a table whole or over {_BLOCKS} blocks: {len(wrong)}")
    sys.exit(1 if wrong else 0)


async def _explained(url: str, rows: int) -> list[tuple[Plan, float]]:
    await migrate(parse_address(url), engine="pgqueuer")
    link = await asyncpg.connect(url)
    await fill(link, rows)
    ids = [row[0] for row in await link.fetch("SELECT id FROM task WHERE state = 'pending' ORDER BY random() LIMIT 25")]
    found = []
    for name, (sql, values) in statements(ids).items():
        plan = await explain(link, name, sql, values)
        found.append((plan, median([await _timed(link, sql, values) for _ in range(5)])))
    await link.close()
    return found


async def _timed(link: Any, sql: str, values: Any) -> float:
    """Return milliseconds; what is done is undone."""
    transaction = link.transaction()
    await transaction.start()
    began = time.perf_counter()
    await link.fetch(sql, *values)
    took = time.perf_counter() - began
    await transaction.rollback()
    return took * 1_000
