"""Connections, and how they are kept: the HTTP border's lower half.

Each connection is used by one request at a time and chosen by us. A pool of 50 spends five times the CPU per request,
because it looks through all its connections, with a system call for each idle one, at the start and the end of each.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass

import anyio
import httpcore
import httpx

from pipeline.provider.plain import Plain

KEEP = 4.0  #: seconds an idle connection is kept: shorter than servers do, or a POST may meet a closing one

#: (status, headers as received, body)
Received = tuple[int, list[tuple[bytes, bytes]], bytes]


class TooMuch(Exception):
    """An answer grew over its limit; never leaves the border."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request, ready to be sent."""

    method: str
    origin: httpx.URL
    target: bytes  #: path and query
    headers: list[tuple[bytes, bytes]]
    content: bytes | AsyncGenerator[bytes, None]
    timeouts: dict[str, float]  #: connect, read, write, pool: seconds

    async def aclose(self) -> None:
        """End the content wherever it stands; nobody but us closes it, which closes its file."""
        if not isinstance(self.content, bytes):
            await self.content.aclose()


class Lines:
    """Connections to one origin without a proxy. The caller limits how many requests are made at once."""

    def __init__(self, origin: httpx.URL, context: ssl.SSLContext) -> None:
        secure = origin.scheme == "https"
        self._at = (origin.raw_scheme, origin.raw_host, origin.port or (443 if secure else 80))
        self._context = context if secure else None
        self._backend = None if secure else Plain()
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def send(self, request: Outgoing, most: int) -> Received:
        """Send and return the whole answer, at most ``most`` bytes of it. Raises what httpx would."""
        scheme, host, port = self._at
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=request.target)
        extensions = {"timeout": request.timeouts}
        sent = httpcore.Request(
            request.method, url, headers=request.headers, content=request.content, extensions=extensions
        )
        line = await self._take()
        try:
            response = await line.handle_async_request(sent)
            try:
                return response.status, response.headers, await _read(response.aiter_stream(), response.headers, most)
            finally:
                await response.aclose()
        except tuple(_MEANS) as error:
            raise _meant(error) from error
        finally:
            with anyio.CancelScope(shield=True):
                await self._give_back(line)
                await request.aclose()

    async def aclose(self) -> None:
        """Close what is idle; nothing may be under way."""
        for line in self._idle:
            await line.aclose()
        self._idle.clear()

    async def _take(self) -> httpcore.AsyncHTTPConnection:
        """Return the connection that was used last, if it is still good, or a new one."""
        while self._idle:
            line = self._idle.pop()
            if not line.has_expired():
                return line
            await line.aclose()
        scheme, host, port = self._at
        return httpcore.AsyncHTTPConnection(
            httpcore.Origin(scheme, host, port), self._context, KEEP, network_backend=self._backend
        )

    async def _give_back(self, line: httpcore.AsyncHTTPConnection) -> None:
        if line.is_idle() and not line.is_closed():
            self._idle.append(line)
        else:
            await line.aclose()


#: What httpcore raises -> what httpx makes of it; the more special ones first.
_MEANS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.ConnectionNotAvailable: httpx.ConnectError,
}


def _meant(error: Exception) -> httpx.TransportError:
    return next(theirs for ours, theirs in _MEANS.items() if isinstance(error, ours))(str(error))


@dataclass(frozen=True, slots=True)
class _Sent(httpx.AsyncByteStream):
    """Bytes from our own generator as httpx wants them."""

    source: AsyncIterable[bytes]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self.source:
            yield block


class Pools:
    """Connections to any origin, by way of a proxy if there is one: as many pools of one as there may be requests."""

    def __init__(self, context: ssl.SSLContext, connections: int, proxy: str | None) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP)
        self._all = [
            httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False, proxy=proxy)
            for _ in range(connections)
        ]
        self._idle = self._all[::-1]

    async def send(self, request: Outgoing, most: int) -> Received:
        """Send and return the whole answer, at most ``most`` bytes of it."""
        stream = httpx.ByteStream(request.content) if isinstance(request.content, bytes) else _Sent(request.content)
        url = request.origin.copy_with(raw_path=request.target)
        sent = httpx.Request(
            request.method, url, headers=request.headers, stream=stream, extensions={"timeout": request.timeouts}
        )
        pool = self._idle.pop()
        try:
            response = await pool.handle_async_request(sent)
            try:
                if not isinstance(response.stream, httpx.AsyncByteStream):  # pragma: no cover - a promise of httpx
                    raise TypeError("not an async response")
                headers = response.headers.raw
                return response.status_code, headers, await _read(response.stream, headers, most)
            finally:
                await response.aclose()
        finally:
            self._idle.append(pool)
            await request.aclose()

    async def aclose(self) -> None:
        """Close all."""
        for pool in self._all:
            await pool.aclose()


async def _read(stream: AsyncIterable[bytes], headers: list[tuple[bytes, bytes]], most: int) -> bytes:
    unpack = _unpacker(next((value for name, value in headers if name.lower() == b"content-encoding"), b""))
    parts: list[bytes] = []
    size = 0
    async for part in stream:
        if unpack is not None:
            part = unpack.decompress(part, most - size + 1)
        size += len(part)
        if size > most or (unpack is not None and unpack.unconsumed_tail):
            raise TooMuch
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unpacker(encoding: bytes) -> zlib._Decompress | None:
    """We ask for plain bytes; one who packs them all the same is unpacked, but never beyond the limit."""
    return zlib.decompressobj(47) if encoding.lower() in (b"gzip", b"x-gzip", b"deflate") else None
