"""Classification and texts of v1.2, and indexes of both dialects: scores, thresholds, pages, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import MODELS, Canned, old_index, old_platform, platform, video
from tests.contract.test_platform_search import ANTS, BEES, SPOKEN, code_of


def classes(*names: str, **more: Any) -> dict[str, Any]:
    """Return a classification by one prompt of each name."""
    return {"classes": [{"name": name, "prompts": [name]} for name in names], "options": SPOKEN, **more}


@pytest.mark.asyncio
async def test_classes_are_scored_by_words_and_cut_by_thresholds(tmp_path: Path) -> None:
    """Both shapes of threshold; a class's own options and mode win; scores of a video add up to a whole."""
    async with old_platform(tmp_path, analyzer=Canned(seconds=6.0)) as (platform, client):
        index = await old_index(client)
        bees = await video(client, index, "bees.mp4", BEES)
        await video(client, index, "ants.mp4", ANTS)

        async def named(**more: Any) -> list[list[str]]:
            body = {"index_id": index, **classes("queen lays eggs", "honey", "submarine"), **more}
            answer = await client.post("/classify/bulk", json=body)
            assert answer.status_code == 200, answer.text
            return [[each["name"] for each in entry["classes"]] for entry in answer.json()["data"]]

        assert await named() == [["queen lays eggs", "honey"]]
        assert await named(threshold=75) == [["queen lays eggs", "honey"]]
        assert await named(threshold={"min_video_score": 100, "min_duration_ratio": 0.3}) == [
            ["queen lays eggs", "honey"]
        ]
        assert await named(threshold={"min_video_score": 50, "min_duration_ratio": 0.9}) == []
        low = {"min_video_score": 1, "min_clip_score": 1, "min_duration_ratio": 0.01}
        assert len(await named(threshold=low)) == 2
        whole = {**classes("queen", "honey", threshold=low), "include_clips": True, "show_detailed_score": True}
        (one,) = (await client.post("/classify", json={**whole, "video_ids": [bees]})).json()["data"]
        queen = next(each for each in one["classes"] if each["name"] == "queen")
        assert queen["duration_ratio"] == 0.67
        assert sorted((clip["start"], clip["prompt"]) for clip in queen["clips"]) == [(0.0, "queen"), (4.0, "queen")]
        assert round(sum(each["detailed_scores"]["normalized_score"] for each in one["classes"])) == 100
        own = [{"name": "exact", "prompts": ["eggs queen"], "conversation_option": "exact_match"}]
        assert await named(classes=own) == []
        assert await named(classes=[{"name": "stems", "prompts": ["eggs queen"]}]) == [["stems"]]
        assert platform.ledger.entries("classify")[0].client_key == "queen lays eggs,honey,submarine"


@pytest.mark.asyncio
async def test_bad_classifications_say_what_is_wrong(tmp_path: Path) -> None:
    """Too many prompts or hours, sight, unknown videos, twins, thresholds out of range."""
    async with old_platform(tmp_path, limits=PlatformLimits(classify_seconds=100)) as (_, client):
        index = await old_index(client)
        keys = [await video(client, index, f"{n}.mp4", BEES) for n in range(2)]
        good = {"index_id": index, **classes("queen")}
        prompts = [f"p{n}" for n in range(51)]
        many = [{"name": "a", "prompts": prompts}, {"name": "b", "prompts": prompts}]
        seen = [{"name": "a", "prompts": ["a"], "options": ["visual"]}]
        for change, code in (
            ({"classes": many}, "parameter_invalid"), ({"classes": []}, "parameter_not_provided"),
            ({"classes": [{"name": "a"}]}, "parameter_not_provided"), ({"classes": ["a"]}, "parameter_invalid"),
            ({"classes": classes("a", "a")["classes"]}, "parameter_invalid"), ({"options": []}, "parameter_not_provided"),
            ({"options": ["visual", "conversation"]}, "search_option_not_supported"),
            ({"classes": seen}, "search_option_not_supported"), ({"index_id": "x"}, "resource_not_exist"),
            ({"threshold": 101}, "parameter_invalid"), ({"threshold": "low"}, "parameter_invalid"),
            ({"threshold": {"min_duration_ratio": 2}}, "parameter_invalid"), ({"include_clips": "yes"}, "parameter_invalid"),
            ({"conversation_option": "x"}, "parameter_invalid"), ({"page_limit": 0}, "parameter_invalid"),
        ):  # fmt: skip
            assert (await code_of(client, "/classify/bulk", {**good, **change}))[0] == code, change
        assert (await code_of(client, "/classify", {**good, "video_ids": keys}))[0] == "parameter_invalid"  # 120 s
        assert (await code_of(client, "/classify", {**good, "video_ids": ["x"]}))[0] == "resource_not_exist"
        assert (await code_of(client, "/classify", good))[0] == "parameter_not_provided"
        other = await video(client, await old_index(client, "other"), "o.mp4", BEES)
        mixed = {**good, "video_ids": [keys[0], other]}
        assert "same index" in (await code_of(client, "/classify", mixed))[1]


@pytest.mark.asyncio
async def test_classes_come_in_pages(tmp_path: Path) -> None:
    """``GET /classify/{token}`` gives the rest; a token of a search is none of a classification."""
    async with old_platform(tmp_path) as (_, client):
        index = await old_index(client)
        keys = {await video(client, index, f"{n}.mp4", BEES) for n in range(3)}
        first = (
            await client.post("/classify/bulk", json={"index_id": index, **classes("queen"), "page_limit": 2})
        ).json()
        token = first["page_info"]["next_page_token"]
        second = (await client.get(f"/classify/{token}")).json()
        assert {entry["video_id"] for page in (first, second) for entry in page["data"]} == keys
        assert (await client.get(f"/search/{token}")).json()["code"] == "search_page_token_expired"


@pytest.mark.asyncio
async def test_texts_are_refused_with_the_vendors_codes(tmp_path: Path) -> None:
    """Unknown video, bad type, long prompt, no generative engine; each accepted ask is entered once, with its minutes."""
    async with old_platform(tmp_path) as (platform, client):
        index = await old_index(client)
        key = await video(client, index, "bees.mp4", BEES)
        mute = await old_index(client, "m", [{"engine_name": "marengo2.6", "engine_options": ["conversation"]}])
        silent = await video(client, mute, "mute.mp4", BEES)
        for path, body, code in (
            ("/gist", {"video_id": key, "types": []}, "parameter_invalid"),
            ("/gist", {"video_id": key, "types": ["title", {}]}, "parameter_invalid"),
            ("/gist", {"types": ["title"]}, "parameter_not_provided"),
            ("/gist", {"video_id": "x", "types": ["title"]}, "resource_not_exist"),
            ("/gist", {"video_id": silent, "types": ["title"]}, "index_not_supported_for_generate"),
            ("/summarize", {"video_id": key, "type": "poem"}, "parameter_invalid"),
            ("/summarize", {"video_id": key, "type": "summary", "prompt": "x" * 1501}, "parameter_invalid"),
            ("/summarize", {"video_id": key, "type": "summary", "temperature": 2}, "parameter_invalid"),
            ("/generate", {"video_id": key}, "parameter_not_provided"),
            ("/generate", {"video_id": key, "prompt": "x" * 1501}, "parameter_invalid"),
            ("/generate", {"video_id": key, "prompt": "x", "stream": "yes"}, "parameter_invalid"),
            ("/generate", {"video_id": key, "prompt": "refuse this"}, "token_limit_exceeded"),
        ):
            assert (await code_of(client, path, body))[0] == code, (path, body)
        asked = {"video_id": key, "types": ["topic", "title"]}
        assert (await client.post("/gist", json=asked)).status_code == 200
        assert (await client.post("/summarize", json={"video_id": key, "type": "chapter"})).status_code == 200
        entries = [
            (e.effect, e.client_key, e.minutes) for e in platform.ledger.entries() if e.effect in ("gist", "summarize")
        ]
        assert entries == [("gist", "bees.mp4:title,topic", 1.0), ("summarize", "bees.mp4:chapter", 1.0)]


@pytest.mark.asyncio
async def test_bad_indexes_are_refused(tmp_path: Path) -> None:
    """Names taken or missing, unknown engines and options, addons without Marengo, changes of engines; on both dialects."""
    pegasus = [{"engine_name": "pegasus1.1", "engine_options": ["visual"]}]
    async with old_platform(tmp_path) as (_, client):
        key = await old_index(client, "taken")
        for body, code in (
            ({"engines": pegasus}, "parameter_not_provided"), ({"index_name": "a"}, "parameter_invalid"),
            ({"index_name": "a", "engines": []}, "parameter_invalid"),
            ({"index_name": "a", "models": MODELS}, "parameter_invalid"),
            ({"index_name": "a", "engines": [{"engine_name": "marengo9", "engine_options": ["visual"]}]}, "parameter_invalid"),
            ({"index_name": "a", "engines": [{"engine_name": "pegasus1", "engine_options": ["logo"]}]}, "parameter_invalid"),
            ({"index_name": "a", "engines": pegasus, "addons": ["thumbnail"]}, "parameter_invalid"),
            ({"index_name": "a", "engines": pegasus, "addons": ["x"]}, "parameter_invalid"),
            ({"index_name": "taken", "engines": pegasus}, "index_name_already_exists"),
        ):  # fmt: skip
            assert (await code_of(client, "/indexes", body))[0] == code, body
        change = await client.put(f"/indexes/{key}", json={"index_name": "new", "engines": pegasus})
        assert change.json()["code"] == "index_engine_cannot_be_changed"
        assert (await client.put(f"/indexes/{key}", json={"index_name": "new"})).status_code == 204
    async with platform(tmp_path / "today") as (_, client):
        old_words = {"index_name": "a", "models": [{"model_name": "marengo2.7", "model_options": ["visual"]}]}
        assert (await code_of(client, "/indexes", old_words))[0] == "parameter_invalid"
        missing = await client.get("/indexes/x/indexed-assets")
        assert (missing.status_code, missing.json()["code"]) == (404, "resource_not_exist")
        assert (await code_of(client, "/tasks", {}))[0] == "not_supported_by_local_platform"
