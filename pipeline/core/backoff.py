"""How long to wait before attempt n+1. Pure: randomness comes in as an argument."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from pipeline.core.errors import Throttled, Transient


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter over the upper half.

    Attempt 1 waits 0.5-1 x ``first``, then twice that, to ``most``.
    With ``first=5, most=900``: 2.5-5 s, 5-10 s, 10-20 s … 450-900 s.
    """

    first: float = 5.0
    most: float = 900.0

    def delay(self, attempt: int, rng: Random) -> float:
        """Return seconds to wait after failed attempt number ``attempt`` (counted from 1)."""
        ceiling = min(self.most, self.first * 2.0 ** min(attempt - 1, 62))
        return ceiling * (0.5 + rng.random() / 2)


@dataclass(slots=True)
class Retries:
    """Counts an operation's failures, and says how long to wait.

    Being throttled is not an attempt. A class of trouble with waits of its own has a count of its own.
    """

    attempts: int
    backoff: Backoff
    longest_pause: float  #: seconds of throttling that are sat out
    _failed: Counter[str] = field(default_factory=Counter)

    def wait(self, error: Transient, rng: Random) -> float | None:
        """Return the seconds before the next try; None: that was the last."""
        if isinstance(error, Throttled):
            return error.after if error.after is not None and error.after <= self.longest_pause else None
        counted = error.trouble.code if error.waits is not None else ""
        self._failed[counted] += 1
        tries = self._failed[counted]
        if error.waits is not None:
            return error.waits[tries - 1] if tries <= len(error.waits) else None
        if tries >= self.attempts:
            return None
        return error.after if error.after is not None else self.backoff.delay(tries, rng)
