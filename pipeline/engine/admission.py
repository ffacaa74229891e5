"""Which lanes may take new work, and why the others may not: no room, a limit, no money, nowhere to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, Parked, Trouble
from pipeline.core.outcome import Park
from pipeline.engine.metrics import PoolMetrics


@dataclass(slots=True)
class RunEnd:
    """Why a run ended, filled in while it runs."""

    halted: Trouble | None = None  #: key, credit, plan, configuration, store: stops everything
    cause: str = ""  #: of ``halted``: operator, config or store
    budget: Trouble | None = None
    output: Trouble | None = None  #: results could not be written: the next run writes them first
    parked: dict[Lane, Parked] = field(default_factory=dict)
    later: float | None = None  #: epoch seconds at which the first task that was not waited for falls due
    interrupted: bool = False


class LaneAdmission:
    """The gates of a pool's lanes. A *paused* one opens by itself soon; a *closed* one stays so, unless it is parked."""

    def __init__(
        self, metrics: PoolMetrics, clock: Clock, rng: Random, ending: RunEnd, *, in_hand: int, patience: float
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ending = ending
        self._in_hand = in_hand
        self._patience = patience
        self._paused: dict[Lane, float] = {}  # short waits, epoch seconds; not remembered across runs
        self._closed: set[Lane] = set()
        self._short = False  # of money: the paying lane goes on in rounds
        self._progress = False  # whether this round moved anything
        self._output = OutputBreaker(clock, rng, self._paused, self._closed)

    # ------------------------------------------------------------------------------------------------- what is open

    def free_slots(self, widths: Mapping[Lane, int]) -> dict[Lane, int]:
        """Return how many tasks each lane can take now."""
        now = self._clock.now()
        self._reopen(now)
        free = {lane: width - self._metrics.busy(lane) for lane, width in widths.items()}
        for lane in self._closed | set(self._waiting(now)):
            free[lane] = 0
        if self._short and self._metrics.running[Lane.ANALYZE]:
            free[Lane.ANALYZE] = 0
        in_hand = self._metrics.waiting[Lane.POLL] + self._metrics.running[Lane.UPLOAD]
        free[Lane.UPLOAD] = max(0, min(free[Lane.UPLOAD], self._in_hand - in_hand))
        return {lane: max(0, number) for lane, number in free.items()}

    def pauses(self) -> list[float]:
        """Return for each paused lane in how many seconds it opens."""
        now = self._clock.now()
        return [self._paused[lane] - now for lane in self._waiting(now)]

    def paused(self) -> list[Lane]:
        """Return the lanes that open by themselves."""
        return [lane for lane in self._waiting(self._clock.now()) if lane not in self._closed]

    def not_closed(self) -> list[Lane]:
        """Return the lanes in which this run can still do something."""
        return [lane for lane in Lane if lane not in self._closed]

    def _waiting(self, now: float) -> list[Lane]:
        return [lane for lane, until in self._paused.items() if until > now]

    def _reopen(self, now: float) -> None:
        """Open parked lanes whose time has come while this run was busy with the others."""
        parked = self._ending.parked
        for lane in [lane for lane, each in parked.items() if each.until <= now]:
            del parked[lane]
            if lane is not Lane.ANALYZE or self._ending.budget is None:
                self._closed.discard(lane)

    # ------------------------------------------------------------------------------------------------ what shuts them

    def respect(self, parked: Parked) -> None:
        """Keep a lane closed that an earlier run parked until a time that has not come."""
        lane = Lane(parked.scope)
        self._closed.add(lane)
        self._ending.parked[lane] = parked

    def count_the_money(self) -> None:
        """Out of money, let what was admitted go on: a round at a time, until one moves nothing; then close the lane."""
        if self._short and not self._metrics.running[Lane.ANALYZE]:
            if not self._progress:
                self._closed.add(Lane.ANALYZE)
            self._progress = False

    def moved(self, kind: str, lane: Lane, word: str) -> None:
        """Note what became of a task: money may be moving, a disk may be writable again."""
        self._progress |= lane is Lane.ANALYZE and word != "parked"
        if word == "done":
            self._output.done(kind)

    def park(self, park: Park, kind: str, policy: Policy) -> Parked | None:
        """Shut what a verdict asks to be shut; return what is to be remembered across runs, if anything."""
        if park.scope == "budget":
            if not self._short:  # those beside it may just have been admitted
                self._short = self._progress = True
            self._ending.budget = park.trouble
            return None
        if park.scope == "output":
            if self._output.tripped(park.trouble, kind, policy):
                self._ending.output = park.trouble
            return None
        return self._park_lane(Lane(park.scope), park)

    def _park_lane(self, lane: Lane, park: Park) -> Parked | None:
        if park.until - self._clock.now() <= self._patience:
            self._paused[lane] = max(park.until, self._paused.get(lane, 0.0))
            return None
        self._closed.add(lane)
        known = self._ending.parked.get(lane)
        if known is not None and known.until >= park.until:
            return None
        self._ending.parked[lane] = Parked(lane.value, park.until, park.trouble)
        return self._ending.parked[lane]


_log = log.get("engine")
#: Seconds after which a run no longer waits for its output folder: its operator has to act.
_PATIENCE = 60.0
#: What would only add to the pile. Polls go on: answers that are paid for are kept in the database.
_PILING = (Lane.DOWNLOAD, Lane.UPLOAD, Lane.ANALYZE)

_MARGIN = 5.0  #: seconds by which these wait longer than the write that finds out


@dataclass(slots=True)
class OutputBreaker:
    """Pauses and closes the lanes of a pool (their dictionary and set are the pool's own) while its output is closed."""

    clock: Clock
    rng: Random
    paused: dict[Lane, float]
    closed: set[Lane]
    kind: str = ""  #: of the task that found out
    times: int = 0  #: in a row
    since: float = 0.0  #: monotonic seconds

    def tripped(self, trouble: Trouble, kind: str, policy: Policy) -> bool:
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
