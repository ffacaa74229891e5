"""Hits, filters, classes and list parameters of the local platform: the pure parts of search."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from pipeline.local.analysis.ranking.classification import (
    Thresholds,
    WantedClass,
    fits,
    shares,
)
from pipeline.local.analysis.ranking.search_hits import (
    confidence,
    group_by_video,
    hits_of_all,
    hits_of_any,
    least_score,
    matches_filter,
    parse_filter,
)
from pipeline.local.api.http.bodies import parse
from pipeline.local.api.http.query import SIZES, TIMES, Column, parse_list
from pipeline.local.api.http.responses import canonical_path
from pipeline.local.api.model_options import V1_2, V1_3, resolve_options, searchable_by
from pipeline.local.api.v1_2.classify import IndexClassifyRequest
from pipeline.local.api.v1_2.search import SearchBody
from pipeline.local.api.v1_3.search import SearchForm
from pipeline.local.errors import ApiError
from pipeline.local.jobs.media_library import MediaLibrary, youtube_id
from pipeline.local.state.fulltext import ClipMatch
from pipeline.local.state.tables import VIDEOS, IndexRow, VideoRow


def match(video: str, kind: str, start: float, end: float, score: float) -> ClipMatch:
    """Return a clip that was found."""
    return ClipMatch(video, kind, start, end, f"{kind} at {start:g}", score)


def test_or_takes_every_clip_and_and_the_overlap() -> None:
    """``and`` narrows to the time both share, with the mean score, and drops videos that lack a kind."""
    found = [
        match("a", "conversation", 0, 4, 90),
        match("a", "conversation", 20, 24, 100),
        match("a", "text_in_video", 2, 10, 50),
        match("a", "text_in_video", 3, 5, 70),
        match("b", "conversation", 0, 9, 99),
    ]
    assert [hit.score for hit in hits_of_any(found)] == [100, 99, 90, 70, 50]
    (hit,) = hits_of_all(found, ["conversation", "text_in_video"])
    assert (hit.video_id, hit.start, hit.end, hit.score) == ("a", 3, 4, 80.0)
    assert [each.kind for each in hit.by] == ["conversation", "text_in_video"]


def test_groups_keep_the_order_of_their_hits() -> None:
    """By the best hit of each video, or by the number of hits."""
    hits = hits_of_any([match("a", "c", 0, 1, 90), match("b", "c", 0, 1, 80), match("b", "c", 2, 3, 70)])
    assert [video for video, _ in group_by_video(hits)] == ["a", "b"]
    assert [video for video, _ in group_by_video(hits, most_clips_first=True)] == ["b", "a"]


def test_confidence_and_threshold_move_together() -> None:
    """What has a level passes its threshold, at any strictness; ``none`` lets all pass."""
    for adjust in (0.0, 0.2, 0.5, 0.9, 1.0):
        for score in range(0, 101, 5):
            level = confidence(score, adjust)
            if level in ("high", "medium", "low"):
                assert score >= least_score(level, adjust)
    assert [confidence(score) for score in (80, 60, 35, 34)] == ["high", "medium", "low", "extremely low"]
    assert least_score("none") == 0.0


VIDEO = VideoRow(
    "v", "i", "a", "ready", "f.mp4", 1.0, 1.0, "Title", duration=60.0, width=1280, user_metadata={"n": 5, "ok": True}
)


@pytest.mark.parametrize(
    ("wanted", "fits_"),
    [
        ({}, True), ({"id": ["v", "w"]}, True), ({"id": []}, False), ({"id": "v"}, True), ({"filename": "Title"}, True),
        ({"filename": "f.mp4"}, False), ({"duration": 60}, True), ({"duration": {"gte": 60, "lte": 60}}, True),
        ({"width": {"lte": 1279}}, False), ({"n": 5}, True), ({"n": {"gte": 4}}, True), ({"n": "5"}, False),
        ({"ok": True}, True), ({"ok": 1}, False), ({"ok": False}, False), ({"none": "x"}, False), ({"none": {"gte": 0}}, False),
    ],
)  # fmt: skip
def test_filters_accept_by_facts_and_own_metadata(wanted: dict[str, Any], fits_: bool) -> None:
    """Equality keeps the type, ranges hold both ends, what a video does not have does not fit."""
    assert matches_filter(parse_filter(wanted), VIDEO) is fits_


def test_a_class_is_its_best_clip_and_the_time_its_clips_take() -> None:
    """Overlapping clips count their time once; minima hold for clip, video and share of the video."""
    clips = {
        "one": [match("a", "c", 0, 4, 90), match("a", "c", 2, 6, 40), match("b", "c", 0, 1, 20)],
        "two": [match("a", "c", 8, 9, 60)],
    }
    classes = [WantedClass("x", ("one", "two"), (), "stems"), WantedClass("y", ("two",), (), "stems")]
    found = fits(classes, {"a": 10.0, "b": 10.0}, lambda each, prompt: clips[prompt], Thresholds(50, 30, 0.1))
    ((video, (first, second)),) = found
    assert (video, first.name, first.score, first.ratio, first.mean) == ("a", "x", 90, 0.7, 63.33)
    assert (second.name, second.score, second.ratio) == ("y", 60, 0.1)
    assert [piece.prompt for piece in first.pieces] == ["one", "two", "one"]
    assert round(sum(shares([first, second]).values())) == 100
    assert fits(classes, {"a": 10.0}, lambda each, prompt: clips[prompt], Thresholds(50, 30, 0.8)) == []
    assert fits(classes, {}, lambda each, prompt: clips[prompt], Thresholds()) == []


CLASS = {"name": "a", "prompts": ["p"], "options": ["conversation"]}


def test_both_shapes_of_a_threshold_are_read() -> None:
    """The object's parts have the vendor's defaults; a number is the least video score."""

    def read(threshold: Any) -> Thresholds:
        return parse(IndexClassifyRequest, {"index_id": "i", "classes": [CLASS], "threshold": threshold}).threshold

    assert read(None) == Thresholds(75.0, 30.0, 0.0)
    assert read(80) == Thresholds(80.0, 30.0, 0.0)
    assert read({"min_video_score": 80}) == Thresholds(80.0, 30.0, 0.5)


def refusal(attempt: Callable[[], object]) -> int:
    """Return the status that an attempt was refused with, 0 if it was not."""
    try:
        attempt()
    except ApiError as error:
        return error.status
    return 0


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
    ),
    st.sampled_from(
        ["query", "search_options", "filter", "threshold", "adjust_confidence_level", "page_limit", "group_by"]
    ),
)
def test_no_body_makes_the_readers_crash(value: Any, name: str) -> None:
    """Whatever a client sends is either read or refused as an ApiError."""
    body = {"index_id": "i", "query": "q", "search_options": ["conversation"], name: value}
    text = {"index_id": "i", "query_text": "q", "search_options": [str(value)], "page_limit": str(value)}
    for attempt in (
        lambda: parse(SearchBody, body),
        lambda: parse(SearchForm, {**text, "filter": value}),
        lambda: matches_filter(parse_filter(value), VIDEO),
        lambda: parse(IndexClassifyRequest, {"index_id": "i", "classes": [CLASS], "threshold": value}),
        lambda: parse(IndexClassifyRequest, {"index_id": "i", "classes": value, "options": value}).wanted(),
        lambda: parse(IndexClassifyRequest, {"index_id": "i", "classes": [{**CLASS, "prompts": value}]}).wanted(),
        lambda: parse(IndexClassifyRequest, {"index_id": "i", "classes": [{**CLASS, "options": value}]}).wanted(),
        lambda: V1_2.parse(value),
        lambda: V1_3.parse([{"model_name": value, "model_options": value}]),
        lambda: youtube_id(value),
    ):
        assert refusal(attempt) in (0, 400)


PARAMETERS = (
    "duration", "duration[gte]", "created_at", "created_at[lte]", "filename", "own", "user_metadata[x]", 'a"b', "page",
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PARAMETERS),
            st.text(max_size=8) | st.sampled_from(["1", "2026-11-22", "true", "1e999", "nan"]),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_no_parameter_breaks_a_list(pairs: list[tuple[str, str]]) -> None:
    """Every set of parameters is a clause that SQLite takes, or a 400."""
    columns = {"filename": Column("title"), **SIZES, **TIMES}
    db = sqlite3.connect(":memory:")
    try:
        for statement in VIDEOS.ddl:
            db.execute(statement)
        VIDEOS.add(db, VIDEO)
        with contextlib.suppress(ApiError):
            wanted = parse_list(
                QueryParams(pairs), columns, conditions={"index_id = ?": "i"}, metadata="videos.user_metadata"
            )
            total, found = wanted.fetch(db, VIDEOS)
            assert len(found) <= total <= 1
    finally:
        db.close()


def test_options_are_refused_for_the_right_reason() -> None:
    """Unknown, not in the index, no embedding model, not answerable: four different refusals; each kind once."""
    names = {"visual": (), "conversation": ("conversation",), "text_in_video": ("text_in_video",)}
    marengo = IndexRow("i", "n", 0, 0, [{"model_name": "marengo2.6", "model_options": ["visual", "conversation"]}])
    pegasus = IndexRow("i", "n", 0, 0, [{"model_name": "pegasus1.1", "model_options": ["visual"]}])
    assert resolve_options(["conversation", "conversation"], marengo, names) == ["conversation"]
    for options, index, code in (
        (["sound"], marengo, "parameter_invalid"),
        ([], marengo, "parameter_invalid"),
        (["text_in_video"], marengo, "search_option_not_supported"),
        (["visual"], marengo, "search_option_not_supported"),
        (["conversation"], pegasus, "index_not_supported_for_search"),
    ):
        with pytest.raises(ApiError) as error:
            resolve_options(options, index, names)
        assert error.value.code == code
    today = IndexRow("i", "n", 0, 0, [{"model_name": "marengo3.0", "model_options": ["audio"]}])
    assert searchable_by(today) == {"conversation", "audio"}


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www.youtube.com/watch?v=DXB4MApF4Lo", "DXB4MApF4Lo"),
        ("http://m.youtube.com/watch?t=3&v=DXB4MApF4Lo&list=x", "DXB4MApF4Lo"),
        ("https://youtu.be/DXB4MApF4Lo?si=y", "DXB4MApF4Lo"),
        ("https://youtube.com/shorts/DXB4MApF4Lo", "DXB4MApF4Lo"),
        ("https://www.youtube.com/watch?v=../../etc/p", None),
        ("https://www.youtube.com/playlist?list=PL123", None),
        ("https://youtube.com.evil.invalid/watch?v=DXB4MApF4Lo", None),
        ("ftp://youtu.be/DXB4MApF4Lo", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_youtube_addresses_are_known_by_their_video(url: str, key: str | None) -> None:
    """Every usual form gives the id; nothing else does, so no address can name a file of its own choice."""
    assert youtube_id(url) == key


def test_the_shelf_finds_by_id_with_what_lies_beside(tmp_path: Path) -> None:
    """Bare ids come first; titles from the description or the name; English captions before others; else nothing."""
    library = MediaLibrary(tmp_path / "media")
    assert library.find("DXB4MApF4Lo") is None
    library.folder.mkdir()
    (library.folder / "A shot [DXB4MApF4Lo].mkv").write_bytes(b"x")
    (library.folder / "A shot [DXB4MApF4Lo].de.vtt").write_text("deutsch")
    (library.folder / "A shot [DXB4MApF4Lo].en.vtt").write_text("english")
    (library.folder / "DXB4MApF4Lo.txt").write_text("no video")
    held = library.find("DXB4MApF4Lo")
    assert held is not None
    assert (held.path.suffix, held.title, held.captions) == (".mkv", "A shot", "english")
    (library.folder / "DXB4MApF4Lo.mp4").write_bytes(b"y")
    (library.folder / "DXB4MApF4Lo.info.json").write_text('{"title": " The  shot "}')
    bare = library.find("DXB4MApF4Lo")
    assert bare is not None
    assert (bare.path.name, bare.title, bare.captions) == ("DXB4MApF4Lo.mp4", "The shot", "")
    (library.folder / "DXB4MApF4Lo.info.json").write_text("{")
    broken = library.find("DXB4MApF4Lo")
    assert broken is not None
    assert broken.title == ""


def test_a_title_from_the_shelf_can_be_kept(tmp_path: Path) -> None:
    """Half a character, of a name that is not UTF-8 or of a text that was cut, is replaced: no database takes it."""
    (tmp_path / os.fsdecode(b"Caf\xe9 [DXB4MApF4Lo].mp4")).write_bytes(b"x")
    named = MediaLibrary(tmp_path).find("DXB4MApF4Lo")
    (tmp_path / "nhY1s6CZziE.mp4").write_bytes(b"x")
    (tmp_path / "nhY1s6CZziE.info.json").write_text('{"title": "cut \\ud83d"}')
    described = MediaLibrary(tmp_path).find("nhY1s6CZziE")
    assert [held.title for held in (named, described) if held is not None] == ["Caf?", "cut ?"]


def test_old_paths_have_one_name() -> None:
    """Both hosts' paths and a slash at the end meet; everything else is left alone."""
    assert canonical_path("/p/v1.2/search/") == canonical_path("/v1.2/search") == "/v1.2/search"
    assert [canonical_path(path) for path in ("/v1.3/search/", "/p/v1.20", "/v1.2x/", "/p/v1.2")] == [
        "/v1.3/search/", "/p/v1.20", "/v1.2x/", "/v1.2",
    ]  # fmt: skip
