"""The time that a run has left: honest, or not said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.runs.time_left import TimeLeft


def test_nothing_is_said_until_enough_is_finished() -> None:
    """Four items say nothing about the pace of a hundred; five do. What has no end left has no time left."""
    it = TimeLeft()
    assert [it.estimate(10.0 * done, done, 100 - done) for done in range(5)] == [None] * 5
    assert it.estimate(50.0, 5, 95) == 950.0
    assert it.estimate(50.0, 5, 0) is None


def test_it_counts_down_while_nothing_moves_and_then_is_silent() -> None:
    """It never grows without a finished item, and an estimate that is used up is withdrawn."""
    it = TimeLeft()
    it.estimate(50.0, 5, 2)
    assert [it.estimate(elapsed, 5, 2) for elapsed in (60.0, 69.0, 70.0, 500.0)] == [10.0, 1.0, None, None]
    assert it.estimate(700.0, 6, 1) is not None


@given(st.lists(st.tuples(st.floats(0, 1e5), st.booleans()), max_size=50), st.integers(0, 100))
def test_without_a_finished_item_it_only_shrinks(steps: list[tuple[float, bool]], more: int) -> None:
    """Whatever the pace: from one look to the next it grows only if something was finished in between."""
    it, elapsed, finished, before = TimeLeft(), 0.0, 0, None
    for seconds, moved in steps:
        elapsed, finished = elapsed + seconds, finished + moved
        now = it.estimate(elapsed, finished, 50 + more - finished)
        if not moved:
            assert now is None or (before is not None and now <= before)
        before = now
