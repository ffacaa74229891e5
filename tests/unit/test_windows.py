"""Windows: how they are written, which part each call looks at, and whose clock an answer counts by."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from jobs import JOBS
from pipeline.app.operator.show import _explain
from pipeline.config.settings import JobsSection
from pipeline.config.time_windows import TimeWindow, parse_window
from pipeline.core.errors import ConfigError
from pipeline.core.model import Json, Lane, State, Task, Trouble
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.request_builder import build_question, group_requests
from pipeline.ingest.windows.clock import on_player_clock, outside_window, time_names
from pipeline.ingest.windows.parts import is_outside, looked_at, question_parts, split_questions
from tests.unit.test_job_requests import PROVIDER, item, only, planner

HOURS = 3600.0


@pytest.mark.parametrize(
    ("text", "start", "end", "shown"),
    [
        ("0:00-10:00", 0.0, 600.0, "0:00-10:00"),
        (" 90 - 150.5 ", 90.0, 150.5, "1:30-2:30.5"),
        ("1:02:03\u20131:30:00", 3723.0, 5400.0, "1:02:03-1:30:00"),
        ("1h30m-", 5400.0, None, "1:30:00-"),
        ("-90:00", 0.0, 5400.0, "0:00-1:30:00"),
    ],
)
def test_a_window_is_read_as_people_write_it(text: str, start: float, end: float | None, shown: str) -> None:
    """Clock times, seconds and spans; a side that is missing is the video's own."""
    found = parse_window(text)
    assert (found, str(found)) == (TimeWindow(start, end), shown)
    assert parse_window(shown) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10:00", "must be a start and an end"),
        ("-", "must be a start and an end"),
        (600, "must be a start and an end"),
        ("1-2-3", "must be a start and an end"),
        ("0:00-ten", '"ten" is no moment'),
        ("1:75:00-2:00:00", '"1:75:00" is no moment'),
        ("0:70-2:00", '"0:70" is no moment'),
        ("10:00-5:00", "must end after it starts"),
        ("0-0.5", "at least 1 second"),
        ("0-99999999999", "no moment"),
    ],
)
def test_a_window_that_is_none_says_why(text: Any, why: str) -> None:
    """One clause for each way to get it wrong."""
    with pytest.raises(ValueError, match=why):
        parse_window(text)


def parts(window: str, seconds: float) -> list[tuple[float, float | None] | None]:
    """Return what the calls of a summary look at."""
    request = only(planner(enabled=("summary",), summary={"window": window} if window else {}))
    found = [part.window for part in question_parts(request, seconds, 2 * HOURS)]
    return [(each.start, each.end) if each is not None else None for each in found]


@pytest.mark.parametrize(
    ("window", "seconds", "calls"),
    [
        ("", 2 * HOURS, [None]),
        ("", 0.0, [None]),
        ("", 3 * HOURS, [(0.0, 5400.0), (5400.0, None)]),
        ("", 2 * HOURS + 0.5, [(0.0, 3600.0), (3600.0, None)]),
        ("", 5 * HOURS, [(0.0, 6000.0), (6000.0, 12_000.0), (12_000.0, None)]),
        ("0:00-10:00", 3 * HOURS, [(0.0, 600.0)]),
        ("10:00-", 1200.0, [(600.0, None)]),
        ("10:00-", 0.0, [(600.0, None)]),
        ("10:00-30:00", 1200.0, [(600.0, None)]),
        ("0:00-30:00", 1200.0, [None]),
        ("0:00-30:00", 0.0, [(0.0, 1800.0)]),
        ("1:00:00-", 4 * HOURS, [(3600.0, 9000.0), (9000.0, None)]),
    ],
)
def test_each_call_looks_at_two_hours_at_most(window: str, seconds: float, calls: list[Any]) -> None:
    """Equal parts inside the video; what reaches its end says no end, and what covers it all needs no window."""
    assert parts(window, seconds) == calls


def test_parts_are_questions_of_their_own_and_do_not_depend_on_a_rounded_length() -> None:
    """Each part has its fingerprint, the same for a platform that tells the length a little differently."""
    request = only(planner(enabled=("summary",)))
    assert list(question_parts(request, 900 * HOURS, inf)) == [request]  # a platform without an end to its patience
    first, second = question_parts(request, 3 * HOURS, 2 * HOURS)
    assert len({request.fingerprint, first.fingerprint, second.fingerprint}) == 3
    assert {first.whole, second.whole} == {request.fingerprint}
    assert [each.identity for each in question_parts(request, 3 * HOURS + 0.3, 2 * HOURS)] == [
        first.identity, second.identity,
    ]  # fmt: skip


def test_another_window_is_another_question_and_none_is_the_old_one() -> None:
    """The same part in other words is the same; a line's own goes before the job's; without one nothing changes."""
    plain, ten = only(planner(enabled=("gist",))), only(planner(enabled=("gist",), gist={"window": "0:00-10:00"}))
    assert ten.fingerprint != plain.fingerprint
    assert only(planner(enabled=("gist",)), window="0-600").fingerprint == ten.fingerprint
    line = only(planner(enabled=("gist",), gist={"window": "0:00-10:00"}), window="5:00-10:00")
    assert (line.window, line.fingerprint != ten.fingerprint) == (TimeWindow(300.0, 600.0), True)
    both = planner(enabled=("gist",)).requests([item(1), item(2, window="0-600")])
    assert [each.window for each in both] == [None, TimeWindow(0.0, 600.0)]
    assert planner(enabled=("gist",)).restore(ten.to_data()) == ten


def test_what_looks_at_different_parts_is_asked_apart() -> None:
    """A long video: one call for each part, with all jobs; a job about its beginning makes one more."""
    made = planner(("gist", "summary", "chapters"), chapters={"window": "0:00-10:00"}).requests([item()])
    groups = group_requests(split_questions(made, 3 * HOURS, 2 * HOURS), fuse=True)
    assert [[each.name for each in group] for group in groups] == [
        ["gist", "summary"],
        ["gist", "summary"],
        ["chapters"],
    ]
    assert looked_at([request for group in groups for request in group], 3 * HOURS) == 3 * HOURS
    assert looked_at(groups[2], 3 * HOURS) == 600.0


@pytest.mark.parametrize(("window", "outside"), [("10:00-", True), ("9:59.5-", True), ("9:59-", False), ("0-1", False)])
def test_a_window_behind_the_end_is_noticed(window: str, outside: bool) -> None:
    """Less than a second of the video is nothing."""
    assert is_outside(parse_window(window), 600.0) is outside
    assert not is_outside(parse_window(window), 0.0)


def test_a_wrong_window_of_a_job_names_its_key_and_v1_2_has_none() -> None:
    """The error names table and key; API v1.2 says in one sentence that it has no windows."""
    with pytest.raises(ConfigError, match=r"\[jobs\.gist\] window: must end after it starts"):
        planner(enabled=("gist",), gist={"window": "10-5"})
    with pytest.raises(ConfigError, match=r"\[jobs\.gist\] window: API v1\.2 looks at whole videos only"):
        JobPlanner(JOBS, JobsSection(settings={"gist": {"window": "0-5"}}), PROVIDER, windows=False)


def test_the_question_says_the_window_by_the_clock_inside_the_file() -> None:
    """A recording whose clock starts at ten hours is asked about there; the same body never has two keys."""
    request = only(planner(enabled=("gist",)))
    data = AnalysisData(requests=[request.to_data()], seconds=1200.0, keyed_by_body=True)
    asked = build_question(
        "k", AnalysisData(**{**vars(data), "start": 60.0, "end": 600.0, "clock_start": 36_000.0}), [request]
    )
    whole = build_question("k", data, [request])
    assert (asked.start, asked.end, asked.minutes) == (36_060.0, 36_600.0, 9.0)
    assert (whole.start, whole.end, whole.minutes) == (None, None, 20.0)
    assert asked.idempotency_key != whole.idempotency_key
    assert "Only the part 1:00-10:00 of the video counts" in asked.prompt
    early = AnalysisData(**{**vars(data), "end": 600.0, "clock_start": -0.02})
    assert build_question("k", early, [request]).start == 0.0  # sound that begins before the picture


def spans(*times: tuple[float, float]) -> dict[str, Json]:
    """Return an answer with such chapters."""
    return {"chapters": [{"start_time": start, "end_time": end} for start, end in times]}


@pytest.mark.parametrize(
    ("answer", "shift"),
    [
        (spans((600.0, 900.0), (900.0, 1200.0)), 0.0),  # a player's clock
        (spans((0.0, 300.0), (300.0, 600.0)), 600.0),  # that of the window
        (spans((36_600.0, 36_900.0), (36_900.0, 37_200.0)), -36_000.0),  # that of the file
        (spans((610.0, 620.0)), 0.0),
        (spans((10.0, 20.0), (580.0, 590.0)), 600.0),
        (spans((10.0, 20.0), (700.0, 710.0)), 0.0),  # fits no way: told as it came, and refused
        ({"title": "no times"}, 0.0),
    ],
)
def test_times_are_put_on_the_players_clock(answer: dict[str, Json], shift: float) -> None:
    """Whatever they count from, they end up where a player shows them; only the way in which all fit counts."""
    data = AnalysisData(seconds=3600.0, start=600.0, end=1200.0, clock_start=36_000.0)
    moved, note = on_player_clock(answer, data, time_names({}))
    before, after = ([span["start_time"] for span in each.get("chapters", ())] for each in (answer, moved))
    assert [late - early for early, late in zip(before, after, strict=True)] == [shift] * len(before)
    assert bool(note) is bool(shift)


def test_a_file_whose_clock_starts_a_little_late_is_told_by_its_end() -> None:
    """A transport stream starts at 1.4 s: chapters up to the end show by which clock they count."""
    data = AnalysisData(seconds=60.0, clock_start=1.4)
    moved, _ = on_player_clock(spans((1.4, 61.4)), data, time_names({}))
    assert moved == spans((0.0, 60.0))
    assert on_player_clock(spans((0.0, 60.0)), data, time_names({})) == (spans((0.0, 60.0)), "")


def test_times_keep_their_form_and_those_of_a_schema_count_too() -> None:
    """Texts stay texts; a field of type timestamp is a time whatever its name."""
    names = time_names({"answer_x": {"type": "array", "items": {"properties": {"at": {"type": "timestamp"}}}}})
    answer = {"answer_x": [{"at": "00:00:05", "n": 5}, {"at": "90", "n": 90}, {"at": 99, "n": 1}]}
    moved, _ = on_player_clock(answer, AnalysisData(seconds=3600.0, start=600.0, end=720.0), names)
    assert moved == {"answer_x": [{"at": "00:10:05.000", "n": 5}, {"at": "690", "n": 90}, {"at": 699.0, "n": 1}]}


def test_why_names_the_part_whose_analysis_failed() -> None:
    """Of a long video, one part may fail: the sentence says which. A window behind the end names itself."""
    data = AnalysisData(start=5400.0, seconds=10_800.0).to_json()
    failed = Task(
        1, "analysis", "k", "price", data, State.FAILED, Lane.ANALYZE, 0, trouble=Trouble("analysis_failed", "No.")
    )
    assert _explain([failed], {})[1] == "No. It was asked about the part 1:30:00-."
    assert _explain([replace(failed, trouble=Trouble("window_outside", "No."))], {})[1] == "No."


def test_a_time_outside_the_part_is_a_problem() -> None:
    """What was not looked at cannot be told; a second of slack is rounding."""
    data = AnalysisData(seconds=3600.0, start=600.0, end=1200.0)
    assert outside_window(spans((599.5, 1200.5)), data, time_names({})) == ""
    assert "outside the part of the video that was asked about, 10:00-20:00" in outside_window(
        spans((500.0, 700.0)), data, time_names({})
    )
