"""Answers about indexes, videos, search, classification and texts against the vendor's schemas, both dialects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.platform_double import (
    MODELS,
    Canned,
    ManualClock,
    done,
    indexed,
    new_index,
    old_index,
    old_platform,
    platform,
    ready,
    task,
    video,
)
from tests.contract.test_shapes import ANY, FLAG, ID, INDEX, NUMBER, PAGE_INFO, TEXT, TIME, WHOLE, Shape, fits, misfits

STATUS = {"validating", "pending", "queued", "indexing", "ready", "failed"}
ERROR: Shape = {"code": TEXT, "message": TEXT}
OLD_INDEX: Shape = {
    **{name: part for name, part in INDEX.items() if name != "models"},
    "engines": [{"engine_name": TEXT, "engine_options": list}],
}
TASK: Shape = {
    "_id": ID,
    "index_id": ID,
    "status": STATUS,
    "created_at": TIME,
    "updated_at": TIME,
    "estimated_time": TIME,
    "metadata": {"duration": NUMBER, "filename": TEXT, "height": WHOLE, "width": WHOLE},
    "type": {"index_task_info"},
    "video_id?": ID,
    "process?": {"percentage": NUMBER, "remain_seconds": NUMBER},
}
COUNTS: Shape = {"index_id": ID, **dict.fromkeys(STATUS, WHOLE), "total_result": WHOLE}
FACTS: Shape = {
    "filename": TEXT,
    "duration": NUMBER,
    "fps": NUMBER,
    "width": WHOLE,
    "height": WHOLE,
    "size": NUMBER,
}
OLD_VIDEO: Shape = {
    "_id": ID,
    "created_at": TIME,
    "updated_at": TIME,
    "indexed_at": TIME,
    "metadata": {**FACTS, "engine_ids": list, "series?": TEXT},
}
VALUES: Shape = {"id": ID, "index_id": ID, "data": [{"start": NUMBER, "end": NUMBER, "value": TEXT}]}
POOL: Shape = {"total_count": WHOLE, "total_duration": NUMBER, "index_id": ID}
OLD_TURNS: Shape = {
    "limit_per_page": WHOLE,
    "total_results": WHOLE,
    "page_expired_at": TIME,
    "next_page_token": TEXT,
    "prev_page_token": TEXT,
    "total_inner_matches?": WHOLE,
}
TURNS: Shape = {
    **{name: part for name, part in OLD_TURNS.items() if not name.startswith(("page_expired_at", "next", "prev"))},
    "next_page_token?": TEXT,
    "prev_page_token?": TEXT,
    "page_expires_at": TIME,
}
LEVEL = {"high", "medium", "low", "extremely low"}
KIND = {"conversation", "text_in_video"}
OLD_HIT: Shape = {
    "score": NUMBER,
    "start": NUMBER,
    "end": NUMBER,
    "video_id": ID,
    "metadata": [{"type": KIND, "text": TEXT}],
    "confidence": LEVEL,
    "modules?": [{"type": KIND, "confidence": LEVEL}],
    "thumbnail_url?": TEXT,
}
HIT: Shape = {
    "video_id": ID,
    "start": NUMBER,
    "end": NUMBER,
    "rank": WHOLE,
    "transcription": TEXT,
    "user_metadata?": dict,
    "thumbnail_url?": TEXT,
}
CLASS: Shape = {
    "name": TEXT,
    "score": NUMBER,
    "duration_ratio": NUMBER,
    "clips?": [
        {
            "start": NUMBER,
            "end": NUMBER,
            "score": NUMBER,
            "option": KIND,
            "prompt": TEXT,
            "thumbnail_url?": TEXT,
        }
    ],
    "detailed_scores?": {"max_score": NUMBER, "avg_score": NUMBER, "normalized_score": NUMBER},
}
CLASSIFIED: Shape = {"data": [{"video_id": ID, "classes": [CLASS]}], "page_info": OLD_TURNS}
CHAPTER: Shape = {
    "chapter_number": WHOLE,
    "start": WHOLE,
    "end": WHOLE,
    "chapter_title": TEXT,
    "chapter_summary": TEXT,
}
HIGHLIGHT: Shape = {"start": WHOLE, "end": WHOLE, "highlight": TEXT, "highlight_summary": TEXT}
INDEXED: Shape = {
    "_id": ID,
    "asset_id": ID,
    "created_at": TIME,
    "updated_at": TIME,
    "indexed_at?": TIME,
    "status": STATUS,
    "system_metadata": FACTS,
}
DETAILED: Shape = {
    **INDEXED,
    "user_metadata?": dict,
    "transcription?": [{"start": NUMBER, "end": NUMBER, "value": TEXT}],
}
WORDS = "the queen lays eggs\nthe workers gather honey"


def listed(entry: Shape) -> Shape:
    """Return the shape of a list in numbered pages."""
    return {"data": [entry], "page_info": PAGE_INFO}


def written() -> Canned:
    """Return an analysis that finds text on every video's screen too."""
    canned = Canned()
    canned.shown = [(0.0, 8.0, "The Queen")]
    return canned


def ask(index_id: str, **more: Any) -> dict[str, Any]:
    """Return the smallest v1.2 search."""
    return {"index_id": index_id, "query": "queen", "search_options": ["conversation"], **more}


@pytest.mark.asyncio
async def test_tasks_and_videos_of_v1_2_have_the_vendors_shape(tmp_path: Path) -> None:
    """Tasks under way, ready and failed; lists; counts; videos with own metadata; words and thumbnails."""
    async with old_platform(tmp_path, analyzer=written(), clock=ManualClock()) as (_, client):
        index = await old_index(client, addons=["thumbnail"])
        made = await task(client, index, captions=WORDS)
        found = fits(await client.get(f"/tasks/{made}"), TASK)
        assert ("process" in found) == (found["status"] not in ("ready", "failed"))
        key = (await done(client, made))["video_id"]
        assert "process" not in fits(await client.get(f"/tasks/{made}"), TASK)
        assert "video_id" not in await done(client, await task(client, index, "bad.mp4", b"broken"))
        assert len(fits(await client.get("/tasks"), listed(TASK))["data"]) == 2
        fits(await client.get("/tasks/status", params={"index_id": index}), COUNTS)
        changed = await client.put(f"/indexes/{index}/videos/{key}", json={"metadata": {"series": "nature"}})
        assert (changed.status_code, changed.content) == (204, b"")
        fits(await client.get(f"/indexes/{index}/videos"), listed(OLD_VIDEO))
        fits(await client.get(f"/indexes/{index}/videos/{key}"), OLD_VIDEO)
        fits(await client.get("/indexes"), listed(OLD_INDEX))
        fits(await client.get(f"/indexes/{index}"), OLD_INDEX)
        for part in ("transcription", "text-in-video"):
            assert fits(await client.get(f"/indexes/{index}/videos/{key}/{part}"), VALUES)["data"]
        fits(await client.get(f"/indexes/{index}/videos/{key}/thumbnail"), {"thumbnail": TEXT})


@pytest.mark.asyncio
async def test_search_and_classification_of_v1_2_have_the_vendors_shape(tmp_path: Path) -> None:
    """Clips, groups, several options, pages by token; classes plain and with everything; refusals are flat."""
    async with old_platform(tmp_path, analyzer=written()) as (_, client):
        index = await old_index(client, addons=["thumbnail"])
        key = await video(client, index, captions=WORDS)
        options = ["conversation", "text_in_video"]
        plain: Shape = {"search_pool": POOL, "data": [OLD_HIT], "page_info": OLD_TURNS}
        grouped: Shape = {**plain, "data": [{"id": ID, "clips": [OLD_HIT]}]}
        assert fits(await client.post("/search", json=ask(index)), plain)["data"]
        several = fits(await client.post("/search", json=ask(index, search_options=options, page_limit=1)), plain)
        assert "modules" in several["data"][0]
        fits(await client.get(f"/search/{several['page_info']['next_page_token']}"), plain)
        both = ask(index, search_options=options, operator="and")
        assert len(fits(await client.post("/search", json=both), plain)["data"][0]["metadata"]) == 2
        assert fits(await client.post("/search", json=ask(index, group_by="video")), grouped)["data"]
        classes = [{"name": "Bees", "prompts": ["queen lays eggs"]}]
        body: dict[str, Any] = {"classes": classes, "options": options, "threshold": 20}
        full = {**body, "include_clips": True, "show_detailed_score": True}
        assert "clips" not in fits(await client.post("/classify/bulk", json={**body, "index_id": index}), CLASSIFIED)
        found = fits(await client.post("/classify", json={**full, "video_ids": [key]}), CLASSIFIED)
        assert {"clips", "detailed_scores"} <= set(found["data"][0]["classes"][0])
        fits(await client.post("/search", json=ask(index, search_options=["visual"])), ERROR, 400)
        fits(await client.get("/indexes/x"), ERROR, 400)
        fits(await client.get("/nothing"), ERROR, 404)


@pytest.mark.asyncio
async def test_texts_of_v1_2_have_the_vendors_shape(tmp_path: Path) -> None:
    """Gist with each subset of types, the three summaries, generate whole and as events."""
    async with old_platform(tmp_path) as (_, client):
        key = await video(client, await old_index(client), captions=WORDS)
        fields: Mapping[str, tuple[str, Any]] = {
            "title": ("title", TEXT),
            "topic": ("topics", [TEXT]),
            "hashtag": ("hashtags", [TEXT]),
        }
        for types in (["title"], ["hashtag", "topic"], ["title", "topic", "hashtag"]):
            shape = {"id": TEXT, **dict(fields[name] for name in types)}
            fits(await client.post("/gist", json={"video_id": key, "types": types}), shape)
        for kind, field, part in (
            ("summary", "summary", TEXT),
            ("chapter", "chapters", [CHAPTER]),
            ("highlight", "highlights", [HIGHLIGHT]),
        ):
            answer = await client.post("/summarize", json={"video_id": key, "type": kind, "temperature": 0.1})
            fits(answer, {"id": TEXT, field: part})
        body = {"video_id": key, "prompt": "What is it about?"}
        whole = fits(await client.post("/generate", json=body), {"id": TEXT, "data": TEXT})
        events = [
            json.loads(line)
            for line in (await client.post("/generate", json={**body, "stream": True})).text.splitlines()
        ]
        start, *pieces, end = events
        assert misfits(start, {"event_type": {"stream_start"}, "metadata": {"generation_id": TEXT}}) == []
        assert misfits(pieces, [{"event_type": {"text_generation"}, "text": TEXT}]) == []
        assert (end["event_type"], end["metadata"]["generation_id"]) == (
            "stream_end",
            start["metadata"]["generation_id"],
        )
        assert "".join(piece["text"] for piece in pieces) == whole["data"]


@pytest.mark.asyncio
async def test_indexed_assets_and_search_of_v1_3_have_the_vendors_shape(tmp_path: Path) -> None:
    """Creation with its Location, lists, details, the older view, references, search in clips, groups and pages."""
    async with platform(tmp_path) as (served, client):
        index = await new_index(client, addons=["thumbnail"])
        asset = await ready(client, user_metadata=json.dumps({"captions": WORDS}))
        made = await client.post(
            f"/indexes/{index}/indexed-assets", json={"asset_id": asset, "user_metadata": {"a": "b"}}
        )
        key = fits(made, {"_id": ID, "asset_id": ID}, 202)["_id"]
        place = made.headers["Location"]
        assert place == f"/v1.3/indexes/{index}/indexed-assets/{key}"
        while fits(await client.get(served.base_url + place), DETAILED)["status"] != "ready":
            pass
        await indexed(client, index, asset)  # once more: asked twice is indexed twice
        fits(await client.get(f"/indexes/{index}/indexed-assets"), listed(INDEXED))
        full = fits(
            await client.get(f"/indexes/{index}/indexed-assets/{key}", params={"transcription": "true"}), DETAILED
        )
        assert full["transcription"]
        assert full["user_metadata"] == {"a": "b"}
        seen = {name: part for name, part in DETAILED.items() if name != "status"}
        fits(await client.get(f"/indexes/{index}/videos"), listed(seen))
        fits(await client.get(f"/indexes/{index}/videos/{key}"), seen)
        reference: Shape = {"_id": ID, "index": {"_id": ID, "name": TEXT}}
        assert len(fits(await client.get(f"/assets/{asset}/indexed-assets"), listed(reference))["data"]) == 2
        plain: Shape = {"search_pool": POOL, "data": [HIT], "page_info": TURNS}
        first = fits(await form(client, index_id=index, query_text="queen", page_limit="1"), plain)
        assert [hit["rank"] for hit in first["data"]] == [1]
        second = fits(await client.get(f"/search/{first['page_info']['next_page_token']}"), plain)
        assert [hit["rank"] for hit in second["data"]] == [2]
        grouped: Shape = {**plain, "data": [{"id": ID, "clips": [HIT]}]}
        more = {"group_by": "video", "include_user_metadata": "true"}
        fits(await form(client, index_id=index, query_text="queen", **more), grouped)
        fits(await form(client, index_id=index, query_text="queen", search_options="visual"), ERROR, 400)
        fits(await client.get("/indexes"), listed(INDEX))


async def form(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """Search on v1.3, by transcription unless said otherwise, as a multipart form."""
    whole = {"search_options": "transcription", **fields}
    return await client.post("/search", files={name: (None, value) for name, value in whole.items()})


@pytest.mark.asyncio
async def test_each_dialect_shows_the_others_indexes_in_its_own_words(tmp_path: Path) -> None:
    """One account: what v1.2 made is there on v1.3, and its video leads to the asset behind it."""
    async with old_platform(tmp_path) as (served, client):
        index = await old_index(client)
        key = await video(client, index, captions=WORDS)
        async with httpx.AsyncClient(base_url=f"{served.base_url}/v1.3", headers=dict(client.headers)) as new:
            fits(await new.get(f"/indexes/{index}"), INDEX)
            bridge = (await new.get(f"/indexes/{index}/videos/{key}")).json()
            assert (await new.get(f"/assets/{bridge['asset_id']}")).json()["status"] == "ready"
            assert (await form(new, index_id=index, query_text="queen")).json()["data"]
            made = (await new.post("/indexes", json={"index_name": "new", "models": MODELS})).json()["_id"]
            found = fits(await client.get(f"/indexes/{made}"), OLD_INDEX)
            assert found["engines"] == [{"engine_name": "marengo3.0", "engine_options": ["visual", "audio"]}]


def test_fields_are_told_apart() -> None:
    """The tables here can fail: a whole number where a text belongs, a field too many."""
    assert misfits({"code": 1, "message": "m"}, ERROR)
    assert misfits({"code": "c", "message": "m", "error": {}}, ERROR)
    assert misfits(True, FLAG) == misfits("x", ANY) == []
