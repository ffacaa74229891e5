"""The local platform dies at each of its own changes on the disk, in the middle of a run, and is raised again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from pipeline.views import RunReport
from tests.faults.fork_server import Nursery, nursery
from tests.faults.test_crash_points_real import STEADY, Traces, World, films
from tests.support.fast_loop import BriskClock, run_brisk

#: So many changes in a row that the platform does not come to, and there are no more; one may come after the run's end.
_MISSES = 3
PATIENT: dict[str, dict[str, Any]] = {
    **STEADY,
    "policy": {"lease": 3600.0, "attempts": 1000, "retry_first": 0.5, "retry_most": 2.0},
}


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def one_life(there: Nursery, world: World, number: int, when: str) -> tuple[RunReport, Traces, int]:
    """Run once while the platform dies at its nth change and comes back; return what is left, and how many deaths."""
    clock = BriskClock()
    with there.platform(world.folder / "platform", clock, free_port(), number, when) as said:
        served: Any = SimpleNamespace(base_url=said[0], ledger=Ledger(world.folder / "platform" / "platform.sqlite3"))

        async def run() -> tuple[RunReport, Traces]:
            report = await world.live(served, clock)
            return report, await world.traces(served)

        report, traces = run_brisk(run())
    return report, traces, int(said[1])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_platform_dies_at_each_of_its_changes(
    tmp_path: Path, when: str, record_property: Callable[[str, object], None]
) -> None:
    """Folders made, bytes synced, moved and removed: whichever it dies at, the run goes on with what comes back, and the
    bytes, the answers and the bill are those of a platform that never died.

    The gate takes every second change; ``REELMILL_TEST_ALL=1`` takes all.
    """
    videos = films(tmp_path / "films", 2)
    step = 1 if os.environ.get("REELMILL_TEST_ALL") else 2
    points = misses = number = 0
    with nursery() as there:
        report, plain, deaths = one_life(there, World(tmp_path / "plain", videos, PATIENT), 0, when)
        assert (report.exit_code, deaths) == (0, 0), report
        while misses < _MISSES:
            number += step
            report, found, deaths = one_life(there, World(tmp_path / f"world-{number}", videos, PATIENT), number, when)
            assert report.exit_code == 0, (number, report)
            assert found == plain, number
            points += bool(deaths)
            misses = 0 if deaths else misses + 1
    record_property("scenarios", points)
    assert points >= 12 // step
