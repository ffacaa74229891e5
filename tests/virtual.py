"""Virtual time for asyncio: hours pass in milliseconds, and always the same way.

``VirtualLoop`` never waits for a timer: when nothing else can run, its clock jumps to the next one. Work on sockets needs
real time, so tests that use them run on the ordinary loop; a short look into a worker thread is waited for.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

EPOCH = 1_800_000_000.0
_REAL_GRACE = 0.0003  #: real seconds that a worker thread (a stat, a line of a manifest) gets before time jumps
_REAL_LIMIT = 10.0


class _JumpingSelector(selectors.DefaultSelector):
    """Answers at once; asked to wait, it moves the loop's clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # no timer at all: only a thread can go on
            ready = super().select(_REAL_LIMIT)
            if not ready:
                raise RuntimeError("virtual time: every task waits for something that will never come")
            return ready
        ready = super().select(_REAL_GRACE if timeout > 0 else 0)
        if not ready and timeout > 0:
            self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a number."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual += seconds


class VirtualClock:
    """The Clock port over the loop's time."""

    def __init__(self) -> None:
        self.skew = 0.0  #: added to wall time only, for clock jumps

    def now(self) -> float:
        return EPOCH + self.skew + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
