"""A scene in which videos are fetched: the worker's protocol spoken by a script, downloads in a real folder.

Instants are every message between run and worker, both ways, and every change in the folder. The folder is part of the
world: a picture holds its files, and reviving the picture puts them back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import anyio
from anyio.abc import Process

from pipeline.app.wiring.components import Adapters
from pipeline.app.wiring.downloads import build_youtube_client, file_releaser, youtube_source
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.ports.store import Database
from pipeline.ports.video_api import Ceilings
from pipeline.sink.disk import DiskSink
from pipeline.source.captions import read_captions
from pipeline.source.preflight import check
from pipeline.source.youtube.worker.pool import WorkerCommand, WorkerPool, WorkerProcess
from tests.faults.crash_worlds import World
from tests.support.disk import silent
from tests.support.media import clip_bytes

_NOBODY = 2**30  #: a process number that no Linux gives out: ending the worker's group must reach nobody

_CHANGES = ("mkdir", "rmdir", "rename", "replace", "unlink", "remove", "fsync")

VTT = b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello there\n"


class Downloads:
    """A real folder that can be pictured. What was not synced when the power fails is gone, or torn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.watch: Callable[[str], None] = silent
        self.fate = ""  #: what the next picture shows: as it is, ``lost`` or ``torn``
        self._synced: set[tuple[int, int]] = set()  # inode, size

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "files": dict(self._seen())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        for name, content in state["files"].items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def files(self) -> dict[str, bytes]:
        """Return everything that lies there, but for locks and the memory of the pace."""
        return {name: content for name, content in self._seen() if not name.endswith(".lock") and "pace" not in name}

    def _seen(self) -> Iterator[tuple[str, bytes]]:
        for file in sorted(self.path.rglob("*")):
            if file.is_file():
                content, seen = file.read_bytes(), file.stat()
                if self.fate and (seen.st_ino, seen.st_size) not in self._synced:
                    if self.fate == "lost":
                        continue
                    content = content[: len(content) // 2]
                yield str(file.relative_to(self.path)), content

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell of every change below the folder."""
        kept = {name: getattr(os, name) for name in _CHANGES}
        for name, real in kept.items():
            setattr(os, name, partial(self._change, name, real))
        try:
            yield
        finally:
            for name, real in kept.items():
                setattr(os, name, real)

    def _change(self, name: str, real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        descriptor = name == "fsync" or more.get("dir_fd") is not None
        place = os.readlink(f"/proc/self/fd/{more.get('dir_fd', args[0])}") if descriptor else os.fspath(args[0])
        if not str(place).startswith(str(self.path)):
            return real(*args, **more)
        self.watch(f"{name} {Path(str(place)).name}")
        result = real(*args, **more)
        if name == "fsync":
            seen = os.fstat(args[0])
            self._synced.add((seen.st_ino, seen.st_size))
        self.watch(f"{name} {Path(str(place)).name} done")
        return result


class Script:
    """The other end of the pipe: a worker that fetches what it is asked for, and dies at an appointed message."""

    def __init__(self, folder: Downloads, appointment: list[int]) -> None:
        self.pid = _NOBODY
        self.returncode: int | None = None
        self.stdin = self.stdout = self
        self._folder = folder
        self._appointment = appointment  # messages left until a death; shared by all workers of a run
        self._said: list[bytes] = []
        self._work: Iterator[dict[str, Any]] = iter([{"event": "hello", "protocol": 1, "yt_dlp": "2026.10.26"}])
        self._info: dict[str, Any] = {}

    async def send(self, line: bytes) -> None:
        """Take a request."""
        self._message("a request sent")
        if self.returncode is not None:
            raise anyio.BrokenResourceError
        request = json.loads(line)
        self._work = getattr(self, f"_{request['do']}")(request)
        self._folder.watch("a request sent, and heard")

    async def receive(self, _most: int = 65536) -> bytes:
        """Hand out the next event, after the work that it stands for."""
        await anyio.lowlevel.checkpoint()
        event = next(self._work, None)
        self._message(f"before the event {event and event['event']}")
        if self.returncode is not None or event is None:
            raise anyio.EndOfStream
        return json.dumps(event).encode() + b"\n"

    def _message(self, what: str) -> None:
        self._folder.watch(what)
        self._appointment[0] -= 1
        if self._appointment[0] == 0:
            self.returncode = -9

    def _probe(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        video = request["url"].rpartition("=")[2]
        yield {"event": "beat", "id": request["id"], "quiet": 0.5}
        size = len(_content(video))
        best = {
            "format_id": "18",
            "protocol": "https",
            "ext": "mp4",
            "filesize": size,
            "vcodec": "h264",
            "acodec": "aac",
        }
        self._info = {"id": video, "title": f"Video {video}", "duration": 5, "formats": [best], "subtitles": ["en"]}
        yield {"event": "probed", "id": request["id"], "plan": request["plans"][0][0], "info": self._info, "rss": 1}

    def _download(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        video = self._info["id"]
        content = _content(video)
        whole = Path(request["params"]["paths"]["home"]) / f"{video}.18.mp4"
        part = whole.with_name(f"{whole.name}.part")
        if not whole.exists():
            there = part.stat().st_size if part.exists() else 0
            middle = (there + len(content)) // 2
            with part.open("ab") as stream:
                stream.write(content[there:middle])
                stream.flush()
                yield {"event": "progress", "id": request["id"], "bytes": middle}
                stream.write(content[middle:])
            yield {"event": "progress", "id": request["id"], "bytes": len(content)}
            part.replace(whole)
        yield {"event": "downloaded", "id": request["id"], "files": [str(whole)], "rss": 1}

    def _captions(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        track = Path(request["params"]["paths"]["home"]) / "captions.en.vtt"
        track.write_bytes(VTT)
        yield {"event": "captioned", "id": request["id"], "files": [str(track)], "rss": 1}

    async def wait(self) -> int:
        """Be gone."""
        self.returncode = -9 if self.returncode is None else self.returncode
        return self.returncode

    async def aclose(self) -> None:
        """Nothing is held."""


def _content(video: str) -> bytes:
    return clip_bytes(int(video.removeprefix("video")))


class Fetching(World):
    """A world with a folder of downloads."""

    downloads: Downloads
    appointment: list[int]  #: messages until a worker dies
    ordered = False  #: whether one is to die

    def listen(self, tell: Callable[[str], None]) -> None:
        """Have the folder's changes and the worker's messages told, too."""
        super().listen(tell)
        self.downloads.watch = tell

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let a process work on both disks."""
        with super().at_work(), self.downloads.watched():
            yield

    @contextmanager
    def failed(self, fate: str) -> Iterator[None]:
        """The power fails for both disks."""
        with super().failed(fate):
            self.downloads.fate = fate
            yield
            self.downloads.fate = ""


def fetching_world(output: Path, work: Path) -> Fetching:
    """Return a world in which nothing was fetched yet."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    base = World.new(output)
    world = Fetching(base.clock, base.database, base.platform, base.disk)
    world.downloads, world.appointment = Downloads(work), [0]
    return world


def fetching_adapters(world: World, settings: Settings, database: Database, clock: Clock, rng: Random) -> Adapters:
    """Return YouTube behind scripted workers."""
    assert isinstance(world, Fetching)

    async def begin(_launch: WorkerCommand, _environment: Mapping[str, str]) -> WorkerProcess:
        script: Any = Script(world.downloads, world.appointment)
        process: Process = script
        worker = WorkerProcess(process, BytesIO())
        await worker.greet()
        return worker

    workers = WorkerPool(WorkerCommand(), settings.lanes.download, {}, begin)
    youtube = build_youtube_client(settings, workers, database, clock, rng)
    site = youtube_source(settings, youtube, clock, Ceilings())
    return Adapters(
        {"youtube": site}, DiskSink(settings.run.output), check, read_captions, file_releaser(keep=settings.fetch.keep)
    )
