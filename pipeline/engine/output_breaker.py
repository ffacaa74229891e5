"""The circuit breaker of the output folder: nothing is paid that cannot be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, Trouble

_log = log.get("engine")
_GIVE_UP_SECONDS = 60.0  #: after this long a run no longer waits for its output folder: its operator has to act
#: What would only add to the pile. Polls go on: answers that are paid for are kept in the database.
_PILING = (Lane.DOWNLOAD, Lane.UPLOAD, Lane.ANALYZE, Lane.BATCH)
_MARGIN_SECONDS = 5.0  #: by so much these wait longer than the write that finds out


@dataclass(slots=True)
class OutputBreaker:
    """Pauses lanes after a failed write, and lets one write try (half-open).

    It closes them if that fails too long; ``closed`` is the pool's own. The disk is this machine's: no other process is told.
    """

    clock: Clock
    rng: Random
    closed: set[Lane]
    paused: dict[Lane, float] = field(default_factory=dict)  #: until when, monotonic seconds
    kind: str = ""  #: of the task that failed first
    times: int = 0  #: failures in a row
    since: float = 0.0  #: of the first failure, monotonic seconds

    def tripped(self, trouble: Trouble, kind: str, policy: Policy) -> bool:
        """Count a failed write: pause the lanes, or close them and return True."""
        now = self.clock.monotonic()
        if Lane.WRITE in self.closed or Lane.WRITE in self.pauses():
            return False  # another write has tripped it already
        _log.warning("output.blocked", code=trouble.code, why=trouble.message, remedy=trouble.remedy)
        if not self.times:
            self.kind, self.since = kind, now
        self.times += 1
        delay = policy.backoff.delay(self.times, self.rng)
        if self.times >= policy.attempts or now + delay - self.since > _GIVE_UP_SECONDS:
            self.closed |= set(Lane) - {Lane.POLL}
            return True
        self.paused.update({Lane.WRITE: now + delay, **dict.fromkeys(_PILING, now + delay + _MARGIN_SECONDS)})
        return False

    def pauses(self) -> dict[Lane, float]:
        """Return the seconds until each paused lane opens."""
        now = self.clock.monotonic()
        return {lane: until - now for lane, until in self.paused.items() if until > now}

    def begin_anew(self) -> None:
        """Let one write try again."""
        self.times = 0
        self.paused.clear()

    def reset(self, kind: str) -> None:
        """Open the lanes again after a good end of the kind that failed."""
        if self.times and kind == self.kind:
            self.times = 0
            self.paused.clear()
