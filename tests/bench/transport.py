"""What a request costs: ``python -m tests.bench transport``.

Our transport (small pools) and our whole client call against one bare ``httpx.AsyncClient``, each with 50 connections and
50 requests at once, against a server that does next to nothing after 20 ms. CPU is that of this process; the server has
its own.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from random import Random

import httpx

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.ports.video_api import NewUpload
from pipeline.provider.client import open_api
from pipeline.provider.dialects.protocol import Call, Request
from pipeline.provider.http.rate_limits import Unlimited
from pipeline.provider.http.transport import Transport

AT_ONCE = 50
_BODY = json.dumps({"data": [{"_id": "a", "status": "ready"}], "page_info": {"page": 1, "total_page": 1}}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class _Cheap(asyncio.Protocol):
    """Answers every request head with the same bytes, 20 ms later."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for _ in heads:
            asyncio.get_running_loop().call_later(0.02, self._transport.write, _ANSWER)


def _serve(told: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Cheap, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _measure(name: str, one: Callable[[], Awaitable[object]], requests: int) -> None:
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await one()

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    print(f"{name:<32} {requests / took:7.0f} requests/s   {1000 * used / requests:6.3f} ms CPU each")


async def _main(port: int, requests: int) -> None:
    url = f"http://127.0.0.1:{port}"
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(limits=limits, headers={"x-api-key": "k"}) as bare:

        async def plain() -> object:
            return (await bare.get(f"{url}/v1.3/assets?page=1")).json()

        await _measure("one bare httpx.AsyncClient", plain, requests)
    clock, rng = SystemClock(), Random(1)
    transport = Transport(f"{url}/v1.3", "k", connections=AT_ONCE, timeout=10, clock=clock, rng=rng)
    request = Request("GET", "/assets", params=[("page", "1")], safe=True)

    async def bordered() -> object:
        return json.loads((await transport.send(request)).body)

    await _measure("our transport", bordered, requests)
    await transport.aclose()
    settings = Settings.model_validate({"provider": {"connections": AT_ONCE}})
    api = open_api(
        settings, base_url=url, key="k", identity="bench", limiter=Unlimited(), clock=clock, rng=rng, local=True
    )
    listing = Call(request, api.dialect.find_assets(NewUpload("n", "direct"), 1).read)
    await _measure("our client, one call", lambda: api.caller.call(listing), requests)
    await api.aclose()


def main() -> None:
    """Run the three loops, twice, one after another."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    try:
        for _ in range(2):
            asyncio.run(_main(port, requests))
    finally:
        server.terminate()
        server.join()
