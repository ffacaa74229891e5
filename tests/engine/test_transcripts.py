"""What the platform heard: fetched where it has it, in nobody's way, and no video fails for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.model import State
from pipeline.gallery.data_files import FOLDER
from pipeline.views import RunReport
from tests.simulation.vendor import Reply, refused
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced

WANTED = {"enabled": ["gist"], "transcripts": True}
FILES = ["transcript.json", "transcript.srt", "transcript.vtt"]


def ran(life: Life, folder: Path, films: int = 2) -> RunReport:
    """Run once over some clips."""

    async def go() -> RunReport:
        return await life.run(items(clips(folder, films)))

    return run_virtual(go())


def written(life: Life) -> list[list[str]]:
    """Return the transcripts' files of each video."""
    return [sorted(name for name in files if name.startswith("transcript")) for files in life.sink.folders.values()]


def hearing(life: Life, reply: Reply) -> list[float]:
    """Have the platform say this of each transcript; return when it was asked."""
    vendor: Any = life.platform._vendors["v1.3"]
    asked: list[float] = []
    vendor._heard = lambda request, asset_id: asked.append(vendor.now()) or reply
    return asked


def test_a_transcript_lies_beside_the_answers(tmp_path: Path) -> None:
    """Three forms of the same lines; it costs nothing and is asked for once."""
    life = Life.at(tmp_path, None, **priced(jobs=WANTED))
    report = ran(life, tmp_path)
    assert (report.exit_code, report.analyses, written(life)) == (0, 2, [FILES] * 2)
    (files, _) = life.sink.folders.values()
    assert "00:00:04.000 --> 00:00:07.000\nSentence 1 is said.\n" in str(files["transcript.vtt"])
    assert "2\n00:00:04,000 --> 00:00:07,000\nSentence 1 is said.\n" in str(files["transcript.srt"])
    assert '"transcript.vtt"' in str(files["video.json"])
    asked = hearing(life, Reply(500))
    assert (ran(life, tmp_path).exit_code, asked) == (0, [])


def test_the_page_shows_and_searches_it(tmp_path: Path) -> None:
    """As it does captions: a file of cues beside the page, and the name of the transcript's own."""
    life = Life.at(tmp_path, None, **priced(jobs=WANTED, gallery={"enabled": True, "posters": False}))
    assert ran(life, tmp_path, 1).exit_code == 0
    page = life.sink.folders[FOLDER]
    (cues,) = (str(content) for name, content in page.items() if name.startswith("data/c-"))
    assert "Sentence 2 is said." in cues
    assert "transcript.vtt" in str(page["data/v-0000.js"])


def test_it_counts_for_finished_videos_once_it_is_turned_on(tmp_path: Path) -> None:
    """With no paid call; turned off again, what is there stays there."""
    life = Life.at(tmp_path, None, **priced(jobs={"enabled": ["gist"]}))
    assert (ran(life, tmp_path).exit_code, written(life)) == (0, [[], []])
    life.configure(tmp_path, **priced(jobs=WANTED))
    report = ran(life, tmp_path)
    assert (report.exit_code, report.analyses, written(life)) == (0, 0, [FILES] * 2)
    life.configure(tmp_path, **priced(jobs={"enabled": ["gist"]}))
    assert (ran(life, tmp_path).exit_code, written(life)) == (0, [FILES] * 2)


@pytest.mark.parametrize(
    ("reply", "looks"),
    [(refused(404, "not_found"), 1), (refused(403, "api_not_allowed"), 1), (refused(400, "parameter_invalid"), 1),
     (Reply(200, {"status": "failed", "error": {"message": "no"}}), 1), (Reply(200, {"status": "ready", "words": [7, {}]}), 1),
     (Reply(200, {"status": "processing"}), 6), (Reply(200, {"status": "reviewing"}), 6)],
)  # fmt: skip
def test_a_video_without_one_lacks_nothing(tmp_path: Path, reply: Reply, looks: int) -> None:
    """None, not allowed, failed, or not ready for ever: the answers are written at once, and the run ends well and in time."""
    life = Life.at(tmp_path, None, **priced(jobs=WANTED))
    asked = hearing(life, reply)
    report = ran(life, tmp_path, 1)
    assert (report.exit_code, report.items["done"], written(life), len(asked)) == (0, 1, [[]], looks)
    assert report.ended is not None
    assert report.ended - report.started < 1200
    assert {task.state for task in run_virtual(life.tasks("transcript"))} == {State.DONE}


def test_an_answer_that_is_lost_is_asked_for_again(tmp_path: Path) -> None:
    """It is free: whatever comes in its place, a few more looks, and it is there."""
    life = Life.at(tmp_path, None, **priced(jobs=WANTED))
    vendor: Any = life.platform._vendors["v1.3"]
    real, waiting = vendor._heard, [Reply(500)] * 4 + [Reply(200, b"<html>")] * 4 + [Reply(429), Reply(200, [])]
    vendor._heard = lambda request, asset_id: waiting.pop(0) if waiting else real(request, asset_id)
    assert (ran(life, tmp_path, 1).exit_code, written(life), waiting) == (0, [FILES], [])
