"""Disks that are full or cannot be written: what was paid for is kept, and the next run on a mended disk finishes."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from tests.support.cli import Ended, Terminal, environment, leftovers, until
from tests.support.media import clip, clips

VIDEOS = 3
IMPATIENT: dict[str, dict[str, Any]] = {"policy": {"attempts": 2, "retry_first": 0.05, "retry_most": 0.1}}


@cache
def can_mount() -> bool:
    """Return whether this user may mount file systems in a namespace of its own."""
    try:
        tried = subprocess.run(
            ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


mounting = pytest.mark.skipif(
    not can_mount(), reason="this machine lets nobody mount a small disk; the size limits below run"
)


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    """A terminal with three clips and little patience."""
    terminal = Terminal(tmp_path / "here", {}, IMPATIENT)
    clips(terminal.folder / "films", VIDEOS)
    return terminal


def on_a_mount(here: Terminal, mount: str, script: str, *words: str) -> Ended:
    """Run a shell script in which ``$@`` is the command, with ``mount`` done first, where nobody else sees it."""
    ran = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", f"{mount}\n{script}", "sh", sys.executable, "-m", "pipeline", *words],
        cwd=here.folder, env=environment(PYTHONPATH=os.pathsep.join(sys.path)), capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    return Ended(ran.returncode, ran.stdout, ran.stderr)


def check_finished(here: Terminal) -> None:
    """Another run ends with everything there, and no more paid for than one upload and one analysis per video."""
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["items"]["done"] == VIDEOS
    assert len(list((here.folder / "out").glob("*/video.json"))) == VIDEOS
    assert leftovers(here.folder / "out") == []
    ledger = Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3")
    assert ledger.twice() == []
    assert len(ledger.entries("asset_created")) == len(ledger.entries("analyze_task_created")) == VIDEOS


@mounting
@pytest.mark.slow
@pytest.mark.parametrize("size", ["20k", "60k"])
def test_a_full_output_disk(here: Terminal, size: str) -> None:
    """One sentence with the folder and what to do, nothing half-written, no attempt counted, no further analysis paid; on a
    larger disk all comes, and what was paid for is not paid again.
    """
    (here.folder / "out").mkdir()
    check = 'code=0; "$@" || code=$?; find out -name "*.tmp" >&2; exit $code'
    ended = on_a_mount(here, f"mount -t tmpfs -o size={size} none out", check, "run", "films")
    assert ended.code == 3, ended.err
    assert ".tmp" not in ended.err.splitlines()[-1]
    assert "Results wait to be written: " in ended.out
    assert "the disk is full; free some space" in " ".join(ended.out.split())
    assert {event["event"] for event in ended.events} >= {"output.blocked"}
    assert 1 <= ended.events[-1]["analyses"] <= VIDEOS
    status = here.run("status", "--json").json
    assert (status["items"]["failed"], status["items"]["held"]) == (0, 0)
    check_finished(here)


@mounting
@pytest.mark.slow
@pytest.mark.parametrize("size", ["24k", "300k"])
def test_a_full_state_disk_at_the_start(here: Terminal, size: str) -> None:
    """Nothing can be remembered, so nothing is begun: exit 1, the database that it is about is named, and no traceback."""
    (here.folder / ".reelmill").mkdir()
    ended = on_a_mount(here, f"mount -t tmpfs -o size={size} none .reelmill", '"$@"', "run", "films")
    assert ended.code == 1
    assert ".reelmill/" in ended.told[0]
    assert "disk is full" in ended.told[0]
    assert len(ended.told) == 2
    assert "Traceback" not in ended.err
    check_finished(here)


@mounting
@pytest.mark.slow(seconds=45)
def test_a_state_disk_that_fills_and_is_mended(here: Terminal) -> None:
    """The same state folder goes on once there is room: no call was forgotten, none is made twice."""
    (here.folder / ".reelmill").mkdir()
    # Kept in another place, because a mount in a namespace is gone with it.
    script = (
        'code=0; "$@" || code=$?; mount -o remount,size=50m .reelmill; "$@" --json; '
        'cp -a .reelmill kept; exit $code'
    )  # fmt: skip
    ended = on_a_mount(here, "mount -t tmpfs -o size=700k none .reelmill", script, "run", "films")
    assert ended.code == 1, ended.err
    assert "The disk is full" in ended.err
    assert "Traceback" not in ended.err.partition('"run.ended"')[0]
    os.rmdir(here.folder / ".reelmill")
    os.rename(here.folder / "kept", here.folder / ".reelmill")
    check_finished(here)


@mounting
def test_a_read_only_output_folder(here: Terminal) -> None:
    """Known before anything is paid: exit 2 with the folder and the way out, even for root."""
    (here.folder / "out").mkdir()
    ended = on_a_mount(here, "mount --bind out out; mount -o remount,bind,ro out", '"$@"', "run", "films")
    assert (ended.code, ended.out) == (2, "")
    assert "out: the output folder cannot be written (Read-only file system)" in ended.told[0]
    assert "--output" in ended.told[1]
    assert not (here.folder / ".reelmill" / "platform").exists()
    check_finished(here)


@mounting
def test_a_read_only_state_folder(here: Terminal) -> None:
    """Exit 2 with the folder named, from every command that writes; nothing in it is harmed."""
    assert here.run("run", "films").code == 0
    mount = "mount --bind .reelmill .reelmill; mount -o remount,bind,ro .reelmill"
    ended = on_a_mount(here, mount, '"$@"', "run", "films")
    assert (ended.code, ended.out) == (2, "")
    assert ".reelmill: the state folder cannot be used" in ended.told[0]
    assert "--state" in ended.told[1]
    assert on_a_mount(here, mount, '"$@"', "retry", "--failed").code == 2
    check_finished(here)


@mounting
def test_status_where_nothing_may_be_written(here: Terminal) -> None:
    """A state folder on read-only ground can be looked at; one whose run was killed says what to do instead."""
    assert here.run("run", "films").code == 0
    mount = "mount --bind .reelmill .reelmill; mount -o remount,bind,ro .reelmill"
    ended = on_a_mount(here, mount, '"$@"', "status", "--json")
    assert (ended.code, ended.told) == (0, [])
    assert ended.json["items"]["done"] == VIDEOS
    log = here.folder / ".reelmill" / "reelmill.db-wal"
    log.write_bytes(bytes(4096))
    ended = on_a_mount(here, mount, '"$@"', "status", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "cannot be read where it is" in ended.told[0]
    assert "copy the folder" in ended.told[1]
    log.unlink()
    check_finished(here)


@mounting
@pytest.mark.slow
def test_an_output_folder_that_is_read_only_for_a_while(here: Terminal) -> None:
    """Closed in the middle of a run and opened again: the run waits, pays for nothing meanwhile, and ends with exit 0."""
    (here.folder / "out").mkdir()
    # Closed once the run is at work, long before its results, which come all at once, and opened once it has noticed.
    script = """
"$@" 2>err & run=$!
until grep -q run.started err || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
until mount -o remount,bind,ro out || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
until grep -q output.blocked err || ! kill -0 $run 2>/dev/null; do sleep 0.05; done
mount -o remount,bind,rw out
code=0; wait $run || code=$?; cat err >&2; exit $code
"""
    Terminal(here.folder, {}, {"policy": {"retry_first": 0.5, "retry_most": 1.0}, "lanes": {"analyze": 1}})
    ended = on_a_mount(here, "mount --bind out out", script, "run", "films")
    assert ended.code == 0, ended.err
    assert "output.blocked" in ended.err
    check_finished(here)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the test with a mount says the same")
def test_an_output_folder_without_rights_for_a_while(here: Terminal) -> None:
    """The same for whoever cannot mount: the folder's rights are taken away in the middle of a run and given back."""
    Terminal(here.folder, {}, {"policy": {"retry_first": 0.5, "retry_most": 1.0}, "lanes": {"analyze": 1}})
    out = here.folder / "out"
    running = here.start("run", "films")
    until(lambda: not running.alive or list(out.glob("*/video.json")), "the first results")
    out.chmod(0o555)
    until(lambda: not running.alive or "output.blocked" in running.said(), "the run to notice")
    out.chmod(0o755)
    ended = running.wait()
    assert ended.code == 0, ended.err
    check_finished(here)


def at_most(size: int) -> Any:
    """Return what lets a process write no file beyond so many bytes: a limit that root has, too."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 40_000, 90_000])
def test_files_that_cannot_grow(here: Terminal, size: int) -> None:
    """A size limit on files stops database and results where it bites: told in words, and a run without it finishes."""
    ended = here.run("run", "films", before=at_most(size), timeout=100)
    assert ended.code in (1, 2, 3), ended.err
    assert "Traceback" not in ended.err
    assert ended.told or "→" in ended.out
    check_finished(here)


def test_what_the_state_folder_holds_is_nobody_elses(tmp_path: Path) -> None:
    """Folder and databases are made for their owner alone, whatever the umask; a database that was open to all is closed."""
    here = Terminal(tmp_path / "here")
    clip(here.folder / "film.mp4")
    assert here.run("run", "film.mp4", before=lambda: os.umask(0) and None).code == 0
    state = here.folder / ".reelmill"
    assert [stat.S_IMODE(place.stat().st_mode) for place in (state, state / "platform")] == [0o700, 0o700]
    databases = [state / "reelmill.db", state / "platform" / "platform.sqlite3"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in databases] == [0o600, 0o600]
    databases[0].chmod(0o644)
    assert here.run("run", "film.mp4").code == 0
    assert stat.S_IMODE(databases[0].stat().st_mode) & 0o007 == 0
