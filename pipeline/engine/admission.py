"""Admission: which lanes may take new work, and why others may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from pipeline.core.clock import Clock
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, Parked, Trouble
from pipeline.core.outcome import Park
from pipeline.engine.metrics import PoolMetrics
from pipeline.engine.output_breaker import OutputBreaker
from pipeline.engine.poll_turn import PollTurn
from pipeline.ports.store import NO_CAPS, LaneCap, LaneCaps

#: Lanes in which an answer is awaited.
_AWAITED = (Lane.POLL, Lane.BATCH)
_LANES = frozenset(lane.value for lane in Lane)
_TOLD = 60.0  #: seconds of a pause from which on people are told


@dataclass(slots=True)
class RunEnd:
    """Why a run ended, filled in while it runs."""

    halted: Trouble | None = None  #: key, credit, plan, configuration, store: stops everything
    cause: str = ""  #: of ``halted``: operator, config or store
    budget: Trouble | None = None
    output: Trouble | None = None  #: results could not be written: the next run writes them first
    parked: dict[Lane, Parked] = field(default_factory=dict)  #: for longer than was to be waited for
    later: float | None = None  #: epoch seconds at which the first task that was not waited for falls due
    interrupted: bool = False
    time_up: bool = False  #: the time that the run was given is over
    unread: bool = False  #: its list was not read to the end

    @property
    def stopped(self) -> bool:
        """True if it was told to end, by a person or by its time."""
        return self.interrupted or self.time_up


@dataclass(frozen=True, slots=True)
class _Rest:
    """A parked lane, and whether people are told of it."""

    parked: Parked
    told: bool


class LaneAdmission:
    """Says how many tasks each lane may take now.

    What rests until a time is a row of the database, whichever process has parked it; this is a view of those rows. A lane
    that opens within the patience is *paused*: it is waited for. One that opens later is *closed*: the run may end without
    it. The budget and the output folder close lanes for this run only.

    ``host``: this one's name, where several work on the queue. A site that must be asked politely counts by the address:
    the lane that asks it rests on one host, and goes on on the others.
    """

    def __init__(
        self,
        metrics: PoolMetrics,
        clock: Clock,
        rng: Random,
        run_end: RunEnd,
        polls: PollTurn,
        *,
        in_hand: int,
        patience: float,
        host: str = "",
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._run_end = run_end
        self._polls = polls
        self._in_hand = in_hand
        self._patience = patience
        self._host = host
        self._resting: dict[Lane, _Rest] = {}  # as last read, and what was parked here since
        self._closed: set[Lane] = set()  # for this run
        self._over_budget = False  # the paying lane goes on in rounds
        self._progress = False  # whether this round moved anything
        self._awaiting = False  # an idle round waits for answers, which free what was reserved for more
        self._breaker = OutputBreaker(clock, rng, self._closed)

    # ------------------------------------------------------------------------------------------------- what is open

    def free_slots(self, widths: Mapping[Lane, int]) -> dict[Lane, int]:
        """Return how many tasks each lane can take now."""
        now = self._clock.now()
        self._reopen(now)
        free = {lane: width - self._metrics.busy(lane) for lane, width in widths.items()}
        for lane in self._closed | set(self._resting) | set(self._breaker.pauses()):
            free[lane] = 0
        if not self._polls.ours:
            free[Lane.POLL] = 0
        if self._awaiting or (self._over_budget and self._metrics.running[Lane.ANALYZE]):
            free[Lane.ANALYZE] = 0
        in_hand = self._metrics.waiting[Lane.POLL] + self._metrics.running[Lane.UPLOAD]
        free[Lane.UPLOAD] = max(0, min(free[Lane.UPLOAD], self._in_hand - in_hand))
        return {lane: max(0, number) for lane, number in free.items()}

    @property
    def caps(self) -> LaneCaps:
        """What all hosts together may have at work."""
        return {Lane.UPLOAD: LaneCap(Lane.POLL, self._in_hand)} if self._host else NO_CAPS

    def pauses(self) -> list[float]:
        """Return the seconds until each lane that rests opens."""
        now = self._clock.now()
        return [*(each.parked.until - now for each in self._resting.values()), *self._breaker.pauses().values()]

    def paused(self) -> list[Lane]:
        """Return the lanes that open soon enough to be waited for."""
        soon = {*self._resting, *self._breaker.pauses()} - set(self._run_end.parked)
        return [lane for lane in Lane if lane in soon - self._closed]

    def told(self) -> list[Parked]:
        """Return the lanes that are parked, or paused for a minute or more."""
        parked = self._run_end.parked
        paused = [each.parked for lane, each in self._resting.items() if each.told and lane not in parked]
        return [*parked.values(), *paused]

    def not_closed(self) -> list[Lane]:
        """Return the lanes in which this run can still do something."""
        return [lane for lane in Lane if lane not in self._closed and lane not in self._run_end.parked]

    def _reopen(self, now: float) -> None:
        """Open the lanes whose time has come, and sort the others by the patience."""
        self._resting = {lane: each for lane, each in self._resting.items() if each.parked.until > now}
        late = now + self._patience
        self._run_end.parked = {lane: each.parked for lane, each in self._resting.items() if each.parked.until > late}

    def see(self, parked: Sequence[Parked]) -> None:
        """Take in which lanes are parked, by whichever process."""
        known, self._resting = self._resting, {}
        for each in sorted(parked, key=lambda each: each.until):  # the later of two counts
            if each.lane in _LANES and each.scope in (each.lane, self._scope(Lane(each.lane))):
                self._rest(Lane(each.lane), each, known.get(Lane(each.lane)))
        self._reopen(self._clock.now())

    def _scope(self, lane: Lane) -> str:
        return f"{lane.value}@{self._host}" if self._host and lane is Lane.DOWNLOAD else lane.value

    def _rest(self, lane: Lane, parked: Parked, known: _Rest | None) -> None:
        told = parked.until - self._clock.now() >= _TOLD or (known is not None and known.told)
        self._resting[lane] = _Rest(parked, told)

    # ---------------------------------------------------------------------------------------------- what closes them

    def begin_anew(self) -> None:
        """Open the lanes that were closed for this run, as a next one would."""
        self._over_budget = self._progress = self._awaiting = False
        self._run_end.budget = self._run_end.output = None
        self._closed.clear()
        self._breaker.begin_anew()

    @property
    def over_budget(self) -> bool:
        """True while the paying lane goes on in rounds."""
        return self._over_budget and Lane.ANALYZE not in self._closed

    @property
    def idle_over_budget(self) -> bool:
        """True if nothing more can be admitted, as far as is known here."""
        return self.over_budget and not (
            self._metrics.running[Lane.ANALYZE] or self._progress or self._answers_awaited()
        )

    def note_freed(self) -> None:
        """Take note that somebody has taken back what was reserved."""
        self._progress, self._awaiting = True, False

    def _answers_awaited(self) -> bool:
        # The number of those that wait is only nearly right between two counts, and may be below zero.
        return any(self._metrics.waiting[lane] > 0 or self._metrics.running[lane] > 0 for lane in _AWAITED)

    def end_budget_round(self) -> None:
        """Over budget, admit in rounds; close the paying lane after an idle one.

        While answers are awaited, an idle round only pauses: each may free what was reserved for more than it cost.
        """
        if self._over_budget and not self._metrics.running[Lane.ANALYZE]:
            awaited = self._answers_awaited()
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
        """Close what a verdict asks for; return what every process must know."""
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
        now, known = self._clock.now(), self._resting.get(lane)
        if park.until <= now or (known is not None and known.parked.until >= park.until):
            return None
        parked = Parked(self._scope(lane), park.until, park.trouble)
        self._rest(lane, parked, known)
        self._reopen(now)
        return parked
