"""Downloads that are cut off: by a cancel, by a kill, at any moment; and a loop that goes on turning meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.core.errors import Transient
from pipeline.ports.source import MediaFacts
from pipeline.source.youtube.storage.folder import DownloadFolder, discard_download
from tests.support.site import Blob, MediaServer, captions
from tests.support.worker_forge import Forge
from tests.support.youtube_runs import Fetching, V, build

# ---------------------------------------------------------------------------------------------------------------- cancels


@pytest.mark.asyncio
@pytest.mark.parametrize("state", ["look", "download", "stall", "captions", "thumbnail"])
async def test_a_cancel_does_not_wait_for_the_worker(site: MediaServer, fetching: Fetching, state: str) -> None:
    """While the page hangs, while bytes come, while none come: gone at once, with the whole group and the folder's lock.

    The site would hold each of these for ten seconds and more; a loaded machine gets one.
    """
    site.video("warmup00001")
    before_it = set(_children())  # a browser of other tests, say
    await fetching.get("warmup00001")
    (pid,) = set(_children()) - before_it
    path = _hold(site, state)
    async with anyio.create_task_group() as group:
        group.start_soon(fetching.get)
        while not site.count(path):  # noqa: ASYNC110 - the site lives in a thread
            await anyio.sleep(0.01)
        await anyio.sleep(0.05)
        before = time.monotonic()
        group.cancel_scope.cancel()
    assert time.monotonic() - before < 1.0
    assert group.cancel_scope.cancelled_caught
    assert (fetching.workers._idle, pid in _children()) == ([], False)
    with DownloadFolder(fetching.work / "youtube", V):
        pass


def _hold(site: MediaServer, state: str) -> str:
    """Make the site hold a video up in a state; return the path that is asked for when it is reached."""
    more: dict[str, Any] = {"captions": captions(site.base + "/caption")} if state == "captions" else {}
    site.video(V, **more)
    if state == "look":
        site.players[V] = "hang"
        return f"/player/{V}"
    if state in ("captions", "thumbnail"):
        site.thumbnail(V, b"x" * 1000)
        path = "/caption" if state == "captions" else f"/picture/{V}"
        site.files[path] = Blob(b"x" * 1000, stall=True)
        return path
    blob = site.files[f"/media/{V}.mp4"]
    blob.stall, blob.rate = state == "stall", 2_000.0 if state == "download" else 0.0
    return f"/media/{V}"


# ------------------------------------------------------------------------------------------------------------------- loop


@dataclass
class Stalls:
    """How long the event loop did not turn, without the time for which it was only waiting for a processor."""

    longest: float = 0.0
    turns: int = 0

    async def watch(self) -> None:
        """Turn until cancelled."""
        last, waited = time.monotonic(), _waited()
        while True:
            await asyncio.sleep(0.005)
            now, waits = time.monotonic(), _waited()
            self.longest = max(self.longest, now - last - 0.005 - (waits - waited))
            self.turns += 1
            last, waited = now, waits


def _waited() -> float:
    """Return for how many seconds this thread has been ready and without a processor; 0 where nobody counts."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@pytest.mark.asyncio
async def test_the_event_loop_never_stands_still(site: MediaServer, fetching: Fetching) -> None:
    """Four videos whose pages have a megabyte each, two at a time: no turn of the loop takes fifty milliseconds.

    Turns that stand still because other processes have the processors are not ours; the best of three tries counts, as
    somebody else may hold the interpreter's lock while he waits for one.
    """
    for number in range(4):
        site.video(f"video{number:06}", seconds=5)
        site.players[f"video{number:06}"]["padding"] = ["x" * 1000] * 1000
    longest = []
    for _ in range(3):
        stalls = Stalls()
        async with anyio.create_task_group() as group:
            group.start_soon(stalls.watch)
            async with anyio.create_task_group() as jobs:
                for number in range(4):
                    jobs.start_soon(fetching.get, f"video{number:06}")
            group.cancel_scope.cancel()
        assert stalls.turns > 5
        longest.append(stalls.longest)
        if longest[-1] < 0.05:
            break
        for number in range(4):
            discard_download(fetching.folder(f"video{number:06}") / "done.json")
    assert min(longest) < 0.05


# ------------------------------------------------------------------------------------------------------------------ kills


@pytest.mark.slow(seconds=20)
@pytest.mark.asyncio
@pytest.mark.parametrize(("form", "seed"), [("http", 1), ("hls", 3)])
async def test_sixty_kills_leave_no_wrong_file(site: MediaServer, tmp_path: Path, form: str, seed: int) -> None:
    """Twice 30 process groups are killed at a random moment of a download, often of the same one: every file is exact.

    Over plain http the parts are gone on with, and the bytes are the site's; pieces are fetched anew, and the MP4 made
    of them is the one that an undisturbed download makes.
    """
    chance = Random(seed)
    content = site.video(V, seconds=60) if form == "http" else site.hls(V, tmp_path / "hls", busy=False)
    made = build(site, tmp_path, thumbnail=False)
    whole = (await made.get()).path
    exact = whole.read_bytes()
    assert form == "hls" or exact == content
    discard_download(whole)
    await made.workers.aclose()
    for path, blob in site.files.items():
        blob.rate = len(content) / 0.1 if form == "http" else 2e6 if path.endswith(".ts") else 0.0
    killed = cut = 0
    async with Forge(tmp_path, made.workers.command) as forge:
        made.workers.start = forge.start
        while killed < 30:
            done, groups = await _killed(made, site, forge, chance.random() * 0.12)
            killed += groups
            cut += done is None
            if done is not None or cut % 4 == 0:
                done = done or await made.get()
                assert done.path.read_bytes() == exact
                discard_download(done.path)
        assert (await made.get()).path.read_bytes() == exact
        await made.workers.aclose()
    assert cut > 15
    assert site.resumed > 6 if form == "http" else site.resumed == 0


async def _killed(made: Fetching, site: MediaServer, forge: Forge, after: float) -> tuple[MediaFacts | None, int]:
    """Fetch, and kill the worker's process group so many seconds after the first byte of media was asked for.

    Return what was fetched if it was faster, and how many groups were killed.
    """
    asked, groups = len(site.asked), 0

    async def kill() -> None:
        nonlocal groups
        while not any(path.startswith(("/media", "/hls")) for path in site.asked[asked:]):  # noqa: ASYNC110
            await anyio.sleep(0.005)
        await anyio.sleep(after)
        with suppress(ProcessLookupError):  # it was faster, and is gone
            os.killpg(forge.alive[-1], signal.SIGKILL)
            groups += 1

    found = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with suppress(Transient):
            found = await made.get()
        tasks.cancel_scope.cancel()
    return found, groups


def _children() -> list[int]:
    """Return the process groups that our own children lead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[1:3]
                if int(parent) == os.getpid() and int(group) == int(entry.name):
                    found.append(int(entry.name))
    return found
