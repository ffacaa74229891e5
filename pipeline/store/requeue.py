"""What happens to a task that is submitted again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from json import loads

from pipeline.core.model import State
from pipeline.store.encoding import QueueEntry, to_json

#: What identifies a task: its kind and key.
Identity = tuple[str, str]


class Effect(Enum):
    """What a submission does to the existing task."""

    NONE = "none"
    RESTART = "restart"  #: it is pending at the restart stage
    RESTART_LATER = "restart later"  #: it restarts when its running attempt ends as done
    MERGE = "merge"  #: its data takes in the new data, nothing else


def decide_effect(entry: QueueEntry, state: State, restart_later: str | None) -> Effect:
    """Return what ``entry`` does to a task that restarts at ``restart_later``."""
    if entry.restart_at is None:
        return Effect.NONE
    if state is State.DONE or (state is State.FAILED and entry.restart_failed):
        return Effect.RESTART
    if state is State.RUNNING and entry.restart_at != restart_later:
        return Effect.RESTART_LATER
    return Effect.MERGE if state is State.PENDING else Effect.NONE


def merge_json(old: str, new: str) -> str:
    """Return the JSON object ``old`` updated with the members of ``new``; one level deep."""
    return old if new in ("{}", old) else to_json({**loads(old), **loads(new)})


@dataclass(slots=True)
class ExistingTask:
    """A task in the queue, as this transaction's submissions left it."""

    state: State
    restart_later: str | None
    data: str | None  #: read only where a restart needs it


@dataclass(slots=True)
class Requeue:
    """Works out in order what submissions do; collects changes by sort.

    Write ``merges`` after ``restarts``: a merge may follow the restart of the same task.
    """

    existing: dict[Identity, ExistingTask]
    inserts: dict[Identity, QueueEntry] = field(default_factory=dict)
    restarts: dict[Identity, tuple[QueueEntry, str]] = field(default_factory=dict)  #: with the merged data
    restarts_later: dict[Identity, QueueEntry] = field(default_factory=dict)
    merges: dict[Identity, tuple[str, float]] = field(default_factory=dict)  #: the merged data, and when

    def add(self, entry: QueueEntry) -> bool:
        """Take in one submission; return whether the task is new or restarts."""
        identity = (entry.kind, entry.key)
        found = self.existing.get(identity)
        if found is None:
            self.existing[identity] = ExistingTask(State.PENDING, None, entry.data)
            self.inserts[identity] = entry
            return True
        effect = decide_effect(entry, found.state, found.restart_later)
        if effect is Effect.RESTART_LATER:
            found.restart_later = entry.restart_at
            self.restarts_later[identity] = entry
        elif effect is not Effect.NONE:
            assert found.data is not None
            before, found.data = found.data, merge_json(found.data, entry.data)
            if effect is Effect.RESTART:
                found.state = State.PENDING
                self.restarts[identity] = (entry, found.data)
            elif found.data != before:
                self._merge(identity, found.data, entry.now)
        return effect in (Effect.RESTART, Effect.RESTART_LATER)

    def _merge(self, identity: Identity, data: str, now: float) -> None:
        if identity in self.inserts:
            self.inserts[identity] = replace(self.inserts[identity], data=data)
        else:
            self.merges[identity] = (data, now)
