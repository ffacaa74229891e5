"""What a large library costs: ``python -m tests.bench scale [--rows 1000000] [--keep FOLDER] [--only WORD]``.

Each command runs in a process of its own, over the large library and over one of a single video; what it takes more is
the library's. Beside that stand the limits: seconds beyond the start, bytes of the database, memory of a run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline.core.model import Selection, State
from pipeline.store.sqlite.database import open_database
from tests.bench.child import spawn, start
from tests.bench.scale_library import Sizes, film, folder_name, make, write_configuration
from tests.bench.server import serving
from tests.bench.store import claims, fill

ROOT = Path(__file__).parents[2]
BEYOND = 0.3  #: seconds that a command may take more because the library is large
_NEW = 10  #: videos of a night
_QUEUED = (State.PENDING, State.RUNNING)


class Table:
    """Prints a line for each figure; remembers what is over its limit."""

    def __init__(self, only: str) -> None:
        self._only = only
        self.over: list[str] = []

    def wants(self, name: str) -> bool:
        """Return True if this figure is to be measured."""
        return self._only in name

    def row(self, name: str, value: float, limit: float | None, unit: str, beside: str = "") -> None:
        """Print a figure beside its limit."""
        over = limit is not None and value > limit
        self.over += [name] * over
        told = "" if limit is None else f"limit {limit:g}{' OVER' if over else ''}"
        print(f"{name:<34} {value:9.2f} {unit:<4} {told:<16} {beside}", flush=True)


def measured(arguments: Sequence[str], folder: Path, rounds: int = 3) -> tuple[float, float, int]:
    """Return the least seconds of a command, of the clock and of a processor, and its exit code."""
    walls, cpus, code = [], [], 0
    for _ in range(rounds):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=folder,
            check=False,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TWELVELABS_API_KEY": "k"},
        ).returncode
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(walls), min(cpus), code


def commands(folder: Path, number: int) -> dict[str, list[str]]:
    """Return the commands over a library, by what is shown of them; ``number``: a video in the middle."""
    name = film(folder, number).name
    return {
        "status": ["status"],
        "show its path": ["show", str(film(folder, number))],
        "show its file name": ["show", name],
        "show its folder of results": ["show", f"out/{folder_name(number)}" if number else name],
        "show its id at the platform": ["show", f"et0-{number}" if number else "et0"],
        "show a name with a mistake": ["show", name.replace("Lecture", "Lectrue")],
        "why": ["why", str(film(folder, number))],
        "list": ["list"],
        "list --is failed": ["list", "--is", "failed"],
        "list --is unfinished": ["list", "--is", "unfinished"],
        "list --source url": ["list", "--source", "url"],
        "list TEXT": ["list", f"{number:07}"],
        "list --order title": ["list", "--order", "title"],
        "costs": ["costs"],
    }


def measure_retry(table: Table, large: Path, small: Path) -> None:
    """Print what it takes to let all that failed go on. Afterwards it waits for a run: this is measured last."""
    bare, bare_cpu, _ = measured(["retry", "--failed"], small, 1)
    whole, cpu, code = measured(["retry", "--failed"], large, 1)
    told = f"whole {whole:.2f} s, CPU {cpu - bare_cpu:.2f} s more, exit {code}"
    table.row("retry --failed", whole - bare, BEYOND, "s", told)


def measure_commands(table: Table, large: Path, small: Path, middle: int) -> None:
    """Print what each command takes beyond the same one over a small library."""
    few = commands(small, 0)
    for name, arguments in commands(large, middle).items():
        if table.wants(name):
            bare, bare_cpu, _ = measured(few[name], small)
            whole, cpu, code = measured(arguments, large)
            limit = None if name == "costs" else BEYOND
            table.row(
                name, whole - bare, limit, "s", f"whole {whole:.2f} s, CPU {cpu - bare_cpu:.2f} s more, exit {code}"
            )


def measure_plan(table: Table, folder: Path, manifest: Path, lines: int) -> None:
    """Print the time and the memory of a plan of unchanged lines."""
    figures = spawn("planned", {"folder": str(folder), "manifest": str(manifest)})
    told = f"CPU {_cpu(figures)}, {figures['counts']}"
    table.row(f"plan of {lines:,} lines", figures["wall"], 60.0 * lines / 100_000, "s", told)
    table.row("memory of that plan", figures["peak_mb"], 150.0, "MB")


def new_videos(folder: Path) -> Path:
    """Make videos that no night before has had; return a manifest of them."""
    night = time.time_ns()
    home = folder / "new" / f"{night}"
    home.mkdir(parents=True)
    manifest = home / "new.txt"
    with manifest.open("w", encoding="utf-8") as lines:
        for number in range(_NEW):
            path = home / f"New {number}.mp4"
            path.write_bytes(f"{night} {number:050}".encode())
            lines.write(f"{path}\n")
    return manifest


def measure_night(table: Table, url: str, folder: Path, label: str) -> float:
    """Print what a run with a few new videos takes, whole and to its first request."""
    manifest = new_videos(folder)
    with httpx.Client(base_url=url) as ask:
        ask.get("/mark")
        began = time.time()  # noqa: TID251 - compared with another process's time
        figures = spawn("night", {"folder": str(folder), "url": url, "manifest": str(manifest)})
        first = ask.get("/figures").json()["first"] - began
    assert figures["published"] == _NEW, figures
    table.row(f"{label}: to the first request", first, 1.0, "s")
    table.row(f"{label}: the whole run", figures["wall"], None, "s", f"CPU {_cpu(figures)}")
    table.row(f"{label}: memory", figures["peak_mb"], 150.0, "MB")
    return float(figures["wall"])


def _cpu(figures: Mapping[str, float]) -> str:
    return f"{figures['cpu_ms_per_item'] / 1000:.1f} s"


def measure_whole(table: Table, url: str, folder: Path, manifest: Path, lines: int) -> None:
    """Print what a run takes whose list names finished videos only."""
    figures = spawn("night", {"folder": str(folder), "url": url, "manifest": str(manifest)})
    assert figures["published"] == 0, figures
    told = f"{figures['wall']:.0f} s, CPU {_cpu(figures)}"
    table.row(f"{lines:,} unchanged lines: memory", figures["peak_mb"], 150.0, "MB", told)


def measure_killed(table: Table, url: str, folder: Path) -> None:
    """Print how soon a run works that comes after one that was killed."""
    told = {"folder": str(folder), "url": url, "manifest": str(new_videos(folder))}
    with httpx.Client(base_url=url) as ask:
        ask.get("/mark")
        with start("night", told) as killed:
            while ask.get("/figures").json()["first"] is None and killed.poll() is None:
                time.sleep(0.01)  # noqa: TID251 - until another process has acted
            killed.kill()
        ask.get("/mark")
        began = time.time()  # noqa: TID251 - compared with another process's time
        figures = spawn("night", told)
        first = ask.get("/figures").json()["first"] - began
    assert figures["items"]["working"] == 0, figures
    table.row("after kill -9: to the first request", first, 1.0, "s")


def measure_store(table: Table, folder: Path) -> None:
    """Print how fast tasks are queued and claimed beside a large library; they are taken out again."""
    found = asyncio.run(_queue_many(folder / "state" / "reelmill.db"))
    table.row("queue: submitting 40,000 rows", 40_000 / found.rate, 1.0, "s", f"CPU {found.submitting:.2f} s")
    table.row("queue: a claim of 16", found.claim, 2.0, "ms", f"CPU {found.claiming:.2f} ms")
    table.row("queue: the write-ahead log, at most", found.log / 1e6, 134.0, "MB")


@dataclass(frozen=True, slots=True)
class _Queued:
    """What queueing takes."""

    rate: float  #: rows a second
    submitting: float  #: seconds of a processor
    claim: float  #: milliseconds
    claiming: float  #: of a processor
    log: int  #: bytes, at most


async def _queue_many(path: Path) -> _Queued:
    """Queue, claim and forget tasks."""
    largest, log = 0, path.with_name(f"{path.name}-wal")

    async def watch() -> None:
        nonlocal largest
        while True:
            largest = max(largest, log.stat().st_size if log.exists() else 0)
            await asyncio.sleep(0.02)

    database = await open_database(path)
    watching = asyncio.create_task(watch())
    try:
        began = time.process_time()
        rate = await fill(database, 40_000)
        filled = time.process_time()
        took, _ = await claims(database, 200, 16)
        claimed = time.process_time()
        while made := await database.tasks(Selection(kinds=("item",), states=_QUEUED, limit=10_000)):
            await database.forget([task.id for task in made], "", "bench")
    finally:
        watching.cancel()
        await database.aclose()
    cpu = 1000 * (claimed - filled) / len(took)
    return _Queued(rate, filled - began, statistics.median(took), cpu, largest)


def main() -> None:
    """Read the arguments, make the libraries, measure; end with 1 if something is over its limit."""
    parser = argparse.ArgumentParser(description="What a large library costs.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the queue: four for each finished video")
    parser.add_argument("--failed", type=int, default=100_000, help="of them, items that have failed")
    parser.add_argument("--lines", type=int, default=100_000, help="of a manifest that has not changed")
    parser.add_argument("--keep", type=Path, default=None, help="where to make the library, or find it again")
    parser.add_argument("--only", default="", help="figures whose name holds this")
    given = parser.parse_args()
    videos = max(1, (given.rows - given.failed) // 4)
    sizes = Sizes(videos, given.failed, min(given.lines, videos))
    table = Table(given.only)
    with tempfile.TemporaryDirectory() as name, serving() as url:
        large, small = given.keep or Path(name) / "large", Path(name) / "small"
        small.mkdir()
        make(small, url, Sizes(1, 0, 1))
        write_configuration(small, url)
        if not (large / "films.txt").exists():
            large.mkdir(parents=True, exist_ok=True)
            began = time.perf_counter()
            make(large, url, sizes)
            print(f"{videos:,} videos and {given.failed:,} failed items made in {time.perf_counter() - began:.0f} s")
        write_configuration(large, url)
        size = (large / "state" / "reelmill.db").stat().st_size
        table.row("database", size / 1e6, 400.0 * given.rows / 1_000_000, "MB", f"{size / given.rows:.0f} bytes a row")
        measure_commands(table, large, small, videos // 2)
        if table.wants("plan"):
            measure_plan(table, large, large / "films.txt", sizes.files)
        if table.wants("night"):
            few = measure_night(table, url, small, "night, small library")
            many = measure_night(table, url, large, "night, large library")
            table.row("night: beyond the small one's", many - few, 2.0, "s")
        if table.wants("kill -9"):
            measure_killed(table, url, large)
        if table.wants("unchanged lines"):
            measure_whole(table, url, large, large / "films.txt", sizes.files)
        if table.wants("queue"):
            measure_store(table, large)
        if table.wants("retry --failed"):
            measure_retry(table, large, small)
    if table.over:
        print("OVER:", "; ".join(table.over))
        raise SystemExit(1)
