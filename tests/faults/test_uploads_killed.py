"""The command itself, killed while it uploads a film in parts to a platform in another process: counted over there."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from tests.support.cli import Platform, customer, serving, until
from tests.support.media import clip

SIZE = 201_000_000  #: just too large for one request
CHUNK = 8 * 1024 * 1024
CHUNKS = -(-SIZE // CHUNK)
KILLS = 2
_PUT = re.compile(r"PUT /_storage/uploads/\{id\}/(\d+)")


def long_film(path: Path) -> Path:
    """A short film with two hundred megabytes of nothing behind it, which take no room on the disk."""
    clip(path, 3)
    with path.open("r+b") as file:
        rest = SIZE - file.seek(0, os.SEEK_END)
        file.write(struct.pack(">I4s", rest, b"free"))
        file.truncate(SIZE)
    os.utime(path, (1_700_000_000, 1_700_000_000))  # its hash is remembered over the kills
    return path


def begun(platform: Platform) -> dict[int, int]:
    """Return how often each chunk was begun to be sent, as the platform counts."""
    found = ((_PUT.fullmatch(route), times) for route, times in platform.requests().items())
    return {int(match[1]): times for match, times in found if match}


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_uploads_sends_hardly_anything_twice(tmp_path: Path) -> None:
    """SIGKILL in the first half and in the second: one session, one asset, a chunk per worker and kill at most again."""
    with serving(tmp_path / "there") as platform:
        here = customer(tmp_path / "here", platform)
        film = long_film(here.folder / "film.mp4")
        platform.spoil({"match": "PUT /_storage/", "do": "latency", "seconds": 0.1})
        for kill in range(KILLS):
            goal = kill * CHUNKS // KILLS + 5
            running = here.start("run", str(film))
            until(lambda: len(begun(platform)) >= goal or not running.alive, f"chunk {goal}")  # noqa: B023
            assert running.alive, running.said()
            running.kill()
        platform.spoil()
        last = here.run("run", str(film), timeout=120)
        assert last.code == 0, last.err
        times = begun(platform)
        assert sorted(times) == list(range(1, CHUNKS + 1))
        again = sum(times.values()) - CHUNKS
        print(f"{again} of {CHUNKS} chunks were begun again after {KILLS} kills")
        assert 0 < again <= KILLS * Settings().provider.chunk_parallel
        effects = [entry["effect"] for entry in platform.entries()]
        assert (effects.count("session_opened"), effects.count("session_completed")) == (1, 1)
        assert platform.twice() == []
