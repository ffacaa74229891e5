"""The live display: seen while the run goes, gone after it, and never in its way."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.core.errors import NeedsOperator
from pipeline.core.model import Parked, Trouble
from pipeline.present import live
from pipeline.present.progress import pause
from pipeline.views import LaneView, Snapshot, WorkView


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
    """Files, pipes and cron get log lines instead, unless lines for people are asked for."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert [live.wanted("auto"), live.wanted("none"), live.wanted("plain")] == ["nothing", "nothing", "lines"]
    monkeypatch.setattr("sys.stderr", None)
    assert live.wanted("auto") == "nothing"


def test_a_terminal_gets_a_picture_or_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture where the cursor can move; lines on a dumb terminal and for a screen reader; nothing if so wished."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Tty())
    monkeypatch.setenv("TERM", "dumb")
    assert [live.wanted("auto"), live.wanted("none")] == ["lines", "nothing"]
    monkeypatch.setenv("TERM", "xterm-256color")
    assert [live.wanted("auto"), live.wanted("plain"), live.wanted("none")] == ["picture", "lines", "nothing"]


class Seconds:
    """A clock that is slept away, and ends the test's patience after a while."""

    def __init__(self, until: float) -> None:
        self.at, self.until, self.over = 0.0, until, asyncio.Event()

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        if self.at > self.until:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_lines_come_once_a_minute_and_news_at_once() -> None:
    """Whole sentences without control characters: how far it is, who is worked on; a pause and a stop when they happen."""
    clock, said = Seconds(200.0), list[tuple[float, str]]()
    paused = Parked("download", 1_763_780_400.0, Trouble("network", "No name can be looked up."))

    def snapshot() -> Snapshot:
        work = [WorkView("uploading", "/srv/films/a.mp4", 5_000_000, 10_000_000, 1e6), WorkView("reading", "b.mp4")]
        parked = [paused] if clock.at >= 30 else []
        return Snapshot(clock.at, 10, 3, 1, False, [], 0.5, 2.0, None, work, parked, stopping=clock.at >= 90)

    async with live.watch_lines(clock, lambda text: said.append((clock.at, text)))(snapshot):
        await clock.over.wait()
    assert [at for at, _ in said] == [30, 60, 90, 120, 180]
    assert said[0][1] == "YouTube waits until 2025-11-22T03:00:00Z: No name can be looked up."
    assert said[1][1] == ("4 of 10 items · 1 failed · after 1 min 00 s · uploading a.mp4 · reading b.mp4 · $0.50 spent")
    assert said[2][1].startswith("stopping")


def test_a_pause_names_its_end_once() -> None:
    """Reasons of YouTube's own pauses say until when; then nothing is said twice."""
    why = Trouble("dns", "The network is down. YouTube is left alone until 2025-11-22T03:00:00Z.")
    assert pause(Parked("download", 1_763_780_400.0, why)) == why.message


@pytest.mark.asyncio
async def test_lines_never_disturb_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug in a snapshot ends the lines and is logged; what the run raises passes through."""
    from pipeline.core import log

    def bad() -> Snapshot:
        raise ZeroDivisionError("rate")

    async def run() -> None:
        async with live.watch_lines(Seconds(100.0))(bad):
            for _ in range(3):
                await asyncio.sleep(0)
            raise NeedsOperator("key refused")

    log.setup("info", "json", [])
    with pytest.raises(NeedsOperator):
        await run()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_log_keeps_out_of_the_way_of_a_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines go into a private file, made with the first; a large one is put aside; a folder that is none does no harm."""
    from pipeline.core import log
    from pipeline.present import terminal

    path = tmp_path / "state" / "run.log"
    terminal.log_to_file(path, "info", ["tlk_secret"])
    assert not path.exists()
    log.get("run").info("item.done", title="tlk_secret")
    terminal.tell_log()
    assert json.loads(path.read_text())["title"] == "***"
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"x" * 10_000_001)
    terminal.log_to_file(path, "info", [])
    log.get("run").info("begun")
    assert (path.with_suffix(".log.1").stat().st_size, json.loads(path.read_text())["event"]) == (10_000_001, "begun")
    terminal.log_to_file(path / "below-a-file" / "run.log", "info", [])
    log.get("run").info("lost")
    assert capfd.readouterr() == ("", f"  log: {path}\n")
    terminal.log_to_stderr("info", "auto", [])
