"""A full or forbidden output folder: results wait, nothing more is paid for, and the next run writes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.core.errors import Transient
from pipeline.core.model import State
from pipeline.ports.sink import OutFile
from tests.support.clock import run_virtual
from tests.support.fakes import FakeSink, clips, items
from tests.support.scripted_run import Life, priced

VIDEOS = 30


class FullSink(FakeSink):
    """A disk without room for the first tries."""

    def __init__(self, tries: int) -> None:
        super().__init__()
        self.tries = tries
        self.tried = 0

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        self.tried += 1
        if self.tried <= self.tries:
            raise Transient("out: the disk is full.", code="disk_full", untouched=True, remedy="free some space")
        return await super().write(folder, files)


def narrow(tmp_path: Path, tries: int) -> tuple[Life, FullSink]:
    """Return a life whose results meet a full disk, two analyses at a time."""
    life = Life.at(tmp_path, **priced(lanes={"analyze": 2, "upload": 2}, provider={"kind": "twelvelabs", "in_hand": 4}))
    life.sink = sink = FullSink(tries)
    return life, sink


def test_a_disk_that_stays_full_stops_the_paying_and_ends_the_run(tmp_path: Path) -> None:
    """Exit 3 within about a minute of the first refusal, one sentence, most videos unpaid, no attempt counted; the next
    run, on a mended disk, writes what was paid for and pays for the rest.
    """
    life, sink = narrow(tmp_path, 10**6)
    paths = clips(tmp_path, VIDEOS)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.published) == (3, 0)
        assert report.note == "Results wait to be written: out: the disk is full; free some space."
        assert report.ended - report.started < 180
        paid = len(life.effects_of("analysis"))
        assert 0 < paid < VIDEOS / 2
        waiting = await life.tasks("publish")
        assert {(task.state, task.attempt) for task in waiting} == {(State.PENDING, 0)}
        assert sink.tried < 4 * paid
        sink.tries = 0
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.published) == (0, VIDEOS)
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


def test_room_that_is_made_within_the_minute_lets_the_same_run_go_on(tmp_path: Path) -> None:
    """A disk that is full for two looks costs some seconds, no attempt, and nothing else."""
    life, sink = narrow(tmp_path, 2)

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, VIDEOS)))
        assert (report.exit_code, report.published, report.note) == (0, VIDEOS, "")
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())
    assert sink.tried == VIDEOS + 2


@pytest.mark.parametrize("runs", [3])
def test_run_after_run_on_a_full_disk_pays_for_little_more(tmp_path: Path, runs: int) -> None:
    """Results that wait are tried first, so a cron that nobody looks after pays for a lane's width a night, not for all."""
    life, _ = narrow(tmp_path, 10**6)
    paths = clips(tmp_path, VIDEOS)

    async def scenario() -> None:
        await life.run(items(paths))
        first = len(life.effects_of("analysis"))
        for seed in range(2, 2 + runs):
            assert (await life.run(items(paths), seed=seed)).exit_code == 3
        assert len(life.effects_of("analysis")) <= first + 2 * runs

    run_virtual(scenario())
