"""Makes blocks here, and in a second process if there are many."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream

from pipeline.app.gallery.collect import StoredVideo
from pipeline.app.gallery.making.block import BlockJob, BlockMaker, MadeBlock
from pipeline.app.gallery.making.process import BlockProcess
from pipeline.gallery.read_ahead import read_ahead

#: A job and what came of it.
Done: TypeAlias = tuple[BlockJob, MadeBlock]

_SWITCH = 0.001  #: seconds until who makes a block lets the event loop go on, which hears the other process
_AHEAD = 3  #: blocks that wait to be written: of hours of captions, each may have many megabytes


class BlockWorkers:
    """Two who take the next job each, whenever they are free."""

    def __init__(self, here: BlockMaker, process: BlockProcess) -> None:
        self._here = here
        self._process = process
        self._begun = anyio.Event()  #: jobs are worth a process, or there are no more
        self._many = False
        #: Held while a block is made here, and to be held while files are written: each call of the operating system
        #: would wait for its turn at the interpreter, hundreds of times a block.
        self.alone = anyio.Lock()

    def expect_many(self) -> None:
        """Say that there are enough jobs to be worth a process."""
        self._many = True
        self._begun.set()

    @asynccontextmanager
    async def made(self, jobs: AsyncGenerator[BlockJob, None]) -> AsyncIterator[AsyncIterator[Done]]:
        """Yield jobs with what was made of each, as they get ready.

        Raises:
            Exception: what the source, the database or the user raises, as it is; at most once.
        """
        send, receive = anyio.create_memory_object_stream[Done](_AHEAD)  # who has made a block goes on
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            async with read_ahead(self._all(jobs)) as waiting, anyio.create_task_group() as group, receive:
                group.start_soon(self._work_here, waiting, send.clone())
                group.start_soon(self._work_elsewhere, waiting, send)
                yield receive
                group.cancel_scope.cancel()  # who leaves early wants no more
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            sys.setswitchinterval(usual)

    async def _all(self, jobs: AsyncGenerator[BlockJob, None]) -> AsyncGenerator[BlockJob, None]:
        async with aclosing(jobs):
            async for job in jobs:
                yield job
        self._begun.set()

    async def _work_here(self, jobs: AsyncIterator[BlockJob], send: MemoryObjectSendStream[Done]) -> None:
        async with send, read_ahead(self._read(jobs)) as known:
            async for job, videos in known:
                await send.send((job, await self._make(job, videos)))

    async def _make(self, job: BlockJob, videos: Sequence[StoredVideo]) -> MadeBlock:
        async with self.alone:  # in a thread, as the event loop has the other process to hear
            return await to_thread.run_sync(self._here.make, job, videos)

    async def _read(
        self, jobs: AsyncIterator[BlockJob]
    ) -> AsyncGenerator[tuple[BlockJob, Sequence[StoredVideo]], None]:
        async for job in jobs:
            yield job, await self._here.read(job)

    async def _work_elsewhere(self, jobs: AsyncIterator[BlockJob], send: MemoryObjectSendStream[Done]) -> None:
        async with send:
            await self._begun.wait()
            if not self._many or not self._process.can_help():
                return
            async for job in jobs:
                made = await self._process.make(job)
                if made is None:
                    await send.send((job, await self._make(job, await self._here.read(job))))
                    return
                await send.send((job, made))
