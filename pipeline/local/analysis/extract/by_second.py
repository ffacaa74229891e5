"""Measurements by the second of a video."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 172_800  #: seconds of one video that are kept: a clock that jumps must not cost memory


class SecondMeans:
    """Collects values and gives their mean in each second."""

    def __init__(self) -> None:
        self._sums: list[float] = []
        self._weights: list[float] = []

    def add(self, at: float, value: float, weight: float = 1.0) -> None:
        """Take a value that was measured at a time, seconds."""
        second = int(at)
        if not 0 <= second < _MOST:
            return
        if missing := second + 1 - len(self._sums):
            self._sums += [0.0] * max(0, missing)
            self._weights += [0.0] * max(0, missing)
        self._sums[second] += value * weight
        self._weights[second] += weight

    def means(self) -> Sequence[float]:
        """Return the mean of each second, 0.0 where nothing was measured."""
        return [total / weight if weight else 0.0 for total, weight in zip(self._sums, self._weights, strict=True)]
