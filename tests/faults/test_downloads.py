"""What a death leaves of a download is never taken for the video."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pipeline.core.errors import Transient
from pipeline.ports.source import MediaFacts
from tests.faults.crash_scenes import youtube
from tests.faults.youtube_worlds import fetching_adapters, fetching_world
from tests.support.clock import run_virtual
from tests.support.media import clip_bytes
from tests.support.run_harness import settings_for


def test_a_finished_download_that_rots_is_fetched_anew(tmp_path: Path) -> None:
    """Same name, same size, other bytes: told once, thrown away with its record, and fetched by the next attempt."""
    work = tmp_path / "state" / "work"
    world = fetching_world(tmp_path / "out", work)
    rules = {"min_gap": 0, "max_gap": 0, "pace_folder": work / "pace", "thumbnail": False}
    settings = settings_for(tmp_path, youtube=rules)

    async def fetch() -> MediaFacts:
        adapters = fetching_adapters(world, settings, world.database, world.clock, Random(1))
        return await adapters.sources["youtube"].fetch(youtube(1), work)

    first = run_virtual(fetch())
    content = first.path.read_bytes()
    assert content == clip_bytes(1)
    first.path.write_bytes(content[:-100] + bytes(100))
    with pytest.raises(Transient, match="has changed on disk"):
        run_virtual(fetch())
    again = run_virtual(fetch())
    assert again.path.read_bytes() == content
    assert again.captions
