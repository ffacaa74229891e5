"""What was asked within the last minute, hour or day. Pure.

A window is kept in 300 slots. A slot counts until its last moment has left the window, so that no stretch of that length
ever holds more than the limit, wherever the platform starts its own window; the price is that capacity comes back up to a
three-hundredth of the span late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from math import isfinite

from pipeline.core.model import Json

KINDS = ("requests", "minutes", "tokens")
SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
SLOTS = 300
_EPSILON = 1e-9

Amounts = Mapping[str, float]


class Window:
    """At most ``limit`` units in any ``span`` seconds."""

    __slots__ = ("_slots", "_total", "_width", "limit", "span")

    def __init__(self, limit: float, span: float) -> None:
        self.limit = limit
        self.span = span
        self._width = span / SLOTS
        self._slots: deque[list[float]] = deque()  #: [number of the slot, amount], oldest first
        self._total = 0.0

    def wait(self, amount: float, now: float, limit: float | None = None) -> float:
        """Return the seconds until ``amount`` fits; too much fits an empty window."""
        self._forget(now)
        excess = self._total + amount - (self.limit if limit is None else limit)
        if excess <= _EPSILON or not self._slots:
            return 0.0
        end = now
        for number, held in self._slots:
            end = (number + 1) * self._width + self.span
            excess -= held
            if excess <= _EPSILON:
                break
        return max(0.0, end - now)

    def used(self, now: float) -> float:
        """Return how many units are in use."""
        self._forget(now)
        return self._total

    def since(self, begin: float, now: float) -> float:
        """Return how many units were taken from the slot of ``begin`` on."""
        self._forget(now)
        first = begin // self._width
        return sum(amount for number, amount in self._slots if number >= first)

    def certain(self, now: float) -> float:
        """Return how many units are in use wherever in its slot each was taken."""
        return self.since(now - self.span + self._width, now)

    def busiest(self) -> float:
        """Return the most units of one slot."""
        return max((amount for _, amount in self._slots), default=0.0)

    def first_back(self) -> float:
        """Return when the oldest unit comes back, epoch seconds; 0 without any."""
        return (self._slots[0][0] + 1) * self._width + self.span if self._slots else 0.0

    def take(self, amount: float, now: float) -> None:
        """Count ``amount`` at this moment; after a clock was set back, later."""
        number = now // self._width
        if self._slots and self._slots[-1][0] >= number:
            self._slots[-1][1] += amount
        else:
            self._slots.append([number, amount])
        self._total += amount

    def postpone(self, amount: float, taken: float, now: float) -> None:
        """Count at this moment what was taken a little earlier."""
        if taken // self._width != now // self._width and self.release(amount, taken):
            self.take(amount, now)

    def release(self, amount: float, taken: float) -> bool:
        """Give back what was taken a little earlier; return whether it was there."""
        number = taken // self._width
        for slot in reversed(self._slots):
            if slot[0] <= number:
                if slot[0] == number and slot[1] >= amount - _EPSILON:
                    slot[1] = max(0.0, slot[1] - amount)
                    self._total -= amount
                    return True
                break
        return False

    def dump(self) -> list[Json]:
        """Return [when, amount] of each slot for the journal."""
        # Its middle, because the beginning may lie in the slot before once it was divided again.
        return [[(number + 0.5) * self._width, amount] for number, amount in self._slots if amount > 0]

    def load(self, counted: Iterable[tuple[float, float]]) -> None:
        """Add what was counted at these moments."""
        for at, amount in sorted(counted):
            self.take(amount, at)

    def _forget(self, now: float) -> None:
        """Drop what left the window, or lies in a clock's false future."""
        slots, oldest = self._slots, (now - self.span) / self._width - 1
        while slots and slots[0][0] <= oldest:
            self._total -= slots.popleft()[1]
        while slots and slots[-1][0] * self._width > now + self.span:
            self._total -= slots.pop()[1]
        if not slots:
            self._total = 0.0  # and with it what rounding has left


def is_number(value: object) -> bool:
    """Return True for a number out of a journal."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
