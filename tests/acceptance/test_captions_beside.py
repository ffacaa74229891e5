"""Captions that are laid beside a finished video, corrected, or taken away: the next run notices, and only it pays."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from tests.support.cli import Terminal, customer, serving
from tests.support.media import clip, clips

JOBS = ["chapters", "gist", "highlights", "summary"]


def srt(words: str) -> str:
    """Return captions of one sentence."""
    return f"1\n00:00:00,200 --> 00:00:02,000\n{words}\n\n2\n00:00:02,200 --> 00:00:04,500\n{words}\n"


def paid(here: Terminal) -> tuple[int, int]:
    """Return (uploads, analyses) that the embedded platform has accepted."""
    ledger = Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3")
    return len(ledger.entries("asset_created")), len(ledger.entries("analyze_task_created"))


def said(here: Terminal, name: str) -> str:
    """Return every written result of a video in one text, provenance aside."""
    (folder,) = (here.folder / "out").glob(f"{name}--*")
    return "\n".join(
        path.read_text() for path in sorted(folder.iterdir()) if path.is_file() and path.name != "video.json"
    )


def planned(here: Terminal) -> tuple[dict[str, int], list[str], int]:
    """Return (counts, jobs, bytes to be uploaded) of what a run would do."""
    plan = here.run("plan", "films", "--json").json
    jobs = sorted({job for row in plan["rows"] for job in row["jobs"]})
    return plan["counts"], jobs, plan["upload_bytes"]


def ran(here: Terminal, *more: str) -> dict[str, Any]:
    """Run, and return the report."""
    ended = here.run("run", "films", "--json", *more)
    assert ended.code == 0, ended.err
    return dict(ended.json)


def test_captions_that_come_change_and_go_are_noticed(tmp_path: Path) -> None:
    """Added, corrected and removed captions change the answers, and the plan says so; the same words cost nothing."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 2)
    beside = here.folder / "films" / "clip-00.srt"
    size = (here.folder / "films" / "clip-00.mp4").stat().st_size
    ran(here)
    first = said(here, "clip-00")
    assert (paid(here), planned(here)) == ((2, 2), ({"nothing": 2}, [], 0))
    for times, words in enumerate(("Volcanoes throw ash into the sky.", "Harbours are dug out of the mud."), 3):
        beside.write_text(srt(words))
        assert planned(here) == ({"analyze": 1, "nothing": 1}, JOBS, size)
        report = ran(here)
        assert (report["this_run"]["asked_again"]["count"], report["this_run"]["unchanged"]["count"]) == (1, 1)
        assert words in said(here, "clip-00")
        assert (paid(here), planned(here)) == ((times, times), ({"nothing": 2}, [], 0))
    beside.write_text(srt(words), encoding="utf-16")  # other bytes, the same words
    assert planned(here) == ({"nothing": 1, "rewrite": 1}, [], 0)
    ran(here)
    assert (paid(here), planned(here)) == ((4, 4), ({"nothing": 2}, [], 0))
    beside.unlink()
    assert planned(here)[0] == {"analyze": 1, "nothing": 1}
    ran(here)
    assert said(here, "clip-00") == first
    assert (paid(here), planned(here)) == ((5, 5), ({"nothing": 2}, [], 0))
    ran(here)
    assert paid(here) == (5, 5)


def test_a_search_finds_the_words_that_lie_there_now(tmp_path: Path) -> None:
    """The index takes the corrected captions in; what was corrected is not found for it any more."""
    here = Terminal(tmp_path / "here", config={"index": {"name": "films"}})
    clips(here.folder / "films", 1)
    beside = here.folder / "films" / "clip-00.srt"
    for words, gone in (("Volcanoes throw ash.", "harbours"), ("Harbours are dug out.", "volcanoes")):
        beside.write_text(srt(words))
        ran(here)
        texts = [hit["text"] for hit in here.run("search", words.split()[0], "--json").json["hits"]]
        assert any(words in text for text in texts), texts
        assert not any(gone in hit["text"].lower() for hit in here.run("search", gone, "--json").json["hits"])


def test_a_vendor_does_not_read_captions_beside_a_file(tmp_path: Path) -> None:
    """Nothing depends on them there: they are not sent, not told, and change nothing."""
    with serving(tmp_path / "vendor") as vendor:
        here = customer(tmp_path / "here", vendor, "twelvelabs")
        clips(here.folder / "films", 1)
        beside = here.folder / "films" / "clip-00.srt"
        beside.write_text(srt("Volcanoes throw ash."))
        ran(here)
        before = vendor.paid()
        beside.write_text(srt("Harbours are dug out."))
        assert planned(here) == ({"nothing": 1}, [], 0)
        ran(here)
        assert vendor.paid() == before
        (folder,) = (here.folder / "out").glob("*--*")
        assert "captions" not in json.dumps(json.loads((folder / "video.json").read_text())["sources"])


@pytest.mark.parametrize("now", ["corrected", "removed", "as they were"])
def test_captions_that_an_earlier_release_has_read(tmp_path: Path, now: str) -> None:
    """It kept their names alone: what changed since is seen all the same, and what did not costs nothing."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 1)
    beside = here.folder / "films" / "clip-00.srt"
    beside.write_text(srt("Volcanoes throw ash."))
    os.utime(beside, (1_700_000_000, 1_700_000_000))
    ran(here)
    with closing(sqlite3.connect(here.folder / ".reelmill" / "reelmill.db")) as database, database:
        database.execute("UPDATE task SET data = json_remove(data, '$.captions') WHERE kind = 'item'")
        database.execute("UPDATE task SET data = json_remove(data, '$.heard') WHERE kind = 'video'")
    if now == "corrected":
        beside.write_text(srt("Harbours are dug out."))
        os.utime(beside, (4_000_000_000, 4_000_000_000))
    elif now == "removed":
        beside.unlink()
    ran(here)
    wanted = {"corrected": "Harbours", "removed": "Film number 0", "as they were": "Volcanoes"}[now]
    assert wanted in said(here, "clip-00")
    assert planned(here) == ({"nothing": 1}, [], 0)


def test_a_lost_state_folder_and_captions_corrected_meanwhile(tmp_path: Path) -> None:
    """The upload in the account carries the old words: it is not taken for the new ones."""
    with serving(tmp_path / "platform") as platform:
        here = customer(tmp_path / "here", platform)
        clips(here.folder / "films", 1)
        beside = here.folder / "films" / "clip-00.srt"
        beside.write_text(srt("Volcanoes throw ash."))
        ran(here)
        once = platform.paid()
        shutil.rmtree(here.folder / ".reelmill")
        ran(here)
        assert platform.paid() == once
        shutil.rmtree(here.folder / ".reelmill")
        beside.write_text(srt("Harbours are dug out."))
        ran(here)
        assert "Harbours" in said(here, "clip-00")
        assert "Volcanoes" not in said(here, "clip-00")
        assert platform.twice() == []


def test_one_video_under_two_names_has_the_captions_that_were_looked_at_last(tmp_path: Path) -> None:
    """Moved with its captions and corrected there: the old place, which is gone, does not count."""
    here = Terminal(tmp_path / "here")
    (here.folder / "films").mkdir()
    clip(here.folder / "films" / "old.mp4")
    (here.folder / "films" / "old.srt").write_text(srt("Volcanoes throw ash."))
    ran(here)
    for ending in (".mp4", ".srt"):
        (here.folder / "films" / f"old{ending}").rename(here.folder / "films" / f"new{ending}")
    assert planned(here)[0] == {"moved": 1}
    ran(here)
    assert paid(here) == (1, 1)
    (here.folder / "films" / "new.srt").write_text(srt("Harbours are dug out."))
    assert planned(here)[:2] == ({"analyze": 1}, JOBS)
    ran(here)
    assert "Harbours" in said(here, "old")
    assert paid(here) == (2, 2)
