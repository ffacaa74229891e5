"""Whole runs and the disk: downloads wait for uploads, copies go once they are proved, also when a run dies between."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.source.youtube.storage.folder import DownloadFolder
from tests.acceptance.test_youtube_runs import Place, place
from tests.support.media import picture_bytes
from tests.support.site import MediaServer

V, W, X = "dQw4w9WgXcQ", "second00001", "third000001"


def asked(here: Place, words: str) -> list[tuple[Any, ...]]:
    """Return rows of the embedded platform's own state."""
    path = here.folder / "state" / "platform" / "platform.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(words).fetchall()


def accepted(here: Place) -> list[str]:
    """Return the effects of calls that the embedded platform has carried out."""
    return [effect for (effect,) in asked(here, "SELECT effect FROM ledger")]


@dataclass
class Watch:
    """Looks at the fetched media all the time, from a thread."""

    folder: Path
    most: int = 0  #: bytes that lay there at once
    names: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            sizes = dict[str, int]()
            for path in self.folder.glob("yt_*/*.mp4*"):
                try:
                    sizes[path.name] = path.stat().st_size
                except FileNotFoundError:
                    continue
            self.most = max(self.most, sum(sizes.values()))
            self.names |= {name for name in sizes if name.endswith(".mp4")}


@pytest.mark.slow
def test_downloads_wait_for_uploads(site: MediaServer, tmp_path: Path) -> None:
    """Room for one of three: while the others wait the site is left alone, and in the end nothing lies around.

    A look that finds too little room is remembered; its addresses are too old by the time that there is enough.
    """
    sizes = [len(site.video(video, seconds=4 + number)) for number, video in enumerate((V, W, X))]
    room = max(sizes) + min(sizes) // 2
    here = place(tmp_path, site, more=f"[fetch]\nmax_bytes = {room}")
    with Watch(tmp_path / "state" / "work" / "youtube") as watch:
        report = here.run(V, W, X)
    assert report["items"]["done"] == 3
    assert watch.names == {f"{video}.18.mp4" for video in (V, W, X)}
    assert 0 < watch.most <= room
    assert site.count("/media/") == 3
    assert max(site.count(f"/player/{video}") for video in (V, W, X)) <= 2
    assert here.fetched() == []


_DYING = """
import os, signal, sys
import pipeline.app.wiring.downloads as downloads
from pipeline.source.youtube.storage import folder as youtube_folder
real, removed, when = downloads.release_download, youtube_folder._remove, sys.argv.pop(1)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(entry):
    removed(entry)
    die()

def dying(path, *, keep):
    if when == "before": die()
    if when == "midway": youtube_folder._remove = half
    real(path, keep=keep)
    die()

downloads.release_download = dying
sys.argv[0] = "reelmill"
from pipeline.__main__ import main
main()
"""


@pytest.mark.slow
def test_a_copy_goes_only_when_its_upload_is_proved_even_if_the_run_dies_between(
    site: MediaServer, tmp_path: Path
) -> None:
    """Killed before the removal, in the middle of it and after it: one upload, one analysis, no copy, nothing fetched twice."""
    content = site.video(V)
    here = place(tmp_path, site, more="[policy]\nretry_first = 0.1\nretry_most = 0.2")
    folder = tmp_path / "state" / "work" / "youtube"
    left = []
    for when in ("before", "midway", "after"):
        command = [sys.executable, "-c", _DYING, when, "run", "--config", "reelmill.toml", "--json", V]
        died = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert died.returncode == -9, died.stdout + died.stderr
        left.append([path.read_bytes() for path in folder.rglob("*.mp4")])
        assert accepted(here).count("asset_created") == 1
        assert asked(here, "SELECT status, size FROM assets") == [("ready", len(content))]
    assert left == [[content], [], []]
    report = here.run(V)
    assert (report["items"]["done"], report["analyses"], here.fetched()) == (1, 1, [])
    assert (accepted(here).count("asset_created"), site.count("/media/")) == (1, 1)
    assert not list(folder.glob("yt_*/"))


@pytest.mark.slow
def test_a_run_sweeps_what_nobody_needs_and_a_retry_finds_its_part(site: MediaServer, tmp_path: Path) -> None:
    """Left-overs of a finished video go; the half of a failed one stays, and its retry goes on at the byte."""
    site.video(V, seconds=8)
    site.video(W)
    blob = site.files[f"/media/{V}.mp4"]
    blob.drops, blob.then = 1, 503
    here = place(tmp_path, site, more="[policy]\nattempts = 1\n[youtube.options]\nretries = 0")
    report = here.run(V, W, code=3)
    assert (report["items"]["done"], report["items"]["failed"]) == (1, 1)
    half = DownloadFolder(tmp_path / "state" / "work" / "youtube", V).path / f"{V}.18.mp4.part"
    assert half.stat().st_size > 0
    with DownloadFolder(half.parent.parent, W) as stale:
        (stale.path / "left.mp4").write_bytes(b"x" * 99)
    blob.status = 200
    here.tell("retry", "--failed")
    assert here.run(V, W)["items"]["done"] == 2
    assert site.resumed == 1
    assert not list(half.parent.parent.glob("yt_*/"))


@pytest.mark.slow
def test_a_thumbnail_lies_beside_the_results_and_comes_back(site: MediaServer, tmp_path: Path) -> None:
    """Written like any result, listed in the card, and after a deletion restored without asking anybody."""
    content = picture_bytes()
    site.video(V)
    site.thumbnail(V, content)
    here = place(tmp_path, site)
    here.run(V)
    (folder,) = [path for path in (tmp_path / "out").glob("*--*") if path.is_dir()]
    assert (folder / "thumbnail.jpg").read_bytes() == content
    assert "thumbnail.jpg" in json.loads((folder / "video.json").read_text())["files"]
    before = len(site.asked)
    (folder / "thumbnail.jpg").unlink()
    assert here.run(V)["analyses"] == 0
    assert (folder / "thumbnail.jpg").read_bytes() == content
    assert len(site.asked) == before
