"""YouTube addresses that the platform fetches itself: accepted first, fetched behind, told when it fails, never lost."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from pipeline.core.errors import NotYet, Permanent
from pipeline.local.jobs.media_library import LibraryVideo
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.provider.dialects.protocol import Response
from pipeline.provider.dialects.v1_2.media import V12
from tests.contract.platform_double import (
    TOKEN,
    VIDEO,
    client_of,
    done,
    old_client_of,
    old_index,
    old_platform,
    platform,
    task,
)
from tests.contract.test_platform_restart import killed
from tests.contract.test_platform_tasks import WATCH, media_folder, refused

PATH = "/tasks/external-provider"
KEY = "DXB4MApF4Lo"
SERVER = """
    import sys
    from pathlib import Path
    import anyio
    from pipeline.core.clock import SystemClock
    from pipeline.local.platform import LocalPlatform
    from tests.contract.platform_double import Canned, TOKEN

    async def fetch(video, folder):
        (folder / "half").write_bytes(b"half")
        print(video, flush=True)
        await anyio.sleep_forever()

    async def main():
        async with LocalPlatform(Path(sys.argv[1]), token=TOKEN, clock=SystemClock(), analyzer=Canned(), fetch=fetch) as p:
            print(p.base_url, flush=True)
            await anyio.sleep_forever()

    anyio.run(main)
"""


class Site:
    """Stands for YouTube: has every video, unless told otherwise, and gives it when its gate is open."""

    def __init__(self, *, is_open: bool = True, content: bytes = VIDEO) -> None:
        self.asked: list[str] = []
        self.found: list[list[str]] = []  #: what lay in the folder when it was asked
        self.gate = anyio.Event()
        self.error: Exception | None = None
        self.content = content
        if is_open:
            self.gate.set()

    async def fetch(self, video: str, folder: Path) -> LibraryVideo:
        self.asked.append(video)
        self.found.append(await anyio.to_thread.run_sync(begun, folder))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        path = folder / "inside" / f"{video}.mp4"
        path.parent.mkdir()
        path.write_bytes(self.content)
        return LibraryVideo(path, f"The shot {video}", "between the legs")


def begun(folder: Path) -> list[str]:
    """Return what lies in the folder, and leave half a file there."""
    found = sorted(path.name for path in folder.iterdir())
    (folder / "half").write_bytes(b"half")
    return found


async def given(client: httpx.AsyncClient, index: str, url: str = WATCH) -> str:
    """Hand an address over and return the task's id."""
    made = await client.post(PATH, json={"index_id": index, "url": url})
    assert (made.status_code, list(made.json())) == (201, ["_id"]), made.text
    return str(made.json()["_id"])


async def spoken(client: httpx.AsyncClient, index: str, found: dict[str, Any]) -> list[str]:
    """Return what is said in the video of a finished task."""
    said = await client.get(f"/indexes/{index}/videos/{found['video_id']}/transcription")
    return [entry["value"] for entry in said.json()["data"]]


def started(folder: Path) -> subprocess.Popen[str]:
    """Start a platform, in a process of its own, whose fetches never end."""
    command = [sys.executable, "-c", textwrap.dedent(SERVER), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def left(folder: Path) -> list[Path]:
    """Return what fetching has left beside the video's own bytes."""
    return [path for name in ("fetched", "incoming") for path in (folder / name).iterdir()]


@pytest.mark.asyncio
async def test_an_accepted_address_is_fetched_and_goes_on_like_an_upload(tmp_path: Path) -> None:
    """Validating while it is fetched, uploads pass it by; then ready with title and captions, and nothing left over."""
    site = Site(is_open=False)
    async with old_platform(tmp_path, fetch=site.fetch) as (platform, client):
        index = await old_index(client)
        videos = [KEY, "aaaaaaaaaaa", "bbbbbbbbbbb"]
        keys = [await given(client, index, f"https://youtu.be/{video}") for video in videos]
        assert (await done(client, await task(client, index)))["status"] == "ready"
        assert [(await client.get(f"/tasks/{key}")).json()["status"] for key in keys] == ["validating"] * 3
        site.gate.set()
        for key, video in zip(keys, videos, strict=True):
            found = await done(client, key)
            assert (found["status"], found["metadata"]["filename"]) == ("ready", f"The shot {video}")
            assert await spoken(client, index, found) == ["between the legs"]
        assert sorted(site.asked) == sorted(videos)
        assert left(tmp_path) == []
        assert len(platform.ledger.entries("external_task_created")) == 3
        assert platform.ledger.twice() == []


@pytest.mark.asyncio
async def test_the_media_folder_comes_first(tmp_path: Path) -> None:
    """What lies in the folder is not fetched; what does not lie there is."""
    site = Site()
    async with old_platform(tmp_path / "state", fetch=site.fetch, media=media_folder(tmp_path / "media")) as (
        _,
        client,
    ):
        index = await old_index(client)
        assert (await done(client, await given(client, index)))["status"] == "ready"
        assert site.asked == []
        assert (await done(client, await given(client, index, "https://youtu.be/aaaaaaaaaaa")))["status"] == "ready"
        assert site.asked == ["aaaaaaaaaaa"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("content", "why"), [(b"", "private"), (b"broken", "could not be read")])
async def test_a_fetch_that_fails_fails_the_task_and_the_asset_says_why(
    tmp_path: Path, content: bytes, why: str
) -> None:
    """No video, or no readable one: the task is failed for good, the next address is fetched all the same."""
    site = Site(content=content)
    if not content:
        site.error = Permanent("The video is private.", code="private")
    async with old_platform(tmp_path, fetch=site.fetch) as (platform, client):
        index = await old_index(client)
        found = await done(client, await given(client, index))
        assert (found["status"], "video_id" in found) == ("failed", False)
        async with client_of(platform) as today:
            (asset,) = (await today.get("/assets")).json()["data"]
            told = (await today.get(f"/assets/{asset['_id']}")).json()
        assert told["status"] == "failed"
        assert why in told["error"]["message"]
        assert left(tmp_path) == []
        site.error, site.content = None, VIDEO
        assert (await done(client, await given(client, index, "https://youtu.be/aaaaaaaaaaa")))["status"] == "ready"
    async with old_platform(tmp_path, fetch=site.fetch) as (_, client):
        assert (await client.get(f"/tasks/{found['_id']}")).json()["status"] == "failed"
    assert site.asked == [KEY, "aaaaaaaaaaa"]


@pytest.mark.asyncio
@pytest.mark.parametrize("later", [True, False])
async def test_the_reason_is_on_the_task_with_when_it_can_be_made_again(tmp_path: Path, later: bool) -> None:
    """Class, sentence, remedy and time, in the list as on the task; v1.2's other failed tasks say nothing, as before."""
    site = Site()
    site.error = (
        NotYet(
            "The video has not been shown yet.", after=3600.0, code="upcoming", remedy="wait", detail="Premieres in 1 h"
        )
        if later
        else Permanent("The video is private.", code="private", remedy="cookies")
    )
    async with old_platform(tmp_path, fetch=site.fetch) as (_, client):
        index = await old_index(client)
        key = await given(client, index)
        found = await done(client, key)
        (listed,) = (await client.get("/tasks", params={"index_id": index})).json()["data"]
        assert listed == found
        said = found["error"]
        assert (said["code"], said["remedy"]) == (("upcoming", "wait") if later else ("private", "cookies"))
        assert ("again_at" in said) is later
        refused_at = datetime.fromisoformat(found["updated_at"]).timestamp()
        status = V12().media(key).read(Response(200, {}, json.dumps(found).encode(), refused_at))
        assert status.trouble is not None
        assert status.trouble.code == said["code"]
        assert (round(status.later or 0.0, -2), status.later is None) == ((3600.0, False) if later else (0.0, True))


@pytest.mark.asyncio
async def test_what_is_refused_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    """Other addresses and unknown indexes are 400 with a fetcher too, and nobody is asked."""
    site = Site()
    async with old_platform(tmp_path, fetch=site.fetch) as (platform, client):
        other = {"index_id": await old_index(client), "url": "https://vimeo.com/1"}
        assert (await refused(client, PATH, json=other))[0] == "parameter_invalid"
        assert (await refused(client, PATH, json={"index_id": "x", "url": WATCH}))[0] == "resource_not_exist"
        assert platform.ledger.entries("external_task_created") == []
    assert site.asked == []


@pytest.mark.asyncio
async def test_a_platform_that_cannot_fetch_leaves_it_to_the_next_that_can(tmp_path: Path) -> None:
    """Closed while fetching; served without a fetcher it waits, even beside a media folder; then it is fetched."""
    site = Site(is_open=False)
    async with old_platform(tmp_path / "state", fetch=site.fetch) as (_, client):
        index = await old_index(client)
        key = await given(client, index)
        with anyio.fail_after(10):
            while not site.asked:
                await anyio.lowlevel.checkpoint()
    async with old_platform(tmp_path / "state", media=tmp_path / "none") as (_, client):
        assert (await done(client, await task(client, index)))["status"] == "ready"
        assert (await client.get(f"/tasks/{key}")).json()["status"] == "validating"
    site.gate.set()
    async with old_platform(tmp_path / "state", fetch=site.fetch) as (platform, client):
        assert (await done(client, key))["status"] == "ready"
        assert len(platform.ledger.entries("external_task_created")) == 1
    assert site.found == [[], ["half"]]


@pytest.mark.asyncio
@pytest.mark.slow
async def test_after_sigkill_it_is_fetched_again(tmp_path: Path) -> None:
    """Killed in the middle of a fetch: the next platform fetches it, with what is there; one task, indexed once."""
    first = started(tmp_path)
    assert first.stdout is not None
    try:
        base = (await anyio.to_thread.run_sync(first.stdout.readline)).strip()
        async with httpx.AsyncClient(base_url=f"{base}/v1.2", headers={"x-api-key": TOKEN}) as client:
            index = await old_index(client)
            key = await given(client, index)
            assert (await anyio.to_thread.run_sync(first.stdout.readline)).strip() == KEY
    finally:
        killed(first)
    site = Site()
    for _ in range(2):
        async with old_platform(tmp_path, fetch=site.fetch) as (platform, _), old_client_of(platform) as client:
            found = await done(client, key)
            assert found["status"] == "ready"
            assert await spoken(client, index, found) == ["between the legs"]
            assert [e.effect for e in platform.ledger.entries()].count("external_task_created") == 1
            assert [e.effect for e in platform.ledger.entries()].count("indexed") == 1
    assert (site.asked, site.found) == ([KEY], [["half"]])
    assert left(tmp_path) == []


@pytest.mark.asyncio
async def test_what_was_accepted_under_a_wider_policy_fails_with_its_reason(tmp_path: Path) -> None:
    """A platform that may not fetch any more what it had accepted says so on the asset, and goes on serving."""

    async def never(stream: SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        group.start_soon(listener.serve, never)
        address = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/film.mp4"
        async with platform(tmp_path, url_policy=UrlPolicy("any")) as (_, client):
            made = await client.post("/assets", files={"method": (None, "url"), "url": (None, address)})
            assert made.status_code == 201
        async with platform(tmp_path) as (_, client):
            asset = {"status": "processing"}
            with anyio.fail_after(20):
                while asset["status"] == "processing":
                    asset = (await client.get(f"/assets/{made.json()['_id']}")).json()
            assert asset["status"] == "failed"
            assert (await client.get("/assets")).status_code == 200
        group.cancel_scope.cancel()
    await listener.aclose()
