"""A run that is killed again and again, and what must be there in the end."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cli import ONCE, Running, Terminal, leftovers, pause, until
from tests.support.media import clip_bytes

THIRDS = ("early", "middle", "late")


def appointments(number: int, steps: int, rng: random.Random, latest: float) -> Iterator[tuple[int, float]]:
    """Yield when to kill: from which step of the work on, spread over all of it, and how many seconds later."""
    for each in range(number):
        low, high = each * steps // number, (each + 1) * steps // number
        yield rng.randrange(low, high), rng.choice([0.0, rng.uniform(0, latest / 10), rng.uniform(0, latest)])


@dataclass
class Siege:
    """A run that is killed at appointed moments and started again with the same line."""

    terminal: Terminal
    films: Path
    database: Path  #: the platform's
    videos: int
    latest: float = 0.6  #: seconds from its step until a kill, at most
    effects: Sequence[str] = ONCE  #: what counts as a step when the platform has accepted it
    steps_each: int = 3  #: of one video: an upload, an analysis and a folder
    hits: list[int] = field(default_factory=list)  #: the step at which each kill fell
    hands: set[int] = field(default_factory=set)  #: processes that a killed run had started

    def step(self) -> int:
        """Return how far the work is: what the platform has accepted, and a folder for each video."""
        try:
            accepted = self._accepted()
        except sqlite3.OperationalError:  # the platform is just making its tables
            accepted = 0
        out = self.terminal.folder / "out"
        return accepted + (sum(entry.is_dir() for entry in out.glob("*--*")) if out.is_dir() else 0)

    def _accepted(self) -> int:
        marks = ", ".join("?" * len(self.effects))
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as reader:
            query = f"SELECT count(*) FROM ledger WHERE effect IN ({marks})"
            (number,) = reader.execute(query, tuple(self.effects)).fetchone()
        return int(number)

    @property
    def steps(self) -> int:
        """How many steps the whole work has."""
        return self.steps_each * self.videos

    def storm(self, number: int, seed: int) -> None:
        """Kill that many runs; one that has ended before its moment was not killed and does not count."""
        for step, moment in appointments(number, self.steps, random.Random(seed), self.latest):
            running = self.terminal.start("run", str(self.films))
            self._until(running, step)
            pause(moment)
            self.hands |= children(running.pid)
            if running.alive:
                running.kill()
                self.hits.append(self.step())

    def _until(self, running: Running, step: int) -> None:
        until(lambda: not running.alive or self.step() >= step, f"step {step}")

    def thirds(self) -> Counter[str]:
        """Say in which third of the work the kills fell."""
        return Counter(THIRDS[min(2, 3 * step // self.steps)] for step in self.hits)


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and not outlived, as Linux tells them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            found.add(int(path.parent.name))
    return found


def check_whole(terminal: Terminal, videos: int) -> None:
    """Every video has its folder, every file is whole, the list names them all, and status agrees."""
    out = terminal.folder / "out"
    folders = sorted(path for path in out.glob("*--*") if path.is_dir())
    assert len(folders) == videos
    for folder in folders:
        card = json.loads((folder / "video.json").read_text(encoding="utf-8"))
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert there == set(card["files"])
        for path in folder.rglob("*.json"):
            assert json.loads(path.read_text(encoding="utf-8"))
        for path in folder.glob("*.vtt"):
            assert path.read_text(encoding="utf-8").startswith("WEBVTT\n")
    assert leftovers(out) == []
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["folder"] for line in lines) == [folder.name for folder in folders]
    (jobs,) = {tuple(sorted(line["results"])) for line in lines}
    assert jobs in (("chapters", "gist"), ("chapters", "gist", "highlights", "summary"))
    status = terminal.run("status", "--json").json
    assert status["items"] == {"done": videos, "failed": 0, "held": 0, "cancelled": 0, "working": 0}
    assert {kind: by for kind, by in status["tasks"].items() if set(by) != {"done"}} == {}
    assert (status["running"], status["runs"][0]["exit_code"]) == ("", 0)


def padded(folder: Path, count: int) -> Path:
    """Write many videos that differ in bytes that no player looks at: an MP4 may end in a box of free space."""
    folder.mkdir()
    for number in range(count):
        box = (24).to_bytes(4, "big") + b"free" + f"{number:016}".encode()
        (folder / f"film-{number:03}.mp4").write_bytes(clip_bytes(0) + box)
    return folder
