"""The spending limits over random schedules, by the platform's own ledger; and proof that this can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.model import Spend
from tests.simulation.money.planted import PLANTED, ReservesNothing
from tests.simulation.money.schedule import DAY, draw_money
from tests.simulation.money.world import MoneyWorld
from tests.simulation.run import Failed, one

ROOT = Path(__file__).parents[3]
SHARE = 25  #: seeds in one process
LOOK = 40  #: seeds among which a planted fault must be seen


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("first", range(1, 51, SHARE))
def test_the_platform_never_charges_more_than_a_limit(first: int) -> None:
    """Whatever dies, is lost or jumps: by its own ledger no run, day or month is above its limit, and nothing that a death
    has reserved is both freed and counted.
    """
    command = [
        sys.executable,
        "-m",
        "tests.simulation.money",
        "--from",
        str(first),
        "--seeds",
        str(SHARE),
        "--keep-going",
    ]
    env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{SHARE} seeds good, 0 broken" in ran.stdout


@pytest.mark.parametrize(("seed", "repeated"), [(445, 1), (244, 0), (502, 0)])
def test_a_clock_that_is_set_back_by_forty_days(tmp_path: Path, seed: int, repeated: int) -> None:
    """What was lost before is found after, but for one upload that comes ten minutes late; a lane that waited for seconds does
    not wait for weeks.
    """
    schedule, notes = draw_money(seed), list[str]()
    told = one(schedule, tmp_path, notes.append, MoneyWorld)
    assert any(note.endswith(f"clock jumps by {-40 * DAY:g}") for note in notes)
    assert told.repeated == repeated
    (calm,) = (float(note.split()[0]) for note in notes if note.endswith(" calm"))
    assert calm - schedule.begin - sum(schedule.gaps) < 3600


def test_the_database_alone_keeps_the_limits(tmp_path: Path) -> None:
    """Where steps, like other processes, know nothing of each other, what is too much is not written."""
    answers = list[bool]()

    class Counted(ReservesNothing):
        def build(self, *args: Any) -> Any:
            session = super().build(*args)
            admits = session.components.spending.admits

            def counted(spends: Sequence[Spend]) -> bool:
                answers.append(admits(spends))
                return answers[-1]

            session.components.spending.admits = counted
            return session

    for seed in range(1, 5):
        one(draw_money(seed), tmp_path, make=Counted)
    assert True in answers
    assert False in answers


@pytest.mark.parametrize(("world", "words", "first"), PLANTED, ids=[world.__name__ for world, _, _ in PLANTED])
def test_the_proof_notices(tmp_path: Path, world: type[MoneyWorld], words: str, first: int) -> None:
    """A limit that does not hold is seen, and called by its name."""
    assert any(words in _told(seed, tmp_path, world) for seed in range(first, first + LOOK)), world.__doc__


def _told(seed: int, folder: Path, world: type[MoneyWorld]) -> str:
    try:
        one(draw_money(seed), folder, make=world)
    except Failed as error:
        return str(error)
    return ""
