"""SIGKILL, for real: a run of thirty videos that is killed again and again ends as if it had never been."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.local.ledger import Ledger
from tests.cli import ONCE, Running, Terminal, customer, leftovers, pause, serving, until
from tests.clips import clips

VIDEOS = 30
STEPS = 3 * VIDEOS  #: of the whole work: an upload, an analysis and a folder for each video
RESULTS = {"gist.json", "summary.md", "chapters.json", "chapters.vtt", "highlights.json", "video.json"}
ONCE_EACH = {"asset_created": VIDEOS, "analyze_task_created": VIDEOS}


def ledger_in(folder: Path) -> Ledger:
    """Return the ledger of the platform that keeps its state below a folder; readable whether it runs or not."""
    return Ledger(folder / ".reelmill" / "platform" / "platform.sqlite3")


def appointments(number: int, rng: random.Random) -> Iterator[tuple[int, float]]:
    """Yield when to kill: from which step of the work on, spread over all of it, and how many seconds later."""
    for each in range(number):
        low, high = each * STEPS // number, (each + 1) * STEPS // number
        yield rng.randrange(low, high), rng.choice([0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.6)])


@dataclass
class Siege:
    """A run that is killed at appointed moments and started again with the same line."""

    terminal: Terminal
    films: Path
    ledger: Ledger
    hits: list[int] = field(default_factory=list)  #: the step at which each kill fell
    hands: set[int] = field(default_factory=set)  #: processes that a killed run had started

    def step(self) -> int:
        """Return how far the work is."""
        try:
            accepted = sum(entry.effect in ONCE for entry in self.ledger.entries())
        except sqlite3.OperationalError:  # the platform is just making its tables
            accepted = 0
        return accepted + sum(1 for _ in (self.terminal.folder / "out").glob("*/video.json"))

    def storm(self, number: int, seed: int) -> None:
        """Kill that many runs; one that has ended before its moment was not killed and does not count."""
        for step, moment in appointments(number, random.Random(seed)):
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
        return Counter(("early", "middle", "late")[min(2, 3 * step // STEPS)] for step in self.hits)


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


def check_whole(terminal: Terminal) -> None:
    """Every video has its folder, every file is whole, the list names them all, and status agrees."""
    out = terminal.folder / "out"
    folders = sorted(path for path in out.iterdir() if path.is_dir())
    assert len(folders) == VIDEOS
    for folder in folders:
        card = json.loads((folder / "video.json").read_text(encoding="utf-8"))
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert there == set(card["files"]) > RESULTS
        for path in folder.rglob("*.json"):
            assert json.loads(path.read_text(encoding="utf-8"))
        assert (folder / "chapters.vtt").read_text(encoding="utf-8").startswith("WEBVTT\n")
        assert (folder / "summary.md").read_text(encoding="utf-8").endswith("\n")
    assert leftovers(out) == []
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["folder"] for line in lines) == [folder.name for folder in folders]
    assert all(set(line["results"]) == {"gist", "summary", "chapters", "highlights"} for line in lines)
    status = terminal.run("status", "--json").json
    assert status["items"] == {"done": VIDEOS, "failed": 0, "held": 0, "cancelled": 0, "working": 0}
    assert {kind: by for kind, by in status["tasks"].items() if set(by) != {"done"}} == {}
    assert (status["running"], status["runs"][0]["exit_code"]) == ("", 0)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_twenty_kills_over_thirty_videos(tmp_path: Path) -> None:
    """The platform lives on and is the witness: nothing is lost, and nothing was paid twice."""
    films = tmp_path / "films"
    clips(films, VIDEOS)
    with serving(tmp_path / "there") as platform:
        terminal = customer(tmp_path / "here", platform)
        siege = Siege(terminal, films, ledger_in(tmp_path / "there"))
        siege.storm(21, seed=11)
        print(f"{len(siege.hits)} kills: {dict(siege.thirds())}")
        last = terminal.run("run", str(films), timeout=120)
        assert last.code == 0, last.err
        check_whole(terminal)
        assert platform.twice() == []
        assert Counter(effect for effect, _ in platform.paid()) == ONCE_EACH
    assert len(siege.hits) >= 20
    assert min(siege.thirds()[part] for part in ("early", "middle", "late")) >= 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_that_take_the_platform_with_them(tmp_path: Path) -> None:
    """The embedded platform dies with its run, in the middle of whatever it is doing; neither forgets or repeats."""
    films = tmp_path / "films"
    clips(films, VIDEOS)
    terminal = Terminal(tmp_path / "here")
    siege = Siege(terminal, films, ledger_in(terminal.folder))
    siege.storm(7, seed=5)
    print(f"{len(siege.hits)} kills: {dict(siege.thirds())}")
    assert siege.hands
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in siege.hands), "the killed runs' own processes to end"
    )
    last = terminal.run("run", str(films), timeout=120)
    assert last.code == 0, last.err
    check_whole(terminal)
    assert siege.ledger.twice() == []
    assert Counter(effect for effect, _ in siege.ledger.paid()) == ONCE_EACH
    assert len(siege.hits) >= 6
