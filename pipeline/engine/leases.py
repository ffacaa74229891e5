"""Leases and their heartbeat: what proves that a running task is still ours."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseAway, LostLease, StoreError
from pipeline.core.model import Task
from pipeline.ports.store import Store


@dataclass(slots=True)
class HeldLease:
    """The lease on one running task: its scope, and when it was confirmed."""

    task: Task
    scope: anyio.CancelScope
    confirmed: float  #: monotonic seconds
    until: float  #: epoch seconds at which the database lets others have the task
    lost: bool = False
    overslept: bool = False  #: by the wall clock it ended unseen: the machine slept, or its clock was put forward
    step_over: bool = False  #: the step has ended; its outcome is being written


class LeaseManager:
    """Renews the leases of tasks in flight (the heartbeat); notices lost ones.

    A step may pay only while its lease was confirmed less than half a lifetime ago; HTTP timeouts are shorter than the
    other half, so a process that was frozen and woken does not pay for what another has taken over. Nor does it pay once
    the lease's end has passed: where the monotonic clock stands still while a machine sleeps or a virtual machine is
    paused, only the wall clock tells. Of a shared database's time, ``ServerClock`` adds that to the monotonic one.
    """

    def __init__(self, store: Store, clock: Clock, lifetime: float) -> None:
        self._store = store
        self._clock = clock
        self.lifetime = lifetime
        self._leases: dict[int, HeldLease] = {}
        self._away_at = float("-inf")  #: monotonic seconds of the last call that the database did not answer

    def __len__(self) -> int:
        return len(self._leases)

    def hold(self, task: Task, scope: anyio.CancelScope, confirmed: float) -> HeldLease:
        """Start to renew a claimed task.

        ``confirmed`` is the monotonic time just before the claim was sent.
        """
        before = self._leases.get(task.id)
        if before is not None:  # taken away and given out again before we noticed
            self._lose(before)
        until = task.lease.until if task.lease is not None else self._clock.now()
        lease = HeldLease(task, scope, confirmed, until)
        self._leases[task.id] = lease
        return lease

    def release(self, lease: HeldLease) -> None:
        """Stop renewing it; a newer lease on the same task stays."""
        if self._leases.get(lease.task.id) is lease:
            del self._leases[lease.task.id]

    def ensure_fresh(self, lease: HeldLease) -> None:
        """Raise LostLease unless the lease is ours and young enough to pay on."""
        if lease.lost or self._clock.monotonic() - lease.confirmed > self.lifetime / 2:
            raise LostLease("The lease is too old to make a paid call on.")
        if self._clock.now() > lease.until:
            lease.overslept = True
            raise LostLease("By the clock the lease has ended, perhaps while the machine slept.")

    def note_away(self) -> None:
        """Take note that the database did not answer."""
        self._away_at = self._clock.monotonic()

    async def find_abandoned(self) -> list[Task]:
        """Return tasks whose lease ran out, but for those at work here.

        None within one lifetime after the database was away: nobody could renew then, and an old lease says nothing.
        """
        if self._clock.monotonic() - self._away_at < self.lifetime:
            return []
        # A living worker's lease only looks expired when the wall clock has jumped, or renewing failed.
        return [task for task in await self._store.expired(self._clock.now()) if task.id not in self._leases]

    def cancel_all(self) -> None:
        """Cancel every running step; each gives its task back."""
        for lease in list(self._leases.values()):
            lease.scope.cancel()

    async def run(self) -> None:
        """Renew for ever, three times a lifetime."""
        while True:
            await self._clock.sleep(self.lifetime / 3)
            await self.renew()

    async def renew(self) -> None:
        """Extend all leases once; cancel the steps whose task is no longer ours."""
        leases = list(self._leases.values())
        if not leases:
            return
        sent, until = self._clock.monotonic(), self._clock.now() + self.lifetime
        try:
            ours = await self._store.renew([lease.task for lease in leases], until)
        except (DatabaseAway, StoreError):
            self.note_away()
            return  # the database is busy or full: the leases age, and no step pays on an old one
        for lease in leases:
            if lease.task.id in ours:
                lease.confirmed, lease.until = sent, until
            elif self._leases.get(lease.task.id) is lease:
                self._lose(lease)

    def _lose(self, lease: HeldLease) -> None:
        lease.lost = True
        lease.scope.cancel()
