"""Connections on real sockets: kept, given up in time, and never faster than the other side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from pipeline.provider.connections import Lines, Outgoing

LARGE = 8 * 1024 * 1024  #: bytes: more than the sockets hold
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def lines(serve: Serve) -> AsyncIterator[tuple[Lines, list[int]]]:
    """Our connections to a server, and a list that grows with each connection it gets."""
    met: list[int] = []

    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(len(met))
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(noting, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ours = Lines(httpx.URL(f"http://127.0.0.1:{port}"), httpx.create_ssl_context())
    try:
        yield ours, met
    finally:
        await ours.aclose()
        server.close()
        await server.wait_closed()


def outgoing(content: bytes | AsyncGenerator[bytes, None] = b"", length: int = 0, read: float = 5.0) -> Outgoing:
    """A request with a body of ``length`` bytes."""
    timeouts = {"connect": 5.0, "read": read, "write": 5.0, "pool": 5.0}
    headers = [(b"host", b"x"), (b"content-length", b"%d" % length)]
    return Outgoing("POST", httpx.URL("http://x"), b"/", headers, content, timeouts)


async def head(reader: asyncio.StreamReader) -> int:
    """Read a request's head and return the length of its body."""
    told = (await reader.readuntil(b"\r\n\r\n")).lower()
    return int(told.partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.mark.asyncio
async def test_a_connection_is_used_again_until_the_server_closes_it() -> None:
    """Requests follow each other on one connection; one that was closed while idle is not sent into."""
    close = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readexactly(await head(reader))
            writer.write(OK)
            if close.is_set():
                return

    async with lines(serve) as (ours, met):
        for _ in range(3):
            assert (await ours.send(outgoing(), 10))[2] == b"ok"
        assert len(met) == 1
        close.set()
        assert (await ours.send(outgoing(), 10))[0] == 200
        # Only the system knows of the end yet: nothing has given the loop a turn to hear of it.
        assert (await ours.send(outgoing(), 10))[0] == 200
        assert len(met) == 2


@pytest.mark.asyncio
async def test_a_large_body_waits_for_a_slow_reader() -> None:
    """What is handed over is bounded by what the other side takes, and arrives whole."""
    ahead, go = list[int](), asyncio.Event()
    got = 0

    async def body() -> AsyncGenerator[bytes, None]:
        for _ in range(LARGE // 65_536):
            ahead.append(65_536)
            yield b"x" * 65_536

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        length = await head(reader)
        await go.wait()
        got = len(await reader.readexactly(length))
        writer.write(OK)
        await writer.drain()

    async with lines(serve) as (ours, _):
        async with anyio.create_task_group() as group:

            async def send() -> None:
                assert (await ours.send(outgoing(body(), LARGE), 10))[2] == b"ok"

            group.start_soon(send)
            before = -1
            while before != len(ahead) or before < 1:  # until the sockets are full
                before = len(ahead)
                await asyncio.sleep(0.05)
            assert sum(ahead) < LARGE
            go.set()
        assert got == LARGE


@pytest.mark.asyncio
async def test_a_large_answer_waits_for_us() -> None:
    """An answer larger than every buffer on the way is read whole."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + b"y" * LARGE)
        await writer.drain()

    async with lines(serve) as (ours, _):
        assert len((await ours.send(outgoing(), LARGE))[2]) == LARGE


@pytest.mark.asyncio
async def test_who_stops_talking_is_left_and_not_met_again() -> None:
    """A read that takes too long ends as a timeout, and the next request has a connection of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(OK[:-1])
        await reader.read()

    async with lines(serve) as (ours, met):
        for turn in (1, 2):
            with pytest.raises(httpx.ReadTimeout):
                await ours.send(outgoing(read=0.05), 10)
            assert len(met) == turn


@pytest.mark.asyncio
async def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    """Half an exchange cannot be gone on with: the connection is closed, and its content's generator is ended."""
    ended, begun, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            yield b"half"
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.read()
        closed.set()

    async with lines(serve) as (ours, _):
        async with anyio.create_task_group() as group:
            group.start_soon(ours.send, outgoing(body(), 100), 10)
            await begun.wait()
            group.cancel_scope.cancel()
        assert ended.is_set()
        with anyio.fail_after(5):
            await closed.wait()
