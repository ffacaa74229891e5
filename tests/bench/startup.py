"""How long short commands take: ``python -m tests.bench startup [--rounds N] [--imports N]``.

Each command runs in a process of its own over a small library. Beside it stand the interpreter alone, and the interpreter
with the libraries that the command loads and nothing of ours.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.support.gallery_library import Library

#: Seconds that each may take.
LIMITS = {"--help": 0.2, "status": 0.3, "show": 0.3, "list": 0.3, "why": None, "costs": None, "plan": None}
#: Loads the modules that it is given; some exist only while their package loads.
_LOAD = """import sys, importlib, contextlib
for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What starting a process costs: seconds of the clock, and of a processor."""

    wall: float
    cpu: float


def measure(command: Sequence[str], folder: Path, rounds: int) -> Cost:
    """Run a command so often; return the middle of the times, and the least CPU."""
    walls, cpus = [], []
    for _ in range(rounds):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, cwd=folder, check=False, capture_output=True)
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Cost(statistics.median(walls), min(cpus))


def imports(arguments: Sequence[str], folder: Path) -> list[tuple[str, int]]:
    """Return the modules that a command loads, in order, each with its own microseconds."""
    command = [sys.executable, "-X", "importtime", "-m", "pipeline", *arguments]
    told = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stderr
    found = []
    for line in told.splitlines():
        if line.startswith("import time:") and "imported package" not in line:
            own, _, name = line.removeprefix("import time:").split("|")
            found.append((name.strip(), int(own)))
    return found


def libraries(modules: Sequence[tuple[str, int]]) -> list[str]:
    """Return the modules that are not ours, each after what it needs; private ones come with others."""
    names = [name for name, _ in modules if name.partition(".")[0] not in {"pipeline", "jobs", "__main__", "site"}]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def row(name: str, cost: Cost, limit: float | None, rest: str) -> bool:
    """Print a line; return whether it is over its limit."""
    over = limit is not None and cost.wall > limit
    told = "" if limit is None else f"limit {limit * 1000:.0f}{' OVER' if over else ''}"
    print(f"{name:<22} {cost.wall * 1000:6.0f} ms  CPU {cost.cpu * 1000:5.0f} ms  {told:<15} {rest}", flush=True)
    return over


def main() -> None:
    """Read the arguments and measure; end with 1 if a command is over its limit."""
    parser = argparse.ArgumentParser(description="How long short commands take.")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--imports", type=int, default=0, help="also name so many of the dearest imports of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = Library(folder, 20)
        anyio.run(library.make)
        (folder / "reelmill.toml").write_text('[provider]\nkind = "local"\n', encoding="utf-8")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        row("the interpreter", measure([sys.executable, "-c", "pass"], folder, given.rounds), None, "")
        words = {"show": ["unfinished 000.mp4"], "why": ["unfinished 000.mp4"], "plan": ["films"]}
        over = []
        for command, limit in LIMITS.items():
            arguments = [command, *words.get(command, [])]
            loaded = imports(arguments, folder)
            bare = measure([sys.executable, "-c", _LOAD, *libraries(loaded)], folder, max(3, given.rounds // 3))
            ours = sum(module.startswith(("pipeline", "jobs")) for module, _ in loaded)
            beside = f"{len(loaded)} modules, {ours} ours; libraries alone {bare.wall * 1000:.0f} ms"
            whole = measure([sys.executable, "-m", "pipeline", *arguments], folder, given.rounds)
            over += [command] * row(f"reelmill {command}", whole, limit, beside)
            for module, own in sorted(loaded, key=lambda each: -each[1])[: given.imports]:
                print(f"    {own / 1000:6.1f} ms  {module}")
    if over:
        print("OVER:", ", ".join(over))
        raise SystemExit(1)
