"""Which part of a video each call looks at. Pure.

A question about more than one analysis may look at is asked in equal parts, each a question of its own by its
fingerprint. That says which part of how many it is, not its seconds: a platform may tell a length a little differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from pipeline.config.time_windows import TimeWindow, show_clock
from pipeline.core.model import Trouble, fingerprint
from pipeline.ingest.job_requests import JobRequest

_LEAST = 1.0  #: seconds of a video that a platform looks at


def split_questions(requests: Sequence[JobRequest], seconds: float, longest: float) -> list[JobRequest]:
    """Return what is asked of a video: the requests, or their parts.

    Each has the window that its call looks at, inside the video; ``seconds`` 0: nobody knows the length.
    """
    return [part for request in requests for part in question_parts(request, seconds, longest)]


def question_parts(request: JobRequest, seconds: float, longest: float) -> Iterator[JobRequest]:
    """Yield the calls that one request needs; itself, where one will do."""
    wanted = request.window or TimeWindow(0.0)
    start, end = wanted.start, wanted.end if wanted.end is not None else seconds
    end = min(end, seconds) if seconds else end
    if is_outside(request.window, seconds):
        yield request
        return
    number = max(1, ceil((end - start) / longest))
    if number == 1:
        window = _within(start, end, seconds)
        yield request if request.window == window else replace(request, window=window)
        return
    borders = [start + round((end - start) * each / number) for each in range(number)] + [end]
    for at in range(number):
        own = fingerprint(request.fingerprint, "part", at, number)
        window = _within(borders[at], borders[at + 1], seconds)
        yield replace(request, fingerprint=own, whole=request.fingerprint, window=window)


def _within(start: float, end: float, seconds: float) -> TimeWindow | None:
    """Return a part; without an end where it is the video's.

    A platform refuses an end that its own length, rounded otherwise, does not reach.
    """
    closing = end if 0 < end < seconds or (end and not seconds) else None
    return None if not start and closing is None else TimeWindow(start, closing)


def is_outside(window: TimeWindow | None, seconds: float) -> bool:
    """Return True if nothing of a window lies in a video of this length."""
    return window is not None and 0 < seconds < window.start + _LEAST


def outside_trouble(window: TimeWindow, seconds: float) -> Trouble:
    """Say that a window lies behind the video's end."""
    return Trouble(
        "window_outside",
        f"The window {window} begins after the end of the video, which is {show_clock(seconds)} long.",
        "correct `window` in the list or in [jobs.…]",
    )


def looked_at(requests: Sequence[JobRequest], seconds: float) -> float:
    """Return how much of a video these calls look at together."""
    covered, last = 0.0, 0.0
    for window in sorted((each.window or TimeWindow(0.0) for each in requests), key=lambda each: each.start):
        end = min(window.end, seconds) if window.end is not None else seconds
        covered += max(0.0, end - max(window.start, last))
        last = max(last, end)
    return covered


def billed_seconds(window: TimeWindow | None, seconds: float) -> float:
    """Return how much of a video a call looks at; 0 where nobody knows."""
    if window is None:
        return seconds
    end = min(window.end, seconds) if window.end is not None and seconds else window.end or seconds
    return max(0.0, end - window.start)
