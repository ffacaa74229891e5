"""How often a site is asked, and when it is left alone. One for all workers, remembered across runs.

Requests start 12 to 20 seconds apart and at most 300 times an hour: the site counts per address of a machine. After a
refusal nothing is asked for an hour; then one video finds out whether the way is free, and if it is not, the pause
doubles, up to six hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import anyio

from pipeline.clock import iso
from pipeline.errors import Throttled
from pipeline.model import Trouble
from pipeline.ports import Clock, Journal

_HOUR = 3600.0
_LONGEST = 6 * _HOUR
_SHORT = 1.0  #: seconds that an admission sleeps at most; longer waits are rows in the database
_SLOWEST = 8.0
_FORGIVEN = 50  #: good requests after which the pace doubles again
_PROBING = 15.0


@dataclass(frozen=True, slots=True)
class PaceRules:
    """Seconds from start to start, and starts in any hour."""

    min_gap: float = 12.0
    max_gap: float = 20.0
    per_hour: int = 300


@dataclass(slots=True)
class _State:
    """What is remembered. Times in epoch seconds."""

    next: float = 0.0
    starts: tuple[float, ...] = ()
    until: float = 0.0
    trips: int = 0
    slow: float = 1.0
    good: int = 0
    trouble: Trouble | None = None


class Pace:
    """The limiter and the breaker of one site, as one thing: both answer the question "may I ask now?"."""

    def __init__(self, journal: Journal, clock: Clock, rng: Random, rules: PaceRules, site: str = "youtube") -> None:
        self._journal, self._clock, self._rng, self._rules, self._site = journal, clock, rng, rules, site
        self._lock = anyio.Lock()
        self._state: _State | None = None
        self._probing = False

    async def admit(self) -> None:
        """Take the right to start one request, sleeping at most a second for it.

        Raises:
            Throttled: it is not time yet; ``after`` says how long, the trouble says why. Nothing was taken.
        """
        async with self._lock:
            state = await self._loaded()
            now = self._clock.now()
            if state.until > now:
                raise self._refusal(state, now)
            if state.trips and self._probing:
                raise self._wait(_PROBING, "One video is finding out whether YouTube answers again.")
            wait = max(state.next - now, self._hour(state, now))
            if wait > _SHORT:
                raise self._wait(wait, "Requests to YouTube are spaced.")
            if wait > 0:
                await self._clock.sleep(wait)
            self._take(state)
            await self._save(state)

    def _take(self, state: _State) -> None:
        now = self._clock.now()
        gap = self._rng.uniform(self._rules.min_gap, self._rules.max_gap) * state.slow
        state.next = now + gap
        state.starts = (*(start for start in state.starts if start > now - _HOUR), now)
        self._probing = state.trips > 0

    def _hour(self, state: _State, now: float) -> float:
        within = sorted(start for start in state.starts if now - _HOUR < start <= now)
        return within[-self._rules.per_hour] + _HOUR - now if len(within) >= self._rules.per_hour else 0.0

    # ------------------------------------------------------------------------------------------------- what came

    async def answered(self) -> None:
        """Note that the site gave a real answer, whatever it was: the way is free."""
        async with self._lock:
            state = await self._loaded()
            if state.until > self._clock.now():
                return  # it was asked before the refusal that another request has met
            opened = state.trips > 0
            self._probing = False
            state.trips, state.until, state.trouble = 0, 0.0, None
            state.good += 1
            if state.slow > 1 and state.good >= _FORGIVEN:
                state.slow, state.good, opened = max(1.0, state.slow / 2), 0, True
            if opened:
                await self._save(state)

    def undecided(self) -> None:
        """Note that a request ended without showing whether the site answers: the next one finds out."""
        self._probing = False

    async def refused(self, trouble: Trouble, pause: float, *, slower: bool) -> Throttled:
        """Close the source for ``pause`` seconds, twice as long each time in a row; return what to raise."""
        async with self._lock:
            state = await self._loaded()
            now = self._clock.now()
            self._probing = False
            if state.until <= now:  # of several requests refused at once, the first counts
                state.trips += 1
                state.until = now + min(_LONGEST, pause * 2.0 ** min(state.trips - 1, 10))
                state.trouble = trouble
                if slower:
                    state.slow, state.good = min(_SLOWEST, state.slow * 2), 0
            await self._save(state)
            return self._refusal(state, now)

    def _refusal(self, state: _State, now: float) -> Throttled:
        trouble = state.trouble or Trouble("paused", "The source is paused.")
        message = f"{trouble.message} YouTube is left alone until {iso(state.until)}; everything else goes on."
        error = Throttled(message, after=state.until - now, group=self._site, detail=trouble.detail)
        error.trouble = Trouble(trouble.code, message, trouble.remedy, trouble.detail)
        return error

    def _wait(self, seconds: float, why: str) -> Throttled:
        error = Throttled(why, after=seconds, group=self._site)
        error.trouble = Trouble("paced", why, "nothing; it goes on by itself")
        return error

    # -------------------------------------------------------------------------------------------------- remembered

    async def _loaded(self) -> _State:
        if self._state is None:
            kept = await self._journal.load(f"pace:{self._site}")
            self._state = _read(kept, self._clock.now(), self._rules) if isinstance(kept, dict) else _State()
        return self._state

    async def _save(self, state: _State) -> None:
        trouble = state.trouble.as_json() if state.trouble is not None else None
        kept = {"next": state.next, "starts": list(state.starts), "until": state.until, "trips": state.trips,
                "slow": state.slow, "good": state.good, "trouble": trouble}  # fmt: skip
        await self._journal.save(f"pace:{self._site}", kept)


async def lift(journal: Journal, site: str = "youtube") -> None:
    """Let the next run ask at once, as an operator wants it; a refusal then pauses for twice as long as the last one."""
    kept = await journal.load(f"pace:{site}")
    if isinstance(kept, dict):
        await journal.save(f"pace:{site}", {**kept, "until": 0.0})


def _read(kept: dict[str, Any], now: float, rules: PaceRules) -> _State:
    """Take over what an earlier run left; a time further off than any pause is a clock gone wrong."""
    trouble = kept.get("trouble")
    return _State(
        next=min(_number(kept, "next"), now + rules.max_gap * _SLOWEST),
        starts=tuple(float(start) for start in kept.get("starts") or () if isinstance(start, int | float)),
        until=min(_number(kept, "until"), now + _LONGEST),
        trips=int(_number(kept, "trips")),
        slow=min(_SLOWEST, max(1.0, _number(kept, "slow"))),
        good=int(_number(kept, "good")),
        trouble=Trouble.from_json(trouble) if isinstance(trouble, dict) and "code" in trouble else None,
    )


def _number(kept: dict[str, Any], name: str) -> float:
    value = kept.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
