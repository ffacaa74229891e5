"""The rate limiter: sliding windows per endpoint group, remembered across restarts.

A window of a minute, an hour or a day is kept in 60 slots. A slot counts until its last moment has left the window, so
that no stretch of that length ever holds more than the limit, wherever the platform starts its own window; the price is
that capacity comes back up to a sixtieth of the span late.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import anyio

from pipeline.config.settings import BucketSection, LimitsSection
from pipeline.core.clock import Clock
from pipeline.core.errors import Throttled
from pipeline.core.model import Json
from pipeline.ports.store import Journal

GROUPS = ("assets", "analyze", "index", "search", "read")
SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
KINDS = ("requests", "minutes", "tokens")
SLOTS = 60
NAME = "limits"  #: under which the journal keeps the counters
_READ_RESET = 900.0  #: seconds that used-up reads may wait for: to ask once more costs nothing
_SHORT = 1.0  #: seconds that ``admit`` sleeps at most
_SAVE_EVERY = 2.0  #: seconds; a kill -9 forgets at most this much of what was admitted
_EPSILON = 1e-9


class Window:
    """At most ``limit`` units in any ``span`` seconds."""

    __slots__ = ("_slots", "_width", "limit", "span")

    def __init__(self, limit: float, span: float) -> None:
        self.limit = limit
        self.span = span
        self._width = span / SLOTS
        self._slots: dict[int, float] = {}

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until ``amount`` fits; too much fits an empty window."""
        self._forget(now)
        excess = sum(self._slots.values()) + amount - self.limit
        if excess <= _EPSILON or not self._slots:
            return 0.0
        end = now
        for index in sorted(self._slots):
            end = (index + 1) * self._width + self.span
            excess -= self._slots[index]
            if excess <= _EPSILON:
                break
        return max(0.0, end - now)

    def used(self, now: float) -> float:
        """Return the share of the limit that is in use, 0 to 1."""
        self._forget(now)
        return sum(self._slots.values()) / self.limit

    def take(self, amount: float, now: float) -> None:
        """Count ``amount`` at this moment."""
        index = int(now // self._width)
        self._slots[index] = self._slots.get(index, 0.0) + amount

    def dump(self) -> dict[str, float]:
        """Return the slots for the journal."""
        return {str(index): amount for index, amount in self._slots.items()}

    def load(self, slots: Mapping[str, Any]) -> None:
        """Add remembered slots; what cannot be read is left."""
        for index, amount in slots.items():
            if index.isdigit() and isinstance(amount, int | float) and amount > 0:
                self._slots[int(index)] = self._slots.get(int(index), 0.0) + float(amount)

    def _forget(self, now: float) -> None:
        """Drop what left the window, or lies in a clock's false future."""
        gone = [i for i in self._slots if (i + 1) * self._width + self.span <= now or i * self._width > now + self.span]
        for index in gone:
            del self._slots[index]


class _Group:
    """All windows of one endpoint group, and what the platform itself reports."""

    def __init__(self, bucket: BucketSection) -> None:
        self.windows: dict[str, tuple[str, Window]] = {}
        for kind in KINDS:
            for span, seconds in SPANS.items():
                name = f"{kind}_per_{span}"
                limit = getattr(bucket, name)
                if limit is not None:
                    self.windows[name] = (kind, Window(limit, seconds))
        self.paused_until = 0.0
        self.left: float | None = None  #: requests that the platform still grants until ``resets``
        self.resets = 0.0

    def wait(self, amounts: Mapping[str, float], now: float) -> float:
        """Return the seconds until the amounts fit all windows and no pause is on."""
        longest = max(0.0, self.paused_until - now)
        if self.left is not None and self.left < 1 and self.resets > now:
            longest = max(longest, self.resets - now)
        for kind, window in self.windows.values():
            if amounts[kind] > 0:
                longest = max(longest, window.wait(amounts[kind], now))
        return longest

    def take(self, amounts: Mapping[str, float], now: float) -> None:
        """Count in all windows."""
        if self.left is not None:
            self.left = self.left - 1 if self.resets > now else None
        for kind, window in self.windows.values():
            if amounts[kind] > 0:
                window.take(amounts[kind], now)

    def dump(self) -> dict[str, Json]:
        """Return everything for the journal."""
        return {
            "paused_until": self.paused_until,
            "left": self.left,
            "resets": self.resets,
            "windows": {name: window.dump() for name, (_, window) in self.windows.items()},
        }

    def load(self, kept: Mapping[str, Any], now: float) -> None:
        """Restore what an earlier run saved, unless a clock went wrong."""
        until, left, resets = kept.get("paused_until"), kept.get("left"), kept.get("resets")
        if isinstance(until, int | float) and until <= now + 7 * SPANS["day"]:
            self.paused_until = max(self.paused_until, float(until))
        if isinstance(left, int | float) and isinstance(resets, int | float) and self.left is None and resets > now:
            self.left, self.resets = float(left), float(resets)
        windows = kept.get("windows")
        for name, slots in windows.items() if isinstance(windows, dict) else ():
            if name in self.windows and isinstance(slots, dict):
                self.windows[name][1].load(slots)


def read_usage(limits: LimitsSection, kept: Json, now: float) -> list[tuple[str, str, float]]:
    """Return (group, window, share in use) of what the journal keeps under :data:`NAME`."""
    found = []
    for name in GROUPS:
        group = _Group(getattr(limits, name))
        if isinstance(kept, dict) and isinstance(kept.get(name), dict):
            group.load(kept[name], now)
        found += [(name, window, each.used(now)) for window, (_, each) in group.windows.items()]
    return found


class SharedLimiter:
    """The limiter of a run's workers; its journal remembers a day's quota."""

    def __init__(self, limits: LimitsSection, journal: Journal, clock: Clock, rng: Random) -> None:
        self._groups = {name: _Group(getattr(limits, name)) for name in GROUPS}
        self._journal, self._clock, self._rng = journal, clock, rng
        self._starting = anyio.Lock()
        self._started = False
        self._dirty = False
        self._saving = False
        self._saved = float("-inf")

    async def start(self) -> None:
        """Read what earlier runs saved. Idempotent; otherwise the first ``admit`` does it."""
        async with self._starting:
            if self._started:
                return
            kept = await self._journal.load(NAME)
            now = self._clock.now()
            for name, group in self._groups.items():
                if isinstance(kept, dict) and isinstance(kept.get(name), dict):
                    group.load(kept[name], now)
            self._started = True

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> None:
        if not self._started:
            await self.start()
        limits = self._groups[group]
        amounts = {"requests": 1.0, "minutes": minutes, "tokens": tokens}
        patience = _SHORT
        while (wait := limits.wait(amounts, self._clock.now())) > 0:
            if wait > patience:
                await self._save()
                # The spread keeps a thousand tasks from waking in the same instant for the same capacity.
                after = wait + self._rng.random() * min(1.0, wait / 10)
                raise Throttled(f"the rate limit of {group} requests is reached", after=after, group=group)
            patience -= wait
            await self._clock.sleep(wait)
        limits.take(amounts, self._clock.now())
        self._dirty = True
        if self._clock.monotonic() - self._saved >= _SAVE_EVERY:
            await self._save()

    def learn(self, group: str, *, wait: float | None = None, headers: Mapping[str, str] | None = None) -> None:
        limits, now = self._groups[group], self._clock.now()
        if wait is not None and wait > 0:
            limits.paused_until = max(limits.paused_until, now + wait)
            self._dirty = True
        if headers is not None:
            self._count(limits, headers, now, _READ_RESET if group == "read" else 2 * SPANS["day"])

    def _count(self, limits: _Group, headers: Mapping[str, str], now: float, most: float) -> None:
        try:
            left, resets = float(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"])
        except (KeyError, ValueError):
            return
        if not now < resets <= now + 2 * SPANS["day"] or not left >= 0:
            return
        resets = min(resets, now + most)
        # Answers overtake each other: within one period the smallest number seen is the newest.
        same = limits.left is not None and abs(resets - limits.resets) < 1
        limits.left = min(left, limits.left) if same and limits.left is not None else left
        limits.resets = resets
        self._dirty = True

    async def aclose(self) -> None:
        """Save what is not saved yet."""
        if self._started:
            await self._save()

    async def _save(self) -> None:
        if self._saving or not self._dirty:
            return
        self._saving, self._dirty = True, False
        self._saved = self._clock.monotonic()
        try:
            await self._journal.save(NAME, {name: group.dump() for name, group in self._groups.items()})
        finally:
            self._saving = False


async def end_waits(journal: Journal) -> None:
    """Forget the waits that the platform asked for; our own limits stay."""
    kept = await journal.load(NAME)
    if isinstance(kept, dict):
        calm: dict[str, Json] = {"paused_until": 0.0, "left": None, "resets": 0.0}
        await journal.save(NAME, {name: {**group, **calm} for name, group in kept.items() if isinstance(group, dict)})


class Unlimited:
    """No limits: for our own platform on this machine."""

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> None:
        pass

    def learn(self, group: str, *, wait: float | None = None, headers: Mapping[str, str] | None = None) -> None:
        pass

    async def aclose(self) -> None:
        pass
