"""How long a run still takes, where that can be said honestly."""

from __future__ import annotations

_ENOUGH = 5  #: items that must have been finished before their pace says anything


class TimeLeft:
    """An estimate renewed by each finished item; it never grows while nothing moves.

    In between it counts down.
    """

    def __init__(self) -> None:
        self._finished = 0
        self._at = 0.0  # seconds after the start at which the last one was finished

    def estimate(self, elapsed: float, finished: int, left: int) -> float | None:
        """Return seconds until the end, or None.

        ``finished``: items that took this run some work.
        """
        if finished != self._finished:
            self._finished, self._at = finished, elapsed
        if finished < _ENOUGH or left <= 0:
            return None
        seconds = left * self._at / finished - (elapsed - self._at)
        return seconds if seconds > 0 else None
