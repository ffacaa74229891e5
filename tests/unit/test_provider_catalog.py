"""Indexes, search and classification in both dialects: requests on JSON, and a scripted server behind real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipeline.catalog import Catalog, ClassSpec, IndexSpec, Listing, Query, Sorting
from pipeline.errors import Ambiguous, ConfigError, NeedsOperator, Permanent, ReelmillError, Transient
from pipeline.ports import NewUpload, Question
from pipeline.provider.client import TwelveLabs
from pipeline.provider.dialect import FilePart, Response, Unreadable
from pipeline.provider.index_dialect import IndexDialect
from pipeline.provider.index_v1_2 import IndexV12
from pipeline.provider.index_v1_3 import IndexV13
from tests.unit.test_provider_http import Script, client, ours, reply, scripted

OLD, NEW = IndexV12(), IndexV13()
BOTH = pytest.mark.parametrize("dialect", [OLD, NEW], ids=["v1.2", "v1.3"])
APIS = pytest.mark.parametrize("api", ["v1.2", "v1.3"])
INDEX = "a" * 24
VIDEO = "b" * 24


def answer(body: Any) -> Response:
    """A good response."""
    return Response(200, {}, json.dumps(body).encode(), 0.0)


@asynccontextmanager
async def spoken(api: str, *answers: bytes | None) -> AsyncIterator[tuple[Catalog, Script]]:
    """A catalog of this dialect and a server that answers so."""
    async with scripted(*answers) as script, client(script.port, api=api) as provider:
        yield provider.catalog, script


def asked(script: Script, number: int = -1) -> tuple[str, str, dict[str, str]]:
    """Method, path and query of a request that was heard."""
    method, target, _ = script.heard[number].line.split(" ")
    parts = urlsplit(target)
    return method, parts.path, dict(parse_qsl(parts.query))


def page(data: list[Any], number: int = 1, pages: int = 1) -> bytes:
    """A page of a list."""
    return reply(200, {"data": data, "page_info": {"page": number, "total_page": pages, "total_results": len(data)}})


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
    old, new = OLD.create(IndexSpec("films", addons=("thumbnail",))), NEW.create(IndexSpec("films"))
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
    chosen = OLD.create(IndexSpec("n", [("marengo2.6", ("visual",))])).json
    assert chosen == {"index_name": "n", "engines": [{"engine_name": "marengo2.6", "engine_options": ["visual"]}]}


@BOTH
def test_every_filter_of_a_listing_is_sent(dialect: IndexDialect) -> None:
    """Bounds as ``field[gte]`` and ``field[lte]``, metadata as fields of its own, order and page in words."""
    which = Listing(
        filename="a b.mp4", created_since="2026-01-01T00:00:00Z", seconds=(60, 90.5), width=(None, 1280),
        height=(360, None), size=(1, 12_345_678_901), metadata={"source_id": "x&y"}, sort_by="updated_at", sort="asc",
    )  # fmt: skip
    request = dialect.videos(INDEX, which, 7)
    kind = "videos" if dialect is OLD else "indexed-assets"
    assert (request.method, request.path, request.safe) == ("GET", f"/indexes/{INDEX}/{kind}", True)
    assert dict(request.params) == {
        "filename": "a b.mp4", "created_at": "2026-01-01T00:00:00Z", "duration[gte]": "60", "duration[lte]": "90.5",
        "width[lte]": "1280", "height[gte]": "360", "size[gte]": "1", "size[lte]": "12345678901", "source_id": "x&y",
        "sort_by": "updated_at", "sort_option": "asc", "page": "7", "page_limit": "50",
    }  # fmt: skip
    named = dialect.many(Listing(name="films", sort="asc"), 1)
    assert (named.path, dict(named.params)["index_name"]) == ("/indexes", "films")


@BOTH
@pytest.mark.parametrize("key", ["page", "sort_by", "duration", "duration[gte]", ""])
def test_metadata_cannot_be_a_field_of_ours(dialect: IndexDialect, key: str) -> None:
    """A key that would change the page or a bound is refused, not sent."""
    with pytest.raises(Permanent):
        dialect.videos(INDEX, Listing(metadata={key: "1"}), 1)


def test_a_search_of_v1_2_is_json() -> None:
    """All its options; what was not wished for is not sent."""
    plain = OLD.search(Query(INDEX, "birds", options=("visual",)))
    assert (plain.method, plain.path, plain.group, plain.safe) == ("POST", "/search", "search", False)
    assert plain.json == {
        "query": "birds", "index_id": INDEX, "search_options": ["visual"], "operator": "or", "group_by": "clip",
        "page_limit": 50,
    }  # fmt: skip
    full = OLD.search(
        Query(
            INDEX, "words", options=("conversation", "text_in_video"), speech=("exact_match",), operator="and",
            group_by="video", threshold="medium", sort="clip_count", filter={"duration": {"gte": 60}}, limit=3,
        )
    )  # fmt: skip
    assert full.json == {
        "query": "words", "index_id": INDEX, "search_options": ["conversation", "text_in_video"], "operator": "and",
        "group_by": "video", "page_limit": 3, "conversation_option": "exact_match", "threshold": "medium",
        "sort_option": "clip_count", "filter": {"duration": {"gte": 60}},
    }  # fmt: skip


def test_a_search_of_v1_3_is_a_form(tmp_path: Path) -> None:
    """Repeated parts for lists, JSON text for the filter, images as files and as addresses."""
    query = Query(
        INDEX, "zwei Hände", images=[tmp_path / "a.png", "https://x/b.jpg", tmp_path / "c"],
        options=("visual", "transcription"), speech=("lexical", "semantic"), filter={"title": "ä", "id": ["1"]}, limit=80,
    )  # fmt: skip
    request = NEW.search(query)
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
    (OLD, Query(INDEX, "x", images=["https://x/a.jpg"], options=("visual",)), "not_in_this_api"),
    (OLD, Query(INDEX, "x", options=("conversation",), speech=("semantic", "exact_match")), "parameter_invalid"),
    (NEW, Query(INDEX, "x", options=("visual",), threshold="high"), "not_in_this_api"),
    (NEW, Query(INDEX, "x", options=("visual",), sort="score"), "not_in_this_api"),
    (NEW, Query(INDEX, "x", images=["https://x/a.jpg"] * 11, options=("visual",)), "too_many_images"),
])  # fmt: skip
def test_a_wish_that_cannot_be_sent_is_refused(dialect: IndexDialect, query: Query, code: str) -> None:
    """Nothing is left out silently: the answer would be to another question."""
    with pytest.raises(Permanent) as caught:
        dialect.search(query)
    assert caught.value.trouble.code == code


@pytest.mark.parametrize("threshold", [None, 75, {"min_video_score": 80, "min_duration_ratio": 0.5}])
def test_a_classification_has_both_shapes_of_threshold(threshold: Any) -> None:
    """Of an index in bulk or of named videos; flags only where they are wished for."""
    classes = [ClassSpec("Ball", ["playing", "rules"]), ClassSpec("Golf", ["tee"], ("conversation",), "exact_match")]
    request = OLD.classify(Sorting(classes, INDEX, options=("visual", "logo"), threshold=threshold, limit=7))
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/classify/bulk", "search", False)
    assert request.json == {
        "classes": [
            {"name": "Ball", "prompts": ["playing", "rules"]},
            {"name": "Golf", "prompts": ["tee"], "options": ["conversation"], "conversation_option": "exact_match"},
        ],
        "options": ["visual", "logo"], "conversation_option": "semantic", "page_limit": 7, "index_id": INDEX,
        **({} if threshold is None else {"threshold": threshold}),
    }  # fmt: skip
    named = OLD.classify(Sorting(classes, INDEX, video_ids=[VIDEO], clips=True, detailed=True, speech="exact_match"))
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
    read = OLD.read_search(answer({"data": [{**clip, **found}], "page_info": info, "search_pool": pool}))
    hit = read.entries[0]
    assert (hit.video_id, hit.start, hit.end, hit.score, hit.rank) == (VIDEO, 4.0, 12.5, 92.28, None)
    assert (hit.confidence, hit.text, hit.sources) == ("high", "Usain BOLT", ("text_in_video", "visual"))
    assert (read.total, read.token, read.pool) == (19, "", (3, 86.5))
    grouped = {"id": VIDEO, "clips": [clip, {**clip, "start": 20, "end": 21}]}
    both = OLD.read_search(answer({"data": [grouped], "page_info": {**info, "total_inner_matches": 44}}))
    assert [(hit.video_id, hit.start) for hit in both.entries] == [(VIDEO, 4.0), (VIDEO, 20.0)]
    assert both.total == 44


def test_hits_of_v1_3_are_read() -> None:
    """Rank and transcription instead of score and confidence; grouped ones are laid flat."""
    clip = {"rank": 2, "start": 12.0, "end": 18.5, "transcription": " so he said ", "thumbnail_url": "https://t/1"}
    one = NEW.read_search(answer({"data": [{**clip, "video_id": VIDEO}], "page_info": {"next_page_token": "t2"}}))
    hit = one.entries[0]
    assert (hit.video_id, hit.rank, hit.score, hit.text) == (VIDEO, 2, None, "so he said")
    assert (one.token, one.total) == ("t2", 1)
    grouped = NEW.read_search(answer({"data": [{"id": VIDEO, "clips": [clip]}]}))
    assert [(hit.video_id, hit.rank) for hit in grouped.entries] == [(VIDEO, 2)]


def test_classes_are_read_with_clips_and_details() -> None:
    """As the notebook saw them."""
    shown = {
        "name": "Basketball", "score": 94.18, "duration_ratio": 0.95,
        "detailed_scores": {"max_score": 92.28, "avg_score": 82.76, "normalized_score": 100},
        "clips": [{"start": 84, "end": 120.4, "score": 83.79, "option": "visual", "prompt": "playing basketball"}],
    }  # fmt: skip
    read = OLD.read_classify(answer({"data": [{"video_id": VIDEO, "classes": [shown]}], "page_info": {}}))
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
    info = dialect.read_index(answer(index("v1.2" if dialect is OLD else "v1.3")))
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
    old = OLD.read_video(answer({"_id": VIDEO, "metadata": {**system, **engine, "mine": 1}, **times}))
    new = NEW.read_video(
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
    with pytest.raises(Unreadable):
        dialect.read_search(answer(body))


# -------------------------------------------------------------------------------------------------------- over HTTP


@APIS
@pytest.mark.asyncio
async def test_lists_are_read_to_their_end(api: str) -> None:
    """Page after page, and no page more; the name is compared exactly, whatever the platform does."""
    pages = [
        page([index(api, "1" * 24), index(api, "2" * 24, "films 2")], 1, 3),
        page([index(api, "3" * 24)], 2, 3),
        page([], 3, 3),
    ]
    async with spoken(api, *pages) as (catalog, script):
        assert [each.id[0] async for each in catalog.indexes(Listing(name="films"))] == ["1", "3"]
        assert [asked(script, number)[2]["page"] for number in range(len(script.heard))] == ["1", "2", "3"]
        assert asked(script)[:2] == ("GET", f"/{api}/indexes")


@APIS
@pytest.mark.asyncio
async def test_an_index_is_found_by_id_or_by_name(api: str) -> None:
    """What looks like an id is asked for first; what is neither is named in the error, with what to do."""
    async with spoken(api, reply(200, index(api))) as (catalog, script):
        assert (await catalog.index(INDEX)).name == "films"
        assert asked(script)[1] == f"/{api}/indexes/{INDEX}"
    async with spoken(api, page([index(api)])) as (catalog, script):
        assert (await catalog.index("films")).id == INDEX
        assert len(script.heard) == 1
    unknown = reply(400, {"code": "resource_not_exist", "message": "nope"})
    async with spoken(api, unknown, page([])) as (catalog, script):
        with pytest.raises(Permanent) as caught:
            await catalog.index("f" * 24)
        assert caught.value.trouble.code == "resource_not_exist"
        assert "f" * 24 in caught.value.trouble.message
        assert "reelmill indexes" in caught.value.trouble.remedy


@APIS
@pytest.mark.asyncio
async def test_an_index_that_is_there_is_not_made_again(api: str) -> None:
    """One list request, and nothing else is sent."""
    async with spoken(api, page([index(api)])) as (catalog, script):
        assert await catalog.create_index(IndexSpec("films")) == INDEX
        assert [heard.line.split(" ")[0] for heard in script.heard] == ["GET"]


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [
    reply(201, {"_id": INDEX}),
    reply(400, {"code": "index_name_already_exists", "message": "taken"}),
    None,
    reply(503),
    reply(201, b"{"),
])  # fmt: skip
async def test_an_index_is_made_once_whatever_becomes_of_the_answer(api: str, end: bytes | None) -> None:
    """Made, made by another meanwhile, or made with the answer lost: asked by its name, and never posted twice."""
    async with spoken(api, page([]), end, page([index(api)])) as (catalog, script):
        assert await catalog.create_index(IndexSpec("films")) == INDEX
        assert sum(heard.line.startswith("POST") for heard in script.heard) == 1


@APIS
@pytest.mark.asyncio
async def test_an_index_that_is_not_listed_yet_is_tried_again_later(api: str) -> None:
    """The name is unique, so repeating is safe: transient, not ambiguous."""
    async with spoken(api, page([]), None, page([])) as (catalog, _):
        with pytest.raises(Transient) as caught:
            await catalog.create_index(IndexSpec("films"))
        assert caught.value.trouble.code == "index_not_listed"


@APIS
@pytest.mark.asyncio
async def test_deleting_what_is_absent_is_done(api: str) -> None:
    """204 and "unknown" are one; a lost answer is asked again; any other refusal is an error."""
    kind = "videos" if api == "v1.2" else "indexed-assets"
    unknown = reply(400, {"code": "resource_not_exist", "message": "no"})
    async with spoken(api, reply(204), None, unknown, reply(400, {"code": "strange"})) as (catalog, script):
        await catalog.delete_video(INDEX, VIDEO)
        assert asked(script)[:2] == ("DELETE", f"/{api}/indexes/{INDEX}/{kind}/{VIDEO}")
        await catalog.delete_index(INDEX)
        assert asked(script)[:2] == ("DELETE", f"/{api}/indexes/{INDEX}")
        with pytest.raises(Permanent):
            await catalog.delete_index(INDEX)
        assert len(script.heard) == 4


def hits(api: str, count: int, token: str = "", first: int = 0) -> bytes:
    """A page of hits."""
    score = {"score": 84.0, "confidence": "high", "metadata": []} if api == "v1.2" else {"rank": 1}
    data = [{"video_id": VIDEO, "start": at, "end": at + 1, **score} for at in range(first, first + count)]
    info = {"total_results": 73, "next_page_token": token}
    return reply(200, {"data": data, "page_info": info, "search_pool": {"total_count": 9, "total_duration": 60.5}})


@APIS
@pytest.mark.asyncio
async def test_a_search_follows_tokens_as_far_as_it_needs(api: str) -> None:
    """As many pages as the limit takes, each once; the pages as received are kept; the count is the provider's."""
    async with spoken(api, hits(api, 50, "t/2"), hits(api, 50, "t3", 50), hits(api, 50, "t4", 100)) as (
        catalog,
        script,
    ):
        found = await catalog.search(Query(INDEX, "x", options=("visual",), limit=120))
        assert [hit.start for hit in found.hits] == [float(at) for at in range(120)]
        assert (found.total, found.pool_videos, found.pool_seconds, len(found.raw)) == (73, 9, 60.5, 3)
        paths = [asked(script, number)[:2] for number in range(3)]
        assert paths == [("POST", f"/{api}/search"), ("GET", f"/{api}/search/t%2F2"), ("GET", f"/{api}/search/t3")]
        assert len(script.heard) == 3
    async with spoken(api, hits(api, 10, "same"), hits(api, 10, "same", 10)) as (catalog, script):
        assert len((await catalog.search(Query(INDEX, "x", options=("visual",), limit=500))).hits) == 20
        assert len(script.heard) == 2


@APIS
@pytest.mark.asyncio
async def test_a_search_without_options_uses_all_that_the_index_has(api: str) -> None:
    """The index is asked what it was made with; one that cannot be searched is refused before anything is paid."""
    async with spoken(api, reply(200, index(api)), hits(api, 1)) as (catalog, script):
        await catalog.search(Query(INDEX, "x"))
        sent = script.heard[-1].body
        wanted = (b'"search_options":["visual","conversation"]',) if api == "v1.2" else (b"audio", b"transcription")
        assert all(each in sent for each in wanted)
    bare = {**index(api), "engines": [], "models": [{"model_name": "pegasus1.2", "model_options": ["visual"]}]}
    async with spoken(api, reply(200, bare)) as (catalog, script):
        with pytest.raises(Permanent) as caught:
            await catalog.search(Query(INDEX, "x"))
        assert caught.value.trouble.code == "index_not_supported_for_search"
        assert len(script.heard) == 1


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [None, reply(500), reply(200, b"<html>"), reply(200, {"data": None})])
async def test_a_lost_answer_of_a_search_is_not_asked_for_again_by_itself(api: str, end: bytes | None) -> None:
    """It may have been billed: one request, and the caller decides."""
    async with spoken(api, end) as (catalog, script):
        with pytest.raises(Ambiguous):
            await catalog.search(Query(INDEX, "x", options=("visual",)))
        assert len(script.heard) == 1


@APIS
@pytest.mark.asyncio
async def test_a_later_page_is_free_and_simply_asked_for_again(api: str) -> None:
    """A broken connection between two pages costs nothing."""
    async with spoken(api, hits(api, 1, "t2"), None, reply(502), hits(api, 1, "", 1)) as (catalog, script):
        found = await catalog.search(Query(INDEX, "x", options=("visual",)))
        assert ([hit.start for hit in found.hits], len(script.heard)) == ([0.0, 1.0], 4)


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [
    reply(400, {"code": "search_page_token_expired", "message": "too late"}),
    reply(400, {"error_code": 1234, "message": "too late"}),
    reply(404, {"code": "resource_not_exist", "message": "too late"}),
    reply(410, {"code": "gone", "message": "too late"}),
    reply(400, {"code": "parameter_invalid", "message": "too late"}),
])  # fmt: skip
async def test_an_expired_page_says_so(api: str, end: bytes) -> None:
    """In whatever words the platform puts it: one code, its own words in the detail, and what to do."""
    async with spoken(api, hits(api, 1, "t2"), end) as (catalog, _):
        with pytest.raises(Permanent) as caught:
            await catalog.search(Query(INDEX, "x", options=("visual",)))
        trouble = caught.value.trouble
        assert trouble.code == "search_page_token_expired"
        assert "too late" in trouble.detail
        assert trouble.remedy


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize(("end", "kind", "code", "words"), [
    (reply(400, {"code": "search_option_not_supported", "message": "logo"}), Permanent, "search_option_not_supported",
     "by one of these options"),
    (reply(400, {"code": "index_not_supported_for_search", "message": "logo"}), Permanent,
     "index_not_supported_for_search", "without a model for search"),
    (reply(400, {"code": "resource_not_exist", "message": "logo"}), Permanent, "resource_not_exist", "no such index"),
    (reply(400, {"code": "search_filter_invalid", "message": "logo"}), Permanent, "search_filter_invalid", "filter"),
    (reply(400, {"code": "not_supported_by_local_platform", "message": "logo"}), Permanent,
     "not_supported_by_local_platform", "honestly"),
    (reply(400, {"code": "usage_limit_exceeded", "message": "logo"}), NeedsOperator, "no_credit", "credit"),
    (reply(401, {"code": "api_key_invalid", "message": "logo"}), NeedsOperator, "key_refused", "API key"),
    (reply(429, b"", "Retry-After: 60"), Transient, "rate_limited", "rate limit"),
])  # fmt: skip
async def test_every_refusal_of_a_search_has_its_class(
    api: str, end: bytes, kind: type[ReelmillError], code: str, words: str
) -> None:
    """A plain sentence of ours, the platform's own code and words in the detail."""
    async with spoken(api, end) as (catalog, _):
        with pytest.raises(kind) as caught:
            await catalog.search(Query(INDEX, "x", options=("visual",)))
        trouble = caught.value.trouble
        assert trouble.code == code
        assert words in trouble.message
        assert "logo" in trouble.detail or kind is Transient


def classified(count: int, token: str = "") -> bytes:
    """A page of classified videos."""
    one = [{"name": "Ball", "score": 90.0, "duration_ratio": 0.5}]
    return reply(200, {
        "data": [{"video_id": f"{number:024}", "classes": one} for number in range(count)],
        "page_info": {"next_page_token": token, "total_results": count},
    })  # fmt: skip


@pytest.mark.asyncio
async def test_a_classification_follows_its_pages() -> None:
    """``GET /classify/{token}`` until the limit; a lost first answer is the caller's to decide."""
    wish = Sorting([ClassSpec("Ball", ["a"])], INDEX, limit=5)
    async with spoken("v1.2", classified(3, "n2"), classified(3)) as (catalog, script):
        assert len(await catalog.classify(wish)) == 5
        assert asked(script)[:2] == ("GET", "/v1.2/classify/n2")
    async with spoken("v1.2", None) as (catalog, script):
        with pytest.raises(Ambiguous):
            await catalog.classify(wish)
        assert len(script.heard) == 1


@pytest.mark.asyncio
async def test_more_than_a_hundred_prompts_are_refused_by_the_platform_and_explained_by_us() -> None:
    """The platform decides; the sentence says how many there are and how many may be."""
    wish = Sorting([ClassSpec("A", ["p"] * 60), ClassSpec("B", ["p"] * 41)], INDEX)
    refused = reply(400, {"code": "parameter_invalid", "message": "The classes parameter is invalid."})
    async with spoken("v1.2", refused) as (catalog, script):
        with pytest.raises(Permanent) as caught:
            await catalog.classify(wish)
        trouble = caught.value.trouble
        assert (trouble.code, len(script.heard)) == ("parameter_invalid", 1)
        assert "100 prompts" in trouble.message
        assert "101" in trouble.message
        assert "parameter_invalid The classes parameter is invalid." in trouble.detail


@pytest.mark.asyncio
async def test_what_an_api_has_no_call_for_is_said_without_a_request() -> None:
    """v1.3 classifies by a job; v1.2 puts no upload into an index, because it made it there."""
    async with spoken("v1.3", reply(500)) as (new, script):
        with pytest.raises(Permanent) as caught:
            await new.classify(Sorting([ClassSpec("A", ["p"])], INDEX))
        assert caught.value.trouble.code == "not_in_this_api"
        assert "`classify` job" in caught.value.trouble.remedy
        assert script.heard == []
    async with spoken("v1.2", reply(500)) as (old, script):
        for call in (old.index_asset(INDEX, "a", {}), old.find_indexed(INDEX, "a")):
            with pytest.raises(Permanent) as caught:
                await call
            assert caught.value.trouble.code == "not_in_this_api"
        assert script.heard == []


@pytest.mark.asyncio
async def test_an_asset_goes_into_an_index_and_is_found_there() -> None:
    """One request, not repeated; found by the asset, and only in this very index."""
    async with spoken("v1.3", reply(202, {"_id": VIDEO, "asset_id": "a1"})) as (catalog, script):
        assert await catalog.index_asset(INDEX, "a1", {"reelmill_key": "k", "big": 2**60}) == VIDEO
        assert asked(script)[:2] == ("POST", f"/v1.3/indexes/{INDEX}/indexed-assets")
        sent = json.loads(script.heard[0].body)
        assert sent["user_metadata"] == {"reelmill_key": "k", "big": str(2**60)}
        assert (sent["asset_id"], sent["enable_video_stream"]) == ("a1", False)
    async with spoken("v1.3", None) as (catalog, script):
        with pytest.raises(Ambiguous):
            await catalog.index_asset(INDEX, "a1", {})
        assert len(script.heard) == 1
    places = [{"_id": "other", "index": {"_id": "9" * 24}}, {"_id": VIDEO, "index": {"_id": INDEX, "index_name": "f"}}]
    async with spoken("v1.3", page(places[:1], 1, 2), page(places[1:], 2, 2)) as (catalog, script):
        assert await catalog.find_indexed(INDEX, "a1") == VIDEO
        assert asked(script)[:2] == ("GET", "/v1.3/assets/a1/indexed-assets")
    async with spoken("v1.3", page(places[:1])) as (catalog, _):
        assert await catalog.find_indexed(INDEX, "a1") is None


@APIS
@pytest.mark.asyncio
async def test_one_video_of_an_index_can_be_asked_about(api: str) -> None:
    """With its status; an unknown one is a permanent trouble that says how to look."""
    system = {"filename": "f.mp4", "duration": 1.0}
    shown = {"_id": VIDEO, "status": "pending", "metadata": system, "system_metadata": system}
    async with spoken(api, reply(200, shown), reply(404, {"code": "resource_not_exist"})) as (catalog, _):
        video = await catalog.indexed(INDEX, VIDEO)
        assert (video.id, video.filename) == (VIDEO, "f.mp4")
        with pytest.raises(Permanent) as caught:
            await catalog.indexed(INDEX, VIDEO)
        assert caught.value.trouble.code == "resource_not_exist"
        assert "no such video" in caught.value.trouble.message


# ------------------------------------------------------------------------------------------- the client speaking v1.2

UPLOAD = NewUpload(
    "u.mp4", "external", url="https://youtu.be/DXB4MApF4Lo", index_id=INDEX, since=1_697_045_288.0, title="T"
)
WISH = Question("k", VIDEO, "p", None, 1, 0.2, "m", legacy={"path": "/gist", "body": {"types": ["title"]}})


@asynccontextmanager
async def old(*answers: bytes | None) -> AsyncIterator[tuple[TwelveLabs, Script]]:
    """Our client speaking v1.2 to a scripted server."""
    async with scripted(*answers) as script, client(script.port, api="v1.2") as api:
        yield api, script


def task(key: str, word: str, at: str = "2023-10-11T17:28:09Z", name: str = "T") -> dict[str, Any]:
    """An indexing task in a list."""
    return {"_id": key, "status": word, "created_at": at, "metadata": {"filename": name, "duration": 9}}


@pytest.mark.asyncio
@pytest.mark.parametrize("gone", [
    reply(404), reply(410), reply(404, b"<html>"), reply(404, {"code": "not_found", "message": "no route"}),
    reply(400, {"code": "api_upgrade_required", "message": "upgrade"}),
])  # fmt: skip
async def test_a_retired_api_is_the_operator_s_matter_in_every_call(gone: bytes) -> None:
    """Uploads, questions, searches and lists: no video is blamed, and the remedy names the setting."""
    async with old(gone) as (api, _):
        catalog = api.catalog
        search, wish = Query(INDEX, "x", options=("visual",)), Sorting([ClassSpec("A", ["p"])], INDEX)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: api.create_asset(UPLOAD, ours), lambda: api.find_asset(UPLOAD), lambda: api.media("x"),
            lambda: api.submit_analysis(WISH, ours), api.check, lambda: catalog.create_index(IndexSpec("n")),
            lambda: catalog.search(search), lambda: catalog.classify(wish), lambda: catalog.delete_index(INDEX),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NeedsOperator) as caught:
                await call()
            assert caught.value.trouble.code == "api_retired"
            assert 'provider.api = "v1.3"' in caught.value.trouble.remedy


@pytest.mark.asyncio
async def test_v1_2_keeps_nothing_that_could_be_asked_for() -> None:
    """Answers come at once; whether one was given cannot be asked, and no request is made for it."""
    async with old(reply(200, {"id": "1", "title": "T"})) as (api, script):
        answered = await api.submit_analysis(WISH, ours)
        assert not isinstance(answered, str)
        assert json.loads(answered.text) == {"id": "1", "title": "T"}
        with pytest.raises(Ambiguous, match=r"v1\.2 cannot be asked"):
            await api.find_analysis(WISH)
        with pytest.raises(Permanent):
            await api.open_session(UPLOAD, ours)
        assert len(script.heard) == 1


@pytest.mark.asyncio
async def test_a_lost_external_video_is_found_newest_first() -> None:
    """The list is read until it comes to what is older than the intent, and not to its end."""
    date = "Date: Wed, 11 Oct 2023 17:30:00 GMT"
    newer = page([task("other", "ready", name="Another"), task("ours", "queued")], 1, 900)
    older = page([task("old", "ready", "2023-10-10T00:00:00Z")], 2, 900)
    stamped = [
        answer.replace(b"\r\nContent-Length", f"\r\n{date}\r\nContent-Length".encode()) for answer in (newer, older)
    ]
    async with old(*stamped) as (api, script):
        # The platform's clock is three years behind ours: ages are compared by its own.
        late = NewUpload(**{**vars_of(UPLOAD), "since": api.clock.now() - 60})
        assert await api.find_asset(late) == "ours"
        assert len(script.heard) == 2


def vars_of(upload: NewUpload) -> dict[str, Any]:
    """The fields of an upload."""
    return {name: getattr(upload, name) for name in upload.__dataclass_fields__}


@pytest.mark.asyncio
async def test_a_base_address_of_another_version_is_a_wrong_configuration() -> None:
    """Or every call would be taken for a retired API."""
    for api, path in (("v1.2", "v1.3"), ("v1.3", "v1.2")):
        with pytest.raises(ConfigError, match="base_url"):
            async with client_at(f"http://127.0.0.1:1/{path}", api):
                pass


@asynccontextmanager
async def client_at(base_url: str, api: str) -> AsyncIterator[TwelveLabs]:
    """A client of this address."""
    from random import Random

    from pipeline.clock import SystemClock
    from pipeline.config import Settings
    from pipeline.provider.client import open_api
    from pipeline.provider.limits import Unlimited

    settings = Settings.model_validate({"provider": {"api": api}})
    provider = open_api(
        settings, base_url=base_url, key="k", identity="t", limiter=Unlimited(), clock=SystemClock(), rng=Random(1),
        local=False,
    )  # fmt: skip
    try:
        yield provider
    finally:
        await provider.aclose()
