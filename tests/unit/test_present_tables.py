"""What people are shown: every view as text, with hostile words in every field."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import RenderableType

from pipeline.config.settings import RunSection, Settings, load
from pipeline.core.model import Lane, Parked, Result, Spend, State, Task, Trouble
from pipeline.ingest.tasks import analysis, batch, indexing, item, playlist, publish, video
from pipeline.ingest.transcripts.task import TranscriptTaskType
from pipeline.ingest.waiting import WAITING
from pipeline.money_views import Plan, PlanRow
from pipeline.ports.index_api import IndexInfo
from pipeline.ports.quota import QuotaGauge
from pipeline.present import messages
from pipeline.present.progress import board
from pipeline.present.tables.config_check import config_check_table
from pipeline.present.tables.doctor import doctor_table
from pipeline.present.tables.index.indexes import indexes_table
from pipeline.present.tables.layout import remedy, trouble_line
from pipeline.present.tables.notify import notify_table
from pipeline.present.tables.plan import plan_table
from pipeline.present.tables.run import run_table
from pipeline.present.tables.show import show_table, why_table
from pipeline.present.tables.status import status_table
from pipeline.present.terminal import rendered
from pipeline.views import (
    BadLine,
    Delivery,
    Finding,
    ItemView,
    LaneView,
    LeftOut,
    NamedItems,
    RunReport,
    Snapshot,
    StatusView,
    WaitView,
    WorkView,
)

NOW = 1_763_780_400.0
EVIL = "a [red]b[/red]\x1b[2J\x1b]0;t\x07\nc\x9b2J\u202e" + "日" * 300
WHY = Trouble("too_short", "The video is shorter than 4 s.", "take a longer one", "HTTP 400")
EVIL_WHY = Trouble("evil", EVIL, EVIL, EVIL)

REPORT = RunReport(
    run_id="r", started=NOW - 200, ended=NOW, exit_code=0, items={"done": 40, "failed": 0, "held": 0}, lines=40, bad_lines=(),
    bad_count=0, analyses=12, published=12, usd=1.234, minutes=42.06, doubtful=0, output=Path("out"), provider="local/v1.3",
    this_run={"new": NamedItems(2, ["a.mp4", "b.mp4"])},
)  # fmt: skip
PLAN = Plan(
    rows=[PlanRow("a.mp4", "A talk", "new", ("gist", "summary"), 200.0, 12_000_000, 0.1)],
    counts={"new": 3, "nothing": 5}, usd=1.2, minutes=42.0, upload_bytes=1_400_000_000, unknown=0, bad_lines=(), bad_count=0,
    provider="local/v1.3",
)  # fmt: skip
STATUS = StatusView(
    items={"done": 2, "failed": 1, "held": 1}, tasks={"item": {"done": 4}, "video": {"failed": 1, "done": 3}},
    troubles={"too_short": 1, "ambiguous": 1},
    attention=[("failed", "a.mp4", WHY), ("held", "b.mp4", Trouble("ambiguous", "The answer was lost."))],
    parked=[Parked("analyze", NOW + 7200, Trouble("quota", "The quota is spent."))], running="process 12",
    runs=[{"id": "r", "started": NOW - 100, "ended": NOW - 40, "exit_code": 3}], usd_total=1.0, minutes_total=3.0,
    waiting={"analyze": 37},
)  # fmt: skip
TASK = Task(1, "video", "k", "upload", {}, State.FAILED, Lane.UPLOAD, 1, attempt=3, trouble=WHY)
ITEM = ItemView(
    item=replace(TASK, kind="item", key="file:/a.mp4", state=State.DONE, trouble=None), title="A talk", source="a.mp4",
    state="failed", tasks=[TASK], results=[Result("k", "gist", "0123456789abcdef", {}, created=NOW)],
    spends=[Spend("k", "analyze", 0.1, 3.3, "k", True, NOW)], folder=Path("out/a-talk--12345678"),
    explanation="The video is too short.", next_step="Take a longer one.",
)  # fmt: skip
SNAPSHOT = Snapshot(
    elapsed=12.0, items_total=100, items_done=40, items_failed=2, reading=True,
    lanes=[LaneView("fetch", 4, 1200, 4, 12, 12.34), LaneView("poll", 0, 0, 16, 0, 0.0)], spent_usd=0.5, minutes=12.0, eta=80.0,
)  # fmt: skip


def text(shown: RenderableType, width: int = 200) -> str:
    """What a pipe of this width gets."""
    return rendered(shown, width=width)


def test_indexing_is_named_beside_the_analyses_that_were_paid() -> None:
    """A run that only indexed says what its money was for."""
    shown = text(run_table(replace(REPORT, analyses=0, indexed=3, usd=0.016, minutes=0.4)))
    assert "paid     0 analyses, 3 videos indexed · $0.016 · 0.4 min billed" in shown.splitlines()


def test_a_good_run_is_told_in_four_lines() -> None:
    """Nothing is said about troubles that did not happen."""
    shown = text(run_table(REPORT))
    assert shown.splitlines() == [
        "new      2: a.mp4, b.mp4",
        "written  12 videos into out",
        "paid     12 analyses · $1.23 · 42.1 min billed",
        "took     3 min 20 s on local/v1.3",
        "in all   40 done",
    ]


def test_a_run_tells_its_own_night_with_names() -> None:
    """New, asked again, unchanged, failed and waiting, the first few by name; the state folder's totals stand apart."""
    night = {
        "new": NamedItems(42, ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]), "asked_again": NamedItems(1, ["f.mp4"]),
        "unchanged": NamedItems(1200), "failed": NamedItems(1, [EVIL]), "waiting": NamedItems(2, ["g.mp4", "h.mp4"]),
    }  # fmt: skip
    ended = replace(REPORT, exit_code=6, this_run=night, resume_at=NOW + 3600, items={"done": 1243, "working": 2})
    lines = text(run_table(ended)).splitlines()
    assert "new          42: a.mp4, b.mp4, c.mp4, d.mp4, e.mp4 and 37 more" in lines
    assert "asked again  1: f.mp4" in lines
    assert "unchanged    1,200" in lines
    assert "waiting      2: g.mp4, h.mp4" in lines
    assert "in all       1,243 done · 2 unfinished" in lines
    renamed = replace(ended, videos={"done": 1240, "working": 2})
    assert "in all       1,240 done · 2 unfinished · from 1,245 sources" in text(run_table(renamed)).splitlines()
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


@pytest.mark.parametrize("shown", [
    trouble_line("a.mp4", Trouble("x", "It is refused.", "write " + "these words " * 12)),
    remedy("write " + "these words " * 12),
    doctor_table([Finding("key", "warn", "none", costs="write " + "these words " * 12)]),
])  # fmt: skip
def test_a_remedy_stays_behind_its_arrow(shown: RenderableType) -> None:
    """At 80 columns its further lines begin below its words, not below the arrow or at the edge."""
    lines = text(shown, 80).splitlines()
    first = next(at for at, line in enumerate(lines) if "→" in line)
    words = lines[first].index("→") + 2
    assert len(lines) > first + 1
    assert all(len(line) <= 80 and line[:words].isspace() and line[words] != " " for line in lines[first + 1 :])


def test_the_time_to_go_on_is_told_once() -> None:
    """Why the run stopped, how much waits, what to do, and only at the end when: with the time from now."""
    note = "The rate limit is used up; 2 items wait. Run again after 2025-11-22T04:00:00Z. Raise the limit."
    night = {"waiting": NamedItems(2, ["g.mp4", "h.mp4"])}
    shown = text(run_table(replace(REPORT, exit_code=6, this_run=night, resume_at=NOW + 3600, note=note)))
    assert "stopped early: The rate limit is used up; 2 items wait. Raise the limit." in shown
    assert shown.count("2025-11-22T04:00:00Z") == 1
    assert "→ resume at 2025-11-22T04:00:00Z (in 1 h 00 min): the same command goes on from there" in shown


def test_status_tells_what_the_last_run_did_and_why_it_stopped() -> None:
    """The sentence of the run's end and its own numbers stand before any table; a good run has no sentence."""
    summary = {"this_run": {"new": 3, "still_failed": 1}, "note": "The platform refuses the key; set another."}
    run = {"id": "r", "started": NOW - 100, "ended": NOW - 40, "exit_code": 4, "summary": summary}
    lines = text(status_table(replace(STATUS, runs=[run]), NOW)).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("latest "))
    assert lines[place].endswith("3 new · 1 still failed")
    assert lines[place + 1].strip() == "The platform refuses the key; set another."
    good = {**run, "exit_code": 0, "summary": {"this_run": {"new": 3}, "note": ""}}
    assert "refuses" not in text(status_table(replace(STATUS, runs=[good]), NOW))
    old = {"id": "r", "started": NOW - 100, "ended": NOW - 40, "exit_code": 4}  # of a release that kept no summary
    assert "needs the operator" in text(status_table(replace(STATUS, runs=[old]), NOW))


def test_what_needs_a_person_comes_before_what_does_not() -> None:
    """Failures and held items stand above parked lanes, tables of tasks and the history."""
    shown = text(status_table(STATUS, NOW))
    assert shown.index("needs attention") < shown.index("parked") < shown.index("last runs")


def test_a_run_with_troubles_names_them_and_the_way_on() -> None:
    """Bad lines by place, failed items with remedy, how many more there are, and the command that retries."""
    bad = [BadLine("list.csv:17", "htp://x", Trouble("bad", "Not a source.", "check the spelling"))]
    items = {"done": 1, "failed": 3}
    ended = replace(
        REPORT, exit_code=3, items=items, bad_lines=bad, bad_count=4, doubtful=1, troubles=[("a.mp4", WHY)], troubled=3
    )
    shown = text(run_table(ended))
    for part in (
        "1 call possibly paid twice", "4 lines not usable", "list.csv:17", "→ check the spelling", "… and 3 more",
        "needs attention", "a.mp4  The video is shorter than 4 s.", "→ take a longer one", "… and 2 more",
        "reelmill retry --failed",
    ):  # fmt: skip
        assert part in shown


def test_what_was_left_out_of_a_folder_is_told() -> None:
    """How many and why, in the plan and at the end of a run."""
    told = [
        LeftOut(
            "argument 1", "/films", Trouble("left_out", "2 unfinished downloads.", "name a file"), {"unfinished": 2}
        )
    ]
    for shown in (text(run_table(replace(REPORT, left_out=told))), text(plan_table(replace(PLAN, left_out=told)))):
        assert "left out\n  /films  2 unfinished downloads.\n    → name a file" in shown


def test_what_was_possibly_paid_twice_outlives_the_run_that_was_killed() -> None:
    """The sum is the ledger's, in a run's end and in ``status``; how many of them are older is said."""
    ended = replace(REPORT, doubtful=14, doubtful_total=38)
    assert "38 calls possibly paid twice, of which 24 in earlier runs" in text(run_table(ended))
    assert "1 call possibly paid twice, of which 1 in earlier runs" in text(
        run_table(replace(REPORT, doubtful_total=1))
    )
    assert "in earlier runs" not in text(run_table(replace(REPORT, doubtful=14, doubtful_total=14)))
    assert "38 calls possibly paid twice" in text(status_table(replace(STATUS, doubtful_total=38), NOW))


@pytest.mark.parametrize(
    ("code", "note", "resume", "said"),
    [
        (
            6,
            "The daily quota is spent.",
            NOW + 3600,
            ("stopped early: The daily quota", "2025-11-22T04:00:00Z (in 1 h 00 min)"),
        ),
        (5, "", None, ("stopped early: stopped at the budget",)),
        (130, "", None, ("interrupted, safe to resume", "goes on where this run stopped")),
    ],
)
def test_an_early_end_says_why_and_when_to_go_on(
    code: int, note: str, resume: float | None, said: tuple[str, ...]
) -> None:
    """Budget, quota and Ctrl-C each leave their own last words."""
    shown = text(run_table(replace(REPORT, exit_code=code, note=note, resume_at=resume)))
    assert all(part in shown for part in said)


def test_a_plan_shows_price_length_and_rows() -> None:
    """One line for each item with its jobs; the sums and the rest in words."""
    shown = text(plan_table(PLAN))
    for part in (
        "3 new · 5 already done",
        "jobs      gist, summary",
        "about $1.20 for 42.0 min of video",
        "1.4 GB",
        "no limit set",
        "… and 2 more",
    ):
        assert part in shown
    row = next(line for line in shown.splitlines() if line.startswith("new "))
    assert row.split() == ["new", "3:20", "$0.10", "12", "MB", "A", "talk", "a.mp4"]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_plan_keeps_action_length_price_and_name_at_any_width(width: int) -> None:
    """A long path is cut in its middle and never told twice; paths below the working folder begin there; jobs that differ
    have a column where there is room.
    """
    deep = "/srv/media/archive/2026/november/interviews and more/" + "a" * 40 + "/chaplin.mp4"
    rows = [
        PlanRow(deep, "chaplin.mp4", "new", ("gist", "summary"), 200.0, 12_000_000, 0.1),
        PlanRow("/data/me/films/b.mp4", "b.mp4", "failed", ("gist",), 61.0, 0, 0.0, "This is no video."),
    ]
    lines = text(plan_table(replace(PLAN, rows=rows), "/data/me"), width).splitlines()
    first = next(line for line in lines if line.startswith("new "))
    assert first.split()[:3] == ["new", "3:20", "$0.10"]
    assert first.endswith("/chaplin.mp4")
    assert first.count("chaplin.mp4") == 1
    second = next(number for number, line in enumerate(lines) if line.startswith("failed "))
    assert lines[second].endswith("films/b.mp4")
    assert "/data/me" not in lines[second]
    assert lines[second + 1].strip() == "This is no video."
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_long_reason_is_wrapped_and_costs_no_column(width: int) -> None:
    """Action, length and price stay however long the reason is, which is whole and does not repeat the file's name."""
    why = "this is a text, no video: " + "it says nothing that could be shown, " * 3 + "and ends here."
    rows = [
        PlanRow("films/good.mp4", "good.mp4", "new", ("gist",), 200.0, 12_000_000, 0.1),
        PlanRow("films/broken.mp4", "broken.mp4", "failed", ("gist",), 61.0, 0, 0.0, f"broken.mp4: {why}"),
    ]
    lines = text(plan_table(replace(PLAN, rows=rows)), width).splitlines()
    assert next(line for line in lines if line.startswith("new ")).split()[:3] == ["new", "3:20", "$0.10"]
    at = next(number for number, line in enumerate(lines) if line.startswith("failed "))
    assert lines[at].split() == [
        "failed",
        "1:01",
        "$0.00",
        *(["-"] if "upload" in lines[at - 2] else []),
        "films/broken.mp4",
    ]
    told = " ".join(" ".join(lines[at + 1 :]).split())
    assert told.startswith("This is a text, no video")
    assert "and ends here." in told
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("name", ["broken.mp4", "films/broken.mp4", "list.csv:2 films/broken.mp4"])
def test_a_trouble_names_its_file_once(name: str) -> None:
    """A sentence that begins with the file's name is told without it behind the name; other sentences stay whole."""
    line = text(trouble_line(name, Trouble("x", "broken.mp4: this is no video.")))
    assert line == f"{name}  This is no video."
    assert (
        text(trouble_line(name, Trouble("x", "other.mp4: this is no video.")))
        == f"{name}  other.mp4: this is no video."
    )


@pytest.mark.parametrize("width", [80, 100])
def test_indexes_keep_their_names(width: int) -> None:
    """The name, the numbers and the id stand at 80 columns; what says less goes first."""
    index = IndexInfo(
        "6b02f277644b0d838c0bd9b0", "bench-films-of-november", [("marengo3.0", ("visual", "audio"))], ["thumbnail"], 5, 294.0,
        created="2026-11-22",
    )  # fmt: skip
    line = text(indexes_table([index]), width).splitlines()[1]
    assert line.startswith("bench-films-of-november  ")
    assert line.endswith(index.id)
    assert "4.9 min" in line


def test_a_plan_says_if_the_budget_will_do() -> None:
    """Enough, enough as far as known, or how much is missing."""
    assert "$5.00: enough" in text(plan_table(replace(PLAN, budget_usd=5.0)))
    assert "enough for what is known" in text(plan_table(replace(PLAN, budget_usd=5.0, unknown=2)))
    assert "without 2 videos of unknown length" in text(plan_table(replace(PLAN, unknown=2)))
    assert "$1.00: $0.20 short" in text(plan_table(replace(PLAN, budget_usd=1.0)))


def test_unknown_lengths_have_no_price() -> None:
    """What is not known is shown as not known, never as zero."""
    row = PlanRow("http://x/v.mp4", "", "new", ("gist",), None, 0, 0.0, "size unknown")
    line = text(plan_table(replace(PLAN, rows=[row]))).splitlines()[8:]
    assert line[0].split()[:4] == ["new", "?", "?", "-"]
    assert line[1].strip() == "size unknown"


def test_status_is_one_page_with_the_commands_that_help() -> None:
    """Items, tasks by kind and state, parked lanes with their time and who waits, attention with retry by class, last runs."""
    shown = text(status_table(STATUS, NOW))
    for part in (
        "2 done · 1 failed · 1 held", "process 12",
        "analyze until 2025-11-22T05:00:00Z (in 2 h 00 min), 37 items wait  The quota is spent.", "reelmill retry --parked",
        "failed  a.mp4", "held  b.mp4", "reelmill retry --class too_short", "may pay for it again", "3: finished, some items",
        "1 min 00 s",
    ):  # fmt: skip
        assert part in shown
    video = next(line for line in shown.splitlines() if line.startswith("video"))
    assert video.split() == ["video", "-", "-", "3", "1", "-", "-"]


def test_kinds_stand_in_the_order_in_which_a_video_meets_them() -> None:
    """Whatever order the database counts in; kinds of another release come last."""
    tasks = {kind: {"done": 1} for kind in ("analysis", "publish", "later", "video", "item")}
    lines = text(status_table(replace(STATUS, tasks=tasks), NOW)).splitlines()
    begin = next(number for number, line in enumerate(lines, 1) if line.startswith("tasks "))
    assert [line.split()[0] for line in lines[begin : begin + 5]] == ["item", "video", "analysis", "publish", "later"]


def test_an_empty_database_is_shown_as_such() -> None:
    """No tables without rows."""
    shown = text(status_table(StatusView({}, {}, {}, (), (), "", (), 0.0, 0.0), NOW))
    assert "none" in shown
    assert "nobody is at work" in shown
    assert len(shown.splitlines()) == 3


def test_what_waits_is_shown_by_reason_with_its_end() -> None:
    """One item by its name, several by their number and the first and last time; what is only due has no time."""
    waits = [
        WaitView("bot_check", "YouTube refused.", 3, NOW + 60, NOW + 60, True, "a"),
        WaitView("timeout", "No answer.", 1, NOW + 60, NOW + 60, False, "b.mp4"),
        WaitView("stage", "is being uploaded in parts", 12, NOW + 60, NOW + 3600, False, "c.mp4"),
        WaitView("due", "goes on with the next run", 2, None, None, False, "d.mp4"),
    ]
    idle = replace(STATUS, running="", waits=waits)
    shown = text(status_table(idle, NOW))
    for part in (
        "b.mp4  No answer.", "goes on at 2025-11-22T03:01:00Z (in 1 min 00 s)", "12 items  are being uploaded in parts",
        "the first at", "the last at", "2 items  go on with the next run", "retry ITEM wakes it at once",
    ):  # fmt: skip
        assert part in shown, part
    assert "YouTube refused." not in shown  # its lane is told as parked
    many = [replace(waits[1], code=f"c{number}") for number in range(11)]
    assert "… and 3 more reasons" in text(status_table(replace(STATUS, waits=many), NOW))
    only_due = text(status_table(replace(STATUS, waits=waits[3:]), NOW))
    assert "wakes it" not in only_due
    assert "wakes it" not in text(status_table(replace(idle, running="process 12"), NOW))  # a run takes it by itself
    soon = [replace(waits[1], due=NOW + 5, until=NOW + 20)]
    assert "wakes it" not in text(status_table(replace(idle, waits=soon), NOW))


def test_every_stage_has_words() -> None:
    """A task that waits is told of in words, at each stage of each kind; no words are left of a stage that has gone."""
    types = {
        "item": item.ItemTaskType, "listing": playlist.PlaylistTaskType, "video": video.VideoTaskType,
        "analysis": analysis.AnalysisTaskType, "batch": batch.BatchTaskType, "indexing": indexing.IndexingTaskType,
        "publish": publish.PublishTaskType, "transcript": TranscriptTaskType,
    }  # fmt: skip
    stages = {kind: {each.name for each in declared.STAGES} for kind, declared in types.items()}
    assert {kind: set(words) for kind, words in WAITING.items()} == stages


@pytest.mark.parametrize("words", sorted({words for kind in WAITING.values() for words in kind.values()}))
def test_every_word_of_a_stage_is_told_of_several_items(words: str) -> None:
    """Verb and pronoun agree with the number."""
    several = text(status_table(replace(STATUS, waits=[WaitView("stage", words, 3, NOW, NOW, False, "a")]), NOW))
    line = next(line for line in several.splitlines() if "3 items" in line)
    assert not re.search(r"items +(is|waits|goes)\b|\bits\b|and waits", line), line


def test_what_stopped_the_last_run_comes_first_with_its_remedy() -> None:
    """A person must act before anything goes on: sentence and remedy stand first, once; so do unusable lines."""
    key = Trouble("auth", "The platform refuses the key.", "set TWELVELABS_API_KEY")
    bad = [BadLine("list.csv:17", "htp://x", Trouble("bad", "Not a source.", "check the spelling"))]
    summary = {"note": "The platform refuses the key; set TWELVELABS_API_KEY"}
    run = {"id": "r", "started": NOW - 100, "ended": NOW - 40, "exit_code": 4, "summary": summary}
    shown = text(status_table(replace(STATUS, stopped=key, bad_lines=bad, bad_count=3, runs=[run]), NOW))
    assert shown.count("refuses the key") == 1
    places = [shown.index(part) for part in ("needs attention", "refuses the key", "→ set TWELVELABS", "failed  a.mp4")]
    places += [shown.index(part) for part in ("3 lines not usable", "list.csv:17", "check the spelling", "parked")]
    assert places == sorted(places)
    alone = text(status_table(StatusView({"working": 3}, {}, {}, (), (), "", (), 0.0, 0.0, stopped=key), NOW))
    assert "needs attention" in alone


def test_each_limit_has_a_bar_that_fits_a_terminal() -> None:
    """Used, limit and when there is room again, in 80 columns; a learned limit has its age."""
    gauges = [
        QuotaGauge("assets", "requests_per_minute", 0.0, 60.0),
        QuotaGauge("analyze", "minutes_per_day", 598.5, 600.0, NOW + 7200, NOW - 3700),
        QuotaGauge("analyze", "tokens_per_day", 1_234_567.0, 2_000_000.0),
        QuotaGauge("index", "requests_per_day", 240.0, 240.0, 0.0, NOW - 7200, unnamed=True),
    ]
    lines = text(status_table(replace(STATUS, quota=gauges), NOW), 80).splitlines()
    shown = lines[lines.index("limits") + 1 :][:7]
    assert [" ".join(line.split()) for line in shown] == [
        "assets requests/minute ──────────────────── 0 of 60",
        "analyze minutes/day ━━━━━━━━━━━━━━━━━━━━ 598 of 600",
        "named by the platform 1 h 01 min ago",
        "room again at 2025-11-22T05:00:00Z (in 2 h 00 min)",
        "analyze tokens/day ━━━━━━━━━━━━──────── 1,234,567 of 2,000,000",
        "index requests/day ━━━━━━━━━━━━━━━━━━━━ 240 of 240",
        "never named; refused from here on 2 h 00 min ago",
    ]
    assert max(map(len, shown)) <= 80
    assert "reelmill retry --parked forgets the limits" in text(status_table(replace(STATUS, quota=gauges), NOW))
    assert "limits" not in text(status_table(STATUS, NOW)).splitlines()


def test_what_no_list_names_any_more_is_shown_apart() -> None:
    """Few lines and how many there are: it needs no attention."""
    gone = replace(
        STATUS, attention=(), unlisted=[("failed", f"{number}.mp4", WHY) for number in range(7)], unlisted_tasks=9
    )
    shown = text(status_table(gone, NOW))
    assert "needs attention" not in shown
    assert "no longer listed or asked for: 9 tasks" in shown
    assert ("4.mp4" in shown, "5.mp4" in shown) == (True, False)
    assert "cancel ITEM puts one away" in shown


@pytest.mark.parametrize("code", ["not_supported_by_local_platform", "parameter_invalid", "video_too_short"])
def test_no_retry_is_offered_where_only_the_incurable_is_left(code: str) -> None:
    """Neither by the end of a run nor by ``status``."""
    why = Trouble(code, "It is refused.")
    ended = replace(REPORT, exit_code=3, items={"failed": 1}, troubles=[("a.mp4", why)], troubled=1)
    status = replace(STATUS, troubles={code: 1}, attention=[("failed", "a.mp4", why)], parked=())
    assert "reelmill retry" not in text(run_table(ended)) + text(status_table(status, NOW))
    curable = replace(ended, troubles=[("a.mp4", Trouble("timeout", "No answer."))])
    assert "reelmill retry --failed" in text(run_table(curable))


def test_a_retry_is_offered_only_where_it_can_help() -> None:
    """A file that is too short stays too short: mend it, or put it away."""
    hopeless = Trouble("video_too_short", "The video is too short.")
    stopped = replace(STATUS, troubles={"video_too_short": 2, "timeout": 1}, attention=[("failed", "a.mp4", hopeless)])
    shown = text(status_table(stopped, NOW))
    assert "retry --class timeout" in shown
    assert "retry --class video_too_short" not in shown
    assert "mended is tried again by itself; reelmill cancel ITEM" in shown
    assert "retry --failed" not in text(run_table(replace(REPORT, troubles=[("a.mp4", hopeless)])))


def test_an_unfinished_run_in_the_history_is_not_called_done() -> None:
    """A run without an end is under way while somebody works, and was killed otherwise; older ones were killed."""
    open_run = {"id": "r", "started": NOW, "ended": None, "exit_code": None}
    shown = text(status_table(replace(STATUS, runs=[open_run, open_run]), NOW))
    newest, older = [line for line in shown.splitlines() if line.startswith("2025-11-22T03:00:00Z")]
    assert newest.endswith("running")
    assert older.endswith("not ended, or killed")
    assert "did not end by itself" not in shown  # process 12 may be that very run
    killed = replace(STATUS, running="", runs=[{"id": "r", "started": NOW - 60, "ended": None}])
    assert "the run of 2025-11-22T02:59:00Z (1 min 00 s ago) did not end by itself" in text(status_table(killed, NOW))


def test_show_tells_everything_about_an_item() -> None:
    """State, explanation, next step, tasks, results, what was paid and doubted, the folder."""
    waiting = replace(TASK, state=State.PENDING, wake_at=NOW + 90, kind="analysis", trouble=None)
    shown = text(show_table(replace(ITEM, tasks=[TASK, waiting, replace(waiting, wake_at=NOW - 1)]), NOW))
    for part in (
        "A talk", "file:/a.mp4", "out/a-talk--12345678", "The video is too short.", "→ Take a longer one.", "gist",
        "0123456789abcdef", "possibly twice", "in 1 min 30 s",
    ):  # fmt: skip
        assert part in shown
    assert any(line.startswith("analysis") and line.endswith(" now") for line in shown.splitlines())


def test_show_names_the_part_that_a_call_or_a_result_is_about() -> None:
    """Behind the name; parts that one result has been made of are not listed beside it."""
    (gist,) = ITEM.results
    part = replace(gist, fingerprint="f" * 16, meta={"window": [0.0, 5400.0], "whole": gist.fingerprint})
    other = replace(part, job="summary", fingerprint="e" * 16)
    shown = text(show_table(replace(ITEM, results=[gist, part, other], parts={TASK.id: "0:00-1:30:00"}), NOW))
    assert f"{TASK.kind} 0:00-1:30:00" in shown
    assert ("summary 0:00-1:30:00" in shown, "f" * 16 in shown) == (True, False)


def test_why_ends_with_the_raw_words_of_what_stopped_it() -> None:
    """First the sentence, then the step, last the foreign words: of the failed task, not of one that only waits."""
    waiting = replace(TASK, state=State.PENDING, trouble=Trouble("slow", "Slow.", "", "HTTP 503"))
    shown = text(why_table(replace(ITEM, tasks=[waiting, TASK])))
    assert shown.splitlines() == ["The video is too short.", "  → Take a longer one.", "raw: too_short: HTTP 400"]
    assert "raw" not in text(why_table(replace(ITEM, tasks=[], next_step="")))


def test_doctor_explains_only_what_is_not_well() -> None:
    """Cost and cure stand under what is amiss; what is well takes one line."""
    found = [
        Finding("python", "ok", "3.11", "unused"),
        Finding("disk", "warn", "1 GB free", "large videos will not fit"),
    ]
    shown = text(doctor_table(found)).splitlines()
    assert [line.split() for line in shown] == [
        ["ok", "python", "3.11"],
        ["warn", "disk", "1", "GB", "free"],
        ["→", "large", "videos", "will", "not", "fit"],
    ]


def test_the_board_shows_names_bytes_money_time_and_a_stop() -> None:
    """All that a person waits for: who is worked on, how far and how fast an upload is, what waits, pauses."""
    parked = Parked("download", NOW, Trouble("network", "No name can be looked up."))
    working = [
        WorkView("uploading", "films/a.mp4", 45_000_000, 120_000_000, 2_100_000.0), WorkView("uploading", "films/b.mp4"),
        *(WorkView("analysing", f"films/{name}.mp4") for name in "cdefg"), WorkView("reading", "https://youtu.be/x"),
    ]  # fmt: skip
    shown = text(board(replace(SNAPSHOT, working=working, parked=[parked], stopping=True)), 80)
    for part in (
        "42 of 100 items so far, still reading", "2 failed", "about 1 min 20 s left",
        "45 MB of 120 MB · 2.1 MB/s", "a.mp4", "b.mp4",
        "c.mp4, d.mp4, e.mp4 and 2 more", "youtu.be/x", "1,200 to be read", "$0.50 spent · 12.0 min of video finished",
        "YouTube waits until 2025-11-22T03:00:00Z: No name can be looked up.", "stopping",
    ):  # fmt: skip
        assert part in shown
    assert not any(word in shown for word in ("lane", "poll", "4/4"))
    assert all(len(row) <= 80 for row in shown.splitlines())


def test_the_board_of_the_first_second_promises_nothing() -> None:
    """No items, no rate, no time left: no division by zero, no invented end, and a bar that is seen without colour."""
    shown = text(board(Snapshot(0.0, 0, 0, 0, True, (), 0.0, 0.0, None)), 60)
    assert "0 of 0 items" in shown
    assert "left" not in shown
    assert "─" * 30 in shown
    assert len(shown.splitlines()) == 3


VIEWS: list[RenderableType] = [
    run_table(
        replace(REPORT, output=Path(EVIL), provider=EVIL, note=EVIL, exit_code=5, troubles=[(EVIL, EVIL_WHY)], bad_count=1,
                bad_lines=[BadLine(EVIL, EVIL, EVIL_WHY)], this_run={EVIL: NamedItems(9, [EVIL])})
    ),
    plan_table(replace(PLAN, rows=[PlanRow(EVIL, EVIL, "failed", (EVIL,), None, 0, 0.0, EVIL)], provider=EVIL)),
    status_table(
        replace(STATUS, running=EVIL, tasks={EVIL: {"done": 1}}, troubles={EVIL: 1}, attention=[("held", EVIL, EVIL_WHY)],
                parked=[Parked(EVIL, NOW, EVIL_WHY)]), NOW,
    ),
    show_table(
        replace(ITEM, title=EVIL, source=EVIL, explanation=EVIL, next_step=EVIL, folder=Path(EVIL),
                item=replace(ITEM.item, key=EVIL), tasks=[replace(TASK, kind=EVIL, stage=EVIL)]), NOW,
    ),
    why_table(replace(ITEM, explanation=EVIL, next_step=EVIL, tasks=[replace(TASK, trouble=EVIL_WHY)])),
    doctor_table([Finding(EVIL, "bad", EVIL, EVIL)]),
    board(replace(SNAPSHOT, working=[WorkView(EVIL, EVIL, 1, 2, 3.0), WorkView("uploading", EVIL, 1, 2, 3.0)],
                  parked=[Parked(EVIL, NOW, EVIL_WHY)])),
    config_check_table(Settings(run=RunSection(manifests=(EVIL,)))),
]  # fmt: skip


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize(
    "shown", VIEWS, ids=["report", "plan", "status", "item", "why", "doctor", "board", "config check"]
)
def test_hostile_words_do_nothing_in_any_view(shown: RenderableType, width: int) -> None:
    """No escape, control or direction character gets through, brackets are not markup, no line outgrows the screen."""
    plain = text(shown, width)
    assert not any(char in plain for char in "\x1b\x9b\u202e\r\x07")
    if width == 200:
        assert "[red]" in plain
    coloured = rendered(shown, tty=True, width=width)
    assert "\x1b" not in re.sub(r"\x1b\[[\d;]*m", "", coloured)


def test_config_check_says_what_is_in_force_and_never_the_key() -> None:
    """The key is only said to be there."""
    settings = load(None, env={"TWELVELABS_API_KEY": "tlk_very_secret"}, flags={"budget": {"max_usd_per_run": 2}})
    shown = text(config_check_table(settings))
    rows = [re.split(r"  +", line.strip()) for line in shown.splitlines()]
    assert ["api key", "set"] in rows
    assert ["platform", "twelvelabs (v1.3, pegasus1.5)"] in rows
    assert ["budget", "$2.00 per run"] in rows
    assert "secret" not in shown


def test_the_platform_prints_lines_that_a_shell_takes() -> None:
    """Quoted as a shell needs it."""
    assert messages.platform("http://h:1", "a b").splitlines()[1:] == [
        "export REELMILL_PROVIDER__BASE_URL=http://h:1",
        "export TWELVELABS_API_KEY='a b'",
    ]


def test_the_demo_says_where_to_look() -> None:
    """Videos, results, and the next thing to type."""
    said = messages.demo([Path("d/videos/a.mp4"), Path("d/videos/b.mp4")], Path("d/out"))
    assert "made 2 videos in d/videos" in said
    assert "look into d/out" in said
    assert "reelmill run" in messages.demo([], Path("out"))


def test_a_test_of_the_night_watch_fits_a_narrow_window() -> None:
    """Each way, whom it tells, and why not, in 80 columns and in full."""
    long = "https://a-rather-long-name-of-some-host.and-company.example.org:8443"
    told = [
        Delivery("ping", long, True, 0.21),
        Delivery("post_json", long, False, 11.0, f"it answered 302, a redirect to {long}"),
    ]
    text = rendered(notify_table(told), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "".join(text.split()) == "".join(
        f"ok ping {long} · 0.2 s failed post_json {long} · 11.0 s → it answered 302, a redirect to {long}".split()
    )
