"""Blocking work in a thread that nobody has to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.from_thread
import anyio.lowlevel

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def run_beside(work: Callable[[Unpack[Args]], T], *args: *Args) -> T:
    """Return what the work returns, or raise what it raises.

    A cancelled caller leaves the thread behind, and so does the end of the process: the event loop's own threads would be
    joined there, whatever time limit is set.
    """
    done, token = anyio.Event(), anyio.lowlevel.current_token()
    results: list[T] = []
    errors: list[Exception] = []

    def body() -> None:
        try:
            results.append(work(*args))
        except Exception as error:  # noqa: BLE001 - raised in the caller
            errors.append(error)
        with suppress(RuntimeError):  # the event loop is gone: nobody asks any more
            anyio.from_thread.run_sync(done.set, token=token)

    threading.Thread(target=body, name="beside", daemon=True).start()
    await done.wait()
    if errors:
        raise errors[0]
    return results[0]
