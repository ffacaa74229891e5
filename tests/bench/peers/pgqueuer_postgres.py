"""PgQueuer, a job queue on PostgreSQL: one job a step, put back while the platform still works.

A job whose process dies is handed out again: a paid call in flight is made twice.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer import Job, PgQueuer, RetryRequested

from tests.bench.child import Meter
from tests.bench.peers.http_calls import Calls, opened
from tests.bench.peers.work import Work

__all__ = ["run"]


async def run(work: Work) -> dict[str, Any]:
    """Do the work as three jobs a video."""
    async with asyncpg.create_pool(work.postgres, max_size=10) as pool, opened() as http:
        queue = PgQueuer.from_asyncpg_pool(pool)
        await queue.queries.install()
        left = _entrypoints(work, Calls(work, http), queue)
        meter = Meter.start()
        await queue.queries.enqueue(["upload"] * work.items, [_payload(number) for number in range(work.items)],
                                    [0] * work.items)  # fmt: skip
        async with asyncio.TaskGroup() as group:
            group.create_task(
                queue.run(dequeue_timeout=timedelta(seconds=0.1), batch_size=50, max_concurrent_tasks=400)
            )
            await left.wait()
            figures = dict(meter.read(work.items))
            queue.shutdown.set()
    return figures


def _payload(number: int, key: str = "") -> bytes:
    return json.dumps([number, key]).encode()


def _entrypoints(work: Work, calls: Calls, queue: PgQueuer) -> asyncio.Event:
    """Say what each job does; return what is set after the last."""
    pause = timedelta(seconds=work.poll_every)
    ended, done = 0, asyncio.Event()

    @queue.entrypoint("upload")
    async def upload(job: Job) -> None:
        number, _ = json.loads(job.payload or b"")
        await queue.queries.enqueue("ask", _payload(number, await calls.upload(number)))

    @queue.entrypoint("ask")
    async def ask(job: Job) -> None:
        number, asset = json.loads(job.payload or b"")
        if await calls.ready(asset) is None:
            raise RetryRequested(pause)
        await queue.queries.enqueue("collect", _payload(number, await calls.ask(number, asset)))

    @queue.entrypoint("collect")
    async def collect(job: Job) -> None:
        nonlocal ended
        number, task = json.loads(job.payload or b"")
        answer = await calls.answer(task)
        if answer is None:
            raise RetryRequested(pause)
        await asyncio.to_thread(work.keep, number, answer)
        ended += 1
        if ended == work.items:
            done.set()

    return done
