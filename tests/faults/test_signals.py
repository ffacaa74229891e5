"""Signals from outside, as people, service managers and laptops send them; and a platform that goes away and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import PATIENCE, Ended, Platform, Running, Terminal, customer, environment, pause, serving, until
from tests.support.listener import Listener
from tests.support.media import clips

VIDEOS = 6
SLOW_ANSWERS = {"match": "POST /v1.3/analyze/tasks$", "do": "latency", "seconds": 600.0}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform in a process of its own."""
    with serving(tmp_path / "there") as served:
        yield served


@pytest.fixture
def films(tmp_path: Path) -> str:
    """A folder of clips."""
    clips(tmp_path / "films", VIDEOS)
    return str(tmp_path / "films")


def accepted(platform: Platform, effect: str) -> int:
    """Count the calls of an effect that the platform has accepted."""
    return sum(entry["effect"] == effect for entry in platform.entries())


def wait_for(platform: Platform, effect: str, count: int) -> None:
    """Wait until the platform has accepted so many calls of an effect."""
    until(lambda: accepted(platform, effect) >= count, f"{count} times {effect}")


def wait_for_calls(platform: Platform, route: str, count: int) -> None:
    """Wait until so many calls have come to a route, whatever becomes of them."""
    until(lambda: platform.requests().get(f"POST {route}", 0) >= count, f"{count} calls of {route}")


def check_resumed(terminal: Terminal, films: str, platform: Platform) -> Ended:
    """The same line again finishes everything, and each video was uploaded and asked about once."""
    platform.spoil()
    last = terminal.run("run", films, "--json")
    assert last.code == 0, last.err
    assert last.json["items"]["done"] == VIDEOS
    assert platform.twice() == []
    assert accepted(platform, "asset_created") == accepted(platform, "analyze_task_created") == VIDEOS
    assert len(list((terminal.folder / "out").glob("*/video.json"))) == VIDEOS
    return last


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_gently(tmp_path: Path, platform: Platform, films: str, number: signal.Signals) -> None:
    """Ctrl-C or a service manager's stop: exit 130, the report is printed, and the same command goes on from there."""
    terminal = customer(tmp_path / "here", platform)
    running = terminal.start("run", films, "--json")
    wait_for(platform, "analyze_task_created", 2)
    running.signal(number)
    ended = running.wait(30)
    assert ended.code == 130, ended.err
    assert ended.json["exit_code"] == 130
    assert ended.json["note"] == "Interrupted; the same command goes on from here."
    assert [event["signal"] for event in ended.events if event["event"] == "run.stopping"] == [number.name]
    status = terminal.run("status", "--json").json
    assert (status["running"], status["items"]["failed"], status["items"]["held"]) == ("", 0, 0)
    assert "running" not in {state for by in status["tasks"].values() for state in by}
    check_resumed(terminal, films, platform)


def hanging(terminal: Terminal, platform: Platform, films: str) -> Running:
    """Start a run and wait until it waits for an answer that will not come."""
    platform.spoil(SLOW_ANSWERS)
    running = terminal.start("run", films)
    wait_for_calls(platform, "/v1.3/analyze/tasks", 2)
    return running


@pytest.mark.slow
def test_a_second_signal_stops_now(tmp_path: Path, platform: Platform, films: str) -> None:
    """Requests that hang are waited for after the first Ctrl-C and dropped at the second: seconds, not the whole grace."""
    terminal = customer(tmp_path / "here", platform)
    running = hanging(terminal, platform, films)
    running.signal(signal.SIGINT)
    until(lambda: "run.stopping" in running.said(), "the first signal to be heard")
    pause(0.5)
    assert running.alive
    began = time.monotonic()
    running.signal(signal.SIGINT)
    ended = running.wait(10)
    assert time.monotonic() - began < 5  # two on a quiet machine; the grace is twenty
    assert ended.code == 130, ended.err
    assert ended.told == []
    check_resumed(terminal, films, platform)


@pytest.mark.slow
def test_the_grace_ends_by_itself(tmp_path: Path, platform: Platform, films: str) -> None:
    """What is not finished within ``stop_grace`` seconds of one signal is given back."""
    terminal = customer(tmp_path / "here", platform, run={"stop_grace": 1.0})
    running = hanging(terminal, platform, films)
    began = time.monotonic()
    running.signal(signal.SIGTERM)
    assert running.wait(10).code == 130
    assert 1.0 <= time.monotonic() - began < 10
    check_resumed(terminal, films, platform)


@pytest.mark.slow
def test_a_run_ends_when_its_time_is_up(tmp_path: Path, platform: Platform, films: str) -> None:
    """``--max-time``: the grace for what is short, then exit 6 with a report, and the same command goes on from there."""
    platform.spoil(SLOW_ANSWERS)
    terminal = customer(tmp_path / "here", platform, run={"stop_grace": 1.0})
    began = time.monotonic()
    ended = terminal.run("run", films, "--max-time", "4s", "--json")
    assert 4.0 <= time.monotonic() - began < 20
    assert ended.code == 6, ended.err
    assert (ended.json["time_up"], ended.json["resume_at"]) == (True, None)
    assert ended.json["note"] == f"The time of this run is up (4s); {VIDEOS} items wait; the same command goes on."
    assert [event["event"] for event in ended.events if event["event"] == "run.time_up"] == ["run.time_up"]
    assert (terminal.folder / "out" / "index.html").is_file()
    assert terminal.run("status", "--json").json["stopped"] is None
    check_resumed(terminal, films, platform)


def test_a_list_that_does_not_end_holds_up_no_end(tmp_path: Path) -> None:
    """``tail -f list | reelmill run -``: one signal ends the run with 130, whatever is still to come down the pipe."""
    terminal = Terminal(tmp_path / "here")
    reading, writing = os.pipe()
    running = terminal.start("run", "-", stdin=reading)
    os.close(reading)
    try:
        os.write(writing, b"nothing.mp4\n" * 300)
        until(lambda: running.said().count("line.unusable") >= 256, "the first lines to be read")
        pause(0.3)  # until it waits for the others
        running.signal(signal.SIGTERM)
        ended = running.wait(10)
        assert ended.code == 130, ended.err
        assert ended.told == []
    finally:
        os.close(writing)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["at an upload", "at an analysis"])
def test_a_laptop_that_sleeps_pays_nothing_twice(tmp_path: Path, platform: Platform, films: str, moment: str) -> None:
    """Frozen for longer than its leases in the middle of paid calls, the run wakes, asks, and goes on."""
    route = "/v1.3/assets" if moment == "at an upload" else "/v1.3/analyze/tasks"
    platform.spoil({"match": f"POST {route}$", "do": "latency", "seconds": 0.7})
    terminal = customer(tmp_path / "here", platform, policy={"lease": 1.0})
    running = terminal.start("run", films)
    for round_ in (1, 2, 3):
        wait_for_calls(platform, route, 2 * round_)
        running.signal(signal.SIGSTOP)
        pause(1.6)
        running.signal(signal.SIGCONT)
    ended = running.wait()
    assert ended.code == 0, ended.err
    check_resumed(terminal, films, platform)


@pytest.mark.slow
def test_the_second_run_says_who_holds_the_folder(tmp_path: Path, platform: Platform, films: str) -> None:
    """Exit 75 at once, naming process and time, with what to do; commands that write are refused too, status is not."""
    terminal = customer(tmp_path / "here", platform)
    first = hanging(terminal, platform, films)
    for words in (["run", films], ["cancel", "--all"], ["retry", "--failed"]):
        second = terminal.run(*words)
        assert (second.code, second.out) == (75, "")
        assert f"process {first.pid} on " in second.told[0]
        assert "--state" in second.told[1]
        assert len(second.told) == 2
    status = terminal.run("status", "--json")
    assert status.code == 0
    assert f"process {first.pid} " in status.json["running"]
    assert terminal.run("show", f"{films}/clip-00.mp4", "--json").json["state"] == "working"
    assert terminal.run("status", "--state", "another").code == 2  # a folder of its own is nobody's
    first.kill()
    assert terminal.run("status", "--json").json["running"] == ""
    check_resumed(terminal, films, platform)


@pytest.mark.slow
def test_two_runs_started_together(tmp_path: Path, platform: Platform, films: str) -> None:
    """Whoever is first works; the others exit 75, none crashes, and the work is done once."""
    terminal = customer(tmp_path / "here", platform)
    together = [terminal.start("run", films) for _ in range(3)]
    codes = sorted(running.wait().code for running in together)
    assert codes[0] == 0
    assert set(codes) <= {0, 75}
    assert codes.count(75) >= 1
    check_resumed(terminal, films, platform)


@pytest.mark.slow
def test_a_platform_that_dies_under_a_run_and_comes_back(tmp_path: Path, platform: Platform, films: str) -> None:
    """The run waits it out: it ends with exit 0 and every effect once, although answers were lost in the middle."""
    terminal = customer(tmp_path / "here", platform, policy={"retry_first": 0.2, "retry_most": 1.0, "attempts": 500})
    running = terminal.start("run", films)
    for count in (1, 3, 5):
        wait_for(platform, "asset_created", count)
        platform.kill()
        pause(0.3)
        platform.start()
    ended = running.wait(90)
    assert ended.code == 0, ended.err
    check_resumed(terminal, films, platform)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_hail_of_signals_at_the_end_hangs_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """From ``run.ended`` to the end of the process: it ends, by itself, with the run's code or 130, and leaves no lock."""
    here = Terminal(tmp_path / "here", config={"provider": {"kind": "local"}, "gallery": {"posters": False}})
    clips(here.folder / "films", 1)
    assert here.run("run", "films").code == 0
    for round_ in range(5):
        running = here.start("run", "films")
        until(lambda running=running: "run.ended" in running.said(), "the run to end")
        pause(0.004 * round_)
        while running.alive:
            running.signal(number)
            pause(0.001)
        ended = running.wait()
        assert ended.code in {0, 130}, (ended.code, ended.err)
        assert "Traceback" not in ended.err
    assert here.run("status", "--json").json["running"] == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_telling_and_not_the_outcome(tmp_path: Path, number: signal.Signals) -> None:
    """Work done, somebody slow is told: a signal leaves him untold, and the run has its code, report and free folder."""
    slow = [sys.executable, "-c", "import time; print(1); time.sleep(600)"]
    with Listener(then="never") as listener:
        watch = {"post_json": listener.address, "timeout": 60.0, "on_end": slow, "on_end_timeout": 600.0}
        here = Terminal(tmp_path / "here", config={"provider": {"kind": "local"}, "watch": watch})
        clips(here.folder / "films", 1)
        running = here.start("run", "films", "--json")
        until(lambda: bool(listener.told) or not running.alive, "the hook to be told")
        running.signal(number)
        until(lambda: "cut_short" in running.said() or not running.alive, "the hook to be left")
        pause(0.5)
        while running.alive:
            running.signal(number)
            pause(0.2)
    ended = running.wait(PATIENCE)
    assert ended.code == 0, ended.err
    assert ended.json["exit_code"] == 0
    assert [event["event"] for event in ended.events if event["event"].startswith("watch.")] == ["watch.cut_short"] * 2
    assert here.run("status", "--json").json["running"] == ""


def test_a_signal_while_the_program_still_loads_is_an_interruption(tmp_path: Path) -> None:
    """SIGTERM before a run listens itself: exit 130 as ever, never death by the signal; nothing has begun."""
    here = Terminal(tmp_path / "here")
    code = (
        "import os, signal, sys\n"
        "class Now:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pipeline.cli':\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Now())\n"
        "from pipeline.__main__ import main\n"
        "sys.argv = ['reelmill', 'run', 'a.mp4']\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=here.folder, env=environment(), capture_output=True, check=False
    )
    assert ended.returncode == 130, ended.stderr
    assert list(here.folder.iterdir()) == []


def test_a_signal_while_the_program_ends_changes_nothing(tmp_path: Path) -> None:
    """All is said and done: no other exit code, no death by the signal, no traceback."""
    code = (
        "import atexit, os, signal, sys\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    atexit.register(os.kill, os.getpid(), number)\n"
        "from pipeline.__main__ import main\n"
        "sys.argv = ['reelmill', 'indexes', '--help']\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
