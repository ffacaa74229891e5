"""What outlives a process, as a value: a database, a platform and a disk that can be pictured at any instant.

A process that dies at an instant leaves exactly what was outside it then. So one undisturbed run, pictured before and
after everything it does to the outside, yields every world that a death can leave behind, without dying once; what is
left to do is to finish in each of them. Nothing of the dead process runs: no ``finally``, as after SIGKILL.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import Adapters
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.model import Result, Selection, State, Task
from pipeline.ports.source import Item, MediaFacts, Source
from pipeline.ports.store import Database
from pipeline.ports.video_api import Ceilings
from pipeline.sink.disk import DiskSink
from pipeline.source.caption_files import CaptionFiles
from pipeline.source.captions import read_captions
from pipeline.views import RunReport
from tests.support.clock import VirtualClock, run_virtual
from tests.support.disk import MemoryDisk, silent
from tests.support.fakes import FakeSource, Wreck, Wrecked
from tests.support.memory_database import MemoryDatabase
from tests.support.vendor import Account, Client

#: Makes the sources of one process over a folder on the real disk: (that folder, clock, database, settings, watch).
MakeAdapters = Callable[["World", Settings, Database, Clock, Random], Adapters]


@dataclass
class World:
    """Everything that is not a process."""

    clock: VirtualClock
    database: MemoryDatabase
    platform: Account
    disk: MemoryDisk

    @classmethod
    def new(cls, output: Path, **platform: Any) -> World:
        """Return a world in which nothing has happened yet."""
        clock = VirtualClock()
        return cls(clock, MemoryDatabase(), Account(clock, **platform), MemoryDisk(str(output)))

    def listen(self, tell: Callable[[str], None]) -> None:
        """Have each change outside of databases and platforms told, too."""
        self.disk.watch = tell

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let a process work on this world's disks."""
        with self.disk.mounted():
            yield

    @contextmanager
    def failed(self, fate: str) -> Iterator[None]:
        """Look for a moment as after a power failure: what was not synced is ``lost``, or ``torn``; "" for as it is."""
        root = self.disk.root
        if fate:
            getattr(self.disk, fate)()
        yield
        self.disk.root = root


@dataclass(frozen=True, slots=True)
class Picture:
    """A world as it was at an instant, at rest."""

    at: float  #: seconds since the epoch of virtual time
    content: bytes

    def world(self) -> World:
        """Return a world that goes on from there, in a process whose monotonic clock starts anew."""
        world: World = pickle.loads(self.content)
        world.clock.skew = self.at + _START
        return world


def picture(world: World, at: float, fate: str = "") -> Picture:
    """Return a picture of a world, or of what a power failure would leave of it."""
    with world.failed(fate):
        return Picture(at, pickle.dumps(world, pickle.HIGHEST_PROTOCOL))


@dataclass(frozen=True)
class Night:
    """One run: what it is given, and what an operator did before it."""

    settings: Settings
    entries: Sequence[Item]
    meddle: Callable[[World], None] | None = None


@dataclass(frozen=True)
class Make:
    """How a process of a scene is put together."""

    api: type[Client] = Client
    ceilings: Ceilings = field(default_factory=Ceilings)
    adapters: MakeAdapters | None = None


def file_adapters(world: World, settings: Settings, database: Database, clock: Clock, rng: Random) -> Adapters:
    """Return files whose content is their identity, and the sink on the world's own disk."""
    sources: Mapping[str, Source] = {"file": FakeSource()}
    return Adapters(sources, DiskSink(settings.run.output), lambda facts, ceilings: None, lambda paths: "")


class CaptionedSource(FakeSource):
    """Files with captions beside them, on the real disk."""

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        facts = await super().fetch(item, workdir)
        beside = CaptionFiles().look(facts.path)
        return replace(facts, captions=beside.files, beside=beside)


def captioned_adapters(world: World, settings: Settings, database: Database, clock: Clock, rng: Random) -> Adapters:
    """As :func:`file_adapters`, for a platform that reads captions beside a file."""
    plain = file_adapters(world, settings, database, clock, rng)
    return replace(plain, sources={"file": CaptionedSource()}, read_captions=read_captions, captions=CaptionFiles())


class Witness:
    """Stands where a ``Wreck`` does, but nobody dies: it is told of each instant and passes everything on."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.calls: list[str] = []

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make the call between two instants."""
        self.calls.append(name)
        self.tell(name)
        result = await call()
        self.tell(f"{name} done")
        return result


async def process(
    world: World, make: Make, night: Night, guard: Witness | Wreck | None = None, seed: int = 1
) -> RunReport:
    """Be one process: one whole run over this world."""
    api: Any = make.api(world.platform, make.ceilings)
    database: Any = world.database
    adapters = (make.adapters or file_adapters)(world, night.settings, database, world.clock, Random(seed))
    if guard is not None:
        wreck: Any = guard
        api = Wrecked(api, wreck, "api", spared=("aclose",))
        database = Wrecked(database, wreck, "store", spared=("aclose",))
    session = RunSession(make_run_plan(night.settings), database, api, world.clock, Random(seed), adapters)
    with world.at_work():
        return await session.run(iter(list(night.entries)))


# --------------------------------------------------------------------------------------------------------- recording
@dataclass
class Album:
    """Every different picture of a run, with what was just happening; and how many instants there were in all."""

    pictures: dict[Picture, str] = field(default_factory=dict)
    instants: int = 0
    promise: Callable[[World], None] = lambda world: None  #: what must hold at every instant


def record(world: World, make: Make, night: Night, album: Album) -> list[str]:
    """Live through a night undisturbed and picture every instant; return the names of the calls."""
    start = world.clock.skew

    def tell(what: str) -> None:
        album.instants += 1
        now = start + world.clock.monotonic()
        for fate, told in _FATES.items():
            album.pictures.setdefault(picture(world, now, fate), f"{what}{told}")
        album.promise(world)

    witness = Witness(tell)
    world.listen(tell)
    report = run_virtual(process(world, make, night, witness))
    world.listen(silent)
    assert report.exit_code == 0, report
    world.clock.skew += _DAY
    return witness.calls


_DAY = 86_400.0

_START = 1.0  #: seconds from a death to the next process

_FATES: Mapping[str, str] = {
    "": "",
    "lost": ", then the power fails: what was not synced is lost",
    "torn": ", then the power fails: what was not synced is torn",
}


class Reservoir:
    """Keeps one picture of a run, each instant with the same chance, taking only a few."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng, self._seen = world, rng, 0
        self._start = world.clock.skew
        self.kept: Picture | None = None
        self.what = ""

    def tell(self, what: str) -> None:
        """Be told of an instant."""
        self._seen += 1
        if self._rng.random() * self._seen < 1:
            self.kept, self.what = picture(self._world, self._start + self._world.clock.monotonic()), what


# ------------------------------------------------------------------------------------------------------------ traces
@dataclass(frozen=True, slots=True)
class Traces:
    """What is left in the end, without times and the platform's ids."""

    rows: Sequence[tuple[str, str, str, str]]
    answers: Sequence[tuple[str, str, str]]
    files: Mapping[str, bytes]
    paid: Mapping[tuple[str, str], int]


async def _database(world: World) -> tuple[list[Task], list[Result]]:
    tasks = await world.database.tasks(Selection())
    results = await world.database.results(await world.database.subjects("", 10_000))
    return tasks, results


def traces(world: World) -> Traces:
    """Look at everything."""
    tasks, results = run_virtual(_database(world))
    return Traces(
        rows=sorted((task.kind, _key(task), where(task), task.state.value) for task in tasks),
        answers=sorted((r.subject, r.job, r.fingerprint) for r in results if not r.job.startswith("_")),
        files=dict(_files(world.disk)),
        paid=world.platform.effects(),
    )


def where(task: Task) -> str:
    """Return a task's stage; a done one may have ended in one step or in two."""
    return "" if task.state is State.DONE else task.stage


def _key(task: Task) -> str:
    """Return a task's key without the platform's ids, which come in the order of what it accepts."""
    return task.subject if task.kind == "indexing" else task.key


def _files(disk: MemoryDisk) -> Iterable[tuple[str, bytes]]:
    for name, content in disk.files().items():
        if name.endswith("video.json"):
            kept = json.loads(content)
            yield name, json.dumps([kept["title"], sorted(kept["results"])]).encode()
        elif "/raw/" in name:
            yield name.rpartition("/")[0], b""
        elif name == "results.jsonl":
            lines = [json.loads(line) for line in content.splitlines()]
            yield name, json.dumps(sorted([line["key"], *sorted(line["results"])] for line in lines)).encode()
        else:
            yield name, b"" if name.startswith("searches/") else content


def published_is_there(world: World) -> None:
    """Whatever the database calls published would be on the disk, whole, if the power failed now."""
    done = [task.data for task in run_now(world.database.tasks(Selection(kinds=("publish",), states=(State.DONE,))))]
    if not done:
        return
    with world.failed("lost"):
        there = {name: len(content) for name, content in world.disk.files().items()}
    for data in done:
        if data["folder"] not in world.disk.root.names:
            continue  # an operator has deleted it
        for name, size in data["sizes"].items():
            assert there.get(f"{data['folder']}/{name}") == size, (name, size, there)


def run_now(work: Any) -> Any:
    """Return what a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")
