"""The live display: seen while the run goes, gone after it, and never in its way."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from pipeline.core.errors import NeedsOperator
from pipeline.present import live
from pipeline.views import LaneView, Snapshot


class Ticks:
    """A clock whose sleeps end when the test says so, counting the pictures in between."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.asleep = asyncio.Event()
        self.go = asyncio.Event()

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await self.go.wait()
        self.go.clear()

    async def picture(self) -> None:
        """Let one picture be painted; return when the painter sleeps again."""
        self.asleep.clear()
        self.go.set()
        await self.asleep.wait()


class BrokenTerminal(io.StringIO):
    """A terminal that is gone after some writes, as after a lost connection."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super().write(text)


class Progress:
    """A run whose number of finished items the test sets."""

    done = 0

    def __call__(self) -> Snapshot:
        return Snapshot(1.0, 10, self.done, 0, False, [LaneView("fetch", 1, 2, 4, 3, 1.0)], 0.0, 0.0, None)


def _console(file: io.StringIO) -> Console:
    return Console(file=file, force_terminal=True, width=80, color_system=None, _environ={"TERM": "xterm"})


@pytest.mark.asyncio
async def test_it_repaints_four_times_a_second_and_leaves_no_trace() -> None:
    """Each picture shows the snapshot of its moment; at the end the display is erased and the cursor is back."""
    clock, file, progress = Ticks(), io.StringIO(), Progress()
    async with live.watch(clock, _console(file))(progress):
        await clock.asleep.wait()
        progress.done = 7
        await clock.picture()
    assert "0 of 10 items" in file.getvalue()
    assert "7 of 10 items" in file.getvalue()
    assert set(clock.slept) == {0.25}
    assert file.getvalue().endswith("\x1b[2K")
    assert "\x1b[?25h" in file.getvalue()


@pytest.mark.asyncio
async def test_what_the_run_raises_passes_through_unchanged() -> None:
    """No exception group is put around it, so that the exit code stays right."""
    with pytest.raises(NeedsOperator, match="refused"):
        async with live.watch(Ticks(), _console(io.StringIO()))(Progress()):
            raise NeedsOperator("key refused")


@pytest.mark.asyncio
@pytest.mark.parametrize("after", range(0, 12, 3))
async def test_a_terminal_that_goes_away_ends_the_display_only(after: int) -> None:
    """A closed window must not end a run of a hundred thousand videos."""
    reached = False
    async with live.watch(Ticks(), _console(BrokenTerminal(after)))(Progress()):
        for _ in range(5):
            await asyncio.sleep(0)
        reached = True
    assert reached


@pytest.mark.asyncio
async def test_a_bug_in_the_display_is_logged_and_ends_the_display_only(capsys: pytest.CaptureFixture[str]) -> None:
    """A snapshot that cannot be made is reported with its traceback; the run never hears of it."""
    from pipeline.core import log

    def bad() -> Snapshot:
        raise ZeroDivisionError("rate")

    log.setup("info", "json", [])
    async with live.watch(Ticks(), _console(io.StringIO()))(bad):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_no_display_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, pipes, cron and dumb terminals get log lines instead."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not live.wanted()
    monkeypatch.setattr("sys.stderr", None)
    assert not live.wanted()
    monkeypatch.setattr("sys.stderr", Tty())
    monkeypatch.setenv("TERM", "dumb")
    assert not live.wanted()
    monkeypatch.setenv("TERM", "xterm-256color")
    assert live.wanted()
