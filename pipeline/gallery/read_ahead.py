"""Reads the next value of a source while the last one is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import anyio

T = TypeVar("T")


@asynccontextmanager
async def read_ahead(source: AsyncGenerator[T, None]) -> AsyncIterator[AsyncIterator[T]]:
    """Yield the values of ``source``, one of them read ahead.

    Raises:
        Exception: what the source or the user raises, as it is; at most once.
    """
    send, receive = anyio.create_memory_object_stream[T](0)

    async def read() -> None:
        async with send, aclosing(source):
            async for value in source:
                await send.send(value)

    try:
        async with anyio.create_task_group() as group, receive:
            group.start_soon(read)
            yield receive
            group.cancel_scope.cancel()  # who leaves early wants no more
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
