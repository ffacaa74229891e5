"""A video whose file went away before it was sent: any later run that finds the content again sends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ports.source import Item, MediaFacts
from pipeline.ports.video_api import Ceilings
from tests.support.clock import run_virtual
from tests.support.fakes import FakeSource, clips, items
from tests.support.scripted_run import Life


class Thief(FakeSource):
    """Takes each file away as soon as it has been looked at."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.at_work = True

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        facts = await super().fetch(item, workdir)
        if self.at_work:
            facts.path.rename(self.folder / facts.path.name)
        return facts


@pytest.mark.parametrize("where", ["new name", "old name"])
@pytest.mark.parametrize("ceilings", [Ceilings(), Ceilings(direct_bytes=10)], ids=["direct", "in parts"])
def test_content_that_turns_up_again_is_sent(tmp_path: Path, where: str, ceilings: Ceilings) -> None:
    """Under another name, or put back untouched: the next run uploads and asks, once."""
    life = Life.at(tmp_path, ceilings)
    away = tmp_path / "away"
    away.mkdir()
    life.source = thief = Thief(away)
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.items["failed"]) == (3, 2)
        assert await life.troubles() == {"video": "file_missing"}
        thief.at_work = False
        if where == "old name":
            for path in paths:
                (away / path.name).rename(path)
        found = paths if where == "old name" else [away / path.name for path in paths]
        report = await life.run(items(found), seed=2)
        assert (report.exit_code, report.items["failed"]) == (0, 0)
        assert len(life.effects_of("analysis")) == 2
        assert len(life.effects_of("asset")) == 2
        assert (await life.run(items(found), seed=3)).analyses == 0

    run_virtual(scenario())


def test_a_file_that_stays_away_stays_failed(tmp_path: Path) -> None:
    """Nothing is restarted for a name whose file is still missing."""
    life = Life.at(tmp_path)
    away = tmp_path / "away"
    away.mkdir()
    life.source = Thief(away)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        assert (await life.run(items(paths), seed=2)).exit_code == 3
        assert life.platform.ledger == []

    run_virtual(scenario())
