"""Time, injected; and the one place that asks the machine for it."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import anyio

_LONGEST_ANSWER = 1.0  #: seconds
_GAIN = 1.0  #: seconds from which on what the wall clock gains, or loses, is no matter of when the two were read
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
#: Days, hours, minutes and seconds in this order, each once at most.
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){unit})?" for unit in _UNITS))


class Clock(Protocol):
    """Time, injected. Tests bring a virtual one."""

    def now(self) -> float:
        """Return epoch seconds. Stored times use this; it may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; it never goes back.

        It runs on while the machine sleeps.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


def _sleepless() -> int | None:
    """Return the number of a clock that counts sleep; None: Python's own.

    Linux stops CLOCK_MONOTONIC while it is suspended, and counts on in CLOCK_BOOTTIME (clock_gettime(2)). On macOS it is the
    other way round: CLOCK_MONOTONIC runs on (clock_gettime(3)), and what Python takes for its own monotonic clock stops. On
    Windows, Python's own runs on (GetTickCount64). On any other system, only the wall clock tells of a sleep.
    """
    for number in (getattr(time, "CLOCK_BOOTTIME", None), getattr(time, "CLOCK_MONOTONIC", None)):
        if number is not None:
            with suppress(OSError):  # an old kernel, or a sandbox that does not know the number
                time.clock_gettime(number)
                return int(number)
    return None


class SystemClock:
    """Wall time for what is stored, monotonic time for what is measured."""

    def __init__(self) -> None:
        self._sleepless = _sleepless()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() if self._sleepless is None else time.clock_gettime(self._sleepless)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class ServerClock:
    """The time of a server that many machines share.

    It is told by this machine's monotonic clock.

    Every machine's own wall clock may be wrong, or be put right. What it gains may be time that no other clock has counted,
    because a virtual machine was paused: so much has passed by :meth:`monotonic`, and the server must be asked what time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()  #: of the server's time over our monotonic one
        self._wall = self._ahead  #: the same of the wall clock's
        self._uncounted = 0.0  #: seconds that only the wall clock has counted
        self._gained = anyio.Event()

    def note(self, server: float, sent: float, received: float) -> bool:
        """Take the server's time, in epoch seconds; return whether it was taken.

        It was asked for, and came, at these monotonic seconds. An answer that took long says little and is not taken.
        """
        quick = received - sent <= _LONGEST_ANSWER
        if quick:
            self._ahead = server - (sent + received) / 2 + self._uncounted
        return quick

    async def doubted(self, seconds: float) -> None:
        """Wait until the wall clock gains; at most so long."""
        self._gained = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._gained.wait()

    def now(self) -> float:
        return self._clock.monotonic() + self._ahead

    def monotonic(self) -> float:
        counted = self._clock.monotonic()
        gain = self._clock.now() - counted - self._wall
        if abs(gain) >= _GAIN:
            self._wall += gain
        if gain >= _GAIN:
            self._uncounted += gain
            self._gained.set()
        return counted + self._uncounted

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


def iso(epoch: float) -> str:
    """Return epoch seconds as an RFC 3339 UTC string to the second, e.g. ``2026-11-22T03:00:00Z``."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> float | None:
    """Return epoch seconds of an RFC 3339 time, or None."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str) -> float | None:
    """Return the seconds of a text like ``90d``, ``5h``, ``1h30m`` or ``300s``, or None."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or not found[0]:
        return None
    return sum(float(number) * size for number, size in zip(found.groups(), _UNITS.values(), strict=True) if number)


def show_duration(seconds: float) -> str:
    """Return what :func:`parse_duration` reads, to the second; below one, exactly."""
    if seconds < 1:
        return f"{seconds:g}s"
    shown, left = "", round(seconds)
    for unit, size in _UNITS.items():
        number, left = divmod(left, int(size))
        shown += f"{number}{unit}" if number else ""
    return shown
