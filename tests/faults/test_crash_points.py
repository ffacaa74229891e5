"""Die everywhere, once: before and after every call to the store, the provider and the sink, and with every answer lost.

Each scenario is two processes over the same platform, database and disk: one that dies at its point, one that finishes.
In virtual time over the memory store, so that hundreds of scenarios take seconds; ``test_crash_points_real.py`` runs the
same enumeration over SQLite and real HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.memory import MemoryDatabase
from tests.fakes import Crash, FakePlatform, FakeSink, Wreck, clips, items
from tests.rig import Rig, paid, settings_for
from tests.virtual import VirtualClock, run_virtual

VIDEOS = 3


def rig_for(folder: Path, **sections: dict[str, Any]) -> Rig:
    """Return fresh outsides for one scenario."""
    clock = VirtualClock()
    return Rig(settings_for(folder, **sections), MemoryDatabase(), FakePlatform(clock), clock, FakeSink())


class Undisturbed:
    """What a run without accidents looks like; every scenario must end like it."""

    def __init__(self, folder: Path, **sections: dict[str, Any]) -> None:
        self.folder = folder
        self.sections = sections
        self.paths = clips(folder, VIDEOS)
        rig = rig_for(folder, **sections)
        self.wreck = Wreck()
        report = run_virtual(rig.run(items(self.paths), self.wreck))
        assert report.exit_code == 0, report
        self.rows = run_virtual(rig.rows())
        self.answers = run_virtual(rig.answers())
        self.paid = paid(rig.platform)
        self.folders = rig.sink.folders
        self.index = rig.sink.index

    def scenarios(self) -> Iterator[tuple[int, str]]:
        """Yield every crash point of the undisturbed run."""
        for number, name in enumerate(self.wreck.calls, 1):
            yield number, "before"
            yield number, "after"
            if name.startswith("api."):
                yield number, "lost"

    def check(self, point: tuple[int, str]) -> None:
        """Run one scenario and hold its end against the undisturbed one."""
        rig = rig_for(self.folder, **self.sections)
        wreck = Wreck(point)

        async def two_lives() -> None:
            try:
                await rig.run(items(self.paths), wreck)
            except* Crash:
                pass
            report = await rig.run(items(self.paths), seed=2)
            assert report.exit_code == 0, report
            assert await rig.rows() == self.rows
            assert await rig.answers() == self.answers

        run_virtual(two_lives())
        told = f"{point} {wreck.calls[point[0] - 1]}"
        assert paid(rig.platform) == self.paid, told
        assert {name: set(files) for name, files in rig.sink.folders.items()} == {
            name: set(files) for name, files in self.folders.items()
        }, told
        assert len(rig.sink.index) == len(self.index), told


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param({}, id="direct"),
        pytest.param({"jobs": {"fuse": False}}, id="unfused"),
    ],
)
def test_death_at_every_call_loses_nothing_and_pays_nothing_twice(tmp_path: Path, sections: dict[str, Any]) -> None:
    """After a death at any call, the next run ends with the same rows, results, files and bill as a run without one."""
    undisturbed = Undisturbed(tmp_path, **sections)
    assert set(undisturbed.paid.values()) == {1}
    assert len(undisturbed.answers) == VIDEOS * 4
    points = list(undisturbed.scenarios())
    assert len(points) > 150
    for point in points:
        undisturbed.check(point)
