"""Which lane a backlog takes, and what is packed into a batch: pure functions as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.ingest.batches.lane import Backlog, BatchRules, Candidate, choose_lane, pack
from pipeline.ports.batch_api import BatchCeilings

AUTO = BatchRules(mode="auto")
MANY = Backlog(100_000, "pegasus1.5", 10)
SMALL = BatchCeilings(items=3, seconds=100.0)


@pytest.mark.parametrize(
    ("backlog", "rules", "lane"),
    [
        (MANY, AUTO, "batch"),
        (MANY, BatchRules(), "batch"),  # chosen by itself
        (MANY, replace(AUTO, mode="off"), "task"),
        (replace(MANY, analyses=1), AUTO, "task"),  # a single nightly video
        (replace(MANY, analyses=1), replace(AUTO, factor=0.5), "task"),  # not even where it is cheaper
        (replace(MANY, analyses=1), replace(AUTO, mode="always"), "batch"),
        (replace(MANY, model="pegasus1.6"), AUTO, "task"),
        (replace(MANY, model="pegasus1.6"), replace(AUTO, mode="always"), "task"),
        (replace(MANY, analyses=600), AUTO, "task"),  # an hour alone, an hour and a half together
        (replace(MANY, analyses=1000), AUTO, "batch"),
        (replace(MANY, analyses=600), replace(AUTO, factor=0.5), "batch"),
        (replace(MANY, per_minute=None), AUTO, "task"),  # nothing is quicker than no limit
        (MANY, replace(AUTO, deadline=8), "task"),
    ],
)
def test_the_lane_follows_from_size_price_deadline_and_model(backlog: Backlog, rules: BatchRules, lane: str) -> None:
    """A batch is taken where it is cheaper or quicker, large enough, in time, and takes the model."""
    assert choose_lane(backlog, rules, BatchCeilings()).lane == lane


def test_an_api_without_batches_has_one_lane() -> None:
    """Whatever the operator wants."""
    assert choose_lane(MANY, replace(AUTO, mode="always"), None).lane == "task"


def test_the_hours_of_both_lanes_are_told() -> None:
    """100,000 analyses: a week alone at 10 a minute, 20 rounds of five batches together."""
    choice = choose_lane(MANY, AUTO, BatchCeilings())
    assert (round(choice.task_hours), choice.batch_hours) == (167, 30.0)
    assert round(choice.saves_hours) == 137


def waiting(*lengths: float, model: str = "m", since: float = 0.0) -> list[Candidate]:
    """Return analyses of these lengths that came one second after the other."""
    return [Candidate(f"k{n}", f"t{n}", model, seconds, since + n) for n, seconds in enumerate(lengths)]


@pytest.mark.parametrize(
    ("candidates", "now", "chosen"),
    [
        ([], 1000.0, 0),
        (waiting(10, 10), 2.0, 0),  # somebody else may come
        (waiting(10, 10), 61.0, 2),  # nobody has come for a while
        (waiting(10, 10, 10), 2.0, 3),  # full by items
        (waiting(10, 10, 10, 10), 2.0, 3),
        (waiting(60, 60), 1.0, 1),  # full by length
        (waiting(500), 1.0, 0),  # one that is too long alone is for the platform to refuse
        (waiting(500), 61.0, 1),
        (waiting(10) + waiting(10, since=599.0), 600.0, 2),  # the first has waited long enough
        (waiting(10) + waiting(10, model="other"), 61.0, 1),  # one model a batch
        (waiting(10, since=5000.0), 0.0, 1),  # the clock was set back
    ],
)
def test_a_batch_is_packed_to_the_limits_and_waits_for_no_one_too_long(
    candidates: list[Candidate], now: float, chosen: int
) -> None:
    """Full by items or hours at once; else after a quiet time, or the longest wait."""
    renamed = [replace(each, key=f"{n}") for n, each in enumerate(candidates)]
    packed = pack(renamed, SMALL, now=now, quiet=60.0, most=600.0)
    assert len(packed) == chosen
    assert len({each.model for each in packed}) <= 1
