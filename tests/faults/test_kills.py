"""SIGKILL, for real: runs that are killed again and again end as if they had never been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local.state.ledger import Ledger
from tests.faults.kills import besiege
from tests.faults.reckoning import Reckoning
from tests.faults.siege import THIRDS, Siege, check_whole
from tests.support.cli import Terminal, until
from tests.support.media import clips

MANY = 200
KILLS = 44  #: of which a few may come too late
FEW = 30


def database_in(folder: Path) -> Path:
    """Return the database of the platform that keeps its state below a folder."""
    return folder / ".reelmill" / "platform" / "platform.sqlite3"


def check_once(ledger: Ledger, videos: int) -> None:
    """The platform, which is the witness, took one upload and one analysis of each video."""
    assert ledger.twice() == []
    assert Counter(effect for effect, _ in ledger.paid()) == {"asset_created": videos, "analyze_task_created": videos}


@pytest.mark.slow(seconds=60)
@pytest.mark.timeout(900)
def test_forty_kills_over_two_hundred_videos(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Over real SQLite, HTTP and disk; the platform lives on and is the witness: nothing is lost, nothing paid twice."""
    toll = besiege(tmp_path, "v1.3", KILLS, 11, MANY)
    record_property("scenarios", toll.kills)
    print(toll.table("v1.3", MANY))
    assert toll.good
    assert toll.calls == Reckoning(paid=3 * MANY)
    assert toll.kills >= 40
    assert min(toll.thirds[part] for part in THIRDS) >= 8


@pytest.mark.slow(seconds=20)
def test_what_v1_2_is_asked_twice_for_is_told(tmp_path: Path) -> None:
    """An API that cannot be asked for a lost answer: killed again and again, nothing is lost, each repeat is told."""
    toll = besiege(tmp_path, "v1.2", 8, 2, 8)
    print(toll.table("v1.2", 8))
    assert toll.good
    assert toll.calls.paid - toll.calls.told == 3 * 8
    assert toll.kills >= 5


@pytest.mark.slow(seconds=30)
@pytest.mark.timeout(300)
def test_runs_whose_batches_are_killed_pay_once(tmp_path: Path) -> None:
    """Killed while batches are packed, sent, waited for and taken apart: each question is accepted once."""
    toll = besiege(tmp_path, "v1.3", 12, 3, 24, batches=True)
    print(toll.table("v1.3", 24))
    assert toll.good
    assert toll.calls == Reckoning(paid=3 * 24)
    assert toll.kills >= 8


@pytest.mark.slow(seconds=20)
@pytest.mark.timeout(300)
def test_kills_that_take_the_platform_with_them(tmp_path: Path) -> None:
    """The embedded platform dies with its run, in the middle of whatever it is doing; neither forgets or repeats."""
    films = tmp_path / "films"
    clips(films, FEW)
    terminal = Terminal(tmp_path / "here")
    siege = Siege(terminal, films, database_in(terminal.folder), FEW)
    siege.storm(7, seed=5)
    print(f"{len(siege.hits)} kills: {dict(siege.thirds())}")
    assert siege.hands
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in siege.hands), "the killed runs' own processes to end"
    )
    last = terminal.run("run", str(films), timeout=120)
    assert last.code == 0, last.err
    check_whole(terminal, FEW)
    check_once(Ledger(siege.database), FEW)
    assert len(siege.hits) >= 6
