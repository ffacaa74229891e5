"""Retries a busy or full database for a while, then ends the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, StoreError, Transient
from pipeline.core.retry import retry

T = TypeVar("T")
_log = log.get("engine")
FIRST_DELAY = 0.5  #: seconds; each delay is twice the one before
MAX_DELAY = 20.0  #: seconds; no delay is longer, so a call gives up after about half a minute in all


async def retry_while_busy(call: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Make a call to the database until it goes through.

    Raises:
        StoreError: the database is unusable, or was busy or full for too long (with that trouble's words).
    """
    try:
        return await retry(call, _delay, clock)
    except Transient as error:
        raise StoreError.from_trouble(error.trouble) from error


def _delay(number: int, error: ReelmillError) -> float | None:
    delay = FIRST_DELAY * 2.0 ** (number - 1)
    if not isinstance(error, Transient) or delay > MAX_DELAY:
        return None
    _log.warning("store.retry", why=str(error), after=delay)
    return delay
