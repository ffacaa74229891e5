"""Measures the peers in turn and shows them in one table and one plot."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from tests.bench.child import ROOT, WIDE, spawn
from tests.bench.orchestration import question_body
from tests.bench.peers.work import Work
from tests.bench.server import serving

Figures = dict[str, float]

PRODUCT = "Reelmill"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to do the work."""

    label: str
    module: str
    needs: tuple[str, ...]  #: packages
    kept: str  #: what is still known after ``kill -9``
    postgres: bool = False


PEERS = (
    Peer("aiohttp, plain loop", "aiohttp_loop", ("aiohttp",), "nothing"),
    Peer("vendor's SDK, 20 threads", "sdk_threads", ("twelvelabs",), "nothing"),
    Peer("DBOS on SQLite", "dbos_sqlite", ("dbos", "aiohttp"), "finished steps"),
    Peer("PgQueuer on PostgreSQL", "pgqueuer_postgres", ("pgqueuer", "asyncpg", "aiohttp"), "finished steps", True),
)
KEPT = {PRODUCT: "each call, paid once", **{peer.label: peer.kept for peer in PEERS}}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the platform does, and how much there is to do."""

    name: str
    items: int
    think: float  #: seconds until an upload or an analysis is ready


def main() -> None:
    """Read the arguments, measure in turns, print the table and write the plot."""
    parser = argparse.ArgumentParser(description="Reelmill beside other ways to do the same work, in the same run.")
    parser.add_argument("--items", type=int, default=2000, help="that are ready at once")
    parser.add_argument("--waiting", type=int, default=400, help="items whose upload and analysis take a while")
    parser.add_argument("--think", type=float, default=10.0, help="how long those take, seconds")
    parser.add_argument("--poll", type=float, default=5.0, help="seconds between a peer's looks at one video (SDK: 5)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--svg", type=Path, default=None, help="write the plot here (needs matplotlib)")
    given = parser.parse_args()
    scenes = [Scene("ready at once", given.items, 0.0)]
    if given.waiting:
        scenes.append(Scene(f"ready after {given.think:g} s", given.waiting, given.think))
    for peer in PEERS:
        if missing := _missing(peer):
            print(f"NOT MEASURED: {peer.label}: no {missing} here; pip install -e '.[test,bench]'", file=sys.stderr)
    found = {scene: _measure(scene, given.rounds, given.poll) for scene in scenes}
    for line in table(found):
        print(line)
    if given.svg is not None:
        from tests.bench.peers.plot import draw

        draw(found, given.svg)
        print(f"\nplot: {given.svg}")


def _missing(peer: Peer) -> str | None:
    return next((name for name in peer.needs if find_spec(name) is None), None)


def _measure(scene: Scene, rounds: int, poll: float) -> dict[str, Figures]:
    """Return each peer's medians."""
    rows: dict[str, list[Figures]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, serving(scene.think) as url:
        films = Path(name) / "films"
        films.mkdir()
        for number in range(scene.items):
            (films / f"{number:07}.mp4").write_bytes(b"%064d" % number)
        for _ in range(rounds):
            rows[PRODUCT].append(_product(url, scene, films))
            for peer in PEERS:
                if _missing(peer) is None:
                    rows[peer.label].append(_peer(peer, url, scene, films, poll))
    return {
        label: {key: statistics.median(row[key] for row in each) for key in each[0]} for label, each in rows.items()
    }


def _product(url: str, scene: Scene, films: Path) -> Figures:
    with tempfile.TemporaryDirectory(dir=films.parent) as folder:
        told = {"url": url, "items": scene.items, "folder": folder, "films": str(films), "jobs": ["gist"]}
        httpx.get(f"{url}/reset")
        return _judged(url, scene, spawn("product", told), 0.0)


def _peer(peer: Peer, url: str, scene: Scene, films: Path, poll: float) -> Figures:
    with tempfile.TemporaryDirectory(dir=films.parent) as folder, _database(peer) as database:
        work = Work(url, scene.items, str(films), folder, question_body(Path(folder) / "settings", ["gist"]), poll,
                    database.address)  # fmt: skip
        httpx.get(f"{url}/reset")
        before = database.cpu()
        command = [sys.executable, "-m", "tests.bench.peers.child", peer.module, work.to_text()]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise SystemExit(f"{peer.label} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
        return _judged(url, scene, json.loads(ended.stdout.splitlines()[-1]), database.cpu() - before)


def _judged(url: str, scene: Scene, figures: dict[str, Any], server_cpu: float) -> Figures:
    """Add what the platform saw; every video must have been uploaded and asked about once."""
    seen = httpx.get(f"{url}/figures").json()
    counts = seen["counts"]
    assert counts["create asset"] == counts["create task"] == seen["assets"] == seen["analyses"] == scene.items, seen
    polls = sum(count for kind, count in counts.items() if not kind.startswith("create"))
    lags = seen["lags"] or [0.0]
    server = 1000 * server_cpu / scene.items
    return {
        "items_per_second": figures["items_per_second"],
        "cpu_ms_per_item": figures["cpu_ms_per_item"] + server,
        "server_ms_per_item": server,
        "peak_mb": figures["peak_mb"],
        "kb_per_item": 1024 * (figures["peak_mb"] - figures["peak_before_mb"]) / scene.items,
        "polls_per_item": polls / scene.items,
        "lag_median": lags[len(lags) // 2],
        "lag_most": lags[-1],
    }


@dataclass(frozen=True, slots=True)
class _Database:
    address: str = ""
    pid: int = 0

    def cpu(self) -> float:
        """Return the CPU seconds of the server and its processes, ended ones too."""
        if not self.pid:
            return 0.0
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if int(stat.parent.name) == self.pid:
                ticks += sum(int(field) for field in fields[11:15])  # with its ended children
            elif int(fields[1]) == self.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _database(peer: Peer) -> Iterator[_Database]:
    """Start a PostgreSQL that loses nothing, as one is installed; only for a peer that needs it."""
    if not peer.postgres:
        yield _Database()
        return
    from tests.support.postgres_server import PostgresProcess

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server is another account's where we are root
        process = PostgresProcess(folder)
        process.start()
        server = process.server
        try:
            pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            yield _Database(server.url("postgres"), pid)
        finally:
            process.stop("fast")


def table(found: dict[Scene, dict[str, Figures]]) -> Sequence[str]:
    """Return the lines of a Markdown table a scene, with the machine and the commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = [f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
             f"commit {commit.stdout.strip() or 'unknown'}; {WIDE} connections each; medians"]  # fmt: skip
    for scene, rows in found.items():
        lines += ["", f"{scene.items:,} videos of 64 bytes, {scene.name}:", ""]
        lines.append(
            "| | items/s | ms CPU an item | MB peak (kB an item) | polls an item | lag s, middle / most | kept |"
        )
        lines.append("|---|--:|--:|--:|--:|--:|---|")
        for label, row in rows.items():
            server = f" ({row['server_ms_per_item']:.1f} the server)" if row["server_ms_per_item"] else ""
            lag = f"{row['lag_median']:.1f} / {row['lag_most']:.1f}" if scene.think else "-"
            lines.append(
                f"| {label} | {row['items_per_second']:.0f} | {row['cpu_ms_per_item']:.1f}{server} "
                f"| {row['peak_mb']:.0f} ({row['kb_per_item']:.0f}) | {row['polls_per_item']:.1f} | {lag} | {KEPT[label]} |"
            )
        mine = rows[PRODUCT]["items_per_second"]
        shares = (f"{mine / row['items_per_second']:.2f} × {label}" for label, row in rows.items() if label != PRODUCT)
        lines += ["", f"Items/s of {PRODUCT}: {', '.join(shares)}"]
    return lines
