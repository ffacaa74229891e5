"""How long to wait before attempt n+1. Pure: randomness comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter over the upper half: attempt 1 waits 0.5-1 x ``first``, then twice that, to ``most``.

    With ``first=5, most=900``: 2.5-5 s, 5-10 s, 10-20 s … 450-900 s.
    """

    first: float = 5.0
    most: float = 900.0

    def delay(self, attempt: int, rng: Random) -> float:
        """Return seconds to wait after failed attempt number ``attempt`` (counted from 1)."""
        ceiling = min(self.most, self.first * 2.0 ** min(attempt - 1, 62))
        return ceiling * (0.5 + rng.random() / 2)
