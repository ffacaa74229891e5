"""How long to wait: growing, bounded, spread, and the same for the same chance."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.backoff import Backoff


class Fixed(Random):
    """Chance that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def test_the_ladder_of_the_docstring() -> None:
    """With the defaults: 2.5-5 s, 5-10 s, 10-20 s … 450-900 s."""
    least = [Backoff().delay(attempt, Fixed(0.0)) for attempt in range(1, 11)]
    most = [Backoff().delay(attempt, Fixed(1.0)) for attempt in range(1, 11)]
    assert least[:3] == [2.5, 5.0, 10.0]
    assert most[:3] == [5.0, 10.0, 20.0]
    assert (least[-1], most[-1]) == (450.0, 900.0)


@given(st.integers(1, 10**9), st.floats(0.001, 1e4), st.floats(0.001, 1e6), st.integers())
def test_no_wait_is_longer_than_the_most_or_shorter_than_half_its_step(
    attempt: int, first: float, most: float, seed: int
) -> None:
    """Also for attempts beyond counting."""
    delay = Backoff(first, most).delay(attempt, Random(seed))
    assert min(first, most) / 2 <= delay <= most


@given(st.integers(1, 60))
def test_the_next_wait_is_never_shorter_in_range(attempt: int) -> None:
    """The ranges climb until they stand still."""
    waits = Backoff()
    assert waits.delay(attempt, Fixed(0.0)) <= waits.delay(attempt + 1, Fixed(0.0))
    assert waits.delay(attempt, Fixed(1.0)) <= 2 * waits.delay(attempt, Fixed(0.0))


def test_chance_spreads_the_crowd() -> None:
    """A thousand tasks that failed together do not come back together."""
    rng = Random(1)
    delays = [Backoff(10, 10).delay(1, rng) for _ in range(1000)]
    assert len({round(delay, 1) for delay in delays}) > 40
