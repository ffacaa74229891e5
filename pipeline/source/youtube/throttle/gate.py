"""How often a site is asked, and when it is left alone. One for all who ask from this machine, remembered across runs.

Requests start 12 to 20 seconds apart and at most 300 times an hour: the site counts per address of a machine. After a
refusal nothing is asked for an hour; then one video finds out whether the way is free, and if it is not, the pause
doubles, up to six hours.

Two gates, one behind the other: this machine's address, whose notes all runs share, and what only this run can mend (its
disk, its cookies, its Python). Nothing is kept in these objects: every decision reads and writes the notes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import anyio

from pipeline.core.clock import Clock, iso
from pipeline.core.errors import Throttled
from pipeline.core.model import Json, Trouble
from pipeline.source.youtube.throttle.state import Kept, ThrottleState

_HOUR = 3600.0

_LONGEST = 6 * _HOUR

_SHORT = 1.0  #: seconds that an admission sleeps at most; longer waits are rows in the database

_SLOWEST = 8.0

_WIDE = 20.0  #: seconds of gap that another run may keep, whatever this one does

_FORGIVEN = 50  #: good requests after which the pace doubles again

_PROBING = 15.0

_DECIDES = 600.0  #: seconds in which the one video that finds out must have an answer

_SITE = "youtube"

_PAUSED = "paused"  #: the class of a pause whose reason is lost

_TURN = count(1)

_ENDLESS = 1e300


@dataclass(frozen=True, slots=True)
class ThrottleRules:
    """Seconds from start to start, and starts in any hour."""

    min_gap: float = 12.0
    max_gap: float = 20.0
    per_hour: int = 300


@dataclass(frozen=True, slots=True)
class _State:
    """What is remembered. Times in epoch seconds."""

    next: float = 0.0
    starts: tuple[float, ...] = ()
    until: float = 0.0
    failures: int = 0
    slow: float = 1.0
    good: int = 0
    trouble: Trouble | None = None
    half_open_owner: str = ""  #: the turn that finds out whether the site answers again: process and number
    half_open_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start one request, with the names under which it finds out whether a gate is open again."""

    address: str = ""
    own: str = ""


class SiteThrottle:
    """The limiter and the breaker of one site, as one thing: both answer the question "may I ask now?"."""

    def __init__(
        self,
        shared: ThrottleState,
        own: ThrottleState,
        clock: Clock,
        rng: Random,
        rules: ThrottleRules,
        alive: Callable[[int], bool] | None = None,
    ) -> None:
        self._address = _Gate(shared, clock, rng, rules, alive or _alive)
        self._own = _Gate(own, clock, rng, None, alive or _alive)

    async def acquire(self) -> Permit:
        """Take the right to start one request, sleeping at most a second for it.

        Raises:
            Throttled: it is not time yet; ``after`` says how long, the trouble says why. Nothing was taken.
        """
        own = await self._own.acquire()
        try:
            return Permit(await self._address.acquire(), own)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._own.release(own)
            raise

    async def record_success(self) -> None:
        """Note that the site gave a real answer, whatever it was: the way is free."""
        await self._own.record_success()
        await self._address.record_success()

    async def release(self, turn: Permit) -> None:
        """Note that a request ended; if it did not show whether the site answers, the next one finds out."""
        await self._own.release(turn.own)
        await self._address.release(turn.address)

    async def record_refusal(
        self, trouble: Trouble, pause: float, *, slower: bool = False, address: bool = True
    ) -> Throttled:
        """Close the source for ``pause`` seconds, twice as long each time in a row; return what to raise.

        ``address``: the site refuses this machine's address, so that no run asks; else only this one stops.
        """
        gate = self._address if address else self._own
        return await gate.record_refusal(trouble, pause, slower=slower)

    async def end_pause(self, classes: Collection[str] = ()) -> list[str]:
        """Let the next one ask at once, as an operator wants it; a refusal then pauses for twice as long as the last one.

        ``classes`` narrows it to pauses for these troubles. Return the classes of the troubles for which there was one.
        """
        return [code for gate in (self._address, self._own) if (code := await gate.end_pause(classes))]

    async def status(self) -> tuple[int, Trouble | None]:
        """Return how many requests this machine has started within the hour, and why none may start now; changes nothing."""
        starts, closed = await self._address.status()
        return starts, closed or (await self._own.status())[1]


class _Gate:
    """One memory of starts and refusals. Without rules, only refusals are counted."""

    def __init__(
        self, notes: ThrottleState, clock: Clock, rng: Random, rules: ThrottleRules | None, alive: Callable[[int], bool]
    ) -> None:
        self._notes, self._clock, self._rng, self._rules, self._alive = notes, clock, rng, rules, alive

    async def acquire(self) -> str:
        """Return the name of the turn: empty unless it finds out whether the gate is open again."""
        admitted = await self._notes.change(self._admitted)
        if isinstance(admitted, Throttled):
            raise admitted
        turn, wait = admitted
        if wait > 0:
            await self._clock.sleep(wait)
        return turn

    def _admitted(self, kept: Kept) -> tuple[dict[str, Json] | None, tuple[str, float] | Throttled]:
        now = self._clock.now()
        state = self._read(kept, now)
        wait = self._spaced(state, self._rules, now) if self._rules is not None else 0.0
        refusal = self._not_now(state, now, wait)
        if refusal is not None:
            return _kept(state) if kept == {} else None, refusal
        start, turn = now + wait, f"{os.getpid()}.{next(_TURN)}" if state.failures else ""
        if turn:
            state = replace(state, half_open_owner=turn, half_open_until=start + _DECIDES)
        if self._rules is not None:
            gap = self._rng.uniform(self._rules.min_gap, self._rules.max_gap) * state.slow
            starts = (*(each for each in state.starts if each > start - _HOUR), start)
            state = replace(state, next=start + gap, starts=starts)
        elif not turn:
            return None, ("", 0.0)
        return _kept(state), (turn, wait)

    def _not_now(self, state: _State, now: float, wait: float) -> Throttled | None:
        if state.until > now:
            return self._refusal(state, now)
        if state.failures and self._is_probed(state, now):
            return self._wait(_PROBING, "One video is finding out whether YouTube answers again.")
        return self._wait(wait, "Requests to YouTube are spaced.") if wait > _SHORT else None

    def _spaced(self, state: _State, rules: ThrottleRules, now: float) -> float:
        """Return the seconds until the gap and the hour leave room."""
        within = sorted(start for start in state.starts if now - _HOUR < start <= now + _SHORT)
        full = within[-rules.per_hour] + _HOUR - now if len(within) >= rules.per_hour else 0.0
        return max(0.0, state.next - now, full)

    def _is_probed(self, state: _State, now: float) -> bool:
        """Tell whether somebody is finding out: not for ever, and not a process that has died over it."""
        if not state.half_open_owner or state.half_open_until <= now:
            return False
        process = state.half_open_owner.partition(".")[0]
        return not (process.isascii() and process.isdigit()) or self._alive(int(process))

    # ------------------------------------------------------------------------------------------------- what came

    async def record_success(self) -> None:
        """Note that the way is free."""
        await self._notes.change(self._after_answer)

    def _after_answer(self, kept: Kept) -> tuple[dict[str, Json] | None, None]:
        now = self._clock.now()
        state = self._read(kept, now)
        # An answer that comes in a pause was asked for before the refusal that another request has met.
        if state.until > now or (not state.failures and state.slow <= 1):
            return None, None
        state = replace(
            state, failures=0, until=0.0, trouble=None, half_open_owner="", half_open_until=0.0, good=state.good + 1
        )
        if state.slow > 1 and state.good >= _FORGIVEN:
            state = replace(state, slow=max(1.0, state.slow / 2), good=0)
        return _kept(state), None

    async def release(self, turn: str) -> None:
        """Note that a request ended; the next one finds out what it did not."""
        if turn:
            await self._notes.change(lambda kept: (self._without(kept, turn), None))

    def _without(self, kept: Kept, turn: str) -> dict[str, Json] | None:
        state = self._read(kept, self._clock.now())
        return _kept(replace(state, half_open_owner="", half_open_until=0.0)) if state.half_open_owner == turn else None

    async def record_refusal(self, trouble: Trouble, pause: float, *, slower: bool) -> Throttled:
        """Close for ``pause`` seconds, twice as long each time in a row; return what to raise."""

        def after_refusal(kept: Kept) -> tuple[dict[str, Json], Throttled]:
            now = self._clock.now()
            state = replace(self._read(kept, now), half_open_owner="", half_open_until=0.0)
            if state.until <= now:  # of several requests refused at once, the first counts
                until = now + min(_LONGEST, pause * 2.0 ** min(state.failures, 10))
                state = replace(state, failures=state.failures + 1, until=until, trouble=trouble)
                if slower:
                    state = replace(state, slow=min(_SLOWEST, state.slow * 2), good=0)
            return _kept(state), self._refusal(state, now)

        return await self._notes.change(after_refusal)

    async def end_pause(self, classes: Collection[str]) -> str:
        """End a pause; return its class, empty if there was none."""

        def lifted(kept: Kept) -> tuple[dict[str, Json] | None, str]:
            now = self._clock.now()
            state = self._read(kept, now)
            code = state.trouble.code if state.trouble is not None else _PAUSED
            if state.until <= now or (classes and code not in classes):
                return None, ""
            return _kept(replace(state, until=0.0)), code

        return await self._notes.change(lifted)

    async def status(self) -> tuple[int, Trouble | None]:
        """Return the starts within the hour, and the reason of a pause."""

        def looked(kept: Kept) -> tuple[None, tuple[int, Trouble | None]]:
            now = self._clock.now()
            state = self._read(kept, now)
            starts = sum(now - _HOUR < start <= now for start in state.starts)
            return None, (starts, self._refusal(state, now).trouble if state.until > now else None)

        return await self._notes.change(looked)

    def _refusal(self, state: _State, now: float) -> Throttled:
        trouble = state.trouble or Trouble(_PAUSED, "The source is paused.")
        message = f"{trouble.message} YouTube is left alone until {iso(state.until)}; everything else goes on."
        error = Throttled(message, after=state.until - now, group=_SITE, detail=trouble.detail)
        error.trouble = Trouble(trouble.code, message, trouble.remedy, trouble.detail)
        return error

    def _wait(self, seconds: float, why: str) -> Throttled:
        error = Throttled(why, after=seconds, group=_SITE)
        error.trouble = Trouble("paced", why, "nothing; it goes on by itself")
        return error

    # -------------------------------------------------------------------------------------------------- remembered

    def _read(self, kept: Kept, now: float) -> _State:
        """Take over what others left; a time further off than any pause is a clock gone wrong."""
        if kept is None:
            return _State()
        if not kept:
            return _State(next=now + self._rules.max_gap if self._rules is not None else 0.0)
        starts, trouble = kept.get("starts"), kept.get("trouble")
        widest = max(_WIDE, self._rules.max_gap if self._rules is not None else 0.0)
        return _State(
            next=min(_number(kept, "next"), now + widest * _SLOWEST),
            starts=tuple(map(float, filter(_finite, starts))) if isinstance(starts, list) else (),
            until=min(_number(kept, "until"), now + _LONGEST),
            failures=int(min(1000.0, max(0.0, _number(kept, "trips")))),
            slow=min(_SLOWEST, max(1.0, _number(kept, "slow"))),
            good=int(max(0.0, _number(kept, "good"))),
            trouble=_trouble(trouble),
            half_open_owner=str(kept.get("prober") or ""),
            half_open_until=min(_number(kept, "probe_until"), now + _DECIDES),
        )


def _kept(state: _State) -> dict[str, Json]:
    trouble = state.trouble.as_json() if state.trouble is not None else None
    return {
        "next": state.next,
        "starts": list(state.starts),
        "until": state.until,
        "trips": state.failures,
        "slow": state.slow,
        "good": state.good,
        "trouble": trouble,
        "prober": state.half_open_owner,
        "probe_until": state.half_open_until,
    }


def _trouble(kept: Json) -> Trouble | None:
    if not isinstance(kept, dict) or not all(isinstance(kept.get(name), str) for name in ("code", "message")):
        return None
    return Trouble(kept["code"], kept["message"], str(kept.get("remedy") or ""), str(kept.get("detail") or ""))


def _number(kept: Kept, name: str) -> float:
    value = (kept or {}).get(name)
    return float(value) if value is not None and _finite(value) else 0.0


def _finite(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True
