"""Today's SDK on what needs an index: indexes, indexed assets, videos, search, in its own words and types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from twelvelabs import AsyncTwelveLabs
from twelvelabs.core.api_error import ApiError
from twelvelabs.errors import BadRequestError
from twelvelabs.indexes import IndexesCreateRequestModelsItem
from twelvelabs.types import IndexedAssetsListRequestDuration

from tests.contract.platform_double import VIDEO, Canned
from tests.contract.test_sdk import sdk, settle

CAPTIONS = "bees live in colonies\nthe queen lays eggs\nthe workers gather honey"
MODELS = [IndexesCreateRequestModelsItem(model_name="marengo3.0", model_options=["visual", "audio"])]


async def asset(client: AsyncTwelveLabs, name: str, captions: str = CAPTIONS) -> str:
    """Upload a film with captions and settle it."""
    metadata = json.dumps({"captions": captions})
    made = await client.assets.create(method="direct", file=(name, VIDEO), filename=name, user_metadata=metadata)
    return str((await settle(client, str(made.id))).id)


async def ready(client: AsyncTwelveLabs, index_id: str, asset_id: str, **metadata: Any) -> str:
    """Index an asset and poll as the vendor's documents say."""
    made = await client.indexes.indexed_assets.create(index_id, asset_id=asset_id, user_metadata=metadata)
    assert made.asset_id == asset_id
    with anyio.fail_after(20):
        while True:
            found = await client.indexes.indexed_assets.retrieve(index_id, str(made.id))
            if found.status in ("ready", "failed"):
                assert found.status == "ready"
                return str(found.id)


@pytest.mark.asyncio
async def test_the_sdk_manages_indexes(tmp_path: Path) -> None:
    """Create, list by name, family and options, rename, delete; a taken name is the SDK's BadRequestError."""
    async with sdk(tmp_path) as (served, client):
        made = await client.indexes.create(index_name="bees", models=MODELS, addons=["thumbnail"])
        with pytest.raises(BadRequestError) as error:
            await client.indexes.create(index_name="bees", models=MODELS)
        assert error.value.body["code"] == "index_name_already_exists"
        await client.indexes.update(str(made.id), index_name="honey bees")
        index = await client.indexes.retrieve(str(made.id))
        assert (index.index_name, index.addons, index.video_count) == ("honey bees", ["thumbnail"], 0)
        assert index.models is not None
        assert index.models[0].model_options == ["visual", "audio"]
        narrowed: list[dict[str, Any]] = [
            {"index_name": "honey bees"}, {"model_family": "marengo"}, {"model_options": "visual,audio"},
        ]  # fmt: skip
        for wanted in narrowed:
            assert [each.id async for each in await client.indexes.list(**wanted)] == [made.id], wanted
        assert [each async for each in await client.indexes.list(model_family="pegasus")] == []
        await client.indexes.delete(str(made.id))
        assert [each async for each in await client.indexes.list()] == []
        assert [entry.client_key for entry in served.ledger.entries("index_created")] == ["bees"]


@pytest.mark.asyncio
async def test_the_sdk_indexes_assets(tmp_path: Path) -> None:
    """Create, retrieve with transcription, every filter of the list, metadata, the older view, references, delete."""
    async with sdk(tmp_path) as (served, client):
        index = str((await client.indexes.create(index_name="bees", models=MODELS)).id)
        source = await asset(client, "bees.mp4")
        about = client.indexes.indexed_assets
        key = await ready(client, index, source, source_id="vid-1", good=True)
        found = await about.retrieve(index, key, transcription=True)
        assert [item.value for item in found.transcription or []] == CAPTIONS.splitlines()
        assert found.system_metadata is not None
        assert (found.system_metadata.filename, found.system_metadata.duration) == ("bees.mp4", 60.0)
        assert found.user_metadata == {"source_id": "vid-1", "good": True}
        wide = IndexedAssetsListRequestDuration(gte=59.0, lte=61.0)
        for wanted in (
            {"status": ["ready"]}, {"filename": "bees.mp4"}, {"duration": wide}, {"user_metadata": {"source_id": "vid-1"}},
            {"user_metadata": {"good": True}}, {"created_at": found.created_at},
        ):  # fmt: skip
            assert [each.id async for each in await about.list(index, **wanted)] == [key], wanted
        for wanted in ({"status": ["failed"]}, {"filename": "other"}, {"user_metadata": {"source_id": "vid-2"}}):
            assert [each async for each in await about.list(index, **wanted)] == [], wanted
        await about.update(index, key, user_metadata={"source_id": None, "part": 3})
        assert (await about.retrieve(index, key)).user_metadata == {"good": True, "part": 3}
        assert [each.id async for each in await client.indexes.videos.list(index)] == [key]
        assert (await client.indexes.videos.retrieve(index, key)).asset_id == source
        (reference,) = [each async for each in await about.list_by_asset(source)]
        assert reference.index is not None
        assert (reference.id, reference.index.id, reference.index.name) == (key, index, "bees")
        with pytest.raises(ApiError) as error:
            await client.assets.delete(source)
        assert error.value.status_code == 409
        await about.delete(index, key)
        await client.assets.delete(source)
        assert served.ledger.twice() == []


@pytest.mark.asyncio
async def test_the_sdk_searches(tmp_path: Path) -> None:
    """Ranks from 1, pages, groups, filters, metadata; pictures, sight and sounds are the SDK's BadRequestError."""
    async with sdk(tmp_path, analyzer=Canned()) as (served, client):
        index = str((await client.indexes.create(index_name="bees", models=MODELS)).id)
        bees = await ready(client, index, await asset(client, "bees.mp4"), source_id="vid-1")
        ants = await ready(client, index, await asset(client, "ants.mp4", "the queen ant rests"))
        ask: dict[str, Any] = {"index_id": index, "search_options": ["transcription"], "query_text": "queen lays eggs"}
        pager = await client.search.create(**ask, page_limit=1, include_user_metadata=True)
        assert pager.search_pool is not None
        assert (pager.search_pool.total_count, pager.search_pool.total_duration) == (2, 120.0)
        (first,) = pager.data or []
        assert (first.rank, first.video_id, first.start, first.end) == (1, bees, 2.0, 4.0)
        assert (first.transcription, first.user_metadata) == ("the queen lays eggs", {"source_id": "vid-1"})
        everything = await client.search.create(**{**ask, "query_text": "queen"})
        assert [(hit.rank, hit.video_id) for hit in everything.data or []] == [
            (1, min(ants, bees)), (2, max(ants, bees)),
        ]  # fmt: skip
        wanted = json.dumps({"source_id": "vid-1", "duration": {"gte": 10}})
        narrowed = await client.search.create(**{**ask, "query_text": "queen", "filter": wanted, "group_by": "video"})
        (group,) = narrowed.data or []
        assert (group.id, len(group.clips or [])) == (bees, 1)
        lexical = await client.search.create(**{**ask, "query_text": "queens", "transcription_options": ["lexical"]})
        assert not lexical.data
        for refused in (
            {"search_options": ["visual", "transcription"]},
            {"search_options": ["audio"]},
            {"query_media_type": "image", "query_media_url": "https://example.invalid/a.png"},
            {"query_media_type": "image", "query_media_file": ("a.png", b"x")},
        ):
            with pytest.raises(BadRequestError) as error:
                await client.search.create(**{**ask, **refused})
            assert "Twelve Labs API" in error.value.body["message"]
        assert {entry.client_key for entry in served.ledger.entries("search")} == {"queen lays eggs", "queen", "queens"}


@pytest.mark.asyncio
async def test_the_sdk_turns_pages(tmp_path: Path) -> None:
    """A page token gives the next page and, once its time has passed, the vendor's code."""
    async with sdk(tmp_path) as (served, client):
        index = str((await client.indexes.create(index_name="bees", models=MODELS)).id)
        await ready(client, index, await asset(client, "bees.mp4", "queen one\nqueen two\nqueen three"))
        pager = await client.search.create(
            index_id=index, search_options=["transcription"], query_text="queen", page_limit=2
        )
        assert pager.page_info is not None
        token = pager.page_info.next_page_token or ""
        second = await client.search.retrieve(token)
        assert [hit.transcription for hit in second.data or []] == ["queen three"]
        assert second.page_info is not None
        assert (second.page_info.next_page_token, second.page_info.total_results) == (None, 3)
        served._context.clock.move(900)
        with pytest.raises(BadRequestError) as error:
            await client.search.retrieve(token)
        assert error.value.body["code"] == "search_page_token_expired"
