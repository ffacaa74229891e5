"""Die everywhere, for real: the enumeration of ``test_crash_points.py`` over SQLite, HTTP, the local platform and the disk.

Two lives share a state folder, an output folder and a platform. The first dies at its point; the second finishes; the
platform's own ledger is the judge. The platform answers from a canned analysis and gets no idempotency keys, so that a
call that is made twice is billed twice.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import disk_adapters
from pipeline.app.wiring.downloads import build_youtube_client, worker_pool
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.core.clock import Clock
from pipeline.core.model import Selection
from pipeline.local.api.http.faults import Faults
from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform
from pipeline.ports.store import Database
from pipeline.ports.video_api import Answer, Ceilings, Question
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.dialects.protocol import Call
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.rate_limits import Unlimited
from pipeline.store.sqlite.database import open_database
from pipeline.views import RunReport
from tests.contract.platform_double import TOKEN, Canned
from tests.faults.crash_worlds import where
from tests.support.fakes import Crash, Wreck, Wrecked, items
from tests.support.fast_loop import BriskClock, run_brisk
from tests.support.media import clip_bytes
from tests.support.run_harness import settings_for

SMALL = PlatformLimits(chunk_size=8192, first_urls=2)
DIRECT = 15_000  #: bytes: clips are smaller, a padded one goes in parts
OLD = 1_700_000_000  #: when the videos were last touched: long ago, so that their hashes are remembered
#: What must happen once per key. An opened session whose answer was lost costs nothing and expires by itself.
ONCE = ("asset_created", "session_completed", "analyze_task_created")
SAMPLE = 30  #: scenarios drawn from the points of the larger run
MET = 0.5  #: share of the points that must be met: how often the store is called depends on what else the machine does
Note = Callable[[str, object], None]
Point = tuple[str, int, str]  #: (call, its occurrence, before | after | lost)


class Forgetful(V13):
    """The dialect without idempotency keys: nothing but our own asking stands between a repeat and a second bill."""

    def submit_analysis(self, question: Question) -> Call[str | Answer]:
        call = super().submit_analysis(question)
        return replace(call, request=replace(call.request, headers={}))


class Appointed(Wreck):
    """Dies at a named call's nth occurrence: threads and sockets may change the order of calls between two runs."""

    def __init__(self, point: Point | None = None) -> None:
        super().__init__()
        self.appointment = point
        self.met = False

    async def around(self, name: str, call: Any) -> Any:
        """Make the call, or keep the appointment."""
        if self.appointment and not self.dead and (name, self.calls.count(name) + 1) == self.appointment[:2]:
            self.met, self.point = True, (len(self.calls) + 1, self.appointment[2])
        return await super().around(name, call)


@dataclass(frozen=True, slots=True)
class Traces:
    """What a run leaves behind, without times and the platform's ids."""

    rows: Sequence[tuple[str, str, str, str]]
    answers: Sequence[tuple[str, str, str]]
    files: Mapping[str, str]  #: relative path -> content; of files with ids and times only the names
    paid: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class World:
    """What outlives processes: videos, a state folder, an output folder and a platform's folder."""

    folder: Path
    videos: Sequence[Path]
    sections: Mapping[str, dict[str, Any]]

    @asynccontextmanager
    async def platform(self, clock: Clock, faults: Faults | None = None) -> AsyncIterator[LocalPlatform]:
        """Serve the platform for a while; the next one goes on with what this one has accepted."""
        async with LocalPlatform(
            self.folder / "platform", token=TOKEN, clock=clock, analyzer=Canned(seconds=5.0), workers=2, limits=SMALL,
            faults=faults,
        ) as served:  # fmt: skip
            yield served

    async def live(self, served: LocalPlatform, clock: Clock, wreck: Wreck | None = None) -> RunReport:
        """Be one process: open everything, run, close everything. With a wreck, raise its Crash."""
        settings = settings_for(self.folder, **self.sections)
        settings.run.state.mkdir(parents=True, exist_ok=True)
        database: Any = await open_database(settings.run.state / "reelmill.db")
        api: Any = self._client(served, clock)
        try:
            guarded = Wrecked(database, wreck, "store", spared=("aclose",)) if wreck else database
            youtube = build_youtube_client(
                settings, worker_pool(settings), guarded, clock, random.Random(3)
            )  # no line here asks a site
            adapters = disk_adapters(settings, guarded, youtube, clock, api.ceilings)
            if wreck is not None:
                api = Wrecked(api, wreck, "api", spared=("aclose",))
                adapters = replace(adapters, sink=Wrecked(adapters.sink, wreck, "sink", spared=("folder",)))
            session = RunSession(make_run_plan(settings), guarded, api, clock, random.Random(1), adapters)
            # With a title of its own a folder is not named after whichever answer comes first.
            return await session.run(iter(items(self.videos, title="film")))
        finally:
            await api.aclose()
            await database.aclose()

    def _client(self, served: LocalPlatform, clock: Clock) -> TwelveLabs:
        api = open_api(
            settings_for(self.folder, **self.sections), base_url=served.base_url, key=TOKEN, identity="local/v1.3",
            limiter=Unlimited(), clock=clock, rng=random.Random(2), local=True,
        )  # fmt: skip
        api.dialect, api.ceilings = Forgetful(), Ceilings(direct_bytes=DIRECT)
        return api

    async def traces(self, served: LocalPlatform) -> Traces:
        """Look at everything that was left."""
        database: Database = await open_database(self.folder / "state" / "reelmill.db", read_only=True)
        try:
            tasks = await database.tasks(Selection())
            results = await database.results(await database.subjects("", 1000))
        finally:
            await database.aclose()
        paid = served.ledger.paid()
        paid.update((entry.effect, entry.client_key) for entry in served.ledger.entries("session_completed"))
        return Traces(
            rows=sorted((task.kind, task.key, where(task), task.state.value) for task in tasks),
            answers=sorted((r.subject, r.job, r.fingerprint) for r in results),
            files=dict(self._files()),
            paid={pair: times for pair, times in paid.items() if pair[0] in ONCE},
        )

    def _files(self) -> Iterator[tuple[str, str]]:
        out = self.folder / "out"
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            name, content = str(path.relative_to(out)), path.read_text(encoding="utf-8")
            if path.suffix == ".json":
                assert json.loads(content) is not None
            if path.name == "results.jsonl":
                content = "\n".join(sorted(json.loads(line)["key"] for line in content.splitlines()))
            yield name, "" if path.name == "video.json" or path.parent.name == "raw" else content


def films(folder: Path, count: int) -> list[Path]:
    """Write clips, the first of them padded so that it is uploaded in parts; all last touched long ago."""
    folder.mkdir()
    paths = []
    for number in range(count):
        path = folder / f"film-{number}.mp4"
        padding = 3 * SMALL.chunk_size if number == 0 else 0
        # An MP4 may end in a box that says it is free space.
        path.write_bytes(clip_bytes(number) + ((padding + 8).to_bytes(4, "big") + b"free" + bytes(padding)))
        os.utime(path, (OLD, OLD))
        paths.append(path)
    return paths


class Trial:
    """One run without accidents, and the scenarios that must end like it."""

    def __init__(self, folder: Path, count: int, **sections: dict[str, Any]) -> None:
        self.folder, self.sections = folder, {**STEADY, **sections}
        self.videos = films(folder / "films", count)
        self.done = 0
        self.wreck = Appointed()
        self.requests = 0
        self.plain = run_brisk(self._undisturbed())

    async def _undisturbed(self) -> Traces:
        world, clock = self.world(), BriskClock()
        async with world.platform(clock) as served:
            report = await world.live(served, clock, self.wreck)
            assert report.exit_code == 0, report
            self.requests = sum(served.counters.routes.values())
            return await world.traces(served)

    def world(self) -> World:
        """Return a world in which nothing has happened yet."""
        self.done += 1
        return World(self.folder / f"world-{self.done}", self.videos, self.sections)

    def points(self) -> list[Point]:
        """Return every crash point of the undisturbed run."""
        found: list[Point] = []
        seen: Counter[str] = Counter()
        for name in self.wreck.calls:
            seen[name] += 1
            found += [(name, seen[name], "before"), (name, seen[name], "after")]
            found += [(name, seen[name], "lost")] if name.startswith("api.") else []
        return found

    def check(self, point: Point, *, restart: bool = False) -> bool:
        """Die at a point, finish, and hold the end against the undisturbed run. Return whether the point was met."""
        wreck = Appointed(point)
        self._compare(point, *run_brisk(self._two_lives(wreck, restart=restart)))
        return wreck.met

    def _compare(self, told: object, report: RunReport, traces: Traces) -> None:
        assert report.exit_code == 0, (told, report)
        for name in ("rows", "answers", "paid", "files"):
            assert getattr(traces, name) == getattr(self.plain, name), (told, name)

    async def _two_lives(self, wreck: Wreck, *, restart: bool) -> tuple[RunReport, Traces]:
        world, clock = self.world(), BriskClock()
        async with world.platform(clock) as served:
            try:
                await world.live(served, clock, wreck)
            except* Crash:
                pass
            if not restart:
                return await world.live(served, clock), await world.traces(served)
        async with world.platform(clock) as served:
            return await world.live(served, clock), await world.traces(served)

    def break_off(self, number: int, how: str) -> bool:
        """Live once while the platform spoils one of its answers. Return whether that request came at all."""
        rule = {"match": "", "do": how, "nth": number}

        async def one_life() -> tuple[RunReport, Traces, bool]:
            world, clock = self.world(), BriskClock()
            async with world.platform(clock, Faults(rules=[rule])) as served:
                report = await world.live(served, clock)
                return report, await world.traces(served), sum(served.counters.routes.values()) >= number

        report, traces, met = run_brisk(one_life())
        self._compare((number, how), report, traces)
        return met


#: Long leases and timeouts: brisk time must not turn a busy machine into an accident of its own.
STEADY: dict[str, dict[str, Any]] = {"policy": {"lease": 3600.0}, "provider": {"kind": "local", "timeout": 600.0}}


@pytest.mark.slow(seconds=100)
@pytest.mark.timeout(600)
def test_death_at_every_call_over_sqlite_and_http(tmp_path: Path, record_property: Note) -> None:
    """One video in parts: dying at any call of the run leaves work that the next run ends as if nothing had happened.

    The gate takes every sixth call; ``REELMILL_TEST_ALL=1`` takes all.
    """
    trial = Trial(tmp_path, 1)
    assert set(trial.plain.paid.values()) == {1}
    every = trial.points()
    points = every if os.environ.get("REELMILL_TEST_ALL") else every[::6]
    met = sum(trial.check(point) for point in points)
    record_property("scenarios", len(points))
    assert met >= MET * len(points)
    assert len(every) > 125


@pytest.mark.slow(seconds=20)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("restart", [False, True], ids=["platform stays", "platform restarts"])
def test_death_in_the_middle_of_a_fan_out(tmp_path: Path, restart: bool, record_property: Note) -> None:
    """Three videos, four requests each, one upload in parts: a sample of all points, the platform dying too or not."""
    trial = Trial(tmp_path, 3, jobs={"fuse": False})
    assert Counter(effect for effect, _ in trial.plain.paid) == {
        "asset_created": 2,
        "session_completed": 1,
        "analyze_task_created": 12,
    }
    points = trial.points()
    sample = random.Random(7).sample(points, SAMPLE if not restart else SAMPLE // 3)
    met = sum(trial.check(point, restart=restart) for point in sample)
    record_property("scenarios", len(sample))
    assert met >= MET * len(sample)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["reset_before", "reset_after", "truncate", "malformed"])
def test_every_answer_lost_on_the_wire(tmp_path: Path, how: str, record_property: Note) -> None:
    """One video in parts: whichever HTTP request ends badly, before or after it acted, the same run gets over it."""
    trial = Trial(tmp_path, 1)
    met = sum(trial.break_off(number, how) for number in range(1, trial.requests + 1))
    record_property("scenarios", trial.requests)
    assert met >= MET * trial.requests
    assert trial.requests > 10
