"""The floor: a plain loop over aiohttp that remembers nothing. Killed, it begins from the start and pays again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from tests.bench.child import Meter
from tests.bench.peers.http_calls import Calls, opened, until
from tests.bench.peers.work import Work

__all__ = ["run"]


async def run(work: Work) -> dict[str, Any]:
    """Do the work with every video in flight; the connections are what limits it."""
    meter = Meter.start()
    async with opened() as http:
        calls = Calls(work, http)
        left = iter(range(work.items))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(work.items, 400)):  # as many in hand as Reelmill has in this benchmark
                group.create_task(_worker(work, calls, left))
    return dict(meter.read(work.items))


async def _worker(work: Work, calls: Calls, left: Iterator[int]) -> None:
    for number in left:
        asset = await until(calls.ready, await calls.upload(number), work.poll_every)
        answer = await until(calls.answer, await calls.ask(number, asset), work.poll_every)
        await asyncio.to_thread(work.keep, number, answer)
