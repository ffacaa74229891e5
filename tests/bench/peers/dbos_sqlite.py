"""DBOS, durable workflows in the process, on SQLite.

A step whose process dies is made again: a paid call in flight is made twice.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig

from tests.bench.child import Meter
from tests.bench.peers.http_calls import Calls, opened, until
from tests.bench.peers.work import Work

__all__ = ["run"]


async def run(work: Work) -> dict[str, Any]:
    """Do the work with one workflow a video."""
    database = Path(work.folder) / "dbos.sqlite"
    config: DBOSConfig = {"name": "bench", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"}
    DBOS(config=config)
    async with opened() as http:
        calls = Calls(work, http)

        @DBOS.step()
        async def upload(number: int) -> str:
            return await calls.upload(number)

        @DBOS.step()
        async def settle(asset: str) -> None:
            await until(calls.ready, asset, work.poll_every)

        @DBOS.step()
        async def ask(number: int, asset: str) -> str:
            return await calls.ask(number, asset)

        @DBOS.step()
        async def collect(number: int, task: str) -> None:
            await asyncio.to_thread(work.keep, number, await until(calls.answer, task, work.poll_every))

        @DBOS.workflow()
        async def ingest(number: int) -> None:
            asset = await upload(number)
            await settle(asset)
            await collect(number, await ask(number, asset))

        DBOS.launch()
        queue = await DBOS.register_queue_async("videos", worker_concurrency=400, polling_interval_sec=0.1)
        meter = Meter.start()
        handles = [await queue.enqueue_async(ingest, number) for number in range(work.items)]
        for handle in handles:
            await handle.get_result()
        figures = dict(meter.read(work.items))
    DBOS.destroy()
    return figures
