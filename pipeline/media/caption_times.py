"""The time line of a caption cue, in the forms found in files. Pure.

Players take blanks inside a time, full-width signs, dots and colons in each other's place, an arrow with a dash too few.
"""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 300  # characters of a time line with its settings; beyond, nothing is looked at
_MARKS = re.compile(r"^[\W_]{0,40}")
_BLANKS = re.compile(r"[ \t]{0,9}([:.,])[ \t]{0,9}")
_ARROW = re.compile(r"[ \t]{0,40}(?:(?:[-\u2010-\u2015\u2212=~][ \t]{0,3}){1,4}[>\u00bb]|[\u2192\u27f6])[ \t]{0,40}")
_TIMES = (
    re.compile(r"(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,:; ](?=\d)(\d{1,9}))?(?![\d:])"),
    re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})(?:[.,:](\d{1,9}))?(?![\d:])"),
)


#: As nearly all are: what follows is found here without looking for what may be wrong with it.
_USUAL = re.compile(
    r"(?:([0-9]{1,4}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3}) --> (?:([0-9]{1,4}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3})"
    r"(?=[ \t]|$)"
)


def looks_like_span(line: str) -> bool:
    """Return whether a line is meant as a time line.

    It is one if it has an arrow with beginnings of times on both sides.
    """
    before, arrow, after = line[:_LONGEST].partition("-->")
    return bool(arrow) and bool(re.search(r"\d:", before)) and bool(re.search(r"\d:", after))


def parse_span(line: str) -> tuple[float, float] | None:
    """Return a time line's start and end, seconds; None for other lines.

    >>> parse_span("00: 00: 01, 500 -- > 00:00:03.250000")
    (1.5, 3.25)
    """
    if usual := _USUAL.match(line):
        hours, minutes, seconds, part, hours_2, minutes_2, seconds_2, part_2 = usual.groups("0")
        return (
            int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(part) / 1000,
            int(hours_2) * 3600 + int(minutes_2) * 60 + int(seconds_2) + int(part_2) / 1000,
        )
    if len(line) > _LONGEST and not line[:_LONGEST].strip():
        return None
    plain = unicodedata.normalize("NFKC", line[:_LONGEST])
    found = _ARROW.search(plain)
    if found is None or not found.start():
        return None
    start = _seconds(plain[: found.start()], whole=True)
    end = _seconds(plain[found.end() :], whole=False)
    return None if start is None or end is None else (start, end)


def _seconds(text: str, *, whole: bool) -> float | None:
    tidy = _BLANKS.sub(r"\1", _MARKS.sub("", text))
    for form in _TIMES:
        found = form.match(tidy)
        if found and not re.search(r"\w" if whole else r"^\w", tidy[found.end() :]):
            return _sum(*found.groups())
    return None


def _sum(hours: str | None, minutes: str, seconds: str, part: str | None) -> float:
    # 1000 stands for a rounded-up 999.6 ms.
    fraction = 1.0 if part == "1000" else float(f"0.{part or 0}")
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + fraction
