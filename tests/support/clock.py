"""Virtual time for asyncio: hours pass in milliseconds, and always the same way.

``VirtualLoop`` never waits for a timer: when nothing else can run, its clock jumps to the next one. What would go to a
worker thread (a stat, a line of a manifest) runs in place, so that a busy machine cannot change the order of events. Work
on sockets needs real time, so tests that use them run on the ordinary loop.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

EPOCH = 1_800_000_000.0

_THREAD_TURNS = 4  #: turns of the loop that a worker thread takes: there, at work, back, and its waiter's own


def _nothing() -> None:
    """Let the turn pass."""


class _JumpingSelector(selectors.DefaultSelector):
    """Answers at once; asked to wait, it moves the loop's clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.pulse()
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("virtual time: every task waits for something that will never come")
        if not ready and timeout is not None and timeout > 0:
            self.loop.jump(timeout)
        return ready


class Held:
    """Some of a loop's callbacks, which stand still while the others go on: a process that is frozen."""

    def __init__(self, loop: VirtualLoop, belongs: Callable[[Context], bool]) -> None:
        self._loop, self._belongs = loop, belongs
        self._ready = [each for each in loop._ready if belongs(each._context)]
        self._timers = [each for each in loop._scheduled if belongs(each._context)]
        loop._put(
            [each for each in loop._ready if each not in self._ready],
            [each for each in loop._scheduled if each not in self._timers],
        )
        for timer in self._timers:
            timer._scheduled = False

    def takes(self, handle: asyncio.Handle) -> bool:
        """Take in a callback that becomes ready, if it is one of these."""
        mine = self._belongs(handle._context)  # type: ignore[attr-defined]
        self._ready += [handle] if mine else []
        return mine

    def let_go(self, later: float = 0.0) -> None:
        """Let them go on; ``later``: seconds by which their timers have stood still, too."""
        if self not in self._loop.held:
            return
        self._loop.held.remove(self)
        timers = [each for each in self._timers if not each.cancelled()]
        for timer in timers:
            timer._when += later
            timer._scheduled = True
        self._loop._put([*self._loop._ready, *self._ready], [*self._loop._scheduled, *timers])


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a number."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual = 0.0
        self.pulse: Callable[[], None] = (
            _nothing  #: called once a turn, before anything else: for accidents of all sorts
        )
        self.held: list[Held] = []
        super().__init__(selector)

    def hold(self, belongs: Callable[[Context], bool]) -> Held:
        """Let all callbacks stand still whose context is such; only from ``pulse``."""
        held = Held(self, belongs)
        self.held.append(held)
        return held

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        handle = super().call_soon(*args, **kwargs)
        if self.held and any(held.takes(handle) for held in self.held):
            self._ready.pop()
        return handle

    def _put(self, ready: list[Any], timers: list[Any]) -> None:
        self._ready.clear()
        self._ready.extend(ready)
        self._scheduled[:] = timers
        heapq.heapify(self._scheduled)

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual += seconds


class VirtualClock:
    """The Clock port over the loop's time. It runs on from one loop to the next, as a machine's clock between two runs."""

    def __init__(self) -> None:
        self.skew = 0.0  #: added to wall time only, for clock jumps, and for a sleep that no clock but this one saw
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before = self._read = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """A picture holds no loop: whoever goes on from there is a process whose monotonic time begins at zero."""
        return {"skew": self.skew, "_loop": None, "_before": 0.0, "_read": 0.0}

    def now(self) -> float:
        return EPOCH + self.skew + self.monotonic()

    def monotonic(self) -> float:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._before = loop, self._read
        self._read = self._before + loop.time()
        return self._read

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


async def _in_place(work: Callable[..., T], *args: Any, **_options: Any) -> T:
    with anyio.CancelScope(shield=True):
        for _ in range(_THREAD_TURNS):
            await anyio.lowlevel.checkpoint()
    return work(*args)


@contextmanager
def _no_threads() -> Iterator[None]:
    there, asked = anyio.to_thread.run_sync, anyio.from_thread.check_cancelled
    anyio.to_thread.run_sync = _in_place  # type: ignore[assignment]
    anyio.from_thread.check_cancelled = _not_cancelled
    try:
        yield
    finally:
        anyio.to_thread.run_sync, anyio.from_thread.check_cancelled = there, asked


def _not_cancelled() -> None:
    """What runs in place cannot be cancelled while it runs."""


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with _no_threads(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
