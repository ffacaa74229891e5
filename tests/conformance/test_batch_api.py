"""Our client's batches against the embedded platform, over real HTTP: what ``ports.BatchApi`` promises."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from pipeline.core.errors import Ambiguous, Permanent, Throttled
from pipeline.local.limits import PlatformLimits
from pipeline.ports.batch_api import BatchApi, BatchStatus
from tests.conformance.test_video_api import Hurried, accepted, ours, pair, question, uploaded

_NO_ID = "0" * 24


async def ended(api: BatchApi, batch_id: str) -> BatchStatus:
    """Look until the batch has ended."""
    with anyio.fail_after(10):
        while True:
            status = await api.status(batch_id)
            if status.state != "working":
                return status
            await Hurried().sleep(1.0)


@pytest.mark.asyncio
async def test_a_batch_is_accepted_ends_and_answers(tmp_path: Path) -> None:
    """One call, an item per question, each answer exactly as the platform sent it."""
    async with pair(tmp_path) as (api, served):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        asked = [question(media, key=f"rm-{number}") for number in range(3)]
        batch_id = await api.batches.create(asked, ours)
        status = await ended(api.batches, batch_id)
        assert (status.state, status.counts["ready"]) == ("completed", 3)
        items = (await api.batches.results(batch_id)).items
        assert set(items) == {"rm-0", "rm-1", "rm-2"}
        for key, item in items.items():
            answer = item.status.answer
            assert answer is not None
            assert (json.loads(answer.text), answer.finish_reason) == ({"title": "text"}, "stop")
            assert answer.raw["custom_id"] == key
            assert await api.find_analysis(question(media, key=key)) == item.task_id
        assert accepted(served, "batch_item_created") == 3


@pytest.mark.asyncio
async def test_a_batch_is_found_by_any_of_its_keys(tmp_path: Path) -> None:
    """And by no other: nothing else in the account is taken for it."""
    async with pair(tmp_path) as (api, _):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        first = await api.batches.create([question(media, key="rm-1"), question(media, key="rm-2")], ours)
        other = await api.batches.create([question(media, key="rm-3")], ours)
        assert await api.batches.find({"rm-2", "rm-9"}, 0.0) == first
        assert await api.batches.find({"rm-3"}, 0.0) == other
        assert await api.batches.find({"rm-9"}, 0.0) is None


@pytest.mark.asyncio
async def test_a_lost_answer_is_ambiguous_and_the_batch_is_there(tmp_path: Path) -> None:
    """What happened behind a broken connection is found."""
    rules = [{"match": "POST /v1.3/analyze/batches$", "do": "reset_after", "nth": 1}]
    async with pair(tmp_path, rules=rules) as (api, served):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        with pytest.raises(Ambiguous):
            await api.batches.create([question(media, key="rm-1")], ours)
        assert await api.batches.find({"rm-1"}, 0.0) is not None
        assert accepted(served, "batch_item_created") == 1


@pytest.mark.asyncio
async def test_all_or_nothing(tmp_path: Path) -> None:
    """A question that the platform refuses creates nothing; twice one key is refused."""
    async with pair(tmp_path) as (api, served):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        for bad in ([question(media, key="rm-1"), question(_NO_ID, key="rm-2")], [question(media), question(media)]):
            with pytest.raises(Permanent):
                await api.batches.create(bad, ours)
        assert accepted(served, "batch_item_created") == 0
        assert await api.batches.find({"rm-1"}, 0.0) is None


@pytest.mark.asyncio
async def test_too_many_active_batches_are_a_limit(tmp_path: Path) -> None:
    """Nothing is accepted, and the wait is told."""
    async with pair(tmp_path, limits=PlatformLimits(active_batches=0)) as (api, _):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        with pytest.raises(Throttled) as refused:
            await api.batches.create([question(media)], ours)
        assert not refused.value.in_doubt


@pytest.mark.asyncio
async def test_what_has_ended_or_is_gone_is_cancelled_without_a_word(tmp_path: Path) -> None:
    """Cancelling twice changes nothing, and an unknown batch is none."""
    async with pair(tmp_path) as (api, _):
        assert api.batches is not None
        media = await uploaded(api, tmp_path)
        batch_id = await api.batches.create([question(media)], ours)
        await ended(api.batches, batch_id)
        await api.batches.cancel(batch_id)
        await api.batches.cancel(_NO_ID)
        assert (await api.batches.status(_NO_ID)).state == "gone"
        assert (await api.batches.results(_NO_ID)).items == {}


@pytest.mark.asyncio
async def test_v1_2_has_no_batches(tmp_path: Path) -> None:
    """There is no such call in its API."""
    async with pair(tmp_path, speaks="v1.2") as (api, _):
        assert api.batches is None
