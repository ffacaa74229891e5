"""The state machine. Pure: no clock, no randomness of its own, no I/O.

::

               claim                 Done
    pending ──────────────▶ running ────────▶ done
      ▲  ▲                   │ │ │ │ └─ Hold ─▶ held
      │  └ Advance, Snooze ──┘ │ │ └─ Fail, Retry exhausted, deadline ─▶ failed
      │    Retry, Park         │ │
      │  └─ lease lost, stop ──┘ │
      │                          └─ (operator) cancel ─▶ cancelled
      └── (operator) retry, or restart, from done · failed · cancelled · held

What counts as an attempt: Retry (unless its trouble has a count of its own) and a lost lease do; Snooze (polling), Park
and a graceful stop do not. Every stage has a deadline, so that nothing is polled for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import assert_never

from pipeline.core.backoff import Backoff
from pipeline.core.model import Json, NewTask, Result, Spend, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Park, Retry, Snooze


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a stage is."""

    attempts: int = 8  #: failed or lost attempts before the task fails
    #: Seconds in one stage before a Snooze or Retry becomes a failure; a first failure or a loss after that restarts them.
    deadline: float = 86_400.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Transition:
    """What is to be written in one transaction, if the lease still holds."""

    state: State
    stage: str
    attempt: int
    claims: int
    wake_at: float | None
    stage_since: float
    data: Mapping[str, Json] | None = None  #: None keeps the task's data
    subject: str | None = None
    trouble: Trouble | None = None
    results: Sequence[Result] = ()
    spawn: Sequence[NewTask] = ()
    spend: Sequence[Spend] = ()
    word: str = (
        ""  #: what happened, for the log: advanced, done, snoozed, retried, failed, held, parked, lost, released
    )


def decide(task: Task, outcome: Outcome, now: float, policy: Policy, rng: Random) -> Transition:
    """Return what becomes of ``task`` after ``outcome``. Total: every verdict in, one transition out.

    A stage that began in the future began now: the clock was set back, and its deadline must not wait as long.
    """
    task = task if task.stage_since <= now else replace(task, stage_since=now)
    match outcome:
        case Advance():
            return _advance(task, outcome, now)
        case Done():
            return _end(task, State.DONE, "done", None, outcome)
        case Snooze():
            return _wait(task, outcome, now, policy)
        case Retry():
            return _retry(task, outcome, now, policy, rng)
        case Fail():
            ended = _end(task, State.FAILED, "failed", outcome.trouble, Done(spawn=outcome.spawn, data=outcome.data))
            return replace(_resuming(ended, outcome.stage), spend=outcome.spend)
        case Hold():
            ended = _end(task, State.HELD, "held", outcome.trouble, Done(data=outcome.data))
            return _resuming(ended, outcome.stage)
        case Park():
            back = _back(task, max(outcome.until, now), outcome.untouched, "parked", outcome.trouble)
            return replace(back, data=outcome.data)
        case _:
            assert_never(outcome)


def lost(task: Task, now: float, policy: Policy, rng: Random) -> Transition:
    """Return what becomes of a task whose lease was lost: an attempt is used."""
    trouble = Trouble("lost_lease", "The process working on this ended before it could write the outcome.")
    # No delay after the first loss: after a crash the work goes on at once.
    after = 0.0 if task.attempt == 0 else None
    # Hours without a run do not count either: each loss is an attempt, which bounds them.
    since = now if _late(task, now, policy) else task.stage_since
    moved = _retry(replace(task, stage_since=since), Retry(trouble, after=after), now, policy, rng)
    return replace(moved, word="lost") if moved.state is State.PENDING else moved


def released(task: Task, now: float) -> Transition:
    """Return what becomes of a task that a graceful stop gave back.

    No attempt is counted, but its stage is no longer fresh.
    """
    return _back(task, now, False, "released", task.trouble)


def _advance(task: Task, outcome: Advance, now: float) -> Transition:
    return Transition(
        State.PENDING,
        outcome.stage,
        attempt=0,
        claims=0,
        wake_at=now + outcome.after,
        stage_since=now,
        data=outcome.data,
        subject=outcome.subject,
        results=outcome.results,
        spawn=outcome.spawn,
        spend=outcome.spend,
        word="advanced",
    )


def _end(task: Task, state: State, word: str, trouble: Trouble | None, done: Done | None = None) -> Transition:
    done = done or Done()
    return Transition(
        state,
        task.stage,
        attempt=task.attempt,
        claims=task.claims,
        wake_at=None,
        stage_since=task.stage_since,
        data=done.data,
        subject=done.subject,
        trouble=trouble,
        results=done.results,
        spawn=done.spawn,
        word=word,
    )


def _resuming(ended: Transition, stage: str | None) -> Transition:
    """Return an end after which an operator's retry starts fresh at ``stage``."""
    return ended if stage is None else replace(ended, stage=stage, claims=0)


def _wait(task: Task, outcome: Snooze, now: float, policy: Policy) -> Transition:
    trouble = outcome.trouble or task.trouble
    if not outcome.asked:
        return _back(task, now + outcome.after, outcome.untouched, "snoozed", trouble)
    if _late(task, now, policy):
        return _end(task, State.FAILED, "failed", outcome.trouble or _overdue(task, policy))
    # Never sleep past the deadline: the last look happens when it falls due.
    due = min(now + outcome.after, task.stage_since + policy.deadline)
    return _back(task, due, outcome.untouched, "snoozed", trouble)


def _retry(task: Task, outcome: Retry, now: float, policy: Policy, rng: Random) -> Transition:
    attempt = task.attempt + outcome.counted
    if outcome.counted and task.attempt == 0 and _late(task, now, policy):
        task = replace(task, stage_since=now)  # it only waited for its turn, or for a run
    if (outcome.counted and attempt >= policy.attempts) or _late(task, now, policy):
        # The count tells an exhausted task, which the next run retries by itself, from one that can never work.
        claims = task.claims - outcome.untouched
        return replace(_end(task, State.FAILED, "failed", outcome.trouble), attempt=attempt, claims=claims)
    delay = policy.backoff.delay(max(1, attempt), rng) if outcome.after is None else outcome.after
    back = _back(task, now + delay, outcome.untouched, "retried", outcome.trouble)
    return replace(back, attempt=attempt, data=outcome.data)


def _late(task: Task, now: float, policy: Policy) -> bool:
    return now - task.stage_since >= policy.deadline


def _back(task: Task, due: float, untouched: bool, word: str, trouble: Trouble | None) -> Transition:
    return Transition(
        State.PENDING,
        task.stage,
        attempt=task.attempt,
        # A claim that sent nothing is taken back, so that the next one is as fresh as this one was.
        claims=task.claims - 1 if untouched else task.claims,
        wake_at=due,
        stage_since=task.stage_since,
        trouble=trouble,
        word=word,
    )


def _overdue(task: Task, policy: Policy) -> Trouble:
    hours = policy.deadline / 3600
    return Trouble(
        "deadline",
        f"No end after {hours:.3g} h in stage '{task.stage}'.",
        "Look at the provider's own console, then `reelmill retry`.",
    )
