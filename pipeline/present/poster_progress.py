"""How far the posters are: a bar, or a line a minute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline.core.clock import Clock, SystemClock
from pipeline.present.live import LINE_EVERY, wanted
from pipeline.present.terminal import Plain, tell


@contextmanager
def poster_progress(clock: Clock | None = None) -> Iterator[Callable[[int, int], None]]:
    """Yield what is told (done, all); what is quick shows nothing."""
    if wanted("auto") != "picture":
        yield _lines(clock or SystemClock())
        return
    console = Console(file=cast("IO[str]", Plain(sys.stderr)), highlight=False, markup=False, emoji=False)
    columns = (TextColumn("posters"), BarColumn(), MofNCompleteColumn(), TextColumn("videos"))
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("posters", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(clock: Clock) -> Callable[[int, int], None]:
    next_line = clock.monotonic() + LINE_EVERY

    def told(done: int, total: int) -> None:
        nonlocal next_line
        if clock.monotonic() >= next_line:
            next_line = clock.monotonic() + LINE_EVERY
            tell(f"posters: {done:,} of {total:,} videos")

    return told
