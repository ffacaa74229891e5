"""Network streams for httpx with fewer system calls.

A short request is one write, and a look at an idle connection one poll.
httpcore, below httpx, writes head and body one by one, and asks for all addresses of a socket to learn whether the other
side has closed it. A request costs a fifth more CPU that way.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore
import httpx

_JOINED = 64 * 1024  #: bytes that are held at most to be written with what follows


class JoinedWrites(httpcore.AsyncNetworkStream):
    """A stream that holds short writes until an answer is read."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._held = b""
        self._timeout: float | None = None
        self._socket = inner.get_extra_info("socket")
        self._poll = select.poll()
        if self._socket is not None:
            self._poll.register(self._socket.fileno(), select.POLLIN)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held, self._timeout = self._held + buffer if self._held else buffer, timeout
        if len(self._held) > _JOINED:
            await self._flush()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._held:
            with suppress(httpcore.WriteError):  # as httpcore does: it may have answered before it closed
                await self._flush()
        return await self._inner.read(max_bytes, timeout)

    async def _flush(self) -> None:
        held, self._held = self._held, b""
        await self._inner.write(held, self._timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return JoinedWrites(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable" or self._socket is None:
            return self._inner.get_extra_info(info)
        return self._socket.fileno() < 0 or bool(self._poll.poll(0))


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        return JoinedWrites(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def join_writes(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
    """Give a transport this backend; an unknown httpx stays as it is."""
    pool: Any = getattr(transport, "_pool", None)
    if isinstance(getattr(pool, "_network_backend", None), httpcore.AsyncNetworkBackend):
        pool._network_backend = _Backend(pool._network_backend)
    return transport
