"""The display of a run: a live picture, or a line a minute."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Final, Literal, cast

from rich.console import Console
from rich.live import Live

from pipeline.core import log
from pipeline.core.clock import Clock, SystemClock
from pipeline.present.progress import STOPPING, board, line, pause
from pipeline.present.terminal import Plain, is_terminal, tell
from pipeline.views import Snapshot, Watch

#: Seconds between two pictures.
REFRESH: Final = 0.25


#: Seconds between two lines, and between two looks for what must be told at once.
LINE_EVERY: Final = 60.0
_LOOK: Final = 1.0


def wanted(progress: Literal["auto", "plain", "none"]) -> Literal["picture", "lines", "nothing"]:
    """Return how progress is shown here; ``auto`` looks at the terminal.

    It is a picture where the cursor can move, lines on other terminals.
    """
    if progress == "plain":
        return "lines"
    if progress == "none" or not is_terminal():
        return "nothing"
    return "lines" if os.environ.get("TERM", "") in ("", "dumb") else "picture"


def choose(progress: Literal["auto", "plain", "none"]) -> Watch | None:
    """Return the display that is wanted here, if any."""
    how = wanted(progress)
    return None if how == "nothing" else watch() if how == "picture" else watch_lines()


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


def watch_lines(clock: Clock | None = None, say: Callable[[str], None] = tell) -> Watch:
    """Return a context that writes lines: for screen readers and files.

    One a minute, and at once for pauses and a stop.
    """
    clock = clock or SystemClock()

    @asynccontextmanager
    async def shown(snapshot: Callable[[], Snapshot]) -> AsyncIterator[None]:
        speaker = asyncio.create_task(_speak(snapshot, clock, say))
        try:
            yield
        finally:
            speaker.cancel()
            await asyncio.wait([speaker])
            if not speaker.cancelled() and (bug := speaker.exception()) is not None:
                log.get("live").warning("display ended", exc_info=bug)

    return shown


async def _speak(snapshot: Callable[[], Snapshot], clock: Clock, say: Callable[[str], None]) -> None:
    told, next_line = set[str](), clock.monotonic() + LINE_EVERY
    while True:
        await clock.sleep(_LOOK)
        now = snapshot()
        for news in [*map(pause, now.parked), *([STOPPING] if now.stopping else [])]:
            if news not in told:
                told.add(news)
                say(news)
        if clock.monotonic() >= next_line:
            next_line += LINE_EVERY
            say(line(now))


async def _paint(display: Live, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; the run is not
        display.start()
        while True:
            display.update(board(snapshot()), refresh=True)
            await clock.sleep(REFRESH)
