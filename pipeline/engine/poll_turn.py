"""Whose turn it is to poll: of several hosts, one asks for all.

To list what is at work costs as many requests for one host as for ten, so that ten who ask cost ten times as many.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import anyio

from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.engine.turns import end_turn, take_turn
from pipeline.ports.store import Journal

LASTS = 15.0  #: seconds for which others leave it to a host that may be dead
_RENEWED = 5.0  #: seconds between two looks whether it is ours
_WHAT = "polls"


class PollTurn:
    """This host's turn.

    ``host``: its name; empty where there is no other, and it is always ours.
    """

    def __init__(self, journal: Journal, clock: Clock, host: str) -> None:
        self._journal = journal
        self._clock = clock
        self._host = host
        self._until = float("-inf")  #: monotonic seconds
        self._over = False

    @property
    def ours(self) -> bool:
        """True while this host polls."""
        return not self._host or self._clock.monotonic() < self._until

    async def run(self, wake: Callable[[], None], wanted: Callable[[], bool]) -> None:
        """Take the turn when it is free, and keep it; for ever.

        ``wake`` is called once it is ours. ``wanted``: False once this host takes nothing on.
        """
        while self._host and not self._over:
            if not wanted():
                await self.end()
                return
            before, asked = self.ours, self._clock.monotonic()
            with suppress(ReelmillError):  # a database that is away is met, and told, by the pool
                if await take_turn(self._journal, _WHAT, self._host, self._clock.now(), LASTS):
                    self._until = asked + LASTS
            if self.ours and not before:
                wake()
            await self._clock.sleep(_RENEWED)

    async def end(self) -> None:
        """Leave it to others."""
        ours, self._over, self._until = self.ours, True, float("-inf")
        if ours and self._host:
            with anyio.CancelScope(shield=True), suppress(ReelmillError):
                await end_turn(self._journal, _WHAT, self._host)
