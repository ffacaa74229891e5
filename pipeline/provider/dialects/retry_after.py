"""How long an answer asks the client to wait, in every form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isfinite

from pipeline.core.clock import parse_iso
from pipeline.provider.dialects.json_reading import ErrorBody, parse_http_date, read_error_body, server_time
from pipeline.provider.dialects.protocol import Response

_LONGEST = 7 * 86_400.0  #: seconds; no sane limit asks for more, so what does says nothing
_SHORTEST = 0.05
_UNITS = {
    "ms": 0.001, "mil": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hou": 3600.0,
    "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip
_SPAN = r"(\d+(?:\.\d+)?)[\s-]*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)\b"
_ASKED = re.compile(
    rf"\b(?:in|after|for|wait|again)\s+(?:about\s+|approximately\s+|another\s+|at least\s+)?{_SPAN}", re.I
)
#: Not "600 minutes per day" or "60 minutes of video": that is a limit.
_BARE = re.compile(rf"(?<!per )(?<![\d./]){_SPAN}(?!\s*(?:(?:of|per|a|an|each|every)\b|/))", re.I)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")


def requested_wait(response: Response, body: ErrorBody | None = None) -> float | None:
    """Return the seconds a 429 asks us to wait; None without one to believe."""
    body = read_error_body(response) if body is None else body
    candidates: Sequence[Callable[[], float | None]] = (
        lambda: _scaled(response.headers.get("retry-after-ms"), 0.001),
        lambda: retry_after_header(response),
        lambda: _number(body.details.get("retryAfter", body.details.get("retry_after"))),
        lambda: _in_words(body.message, response.at),
        lambda: _reset(response),
    )
    for candidate in candidates:
        seconds = candidate()
        if seconds is not None and isfinite(seconds) and seconds <= _LONGEST:
            return max(seconds, _SHORTEST)
    return None


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and isfinite(number) and number >= 0 else None


def _scaled(value: object, unit: float) -> float | None:
    number = _number(value)
    return None if number is None else number * unit


def retry_after_header(response: Response) -> float | None:
    """Return the standard header's seconds, from a number or a date."""
    value = response.headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    moment = parse_http_date(value)
    if moment is None:
        return None
    return max(0.0, moment - server_time(response))  # both by the platform's clock


def _in_words(message: str, at: float) -> float | None:
    asked, moment = _ASKED.search(message), _MOMENT.search(message)
    then = parse_iso(moment.group()) if asked is None and moment is not None else None
    if then is not None:  # goes before a bare span, which may be of the limit itself
        return max(0.0, then - at)
    found = asked or _BARE.search(message)
    if found is None:
        return None
    unit = found.group(2).lower()
    return float(found.group(1)) * (_UNITS.get(unit) or _UNITS.get(unit[:3]) or _UNITS[unit[:1]])


def _reset(response: Response) -> float | None:
    reset = _number(response.headers.get("x-ratelimit-reset"))
    return reset - response.at if reset is not None and reset > response.at else None
