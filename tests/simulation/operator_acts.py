"""The operator of a simulated world: cancels, retries, prunes, removes, and has finished items asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.app.items.ask_again import AskAgain
from pipeline.app.upkeep.prune import Pruning
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.core.model import Selection, State, Task
from pipeline.ingest.ending.note import note_recalls
from pipeline.sink.disk import DiskSink
from tests.simulation.hosts import MortalClock
from tests.simulation.schedule import LOSSES, Fault
from tests.simulation.vendor_v1_3 import base_of
from tests.simulation.wire import Life, Machine
from tests.support.clock import VirtualClock
from tests.support.fakes import Crash

if TYPE_CHECKING:
    from tests.simulation.world import World


class Operator:
    """Whoever types commands between two lives."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def act(self, fault: Fault, night: int) -> None:
        """Do what is to happen between two lives; where hosts share a database, others may be at work."""
        what = fault.what
        self._world.note(f"operator: {what}")
        items = await self._world.database.tasks(Selection(kinds=("item",)))
        if what in LOSSES:
            self._world.lose(what)
        elif self._world.living and what in ("remove results", "prune"):
            self._world.note("others are at work")
        elif what == "remove results":
            folders = [name for name in sorted(self._world.disk.root.names) if "--" in name]
            if folders:
                self._world.disk.remove(self._world.rng.choice(folders))
        elif what == "prune":
            await self._prune()
        elif items and what.startswith("cancel"):
            undone = {t.subject for t in await self._world.database.tasks(Selection()) if t.state is not State.DONE}
            await self._command(
                "cancel", self._world.rng.choice([item for item in items if item.subject in undone] or items)
            )
        elif items and what == "again":
            for _ in range(int(fault.size)):  # typed twice before the run, it is one new call
                await self._again(self._world.rng.choice(items) if fault.size == 1 else items[0], night)
        if what.endswith("retry"):
            await self.retry()

    async def _prune(self) -> None:
        """Take away every answer that nothing needs, and all but the newest runs, in a process that may die of it."""
        settings = self._world.settings(0, calm=False)
        self._world.life = Life(state=len(self._world.databases) - 1, number=self._world.lives, wall=self._world.wall)
        with self._world.wired():
            pruning = Pruning(settings, self._world.database, DiskSink(settings.run.output), VirtualClock())
            found = await pruning.find(-1e9, 10)
            self._world.note(f"pruned {[(line.what, line.count, line.kept) for line in found.lines]}")
            try:
                await pruning.carry_out()
            except (Crash, OSError) as error:
                self._world.note(f"it did not get to its end: {error}")

    async def _again(self, item: Task, night: int) -> None:
        """Have a finished item asked again, whatever stands in its way."""
        asker = AskAgain(make_run_plan(self._world.settings(night, calm=False)), self._world.database, self._clock())
        found = await asker.look([item.key], [])
        await asker.set()
        if found.jobs:
            (video,) = await self._world.database.tasks(Selection(kinds=("video",), keys=(item.subject,)))
            self._world.ledger.rounds[video.data.get("external") or base_of(video.data.get("name", ""))] += 1
        self._world.note(f"again: {[(row.jobs, row.already, row.left) for row in found.rows]}")

    def _clock(self) -> VirtualClock:
        """Return the clock that stands in the database."""
        machine = self._world.company.machines[0] if self._world.schedule.hosts == 1 else Machine()
        return MortalClock(self._world, Life(machine=machine))

    async def _command(self, verb: Any, item: Task) -> None:
        await self._excuse(item.subject)
        if verb == "cancel" and item.subject:
            await note_recalls(
                self._world.database, await self._world.database.tasks(Selection(subjects=(item.subject,)))
            )
        await self._world.database.command(verb, Selection(kinds=("item",), keys=(item.key,)), self._world.wall())
        if item.subject:
            kinds = ("video", "analysis", "publish", "indexing")
            await self._world.database.command(
                verb, Selection(kinds=kinds, subjects=(item.subject,)), self._world.wall()
            )

    async def retry(self) -> int:
        """Be the operator who lets everything go on."""
        await self._excuse()
        return await self._world.database.command("retry", Selection(), self._world.wall())

    async def _excuse(self, *subjects: str) -> None:
        """What is held when an operator decides about it may be paid again."""
        videos = {task.key: task for task in await self._world.database.tasks(Selection(kinds=("video",)))}
        for task in await self._world.database.tasks(Selection(subjects=subjects)):
            if task.state is State.HELD:
                data = videos[task.subject or task.key].data
                self._world.ledger.excused.add(data.get("external") or base_of(data.get("name", "")))
