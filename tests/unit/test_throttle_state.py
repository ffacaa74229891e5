"""One pace for all runs of a machine: a file under a lock, whole at any time, and not needed for life."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog

from pipeline.app.wiring.downloads import site_throttle
from pipeline.app.wiring.journals import NullJournal
from pipeline.core.clock import SystemClock
from pipeline.core.errors import Throttled
from pipeline.core.model import Trouble
from pipeline.source.youtube.throttle.breaker import ThrottleRules
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState, SharedFileState, state_file_path
from tests.support.clock import VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import settings_for

BLOCK = Trouble("bot_check", "YouTube refused this machine's address (bot check).", "another network", "raw")


def run_over(folder: Path, clock: VirtualClock, seed: int = 1, rules: ThrottleRules | None = None) -> SiteThrottle:
    """Return the throttle of a run with a state folder of its own, on a machine whose file is in the folder."""
    journal = MemoryDatabase()
    state = SharedFileState(state_file_path(folder, "youtube"), JournalState(journal, "pace"))
    return SiteThrottle(state, JournalState(journal, "pause"), clock, Random(seed), rules or ThrottleRules())


def test_two_runs_with_two_state_folders_keep_one_pace(tmp_path: Path) -> None:
    """Their starts are 12 to 20 seconds apart all together; a refusal of one closes the site for both, by its reason."""

    async def work() -> None:
        clock = VirtualClock()
        runs = [run_over(tmp_path, clock, seed) for seed in (1, 2)]
        times: list[float] = []
        while len(times) < 20:
            try:
                await runs[len(times) % 2].acquire()
            except Throttled as refused:
                await clock.sleep(refused.after or 0.0)
            else:
                times.append(clock.now())
        gaps = [after - before for before, after in pairwise(times)]
        assert 12.0 - 1e-6 <= min(gaps) <= max(gaps) <= 20.0 + 1e-6
        await runs[0].record_refusal(BLOCK, 3600.0)
        for throttle in (*runs, run_over(tmp_path, clock)):
            with pytest.raises(Throttled) as closed:
                await throttle.acquire()
            assert (closed.value.trouble.code, closed.value.after) == ("bot_check", 3600.0)

    run_virtual(work())


def test_the_hour_is_one_for_all_runs(tmp_path: Path) -> None:
    """Ten an hour are ten for both together."""

    async def work() -> None:
        clock, rules = VirtualClock(), ThrottleRules(0, 0, per_hour=10)
        for number in range(10):
            await run_over(tmp_path, clock, number, rules).acquire()
        with pytest.raises(Throttled) as full:
            await run_over(tmp_path, clock, 1, rules).acquire()
        assert full.value.after == 3600.0

    run_virtual(work())


def test_real_processes_take_turns(tmp_path: Path) -> None:
    """Four processes at once: every start is there, and none took the same one as another."""
    code = """
import sys, anyio
from pathlib import Path
from random import Random
from pipeline.app.wiring.journals import NullJournal
from pipeline.core.clock import SystemClock
from pipeline.source.youtube.throttle.breaker import ThrottleRules
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState, SharedFileState, state_file_path

async def work():
    state = SharedFileState(state_file_path(Path(sys.argv[1]), "youtube"), JournalState(NullJournal(), "a"))
    own, rules = JournalState(NullJournal(), "b"), ThrottleRules(0.002, 0.002, 2000)
    throttle = SiteThrottle(state, own, SystemClock(), Random(1), rules)
    for _ in range(25):
        await throttle.acquire()

anyio.run(work)
"""
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    kept = json.loads(state_file_path(tmp_path, "youtube").read_text())
    assert len(kept["starts"]) == 100
    assert all(after - before >= 0.002 - 1e-6 for before, after in pairwise(kept["starts"]))
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[1]", b"\xff\xfe", b"[" * 50_000])
def test_a_damaged_file_is_told_once_and_costs_one_gap(tmp_path: Path, content: bytes) -> None:
    """Nobody knows when the last start was: one full gap is kept, the log names the file, and then it is whole again."""

    async def work() -> None:
        file, clock = state_file_path(tmp_path, "youtube"), VirtualClock()
        file.write_bytes(content)
        with structlog.testing.capture_logs() as logs:
            with pytest.raises(Throttled) as early:
                await run_over(tmp_path, clock).acquire()
            await clock.sleep(early.value.after or 0.0)
            await run_over(tmp_path, clock).acquire()
        assert early.value.after == 20.0
        assert [(log["event"], log["file"]) for log in logs] == [("pace.damaged", str(file))]
        assert json.loads(file.read_text())["starts"] == [clock.now()]

    structlog.reset_defaults()
    run_virtual(work())


@pytest.mark.parametrize(
    "kept",
    [
        {"next": float("nan"), "starts": 7, "until": True, "trips": "x"},
        {"next": 10**400, "starts": [None, "a", 10**400], "trips": -3, "slow": [], "trouble": {"code": 1}},
        {"until": float("inf"), "trips": float("inf"), "good": -1, "trouble": 3, "prober": 9},
    ],
)
def test_whatever_the_file_holds_is_waited_for_no_longer_than_any_pause(tmp_path: Path, kept: dict[str, Any]) -> None:
    """Values of another version or of nobody's make no crash, and no wait of years."""

    async def work() -> None:
        clock, waited = VirtualClock(), 0.0
        state_file_path(tmp_path, "youtube").write_text(json.dumps(kept))
        while True:
            try:
                await run_over(tmp_path, clock).acquire()
                break
            except Throttled as refused:
                waited += refused.after or 0.0
                await clock.sleep(refused.after or 0.0)
        assert waited <= 6 * 3600

    run_virtual(work())


@pytest.mark.parametrize("sort", ["file in the way", "no rights"])
def test_a_folder_that_cannot_be_used_costs_the_sharing_and_nothing_else(tmp_path: Path, sort: str) -> None:
    """The run keeps its own pace over its own journal, and says once which folder to mend."""

    async def work() -> None:
        folder = tmp_path / "home" / "state"
        if sort == "no rights":
            folder.mkdir(parents=True)
            (folder / "pace-youtube.lock").mkdir()  # what root may not open as a file either
        else:
            folder.parent.write_text("no folder")
        clock = VirtualClock()
        throttle = run_over(folder, clock)
        with structlog.testing.capture_logs() as logs:
            await throttle.acquire()
            with pytest.raises(Throttled) as spaced:
                await throttle.acquire()
            await throttle.record_refusal(BLOCK, 3600.0)
            with pytest.raises(Throttled) as closed:
                await throttle.acquire()
        assert 12 <= (spaced.value.after or 0) <= 20
        assert closed.value.trouble.code == "bot_check"
        (told,) = [log for log in logs if log["event"] == "pace.not_shared"]
        assert "pace_folder" in told["remedy"]

    structlog.reset_defaults()
    run_virtual(work())


def test_each_way_out_is_a_bucket_of_its_own(tmp_path: Path) -> None:
    """A proxy and a source address are other addresses to the site; the proxy's password is no part of the name."""
    ways = [
        ("", ""),
        ("socks5://127.0.0.1:1080", ""),
        ("127.0.0.1:1080", ""),
        ("", "10.0.0.7"),
        ("http://p:8080", "10.0.0.7"),
    ]
    assert len({state_file_path(tmp_path, "youtube", *way) for way in ways}) == len(ways)
    one, other = (
        state_file_path(tmp_path, "youtube", f"http://user:{word}@p:8080") for word in ("hunter2", "swordfish")
    )
    assert one == other == state_file_path(tmp_path, "youtube", "http://p:8080")
    assert state_file_path(tmp_path, "youtube").name == "pace-youtube.json"


@pytest.mark.asyncio
async def test_the_configuration_names_the_folder_and_else_it_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name, the state folder of the user that runs; with one, there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    polite: dict[str, Any] = {"min_gap": 60, "max_gap": 60}
    for folder, youtube in (
        (tmp_path / "user" / "reelmill", polite),
        (tmp_path / "own", {**polite, "pace_folder": "own"}),
    ):
        if "pace_folder" in youtube:
            youtube["pace_folder"] = folder
        rules, others = (settings_for(tmp_path / name, youtube=youtube).youtube for name in "ab")
        await site_throttle(rules, NullJournal(), SystemClock(), Random(1)).acquire()
        assert (folder / "pace-youtube.json").is_file()
        with pytest.raises(Throttled):
            await site_throttle(others, NullJournal(), SystemClock(), Random(1)).acquire()
