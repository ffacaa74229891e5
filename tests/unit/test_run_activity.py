"""What a run tells of its own night: what came of each item, with names, and a log line for each end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from pipeline.core import log
from pipeline.core.errors import Permanent, ReelmillError, Throttled, Transient
from pipeline.core.model import Selection, State
from pipeline.ports.sink import OutFile
from pipeline.views import RunReport
from tests.support.clock import run_virtual
from tests.support.fakes import FakeSink, clips, items
from tests.support.scripted_run import Life, priced


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fates(report: RunReport) -> Mapping[str, int]:
    """Return how many items met each fate."""
    return {name: found.count for name, found in report.this_run.items()}


def names(report: RunReport, fate: str) -> list[str]:
    """Return the named items of one fate, without their folder."""
    return [Path(name).name for name in report.this_run[fate].names]


def test_each_night_is_told_by_itself(tmp_path: Path) -> None:
    """New at first; unchanged after; asked again for another prompt; rewritten where only the title or a file changed, or a
    prompt was taken back whose answers are there.
    """
    jobs = {"enabled": ("gist", "sponsors"), "settings": {"sponsors": {"job": "ask", "prompt": "Which sponsors?"}}}
    life = Life.at(tmp_path, **priced(jobs=jobs))
    there = items(clips(tmp_path, 7))

    async def scenario() -> None:
        first = await life.run(there)
        assert (fates(first), len(names(first, "new"))) == ({"new": 7}, 5)
        again = await life.run(there)
        assert (fates(again), len(names(again, "unchanged"))) == ({"unchanged": 7}, 5)
        titled = [replace(there[0], line=replace(there[0].line, title="A talk")), *there[1:]]
        changed = await life.run(titled)
        assert (fates(changed), names(changed, "rewritten")) == ({"rewritten": 1, "unchanged": 6}, ["clip-0.mp4"])
        brands = {"sponsors": {"job": "ask", "prompt": "Which brands?"}}
        life.configure(tmp_path, **priced(jobs={**jobs, "settings": brands}))
        assert fates(await life.run(titled)) == {"asked_again": 7}
        newest, *_ = await life.database.runs(1)
        assert newest.summary["this_run"] == {"asked_again": 7}
        life.configure(tmp_path, **priced(jobs=jobs))
        back = await life.run(titled)
        assert (fates(back), back.analyses) == ({"rewritten": 7}, 0)

    run_virtual(scenario())


def test_what_was_cancelled_is_not_called_unchanged(tmp_path: Path) -> None:
    """A run leaves it alone, and says by name that it did."""
    life = Life.at(tmp_path, **priced())
    there = items(clips(tmp_path, 3))

    async def scenario() -> None:
        await life.run(there[:1])
        life.api.ask_trouble = lambda number: Permanent("The request is refused.", code="bad_request")
        await life.run(there[:2])
        keys = [task.key for task in await life.database.tasks(Selection(states=(State.FAILED,)))]
        gone = (*keys, there[1].key)
        await life.database.command("cancel", Selection(keys=gone, states=(State.FAILED, State.DONE)), life.clock.now())
        life.api.ask_trouble = lambda number: None
        report = await life.run(there)
        assert fates(report) == {"new": 1, "unchanged": 1, "cancelled": 1}
        assert names(report, "cancelled") == ["clip-1.mp4"]

    run_virtual(scenario())


def test_what_failed_tonight_is_told_apart_from_what_failed_before(tmp_path: Path) -> None:
    """The second night has not tried it again: it is still failed, not failed."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: (
        Permanent("The request is refused.", code="bad_request") if number == 1 else None
    )
    there = items(clips(tmp_path, 2))
    first = run_virtual(life.run(there))
    assert fates(first) == {"new": 1, "failed": 1}
    second = run_virtual(life.run(there))
    assert fates(second) == {"unchanged": 1, "still_failed": 1}
    assert names(second, "still_failed") == names(first, "failed")


def test_what_waits_is_named_with_its_time(tmp_path: Path) -> None:
    """A quota that is spent until tomorrow: how many wait, which, and until when."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: Throttled("no more today", after=20_000.0, group="analyze")
    report = run_virtual(life.run(items(clips(tmp_path, 8))))
    assert (report.exit_code, fates(report)) == (6, {"waiting": 8})
    assert len(names(report, "waiting")) == 5
    assert report.resume_at is not None


def test_each_finished_and_each_failed_item_has_one_log_line(tmp_path: Path) -> None:
    """At level info: key, title and length of what is done; key, name, code and reason of what failed."""
    stream = io.StringIO()
    log.setup("info", "json", [], stream)
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: (
        Permanent("The request is refused.", code="bad_request") if number == 1 else None
    )
    run_virtual(life.run(items(clips(tmp_path, 3))))
    events: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    done = [event for event in events if event["event"] == "item.done"]
    (failed,) = (event for event in events if event["event"] == "item.failed")
    assert len(done) == 2
    assert all(event["level"] == "info" and event["key"] and event["title"] and event["seconds"] for event in done)
    assert (failed["level"], failed["code"], failed["why"]) == ("info", "bad_request", "The request is refused.")
    assert failed["title"].endswith(".mp4")


def test_an_index_that_could_not_be_written_is_no_good_night(tmp_path: Path) -> None:
    """Everything else is there, but ``results.jsonl`` is not: exit 3 and a sentence, so that a silent run speaks."""
    life = Life.at(tmp_path, **priced())

    async def full(*_: object) -> None:
        raise ReelmillError("The disk is full", code="disk_full", remedy="free some space")

    life.sink.write_index = full  # type: ignore[method-assign]
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, fates(report)) == (3, {"new": 1})
    assert "The disk is full" in report.note


def test_a_report_tells_what_other_processes_have_done_since_the_run_began(tmp_path: Path) -> None:
    """Another process does the work of a run that has begun: the report counts, names and ends as if it had done it itself."""
    life = Life.at(tmp_path, **priced())
    there = items(clips(tmp_path, 4))
    life.api.ask_trouble = lambda number: (
        Permanent("The request is refused.", code="bad_request") if number == 2 else None
    )

    async def scenario() -> None:
        begun = life.session()
        other = await life.run(there)
        report = await begun.run(iter(there))
        assert (other.exit_code, fates(other), other.published) == (3, {"new": 3, "failed": 1}, 3)
        told = {fate: number for fate, number in fates(report).items() if fate in ("new", "failed")}
        assert (report.exit_code, told, report.published) == (3, fates(other), other.published)
        assert names(report, "failed") == names(other, "failed")
        late = await life.run(there)
        assert (late.exit_code, fates(late), late.published) == (3, {"unchanged": 3, "still_failed": 1}, 0)

    run_virtual(scenario())


class FullSink(FakeSink):
    """A disk that may be full."""

    full = False

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        if self.full:
            raise Transient("out: the disk is full.", code="disk_full", untouched=True)
        return await super().write(folder, files)


def test_an_answer_that_an_earlier_run_could_not_write_is_told_as_asked_again(tmp_path: Path) -> None:
    """The run that asked ended before it could write; the next one writes the answer, which is no mere rewriting."""
    jobs = {"enabled": ("sponsors",), "settings": {"sponsors": {"job": "ask", "prompt": "Which sponsors?"}}}
    life = Life.at(tmp_path, **priced(jobs=jobs))
    life.sink = sink = FullSink()
    there = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert fates(await life.run(there)) == {"new": 1}
        brands = {"sponsors": {"job": "ask", "prompt": "Which brands?"}}
        life.configure(tmp_path, **priced(jobs={**jobs, "settings": brands}))
        sink.full = True
        full = await life.run(there)
        assert (fates(full), full.analyses, full.published) == ({"waiting": 1}, 1, 0)
        sink.full = False
        report = await life.run(there)
        told = (fates(report).get("asked_again"), fates(report).get("rewritten"), report.analyses, report.published)
        assert told == (1, None, 0, 1)

    run_virtual(scenario())
