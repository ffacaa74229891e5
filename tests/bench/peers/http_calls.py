"""The four requests of the work over aiohttp: the cheapest Python client there is for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from tests.bench.peers.work import WIDE, Work

__all__ = ["Calls", "opened", "until"]

Found = TypeVar("Found")


async def until(look: Callable[[str], Awaitable[Found | None]], key: str, every: float) -> Found:
    """Look every so many seconds until something is there."""
    while True:
        if (found := await look(key)) is not None:
            return found
        await asyncio.sleep(every)


def opened() -> aiohttp.ClientSession:
    """Open a client with as many connections as every peer has."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WIDE), headers={"x-api-key": "k"})


class Calls:
    """Uploads, asks, and looks whether the platform is done."""

    def __init__(self, work: Work, http: aiohttp.ClientSession) -> None:
        self._work = work
        self._http = http

    async def upload(self, number: int) -> str:
        """Send a video; return its asset."""
        form = aiohttp.FormData({"method": "direct", "filename": self._work.name(number)})
        form.add_field("file", self._work.content(number), filename=self._work.name(number), content_type="video/mp4")
        async with self._http.post(f"{self._work.base}/assets", data=form) as answer:
            return str((await answer.json())["_id"])

    async def ready(self, asset: str) -> str | None:
        """Return the asset, None while it is not ready."""
        async with self._http.get(f"{self._work.base}/assets/{asset}") as answer:
            return asset if (await answer.json())["status"] == "ready" else None

    async def ask(self, number: int, asset: str) -> str:
        """Ask about a video; return the task."""
        body = self._work.request(number, asset)
        async with self._http.post(f"{self._work.base}/analyze/tasks", json=body) as answer:
            return str((await answer.json())["task_id"])

    async def answer(self, task: str) -> str | None:
        """Return the answer, None while it is not there."""
        async with self._http.get(f"{self._work.base}/analyze/tasks/{task}") as answer:
            told = await answer.json()
            return str(told["result"]["data"]) if told["status"] == "ready" else None
