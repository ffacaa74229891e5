"""The worker pool: claims due tasks, runs their steps, writes each verdict.

The queue is in the database: what waits costs no memory here. One loop claims; workers only run what it hands them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

import anyio
from anyio.abc import TaskGroup

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseAway, StoreError
from pipeline.core.lifecycle import Policy, Transition, decide, lost, released
from pipeline.core.model import Lane, NewTask, Parked, Selection, Task, Trouble
from pipeline.core.outcome import Fail, Outcome, Park
from pipeline.core.retry import AwayPatience
from pipeline.core.task_types import Stage, TaskTypes
from pipeline.engine.admission import LaneAdmission, RunEnd
from pipeline.engine.attempt import log_attempt, run_step, unknown_stage
from pipeline.engine.hosts import Neighbours
from pipeline.engine.leases import HeldLease, LeaseManager
from pipeline.engine.metrics import PoolMetrics
from pipeline.engine.observer import PoolObserver
from pipeline.engine.outcome_writer import OutcomeWriter
from pipeline.engine.store_retry import AwaySteps, LookPace, retry_while_away
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import Applied, Database

T = TypeVar("T")
_log = log.get("engine")
_DEFAULT = Policy()
_SET_BACK = 5.0  #: seconds by which a clock is set back that matter; less is its usual correction
_IDLE_SECONDS = 30.0  #: between looks when nothing is due; wake-ups make it shorter


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How wide and how patient the pool is. Times in seconds."""

    owner: str
    widths: Mapping[Lane, int]
    lease: float = 120.0
    in_hand: int = 200  #: most videos in the provider's hands at once: uploads wait for polls
    patience: float = 600.0  #: a lane that is parked for longer is not waited for: the run may end without it
    horizon: float = 3600.0  #: what falls due later than this is not waited for: the run may end without it, too
    stop_grace: float = 20.0
    store_patience: float = 30.0  #: a database that does not answer is waited for so long, then the run ends
    #: Other processes work on the queue; what owners of our own earlier ones begin with. Empty: we are alone.
    family: str = ""
    gone_after: float = 900.0  #: seconds without a sign after which another host counts as gone
    stays: bool = False  #: it never ends by itself, and waits for what others leave to it


class Pool:
    """Runs a queue until nothing is left that this run can do."""

    def __init__(
        self,
        store: Database,
        task_types: TaskTypes,
        clock: Clock,
        rng: Random,
        options: PoolOptions,
        budget: BudgetGuard | None = None,
    ) -> None:
        self._store = store
        self._task_types = task_types
        self._clock = clock
        self._rng = rng
        self._options = options
        self.metrics = PoolMetrics(options.widths)
        self.run_end = RunEnd()
        self.observer = PoolObserver()
        host = options.family.rstrip(":")
        self.neighbours = Neighbours(store, clock, host, options.gone_after)
        patience, polls = options.patience, self.neighbours.polls
        self._admission = LaneAdmission(
            self.metrics, clock, rng, self.run_end, polls, in_hand=options.in_hand, patience=patience, host=host
        )
        self._leases = LeaseManager(store, clock, options.lease)
        self._pace = LookPace()
        self._away = AwaySteps(options.store_patience)
        self._budget = budget
        patience = options.store_patience
        self._writer = OutcomeWriter(store, task_types, clock, rng, patience=patience, halt=self.halt, budget=budget)
        self._parks = anyio.Lock()  # a park is written whole before or behind a look at the rows
        self._wake = anyio.Event()
        self._halted = anyio.Event()
        self._feeding = 0
        self._stopping = False

    # ------------------------------------------------------------------------------------------ from outside

    async def submit(self, tasks: Sequence[NewTask]) -> int:
        """Queue tasks and wake the pool; return how many changed.

        It waits for a busy database. What changed is new or restarted.
        """
        placed = [self._task_types.place(task) for task in tasks]
        changed = await self._insist(lambda: self._store.submit(placed, self._clock.now()))
        if changed:
            for entry in placed:
                self.metrics.submitted(entry.lane)
            self.wake()
        return changed

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        """Carry out an operator's command; return how many tasks changed.

        It waits for a busy database.
        """
        return await self._insist(lambda: self._store.command(verb, which, now))

    def feeding(self, change: int) -> None:
        """Count feeders: the pool does not end while one works."""
        self._feeding += change
        self.wake()

    def wake(self) -> None:
        """Look for due work now."""
        self._wake.set()

    def stop(self, *, now: bool = False, time_up: bool = False) -> None:
        """Claim nothing more; with ``now``, cancel running steps too. Every task goes back uncounted.

        ``time_up``: nobody has asked for it; the run's time is over.
        """
        if time_up:
            self.run_end.time_up = True
        else:
            self.run_end.interrupted = True
        self.halt()
        if now:
            self._leases.cancel_all()

    @property
    def waits(self) -> list[Parked]:
        """The lanes that wait, with the reason and the end."""
        return self._admission.told()

    @property
    def stopping(self) -> bool:
        """True once no new work is taken."""
        return self._stopping

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call to the database until it goes through, or patience ends."""
        return await retry_while_away(call, self._clock, self._options.store_patience)

    # --------------------------------------------------------------------------------------------- the loop

    async def take_over(self) -> int:
        """Give back a dead predecessor's tasks; only under the state folder's lock."""
        orphans = await self._insist(lambda: self._store.expired(None, self._options.family))
        for task in orphans:
            await self._lose(task)
        if orphans:
            _log.info("engine.taken_over", tasks=len(orphans))
        return len(orphans)

    async def run(self) -> RunEnd:
        """Take over a predecessor's tasks; work until nothing is left, or until stopped."""
        try:
            await self.take_over()
            await self._bring_forward()
            self.metrics.start_from(await self._insist(self._store.counts))
        except StoreError as error:
            self.halt(error.trouble)
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as workers:
                group.start_soon(self._leases.run)
                group.start_soon(self._sweep)
                group.start_soon(self._listen)
                group.start_soon(self.neighbours.polls.run, self.wake, self._can_poll)
                await self._claim_until_done(workers)
                await self.neighbours.polls.end()
                await self._drain()
            group.cancel_scope.cancel()
        return self.run_end

    def _can_poll(self) -> bool:
        return not self._stopping and self._options.widths.get(Lane.POLL, 0) > 0

    async def _bring_forward(self) -> None:
        """Shorten the waits that a clock has lengthened by being set back."""
        number = await self._insist(lambda: self._store.bring_forward(self._clock.now()))
        if number:
            _log.warning("engine.clock_was_set_back", tasks=number, why="they would wait for as long as it was ahead")
            self.wake()
        await self._insist(self._see_parks)

    async def _see_parks(self) -> None:
        """Look which lanes are parked; another process may have parked or opened one."""
        async with self._parks:
            self._admission.see(await self._store.parked(self._clock.now()))

    async def _claim_until_done(self, workers: TaskGroup) -> None:
        waits = AwayPatience(self._options.store_patience)
        while not self._stopping:
            self._wake = anyio.Event()
            try:
                if not await self._claim(workers) and not await self._wait():
                    return
                waits = AwayPatience(self._options.store_patience)
            except DatabaseAway as error:
                delay = waits(1, error)
                self._leases.note_away()
                _log.warning("store.away", why=str(error), after=delay)
                if delay is None:
                    self.halt(error.trouble)
                with anyio.move_on_after(delay):
                    await self._halted.wait()
            except StoreError as error:
                self.halt(error.trouble)

    async def _claim(self, workers: TaskGroup) -> bool:
        if self._options.family and self._admission.over_budget:
            await self._look_for_money()
        self._admission.end_budget_round()
        free_slots = self._free_slots()
        if not any(free_slots.values()):
            return False
        asked, now = self._clock.monotonic(), self._clock.now()
        until, caps = now + self._options.lease, self._admission.caps
        tasks = await self._store.claim(free_slots, self._options.owner, now, until, caps)
        for task in tasks:
            self.metrics.began(task)
            lease = self._leases.hold(task, anyio.CancelScope(), asked)
            workers.start_soon(self._work, lease)
        return bool(tasks)

    async def _look_for_money(self) -> None:
        """Look what others have left of a spent budget, or may free."""
        if self._budget is not None and await self._budget.look(self._store):
            self._admission.note_freed()
        if self._admission.idle_over_budget:
            self.metrics.start_from(await self._store.counts())

    def _free_slots(self) -> dict[Lane, int]:
        return self._admission.free_slots(self._options.widths)

    async def _wait(self) -> bool:
        """Sleep until something can have changed; False when nothing is left to wait for."""
        if self._wake.is_set():
            return True
        delay = await self._delay()
        if delay is None:
            return False
        with anyio.move_on_after(self._pace.wait(delay)):
            await self._wake.wait()
        return True

    async def _delay(self) -> float | None:
        """Return how long to wait for work; None when nothing is left."""
        delay = await self._until_due()
        if delay is None and self._options.stays:
            self._admission.begin_anew()  # what has closed a lane for a run does not close it for good
            self.run_end.later = None
            return _IDLE_SECONDS
        return delay

    async def _until_due(self) -> float | None:
        await self._see_parks()
        now = self._clock.now()
        busy = bool(len(self._leases) or self._feeding)
        soonest = [_IDLE_SECONDS, *self._admission.pauses()]
        # A full lane needs no timer: a worker's end wakes us.
        due = await self._store.next_due([lane for lane, free in self._free_slots().items() if free])
        if due is not None and due - now <= self._options.horizon:
            return min([*soonest, max(0.0, due - now)])
        if busy or await self._paused_work():
            return min(soonest)
        delay = await self._recount(now)
        # What others are at work on may be ours yet: they may die, and what they make may be for all.
        others = delay is None and self._options.family and await self.neighbours.at_work(self._options.horizon)
        return min(soonest) if others else delay

    async def _recount(self, now: float) -> float | None:
        """Count again before ending: a lane may only look full because we miscounted."""
        if await self._store.next_due(self._admission.not_closed()) is None:
            return None
        self.metrics.start_from(await self._store.counts())
        # What is due in a lane without free slots waits for a lane that this run does not open again.
        due = await self._store.next_due([lane for lane, free in self._free_slots().items() if free])
        if due is not None and due - now > self._options.horizon:
            self.run_end.later = due
            return None
        return None if due is None else max(0.0, due - now)

    async def _paused_work(self) -> bool:
        lanes = self._admission.paused()
        return bool(lanes) and await self._store.next_due(lanes) is not None

    async def _drain(self) -> None:
        """Let running steps finish within the grace; then give the rest back."""
        if not len(self._leases):
            return
        if self._stopping:
            with anyio.move_on_after(self._options.stop_grace):
                while len(self._leases):
                    self._wake = anyio.Event()
                    await self._wake.wait()
            self._leases.cancel_all()

    async def _sweep(self) -> None:
        """Cleanup: give back tasks whose lease ran out; count the queue again.

        Where the clock was set back meanwhile, shorten the waits.
        """
        ahead = self._clock.now() - self._clock.monotonic()
        while True:
            await self._clock.sleep(self._options.lease / 4)
            try:
                before, ahead = ahead, self._clock.now() - self._clock.monotonic()
                if ahead < before - _SET_BACK:
                    await self._bring_forward()
                for task in await self._leases.find_abandoned():
                    await self._lose(task)
                await self._see_parks()
                self.metrics.start_from(await self._store.counts())
            except DatabaseAway as error:
                self._leases.note_away()
                _log.warning("store.away", why=str(error))
            except StoreError as error:
                self.halt(error.trouble)

    async def _listen(self) -> None:
        """Look again whenever another process may have left work."""
        while True:
            try:
                await self._store.news()
            except DatabaseAway:
                await self._clock.sleep(_IDLE_SECONDS)
            except StoreError as error:
                self.halt(error.trouble)
                return
            self.wake()

    # ------------------------------------------------------------------------------------------- one worker

    async def _work(self, lease: HeldLease) -> None:
        task = lease.task
        started = self._clock.monotonic()
        outcome: Outcome | None = None
        stage = self._stage(task)
        with lease.scope:
            if stage is None:
                outcome = Fail(unknown_stage(task))
            else:
                with self.observer.working(task):
                    outcome = await run_step(
                        stage, task, lambda: self._leases.ensure_fresh(lease), self._clock, self._away
                    )
        if not isinstance(outcome, Park):  # a Park closes its lane before its slot is given away
            self._release_slot(lease)
        if lease.lost:
            self._forget(lease, "dropped")
            await self.observer.ended(task, None)
            return
        move = self._decided(task, stage, outcome, stopped=lease.scope.cancelled_caught or lease.overslept)
        with anyio.CancelScope(shield=True):
            written = await self._writer.write(task, move)
            if isinstance(written, Trouble):  # another process has spent what was reserved here
                outcome = Park("budget", self._clock.now(), written)
                move = self._decided(task, stage, outcome, stopped=False)
                written = await self._writer.write(task, move)
            if isinstance(outcome, Park):
                await self._park(outcome, task, stage)
        applied = written if isinstance(written, Applied) else None
        log_attempt(
            task, applied.move if applied else move, outcome, applied is not None, self._clock.monotonic() - started
        )
        self._forget(lease, applied.move.word if applied else "dropped", applied)
        await self.observer.ended(task, applied)

    def _decided(self, task: Task, stage: Stage | None, outcome: Outcome | None, *, stopped: bool) -> Transition:
        now, policy = self._clock.now(), _policy(stage)
        if outcome is not None:
            return decide(task, outcome, now, policy, self._rng)
        # A lease too old to act on may still be ours to give back; if it is not, the database refuses.
        return released(task, now) if stopped else lost(task, now, policy, self._rng)

    def _release_slot(self, lease: HeldLease) -> None:
        """Give the slot away: the next step need not wait for this commit."""
        if not lease.step_over:
            lease.step_over = True
            self.metrics.step_over(lease.task)
            self.wake()

    def _forget(self, lease: HeldLease, word: str, applied: Applied | None = None) -> None:
        self._release_slot(lease)
        self._leases.release(lease)
        lane = applied.lane if applied is not None and applied.move.wake_at is not None else None
        self.metrics.ended(lease.task, word, lane, self._clock.monotonic())
        self._admission.note_outcome(lease.task.kind, lease.task.lane, word)
        for placed in applied.spawn if applied is not None else ():
            self.metrics.submitted(placed.lane)
        self.wake()

    def _stage(self, task: Task) -> Stage | None:
        try:
            return self._task_types.stage(task)
        except KeyError:
            return None

    async def _lose(self, task: Task) -> None:
        stage = self._stage(task)
        moved = lost(task, self._clock.now(), _policy(stage), self._rng)
        applied = await self._writer.write(task, moved, by_holder=False)
        if isinstance(applied, Applied):
            _log.warning("lease.lost", kind=task.kind, key=task.key, stage=task.stage, attempt=applied.move.attempt)

    # ----------------------------------------------------------------------------------------------- parking

    async def _park(self, park: Park, task: Task, stage: Stage | None) -> None:
        if park.scope.startswith("run:"):
            self.halt(park.trouble, park.scope.removeprefix("run:"))
            return
        async with self._parks:
            parked = self._admission.park(park, task.kind, _policy(stage))
            if parked is None:
                return
            try:
                await self._insist(lambda: self._store.park(parked, self._clock.now()))
            except StoreError as error:
                self.halt(error.trouble)
        if parked.until - self._clock.now() > self._options.patience:
            _log.warning("lane.parked", lane=parked.scope, until=parked.until, why=park.trouble.message)

    def halt(self, trouble: Trouble | None = None, cause: str = "store") -> None:
        """Claim nothing more and let running steps finish.

        The report shows the first trouble and its cause.
        """
        if trouble is not None and self.run_end.halted is None:
            self.run_end.halted, self.run_end.cause = trouble, cause
            _log.error("run.halted", code=trouble.code, why=trouble.message, remedy=trouble.remedy)
        self._stopping = True
        self._halted.set()
        self.wake()


def _policy(stage: Stage | None) -> Policy:
    return _DEFAULT if stage is None else stage.policy
