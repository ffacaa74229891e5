"""How large a video may be that the platform fetches by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import VIDEO, client_of, done, old_index, old_platform
from tests.contract.test_platform_fetch import Site, given, left


@pytest.mark.asyncio
@pytest.mark.parametrize(("room", "status"), [(0, "ready"), (-1, "failed")])
async def test_a_fetched_video_may_be_as_large_as_an_uploaded_one(tmp_path: Path, room: int, status: str) -> None:
    """The documented limit of a v1.2 task, to the byte, however large a file by address may be; nothing is left over."""
    limits = PlatformLimits(task_bytes=len(VIDEO) + room)
    async with old_platform(tmp_path, fetch=Site().fetch, limits=limits) as (platform, client):
        found = await done(client, await given(client, await old_index(client)))
        assert found["status"] == status
        assert left(tmp_path) == []
        async with client_of(platform) as today:
            (asset,) = (await today.get("/assets")).json()["data"]
            told = str((await today.get(f"/assets/{asset['_id']}")).json().get("error", ""))
    assert ("larger than" in told) is (status == "failed")


def test_the_limit_is_the_documented_one() -> None:
    """2 GB for a v1.2 task."""
    assert PlatformLimits().task_bytes == 2 * 1000**3
