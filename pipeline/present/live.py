"""The live display of a run on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Final, cast

from rich.console import Console
from rich.live import Live

from pipeline.core import log
from pipeline.core.clock import Clock, SystemClock
from pipeline.present.progress import board
from pipeline.present.terminal import Plain
from pipeline.views import Snapshot, Watch

#: Seconds between two pictures.
REFRESH: Final = 0.25


def wanted() -> bool:
    """Return True if stderr is a terminal that can move its cursor."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def watch(clock: Clock | None = None, console: Console | None = None) -> Watch:
    """Return a context that shows the snapshot on the screen, as ``app.run`` takes it.

    The display never disturbs the run: exceptions pass through it unchanged, and a terminal that goes away only ends
    the display.
    """
    clock = clock or SystemClock()
    console = console or Console(file=cast("IO[str]", Plain(sys.stderr)), highlight=False, markup=False, emoji=False)

    @asynccontextmanager
    async def shown(snapshot: Callable[[], Snapshot]) -> AsyncIterator[None]:
        display = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        painter = asyncio.create_task(_paint(display, snapshot, clock))
        try:
            yield
        finally:
            painter.cancel()
            await asyncio.wait([painter])
            with contextlib.suppress(OSError):
                display.stop()
            if not painter.cancelled() and (bug := painter.exception()) is not None:
                log.get("live").warning("display ended", exc_info=bug)

    return shown


async def _paint(display: Live, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; the run is not
        display.start()
        while True:
            display.update(board(snapshot()), refresh=True)
            await clock.sleep(REFRESH)
