"""The vendor's own SDK as a client of the local platform: upload, settle, analyze, in its own words and types."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from twelvelabs import AsyncTwelveLabs, TwelveLabs
from twelvelabs.core.api_error import ApiError
from twelvelabs.types import (
    AsyncResponseFormat,
    BatchDefaults,
    BatchItemRequest,
    BatchPrompt,
    BatchVideoContext,
    SyncResponseFormat,
    VideoContext_AssetId,
)

from tests.contract.platform_double import SMALL, TOKEN, VIDEO, Canned, platform

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


@asynccontextmanager
async def sdk(folder: Path, **options: Any) -> AsyncIterator[tuple[Any, AsyncTwelveLabs]]:
    """Serve a platform and give the vendor's async client of it."""
    async with platform(folder, **options) as (served, _), httpx.AsyncClient(timeout=20) as http:
        yield served, AsyncTwelveLabs(api_key=TOKEN, base_url=f"{served.base_url}/v1.3", httpx_client=http)


async def settle(client: AsyncTwelveLabs, asset_id: str) -> Any:
    """Poll as the vendor's documents say, without waiting in between."""
    with anyio.fail_after(20):
        while (asset := await client.assets.retrieve(asset_id)).status == "processing":
            pass
    return asset


async def uploaded(client: AsyncTwelveLabs) -> str:
    """Upload directly and settle."""
    made = await client.assets.create(
        method="direct", file=("a.mp4", VIDEO), filename="a.mp4", user_metadata='{"k": "v"}'
    )
    assert made.id is not None
    return str((await settle(client, made.id)).id)


@pytest.mark.asyncio
async def test_the_sdk_uploads_settles_and_lists(tmp_path: Path) -> None:
    """Every field of a settled asset arrives in the SDK's types; filters and metadata calls work."""
    async with sdk(tmp_path) as (_, client):
        key = await uploaded(client)
        asset = await client.assets.retrieve(key)
        assert (asset.status, asset.filename, asset.size, asset.duration) == ("ready", "a.mp4", len(VIDEO), 60.0)
        assert asset.technical_metadata is not None
        assert asset.user_metadata == {"k": "v"}
        await client.assets.update_user_metadata(key, user_metadata={"n": 1})
        assert (await client.assets.retrieve(key)).user_metadata == {"k": "v", "n": 1}
        assert [entry.id async for entry in await client.assets.list(filename="A.MP4")] == [key]
        await client.assets.delete(key)
        with pytest.raises(ApiError) as error:
            await client.assets.retrieve(key)
        assert error.value.status_code == 404


@pytest.mark.asyncio
async def test_the_sdks_multipart_wrapper_uploads_a_file(tmp_path: Path) -> None:
    """The vendor's own chunking, retries and reports end in a ready asset with the same bytes; no key reaches storage."""
    source = tmp_path / "source" / "long.mp4"
    source.parent.mkdir()
    source.write_bytes(bytes(range(256)) * 40)
    async with sdk(tmp_path / "state", limits=SMALL) as (served, client):
        blocking: Any = TwelveLabs(api_key=TOKEN, base_url=f"{served.base_url}/v1.3")

        def upload() -> str:
            found = blocking.multipart_upload.upload_file(source, filename="long.mp4", batch_size=4, max_workers=3)
            blocking._client_wrapper.httpx_client.httpx_client.close()
            assert httpx.get(found.asset_url).content == source.read_bytes()
            return str(found.asset_id)

        asset = await settle(client, await anyio.to_thread.run_sync(upload))
        assert (asset.status, asset.size) == ("ready", 10_240)
        assert [e.effect for e in served.ledger.entries()] == ["session_opened", "session_completed"]


@pytest.mark.asyncio
async def test_the_sdk_analyzes_at_once_and_streamed(tmp_path: Path) -> None:
    """Both synchronous calls parse: the whole answer, and the events whose pieces make the same text."""
    async with sdk(tmp_path) as (_, client):
        video = VideoContext_AssetId(asset_id=await uploaded(client))
        form = SyncResponseFormat(type="json_schema", json_schema=SCHEMA)
        whole = await client.analyze(video=video, prompt="title?", response_format=form, max_tokens=2048)
        assert json.loads(whole.data or "") == {"title": "text"}
        assert (whole.finish_reason, whole.usage is not None) == ("stop", True)
        events = [event async for event in client.analyze_stream(video=video, prompt="title?", response_format=form)]
        kinds = [event.event_type for event in events]
        assert (kinds[0], kinds[-1]) == ("stream_start", "stream_end")
        assert "".join(e.text or "" for e in events if e.event_type == "text_generation") == whole.data


@pytest.mark.asyncio
async def test_the_sdk_runs_tasks(tmp_path: Path) -> None:
    """Create, list, retrieve, delete and the errors of tasks arrive in the SDK's types."""
    async with sdk(tmp_path) as (served, client):
        tasks = client.analyze_async.tasks
        video = VideoContext_AssetId(asset_id=await uploaded(client))
        form = AsyncResponseFormat(type="json_schema", json_schema=SCHEMA)
        headers: Any = {"additional_headers": {"Idempotency-Key": "k1"}}
        made = await tasks.create(
            video=video, prompt="p" * 40, custom_id="v_1", response_format=form, request_options=headers
        )
        again = await tasks.create(
            video=video, prompt="p" * 40, custom_id="v_1", response_format=form, request_options=headers
        )
        assert (made.status, again.task_id) == ("queued", made.task_id)
        with anyio.fail_after(20):
            while (task := await tasks.retrieve(made.task_id)).status not in ("ready", "failed"):
                pass
        assert task.result is not None
        assert json.loads(task.result.data) == {"title": "text"}
        assert task.video_source is not None
        assert task.video_source.system_metadata is not None
        (listed,) = (await tasks.list(asset_id=video.asset_id, status="ready")).data or []
        assert (listed.custom_id, listed.request_params is not None) == ("v_1", True)
        await tasks.delete(made.task_id)
        with pytest.raises(ApiError) as error:
            await tasks.retrieve(made.task_id)
        assert error.value.status_code == 404
        assert served.ledger.twice() == []


@pytest.mark.asyncio
async def test_the_sdk_asks_about_a_part(tmp_path: Path) -> None:
    """The window comes back with the task, only it is billed, and one that ends behind the video fails."""
    async with sdk(tmp_path, analyzer=Canned(seconds=600.0)) as (served, client):
        tasks, video = client.analyze_async.tasks, VideoContext_AssetId(asset_id=await uploaded(client))
        states = []
        for end in (180.0, 601.0):
            made = await tasks.create(video=video, prompt="What?", start_time=60.0, end_time=end)
            with anyio.fail_after(20):
                while (task := await tasks.retrieve(made.task_id)).status not in ("ready", "failed"):
                    pass
            states.append(task.status)
            assert task.request_params is not None
            assert (task.request_params.start_time, task.request_params.end_time) == (60.0, end)
        assert states == ["ready", "failed"]
        assert [entry.minutes for entry in served.ledger.entries("analyze_task_created")] == [2.0, 9.0]


@pytest.mark.asyncio
async def test_the_sdk_sees_a_cut_answer_as_cut(tmp_path: Path) -> None:
    """finish_reason ``length`` and the warning arrive in the SDK's types."""
    async with sdk(tmp_path, analyzer=Canned("y" * 9000)) as (_, client):
        video = VideoContext_AssetId(asset_id=await uploaded(client))
        cut = await client.analyze(video=video, prompt="x", max_tokens=512)
        assert (cut.finish_reason, len(cut.data or "")) == ("length", 2048)
        assert cut.error is not None


@pytest.mark.asyncio
async def test_the_sdk_runs_a_batch(tmp_path: Path) -> None:
    """Create, status and JSON Lines results of a batch arrive in the SDK's types."""
    async with sdk(tmp_path) as (_, client):
        batches = client.analyze_async.batches
        context = BatchVideoContext(type="asset_id", asset_id=await uploaded(client))
        made = await batches.create(
            model_name="pegasus1.5",
            analysis_mode="general",
            defaults=BatchDefaults(prompt=BatchPrompt(input_text="describe")),
            requests=[BatchItemRequest(video=context, custom_id=name) for name in ("a", "b")],
        )
        with anyio.fail_after(20):
            listed = [each async for each in await batches.list()]
            assert [(each.batch_id, each.total_items) for each in listed] == [(made.batch_id, made.total_items)]
            assert isinstance(listed[0].queued_items, int)
            while (found := await batches.retrieve(made.batch_id)).status != "completed":
                pass
        assert (found.ready_items, found.total_items) == (2, 2)
        results = [item async for item in batches.results(made.batch_id)]
        assert [(item.custom_id, item.status) for item in results] == [("a", "ready"), ("b", "ready")]
        assert all(item.data is not None for item in results)
