"""Search and classification by words: what is found, in which order, and what is refused instead of found empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import (
    Canned,
    ManualClock,
    indexed,
    new_index,
    old_index,
    old_platform,
    platform,
    ready,
    video,
)

BEES = "the queen lays eggs all summer\nthe workers gather honey\nthe queen is larger than the workers"
ANTS = "ants have queens too\nthey carry leaves"
SPOKEN = ["conversation"]


async def search(client: httpx.AsyncClient, index_id: str, query: str, **more: Any) -> dict[str, Any]:
    """Search on v1.2, by conversation unless said otherwise, and return the answer."""
    body = {"index_id": index_id, "query": query, "search_options": SPOKEN, **more}
    answer = await client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def code_of(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """Post what must be refused with a 400; return code and message."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    return answer.json()["code"], answer.json()["message"]


@pytest.mark.asyncio
async def test_words_are_found_in_every_form_and_best_first(tmp_path: Path) -> None:
    """Stems meet, all words beat some, thresholds cut, and the order is that of the scores."""
    async with old_platform(tmp_path) as (platform, client):
        index = await old_index(client)
        bees = await video(client, index, "bees.mp4", BEES)
        ants = await video(client, index, "ants.mp4", ANTS)
        found = await search(client, index, "Queen laying an egg")
        assert [hit["metadata"][0]["text"] for hit in found["data"]] == [BEES.splitlines()[0]]
        everything = (await search(client, index, "Queen laying an egg", threshold="none"))["data"]
        assert {hit["video_id"] for hit in everything} == {bees, ants}
        scores = [hit["score"] for hit in everything]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == 100.0
        assert [hit["confidence"] for hit in everything][1:] == ["extremely low", "extremely low"]
        lenient = await search(client, index, "Queen laying an egg", adjust_confidence_level=0.05)
        assert len(lenient["data"]) == 3
        strict = await search(client, index, "Queen laying an egg", threshold="high", adjust_confidence_level=1)
        assert [hit["score"] for hit in strict["data"]] == [100.0]
        assert (await search(client, index, "submarine"))["data"] == []
        assert found["search_pool"] == {"total_count": 2, "total_duration": 120.0, "index_id": index}
        assert next(e.client_key for e in platform.ledger.entries("search")) == "Queen laying an egg"


@pytest.mark.asyncio
async def test_exact_match_wants_the_very_words_in_a_row(tmp_path: Path) -> None:
    """Another form of a word or another order is no match; several sources at once are refused with the vendor's code."""
    async with old_platform(tmp_path) as (_, client):
        index = await old_index(client)
        await video(client, index, "bees.mp4", BEES)
        exact = {"conversation_option": "exact_match"}
        assert len((await search(client, index, "The QUEEN lays eggs", **exact))["data"]) == 1
        for query in ("queen lay eggs", "eggs lays queen", "queen eggs"):
            assert (await search(client, index, query, **exact))["data"] == []
        both = {"index_id": index, "query": "queen", "search_options": ["conversation", "text_in_video"], **exact}
        assert (await code_of(client, "/search", both))[0] == "search_option_combination_not_supported"


@pytest.mark.asyncio
async def test_sources_are_combined_grouped_and_filtered(tmp_path: Path) -> None:
    """``or`` takes both, ``and`` the overlap; groups by best hit or by number; filters by facts and own metadata."""
    canned = Canned()
    canned.shown = [(1.0, 9.0, "Queen Bee")]
    async with old_platform(tmp_path, analyzer=canned) as (_, client):
        index = await old_index(client)
        bees = await video(client, index, "bees.mp4", BEES)
        ants = await video(client, index, "ants.mp4", ANTS)
        options = ["text_in_video", "conversation"]
        either = (await search(client, index, "queen", search_options=options))["data"]
        assert len(either) == 5
        assert all(len(hit["metadata"]) == len(hit["modules"]) == 1 for hit in either)
        both = (await search(client, index, "queen", search_options=options, operator="and"))["data"]
        assert {hit["video_id"] for hit in both} == {bees, ants}
        assert all({entry["type"] for entry in hit["metadata"]} == set(options) for hit in both)
        assert all(1.0 <= hit["start"] < hit["end"] <= 9.0 for hit in both)
        groups = await search(client, index, "queen", group_by="video", sort_option="clip_count")
        assert [(group["id"], len(group["clips"])) for group in groups["data"]] == [(bees, 2), (ants, 1)]
        assert (groups["page_info"]["total_results"], groups["page_info"]["total_inner_matches"]) == (2, 3)
        await client.put(f"/indexes/{index}/videos/{ants}", json={"metadata": {"wings": False, "legs": 6}})
        fitting: list[dict[str, Any]] = [
            {"id": [ants]}, {"wings": False}, {"legs": {"gte": 5, "lte": 6}}, {"filename": "ants.mp4"}, {"title": "ants.mp4"},
        ]  # fmt: skip
        for wanted in fitting:
            hits = (await search(client, index, "queen", filter=wanted))["data"]
            assert {hit["video_id"] for hit in hits} == {ants}, wanted
        others: list[dict[str, Any]] = [{"wings": True}, {"legs": 7}, {"duration": {"lte": 59}}, {"nothing": "x"}]
        for wanted in others:
            assert (await search(client, index, "queen", filter=wanted))["data"] == []
        unusable: list[Any] = [
            "x", {"duration": {"gt": 1}}, {"filename": ["a"]}, {"n": None}, {"duration": {"gte": "a"}}, {"d": {}},
        ]  # fmt: skip
        for bad in unusable:
            ask = {"index_id": index, "query": "q", "search_options": SPOKEN, "filter": bad}
            assert (await code_of(client, "/search", ask))[0] == "search_filter_invalid"


@pytest.mark.asyncio
async def test_what_words_cannot_tell_is_refused_by_name(tmp_path: Path) -> None:
    """Each unanswerable option is named with its reason, also beside answerable ones; so are videos without captions."""
    async with old_platform(tmp_path) as (platform, client):
        index = await old_index(client)
        ask = {"index_id": index, "query": "queen"}
        for options, named in ((["visual"], ["visual"]), (["logo", "conversation", "visual"], ["logo", "visual"])):
            code, words = await code_of(client, "/search", {**ask, "search_options": options})
            assert code == "search_option_not_supported"
            assert all(name in words for name in named)
            assert "Twelve Labs API" in words
        assert (await search(client, index, "queen"))["data"] == []  # an empty index holds nothing
        await video(client, index, "silent.mp4")
        code, words = await code_of(client, "/search", {**ask, "search_options": SPOKEN})
        assert code == "search_option_not_supported"
        assert "captions" in words
        await video(client, index, "bees.mp4", BEES)
        assert (await search(client, index, "queen"))["data"]
        partial = await old_index(client, "p", [{"engine_name": "marengo2.6", "engine_options": ["conversation"]}])
        only = {**ask, "index_id": partial, "search_options": ["text_in_video"]}
        assert (await code_of(client, "/search", only))[0] == "search_option_not_supported"
        writer = await old_index(client, "w", [{"engine_name": "pegasus1.1", "engine_options": ["conversation"]}])
        wrong = {**ask, "index_id": writer, "search_options": SPOKEN}
        assert (await code_of(client, "/search", wrong))[0] == "index_not_supported_for_search"
        assert len(platform.ledger.entries("search")) == 2  # what was refused was not charged


@pytest.mark.asyncio
async def test_bad_searches_say_what_is_wrong(tmp_path: Path) -> None:
    """Missing and unusable parameters are 400 with the vendor's codes."""
    async with old_platform(tmp_path) as (_, client):
        index = await old_index(client)
        good: dict[str, Any] = {"index_id": index, "query": "queen", "search_options": SPOKEN}
        for change, code in (
            ({"query": ""}, "parameter_not_provided"), ({"index_id": None}, "parameter_not_provided"),
            ({"index_id": "x"}, "resource_not_exist"), ({"search_options": []}, "parameter_invalid"),
            ({"search_options": "visual"}, "parameter_not_provided"), ({"search_options": ["sight"]}, "parameter_invalid"),
            ({"operator": "xor"}, "parameter_invalid"), ({"group_by": "index"}, "parameter_invalid"),
            ({"threshold": "top"}, "parameter_invalid"), ({"page_limit": 51}, "parameter_invalid"),
            ({"conversation_option": "loose"}, "parameter_invalid"), ({"sort_option": "clip_count"}, "parameter_invalid"),
            ({"adjust_confidence_level": 2}, "parameter_invalid"), ({"query": "x" * 2001}, "parameter_invalid"),
        ):  # fmt: skip
            assert (await code_of(client, "/search", {**good, **change}))[0] == code, change
        assert (await client.get("/search/nonsense")).json()["code"] == "parameter_invalid"
        never = "0" * 8 + "-0000-0000-0000-" + "0" * 12 + "-1"
        assert (await client.get(f"/search/{never}")).json()["code"] == "search_page_token_expired"


@pytest.mark.asyncio
async def test_pages_are_turned_until_their_time_is_up(tmp_path: Path) -> None:
    """Every hit once, forwards and backwards, also after a restart, unchanged by what comes later; then expired."""
    clock = ManualClock()
    async with old_platform(tmp_path, clock=clock) as (_, client):
        index = await old_index(client)
        await video(client, index, "many.mp4", "\n".join(f"queen number {n}" for n in range(7)))
        first = await search(client, index, "queen", page_limit=3)
        await video(client, index, "later.mp4", "queen again")
    async with old_platform(tmp_path, clock=clock) as (platform, client):
        pages = [first]
        while token := pages[-1]["page_info"]["next_page_token"]:
            pages.append((await client.get(f"/search/{token}")).json())
        texts = [hit["metadata"][0]["text"] for page in pages for hit in page["data"]]
        assert sorted(texts) == [f"queen number {n}" for n in range(7)]
        back = (await client.get(f"/search/{pages[2]['page_info']['prev_page_token']}")).json()
        assert back == pages[1]
        assert len(platform.ledger.entries("search")) == 1
        clock.move(PlatformLimits().page_seconds)
        late = await client.get(f"/search/{pages[0]['page_info']['next_page_token']}")
        assert (late.status_code, late.json()["code"]) == (400, "search_page_token_expired")


@pytest.mark.asyncio
async def test_v1_3_searches_what_is_said_lexically_or_by_stems(tmp_path: Path) -> None:
    """Lexical wants all words as they are; the default takes every form; both dialects' filters and refusals hold."""
    async with platform(tmp_path) as (_, client):
        index = await new_index(client)
        asset = await ready(client, user_metadata='{"captions": "the queen lays eggs\\nqueens fly"}')
        await indexed(client, index, asset, source_id="v1")

        async def found(**fields: Any) -> list[str]:
            whole = {"index_id": index, "search_options": "transcription", **fields}
            files = [
                (name, (None, text))
                for name, value in whole.items()
                for text in ([value] if isinstance(value, str) else value)
            ]
            answer = await client.post("/search", files=files)
            body = answer.json()
            return [hit["transcription"] for hit in body["data"]] if answer.status_code == 200 else [body["code"]]

        assert await found(query_text="laying queens", transcription_options="lexical") == []
        assert await found(query_text="eggs queen", transcription_options="lexical") == ["the queen lays eggs"]
        assert (
            await found(query_text="queens") == ["queens fly", "the queen lays eggs"]
            or len(await found(query_text="queens")) == 2
        )
        assert await found(query_text="queen", filter='{"source_id": "v2"}') == []
        assert await found(query_text="queen", filter="{") == ["search_filter_invalid"]
        assert await found(query_text="queen", search_options=["transcription", "audio"]) == [
            "search_option_not_supported"
        ]
        assert await found(query_text="queen", transcription_options=["lexical", "guess"]) == ["parameter_invalid"]
        assert await found(query_text="") == ["parameter_not_provided"]
        assert await found(query_media_type="image") == ["not_supported_by_local_platform"]
        assert (await client.post("/search", json={"index_id": index})).json()["code"] == "parameter_invalid"


@pytest.mark.asyncio
async def test_v1_3_finds_the_words_of_slides_too(tmp_path: Path) -> None:
    """It has no option for them alone: who asks for what is said finds what is shown, also where nothing is said."""
    canned = Canned()
    canned.shown = [(1.0, 9.0, "The Calvin cycle")]
    async with platform(tmp_path, analyzer=canned) as (_, client):
        index = await new_index(client)
        await indexed(client, index, await ready(client))
        files = [(name, (None, text)) for name, text in {
            "index_id": index, "search_options": "transcription", "query_text": "calvin cycle", "operator": "and",
        }.items()]  # fmt: skip
        answer = await client.post("/search", files=files)
        assert [hit["transcription"] for hit in answer.json()["data"]] == ["The Calvin cycle"], answer.text
