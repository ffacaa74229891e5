"""Tiny real videos with captions, made once per test session and handed out as copies: distinct, five seconds, 640x360."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pipeline.local.demo.videos import make_slides

#: What clip number n tells about: the words are in its captions and on its slides, so answers can be traced to them.
SUBJECTS = (
    "bees", "glaciers", "lighthouses", "bread", "tides", "owls", "violins", "tulips", "magnets", "comets",
)  # fmt: skip

SECONDS = 5.0


def clip(path: Path, number: int = 0) -> Path:
    """Write clip ``number`` to ``path`` (``.mp4``) and return it; the same number gives the same bytes."""
    path.write_bytes(clip_bytes(number))
    return path


def clips(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Write ``count`` clips of different content into a folder, made if absent; return their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    return [clip(folder / f"clip-{number:02}.mp4", number) for number in range(first, first + count)]


def subject(number: int) -> str:
    """Return the word that clip ``number`` is about."""
    return SUBJECTS[number % len(SUBJECTS)]


@cache
def clip_bytes(number: int) -> bytes:
    """Return clip ``number`` as an MP4's bytes: two slides and three captions, about 35 ms to make."""
    about = subject(number)
    slides = [(f"About {about}", [f"part one of film {number}"]), (f"More on {about}", [f"part two of film {number}"])]
    captions = [
        (0.2, 1.6, f"Film number {number} is about {about}."),
        (1.8, 3.2, f"People have watched {about} for {number + 100} years."),
        (3.4, 4.8, f"That was the short story of {about}."),
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = make_slides(Path(folder) / "clip.mp4", slides, SECONDS / 2, captions, fps=2, seed_color=number)
        return made.read_bytes()
