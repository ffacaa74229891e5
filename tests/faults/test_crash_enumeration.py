"""Die everywhere: in every world that a death can leave behind, a fresh process finishes as if nothing had happened.

Before and after each call to the database and the platform, before, in the middle of and after each change on the disk,
each message of a download's worker, with the power failing, with answers and workers lost, with a second death while
finishing; both dialects, uploads in parts, an index, standing queries, downloads, several nights.
``python -m tests.faults.enumerate`` prints the figures; ``test_crash_points_real.py`` does a sample over SQLite and HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.crash_scenes import Studio
from tests.faults.crash_trial import Trial

#: Scene → fewest worlds that it must come to, so that nothing quietly drops out of the enumeration.
SCENES = {
    "fused, three videos": 300,
    "unfused, two videos": 300,
    "in two windows": 200,
    "in a batch": 300,
    "in batches that expire": 300,
    "multipart": 120,
    "indexing": 300,
    "standing queries": 200,
    "v1.2 files": 250,
    "v1.2 files, hold": 250,
    "v1.2 external": 250,
    "limits of run and day": 100,
    "a changed prompt": 80,
    "corrected captions": 100,
    "a deleted result": 90,
    "asked again": 100,
    "finished by another line": 120,
    "a question taken back": 60,
    "names that end alike": 200,
    "fetched from YouTube": 200,
}
#: Scene → which of its worlds the gate goes through: every so many. ``REELMILL_TEST_ALL=1``, or the command, takes all.
EVERY = {
    "fused, three videos": 6,
    "unfused, two videos": 5,
    "in two windows": 8,
    "in a batch": 6,
    "in batches that expire": 10,
    "indexing": 4,
    "v1.2 external": 2,
    "v1.2 files": 2,
    "v1.2 files, hold": 2,
    "limits of run and day": 2,
    "corrected captions": 2,
    "finished by another line": 3,
    "fetched from YouTube": 4,
    "a question taken back": 4,
    "a changed prompt": 3,
    "names that end alike": 6,
}
#: Scenes in which some deaths leave what only a person can decide; in the last one, two deaths at one question.
HOLDING = ("v1.2 files, hold", "v1.2 external")
MAY_HOLD = (*HOLDING, "v1.2 files")


def test_every_scene_is_enumerated(tmp_path: Path) -> None:
    """The table above and the studio name the same scenes."""
    assert list(Studio(tmp_path).scenes()) == list(SCENES)


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("name", SCENES)
def test_death_at_every_instant(tmp_path: Path, name: str, record_property: Callable[[str, object], None]) -> None:
    """Whatever dies when: rows, answers and files end as if nothing had happened, and no effect was paid twice."""
    every = 1 if os.environ.get("REELMILL_TEST_ALL") else EVERY.get(name, 1)
    trial = Trial(Studio(tmp_path).scenes()[name]())
    count = trial.run(every)
    record_property("scenarios", count.scenarios)
    assert every * count.points >= SCENES[name]
    assert any(file.endswith("captions.vtt") for file in trial.plain.files) == (name == "fetched from YouTube")
    assert count.held or name not in HOLDING
    assert not count.held or name in MAY_HOLD
    assert bool(count.repeated) == (name == "v1.2 files")
