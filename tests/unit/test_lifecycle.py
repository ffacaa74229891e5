"""The state machine as a table and as properties."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import lifecycle
from pipeline.core.lifecycle import Policy, decide, lost, released
from pipeline.core.model import Lane, Lease, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Park, Retry, Snooze

NOW = 1_000_000.0
WHY = Trouble("why", "because")
POLICY = Policy(attempts=3, deadline=3600.0)
TASK = Task(
    1, "kind", "key", "stage", {"a": 1}, State.RUNNING, Lane.FETCH, 0,
    claims=1, stage_since=NOW - 10, lease=Lease("me", 1, NOW + 60),
)  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "state", "stage", "attempt", "claims", "word"),
    [
        (Advance("next"), State.PENDING, "next", 0, 0, "advanced"),
        (Done(), State.DONE, "stage", 1, 2, "done"),
        (Snooze(30), State.PENDING, "stage", 1, 2, "snoozed"),
        (Snooze(30, untouched=True), State.PENDING, "stage", 1, 1, "snoozed"),
        (Retry(WHY), State.PENDING, "stage", 2, 2, "retried"),
        (Retry(WHY, untouched=True), State.PENDING, "stage", 2, 1, "retried"),
        (Retry(WHY, after=9.0, counted=False), State.PENDING, "stage", 1, 2, "retried"),
        (Fail(WHY), State.FAILED, "stage", 1, 2, "failed"),
        (Fail(WHY, stage="first"), State.FAILED, "first", 1, 0, "failed"),
        (Hold(WHY), State.HELD, "stage", 1, 2, "held"),
        (Hold(WHY, stage="pay"), State.HELD, "pay", 1, 0, "held"),
        (Park("upload", NOW + 99, WHY), State.PENDING, "stage", 1, 1, "parked"),
    ],
)
def test_every_verdict_has_its_transition(
    outcome: Outcome, state: State, stage: str, attempt: int, claims: int, word: str
) -> None:
    """Each verdict leads to exactly the state, stage and counts that the drawing names."""
    move = decide(replace(TASK, attempt=1, claims=2), outcome, NOW, POLICY, Random(1))
    assert (move.state, move.stage, move.attempt, move.claims, move.word) == (state, stage, attempt, claims, word)


def test_attempts_run_out() -> None:
    """The last allowed attempt fails the task, and the count says that it was exhausted, not refused."""
    move = decide(replace(TASK, attempt=2), Retry(WHY), NOW, POLICY, Random(1))
    assert (move.state, move.attempt, move.trouble) == (State.FAILED, 3, WHY)


def test_a_trouble_with_a_count_of_its_own_uses_up_no_attempt() -> None:
    """However many attempts there were, it goes on by its own data; the deadline of the stage still holds."""
    own = Retry(WHY, after=9.0, counted=False, data={"tries": 1})
    move = decide(replace(TASK, attempt=99), own, NOW, POLICY, Random(1))
    assert (move.state, move.attempt, move.wake_at, move.data) == (State.PENDING, 99, NOW + 9, {"tries": 1})
    assert decide(replace(TASK, stage_since=NOW - 3600), own, NOW, POLICY, Random(1)).state is State.FAILED


def test_a_stage_that_began_in_the_future_begins_now() -> None:
    """The clock was set back by a month: its deadline is an hour from now, not a month and an hour."""
    ahead = replace(TASK, stage_since=NOW + 30 * 86_400)
    moved = decide(ahead, Snooze(600), NOW, POLICY, Random(1))
    assert (moved.stage_since, moved.wake_at) == (NOW, NOW + 600)
    assert decide(ahead, Snooze(7200), NOW, POLICY, Random(1)).wake_at == NOW + 3600


def test_polling_is_no_attempt_but_has_a_deadline() -> None:
    """A snooze never counts, never wakes after the deadline, and fails once the deadline has passed."""
    late = replace(TASK, stage_since=NOW - 3590)
    assert decide(late, Snooze(600), NOW, POLICY, Random(1)).wake_at == late.stage_since + 3600
    over = decide(replace(TASK, stage_since=NOW - 3600), Snooze(1), NOW, POLICY, Random(1))
    assert over.state is State.FAILED
    assert over.trouble is not None
    assert over.trouble.code == "deadline"
    # What went wrong before, and was got over, is not why it is late.
    healed = replace(TASK, stage_since=NOW - 3600, trouble=Trouble("no_credit", "No credit."))
    late_again = decide(healed, Snooze(1), NOW, POLICY, Random(1)).trouble
    assert late_again is not None
    assert late_again.code == "deadline"
    waits = decide(healed, Snooze(1, trouble=WHY), NOW, POLICY, Random(1))
    assert waits.trouble == WHY


def test_who_was_not_asked_says_nothing_about_being_late() -> None:
    """The shared looks had no turn for this one yet: it waits for its turn, however long the stage lasts already."""
    old = replace(TASK, stage_since=NOW - 90_000)
    move = decide(old, Snooze(30, asked=False), NOW, POLICY, Random(1))
    assert (move.state, move.wake_at) == (State.PENDING, NOW + 30)
    assert decide(old, Snooze(30), NOW, POLICY, Random(1)).state is State.FAILED


def test_a_lost_lease_is_an_attempt() -> None:
    """A task that kills its process cannot do so for ever; the first loss is taken up at once."""
    first = lost(TASK, NOW, POLICY, Random(1))
    assert (first.state, first.attempt, first.wake_at, first.word) == (State.PENDING, 1, NOW, "lost")
    assert lost(replace(TASK, attempt=2), NOW, POLICY, Random(1)).state is State.FAILED


def test_the_time_in_which_nobody_tried_is_not_counted_against_a_task() -> None:
    """Days in the queue, or without any run, are no trying: neither a death nor the first mishap after them is the end."""
    old = replace(TASK, stage_since=NOW - 90_000)
    taken_up = lost(replace(old, attempt=1), NOW, POLICY, Random(1))
    assert (taken_up.state, taken_up.attempt, taken_up.stage_since) == (State.PENDING, 2, NOW)
    again = decide(old, Retry(WHY), NOW, POLICY, Random(1))
    assert (again.state, again.attempt, again.stage_since) == (State.PENDING, 1, NOW)
    assert decide(replace(old, attempt=1), Retry(WHY), NOW, POLICY, Random(1)).state is State.FAILED


def test_a_graceful_stop_is_no_attempt_but_not_fresh() -> None:
    """A released task keeps its count, is due at once, and will ask before it acts."""
    back = released(TASK, NOW)
    assert (back.state, back.attempt, back.claims, back.wake_at) == (State.PENDING, 0, 1, NOW)


def test_an_untouched_claim_stays_fresh() -> None:
    """After a verdict that sent nothing, the next claim counts as the first."""
    move = decide(TASK, Retry(WHY, untouched=True), NOW, POLICY, Random(1))
    assert replace(TASK, claims=move.claims + 1).fresh
    last = decide(replace(TASK, attempt=2), Retry(WHY, untouched=True), NOW, POLICY, Random(1))
    assert (last.state, last.claims) == (State.FAILED, 0)


OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Advance, st.just("next"), after=st.floats(0, 1e6)),
    st.just(Done()),
    st.builds(Snooze, st.floats(0, 1e6), st.booleans()),
    st.builds(Retry, st.just(WHY), st.none() | st.floats(0, 1e6), st.booleans()),
    st.just(Fail(WHY)),
    st.just(Hold(WHY)),
    st.builds(Park, st.just("fetch"), st.floats(0, 2e6), st.just(WHY)),
)


@given(OUTCOMES, st.integers(0, 20), st.integers(1, 20), st.floats(0, 1e5), st.integers())
def test_what_holds_for_every_transition(outcome: Outcome, attempt: int, claims: int, age: float, seed: int) -> None:
    """Terminal tasks sleep for ever and others have a time; counts never go below zero; nothing wakes in the past."""
    task = replace(TASK, attempt=attempt, claims=claims, stage_since=NOW - age)
    move = decide(task, outcome, NOW, POLICY, Random(seed))
    assert (move.wake_at is None) == move.state.terminal
    assert move.claims >= 0
    assert move.attempt >= 0
    if isinstance(outcome, Retry | Advance | Park) and move.wake_at is not None:
        assert move.wake_at >= NOW


def test_the_drawing_names_every_state() -> None:
    """The drawing in the module's docstring and the six states are the same six words."""
    assert all(state.value in (lifecycle.__doc__ or "") for state in State)
