"""Worlds in which the program has a fault, to prove that the simulation can fail."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal

from pipeline.app.runs.session import RunSession
from pipeline.core.model import Lane, Selection, Task
from pipeline.ports.inventory import RemoteObject
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, LaneCaps
from tests.simulation.watch import Watched, WatchedDisk
from tests.simulation.world import Labelled, World
from tests.support.disk import File, Folder


class _ActsAgain(Watched):
    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        return [replace(task, claims=1) for task in await super().claim(free_slots, owner, now, until, caps)]


class ActsWithoutAsking(World):
    """A stage that was claimed before acts as if it were the first time."""

    def new_database(self) -> Watched:
        return _ActsAgain(self.disk.published)


class _Unfenced(Watched):
    def _holds(self, fence: tuple[int, str, int]) -> bool:
        return fence[0] in self._running


class WritesUnderALostLease(World):
    """The database takes an outcome from whoever brings it."""

    def new_database(self) -> Watched:
        return _Unfenced(self.disk.published)


class _LosesSpawn(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        return await super().apply(replace(applied, spawn=[p for p in applied.spawn if p.new.kind != "publish"]), now)


class LosesATask(World):
    """What a step wants done next is not queued."""

    def new_database(self) -> Watched:
        return _LosesSpawn(self.disk.published)


class _KeepsNoBooks(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        return await super().apply(replace(applied, move=replace(applied.move, spend=())), now)


class PaysOffTheBooks(World):
    """A paid call is made that the ledger does not know of."""

    def new_database(self) -> Watched:
        return _KeepsNoBooks(self.disk.published)


class _NeverInDoubt(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        sure = [replace(spend, doubtful=False) for spend in applied.move.spend]
        return await super().apply(replace(applied, move=replace(applied.move, spend=sure)), now)


class HidesItsDoubts(World):
    """A question is put twice, and nobody is told."""

    def new_database(self) -> Watched:
        return _NeverInDoubt(self.disk.published)


class _ForgetsClaims(Watched):
    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        if verb == "retry":
            for line in self._selected(which):
                line.claims = line.claims if line.state.value in ("pending", "running", "done") else 0
            self._change()
        return await super().command(verb, which, now)


class ForgetsAtTheOperatorsWord(World):
    """An operator's retry makes a stage fresh that may have acted."""

    def new_database(self) -> Watched:
        return _ForgetsClaims(self.disk.published)


class _NoSync(WatchedDisk):
    def fsync(self, fd: int) -> None:
        if isinstance(self._open[fd], Folder):
            super().fsync(fd)


class ShowsBeforeItIsSafe(World):
    """A file gets its name before its content is on the disk."""

    def new_disk(self, mount: str) -> WatchedDisk:
        return _NoSync(mount)


class _NoFolderSync(WatchedDisk):
    def fsync(self, fd: int) -> None:
        if isinstance(self._open[fd], File):
            super().fsync(fd)


class SaysDoneTooEarly(World):
    """A video counts as written before its files' names are on the disk."""

    def new_disk(self, mount: str) -> WatchedDisk:
        return _NoFolderSync(mount)


class _Forgetful(Labelled):
    @property
    def inventory(self) -> Any:
        """The account, as if nothing were in it."""
        return _Empty(self._api.inventory)


class _Empty:
    def __init__(self, inventory: Any) -> None:
        self._inventory = inventory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inventory, name)

    async def objects(self, *_args: Any, **_narrowed: Any) -> AsyncGenerator[Sequence[RemoteObject], None]:
        for page in ():
            yield page


class AdoptsNothing(World):
    """What a lost state folder has left in the account is not looked for."""

    def build(self, settings: Any, shared: Any, api: Any, rng: Random, adapters: Any) -> RunSession:
        return super().build(settings, shared, _Forgetful(api), rng, adapters)


class _ReservesWhatIsExpected(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        hoped = [
            spend if spend.settlement or spend.refund else replace(spend, usd=spend.estimate)
            for spend in applied.move.spend
        ]
        return await super().apply(replace(applied, move=replace(applied.move, spend=hoped)), now)


class ReservesTooLittle(World):
    """What is reserved before a call is what one hopes for, not what it can cost."""

    def new_database(self) -> Watched:
        return _ReservesWhatIsExpected(self.disk.published)


class _SettlesTwice(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        again = [replace(spend, key=f"{spend.key}/twice/settled") for spend in applied.move.spend if spend.settlement]
        spends = [*applied.move.spend, *again]
        return await super().apply(replace(applied, move=replace(applied.move, spend=spends)), now)


class FreesMoneyTwice(World):
    """What an answer did not use is given back two times."""

    def new_database(self) -> Watched:
        return _SettlesTwice(self.disk.published)


class _DropsAnyAnswer(Watched):
    async def drop_answers(self, ids: Sequence[int]) -> int:
        return await super().drop_answers([each.id for each in await self.answers(1e12, 0, 10**6)])


class PrunesWhatIsNeeded(World):
    """Answers go that are not split yet."""

    def new_database(self) -> Watched:
        return _DropsAnyAnswer(self.disk.published)


class _SendsBatchesAgain(Watched):
    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        tasks = await super().claim(free_slots, owner, now, until, caps)
        return [replace(task, claims=1) if task.kind == "batch" else task for task in tasks]


class SendsABatchWithoutAsking(World):
    """A batch whose sending was cut off is sent again at once."""

    def new_database(self) -> Watched:
        return _SendsBatchesAgain(self.disk.published)


class _ForAnyone(Watched):
    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        return await super().expired(now)


class TakesOverWhatIsAlive(World):
    """A host that starts takes every lease for one of its own dead process."""

    hosts = 3

    def new_database(self) -> Watched:
        return _ForAnyone(self.disk.published)


class _SweepsAll(WatchedDisk):
    def uname(self) -> Any:
        return os.uname()


class SweepsWhatOthersWrite(World):
    """A host takes the unfinished files of another for those of its own dead process."""

    hosts = 3

    def new_disk(self, mount: str) -> WatchedDisk:
        return _SweepsAll(mount)


#: Every planted fault, how the simulation words what it sees, and the seed from which on it is looked for: near the first
#: of all seeds that sees it, so that the proof costs little.
PLANTED: Sequence[tuple[type[World], str, int]] = (
    (ActsWithoutAsking, "twice", 1),
    (WritesUnderALostLease, "lost lease", 312),
    (LosesATask, "never written", 1),
    (PaysOffTheBooks, "not in our ledger", 1),
    (HidesItsDoubts, "twice", 45),
    (ForgetsAtTheOperatorsWord, "twice", 296),
    (ShowsBeforeItIsSafe, "before it was safe", 1),
    (SaysDoneTooEarly, "not safe on the disk", 1),
    (AdoptsNothing, "because the state was lost", 12),
    (ReservesTooLittle, "more than our ledger holds", 1),
    (FreesMoneyTwice, "more than our ledger holds", 1),
    (PrunesWhatIsNeeded, "stored answer is missing", 190),
    (SendsABatchWithoutAsking, "twice", 196),
    (TakesOverWhatIsAlive, "what another holds", 1),
    (SweepsWhatOthersWrite, "nothing has befallen the disk", 1),
)
