"""SIGINT and SIGTERM, from a command's first line to its last.

In an event loop they are obeyed by whoever is at work and never raised: an exception in the middle of the loop loses what
threads answer, and waits for them for ever. asyncio's own handlers leave the defaults behind when they go: that exception,
and death by SIGTERM. So here each who listens gives the signals back to whoever listened before.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
_BOTH = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def obeying(obey: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Call ``obey`` in this event loop for each signal.

    Outside of the main thread it never is: there the signals are the main thread's.
    """
    loop = asyncio.get_running_loop()
    with _handled(lambda number, _: loop.call_soon_threadsafe(obey, signal.Signals(number))):
        yield


@contextmanager
def raising() -> Iterator[None]:
    """Raise KeyboardInterrupt at once, in a call that blocks."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


def run_interruptible(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do the work in an event loop of its own; a signal cancels it.

    What comes before the loop is ready is kept until it is; what comes after the work is done changes nothing.

    Raises:
        KeyboardInterrupt: it was cancelled, and has cleaned up.
    """
    early: list[int] = []
    results: list[T] = []

    gc.set_threshold(20_000, 20, 20)
    gc.freeze()  # what was imported stays; looking through it once costs as much as loading a library
    gc.enable()

    async def body() -> None:
        with anyio.CancelScope() as scope, obeying(lambda _: scope.cancel()):
            if early:
                scope.cancel()
            results.append(await work())

    with _handled(lambda number, _: early.append(number)):
        anyio.run(body)
    if not results:
        raise KeyboardInterrupt
    return results[0]


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _BOTH}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)  # None: one that Python did not set
