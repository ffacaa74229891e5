"""A server before the local platform: it hands every request on, and gives a hostile answer to some of them."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

#: What is said instead of an honest answer: bytes, pauses (seconds; ``inf`` until the client hangs up), or a reset.
Script: TypeAlias = Sequence[bytes | float | None]
RESET = None
_HEAD = b"\r\n\r\n"
#: The platform must not know a repeated call by its key: then a second one would be free, and prove nothing.
_KEY = re.compile(rb"\r\nidempotency-key:[^\r]*", re.I)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_MOST_HEAD = 1 << 20


@dataclass(frozen=True)
class Honest:
    """What the platform has answered."""

    status: int = 200
    body: bytes = b""

    @property
    def data(self) -> Any:
        """The body as JSON; an empty object if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


def reply(status: int, body: bytes | object = b"", *headers: str) -> bytes:
    """Return a whole answer; anything but bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(content)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1", "replace") + _HEAD + content


@dataclass
class Front:
    """``hits``: which requests (``METHOD /path?query``) get the hostile answer, as long as it is not ``honest``.

    ``acts``: the platform is asked first, and does what it is asked. ``loses``: requests of which the first is carried out
    and gets no answer at all, so that the client has to look.
    """

    upstream: int
    hits: re.Pattern[str]
    make: Callable[[Honest], Script]
    acts: bool
    loses: re.Pattern[str] | None = None
    times: float = math.inf
    honest: bool = False
    given: int = 0
    port: int = 0
    heard: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = await reader.readuntil(_HEAD)
        found = _LENGTH.search(head)
        size = int(found[1]) if found else 0
        line = " ".join(head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2])
        self.heard.append(line)
        lost = not self.honest and self.loses is not None and self.loses.search(line) is not None
        hit = not self.honest and not lost and self.given < self.times and self.hits.search(line) is not None
        if hit and not self.acts:
            await _drain(reader, size)
            await self._say(self.make(Honest()), writer)
            return
        whole = await self._forward(head, reader, size)
        if lost:
            self.loses = None
            writer.transport.abort()
        elif hit:
            status, _, rest = whole.partition(b"\r\n")
            await self._say(self.make(Honest(int(status.split()[1]), rest.partition(_HEAD)[2])), writer)
        else:
            writer.write(whole)
            await writer.drain()

    async def _forward(self, head: bytes, reader: asyncio.StreamReader, size: int) -> bytes:
        there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
        back.write(_KEY.sub(b"", head)[: -len(_HEAD)] + b"\r\nConnection: close" + _HEAD)
        async for part in _parts(reader, size):
            back.write(part)
            await back.drain()
        whole = await there.read(-1)
        back.close()
        return whole

    async def _say(self, script: Script, writer: asyncio.StreamWriter) -> None:
        self.given += 1
        for part in script:
            if part is RESET:
                writer.transport.abort()
                return
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            else:
                await asyncio.sleep(min(part, 3600.0))


async def _parts(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        part = await reader.read(min(size, 1 << 20))
        if not part:
            raise ConnectionError("the client has gone")
        size -= len(part)
        yield part


async def _drain(reader: asyncio.StreamReader, size: int) -> None:
    async for _ in _parts(reader, size):
        pass


@asynccontextmanager
async def fronted(front: Front) -> AsyncIterator[Front]:
    """Serve on a port of its own; what is in progress ends with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        tasks.add(me)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await front.serve(reader, writer)
        finally:
            tasks.discard(me)
            writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0, limit=_MOST_HEAD)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await server.wait_closed()
