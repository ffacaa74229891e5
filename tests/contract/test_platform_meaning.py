"""Search by meaning over HTTP: what is found beside words, how it is called, and what happens without a usable model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

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
from tests.contract.test_platform_search import search

BEES = "the queen lays eggs all summer\nevery worker gathers honey"
CARS = "a car needs petrol\nthe wheel of the car turns"
MEANINGS = {"car": "car", "automobile": "car", "vehicle": "car", "petrol": "fuel", "fuel": "fuel", "honey": "food"}


def canned(**more: Any) -> Canned:
    """Return an analysis that knows what a few words mean."""
    found = Canned()
    found.meanings = MEANINGS
    for name, value in more.items():
        setattr(found, name, value)
    return found


@pytest.mark.asyncio
async def test_other_words_find_what_is_meant_and_it_is_called_so(tmp_path: Path) -> None:
    """v1.2: behind the word hits, with a low confidence, and named as nearest by meaning."""
    async with old_platform(tmp_path, analyzer=canned(), meaning="model") as (_, client):
        index = await old_index(client)
        await video(client, index, "bees.mp4", BEES)
        cars = await video(client, index, "cars.mp4", CARS)
        found = (await search(client, index, "automobile fuel"))["data"]
        assert [hit["metadata"][0]["text"] for hit in found] == CARS.splitlines()
        assert {(hit["video_id"], hit["confidence"], hit["matched_by"]) for hit in found} == {
            (cars, "low", "nearest by meaning")
        }
        words = (await search(client, index, "wheel of a car"))["data"]
        assert words[0]["metadata"][0]["text"] == CARS.splitlines()[1]
        assert words[0]["score"] == 100.0
        assert "matched_by" not in words[0]
        assert words[1]["matched_by"] == "nearest by meaning"
        assert (await search(client, index, "submarine"))["data"] == []
        assert (await search(client, index, "automobile", threshold="medium"))["data"] == []
        assert (await search(client, index, "automobile", conversation_option="exact_match"))["data"] == []


@pytest.mark.asyncio
async def test_a_filter_leaves_room_for_what_it_lets_pass(tmp_path: Path) -> None:
    """Nearer clips of videos that are filtered out do not take the places of those that were asked for."""
    async with old_platform(tmp_path, analyzer=canned(), meaning="model") as (_, client):
        index = await old_index(client)
        await video(client, index, "many.mp4", "\n".join(f"petrol car number {n}" for n in range(12)))
        cars = await video(client, index, "cars.mp4", CARS)
        found = await search(client, index, "vehicle fuel", filter={"id": [cars]})
        assert [hit["metadata"][0]["text"] for hit in found["data"]] == CARS.splitlines()


@pytest.mark.asyncio
async def test_v1_3_finds_by_meaning_unless_it_is_asked_for_the_very_words(tmp_path: Path) -> None:
    """The words on slides are found so, too, without asking for them."""
    analyzer = canned(shown=[(10.0, 20.0, "Vehicle tax")])
    async with platform(tmp_path, analyzer=analyzer, meaning="model") as (_, client):
        index = await new_index(client)
        asset = await ready(client, user_metadata=json.dumps({"captions": BEES}))
        await indexed(client, index, asset)
        body = {
            "index_id": (None, index),
            "search_options": (None, "transcription"),
            "query_text": (None, "automobile"),
        }
        found = (await client.post("/search", files=body)).json()["data"]
        assert [(hit["transcription"], hit["matched_by"]) for hit in found] == [("Vehicle tax", "nearest by meaning")]
        lexical = await client.post("/search", files={**body, "transcription_options": (None, "lexical")})
        assert lexical.json()["data"] == []


@pytest.mark.asyncio
async def test_without_a_model_searches_stay_literal(tmp_path: Path) -> None:
    """No model is asked for, and nothing is encoded."""
    analyzer = canned()
    async with old_platform(tmp_path, analyzer=analyzer) as (_, client):
        index = await old_index(client)
        await video(client, index, "cars.mp4", CARS)
        assert (await search(client, index, "automobile"))["data"] == []
        assert analyzer.encoded == []


@pytest.mark.asyncio
async def test_a_model_that_cannot_be_used_stops_neither_indexing_nor_search(tmp_path: Path) -> None:
    """It is tried once, and then words are looked for."""
    analyzer = canned(model=None)
    async with old_platform(tmp_path, analyzer=analyzer, meaning="model") as (_, client):
        index = await old_index(client)
        await video(client, index, "cars.mp4", CARS)
        assert (await search(client, index, "automobile"))["data"] == []
        assert len((await search(client, index, "car petrol"))["data"]) >= 1
        assert len(analyzer.encoded) == 1


@pytest.mark.asyncio
async def test_what_was_indexed_without_a_model_or_by_another_is_read_again(tmp_path: Path) -> None:
    """After the next start it is found by meaning, and each clip is encoded once a model."""
    async with old_platform(tmp_path, analyzer=canned()) as (_, client):
        index = await old_index(client)
        await video(client, index, "cars.mp4", CARS)
    for model in ("canned 1", "canned 2"):
        analyzer = canned(model=model)
        async with old_platform(tmp_path, analyzer=analyzer, clock=ManualClock(), meaning="model") as (_, client):
            with anyio.fail_after(20):
                while not (await search(client, index, "automobile"))["data"]:
                    await anyio.wait_all_tasks_blocked()
        assert [sorted(texts) for texts in analyzer.encoded if len(texts) > 1] == [sorted(CARS.splitlines())]
