"""A part of a video, as users write it: ``0:00-10:00``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.core.clock import parse_duration

_LEAST = 1.0  #: seconds
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):([0-5]\d(?:\.\d{1,3})?)")
_LONGEST = 60  #: characters
_LATEST = 1_000_000.0  #: seconds beyond which a moment is a slip


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Seconds on the video's own clock; ``end`` None: to its end."""

    start: float
    end: float | None = None

    def __str__(self) -> str:
        return f"{show_clock(self.start)}-{show_clock(self.end) if self.end is not None else ''}"


def parse_window(text: object) -> TimeWindow:
    """Read ``START-END``; one side may be missing: the video's own.

    A moment is ``1:02:03``, ``10:00``, seconds (``90``) or ``1h30m``.

    Raises:
        ValueError: one clause that says what is wrong.
    """
    short = isinstance(text, str) and len(text) <= _LONGEST
    sides = re.split(r"\s*[-\u2010-\u2015]\s*", str(text).strip()) if short else []
    if len(sides) != 2 or not any(sides):
        raise ValueError('must be a start and an end like "0:00-10:00", "1:30:00-" or "90-150"')
    start, end = (_moment(side) if side else None for side in sides)
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"must end after it starts: {show_clock(start or 0.0)} to {show_clock(end)} does not")
    if end is not None and end - (start or 0.0) < _LEAST:
        raise ValueError(f"must be at least {_LEAST:g} second long")
    return TimeWindow(start or 0.0, end)


def _moment(text: str) -> float:
    found = _CLOCK.fullmatch(text)
    if found is not None:
        hours, minutes = int(found[1] or 0), int(found[2])
        seconds = None if found[1] and minutes > 59 else hours * 3600 + minutes * 60 + float(found[3])
    elif re.fullmatch(r"\d{1,7}(\.\d{1,3})?", text):
        seconds = float(text)
    else:
        seconds = parse_duration(text)
    if seconds is None or seconds > _LATEST:
        raise ValueError(f'"{text[:20]}" is no moment: write it like 1:02:03, 10:00, or 90 for seconds')
    return seconds


def show_clock(seconds: float) -> str:
    """Return a moment as people read it.

    >>> show_clock(600), show_clock(3723.5)
    ('10:00', '1:02:03.5')
    """
    ms = round(seconds * 1000)
    whole = ms // 1000
    h, m, s = whole // 3600, whole // 60 % 60, whole % 60
    rest = f".{ms % 1000:03}".rstrip("0") if ms % 1000 else ""
    return (f"{h}:{m:02}:{s:02}" if h else f"{m}:{s:02}") + rest
