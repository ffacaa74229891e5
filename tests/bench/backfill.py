"""How long a backfill of a library takes against limits, in virtual time: as tasks and by batches, beside what ``plan`` says.

The whole program runs, over the simulation's wire: its limiter, lanes, packer and exit code 6, started again when it says.
The vendor keeps windows of its own, exact to the moment, and refuses above them. Each video is one upload and one call.
A task is answered within a minute; the answers of a batch come all through the hours that ``[batches] hours_each`` names.
What a library of ``--of`` videos takes is what ``--videos`` took, and the rest of it at the pace of their middle part (a
quarter to three quarters of them); with ``--videos 100000`` nothing is extrapolated. Batches come in rounds of five, so that
lane is simulated with two rounds at least: 10,000 videos take about an hour of CPU, most of it for analyses that look whether
they were packed. Tasks take about a minute for 3,000.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import structlog
from pydantic import SecretStr

from pipeline.app.runs.plan_price import PlanPrice, plan_limits
from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import Adapters, batch_rules
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import LimitsSection, Settings
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ports.batch_api import BatchCeilings
from pipeline.ports.source import Item, MediaFacts
from tests.bench.backfill_vendor import SPANS, LibraryVendor, Windows
from tests.simulation.schedule import Habits
from tests.simulation.wire import Accidents, Life, Wire, unwire, wired
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.fakes import FakeSink, FakeSource, items
from tests.support.memory_database import MemoryDatabase

MARGIN = 0.15  #: by which the plan and the simulation may differ
HOURS = 1.5  #: until the last answer of a batch is there; the program's own default for ``[batches] hours_each``
READS = LimitsSection().read.requests_per_minute or 0.0
ACTIVE = BatchCeilings().active
_WORDS = {"assets": "uploads", "analyze": "analyses"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """The limits of an account, as its owner has written them into the configuration."""

    name: str
    analyze: Mapping[str, float]
    assets: float = 60.0  #: requests per minute; the program's default


SCENARIOS = (
    Scenario("10 a minute", {"requests_per_minute": 10}),
    Scenario("300 a minute", {"requests_per_minute": 300}),
    Scenario("300, uploads too", {"requests_per_minute": 300}, assets=600.0),
    Scenario("300, 60,000 min a day", {"requests_per_minute": 300, "minutes_per_day": 60_000}, assets=600.0),
)


def lengths(number: int) -> list[float]:
    """Return minutes of video, most of them short: 8 in the mean."""
    rng = Random("lengths")
    return [rng.choice((1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 25.0)) for _ in range(number)]


@dataclass
class Outcome:
    """What came of a backfill."""

    videos: int
    finished: list[float] = field(default_factory=list)  #: seconds, of each video
    requests: Counter[str] = field(default_factory=Counter)  #: by group
    refused: int = 0  #: by the vendor's windows
    windows: Windows | None = None
    batches: int = 0
    runs: int = 0  #: times that the program was started
    cpu: float = 0.0  #: real seconds of CPU

    def whole(self, videos: int) -> float:
        """Return the seconds that a library of so many videos takes."""
        ends = sorted(self.finished)
        quarter, most = ends[len(ends) // 4], ends[3 * len(ends) // 4]
        return ends[-1] + (videos - len(ends)) * (most - quarter) / (len(ends) / 2)


class _Films(FakeSource):
    """Files of a few bytes that say how long they are."""

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        self._seconds = 60 * float(Path(item.locator).stem.split()[2])
        return await super().fetch(item, workdir)


class _DatedSink(FakeSink):
    """Notes when each video's results are written, and keeps nothing."""

    def __init__(self, finished: list[float]) -> None:
        super().__init__()
        self._finished, self._there = finished, set[str]()

    async def write(self, folder: str, files: Sequence[Any]) -> Mapping[str, int]:
        if folder not in self._there:
            self._there.add(folder)
            self._finished.append(asyncio.get_running_loop().time())
        return {file.name: len(file.content) for file in files}


def settings(scenario: Scenario, folder: Path, mode: str) -> Settings:
    """Return a configuration; ``mode``: of batches."""
    sections: dict[str, Any] = {
        "provider": {"kind": "twelvelabs", "base_url": "https://platform.test"},
        "jobs": {"enabled": ("summary",)},
        "run": {"state": folder / "state", "output": folder / "out"},
        "limits": {"analyze": scenario.analyze, "assets": {"requests_per_minute": scenario.assets}},
        "batches": {"mode": mode, "deadline_hours": 24 * 60},
        "gallery": {"enabled": False},
    }
    return Settings.model_validate(sections).model_copy(update={"api_key": SecretStr("a-key-for-no-platform")})


async def _run(scenario: Scenario, folder: Path, mode: str, minutes: Sequence[float]) -> Outcome:
    """Run, and run again when it says."""
    loop, outcome, rng = asyncio.get_running_loop(), Outcome(len(minutes)), Random("backfill")
    paths = [folder / f"film {number} {each:g}.mp4" for number, each in enumerate(minutes)]
    for path in paths:
        path.write_bytes(path.stem.encode())
    limits = {"analyze": scenario.analyze, "assets": {"requests_per_minute": scenario.assets}}
    plan = make_run_plan(settings(scenario, folder, mode))
    vendor = LibraryVendor(loop.time, Habits(think=45.0), rng, limits, HOURS)
    database, clock, life = MemoryDatabase(), VirtualClock(), Life()
    entries = [item for item in items(paths) if isinstance(item, Item)]
    sink = _DatedSink(outcome.finished)
    adapters = Adapters({"file": _Films()}, sink, lambda facts, ceilings: None, lambda paths: "")
    while True:
        outcome.runs += 1
        with wired(lambda: Wire(vendor, Accidents(()), life, rng, lambda text: None)):
            async with open_platform(plan, database, clock, rng) as api:
                report = await RunSession(plan, database, api, clock, rng, adapters).run(iter(entries))
        if report.resume_at is None:
            break
        await asyncio.sleep(max(1.0, report.resume_at - EPOCH - loop.time()))
    unwire()
    outcome.refused = sum(vendor.windows.refused.values())
    outcome.windows, outcome.requests, outcome.batches = vendor.windows, vendor.requests, vendor.batches
    return outcome


def simulate(scenario: Scenario, mode: str, videos: int) -> Outcome:
    """Let the program fill a library; ``mode``: ``off`` for tasks, ``always`` for batches."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    folder = Path(tempfile.mkdtemp())
    began = resource.getrusage(resource.RUSAGE_SELF)
    try:
        outcome = run_virtual(_run(scenario, folder, mode, lengths(videos)))
    finally:
        shutil.rmtree(folder)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    outcome.cpu = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return outcome


def shares(scenario: Scenario, outcome: Outcome, mode: str) -> list[tuple[float, str]]:
    """Return how much of each limit is used from the first call to the last result, the fullest first."""
    assert outcome.windows is not None
    lasted, found = max(outcome.finished), []
    for name, used in outcome.windows.used.items():
        group, _, window = name.partition(".")
        limit, span = outcome.windows.limits[group][window], SPANS[window.rpartition("_")[2]]
        if mode == "off" or not name.startswith("analyze.requests"):
            found.append((used / limit / max(1.0, lasted / span), f"{_WORDS.get(group, group)}: {_words(window)}"))
    found.append((outcome.requests["read"] / READS / (lasted / 60), "reading: requests a minute (polls and answers)"))
    if outcome.batches:
        found.append((outcome.batches * HOURS * 3600 / ACTIVE / lasted, f"{ACTIVE} batches at once, {HOURS:g} h each"))
    return sorted(found, reverse=True)


def _words(window: str) -> str:
    return window.replace("_per_", " a ")


def promise(scenario: Scenario, mode: str, videos: int) -> float:
    """Return the seconds that ``plan`` names for a library of so many videos."""
    said = settings(scenario, Path("nowhere"), mode)
    plan = make_run_plan(said)
    film = next(item for item in items([Path("film 0 1.mp4")]) if isinstance(item, Item))
    requests = plan.planner.requests([unsaved_task(film)])
    price = PlanPrice(plan.prices, said.provider.model, plan.ceilings.assumed_seconds)
    for minutes in lengths(videos):
        price.upload()
        price.analysis(requests, 60 * minutes)
    limits = plan_limits(said, local=False)
    if mode == "off":
        return price.seconds(limits, polls=said.provider.poll_requests_per_minute)
    lane = price.lane(batch_rules(said), BatchCeilings(), limits)
    assert lane is not None
    assert lane.batch_hours is not None
    return 3600 * lane.batch_hours


def main() -> None:
    """Read the arguments and simulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=3000, help="videos that are simulated")
    parser.add_argument("--of", type=int, default=100_000, help="videos in the library")
    parser.add_argument("--only", default="", help="a word of the limits' names")
    parser.add_argument("--lane", choices=("both", "tasks", "batches"), default="both")
    given = parser.parse_args()
    least = 2 * ACTIVE * BatchCeilings().items
    videos, library = given.videos, max(given.videos, given.of)
    print(
        f"{videos:,} videos simulated (by batches at least {least:,}), {library:,} in the library, 8 minutes each in the mean\n"
    )
    head = f"{'limits':<23} {'lane':<8} {'simulated':>10} {'plan says':>10} {'':>6} {'refused':>8} {'CPU/video':>10}"
    print(f"{head}  nearest to its limit")
    for scenario in SCENARIOS:
        for mode, lane in (("off", "tasks"), ("always", "batches")):
            if given.only not in scenario.name or given.lane not in ("both", lane):
                continue
            outcome = simulate(scenario, mode, videos if lane == "tasks" else max(videos, least))
            assert len(outcome.finished) == outcome.videos, f"only {len(outcome.finished)} of them finished"
            took, said = outcome.whole(library), promise(scenario, mode, library)
            first, second, *_ = shares(scenario, outcome, mode)
            calls = sum(outcome.requests.values())
            print(
                f"{scenario.name:<23} {lane:<8} {took / 3600:>8.1f} h {said / 3600:>8.1f} h {said / took - 1:>+6.0%} "
                f"{outcome.refused / calls:>8.2%} {1000 * outcome.cpu / outcome.videos:>7.1f} ms"
                f"  {first[0]:.0%} of {first[1]}; then {second[0]:.0%} of {second[1]}",
                flush=True,
            )
    print(f"\nPlan and simulation should differ by at most {MARGIN:.0%}.")


if __name__ == "__main__":
    main()
