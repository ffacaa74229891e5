"""``index.txt``: every video on a line, for grep. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.text import plain, stamp
from pipeline.ports.sink import MARK, OutFile

NAME = "index.txt"


def index_line(title: str, seconds: float | None, folder: str) -> str:
    """Return a video's line: length, title, folder, with tabs between."""
    length = stamp(seconds, form="clock") if seconds else "-"
    return f"{length}\t{plain(title, 300)}\t{folder}/"


def plain_index(lines: Sequence[str], *, count: int) -> OutFile:
    """Return the whole file; ``count`` videos have results."""
    head = f"{MARK}: {count:,} {'video' if count == 1 else 'videos'}. Length, title, folder of the results."
    return OutFile(NAME, "\n".join([head, "", *lines]) + "\n")
