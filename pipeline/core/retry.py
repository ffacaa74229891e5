"""The retry loop, once, over a policy and a clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseAway, ReelmillError, Throttled

T = TypeVar("T")
#: Takes the number of the failed try (from 1) and its error; returns the seconds to wait, or None to give up.
RetryPolicy = Callable[[int, ReelmillError], float | None]


async def retry(attempt: Callable[[], Awaitable[T]], policy: RetryPolicy, clock: Clock) -> T:
    """Make an attempt again for as long as the policy names a wait.

    Raises:
        ReelmillError: the error of the last attempt.
    """
    for number in count(1):
        try:
            return await attempt()
        except ReelmillError as error:
            delay = policy(number, error)
            if delay is None:
                raise
        if delay > 0:
            await clock.sleep(delay)
    raise AssertionError("a try returns or raises")


class ThrottlePatience:
    """A policy that waits for rate limits, up to ``most`` seconds until :meth:`reset`.

    A limit that names no wait costs ``unnamed`` seconds of the patience: nobody waits for ever, however short each wait.
    """

    def __init__(self, most: float, unnamed: float) -> None:
        self._most, self._unnamed = most, unnamed
        self._waited = 0.0

    def __call__(self, _number: int, error: ReelmillError) -> float | None:
        """Return the wait that the limit asks for, or None."""
        if not isinstance(error, Throttled):
            return None
        wait = error.after or self._unnamed
        if self._waited + wait > self._most:
            return None
        self._waited += wait
        return wait

    def reset(self) -> None:
        """Count from zero: something has got through."""
        self._waited = 0.0


class AwayPatience:
    """A policy that waits for a database that is away.

    ``most``: seconds in all; each wait is longer, up to a few seconds.
    """

    FIRST, LONGEST = 0.5, 5.0  #: seconds; the cap is how long work may stand still after the database is back

    def __init__(self, most: float) -> None:
        self._left = most
        self._next = self.FIRST

    def __call__(self, _number: int, error: ReelmillError) -> float | None:
        """Return the next wait, or None once the patience is used up."""
        if not isinstance(error, DatabaseAway) or self._left <= 0:
            return None
        wait = min(self._next, self._left)
        self._left -= wait
        self._next = min(2 * self._next, self.LONGEST)
        return wait
