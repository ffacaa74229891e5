"""Hits, classes, indexes and videos as tables and files: whatever a title holds, nothing breaks out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.app.runs.query_files import query_files
from pipeline.core.model import Trouble
from pipeline.core.text import merged
from pipeline.ports.index_api import ClassScore, IndexedVideo, IndexInfo, SearchHit
from pipeline.present.tables.index.indexes import indexes_table, videos_table
from pipeline.present.tables.index.search import classify_table, search_table
from pipeline.present.tables.plan import plan_table
from pipeline.present.tables.run import run_table
from pipeline.present.terminal import rendered
from pipeline.views import (
    Asked,
    ClassifyView,
    IndexedView,
    IndexView,
    QueryReport,
    SearchView,
    VideoClasses,
    VideoRef,
)
from tests.unit.test_present_cli import PLAN, REPORT

ASKED = Asked("local/v1.3", "i1", "films", {"text": "queen"}, 1_800_000_000.0, 0.004)
OURS = VideoRef(
    "v1", "Bees", "sha256:a", "bees.mp4", Path("out/bees--aaaaaaaa"), Path("out/bees--aaaaaaaa/chapters.txt")
)
HIT = SearchHit("v1", 65.5, 70.0, rank=1, text="One queen", sources=("transcription",))
INDEX = IndexInfo("i1", "films", [("marengo3.0", ("visual", "audio"))], ["thumbnail"], 2, 160.0, "2026-06-01T10:00:00Z")


def found(*hits: SearchHit, **videos: VideoRef) -> SearchView:
    """Return what a search found."""
    return SearchView(ASKED, hits, {"v1": OURS, **videos}, len(hits), 2, 160.0)


def text(view: Any) -> list[str]:
    """Return the lines that stdout would get."""
    return rendered(view, width=200).splitlines()


def test_hits_by_rank() -> None:
    """Rank, moment as m:ss, title, words; the results' place once, however many hits."""
    lines = text(search_table(found(HIT, replace(HIT, rank=2, start=3700.0, end=3725.0))))
    assert lines[0] == "2 of 2 hits · 2 videos searched, 2.7 min · films on local/v1.3 · $0.0040"
    assert lines[2].split() == ["rank", "from", "to", "video", "found", "by", "words"]
    assert lines[3].split() == ["1", "1:05", "1:10", "Bees", "transcription", "One", "queen"]
    assert lines[4].split()[:3] == ["2", "1:01:40", "1:02:05"]
    assert lines[-1] == "out/bees--aaaaaaaa/chapters.txt"
    assert sum("chapters.txt" in line for line in lines) == 1


def test_hits_by_score() -> None:
    """v1.2 has a score and a word for it instead of a rank; a column that nobody fills is not there."""
    lines = text(search_table(found(SearchHit("v1", 0.0, 5.0, score=92.28, confidence="high"))))
    assert lines[2].split() == ["score", "from", "to", "confidence", "video", "words"]
    assert lines[3].split() == ["92.3", "0:00", "0:05", "high", "Bees", "-"]


def test_nothing_found_is_one_line() -> None:
    """No empty table."""
    assert len(text(search_table(found()))) == 1


HOSTILE = "\x1b]0;owned\x07[red]日本語" * 30 + "\u202ereversed\n"


def test_titles_are_cut_by_width_and_obeyed_by_nobody() -> None:
    """Forty cells, no escape sequence, no markup, no second line."""
    stranger = VideoRef("v1", HOSTILE)
    lines = text(search_table(found(replace(HIT, text=HOSTILE), v1=stranger)))
    assert len(lines) == 4
    assert "\x1b" not in lines[3]
    assert "\u202e" not in lines[3]
    assert "[red]" in lines[3]
    assert cell_len(lines[3]) < 150
    shown = text(videos_table(IndexView(INDEX, [IndexedView(IndexedVideo("v1", HOSTILE, 5.0), stranger)])))
    assert cell_len(shown[3]) < 150


def test_classes_show_moments_and_scores_where_they_were_asked_for() -> None:
    """Clips that touch are one; without clips or details there is no column for them."""
    clips = [
        SearchHit("v1", 10, 20, score=80.0),
        SearchHit("v1", 0, 4, score=90.0),
        SearchHit("v1", 15, 30, score=70.0),
    ]
    rich = ClassScore("Bees", 94.18, 0.95, {"max_score": 92.28, "avg_score": 80.0}, clips)
    plain = ClassScore("Sea", 75.0, 0.5)
    lines = text(classify_table(ClassifyView(ASKED, [VideoClasses(OURS, [rich, plain])])))
    assert lines[2].split() == ["score", "share", "class", "video", "moments", "scores"]
    assert "0:00–0:04, 0:10–0:30" in lines[3]
    assert lines[3].endswith("max 92.28, avg 80")
    assert lines[4].split() == ["75.0", "50%", "Sea", "Bees", "-", "-"]
    bare = text(classify_table(ClassifyView(ASKED, [VideoClasses(OURS, [plain])])))
    assert bare[2].split() == ["score", "share", "class", "video"]
    assert text(classify_table(ClassifyView(ASKED, [])))[0].startswith("0 videos in a class")


def test_indexes_show_models_and_dates() -> None:
    """One line each; none at all says how to get one."""
    lines = text(indexes_table([INDEX, replace(INDEX, expires="2026-09-01T00:00:00Z", addons=())]))
    assert lines[1].split() == [
        "films", "2", "2.7", "min", "marengo3.0", "(visual+audio)", "thumbnail", "2026-06-01", "never", "i1",
    ]  # fmt: skip
    assert "2026-09-01" in lines[2]
    assert "indexes create" in text(indexes_table([]))[0]


def test_videos_show_our_title_or_the_platforms_name() -> None:
    """What is ours leads to its results; what is not has the file's name."""
    ours = IndexedView(IndexedVideo("v1", "reelmill-1.mp4", 64.0, 640, 360, size=1_400_000, created="2026-06-01"), OURS)
    theirs = IndexedView(IndexedVideo("v2", "tides.mp4", 10.0), VideoRef("v2", "v2"))
    lines = text(videos_table(IndexView(INDEX, [ours, theirs])))
    assert lines[0] == "films: 2 videos, 2.7 min"
    assert lines[3].split() == ["Bees", "1:04", "640×360", "1.4", "MB", "ready", "2026-06-01", "v1"]
    assert lines[4].split() == ["tides.mp4", "0:10", "-", "-", "ready", "-", "v2"]
    assert len(text(videos_table(IndexView(INDEX, [])))) == 1


def test_the_run_tells_of_its_queries() -> None:
    """How many were answered; for the others why not, and what to do."""
    queries = [
        QueryReport("queen", "done", 2, Path("out/searches/queen.md")),
        QueryReport("sea", "failed", trouble=Trouble("x", "No such index.", "make one")),
    ]
    lines = text(run_table(replace(REPORT, queries=queries)))
    assert any(line.split() == ["searches", "1", "done", "·", "1", "failed"] for line in lines)
    assert any("sea  No such index." in line for line in lines)
    assert any("→ make one" in line for line in lines)
    assert "searches" not in "".join(text(run_table(REPORT)))


@pytest.mark.parametrize(
    ("spans", "one"),
    [([], []), ([(1, 2)], [(1, 2)]), ([(5, 9), (0, 5)], [(0, 9)]), ([(0, 9), (1, 2), (9.5, 10)], [(0, 9), (9.5, 10)])],
)
def test_spans_that_touch_are_one(spans: Sequence[tuple[float, float]], one: Sequence[tuple[float, float]]) -> None:
    """In order, whatever order they came in."""
    assert merged(spans) == one


def test_files_link_into_the_results_and_carry_no_signature() -> None:
    """Relative to the folder of the searches, so that the output folder can be moved as a whole."""
    signed = replace(HIT, thumbnail="https://t/x.jpg?X-Sig=abc")
    card, page = query_files("queen", "r1", found(signed), Path("out"))
    value = json.loads(card.content)
    assert (card.name, page.name) == ("queen.json", "queen.md")
    assert value["hits"][0]["video"]["results"] == "../bees--aaaaaaaa/chapters.txt"
    assert value["pool"] == {"videos": 2, "seconds": 160.0}
    assert "X-Sig" not in str(card.content)
    assert "1. [Bees](../bees--aaaaaaaa/chapters.txt), 1:05–1:10 · rank 1 · transcription\n   > One queen\n" in str(
        page.content
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://example.org/bees.mp4?***", "https://example.org/bees.mp4"),
        ("films/why?.mp4", "films/why?.mp4"),
    ],
)
def test_files_name_the_whole_source_without_a_secret(source: str, told: str) -> None:
    """The query of a YouTube address is the video's name, and a path has none."""
    (card, _) = query_files("queen", "r1", found(HIT, v1=replace(OURS, source=source)), Path("out"))
    assert json.loads(card.content)["hits"][0]["video"]["source"] == told


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=40))
def test_no_title_and_no_words_break_the_page(title: str, words: str, asked: str) -> None:
    """Each hit is its own line and one quoted line; JSON reads back; both encode."""
    video = VideoRef("v1", title)
    view = SearchView(replace(ASKED, query={"text": asked}), [replace(HIT, text=words)], {"v1": video}, 1, 1, 1.0)
    card, page = query_files("q", "r1", view, Path("out"))
    json.loads(card.content)
    lines = str(page.content).splitlines()
    assert sum(line.startswith("1. ") for line in lines) == 1
    assert lines[0] == "# q"
    assert len(lines) <= 8
    str(page.content).encode()
    str(card.content).encode()


def test_a_plan_tells_what_its_queries_cost() -> None:
    """Their share of the price, where there are any."""
    priced = replace(PLAN, queries=2, queries_usd=0.008)
    assert any(line.endswith("with $0.0080 for 2 standing queries") for line in text(plan_table(priced)))
    assert "standing" not in "".join(text(plan_table(PLAN)))


LONG = replace(
    HIT, start=3665.5, end=3725.0, text="A colony has one queen, and she lays up to two thousand eggs on a summer's day.",
    sources=("visual", "transcription"),
)  # fmt: skip
FILM = replace(OURS, title="A long talk about bees, held in November, part two.mp4")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_hits_keep_rank_and_moment_at_any_width(width: int) -> None:
    """Title and words share what is left, and are cut; what found a hit goes first."""
    shown = rendered(search_table(found(LONG, replace(LONG, rank=2), v1=FILM)), width=width).splitlines()
    at = shown.index("") + 1
    assert shown[at].split()[:3] == ["rank", "from", "to"]
    for line, rank in zip(shown[at + 1 : at + 3], "12", strict=True):
        assert line.split()[:4] == [rank, "1:01:05", "1:02:05", "A"]
        assert "  A colony" in line
    assert all(cell_len(line) <= width for line in shown)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_classes_keep_score_and_share_at_any_width(width: int) -> None:
    """Class, video and moments share what is left, and are cut; the further scores go first."""
    clips = [SearchHit("v1", at, at + 10, score=80.0) for at in range(0, 4000, 50)]
    name = "How bees find their way home"
    fits = ClassScore(name, 94.18, 0.95, {"max_score": 92.28, "avg_score": 80.0}, clips)
    shown = rendered(classify_table(ClassifyView(ASKED, [VideoClasses(FILM, [fits])])), width=width).splitlines()
    at = shown.index("") + 1
    assert shown[at].split() == ["score", "share", "class", "video", "moments"]
    assert shown[at + 1].split()[:4] == ["94.2", "95%", "How", "bees"]
    assert "  A " in shown[at + 1]
    assert "  0:00–0:10" in shown[at + 1]
    assert all(cell_len(line) <= width for line in shown)
