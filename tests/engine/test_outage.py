"""A site that cannot be reached keeps a run only so long, and people are told meanwhile."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from pipeline.app.runs.run_report import exit_verdict
from pipeline.core.clock import iso
from pipeline.core.model import Lane, Parked, Task, Trouble
from pipeline.core.outcome import Done, Outcome
from pipeline.core.task_types import LeaseCheck
from pipeline.engine.admission import RunEnd
from pipeline.source.youtube.throttle.breaker import OutagePatience, ThrottleRules
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.engine_harness import WIDTHS, engine, new, task_type
from tests.support.memory_database import MemoryDatabase

DOWN = Trouble("dns", "No name can be looked up.", "check the network; it goes on by itself")


def test_a_run_without_a_network_parks_the_downloads_and_ends() -> None:
    """One video, no name server: everything else is done, the lane waits in the database with its end, minutes later."""
    clock, journal = VirtualClock(), MemoryDatabase()
    state = JournalState(journal, "shared"), JournalState(journal, "own")
    patience = OutagePatience(300.0, 660.0)
    throttle = SiteThrottle(*state, clock, Random(1), ThrottleRules(0, 0), patience=patience)

    async def fetch(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        await throttle.acquire()
        raise await throttle.record_refusal(DOWN, 120.0, address=False)

    async def done(task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        return Done()

    it = engine(
        task_type("get", ("go", Lane.DOWNLOAD, fetch)),
        task_type("other", ("go", Lane.WRITE, done)),
        clock=clock,
        widths={**WIDTHS, Lane.DOWNLOAD: 2},
    )

    async def scenario() -> None:
        pool = it.pool(patience=600)
        await pool.submit(new("get", "go", "v") + new("other", "go", "o"))
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run)
            await clock.sleep(60)
            (waiting,) = pool.waits  # a pause that is waited for is told, too
            assert (waiting.scope, waiting.trouble.code) == ("download", "dns")
            assert 55 <= waiting.until - clock.now() <= 65
        ending = pool.run_end
        assert anyio.current_time() < 300
        assert ending.parked[Lane.DOWNLOAD].until - clock.now() > 600
        assert "No name can be looked up" in ending.parked[Lane.DOWNLOAD].trouble.message
        assert pool.waits == [ending.parked[Lane.DOWNLOAD]]
        assert await it.states() == {"v": "pending", "o": "done"}
        assert (await it.task("v")).attempt == 0

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("check the network; it goes on by itself", " Check the network."), ("nothing; it goes on by itself", ""), ("", ""),
        ("free some space.", " Free some space."),
    ],
)  # fmt: skip
def test_a_stop_sentence_promises_nothing_that_only_a_run_at_work_keeps(remedy: str, told: str) -> None:
    """The run has ended: nothing goes on by itself, and the time is said once."""
    message = f"The network is down. YouTube is left alone until {iso(EPOCH)}; everything else goes on."
    ending = RunEnd(parked={Lane.DOWNLOAD: Parked("download", EPOCH, Trouble("dns", message, remedy))})
    code, note = exit_verdict(ending, [], False, {"download": 1})
    assert (int(code), note) == (6, f"The network is down; 1 item waits. Run again after {iso(EPOCH)}.{told}")
