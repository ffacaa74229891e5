"""The rate limiter of a run's workers: windows per endpoint group, remembered across restarts.

What a call needs is taken when it is let in, and counted from when it is answered: the platform cannot have seen it later
than that. So capacity comes back when the platform has it again, however slow the network is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

import anyio

from pipeline.config.settings import LimitsSection
from pipeline.core.clock import Clock
from pipeline.core.errors import Throttled
from pipeline.core.model import Json
from pipeline.ports.quota import QuotaGauge, QuotaNote
from pipeline.ports.store import Journal
from pipeline.provider.http.groups import Group
from pipeline.provider.http.windows import SPANS

GROUPS = ("assets", "analyze", "index", "search", "read")
NAME = "limits"  #: under which the journal keeps the counters
_READ_RESET = 900.0  #: seconds that used-up reads may wait for: to ask once more costs nothing
SHORT = 1.0  #: seconds that ``admit`` sleeps at most
_SPREAD = 0.3  #: seconds by which those who wait for the same capacity wake apart
_SAVE_EVERY = 2.0  #: seconds; a kill -9 forgets at most this much of what was admitted
_LARGE = 32  #: calls in a row that are too large for what is left, until nothing smaller is looked for


def read_usage(limits: LimitsSection, kept: Json, now: float) -> list[QuotaGauge]:
    """Return how full the windows are, of what the journal keeps under :data:`NAME`."""
    found: list[QuotaGauge] = []
    for name in GROUPS:
        group = Group(getattr(limits, name), counted=name != "read")
        if isinstance(kept, dict) and isinstance(kept.get(name), dict):
            group.load(kept[name], now)
        found += group.gauges(name, now)
    return found


class SharedLimiter:
    """The limiter of a run's workers; its journal remembers a day's quota."""

    def __init__(self, limits: LimitsSection, journal: Journal, clock: Clock, rng: Random) -> None:
        self._groups = {name: Group(getattr(limits, name), counted=name != "read") for name in GROUPS}
        self._large = dict.fromkeys(GROUPS, 0)  # calls in a row that were too large for what is left
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

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> float:
        if not self._started:
            await self.start()
        limits = self._groups[group]
        amounts = {"requests": 1.0, "minutes": minutes, "tokens": tokens}
        patience = SHORT
        while (wait := limits.wait(amounts, self._clock.now())) > 0:
            if wait > patience:
                await self._save()
                raise self._refusal(group, amounts, wait)
            patience -= wait
            await self._clock.sleep(wait)
        taken = self._clock.now()
        limits.take(amounts, taken)
        self._large[group] = 0
        self._dirty = True
        if self._clock.monotonic() - self._saved >= _SAVE_EVERY:
            try:
                await self._save()
            except BaseException:  # the call will never be made
                limits.answered(amounts, taken, taken, accepted=False)
                raise
        return taken

    def answered(
        self, group: str, admitted: float, *, minutes: float = 0.0, tokens: float = 0.0, accepted: bool | None = True
    ) -> None:
        amounts = {"requests": 1.0, "minutes": minutes, "tokens": tokens}
        self._groups[group].answered(amounts, admitted, self._clock.now(), accepted=accepted)
        self._dirty = True

    def learn(self, group: str, *, wait: float | None = None, notes: Sequence[QuotaNote] = ()) -> None:
        learn_from(self._groups[group], group=group, now=self._clock.now(), wait=wait, notes=notes)
        self._dirty = True

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Do what must be done while calls are made."""
        yield

    def _refusal(self, group: str, amounts: Mapping[str, float], wait: float) -> Throttled:
        now, limits = self._clock.now(), self._groups[group]
        alone = self._large[group] < _LARGE and limits.too_large(amounts, now)
        self._large[group] = self._large[group] + 1 if alone else 0
        # The spread keeps a thousand tasks from waking in the same instant for the same capacity.
        after = wait + self._rng.random() * min(_SPREAD, wait / 10)
        why = limits.reason(amounts, now)
        message = f"the rate limit of {group} requests is reached ({why})"
        if alone:
            message = f"too long for what is left of {why}"
        return Throttled(message, after=after, group=group, alone=alone)

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


def learn_from(limits: Group, *, group: str, now: float, wait: float | None, notes: Sequence[QuotaNote]) -> None:
    """Learn from an answer: a 429's ``wait``, seconds, and what it says of limits."""
    unnamed = group != "read" and all(note.resets is None for note in notes)
    for note in notes:
        limits.learn(note, now, _READ_RESET if group == "read" else 2 * SPANS["day"])
        if note.reached and unnamed:
            limits.pause_for(note, now)
    if wait is not None and wait > 0:
        limits.pause(now + wait)
    if wait is not None and group != "read":
        limits.refused(named=any(note.reached and note.span in ("hour", "day") for note in notes))


async def end_waits(journal: Journal) -> int:
    """Forget the waits and limits that the platform has named or shown.

    Our own limits stay. Return how many limits there were.
    """
    kept = await journal.load(NAME)
    if not isinstance(kept, dict):
        return 0
    groups = {name: group for name, group in kept.items() if isinstance(group, dict)}
    calm: dict[str, Json] = {"paused_until": 0.0, "guessed": 0.0, "granted": {}, "learned": {}, "wall": {}}
    await journal.save(NAME, {name: {**group, **calm} for name, group in groups.items()})
    walls = (group["wall"] for group in groups.values() if isinstance(group.get("wall"), dict))
    return sum(len(each.get("learned") or ()) for each in (*groups.values(), *walls))


class Unlimited:
    """No limits: for our own platform on this machine."""

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> float:
        return 0.0

    def answered(
        self, group: str, admitted: float, *, minutes: float = 0.0, tokens: float = 0.0, accepted: bool | None = True
    ) -> None:
        pass

    def learn(self, group: str, *, wait: float | None = None, notes: Sequence[QuotaNote] = ()) -> None:
        pass

    async def aclose(self) -> None:
        pass
