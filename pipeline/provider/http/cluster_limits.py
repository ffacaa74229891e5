"""The rate limiter of several hosts: one row holds the windows of all.

What a call needs is taken in the row before it is made, by exact amounts, so that all hosts together keep each limit. Calls
that come close together are let in by one change of the row, two a second at most. What an answer says waits for the next
change; a refusal does not, because all must stop. A group without any limit is only told what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeAlias

import anyio
import anyio.lowlevel

from pipeline.config.settings import LimitsSection
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json
from pipeline.ports.quota import QuotaNote
from pipeline.ports.store import Journal
from pipeline.provider.http.groups import Group
from pipeline.provider.http.rate_limits import GROUPS, NAME, SHORT, SharedLimiter, learn_from
from pipeline.provider.http.windows import Amounts

_APART = 0.5  #: seconds between two changes of the row by one host
_FRESH = 2.0  #: seconds for which what the row held is believed where it forbids a call
#: What has happened to a group since the row was last changed.
_GroupEvent: TypeAlias = Callable[[Group], object]


@dataclass(slots=True, eq=False)
class _AskedCall:
    """A call that wants to be let in."""

    group: str
    amounts: Amounts
    at: float = 0.0  #: when it was counted
    wait: float | None = None  #: seconds; 0: it is counted; None: nobody has looked yet
    error: ReelmillError | None = None


class ClusterLimiter(SharedLimiter):
    """The limiter of one host among several."""

    def __init__(self, limits: LimitsSection, journal: Journal, clock: Clock, rng: Random) -> None:
        super().__init__(limits, journal, clock, rng)
        self._limits = limits
        self._asked: list[_AskedCall] = []
        self._events: list[tuple[str, _GroupEvent]] = []  #: that the row does not know yet
        self._left = {name: group.unsaved() for name, group in self._groups.items()}  #: by the last change
        self._turn = anyio.Lock()
        self._looked = float("-inf")
        self._used = False  #: since the last look
        self._urgent = anyio.Event()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        failed: ReelmillError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self.run)
            try:
                yield
            except ReelmillError as error:  # raised below: a task group would hide it in a group of errors
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def run(self) -> None:
        """Tell others what has happened, and look what they tell; for ever."""
        while True:
            with anyio.move_on_after(_FRESH):
                await self._urgent.wait()
            self._urgent = anyio.Event()
            if self._events or self._used:
                with suppress(ReelmillError):  # the calls meet it, and so does the pool
                    await self._look()

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> float:
        if not self._started:
            await self.start()
        amounts = {"requests": 1.0, "minutes": minutes, "tokens": tokens}
        patience, self._used = SHORT, True
        while True:
            asked = _AskedCall(group, amounts)
            wait = self._groups[group].wait(amounts, self._clock.now())
            stale = self._clock.monotonic() - self._looked > _FRESH
            if not self._groups[group].limited and wait <= 0:
                asked.at = self._clock.now()
                self._note(group, partial(Group.take, amounts=amounts, now=asked.at))
                wait = 0.0
            elif wait <= patience or stale:
                wait = await self._ask(asked)
            if wait <= 0:
                self._large[group] = 0
                return asked.at
            if wait > patience:
                raise self._refusal(group, amounts, wait)
            patience -= wait
            await self._clock.sleep(wait)

    def answered(
        self, group: str, admitted: float, *, minutes: float = 0.0, tokens: float = 0.0, accepted: bool | None = True
    ) -> None:
        amounts = {"requests": 1.0, "minutes": minutes, "tokens": tokens}
        now = self._clock.now()
        self._note(group, partial(Group.answered, amounts=amounts, taken=admitted, now=now, accepted=accepted))

    def learn(self, group: str, *, wait: float | None = None, notes: Sequence[QuotaNote] = ()) -> None:
        if wait is None and not notes:
            return
        self._note(group, partial(learn_from, group=group, now=self._clock.now(), wait=wait, notes=notes))
        if wait is not None:
            self._urgent.set()

    async def aclose(self) -> None:
        if self._events:
            await self._look()

    def _note(self, group: str, event: _GroupEvent) -> None:
        event(self._groups[group])
        self._events.append((group, event))

    async def _ask(self, asked: _AskedCall) -> float:
        """Have a call counted; return 0, or the seconds until there is room."""
        self._asked.append(asked)
        try:
            while asked.wait is None and asked.error is None:
                if asked not in self._asked:
                    self._asked.append(asked)  # the look was broken off
                await self._look(asked)
            await anyio.lowlevel.checkpoint_if_cancelled()  # the change itself is not broken off
        except BaseException:
            if asked in self._asked:
                self._asked.remove(asked)
            elif asked.wait == 0.0:  # the call will never be made
                self.answered(asked.group, asked.at, accepted=False, **_needs(asked.amounts))
            raise
        if asked.error is not None:
            raise asked.error
        return asked.wait or 0.0

    async def _look(self, asked: _AskedCall | None = None) -> None:
        """Change the row for all who wait; not again for this one."""
        async with self._turn:
            if asked is not None and (asked.wait is not None or asked.error is not None):
                return
            await self._clock.sleep(max(0.0, self._looked + _APART - self._clock.monotonic()))
            with anyio.CancelScope(shield=True):
                await self._change()

    async def _change(self) -> None:
        calls, self._asked = self._asked, []
        events, self._events = self._events, []
        self._used, self._looked = bool(calls), self._clock.monotonic()
        try:
            groups, waits, at = await self._journal.change(NAME, partial(self._decide, calls, events))
        except ReelmillError as error:
            self._events = [*events, *self._events]
            for call in calls:
                call.error = type(error).from_trouble(error.trouble)
            if not calls:
                raise
            return
        self._left, self._groups = {name: group.unsaved() for name, group in groups.items()}, groups
        for name, event in self._events:  # meanwhile
            event(self._groups[name])
        for call, wait in zip(calls, waits, strict=True):
            call.wait, call.at = wait, at

    def _decide(
        self, calls: Sequence[_AskedCall], events: Sequence[tuple[str, _GroupEvent]], kept: Json
    ) -> tuple[Json | None, tuple[dict[str, Group], list[float], float]]:
        """Bring the row up to date; let in whom it has room for."""
        now, groups = self._clock.now(), self._empty()
        for name, group in groups.items():
            group.follow(self._left[name])
            if isinstance(kept, dict) and isinstance(kept.get(name), dict):
                group.load(kept[name], now)
                group.wall.trial_until(kept[name].get("trial"))
        for name, event in events:
            event(groups[name])
        waits = []
        for call in calls:
            waits.append(groups[call.group].wait(call.amounts, now))
            if waits[-1] <= 0:
                groups[call.group].take(call.amounts, now)
        changed = bool(events) or any(wait <= 0 for wait in waits)
        row = {name: {**group.dump(), "trial": group.wall.trial} for name, group in groups.items()}
        return (row if changed else None), (groups, [max(0.0, wait) for wait in waits], now)

    def _empty(self) -> dict[str, Group]:
        return {name: Group(getattr(self._limits, name), counted=name != "read") for name in GROUPS}


def _needs(amounts: Amounts) -> dict[str, float]:
    return {kind: amounts[kind] for kind in ("minutes", "tokens")}
