"""Who is worked on at this moment, by name, and how fast bytes move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.app.runs.work_in_progress import WorkInProgress
from pipeline.core.model import Lane, State, Task
from pipeline.ports import transfers
from pipeline.provider.dialects.protocol import FileRange
from pipeline.provider.http.body import BLOCK, Stamp, blocks
from pipeline.views import Snapshot, WorkView
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced


class Hand:
    """A clock that the test sets."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


def test_an_upload_shows_its_bytes_and_its_speed() -> None:
    """Of a resumed one, what was there before counts as there and not as speed; the rate is that of the last seconds."""
    clock = Hand()
    work = WorkInProgress(MemoryDatabase(), clock)
    task = Task(
        1, "video", "k", "send", {"path": "/srv/a.mp4", "size": 1000}, State.RUNNING, Lane.UPLOAD, 1, subject="k"
    )
    with work.working(task):
        transfers.stands_at(400, 1000, before=True)
        assert work.views() == [WorkView("uploading", "a.mp4", 400, 1000, 0.0)]
        clock.at = 5.0
        transfers.moved(100)
        assert work.views() == [WorkView("uploading", "a.mp4", 500, 1000, 20.0)]
        clock.at = 30.0
        work.views()
        clock.at = 33.0
        assert work.views() == [WorkView("uploading", "a.mp4", 500, 1000, 0.0)]
        transfers.moved(900)  # parts were sent again
        assert work.views()[0].total == 0
    assert work.views() == []
    transfers.moved(5)  # nobody looks: no harm


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1000, 3 * BLOCK + 5])
async def test_every_byte_that_is_sent_is_counted(tmp_path: Path, size: int) -> None:
    """In one block or many: the sum is the file's size."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"x" * size)
    token = transfers.CURRENT.set(transfer := transfers.Transfer())
    assert sum([len(block) async for block in blocks(FileRange(path, 0, size), Stamp.of(path))]) == size
    transfers.CURRENT.reset(token)
    assert transfer.moved == size


def test_a_run_shows_what_it_works_on_by_name(tmp_path: Path) -> None:
    """From its start to its end each picture names files of this run only, and things that people know."""
    life = Life.at(tmp_path, **priced())
    seen: list[Snapshot] = []
    submit = life.api.submit_analysis

    async def scenario() -> int:
        session = life.session()

        async def looking(*args: Any) -> Any:
            seen.append(session.snapshot())
            return await submit(*args)

        life.api.submit_analysis = looking  # type: ignore[method-assign]
        report = await session.run(iter(items(clips(tmp_path, 3))))
        seen.append(session.snapshot())
        return report.exit_code

    assert run_virtual(scenario()) == 0
    works = [work for snapshot in seen for work in snapshot.working]
    assert {Path(work.name).name for work in works} == {"clip-0.mp4", "clip-1.mp4", "clip-2.mp4"}
    assert "asking" in {work.doing for work in works}
    assert seen[-1].working == []
    assert (seen[0].minutes, seen[-1].minutes) == (0.0, 3.0)
