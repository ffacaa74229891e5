"""The page at a run's end: made of what the run has done, and never a reason for a run to fail."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import jobs
from pipeline.core.clock import iso
from pipeline.core.errors import Permanent, Transient
from pipeline.core.model import Trouble
from pipeline.gallery.data_files import FOLDER
from pipeline.ports.quota import QuotaNote
from pipeline.ports.sink import OutFile
from pipeline.provider.http.rate_limits import SharedLimiter
from pipeline.views import BadLine
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, FakeSink, Wreck, clips, items
from tests.support.scripted_run import Life

PAGED: dict[str, dict[str, Any]] = {"gallery": {"enabled": True, "posters": False}}
INDEX = "data/index.js"


def page(life: Life) -> Any:
    """Return what the page's index holds."""
    content = life.sink.folders[FOLDER][INDEX]
    assert isinstance(content, str)
    return json.loads(json.loads(f"[{content[9:-3]}]")[2])


def blocks(life: Life) -> list[str]:
    """Return the kinds of blocks of all views."""
    shard = life.sink.folders[FOLDER]["data/v-0000.js"]
    assert isinstance(shard, str)
    entries = json.loads(json.loads(f"[{shard[9:-3]}]")[2])
    return [block["kind"] for entry in entries for result in entry["results"] for block in result["blocks"]]


class StubbornSink(FakeSink):
    """A disk that takes results, and of the page only so many files."""

    def __init__(self, error: Exception, room: int = 0) -> None:
        super().__init__()
        self.error, self.room = error, room

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        if folder in ("", FOLDER):
            self.room -= 1
            if self.room < 0:
                raise self.error
        await super().add(folder, files)


def test_a_run_makes_the_page_and_names_it(tmp_path: Path) -> None:
    """At its end the page shows its videos and tells of this very run."""
    life = Life.at(tmp_path, **PAGED)
    report = run_virtual(life.run(items(clips(tmp_path, 3), tags=("bees",))))
    assert (report.exit_code, report.page) == (0, life.settings.run.output.absolute() / "index.html")
    index = page(life)
    assert [row["state"] for row in index["rows"]] == ["done"] * 3
    assert index["rows"][0]["tags"][0] == "bees"
    (run,) = index["report"]["runs"]
    assert (run["done"], run["meaning"]) == (3, "all done")
    assert report.run_id.startswith(iso(run["started_at"]).replace("-", "").replace(":", ""))
    assert re.match(r"Ended 20\d\d-\d\d-\d\d \d\d:\d\d UTC: 3 new", index["report"]["sentence"])
    assert {"index.html", "index.txt"} == set(life.sink.folders[""])


def test_nothing_is_made_where_it_is_not_wanted(tmp_path: Path) -> None:
    """``[gallery] enabled = false``: no file, no word."""
    life = Life.at(tmp_path, gallery={"enabled": False})
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, report.page, report.page_trouble) == (0, None, None)
    assert FOLDER not in life.sink.folders


@pytest.mark.parametrize("room", range(4))
@pytest.mark.parametrize(
    "error",
    [
        Transient("out: the disk is full.", code="disk_full", remedy="free some space"),
        Permanent("out/gallery: something else is in the way.", code="output_blocked", remedy="move it away"),
        RuntimeError("a mistake of ours"),
    ],
    ids=["full", "in the way", "mistake"],
)
def test_a_page_that_cannot_be_written_fails_no_run(tmp_path: Path, error: Exception, room: int) -> None:
    """Wherever it stops: the run ends as it would have, says why in a sentence, and the next one writes the page."""
    life = Life.at(tmp_path, **PAGED)
    life.sink = sink = StubbornSink(error, room)
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        report = await life.run(items(paths))
        assert (report.exit_code, report.published, report.page) == (0, 2, None)
        assert report.page_trouble is not None
        assert report.page_trouble.message.startswith("out" if not isinstance(error, RuntimeError) else "The page")
        sink.room = 100
        again = await life.run(items(paths), seed=2)
        assert (again.exit_code, again.page_trouble) == (0, None)
        assert again.page is not None

    run_virtual(scenario())
    assert len(page(life)["rows"]) == 2


@pytest.mark.parametrize("answer", [ValueError("no"), "text", [object()], None])
def test_a_job_whose_page_fails_loses_nothing(tmp_path: Path, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result is shown as a table; the others as they are."""

    class Odd(type(jobs.JOBS[0])):  # type: ignore[misc]
        def page(self, *_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(jobs, "JOBS", (Odd(), *jobs.JOBS[1:]))
    life = Life.at(tmp_path, jobs={"enabled": ("gist", "summary")}, **PAGED)
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, report.page_trouble) == (0, None)
    assert sorted(blocks(life)) == ["prose", "value"]


def test_bad_lines_are_told_with_what_to_do(tmp_path: Path) -> None:
    """As one cause among those that need a person: how many, which, why, and the remedy of each."""
    life = Life.at(tmp_path, **PAGED)
    bad = BadLine("list:1", "?", Trouble("input", f"{tmp_path}/no such file", "check the path"))
    run_virtual(life.run([bad, *items(clips(tmp_path, 1))]))
    (need,) = page(life)["report"]["needs"]
    assert (need["code"], need["count"], need["remedy"]) == (
        "bad_lines", 1, "correct them, and give the same command again",
    )  # fmt: skip
    assert need["names"] == ["list:1: no such file → check the path"]


def test_the_report_tells_how_full_the_limits_are(tmp_path: Path) -> None:
    """Configured and learned ones, as ``status`` does, but for those of a minute; the day's figure has the smaller."""
    life = Life.at(tmp_path, limits={"analyze": {"requests_per_minute": 60, "minutes_per_day": 600}}, **PAGED)

    async def scenario() -> None:
        assert "limits" not in await reported()
        clock, journal = life.clock, life.database
        limiter = SharedLimiter(life.settings.limits, journal, clock, Random(1))
        limiter.learn("analyze", notes=[QuotaNote("minutes", "day", 480.0)])
        await limiter.admit("analyze", minutes=480.0)
        await limiter.aclose()
        report = await reported()
        (limit,) = report["limits"]
        assert limit == {
            "message": "Analyze: 480 minutes per day", "share": 100.0, "used": 480.0,
            "room_at": pytest.approx(clock.now() + 86_400, abs=600), "named_at": pytest.approx(clock.now(), abs=600),
        }  # fmt: skip
        assert report["minutes_per_day"] == 480.0

    async def reported() -> Any:
        await life.run(items(clips(tmp_path, 1)))
        return page(life)["report"]

    run_virtual(scenario())


def test_what_has_no_results_is_listed_with_the_reason(tmp_path: Path) -> None:
    """A file that is not there is an open item: why, and what to do."""
    life = Life.at(tmp_path, **PAGED)
    gone = tmp_path / "gone.mp4"
    report = run_virtual(life.run(items([*clips(tmp_path, 1), gone])))
    assert report.exit_code == 3
    index = page(life)
    (item,) = index["open"]
    assert (item["title"], item["state"], item["why"]["code"]) == ("gone.mp4", "failed", "file_missing")
    assert index["open_count"] == 1
    (need,) = index["report"]["needs"]
    assert (need["code"], need["count"], need["names"]) == ("file_missing", 1, ["gone.mp4"])
    assert str(tmp_path) not in json.dumps(index)


def test_death_at_every_instant_of_the_page(tmp_path: Path) -> None:
    """However a run dies while it makes the page, the next run's page is the one of a run that did not die."""
    life = Life.at(tmp_path, **PAGED)
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        whole = await life.run(items(paths))
        assert whole.page is not None
        wanted = {name: content for name, content in life.sink.folders[FOLDER].items() if name != INDEX}
        wreck = Wreck()
        life.sink.folders.pop(FOLDER)
        await life.run(items(paths), wreck)
        notes = [place for place, call in enumerate(wreck.calls, 1) if call == "store.note_run"]
        first, last = notes[-1], len(wreck.calls)
        assert last - first > 8
        for place in range(first, last + 1):
            for when in ("before", "after"):
                life.sink.folders.pop(FOLDER)
                with pytest.raises(BaseException) as died:  # noqa: PT011 - in a group, or alone
                    await life.run(items(paths), Wreck((place, when)))
                assert Crash.__name__ in repr(died.value)
                report = await life.run(items(paths))
                assert (report.exit_code, report.page_trouble) == (0, None)
                assert {n: c for n, c in life.sink.folders[FOLDER].items() if n != INDEX} == wanted
                assert len(page(life)["rows"]) == 2

    run_virtual(scenario())
