"""The retry loop, once, over a policy and a clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, Throttled

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
