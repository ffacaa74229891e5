"""One seed in a loop of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.simulation.ledger import Broken
from tests.simulation.schedule import Schedule
from tests.simulation.wire import unwire
from tests.simulation.world import Told, World, clips
from tests.support.clock import run_virtual
from tests.support.disk import MemoryDisk

_numbers = count(1)


class Failed(Exception):
    """A promise was broken in this seed."""


def quietly(_text: str) -> None:
    """Say nothing."""


def one(schedule: Schedule, folder: Path, note: Callable[[str], None] = quietly, make: type[World] = World) -> Told:
    """Live through a schedule; return how it went.

    Raises:
        Failed: a promise is broken.
    """
    shared, own = folder / "clips", folder / f"world-{next(_numbers)}"
    made = (
        sorted(shared.glob("*.mp4"), key=lambda path: int(path.stem.split()[1])) if shared.exists() else clips(shared)
    )
    own.mkdir(parents=True)

    async def go() -> Told:
        return await make(schedule, own, made, note).go()

    try:
        return run_virtual(go())
    except Broken as error:
        raise Failed(str(error)) from error
    finally:
        unwire()
        MemoryDisk.unmount()
        shutil.rmtree(own)
