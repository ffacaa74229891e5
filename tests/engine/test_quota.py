"""The whole program against a vendor with walls, in virtual time, beside clients that only retry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.quota import SCENARIOS, measure

SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}
SCENARIO["hour"] = replace(SCENARIO["hour"], hours=2, videos=130)
SCENARIO["unnamed"] = replace(
    SCENARIO["midnight, unnamed"], walls={"requests_per_minute": 10, "requests_per_day": 60}, hours=64, videos=100
)


@pytest.mark.parametrize(("walls", "seed"), [("hour", 1), ("day", 1), ("day", 2)])
def test_a_quota_is_used_to_its_edge(walls: str, seed: int) -> None:
    """At least 98 % of what the vendor allows is used, less than 0.5 % of the calls are refused, and hardly a video is left
    paid in part.
    """
    found = measure(SCENARIO[walls], "Reelmill", seed)
    assert found.share >= 0.98
    assert found.refused < 0.005
    assert found.begun <= 3  # of more than sixty: which calls stand at the wall is decided by fractions of a second
    assert found.finished > 60


def test_a_wall_that_nobody_has_told_of_is_learned_by_meeting_it() -> None:
    """The configuration names no daily limit: a few refusals teach it, and the next day none is needed."""
    found = measure(SCENARIO["day, untold"], "Reelmill", 1)
    assert found.share >= 0.98
    assert found.refused * found.calls <= 8


def test_a_daily_wall_that_no_answer_names_is_learned() -> None:
    """No limit and no time in any refusal: a dozen of them on the first day, one on the next, which shows what is counted.
    The run ends with a time to go on at, and each day is used from midnight on.
    """
    found = measure(SCENARIO["unnamed"], "Reelmill", 1)
    assert found.share >= 0.98
    assert found.refused * found.calls <= 16
    assert found.later < 0.01
    assert found.begun <= 4


def test_plain_clients_waste_the_quota_or_hammer_it() -> None:
    """The measurement can tell good from bad: one that only backs off is refused more often than not."""
    assert measure(SCENARIO["day"], "backoff only", 1).refused > 0.5
    assert measure(SCENARIO["day"], "fixed rate", 1).share < 0.96
