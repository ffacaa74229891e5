"""A long queue: peak memory of the run's process, and the time from its start to its first request.

Three runs over one state folder, each stopped some seconds after its last manifest line: the manifest is new; it is given
again over a full queue; no manifest, only the queue. The manifest and its reader are real; the files are links to a few
tiny ones, and the look into each is synthetic. Time counts from before the interpreter starts until the request arrives
at the benchmark's platform.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.bench.child import spawn
from tests.bench.server import serving

_PER_FOLDER = 1000  #: files; also few enough for a file's number of links


def _films(folder: Path, number: int) -> Path:
    """Make the files and return a manifest that names them all."""
    manifest = folder / "films.txt"
    with manifest.open("w", encoding="utf-8") as lines:
        for start in range(0, number, _PER_FOLDER):
            home = folder / "films" / f"{start:07}"
            home.mkdir(parents=True)
            first = home / f"{start:07}.mp4"
            first.write_bytes(b"%064d" % start)
            for each in range(start, min(start + _PER_FOLDER, number)):
                path = home / f"{each:07}.mp4"
                if path != first:
                    os.link(first, path)
                lines.write(f"{path}\n")
    return manifest


def _measure(url: str, folder: Path, name: str, sources: Sequence[str], seconds: float) -> None:
    told: dict[str, Any] = {"url": url, "folder": str(folder), "sources": sources, "seconds": seconds, "jobs": ["gist"]}
    with httpx.Client(base_url=url) as ask:
        ask.get("/mark")
        began = time.time()  # noqa: TID251 - compared with another process's time
        figures = spawn("queue", told)
        first = ask.get("/figures").json()["first"] - began
    print(
        f"{name:<28} first request after {first:5.2f} s   peak memory {figures['peak_mb']:5.0f} MB   "
        f"manifest read after {figures['fed']:5.1f} s   {figures['waiting']:,} tasks wait at the end, "
        f"{figures['published']:,} videos done"
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="Peak memory and time to the first request with a long queue.")
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="to go on after the last line")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; a local disk")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name, serving(think=1.0, latency=0.05) as url:
        folder = Path(name)
        manifest = str(_films(folder, given.items))
        print(f"{given.items:,} items; platform: ready after 1 s, answers after 50 ms")
        _measure(url, folder, "new manifest", [manifest], given.seconds)
        _measure(url, folder, "same manifest, full queue", [manifest], given.seconds)
        _measure(url, folder, "no manifest, full queue", [], given.seconds)
