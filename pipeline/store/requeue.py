"""What becomes of a task that is put into the queue although it is there already. Pure; the one rule of both databases."""

from __future__ import annotations

from enum import Enum
from json import loads

from pipeline.core.model import State
from pipeline.store.encoding import QueueEntry, to_json


class Effect(Enum):
    """What putting a task does to the existing one."""

    NONE = "none"
    AGAIN = "again"  #: pending at the re-arm stage
    WISH = "wish"  #: remembered until the running attempt ends as done
    MERGE = "merge"  #: only its data takes in the new


def effect(entry: QueueEntry, state: State, wished: str | None) -> Effect:
    """Return what ``entry`` does to an existing task in ``state`` that has been wished to start again at ``wished``."""
    if entry.restart_at is None:
        return Effect.NONE
    if state is State.DONE or (state is State.FAILED and entry.restart_failed):
        return Effect.AGAIN
    if state is State.RUNNING and entry.restart_at != wished:
        return Effect.WISH
    return Effect.MERGE if state is State.PENDING else Effect.NONE


def merged(old: str, new: str) -> str:
    """Return the JSON object ``old`` with the members of ``new`` put over its own; one level deep."""
    return old if new in ("{}", old) else to_json({**loads(old), **loads(new)})
