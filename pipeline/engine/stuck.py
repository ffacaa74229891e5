"""Results that cannot be written: nothing more is paid for until there is somewhere to put it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline import log
from pipeline.lifecycle import Policy
from pipeline.model import Lane, Trouble
from pipeline.ports import Clock

_log = log.get("engine")
#: Seconds after which a run no longer waits for its output folder: its operator has to act.
_PATIENCE = 60.0
#: What would only add to the pile. Polls go on: answers that are paid for are kept in the database.
_PILING = (Lane.DOWNLOAD, Lane.UPLOAD, Lane.ANALYZE)
_MARGIN = 5.0  #: seconds by which these wait longer than the write that finds out


@dataclass(slots=True)
class Stuck:
    """Pauses and closes the lanes of a pool (their dictionary and set are the pool's own) while its output is closed."""

    clock: Clock
    rng: Random
    paused: dict[Lane, float]
    closed: set[Lane]
    kind: str = ""  #: of the task that found out
    times: int = 0  #: in a row
    since: float = 0.0  #: monotonic seconds

    def met(self, trouble: Trouble, kind: str, policy: Policy) -> bool:
        """Note that a task could not write. Pause, or close for the rest of the run and return True: it is given up."""
        now = self.clock.now()
        if Lane.WRITE in self.closed or self.paused.get(Lane.WRITE, 0.0) > now:
            return False  # found out already, beside it
        _log.warning("output.blocked", code=trouble.code, why=trouble.message, remedy=trouble.remedy)
        if not self.times:
            self.kind, self.since = kind, self.clock.monotonic()
        self.times += 1
        delay = policy.backoff.delay(self.times, self.rng)
        if self.times >= policy.attempts or self.clock.monotonic() + delay - self.since > _PATIENCE:
            self.closed |= set(Lane) - {Lane.POLL}
            return True
        self.paused.update({Lane.WRITE: now + delay, **dict.fromkeys(_PILING, now + delay + _MARGIN)})
        return False

    def done(self, kind: str) -> None:
        """Note that a task has ended well: if it is one that writes, nobody need wait any longer."""
        if self.times and kind == self.kind:
            self.times = 0
            for lane in (Lane.WRITE, *_PILING):
                self.paused.pop(lane, None)
