"""What the engine says about an attempt: one log event each, and the words for a stage it does not know."""

from __future__ import annotations

from pipeline import log
from pipeline.lifecycle import Transition
from pipeline.model import Task, Trouble
from pipeline.outcome import Outcome

_log = log.get("engine")


def tell(task: Task, move: Transition, outcome: Outcome | None, written: bool, took: float) -> None:
    """Log how an attempt ended; ``took`` is seconds."""
    loud = not written or move.word in ("failed", "held", "retried", "lost")
    if not loud and not log.detailed():
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


def unknown(task: Task) -> Trouble:
    """Return the trouble of a task whose stage or kind this release does not have."""
    return Trouble(
        "unknown_stage",
        f"Stage '{task.stage}' of kind '{task.kind}' is not known to this release.",
        "The database was written by another release of Reelmill; run that one, or `reelmill retry` after an upgrade.",
    )


def nowhere(task: Task, place: object) -> Trouble:
    """Return the trouble of a task whose step wanted something spawned that no kind has a place for."""
    return Trouble(
        "unexpected",
        f"Stage '{task.stage}' of kind '{task.kind}' asks for a kind or stage that does not exist.",
        "This is a fault of Reelmill.",
        str(place),
    )
