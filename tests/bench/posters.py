"""Measure posters: ``python -m tests.bench posters [FILM…] [--times 5]``; without films, some are made.

Prints for each film the milliseconds and processor time of a poster by the process that a run uses, and its size; then the
start of that process and its peak memory. The films that are made have key frames every ten seconds, as most encoders
set them; "one key frame" and "dark" are those that cost most.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.app.gallery.poster_process import PosterProcess
from tests.support.media import scenes_bytes

_TICKS = os.sysconf("SC_CLK_TCK")


def _picture(width: int, height: int, dim: float = 1.0) -> Any:
    rows, columns = np.indices((height, width)) // (width // 40)
    shade = ((rows * 7 + columns * 3) % 5 + 1) / 5 * dim * 255
    return np.repeat(shade[..., None], 3, axis=2).astype(np.uint8)


def _films(folder: Path) -> list[Path]:
    """Make films of half a minute, 25 pictures per second."""
    made = []
    for name, width, height, gop, dim in (
        ("640x360", 640, 360, 250, 1.0),
        ("1920x1080", 1920, 1080, 250, 1.0),
        ("3840x2160", 3840, 2160, 250, 1.0),
        ("1920x1080 one key frame", 1920, 1080, 10_000, 1.0),
        ("1920x1080 dark", 1920, 1080, 250, 0.05),
    ):
        path = folder / f"{name}.mp4"
        seconds = 30 if width < 3000 else 20
        path.write_bytes(scenes_bytes([(seconds, _picture(width, height, dim))], fps=25, gop=gop))
        made.append(path)
    return made


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) // 1024


async def _measure(films: list[Path], times: int) -> None:
    process = PosterProcess()
    began = time.perf_counter()
    await process._start()
    started = time.perf_counter() - began
    assert process._process is not None
    pid = process._process._process.pid
    print(f"{'film':<28}{'ms':>8}{'cpu ms':>8}{'bytes':>8}")
    for film in films:
        took, size, cpu = [], 0, _cpu(pid)
        for _ in range(times):
            began = time.perf_counter()
            made = await process.of_film(str(film), None, 0.0)
            took.append((time.perf_counter() - began) * 1000)
            size = len(made.data)
        spent = (_cpu(pid) - cpu) / times * 1000
        print(f"{film.stem[:27]:<28}{statistics.median(took):>8.0f}{spent:>8.0f}{size:>8,}")
    print(f"start of the process {started * 1000:.0f} ms, peak memory {_peak(pid)} MB, at the lowest priority")
    await process.aclose()


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(given.films or _films(Path(folder)), given.times))
