"""Indexes, search and classification in both dialects, on JSON: requests as documented, answers of every form. No I/O."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import Permanent
from pipeline.ports.index_api import ClassifyQuery, ClassSpec, IndexSpec, ListFilter, SearchQuery
from pipeline.provider.dialects.index_protocol import IndexDialect
from pipeline.provider.dialects.protocol import FilePart, Response, UnreadableAnswer
from pipeline.provider.dialects.v1_2.indexes import IndexV12
from pipeline.provider.dialects.v1_3.indexes import IndexV13

OLD, NEW = IndexV12(), IndexV13()
BOTH = pytest.mark.parametrize("dialect", [OLD, NEW], ids=["v1.2", "v1.3"])
INDEX = "a" * 24
VIDEO = "b" * 24


def answer(body: Any) -> Response:
    """A good response."""
    return Response(200, {}, json.dumps(body).encode(), 0.0)


def index(api: str, key: str = INDEX, name: str = "films") -> dict[str, Any]:
    """An index as this dialect shows it."""
    more = (
        {"engines": [{"engine_name": "marengo2.5", "engine_options": ["visual", "conversation"]}]}
        if api == "v1.2"
        else {"models": [{"model_name": "marengo3.0", "model_options": ["visual", "audio"]}]}
    )
    known = {"video_count": 2, "total_duration": 12.5, "created_at": "2026-11-22T10:00:00Z", "expires_at": None}
    return {"_id": key, "index_name": name, "addons": ["thumbnail"], **known, **more}


# ---------------------------------------------------------------------------------------------------- requests on JSON


def test_an_index_is_wished_for_in_the_words_of_the_dialect() -> None:
    """Defaults are those of the notebook, and today's only model."""
    spec = IndexSpec("films", addons=("thumbnail",))
    old, new = OLD.create_index(spec).request, NEW.create_index(IndexSpec("films")).request
    assert (old.path, old.group, old.safe) == (new.path, new.group, new.safe) == ("/indexes", "index", False)
    assert old.json == {
        "index_name": "films",
        "engines": [
            {"engine_name": "marengo2.5", "engine_options": ["visual", "conversation", "text_in_video", "logo"]},
            {"engine_name": "pegasus1", "engine_options": ["visual", "conversation"]},
        ],
        "addons": ["thumbnail"],
    }
    assert new.json == {
        "index_name": "films", "models": [{"model_name": "marengo3.0", "model_options": ["visual", "audio"]}]
    }  # fmt: skip
    chosen = OLD.create_index(IndexSpec("n", [("marengo2.6", ("visual",))])).request.json
    assert chosen == {"index_name": "n", "engines": [{"engine_name": "marengo2.6", "engine_options": ["visual"]}]}


@BOTH
def test_every_filter_of_a_listing_is_sent(dialect: IndexDialect) -> None:
    """Bounds as ``field[gte]`` and ``field[lte]``, metadata as fields of its own, order and page in words."""
    which = ListFilter(
        filename="a b.mp4", created_since="2026-01-01T00:00:00Z", seconds=(60, 90.5), width=(None, 1280),
        height=(360, None), size=(1, 12_345_678_901), metadata={"source_id": "x&y"}, sort_by="updated_at", sort="asc",
    )  # fmt: skip
    request = dialect.videos(INDEX, which, 7).request
    kind = "videos" if dialect is OLD else "indexed-assets"
    assert (request.method, request.path, request.safe) == ("GET", f"/indexes/{INDEX}/{kind}", True)
    assert dict(request.params) == {
        "filename": "a b.mp4", "created_at": "2026-01-01T00:00:00Z", "duration[gte]": "60", "duration[lte]": "90.5",
        "width[lte]": "1280", "height[gte]": "360", "size[gte]": "1", "size[lte]": "12345678901", "source_id": "x&y",
        "sort_by": "updated_at", "sort_option": "asc", "page": "7", "page_limit": "50",
    }  # fmt: skip
    named = dialect.indexes(ListFilter(name="films", sort="asc"), 1).request
    assert (named.path, dict(named.params)["index_name"]) == ("/indexes", "films")


@BOTH
@pytest.mark.parametrize("key", ["page", "sort_by", "duration", "duration[gte]", ""])
def test_metadata_cannot_be_a_field_of_ours(dialect: IndexDialect, key: str) -> None:
    """A key that would change the page or a bound is refused, not sent."""
    with pytest.raises(Permanent):
        dialect.videos(INDEX, ListFilter(metadata={key: "1"}), 1)


def test_a_search_of_v1_2_is_json() -> None:
    """All its options; what was not wished for is not sent."""
    plain = OLD.search(SearchQuery(INDEX, "birds", options=("visual",))).request
    assert (plain.method, plain.path, plain.group, plain.safe) == ("POST", "/search", "search", False)
    assert plain.json == {
        "query": "birds", "index_id": INDEX, "search_options": ["visual"], "operator": "or", "group_by": "clip",
        "page_limit": 50,
    }  # fmt: skip
    full = OLD.search(
        SearchQuery(
            INDEX, "words", options=("conversation", "text_in_video"), speech=("exact_match",), operator="and",
            group_by="video", threshold="medium", sort="clip_count", filter={"duration": {"gte": 60}}, limit=3,
        )
    ).request  # fmt: skip
    assert full.json == {
        "query": "words", "index_id": INDEX, "search_options": ["conversation", "text_in_video"], "operator": "and",
        "group_by": "video", "page_limit": 3, "conversation_option": "exact_match", "threshold": "medium",
        "sort_option": "clip_count", "filter": {"duration": {"gte": 60}},
    }  # fmt: skip


def test_a_search_of_v1_3_is_a_form(tmp_path: Path) -> None:
    """Repeated parts for lists, JSON text for the filter, images as files and as addresses."""
    query = SearchQuery(
        INDEX, "zwei Hände", images=[tmp_path / "a.png", "https://x/b.jpg", tmp_path / "c"],
        options=("visual", "transcription"), speech=("lexical", "semantic"), filter={"title": "ä", "id": ["1"]}, limit=80,
    )  # fmt: skip
    request = NEW.search(query).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/search", "search", False)
    assert request.form == [
        ("index_id", INDEX), ("search_options", "visual"), ("search_options", "transcription"),
        ("transcription_options", "lexical"), ("transcription_options", "semantic"), ("group_by", "clip"),
        ("operator", "or"), ("page_limit", "50"), ("query_text", "zwei Hände"), ("filter", '{"title": "ä", "id": ["1"]}'),
        ("query_media_type", "image"), ("query_media_url", "https://x/b.jpg"),
    ]  # fmt: skip
    assert request.files == [
        FilePart(tmp_path / "a.png", "a.png", "image/png", field="query_media_file"),
        FilePart(tmp_path / "c", "c", "image/jpeg", field="query_media_file"),
    ]


@pytest.mark.parametrize(("dialect", "query", "code"), [
    (OLD, SearchQuery(INDEX, "x", images=["https://x/a.jpg"], options=("visual",)), "not_in_this_api"),
    (OLD, SearchQuery(INDEX, "x", options=("conversation",), speech=("semantic", "exact_match")), "parameter_invalid"),
    (NEW, SearchQuery(INDEX, "x", options=("visual",), threshold="high"), "not_in_this_api"),
    (NEW, SearchQuery(INDEX, "x", options=("visual",), sort="score"), "not_in_this_api"),
    (NEW, SearchQuery(INDEX, "x", images=["https://x/a.jpg"] * 11, options=("visual",)), "too_many_images"),
])  # fmt: skip
def test_a_wish_that_cannot_be_sent_is_refused(dialect: IndexDialect, query: SearchQuery, code: str) -> None:
    """Nothing is left out silently: the answer would be to another question."""
    with pytest.raises(Permanent) as caught:
        dialect.search(query)
    assert caught.value.trouble.code == code


@pytest.mark.parametrize("threshold", [None, 75, {"min_video_score": 80, "min_duration_ratio": 0.5}])
def test_a_classification_has_both_shapes_of_threshold(threshold: Any) -> None:
    """Of an index in bulk or of named videos; flags only where they are wished for."""
    classes = [ClassSpec("Ball", ["playing", "rules"]), ClassSpec("Golf", ["tee"], ("conversation",), "exact_match")]
    request = OLD.classify(
        ClassifyQuery(classes, INDEX, options=("visual", "logo"), threshold=threshold, limit=7)
    ).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/classify/bulk", "search", False)
    assert request.json == {
        "classes": [
            {"name": "Ball", "prompts": ["playing", "rules"]},
            {"name": "Golf", "prompts": ["tee"], "options": ["conversation"], "conversation_option": "exact_match"},
        ],
        "options": ["visual", "logo"], "conversation_option": "semantic", "page_limit": 7, "index_id": INDEX,
        **({} if threshold is None else {"threshold": threshold}),
    }  # fmt: skip
    named = OLD.classify(
        ClassifyQuery(classes, INDEX, video_ids=[VIDEO], clips=True, detailed=True, speech="exact_match")
    ).request
    assert named.path == "/classify"
    assert named.json is not None
    assert (named.json["video_ids"], "index_id" in named.json) == ([VIDEO], False)
    assert (named.json["include_clips"], named.json["show_detailed_score"]) == (True, True)
    assert named.json["conversation_option"] == "exact_match"


def test_hits_of_v1_2_are_read() -> None:
    """Score, confidence, words and sources; grouped ones are laid flat, and their inner matches are the total."""
    clip = {"score": 92.28, "start": 4, "end": 12.5, "confidence": "high", "thumbnail_url": "https://t/1"}
    found = {"metadata": [{"type": "text_in_video", "text": " Usain BOLT"}, {"type": "visual"}], "video_id": VIDEO}
    info = {"total_results": 19, "next_page_token": "", "page_expired_at": "2023-10-13T14:05:56Z"}
    pool = {"total_count": 3, "total_duration": 86.5, "index_id": INDEX}
    read = OLD.search_page("t").read(answer({"data": [{**clip, **found}], "page_info": info, "search_pool": pool}))
    hit = read.entries[0]
    assert (hit.video_id, hit.start, hit.end, hit.score, hit.rank) == (VIDEO, 4.0, 12.5, 92.28, None)
    assert (hit.confidence, hit.text, hit.sources) == ("high", "Usain BOLT", ("text_in_video", "visual"))
    assert (read.total, read.token, read.pool) == (19, "", (3, 86.5))
    grouped = {"id": VIDEO, "clips": [clip, {**clip, "start": 20, "end": 21}]}
    both = OLD.search_page("t").read(answer({"data": [grouped], "page_info": {**info, "total_inner_matches": 44}}))
    assert [(hit.video_id, hit.start) for hit in both.entries] == [(VIDEO, 4.0), (VIDEO, 20.0)]
    assert both.total == 44


def test_hits_of_v1_3_are_read() -> None:
    """Rank and transcription instead of score and confidence; grouped ones are laid flat."""
    clip = {"rank": 2, "start": 12.0, "end": 18.5, "transcription": " so he said ", "thumbnail_url": "https://t/1"}
    one = NEW.search_page("t").read(
        answer({"data": [{**clip, "video_id": VIDEO}], "page_info": {"next_page_token": "t2"}})
    )
    hit = one.entries[0]
    assert (hit.video_id, hit.rank, hit.score, hit.text) == (VIDEO, 2, None, "so he said")
    assert (one.token, one.total) == ("t2", 1)
    grouped = NEW.search_page("t").read(answer({"data": [{"id": VIDEO, "clips": [clip]}]}))
    assert [(hit.video_id, hit.rank) for hit in grouped.entries] == [(VIDEO, 2)]


def test_classes_are_read_with_clips_and_details() -> None:
    """As the notebook saw them."""
    shown = {
        "name": "Basketball", "score": 94.18, "duration_ratio": 0.95,
        "detailed_scores": {"max_score": 92.28, "avg_score": 82.76, "normalized_score": 100},
        "clips": [{"start": 84, "end": 120.4, "score": 83.79, "option": "visual", "prompt": "playing basketball"}],
    }  # fmt: skip
    read = OLD.classify_page("t").read(answer({"data": [{"video_id": VIDEO, "classes": [shown]}], "page_info": {}}))
    score = read.entries[0].classes[0]
    assert (score.name, score.score, score.duration_ratio) == ("Basketball", 94.18, 0.95)
    assert score.detailed == {"max_score": 92.28, "avg_score": 82.76, "normalized_score": 100.0}
    clip = score.clips[0]
    assert (clip.video_id, clip.start, clip.end, clip.text, clip.sources) == (
        VIDEO, 84.0, 120.4, "playing basketball", ("visual",),
    )  # fmt: skip


@BOTH
def test_an_index_is_read(dialect: IndexDialect) -> None:
    """Engines or models, what is in it, and times as the platform wrote them."""
    info = dialect.index(INDEX).read(answer(index("v1.2" if dialect is OLD else "v1.3")))
    assert (info.id, info.name, info.addons, info.videos, info.seconds) == (INDEX, "films", ("thumbnail",), 2, 12.5)
    assert (info.created, info.expires) == ("2026-11-22T10:00:00Z", "")
    old, new = ("visual", "conversation"), ("visual", "audio")
    assert info.models == ((("marengo2.5", old),) if dialect is OLD else (("marengo3.0", new),))
    assert dialect.search_options(info) == (old if dialect is OLD else (*new, "transcription"))


def test_videos_are_read() -> None:
    """The platform's own facts apart from the user's metadata, which v1.2 keeps in one object."""
    system = {"filename": "f.mp4", "duration": 859, "fps": 25, "width": 1280, "height": 720, "size": 277128958}
    times = {"created_at": "2023-10-13T02:24:00Z", "indexed_at": "2023-10-13T02:25:00Z"}
    engine = {"engine_ids": ["marengo2.5"], "vispresso_index_id": "x"}
    old = OLD.video(INDEX, VIDEO).read(answer({"_id": VIDEO, "metadata": {**system, **engine, "mine": 1}, **times}))
    new = NEW.video(INDEX, VIDEO).read(
        answer({"_id": VIDEO, "asset_id": "a1", "status": "indexing", "system_metadata": system, "user_metadata": {"mine": 1},
                **times})
    )  # fmt: skip
    for video in (old, new):
        assert (video.id, video.filename, video.seconds, video.size) == (VIDEO, "f.mp4", 859.0, 277128958)
        assert (video.width, video.height, video.fps, video.metadata) == (1280, 720, 25.0, {"mine": 1})
        assert (video.created, video.indexed) == tuple(times.values())
    assert (old.status, old.asset_id, new.status, new.asset_id) == ("ready", "", "indexing", "a1")


@BOTH
@pytest.mark.parametrize("body", [{}, {"data": [1]}, {"data": [{"clips": [1], "id": "x"}]}, {"data": [{"score": 1}]}])
def test_an_answer_that_is_none_is_not_taken_for_an_empty_one(dialect: IndexDialect, body: Any) -> None:
    """An unreadable page is an error, never "nothing found"."""
    with pytest.raises(UnreadableAnswer):
        dialect.search_page("t").read(answer(body))
