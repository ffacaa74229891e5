"""What an upload costs: ``python -m tests.bench upload``.

One large file in chunks, by our client and by two bare ``httpx.AsyncClient`` loops with as many chunks at once: one reads
each chunk into memory, one streams it as httpx does. Each in a process of its own, against a platform and a storage that
throw bytes away in a third. The file takes no room on the disk, but whoever reads it first makes the kernel fill its cache,
half a second of CPU for each GB. So it is read before each measurement; the first of three paid for all where it was not.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import httpx

from pipeline.config.settings import Settings
from tests.bench.child import Meter, spawn
from tests.faults.upload_server import cloud

MB = 1024 * 1024
OURS, WHOLE, STREAMED = "reelmill", "bare httpx, chunks in memory", "bare httpx, streamed"
MOST = 1.2  #: CPU of ours by that of the cheaper bare loop
PARALLEL = Settings().provider.chunk_parallel


async def ours(told: Mapping[str, Any]) -> dict[str, Any]:
    """Upload with the product's client."""
    from pipeline.core.clock import SystemClock
    from pipeline.ports.video_api import NewUpload
    from pipeline.provider.client import open_api
    from pipeline.provider.http.rate_limits import Unlimited

    path, clock, rng = Path(told["path"]), SystemClock(), Random(1)
    api = open_api(Settings(), base_url=told["api"], key="k", identity="bench", limiter=Unlimited(), clock=clock,
                   rng=rng, local=True)  # fmt: skip
    upload = NewUpload(told["name"], "multipart", size=told["size"], path=path)
    meter = Meter.start()
    await api.send_chunks(await api.open_session(upload, lambda: None), path, lambda _: None)
    figures = meter.read(1)
    await api.aclose()
    return dict(figures)


async def whole(told: Mapping[str, Any]) -> dict[str, Any]:
    """Upload with a bare client that reads each chunk into memory."""

    async def body(path: Path, offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return await _bare(told, body)


async def streamed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Upload with a bare client that hands on 64 KiB at a time, which is httpx's own measure."""

    async def pieces(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            file.seek(offset)
            while length > 0 and (piece := file.read(min(65_536, length))):
                length -= len(piece)
                yield piece

    async def body(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
        return pieces(path, offset, length)

    return await _bare(told, body)


async def _bare(
    told: Mapping[str, Any], body: Callable[[Path, int, int], Awaitable[bytes | AsyncIterator[bytes]]]
) -> dict[str, Any]:
    path, size = Path(told["path"]), told["size"]
    meter = Meter.start()
    async with httpx.AsyncClient(headers={"x-api-key": "k"}, timeout=60) as http:
        place = f"{told['api']}/v1.3/assets/multipart-uploads"
        session = (await http.post(place, json={"filename": told["name"], "total_size": size})).json()
        chunk, total = session["chunk_size"], session["total_chunks"]
        asked = {"start": 1, "count": total}
        urls = (await http.post(f"{place}/{session['upload_id']}/presigned-urls", json=asked)).json()["upload_urls"]
        left, proofs = iter(urls), []

        async def worker() -> None:
            for each in left:
                index = each["chunk_index"]
                length = min(chunk, size - (index - 1) * chunk)
                content = await body(path, (index - 1) * chunk, length)
                answer = await http.put(each["url"], content=content, headers={"content-length": str(length)})
                proofs.append({"chunk_index": index, "proof": answer.headers["etag"], "chunk_size": length})

        await asyncio.gather(*(worker() for _ in range(PARALLEL)))
        await http.post(f"{place}/{session['upload_id']}", json={"completed_chunks": proofs})
    return dict(meter.read(1))


def _serve(told: Connection, chunk: int) -> None:
    with cloud(chunk, "k") as there:
        told.send(there.api)
        while told.recv():
            last = there.last
            told.send((last.status, sum(last.received.values())))


def _read_through(path: Path) -> None:
    block = bytearray(MB)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def main() -> None:
    """Measure in turns; print medians beside the limit."""
    parser = argparse.ArgumentParser(description="The CPU and memory of one large upload, beside bare httpx.")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--chunk", type=int, default=16, help="megabytes")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, given.chunk * MB), daemon=True)
    server.start()
    figures: dict[str, list[dict[str, Any]]] = {OURS: [], WHOLE: [], STREAMED: []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            size = given.megabytes * MB
            with path.open("wb") as file:
                file.truncate(size)
            api = here.recv()
            for number in range(given.rounds):
                for label, way in ((OURS, ours), (WHOLE, whole), (STREAMED, streamed)):
                    _read_through(path)
                    told = {"way": way.__name__, "api": api, "path": str(path), "size": size}
                    figures[label].append(spawn("upload", {**told, "name": f"{number}-{way.__name__}.mp4"}))
                    here.send(True)
                    assert here.recv() == ("completed", size), f"{label} did not send the file once"
        here.send(False)
    finally:
        server.terminate()
        server.join()
    _show(figures, given.megabytes, given.chunk)


def _show(figures: Mapping[str, list[dict[str, Any]]], megabytes: int, chunk: int) -> None:
    def middle(label: str, name: str) -> float:
        return statistics.median(entry[name] for entry in figures[label])

    print(f"{megabytes:,} MB in chunks of {chunk} MB, {PARALLEL} at once; medians")
    for label in figures:
        cpu, wall = middle(label, "cpu_ms_per_item") / 1000, middle(label, "wall")
        grown = middle(label, "peak_mb") - middle(label, "peak_before_mb")
        print(f"{label:<30} {cpu:6.2f} s CPU  {megabytes / wall:6.0f} MB/s  {middle(label, 'peak_mb'):4.0f} MB peak "
              f"({grown:+.0f} MB)")  # fmt: skip
    cheaper = min((WHOLE, STREAMED), key=lambda label: middle(label, "cpu_ms_per_item"))
    ratio = middle(OURS, "cpu_ms_per_item") / middle(cheaper, "cpu_ms_per_item")
    print(f"CPU of reelmill / {cheaper}: {ratio:.2f} (limit {MOST})")
