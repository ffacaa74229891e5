"""What was measured of a video, in plain sentences.

Nothing here is seen or heard in the sense of being understood: light, movement and loudness are numbers, and each sentence says
which number stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import ceil
from statistics import median

from pipeline.core.text import stamp
from pipeline.local.analysis.evidence import SILENT_BELOW, SPEECH_FROM, Facts, Shot

_MOVING = 4  # seconds of the moment with most movement
_LOUD = 3  # seconds of the loudest moment
_MUCH = 0.1  # share of the picture that must move
_MORE = 1.25  # times as much as on the whole
_LOUDER = 3.0  # dB above the middle of the sound
_LONGER = 1.1  # times as long as the next shot
_SPANS = 4  # of sound that are named
_CAMERA_NAME = re.compile(r"(?:[A-Z]{1,4}[-_ ]?)?\d[\d_ -]{3,}[A-Z]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MeasuredMoment:
    """A part that one measurement singles out, seconds."""

    start: float
    end: float
    name: str  #: in lower case, e.g. ``most movement``
    text: str  #: a whole sentence with the number


def find_moments(
    shots: Sequence[Shot], motion: Sequence[float], loudness: Sequence[float], start: float, end: float
) -> list[MeasuredMoment]:
    """Return the longest shot, most movement and loudest part, where one stands out."""
    found = [*_longest(shots), *_moving(shots, motion), *_loudest(loudness, start, end)]
    return sorted(found, key=lambda moment: moment.start)


def _longest(shots: Sequence[Shot]) -> Iterator[MeasuredMoment]:
    ranked = sorted(shots, key=lambda shot: shot.start - shot.end)
    lengths = [shot.end - shot.start for shot in ranked]
    if len(ranked) > 1 and lengths[0] >= _LONGER * lengths[1]:
        at = f"{_clock(ranked[0].start)} to {_clock(ranked[0].end)}"
        text = f"The longest of {len(shots)} shots runs from {at}, {lengths[0]:.1f} seconds without a cut."
        yield MeasuredMoment(ranked[0].start, ranked[0].end, "longest shot", text)


def _moving(shots: Sequence[Shot], motion: Sequence[float]) -> Iterator[MeasuredMoment]:
    """Yield the part with most movement; it lies within one shot."""
    parts = [
        (_mean(motion, at, at + length), at, at + length)
        for first, last in ((ceil(shot.start), int(min(shot.end, len(motion)))) for shot in shots)
        if (length := min(_MOVING, last - first)) > 0
        for at in range(first, last - length + 1)
    ]
    whole = _mean(motion, ceil(shots[0].start), int(shots[-1].end)) if shots else 0.0
    share, first, last = max(parts, default=(0.0, 0, 0))
    if share >= max(_MUCH, _MORE * whole):
        at = f"{_clock(first)} to {_clock(last)}"
        text = f"Most moves from {at}: {share:.0%} of the picture changes from one fifth of a second to the next."
        yield MeasuredMoment(float(first), float(last), "most movement", text)


def _loudest(loudness: Sequence[float], start: float, end: float) -> Iterator[MeasuredMoment]:
    first, last = ceil(start), min(int(end), len(loudness))
    sounding = [level for level in loudness[first:last] if level >= SILENT_BELOW]
    length = min(_LOUD, last - first)
    if not sounding or last - first <= length:
        return
    level, begin = max((_mean(loudness, at, at + length), at) for at in range(first, last - length + 1))
    above = level - median(sounding)
    if above >= _LOUDER:
        at = f"{_clock(begin)} to {_clock(begin + length)}"
        text = f"It is loudest from {at}: {level:.0f} dBFS, {above:.0f} dB above the middle of its sound."
        yield MeasuredMoment(float(begin), float(begin + length), "loudest moment", text)


def calm_moments(shots: Sequence[Shot], motion: Sequence[float]) -> Iterator[float]:
    """Yield a time of each shot at which least moves, else its middle."""
    for shot in shots:
        inside = range(ceil(shot.start), min(int(shot.end), len(motion)))
        middle = (shot.start + shot.end) / 2
        calmest = min(inside, key=lambda at: (motion[at], abs(at + 0.5 - middle)), default=None)
        yield round(middle if calmest is None else calmest + 0.5, 2)


def _mean(values: Sequence[float], first: int, last: int) -> float:
    return sum(values[first:last]) / max(1, last - first)


def without_overlaps(moments: Sequence[MeasuredMoment]) -> list[MeasuredMoment]:
    """Put moments that overlap together; each sentence keeps its own times."""
    joined: list[MeasuredMoment] = []
    for each in moments:
        last = joined[-1] if joined else None
        if last is not None and each.start < last.end:
            both = (f"{last.name}, {each.name}", f"{last.text} {each.text}")
            joined[-1] = MeasuredMoment(last.start, max(last.end, each.end), *both)
        else:
            joined.append(each)
    return joined


def describe_moments(moments: Sequence[MeasuredMoment]) -> str:
    """Return one sentence that names each moment with its time; empty without."""
    named = [f"the {each.name} from {_clock(each.start)} to {_clock(each.end)}" for each in moments]
    return f"Measured: {', '.join(named)}." if named else ""


def describe_speech(speech: Sequence[float], start: float, end: float) -> str:
    """Return where somebody speaks, in one sentence; empty where nobody listened."""
    inside = speech[int(start) : int(end) + 1]
    if not inside:
        return ""
    spans = _runs([share >= SPEECH_FROM for share in inside], int(start), end)
    looked = "as one second of every four tells"
    if not spans:
        return f"No speech was found, {looked}: what is heard is music or noise."
    return f"Somebody speaks from {_named(spans)}, {looked}."


def describe_sound(facts: Facts, loudness: Sequence[float], start: float, end: float, *, listened: bool = False) -> str:
    """Return where there is sound, in one sentence."""
    if not facts.has_audio:
        return "It has no sound track."
    inside = loudness[int(start) : int(end) + 1]
    if not inside:
        return "Its sound could not be decoded."
    spans = _sounding(inside, int(start), end)
    limit = f"{-SILENT_BELOW:.0f} dB below full scale"
    if not spans:
        return f"Its sound track is silent throughout (at least {limit})."
    if len(spans) == 1 and spans[0][0] <= start + 1 and spans[0][1] >= end - 1:
        return f"It has sound from beginning to end{'' if listened else '; what is heard was not told apart'}."
    return f"It has sound from {_named(spans)}; the rest is silent (at least {limit})."


def _named(spans: Sequence[tuple[float, float]]) -> str:
    named = [f"{_clock(first)} to {_clock(last)}" for first, last in spans[:_SPANS]]
    return ", ".join(named) + (f" and {len(spans) - _SPANS} times more" if len(spans) > _SPANS else "")


def _sounding(levels: Sequence[float], offset: int, end: float) -> list[tuple[float, float]]:
    """Return the spans with sound; a pause of one second parts none."""
    return _runs([level >= SILENT_BELOW for level in levels], offset, end)


def _runs(loud: Sequence[bool], offset: int, end: float) -> list[tuple[float, float]]:
    heard = [here or (0 < at < len(loud) - 1 and loud[at - 1] and loud[at + 1]) for at, here in enumerate(loud)]
    borders = [0, *(at + 1 for at, (one, other) in enumerate(pairwise(heard)) if one != other), len(heard)]
    runs = [(first, last) for first, last in pairwise(borders) if heard[first]]
    return [(float(offset + first), min(float(offset + last), end)) for first, last in runs]


def describe_origin(facts: Facts) -> str:
    """Return when and with what it was filmed, as the file says."""
    when, camera = show_date(facts.filmed), f" with {facts.camera}" if facts.camera else ""
    if not when and not camera:
        return ""
    return f"The file says that it was made{f' on {when}' if when else ''}{camera}."


def show_date(filmed: str) -> str:
    """Return an ISO 8601 time for people.

    >>> show_date("2024-07-14T15:03:00+00:00")
    '14 July 2024 at 15:03 UTC'
    """
    if not filmed:
        return ""
    at = datetime.fromisoformat(filmed)
    zone = f" {at.tzname()}" if at.tzname() else ""
    return f"{at.day} {at:%B} {at.year} at {at:%H:%M}{zone}"


def is_camera_name(name: str) -> bool:
    """Return True for a name that a camera gives.

    >>> is_camera_name("IMG 2041"), is_camera_name("VID_20240714_150300"), is_camera_name("Lecture 3")
    (True, True, False)
    """
    return _CAMERA_NAME.fullmatch(name) is not None


def _clock(seconds: float) -> str:
    return stamp(seconds, form="clock")
