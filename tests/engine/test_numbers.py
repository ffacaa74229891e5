"""What the figures rest on, without a stopwatch: how much is in hand, and how early the provider hears of us.

The measured figures come from ``python -m tests.bench``; the limit on list requests is held by the status board's tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Lane, State, Task
from pipeline.engine.metrics import PoolMetrics
from pipeline.ports.source import Item
from pipeline.ports.store import NO_CAPS, ApplyAnswer, LaneCaps
from pipeline.ports.video_api import NewUpload
from pipeline.views import RunReport
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import FakeSink, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, settings_for
from tests.support.vendor import Account, Client

ITEMS = 1_500  #: several of the enqueuer's batches
ENOUGH = 80  #: uploads, for every lane to have been full


class _Counting(MemoryDatabase):
    """Knows how many tasks were claimed and not yet given back, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.out: set[int] = set()
        self.most = 0

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        tasks = await super().claim(free_slots, owner, now, until, caps)
        self.out |= {task.id for task in tasks}
        self.most = max(self.most, len(self.out))
        return tasks

    async def apply(self, applied: Any, now: float) -> ApplyAnswer:
        self.out.discard(applied.task.id)
        return await super().apply(applied, now)


class _Noting(Client):
    """Notes at each upload how far the manifest was read; ends the run when there were enough."""

    def __init__(self, platform: Account, manifest: _Manifest) -> None:
        super().__init__(platform)
        self._manifest = manifest
        self.read_before: list[int] = []
        self.enough: Callable[[], None] = lambda: None

    async def create_asset(self, upload: NewUpload, still_ours: Any) -> str:
        self.read_before.append(self._manifest.read)
        if len(self.read_before) == ENOUGH:
            self.enough()
        return await self.real.create_asset(upload, still_ours)


class _Manifest:
    """Entries that are counted as they are read."""

    def __init__(self, entries: list[Item]) -> None:
        self._entries = entries
        self.read = 0

    def __iter__(self) -> Iterator[Item]:
        for entry in self._entries:
            self.read += 1
            yield entry


def test_a_long_queue_is_neither_held_in_memory_nor_read_to_its_end_first(tmp_path: Path) -> None:
    """At most as many tasks are out of the database as the lanes are wide; uploads begin within the first batches."""
    database, clock = _Counting(), VirtualClock()
    rig = Rig(settings_for(tmp_path), database, Account(clock), clock, FakeSink())
    manifest = _Manifest(items(clips(tmp_path, ITEMS)))
    rig.api = api = _Noting(rig.platform, manifest)

    async def whole() -> RunReport:
        session = rig.session()
        api.enough = session.components.pool.stop
        return await session.run(iter(manifest))

    assert run_virtual(whole()).exit_code == ExitCode.INTERRUPTED
    lanes = rig.settings.lanes
    assert (
        lanes.upload < database.most <= sum(getattr(lanes, lane.value, lanes.poll) for lane in Lane)
    )  # batches take the width of polls
    assert 0 < api.read_before[0] < ITEMS


def test_what_is_counted_for_the_display_is_forgotten_without_one() -> None:
    """A night of cron has no live display: what ended in the last minute is all that is remembered of a million tasks."""
    metrics = PoolMetrics({Lane.POLL: 16})
    task = Task(1, "video", "v", "settle", {}, State.RUNNING, Lane.POLL, 0)
    for number in range(10_000):
        metrics.began(task)
        metrics.step_over(task)
        metrics.ended(task, "done", None, number * 0.5)
    assert len(metrics._recent[Lane.POLL]) <= 121
    (view,) = [lane for lane in metrics.lanes(9_999 * 0.5) if lane.rate]
    assert (view.finished, view.rate) == (10_000, 121.0)
