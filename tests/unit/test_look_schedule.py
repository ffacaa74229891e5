"""How long a lost call is looked for, by what was seen of the platform."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.ingest.look_schedule import LookSchedule
from tests.support.clock import VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase


async def _waits(schedule: LookSchedule) -> list[float]:
    waits: list[float] = []
    while (wait := schedule.after(len(waits), "lost")) is not None:
        waits.append(wait)
    return waits


async def _opened(database: MemoryDatabase, platform: str = "vendor") -> LookSchedule:
    schedule = LookSchedule(5.0, VirtualClock(), database, platform)
    await schedule.open()
    return schedule


def test_the_next_run_waits_for_what_the_last_one_saw() -> None:
    """Three times the longest lag, on this platform only; a shorter one later does not shorten it."""

    async def go() -> None:
        database = MemoryDatabase()
        first = await _opened(database)
        assert await _waits(first) == [5.0, 15.0, 45.0, 120.0]
        await first.learn(3, 170.0)
        await first.learn(1, 20.0)
        assert await _waits(await _opened(database)) == [5.0, 15.0, 45.0, 120.0, 3 * 170.0 - 185.0]
        assert await _waits(await _opened(database, "another")) == [5.0, 15.0, 45.0, 120.0]

    run_virtual(go())


def test_the_time_between_two_runs_is_no_lag() -> None:
    """Found days after its loss, because nobody looked: the platform counts as no slower than the look was planned."""

    async def go() -> None:
        database = MemoryDatabase()
        await (await _opened(database)).learn(1, 3 * 86_400.0)
        assert await _waits(await _opened(database)) == [5.0, 15.0, 45.0, 120.0]

    run_virtual(go())


@pytest.mark.parametrize("kept", [None, 7, "x", {"a": 1}, [["x", 1.0]], [[1]], [[20833, -4.0]], [[20833, 1e300]]])
def test_a_memory_that_makes_no_sense_is_none(kept: Any) -> None:
    """What another version, or a hand, has left under the name costs nothing but the memory."""

    async def go() -> None:
        database = MemoryDatabase()
        await database.save("lag:vendor", kept)
        assert await _waits(await _opened(database)) == [5.0, 15.0, 45.0, 120.0]

    run_virtual(go())
