"""Admission: which lanes may take new work, and why others may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random

from pipeline.core.clock import Clock
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, Parked, Trouble
from pipeline.core.outcome import Park
from pipeline.engine.metrics import PoolMetrics
from pipeline.engine.output_breaker import OutputBreaker

_LONGEST = 3_600.0  #: seconds of a pause that is no waiting for a limit
#: Lanes in which an answer is awaited.
_AWAITED = (Lane.POLL, Lane.BATCH)
_TOLD = 60.0  #: seconds of a pause from which on people are told


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
    time_up: bool = False  #: the time that the run was given is over
    unread: bool = False  #: its list was not read to the end

    @property
    def stopped(self) -> bool:
        """True if it was told to end, by a person or by its time."""
        return self.interrupted or self.time_up


class LaneAdmission:
    """Says how many tasks each lane may take now.

    A *paused* lane opens by itself soon. A *closed* one stays closed for this run; if it is parked, until its time.
    """

    def __init__(
        self, metrics: PoolMetrics, clock: Clock, rng: Random, run_end: RunEnd, *, in_hand: int, patience: float
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._run_end = run_end
        self._in_hand = in_hand
        self._patience = patience
        self._paused: dict[Lane, float] = {}  # short waits, epoch seconds; not remembered across runs
        self._reasons: dict[Lane, Trouble] = {}  # of pauses that are long enough to be told
        self._closed: set[Lane] = set()
        self._over_budget = False  # the paying lane goes on in rounds
        self._progress = False  # whether this round moved anything
        self._awaiting = False  # an idle round waits for answers, which free what was reserved for more
        self._breaker = OutputBreaker(clock, rng, self._paused, self._closed)

    # ------------------------------------------------------------------------------------------------- what is open

    def free_slots(self, widths: Mapping[Lane, int]) -> dict[Lane, int]:
        """Return how many tasks each lane can take now."""
        now = self._clock.now()
        self._reopen(now)
        free = {lane: width - self._metrics.busy(lane) for lane, width in widths.items()}
        for lane in self._closed | set(self._waiting(now)):
            free[lane] = 0
        if self._awaiting or (self._over_budget and self._metrics.running[Lane.ANALYZE]):
            free[Lane.ANALYZE] = 0
        in_hand = self._metrics.waiting[Lane.POLL] + self._metrics.running[Lane.UPLOAD]
        free[Lane.UPLOAD] = max(0, min(free[Lane.UPLOAD], self._in_hand - in_hand))
        return {lane: max(0, number) for lane, number in free.items()}

    def pauses(self) -> list[float]:
        """Return the seconds until each paused lane opens."""
        now = self._clock.now()
        return [self._paused[lane] - now for lane in self._waiting(now)]

    def paused(self) -> list[Lane]:
        """Return the lanes that open by themselves."""
        return [lane for lane in self._waiting(self._clock.now()) if lane not in self._closed]

    def told(self) -> list[Parked]:
        """Return the lanes that are parked, or paused for a minute or more."""
        waiting = set(self._waiting(self._clock.now())) - set(self._run_end.parked)
        paused = [Parked(lane.value, self._paused[lane], why) for lane, why in self._reasons.items() if lane in waiting]
        return [*self._run_end.parked.values(), *paused]

    def not_closed(self) -> list[Lane]:
        """Return the lanes in which this run can still do something."""
        return [lane for lane in Lane if lane not in self._closed]

    def _waiting(self, now: float) -> list[Lane]:
        most = max(self._patience, _LONGEST)  # what is further away was set by a clock that has been set back since
        return [lane for lane, until in self._paused.items() if now < until <= now + most]

    def _reopen(self, now: float) -> None:
        """Open the parked lanes whose time has come."""
        parked = self._run_end.parked
        for lane in [lane for lane, each in parked.items() if each.until <= now]:
            del parked[lane]
            if lane is not Lane.ANALYZE or self._run_end.budget is None:
                self._closed.discard(lane)

    def forget_parks(self) -> None:
        """Open the parked lanes: the clock by which their times were told was wrong."""
        self._reopen(inf)

    # ---------------------------------------------------------------------------------------------- what closes them

    def respect(self, parked: Parked) -> None:
        """Keep a lane closed until the time that an earlier run has set."""
        lane = Lane(parked.scope)
        self._closed.add(lane)
        self._run_end.parked[lane] = parked

    def end_budget_round(self) -> None:
        """Over budget, admit in rounds; close the paying lane after an idle one.

        While answers are awaited, an idle round only pauses: each may free what was reserved for more than it cost.
        """
        if self._over_budget and not self._metrics.running[Lane.ANALYZE]:
            # The number of those that wait is only nearly right between two counts, and may be below zero.
            awaited = any(self._metrics.waiting[lane] > 0 or self._metrics.running[lane] > 0 for lane in _AWAITED)
            if not self._progress and not awaited:
                self._closed.add(Lane.ANALYZE)
            self._awaiting = not self._progress and awaited
            self._progress = False

    def note_outcome(self, kind: str, lane: Lane, word: str) -> None:
        """Note how an attempt ended: whether money moves, whether the disk takes writes."""
        self._progress |= lane is Lane.ANALYZE and word != "parked"
        if lane in _AWAITED and word != "snoozed":
            self._progress |= self._awaiting
            self._awaiting = False
        if word == "done":
            self._breaker.reset(kind)

    def park(self, park: Park, kind: str, policy: Policy) -> Parked | None:
        """Close what a verdict asks for; return what later runs must know."""
        if park.scope == "budget":
            if not self._over_budget:  # tasks beside this one may just have been admitted
                self._over_budget = self._progress = True
            self._run_end.budget = park.trouble
            return None
        if park.scope == "output":
            if self._breaker.tripped(park.trouble, kind, policy):
                self._run_end.output = park.trouble
            return None
        return self._park_lane(Lane(park.scope), park)

    def _park_lane(self, lane: Lane, park: Park) -> Parked | None:
        wait = park.until - self._clock.now()
        if wait <= self._patience:
            if wait >= _TOLD:
                self._reasons[lane] = park.trouble
            elif self._paused.get(lane, 0.0) <= self._clock.now():
                self._reasons.pop(lane, None)
            self._paused[lane] = max(park.until, self._paused.get(lane, 0.0))
            return None
        self._closed.add(lane)
        known = self._run_end.parked.get(lane)
        if known is not None and known.until >= park.until:
            return None
        self._run_end.parked[lane] = Parked(lane.value, park.until, park.trouble)
        return self._run_end.parked[lane]
