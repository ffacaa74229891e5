"""Brisk time for asyncio: every wait of the loop takes a fraction of it, sockets and threads work as ever.

``tests.support.clock`` jumps over waits and cannot serve real connections; here time only runs faster, so that a run over real
HTTP and a real database does not wait for polls and backoffs. Timeouts shrink with it: leave them long.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from pipeline.core.clock import SystemClock

T = TypeVar("T")

SPEED = 15.0  #: seconds on the loop per real second


class _HurriedSelector(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / SPEED if timeout is not None and timeout > 0 else timeout)


class BriskLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock runs fast."""

    def __init__(self) -> None:
        super().__init__(_HurriedSelector())

    def time(self) -> float:
        return time.monotonic() * SPEED


class BriskClock:
    """The Clock port over such a loop: wall time starts at the real one."""

    def __init__(self) -> None:
        self._start = SystemClock().now()
        self._zero = time.monotonic()

    def now(self) -> float:
        return self._start + (time.monotonic() - self._zero) * SPEED

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_brisk(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a brisk loop."""
    with asyncio.Runner(loop_factory=BriskLoop) as runner:
        return runner.run(work)
