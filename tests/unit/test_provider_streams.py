"""Network streams of the provider's client: joined writes, and what an idle connection says of itself."""

from __future__ import annotations

import socket
from typing import Any

import httpcore
import pytest

from pipeline.provider.http.streams import JoinedWrites
from tests.support.clock import run_virtual


class _Inner(httpcore.AsyncNetworkStream):
    """A connection that lists what is written, and can be closed for writing."""

    def __init__(self, sock: socket.socket | None = None, *, closed: bool = False) -> None:
        self.written: list[bytes] = []
        self.sock, self.closed = sock, closed

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self.closed:
            raise httpcore.WriteError
        self.written.append(bytes(buffer))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"answer"

    def get_extra_info(self, info: str) -> Any:
        return self.sock if info == "socket" else info


def test_a_short_request_is_one_write() -> None:
    """Head and body leave together once the answer is waited for, and only once."""
    inner = _Inner()

    async def talk() -> None:
        stream = JoinedWrites(inner)
        for part in (b"head", b"body", b""):
            await stream.write(part)
        assert await stream.read(100) == await stream.read(100) == b"answer"

    run_virtual(talk())
    assert inner.written == [b"headbody"]


def test_a_long_body_is_not_collected() -> None:
    """A large block is sent at once: memory stays at one block, and the deadline of an upload counts from its end."""
    inner, block = _Inner(), bytes(512 * 1024)

    async def talk() -> None:
        stream = JoinedWrites(inner)
        await stream.write(b"head")
        await stream.write(block)
        assert inner.written == [b"head" + block]
        await stream.write(block)

    run_virtual(talk())
    assert inner.written == [b"head" + block, block]


def test_an_answer_before_the_request_was_read_is_not_lost() -> None:
    """A server may refuse and close early: its answer is read all the same; a large write that fails is told."""

    async def talk() -> None:
        stream = JoinedWrites(_Inner(closed=True))
        await stream.write(b"head")
        assert await stream.read(100) == b"answer"
        with pytest.raises(httpcore.WriteError):
            await stream.write(bytes(512 * 1024))

    run_virtual(talk())


def test_a_connection_that_the_other_side_closed_is_noticed() -> None:
    """Idle: not readable. Closed by the server, or by us: readable, which the pool takes for closed."""
    ours, theirs = socket.socketpair()
    stream = JoinedWrites(_Inner(ours))
    assert stream.get_extra_info("is_readable") is False
    theirs.close()
    assert stream.get_extra_info("is_readable") is True
    ours.close()
    assert stream.get_extra_info("is_readable") is True
    assert stream.get_extra_info("ssl_object") == "ssl_object"  # everything else is the inner stream's to say
