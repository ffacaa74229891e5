"""Cookies for yt-dlp: read once per job, handed over as text, never written back.

yt-dlp rewrites a cookie file in place when it closes, and takes a missing one for an empty one; so it gets no path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.model import Trouble

_LARGEST = 2_000_000
_REMEDY = (
    "export it again from a private window as a Netscape file, or remove [youtube] cookies; "
    "then `reelmill retry --class cookies_bad`"
)


@dataclass(frozen=True, slots=True)
class Cookies:
    """A cookie file's text, hidden in ``repr``, with its count of lines."""

    text: str = field(repr=False)
    youtube: int
    soonest: float  #: epoch seconds at which the first of them ends; 0 if none says


def read_cookies(path: Path) -> Cookies | Trouble:
    """Return the content of a cookie file, or why it cannot be used. Blocks."""
    try:
        if path.stat().st_size > _LARGEST:
            return Trouble("cookies_bad", f"{path}: this is too large for a cookie file.", _REMEDY)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        return Trouble("cookies_bad", f"{path}: the cookie file cannot be read ({reason}).", _REMEDY)
    if text.lstrip().startswith(("{", "[")):
        return Trouble("cookies_bad", f"{path}: this is JSON; yt-dlp reads Netscape cookie files.", _REMEDY)
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> Cookies | Trouble:
    count, ends = 0, list[float]()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.removeprefix("#HttpOnly_")
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 7:
            return Trouble("cookies_bad", f"{path}, line {number}: not a line of a Netscape cookie file.", _REMEDY)
        if cells[0].lstrip(".").endswith(("youtube.com", "google.com")):
            count += 1
            ends += [float(cells[4])] if cells[4].isdigit() and int(cells[4]) > 0 else []
    if not count:
        return Trouble("cookies_bad", f"{path}: there is no cookie of youtube.com in it.", _REMEDY)
    return Cookies(text, count, min(ends, default=0.0))
