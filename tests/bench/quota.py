"""How much of a quota a client uses, and how often it is refused: Reelmill beside two plain clients, in virtual time.

The vendor has walls: requests per minute and per hour, requests or minutes of video per day, in sliding windows or by the
calendar; it refuses with a 429 that names the limit and no time, or neither. Every call takes its time to arrive and to be
answered. Each video needs two calls, and is finished when both were accepted. Three clients see the same vendor, each one
for itself:

- Reelmill: the whole program over the simulation's wire, with limiter, lanes and exit code 6, started again when it says;
- fixed rate: a call every so many seconds that the slowest wall allows, and a twentieth more, because a network is not
  punctual; a minute's pause after a refusal;
- backoff only: eight workers as fast as they can, and after a refusal 1, 2, 4 ... 60 seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import structlog
from pydantic import SecretStr

from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import Adapters
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.ports.source import Item, MediaFacts
from tests.simulation.ledger import Effect, Ledger
from tests.simulation.schedule import Habits
from tests.simulation.vendor import Asked, Reply
from tests.simulation.vendor_v1_3 import VendorV13
from tests.simulation.wire import Accidents, Life, Wire, unwire, wired
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.fakes import FakeSink, FakeSource, items
from tests.support.memory_database import MemoryDatabase

CALLS = 2  #: that each video needs
_SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Walls, and how long they are met. The last one decides how much there is to use."""

    name: str
    walls: Mapping[str, float]
    known: Sequence[str]  #: walls that Reelmill's configuration names
    hours: float
    videos: int
    calendar: bool = False  #: days turn at midnight (UTC); otherwise every window slides
    named: bool = True  #: a refusal names the limit
    retry_after: str = ""  #: seconds that a refusal asks for, whatever the wall

    @property
    def allowance(self) -> float:
        """Units of the last wall within the time."""
        name, limit = list(self.walls.items())[-1]
        span, seconds = _SPANS[name.rpartition("_")[2]], self.hours * 3600
        return limit * (len({_day(0.0), *map(_day, _midnights(seconds))}) if self.calendar else seconds / span)

    @property
    def first_day(self) -> float:
        """Seconds until the first day's allowance has come back."""
        return _midnights(_SPANS["day"])[0] if self.calendar else _SPANS["day"]


def _day(now: float) -> float:
    return (EPOCH + now) // _SPANS["day"]


def _midnights(until: float) -> list[float]:
    """Return the seconds at which a day begins before that moment."""
    first = (_day(0.0) + 1) * _SPANS["day"] - EPOCH
    return [
        first + n * _SPANS["day"] for n in range(int(until // _SPANS["day"]) + 1) if first + n * _SPANS["day"] < until
    ]


_MINUTE, _HOUR, _CALLS = "requests_per_minute", "requests_per_hour", "requests_per_day"
_DAY = "minutes_per_day"
SCENARIOS = (
    Scenario("minute", {_MINUTE: 10}, (_MINUTE,), 1, 330),
    Scenario("hour", {_MINUTE: 10, _HOUR: 120}, (_MINUTE, _HOUR), 5, 330),
    Scenario("day", {_MINUTE: 10, _HOUR: 120, _DAY: 600}, (_MINUTE, _HOUR, _DAY), 48, 120),
    Scenario("day, untold", {_MINUTE: 10, _DAY: 600}, (_MINUTE,), 48, 120),
    Scenario("midnight, unnamed", {_MINUTE: 10, _CALLS: 240}, (_MINUTE,), 96, 660, calendar=True, named=False),
    Scenario("24 h, unnamed", {_MINUTE: 10, _CALLS: 240}, (_MINUTE,), 96, 530, named=False, retry_after="20"),
    Scenario("minutes, unnamed", {_MINUTE: 10, _DAY: 1_800}, (_MINUTE,), 96, 660, calendar=True, named=False),
)


@dataclass
class Walls:
    """The vendor's own windows, exact to the moment, and what came of every call."""

    limits: Mapping[str, float]
    horizon: float
    calendar: bool = False  #: days turn at midnight (UTC); otherwise every window slides
    closed: tuple[float, float] = (0.0, 0.0)  #: from when to when all is refused
    logs: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    accepted: dict[int, int] = field(default_factory=dict)  #: video -> calls
    calls: int = 0
    refused: int = 0
    first_day: float = 86_400.0  #: seconds
    later: list[int] = field(default_factory=lambda: [0, 0])  #: calls, and refused ones, after the first day

    def call(self, video: int, minutes: float, now: float) -> str:
        """Take a call; return the wall that refuses it, or nothing."""
        if now >= self.horizon:
            return "the end"
        wall = self._meet(video, minutes, now)
        self.calls, self.refused = self.calls + 1, self.refused + bool(wall)
        if now >= self.first_day:
            self.later = [self.later[0] + 1, self.later[1] + bool(wall)]
        return wall

    def _meet(self, video: int, minutes: float, now: float) -> str:
        amounts = {name: 1.0 if name.startswith("requests") else minutes for name in self.limits}
        if self.closed[0] <= now < self.closed[1]:
            return "trouble"
        for name, limit in self.limits.items():
            log, span = self.logs.setdefault(name, deque()), name.rpartition("_")[2]
            begin = now - _SPANS[span]
            if self.calendar and span == "day":
                begin = _day(now) * _SPANS["day"] - EPOCH - 1e-6
            while log and log[0][0] <= begin:
                log.popleft()
            if sum(amount for _, amount in log) + amounts[name] > limit + 1e-9:
                return name
        for name, amount in amounts.items():
            self.logs[name].append((now, amount))
            self.used[name] = self.used.get(name, 0.0) + amount
        self.accepted[video] = self.accepted.get(video, 0) + 1
        return ""

    @property
    def finished(self) -> int:
        """Videos of which every call was accepted."""
        return sum(calls >= CALLS for calls in self.accepted.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one client."""

    share: float  #: of the allowance
    refused: float  #: of the calls
    later: float  #: of the calls after the first day, those that were refused
    calls: int
    finished: int
    begun: int  #: videos paid in part


def figures(scenario: Scenario, walls: Walls) -> Figures:
    """Return what the vendor has seen."""
    used = walls.used.get(list(scenario.walls)[-1], 0.0)
    begun = sum(0 < calls < CALLS for calls in walls.accepted.values())
    later = walls.later[1] / max(1, walls.later[0])
    refused = walls.refused / max(1, walls.calls)
    return Figures(used / scenario.allowance, refused, later, walls.calls, walls.finished, begun)


def lengths(number: int, seed: int) -> list[float]:
    """Return minutes of video."""
    rng = Random(f"lengths {seed}")
    return [rng.choice((1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 25.0)) for _ in range(number)]


# --------------------------------------------------------------------------------------------------------- Reelmill


class _NoLedger(Ledger):
    def accept(self, effect: Effect) -> None:
        """Enter nothing: the walls count."""


class WalledVendor(VendorV13):
    """The simulation's vendor behind walls. A video's number stands in its file's name."""

    walls: Walls
    minutes: Sequence[float]
    scenario: Scenario

    def carry_out(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("POST", "/v1.3/analyze/tasks"):
            asset = self.find("asset", asked.json()["video"]["asset_id"])
            assert asset is not None
            video = _number(asset.name)
            wall = self.walls.call(video, self.minutes[video], self._time() if self._at is None else self._at)
            if wall:
                limit = self.walls.limits.get(wall, 0) if self.scenario.named else 0
                words = f"You exceeded {limit:g} {wall.replace('_', ' ')}." if limit else "Too many requests."
                headers = {"retry-after": self.scenario.retry_after} if self.scenario.retry_after else {}
                return Reply(429, {"code": "too_many_requests", "message": words}, headers)
        return super().carry_out(asked)

    def _asset_body(self, thing: Any) -> dict[str, Any]:
        self.seconds = 60 * self.minutes[_number(thing.name)]
        return super()._asset_body(thing)


def _number(name: str) -> int:
    return int(name.split("-")[1])


class _Films(FakeSource):
    """Files whose length is not in them."""

    def __init__(self, minutes: Sequence[float]) -> None:
        super().__init__()
        self._minutes = minutes

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        self._seconds = 60 * self._minutes[int(Path(item.locator).stem.split()[1])]
        return await super().fetch(item, workdir)


def _settings(scenario: Scenario, folder: Path) -> Settings:
    limits = {name: scenario.walls[name] for name in scenario.known}
    sections: dict[str, Any] = {
        "provider": {"kind": "twelvelabs", "base_url": "https://platform.test"},
        "jobs": {"enabled": ("gist", "summary"), "fuse": False},
        "run": {"state": folder / "state", "output": folder / "out"},
        "limits": {"analyze": limits, "assets": {"requests_per_minute": 600}},
        "batches": {"mode": "off"},
        "gallery": {"enabled": False},
    }
    return Settings.model_validate(sections).model_copy(update={"api_key": SecretStr("a-key-for-no-platform")})


async def _reelmill(scenario: Scenario, walls: Walls, minutes: Sequence[float], rng: Random, folder: Path) -> None:
    """Run, and run again when it says, until the time is over."""
    loop = asyncio.get_running_loop()
    (folder / "films").mkdir(parents=True)
    paths = [folder / "films" / f"film {number}.mp4" for number in range(len(minutes))]
    for number, path in enumerate(paths):
        path.write_bytes(b"content %d" % number)
    vendor = WalledVendor(loop.time, Habits(think=30.0), rng, _NoLedger(lambda _state: {}), lambda _site: ("", 0.0))
    vendor.walls, vendor.minutes, vendor.scenario = walls, minutes, scenario
    settings, database, sink, clock = _settings(scenario, folder), MemoryDatabase(), FakeSink(), VirtualClock()
    plan, life = make_run_plan(settings), Life()
    entries = [item for item in items(paths) if isinstance(item, Item)]
    adapters = Adapters({"file": _Films(minutes)}, sink, lambda facts, ceilings: None, lambda paths: "")
    while loop.time() < walls.horizon:
        with wired(lambda: Wire(vendor, Accidents(()), life, rng, lambda text: None)):
            async with open_platform(plan, database, clock, rng) as api:
                session = RunSession(plan, database, api, clock, rng, adapters)
                stop = loop.call_at(walls.horizon, session.components.pool.stop)
                report = await session.run(iter(entries))
                stop.cancel()
        if report.resume_at is None:
            break
        await asyncio.sleep(max(1.0, report.resume_at - EPOCH - loop.time()))
    unwire()


# ----------------------------------------------------------------------------------------------------- plain clients


async def _post(walls: Walls, video: int, minutes: float, rng: Random) -> bool:
    """Make one call as the wire carries it; return False if it was refused."""
    await asyncio.sleep(rng.random() * 0.3)
    refused = walls.call(video, minutes, asyncio.get_running_loop().time())
    await asyncio.sleep(rng.random() * 0.3)
    return not refused


async def _until_taken(walls: Walls, video: int, minutes: float, rng: Random, first: float, most: float) -> None:
    """Make one call until it is taken, with longer and longer pauses."""
    for number in count():
        if asyncio.get_running_loop().time() >= walls.horizon or await _post(walls, video, minutes, rng):
            return
        await asyncio.sleep(min(most, first * 2 ** min(number, 20)) * (0.5 + rng.random() / 2))


async def _fixed_rate(scenario: Scenario, walls: Walls, minutes: Sequence[float], rng: Random, _folder: Path) -> None:
    loop, typical = asyncio.get_running_loop(), sum(minutes) / len(minutes)
    units = {"requests": 1.0, "minutes": typical}
    every = 1.05 * max(
        _SPANS[name.rpartition("_")[2]] * units[name.partition("_")[0]] / limit
        for name, limit in scenario.walls.items()
    )
    for video in range(len(minutes)):
        for _ in range(CALLS):
            began = loop.time()
            await _until_taken(walls, video, minutes[video], rng, 60.0, 60.0)
            await asyncio.sleep(max(0.0, every - (loop.time() - began)))


async def _backoff_only(
    _scenario: Scenario, walls: Walls, minutes: Sequence[float], rng: Random, _folder: Path
) -> None:
    loop, waiting = asyncio.get_running_loop(), deque(video for video in range(len(minutes)) for _ in range(CALLS))

    async def worker() -> None:
        while waiting and loop.time() < walls.horizon:
            video = waiting.popleft()
            await _until_taken(walls, video, minutes[video], rng, 1.0, 60.0)

    await asyncio.gather(*(worker() for _ in range(8)))


Client = Callable[[Scenario, Walls, Sequence[float], Random, Path], Awaitable[None]]
CLIENTS: Mapping[str, Client] = {"Reelmill": _reelmill, "fixed rate": _fixed_rate, "backoff only": _backoff_only}


def measure(scenario: Scenario, name: str, seed: int) -> Figures:
    """Let one client meet the walls."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    walls = Walls(scenario.walls, scenario.hours * 3600, scenario.calendar, first_day=scenario.first_day)
    folder = Path(tempfile.mkdtemp())

    async def go() -> None:
        await CLIENTS[name](scenario, walls, lengths(scenario.videos, seed), Random(f"{name} {seed}"), folder)

    try:
        run_virtual(go())
    finally:
        shutil.rmtree(folder)
    return figures(scenario, walls)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(
        f"{'walls':<17} {'client':<13} {'allowance used':>16} {'refused':>16} {'after day 1':>14} {'calls':>8} "
        f"{'videos (in part)':>17}"
    )
    for scenario in SCENARIOS:
        for name in CLIENTS:
            all_ = [measure(scenario, name, seed) for seed in range(1, given.seeds + 1)]
            share, refused, later = (
                _range(sorted(getattr(each, name) for each in all_)) for name in ("share", "refused", "later")
            )
            calls, done = sum(each.calls for each in all_), sum(each.finished for each in all_)
            print(
                f"{scenario.name:<17} {name:<13} {share:>16} {refused:>16} {later if scenario.hours > 24 else '':>14} "
                f"{calls:>8,} {done:>12,} ({sum(each.begun for each in all_)})",
                flush=True,
            )


def _range(values: Sequence[float]) -> str:
    return f"{values[0]:.1%}" if values[0] == values[-1] else f"{values[0]:.1%} to {values[-1]:.1%}"


if __name__ == "__main__":
    main()
