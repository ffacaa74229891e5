"""Hundreds of seeds, in processes whose order of sets is fixed, so that a failure replays; and proof that they can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted_bugs import PLANTED, ActsWithoutAsking
from tests.simulation.run import Failed, one
from tests.simulation.schedule import draw, draw_alone, with_hosts
from tests.simulation.shrink import shrunk
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
SHARE = 50  #: seeds in one process
LOOK = 250  #: seeds among which a planted fault must be seen


def simulation(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    command = [sys.executable, "-m", "tests.simulation", *words]
    env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("first", range(1, 101, SHARE))
def test_whatever_happens_nothing_is_paid_twice_and_nothing_is_lost(first: int) -> None:
    """Every seed keeps every promise. A failure prints the seed, all that was drawn from it, and the line that replays it."""
    ran = simulation("--from", str(first), "--seeds", str(SHARE), "--keep-going")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{SHARE} seeds good, 0 broken" in ran.stdout


@pytest.mark.parametrize("seed", ["45", "4"], ids=["one machine", "several"])
def test_a_seed_goes_the_same_way_every_time(seed: str) -> None:
    """Two processes replay one seed to the last request: what they note is the same."""
    first, second = simulation("--seed", seed), simulation("--seed", seed)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "digest=" in first.stdout
    assert first.stdout.splitlines()[0] == second.stdout.splitlines()[0]


@pytest.mark.parametrize(("world", "words", "first"), PLANTED, ids=[world.__name__ for world, _, _ in PLANTED])
def test_the_simulation_notices(tmp_path: Path, world: type[World], words: str, first: int) -> None:
    """A fault of the kind that the promises exclude is seen, and called by its name."""
    assert any(words in told(seed, tmp_path, world) for seed in range(first, first + LOOK)), world.__doc__


def told(seed: int, folder: Path, world: type[World]) -> str:
    """Return what a seed says of a world, or nothing when it finds it good."""
    try:
        one(draw(seed) if world.hosts == 1 else with_hosts(draw_alone(seed), world.hosts), folder, make=world)
    except Failed as error:
        return str(error)
    return ""


def test_a_failure_shrinks_to_the_accidents_it_needs(tmp_path: Path) -> None:
    """Accidents that a failure does without are left out, and what is left still fails in the same way."""
    world, schedule = ActsWithoutAsking, draw(2)
    with pytest.raises(Failed) as failed:
        one(schedule, tmp_path, make=world)
    smaller, still = shrunk(schedule, failed.value, tmp_path, world)
    assert set(smaller.faults) < set(schedule.faults)
    assert "twice" in str(still)
    assert 1 <= len(smaller.faults) <= 3
