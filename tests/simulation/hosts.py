"""Several machines on one database: what each of them has of its own, what befalls one of them, and a night of them all.

The database is a server with a clock of its own, which all follow; the wall clocks of the machines go as they like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any

import anyio

from pipeline.core.errors import DatabaseAway
from pipeline.views import RunReport
from tests.simulation.ledger import Broken
from tests.simulation.schedule import Fault, Line, Schedule
from tests.simulation.watch import Reach
from tests.simulation.wire import LIFE, Life, Machine
from tests.support.clock import EPOCH, VirtualClock

if TYPE_CHECKING:
    from tests.simulation.world import World

_SKEWS = (0.0, 0.0, 3.0, -70.0, 3600.0)  #: seconds by which a machine's wall clock may be wrong
_TELLING = frozenset(("submit", "apply", "park", "unpark", "command"))  #: after which the others look again
_LIVES = 12  #: of one machine in a night


class MortalClock(VirtualClock):
    """The clock of one life: nobody wakes after death."""

    def __init__(self, world: World, life: Life) -> None:
        super().__init__()
        self._world, self._life, self._machine = world, life, life.machine

    def now(self) -> float:
        return super().now() + self._machine.skew

    def monotonic(self) -> float:
        return super().monotonic() - self._machine.stood

    async def sleep(self, seconds: float) -> None:
        self._life.check()
        await anyio.sleep(seconds)
        self._life.check()


class SharedReach(Reach):
    """One host's way to the database: it may be cut off, and hears of what the others have written."""

    def __init__(self, world: World, life: Life) -> None:
        super().__init__(world.databases[life.state], life, world.accidents)
        self._world = world
        life.heard = asyncio.Event()

    def serve(self, host: str) -> None:
        """Be the one of this host."""

    def know(self, steps: object) -> None:
        """Claim whatever is due: all hosts are of one release."""

    async def time(self) -> float:
        """Return the server's time."""
        self._life.check()
        await anyio.lowlevel.checkpoint()
        self._check_line()
        return EPOCH + self._world.elapsed()

    async def news(self) -> None:
        """Wait for what others have written."""
        assert self._life.heard is not None
        self._check_line()
        await self._life.heard.wait()
        self._life.heard.clear()
        self._life.check()
        self._check_line()

    def _trouble(self) -> None:
        if not self._life.answer_lost:
            self._check_line()
        super()._trouble()

    def _answered(self, name: str) -> None:
        if name in _TELLING:
            self._world.company.tell_others(self._life)
        self._life.answer_lost = False
        self._check_line()

    def _check_line(self) -> None:
        if self._world.elapsed() < self._life.away_until:
            raise DatabaseAway("The database does not answer.", code="database_away")


class Hosts:
    """The machines of a world."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self._world, self._schedule = world, schedule
        self._rng = Random(f"machines {schedule.seed}")
        self._runs: dict[str, Machine] = {}
        alone = schedule.hosts == 1
        self.machines = [Machine()] if alone else [self._machine(number) for number in range(schedule.hosts)]

    def _machine(self, number: int) -> Machine:
        return Machine(f"host-{number}", self._rng.choice(_SKEWS))

    def reach(self, life: Life) -> Any:
        """Return a life's way to the database."""
        world = self._world
        return SharedReach(world, life) if life.machine.name else Reach(world.database, life, world.accidents)

    def note_run(self, run: str, life: Life) -> None:
        """Note the name of a run: in the history and in the ledger, no two hosts have one, whoever starts when.

        Raises:
            Broken: another host's has it. Of one host, processes have different numbers; here all have one.
        """
        if self._runs.setdefault(run, life.machine) is not life.machine:
            raise Broken(f"two runs have one name: {run}")

    def victim(self, living: Sequence[Life]) -> Life:
        """Return whom it befalls."""
        return living[0] if len(living) == 1 else self._rng.choice(living)

    def tell_others(self, writer: Life) -> None:
        """Wake all that listen, but for whom is cut off."""
        for life in self._world.living:
            if life is not writer and life.heard is not None and self._world.elapsed() >= life.away_until:
                life.heard.set()

    # ---------------------------------------------------------------------------------------------------- accidents

    def befall(self, fault: Fault, life: Life) -> None:
        """Freeze a process, put its machine to sleep, or cut it off from the database."""
        if self._world.accidents.calm or life.held is not None:
            return
        if fault.what == "away":
            life.away_until, life.answer_lost = self._world.elapsed() + fault.size, self._rng.random() < 0.5
            if life.heard is not None:
                life.heard.set()
            return
        loop = self._world.loop
        life.held = loop.hold(lambda context: _is_of(context, life))
        loop.call_later(fault.size, self._go_on, life, fault)

    def freeze_senders(self, living: Sequence[Life]) -> None:
        """Freeze those whose call has just been sent."""
        for life in living:
            size, life.freezes_for = life.freezes_for, 0.0
            if size and not life.dead:
                self._world.tell(f"           {life.machine.name} freezes for {size:g}")
                self.befall(Fault("hosts", 0, "freeze", size), life)

    def _go_on(self, life: Life, fault: Fault) -> None:
        if life.held is None or life.dead:
            return
        if fault.what == "pause":  # the machine's wall clock was put right meanwhile
            life.machine.stood += fault.size
            life.machine.skew += fault.size
        self._world.tell(f"           {life.machine.name} goes on")
        life.held.let_go(fault.size if fault.what in ("suspend", "pause") else 0.0)
        life.held = None

    # -------------------------------------------------------------------------------------------------------- nights

    async def night(self, night: int) -> None:
        """Let all machines work through a night, each until it finds no more to do."""
        self._world.note(f"night {night} of {len(self.machines)} hosts")
        loop = asyncio.get_running_loop()
        works = [loop.create_task(self._host(night, number)) for number in range(len(self.machines))]
        done, others = await asyncio.wait(works, return_when=asyncio.FIRST_EXCEPTION)
        if others:
            for life in self._world.living:
                life.die()
            await asyncio.gather(*others, return_exceptions=True)
        for work in done:
            work.result()

    async def _host(self, night: int, number: int) -> None:
        world, machine = self._world, self.machines[number]
        await asyncio.sleep(number and self._rng.choice((0.0, 0.0, 1.0, 40.0, 500.0)))
        lines = self._lines(night, number)
        for _ in range(_LIVES):
            report = await world.live(night, machine=machine, lines=lines)
            fault = world.accidents.next("between")
            if fault is not None:
                await world.operator.act(fault, night)
            if isinstance(report, RunReport):
                if report.exit_code in (0, 3, 5):
                    return
                if report.resume_at is not None:
                    await asyncio.sleep(min(90_000.0, max(0.0, report.resume_at - world.wall())))
            await asyncio.sleep(world.rng.choice((1.0, 1.0, 1.5, 20.0, 300.0)))

    def _lines(self, night: int, number: int) -> Sequence[Line]:
        lines = self._schedule.nights[night]
        if self._schedule.lists == "split":
            return lines[number :: self._schedule.hosts]
        return lines if self._schedule.lists == "same" or number == 0 else ()


def _is_of(context: Context, life: Life) -> bool:
    return context.get(LIFE) is life
