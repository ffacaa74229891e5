"""Puts an answer's times on the player's clock. Pure.

A player calls the first picture 0:00. A platform may count as it does, or by the clock inside the file (a recording of a
broadcast may begin there at any hour), or from the beginning of the window. One call counts in one way: the one by
which its times lie in what it looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf

from pipeline.config.time_windows import TimeWindow, show_clock
from pipeline.core.model import Json
from pipeline.core.text import stamp
from pipeline.ingest.payloads import AnalysisData
from pipeline.kit.answers import SLACK, seconds

_TIMES = frozenset({"start_time", "end_time"})
_CLOSE = 0.25  #: seconds beside the part that tell nothing: lengths are rounded
_APART = 0.5  #: seconds that two clocks must differ by to be told apart
_DEEP = 60  #: levels of an answer in which times are looked for


def time_names(schema: Json, depth: int = 0) -> frozenset[str]:
    """Return the names under which answers of this schema hold times."""
    if not isinstance(schema, Mapping | list) or depth >= _DEEP:
        return _TIMES
    found = set(_TIMES)
    for name, form in schema.items() if isinstance(schema, Mapping) else enumerate(schema):
        found |= time_names(form, depth + 1)
        if isinstance(form, Mapping) and form.get("type") == "timestamp":
            found.add(str(name))
    return frozenset(found)


def on_player_clock(
    answer: Mapping[str, Json], data: AnalysisData, names: frozenset[str]
) -> tuple[Mapping[str, Json], str]:
    """Return an answer with its times as a player counts them.

    A note says if they were moved. ``names`` are those of its times.
    """
    times = list(_times(answer, names))
    until = data.end or data.seconds or inf
    shifts = {0.0: ""}
    if data.clock_start >= _APART:
        shifts[-data.clock_start] = f"the clock inside the file, which starts at {show_clock(data.clock_start)}"
    if data.start >= _APART:
        shifts[data.start] = f"the beginning of the window, {show_clock(data.start)}"

    def missed(shift: float) -> float:
        beside = max((max(data.start - (at + shift), at + shift - until) for at in times), default=0.0)
        return beside if beside > _CLOSE else 0.0

    shift = min(shifts, key=missed)  # of equal ones the first
    if not shift or missed(shift) > SLACK:  # what fits in no way is told as it came
        return answer, ""
    moved = _moved(answer, names, lambda value: _later(value, shift))
    return moved, f"times counted from {shifts[shift]}, were put on the video's own clock"


def outside_window(part: Json, data: AnalysisData, names: frozenset[str]) -> str:
    """Return a problem if a time lies outside the part that was asked about."""
    until = data.end or data.seconds or inf
    for at in _times(part, names) if data.windowed else ():
        if not data.start - SLACK <= at <= until + SLACK:
            window = TimeWindow(data.start, data.end or None)
            return f"A time of {at:g} s lies outside the part of the video that was asked about, {window}."
    return ""


def _times(value: Json, names: frozenset[str], depth: int = 0) -> Iterator[float]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in pairs if depth < _DEEP else ():
        at = seconds(entry) if key in names else None
        if at is not None:
            yield at
        yield from _times(entry, names, depth + 1)


def _moved(value: Json, names: frozenset[str], move: Callable[[Json], Json], depth: int = 0) -> Json:
    if depth >= _DEEP:
        return value
    if isinstance(value, list):
        return [_moved(entry, names, move, depth + 1) for entry in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: move(entry) if key in names and seconds(entry) is not None else _moved(entry, names, move, depth + 1)
        for key, entry in value.items()
    }


def _later(value: Json, shift: float) -> Json:
    """Return a time moved, in the form that it had."""
    at = max(0.0, (seconds(value) or 0.0) + shift)
    if not isinstance(value, str):
        return round(at, 3)
    return stamp(at) if ":" in value else f"{at:g}"
