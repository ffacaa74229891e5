"""Waits for a database that does not answer; then ends the run."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseAway, ReelmillError, StoreError
from pipeline.core.retry import AwayPatience, retry

T = TypeVar("T")
_log = log.get("engine")


async def retry_while_away(call: Callable[[], Awaitable[T]], clock: Clock, patience: float) -> T:
    """Make a call to the database until it goes through.

    ``patience``: seconds to wait in all.

    Raises:
        StoreError: the database is unusable, or was away for too long (with that trouble's words).
    """
    waits = AwayPatience(patience)

    def delay(number: int, error: ReelmillError) -> float | None:
        wait = waits(number, error)
        if wait is not None:
            _log.warning("store.retry", why=str(error), after=wait)
        return wait

    try:
        return await retry(call, delay, clock)
    except DatabaseAway as error:
        raise StoreError.from_trouble(error.trouble) from error


class AwaySteps:
    """How long a step waits that the database did not answer.

    Longer each time, for as long as there is patience.
    """

    def __init__(self, patience: float) -> None:
        self._waits: dict[int, AwayPatience] = {}  # by the task's id, while it fails so
        self._patience = patience

    def next(self, task: int, error: DatabaseAway) -> float | None:
        """Return the seconds until the task's next try.

        None: the database was away for too long.
        """
        return self._waits.setdefault(task, AwayPatience(self._patience))(1, error)

    def reset(self, task: int) -> None:
        """Take note that a step ended otherwise."""
        self._waits.pop(task, None)


class LookPace:
    """How long to wait before the next look for work.

    What is due may not be given out: another host is changing it, or whoever hands out must find it again first. Then the looks
    become seldomer, up to four a second.
    """

    def __init__(self) -> None:
        self._in_vain = 0

    def wait(self, delay: float) -> float:
        """Return seconds.

        ``delay``: until something is due; 0 where it is already, and nothing was given.
        """
        self._in_vain = 0 if delay > 0 else min(self._in_vain + 1, 9)
        return max(delay, math.ldexp(0.0005, self._in_vain))
