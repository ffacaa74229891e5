"""What must not stay open when something breaks off in the middle."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random

import anyio
import pytest

from pipeline.core.clock import SystemClock
from pipeline.provider.dialects.protocol import FilePart, FileRange, Request
from pipeline.provider.http.transport import Transport

SIZE = 40_000_000  #: bytes of a sparse file: more than any socket buffer takes


@asynccontextmanager
async def deaf(answer: bytes = b"") -> AsyncIterator[int]:
    """Serve on loopback without ever reading a body: silent, or with an early answer."""
    told: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(asyncio.Event())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await told[-1].wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for event in told:
            event.set()
        server.close()
        await server.wait_closed()


@contextmanager
def counting() -> Iterator[None]:
    """Keep the garbage collector from tidying up behind a test."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def opened(path: Path) -> list[str]:
    """Return how far this process has read a file, for each open descriptor of it."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{number}") == os.path.realpath(path):
                found.append(Path(f"/proc/self/fdinfo/{number}").read_text(encoding="ascii").partition("\n")[0])
    return found


async def stands_still(path: Path) -> None:
    """Wait until a file is open and is not read any further: the sockets are full."""
    before: list[str] = []
    while not (now := opened(path)) or now != before:
        before = now
        await anyio.sleep(0.05)


@pytest.mark.asyncio
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors the way Linux shows them")
@pytest.mark.parametrize("way", ["chunk", "form"])
async def test_an_upload_that_is_broken_off_closes_its_file_at_once(tmp_path: Path, way: str) -> None:
    """A stopped run or a lost lease must not leave files open until the garbage collector happens to come by."""
    path = tmp_path / "film.mp4"
    with path.open("wb") as file:
        file.truncate(SIZE)
    async with deaf() as port:
        transport = Transport(
            f"http://127.0.0.1:{port}/v1.3", "key", connections=2, timeout=60, clock=SystemClock(), rng=Random(1)
        )
        request = (
            Request("PUT", "", range=FileRange(path, 0, SIZE), url=f"http://127.0.0.1:{port}/chunk")
            if way == "chunk"
            else Request(
                "POST", "/assets", form=[("method", "direct")], files=[FilePart(path, "film.mp4", "video/mp4", SIZE)]
            )
        )
        with counting():
            async with anyio.create_task_group() as group:
                group.start_soon(transport.send, request)
                with anyio.fail_after(10):
                    await stands_still(path)
                group.cancel_scope.cancel()
            assert opened(path) == []
        await transport.aclose()
