"""One attempt: run the step, turn errors into a verdict, log it.

It holds the only broad ``except``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import (
    Ambiguous,
    ConfigError,
    DatabaseAway,
    InputError,
    LostLease,
    NeedsOperator,
    NotYet,
    Permanent,
    StoreError,
    Throttled,
    Transient,
)
from pipeline.core.lifecycle import Transition
from pipeline.core.model import Task, Trouble
from pipeline.core.outcome import Fail, Outcome, Park, Retry, Snooze
from pipeline.core.task_types import LeaseCheck, Stage
from pipeline.engine.store_retry import AwaySteps
from pipeline.engine.wait_counts import WaitCounts

_log = log.get("engine")


async def run_step(stage: Stage, task: Task, ensure_fresh: LeaseCheck, clock: Clock, away: AwaySteps) -> Outcome | None:
    """Run one step and return its verdict; None when the lease is lost.

    An unknown exception is a Retry with its traceback in the log: a bug of ours must not lose a video.
    """
    try:
        outcome = await _verdict(stage, task, ensure_fresh, clock)
    except LostLease:
        return None
    except DatabaseAway as error:
        return _put_off(away.next(task.id, error), error, clock.now())
    away.reset(task.id)
    return outcome


async def _verdict(stage: Stage, task: Task, ensure_fresh: LeaseCheck, clock: Clock) -> Outcome:
    try:
        return await stage.step(task, ensure_fresh)
    except (LostLease, DatabaseAway):
        raise
    except Throttled as error:
        return _throttled(stage, error, clock.now())
    except (Transient, NotYet) as error:
        return _again(task, error)
    except Ambiguous as error:
        # The next claim of a stage that is not fresh asks the provider first; that stage brings its own delay.
        return Retry(error.trouble, after=0.0)
    except NeedsOperator as error:
        return Park("run:operator", clock.now(), error.trouble, not error.in_doubt)
    except ConfigError as error:
        return Park("run:config", clock.now(), error.trouble)
    except StoreError as error:  # perhaps met behind the call that the step is for
        return Park("run:store", clock.now(), error.trouble, untouched=False)
    except (Permanent, InputError) as error:
        return Fail(error.trouble)
    except Exception as error:
        _log.exception("step.crashed", kind=task.kind, key=task.key, stage=task.stage)
        return Retry(
            Trouble(
                "unexpected",
                f"Unexpected {type(error).__name__} in stage '{task.stage}'.",
                "This is a fault of Reelmill; the log holds the traceback.",
                log.redact(str(error))[:300],
            )
        )


def _put_off(wait: float | None, error: DatabaseAway, now: float) -> Outcome:
    """Give a task back that only the database has stopped; no attempt.

    ``wait``: seconds; None: it has waited for too long. The step may have acted before it read: whoever goes on asks first.
    """
    if wait is None:
        return Park("run:store", now, error.trouble, untouched=False)
    return Snooze(wait, trouble=error.trouble, asked=False)


def _throttled(stage: Stage, error: Throttled, now: float) -> Outcome:
    """Let the lane wait, or this task alone where a smaller call has room."""
    if error.alone:
        return Snooze(error.after or 0.0, untouched=True, trouble=error.trouble, asked=False)
    return Park(stage.lane.value, now + (error.after or 0.0), error.trouble, not error.in_doubt)


def _again(task: Task, error: Transient | NotYet) -> Outcome:
    """Retry by the policy's backoff, or by the error's own waits."""
    if isinstance(error, NotYet) and not error.then:
        return Snooze(error.after, untouched=True, trouble=error.trouble)
    if isinstance(error, NotYet):
        return _counted(task, error, (error.after, *error.then), endless=True)
    if error.waits is None:
        return Retry(error.trouble, error.after, error.untouched)
    return _counted(task, error, error.waits)


def _counted(task: Task, error: Transient | NotYet, waits: Sequence[float], *, endless: bool = False) -> Outcome:
    """Retry by the error's own waits; each trouble code has its own count.

    ``endless``: the last wait repeats until the stage's deadline.
    """
    counts, code = WaitCounts.of_task(task), error.trouble.code
    done = counts.of.get(code, 0)
    if done >= len(waits) and not endless:
        return Fail(error.trouble)
    untouched = isinstance(error, NotYet) or error.untouched
    wait, data = waits[min(done, len(waits) - 1)], counts.counted(code, task.data)
    return Retry(error.trouble, wait, untouched, counted=False, data=data)


def log_attempt(task: Task, move: Transition, outcome: Outcome | None, written: bool, took: float) -> None:
    """Log how an attempt ended; ``took`` is seconds."""
    loud = not written or move.word in ("failed", "held", "retried", "lost")
    if not loud and not log.wants_debug():
        return
    fields = {
        "kind": task.kind,
        "key": task.key,
        "stage": task.stage,
        "to": move.stage,
        "attempt": move.attempt,
        "took": round(took, 3),
    }
    trouble = getattr(outcome, "trouble", None) or move.trouble
    if trouble is not None:
        fields |= {"code": trouble.code, "why": trouble.message}
    if not written:
        _log.warning("attempt.fenced", word=move.word, **fields)
    elif move.word in ("failed", "held"):
        _log.error("attempt." + move.word, **fields)
    elif move.word in ("retried", "lost"):
        _log.warning("attempt." + move.word, **fields)
    else:
        _log.debug("attempt." + move.word, **fields)


def unknown_stage(task: Task) -> Trouble:
    """Return the trouble of a task that this release does not know."""
    return Trouble(
        "unknown_stage",
        f"Stage '{task.stage}' of kind '{task.kind}' is not known to this release.",
        "The database was written by another release of Reelmill; run that one, or `reelmill retry` after an upgrade.",
    )


def unplaceable_spawn(task: Task, place: object) -> Trouble:
    """Return the trouble of a task that spawned an unknown stage."""
    return Trouble(
        "unexpected",
        f"Stage '{task.stage}' of kind '{task.kind}' asks for a kind or stage that does not exist.",
        "This is a fault of Reelmill.",
        str(place),
    )
