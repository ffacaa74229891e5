"""A site's throttle: rate limit and circuit breaker for the machine.

All runs share them.
Requests start 12 to 20 seconds apart and at most 300 times an hour: the site counts per address of a machine. After a
refusal the circuit breaker is open and nothing is asked for an hour; then it is half-open: one request finds out whether
the site answers, and if it does not, the pause doubles, up to six hours.

A request passes two gates of one type: the one of this machine's address, whose state all runs share, and one for what
only this run can mend (its disk, its cookies, its Python). Gates keep nothing: every decision reads and writes the state.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TypeVar

import anyio

from pipeline.core.clock import Clock, iso
from pipeline.core.errors import Throttled
from pipeline.core.model import Json, Trouble
from pipeline.source.youtube.throttle.breaker import SHORT_WAIT, BreakerState, OutagePatience, ThrottleRules
from pipeline.source.youtube.throttle.state import Kept, ThrottleState

T = TypeVar("T")
_LOOK_AGAIN = 15.0  #: seconds, while another request finds out whether the site answers
_SITE = "youtube"
_PAUSED = "paused"  #: the class of a pause whose reason is lost
_NUMBER = count(1)


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start one request; names it as the owner of half-open gates."""

    address: str = ""
    own: str = ""


class SiteThrottle:
    """The rate limit and the circuit breaker of one site."""

    def __init__(
        self,
        shared: ThrottleState,
        own: ThrottleState,
        clock: Clock,
        rng: Random,
        rules: ThrottleRules,
        alive: Callable[[int], bool] | None = None,
        patience: OutagePatience | None = None,
    ) -> None:
        self._rng = rng
        self._patience = patience
        self._address = _Gate(shared, clock, alive or _alive, rules)
        self._own = _Gate(own, clock, alive or _alive)

    async def acquire(self) -> Permit:
        """Take a permit for one request; sleeps at most a second.

        Raises:
            Throttled: it is not time yet; ``after`` says how long, the trouble says why. Nothing was taken.
        """
        own = await self._own.acquire(self._rng)
        try:
            return Permit(await self._address.acquire(self._rng), own)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._own.release(own)
            raise

    async def release(self, permit: Permit) -> None:
        """End a request; if it showed nothing, the next one may."""
        await self._own.release(permit.own)
        await self._address.release(permit.address)

    async def record_success(self) -> None:
        """Close the breakers after a real answer, whatever it said."""
        for gate in (self._own, self._address):
            await gate.change(lambda state, now: (state.succeeded(now), None))

    async def record_refusal(
        self, trouble: Trouble, pause: float, *, slower: bool = False, address: bool = True
    ) -> Throttled:
        """Open the breaker for ``pause`` seconds, doubled in a row; return the error.

        ``address``: the site refuses this machine's address, so that no run asks; else only this one stops.
        """

        def refuse(state: BreakerState, now: float) -> tuple[BreakerState, Throttled]:
            state = state.refused(trouble, pause, now, slower=slower, patience=self._patience)
            return state, _pause_error(state, now)

        return await (self._address if address else self._own).change(refuse)

    async def end_pause(self, classes: Collection[str] = ()) -> list[str]:
        """End a pause for an operator; return its troubles' classes.

        ``classes`` narrows it to pauses for these troubles. A new refusal pauses for twice as long as the last one.
        """

        def end(state: BreakerState, now: float) -> tuple[BreakerState, str]:
            code = state.trouble.code if state.trouble is not None else _PAUSED
            if state.until <= now or (classes and code not in classes):
                return state, ""
            return state.with_(until=0.0), code

        return [code for gate in (self._address, self._own) if (code := await gate.change(end))]

    async def status(self) -> tuple[int, Trouble | None]:
        """Return how many requests started within the hour, and why none may start now."""

        def look(state: BreakerState, now: float) -> tuple[BreakerState, tuple[int, Trouble | None]]:
            closed = _pause_error(state, now).trouble if state.until > now else None
            return state, (len(state.starts_within_hour(now)), closed)

        starts, closed = await self._address.change(look)
        return starts, closed or (await self._own.change(look))[1]


class _Gate:
    """One circuit breaker over one state; with rules, it also spaces the starts."""

    def __init__(
        self, state: ThrottleState, clock: Clock, alive: Callable[[int], bool], rules: ThrottleRules | None = None
    ) -> None:
        self._state, self._clock, self._alive, self._rules = state, clock, alive, rules

    async def change(self, step: Callable[[BreakerState, float], tuple[BreakerState, T]]) -> T:
        """Carry out a step alone; an unchanged state is not written."""

        def change(kept: Kept) -> tuple[dict[str, Json] | None, T]:
            now = self._clock.now()
            state = BreakerState.load(kept, now, self._rules)
            new, answer = step(state, now)
            return None if new is state and kept != {} else new.as_json(), answer

        return await self._state.change(change)

    async def acquire(self, rng: Random) -> str:
        """Pass the gate; return a half-open one's owner, else empty."""

        def admit(state: BreakerState, now: float) -> tuple[BreakerState, tuple[str, float] | Throttled]:
            wait = state.wait(self._rules, now) if self._rules is not None else 0.0
            refusal = self._not_now(state, now, wait)
            if refusal is not None:
                return state, refusal
            owner = f"{os.getpid()}.{next(_NUMBER)}" if state.failures else ""
            state = state.half_opened(owner, now + wait) if owner else state
            if self._rules is not None:
                state = state.started(now + wait, rng.uniform(self._rules.min_gap, self._rules.max_gap))
            return state, (owner, wait)

        admitted = await self.change(admit)
        if isinstance(admitted, Throttled):
            raise admitted
        owner, wait = admitted
        if wait > 0:
            await self._clock.sleep(wait)
        return owner

    async def release(self, owner: str) -> None:
        """End the ownership of a half-open gate, unless it has passed to another."""
        if owner:
            await self.change(lambda state, _: (state.released() if state.half_open_owner == owner else state, None))

    def _not_now(self, state: BreakerState, now: float, wait: float) -> Throttled | None:
        if state.until > now:
            return _pause_error(state, now)
        if state.failures and self._is_owned(state, now):
            return _wait_error(_LOOK_AGAIN, "One video is finding out whether YouTube answers again.")
        return _wait_error(wait, "Requests to YouTube are spaced.") if wait > SHORT_WAIT else None

    def _is_owned(self, state: BreakerState, now: float) -> bool:
        """True while a living process probes the half-open gate, for ten minutes at most."""
        if not state.half_open_owner or state.half_open_until <= now:
            return False
        process = state.half_open_owner.partition(".")[0]
        return not (process.isascii() and process.isdigit()) or self._alive(int(process))


def _pause_error(state: BreakerState, now: float) -> Throttled:
    trouble = state.trouble or Trouble(_PAUSED, "The source is paused.")
    message = f"{trouble.message} YouTube is left alone until {iso(state.until)}; everything else goes on."
    error = Throttled(message, after=state.until - now, group=_SITE, detail=trouble.detail)
    error.trouble = Trouble(trouble.code, message, trouble.remedy, trouble.detail)
    return error


def _wait_error(seconds: float, why: str) -> Throttled:
    error = Throttled(why, after=seconds, group=_SITE)
    error.trouble = Trouble("paced", why, "nothing; it goes on by itself")
    return error


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True
