"""v1.2 tasks and videos: what goes in, what is refused and why, what survives, what can be found and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import (
    ANY_URL,
    TOKEN,
    VIDEO,
    Canned,
    ManualClock,
    client_of,
    done,
    old_client_of,
    old_index,
    old_platform,
    task,
    video,
)
from tests.contract.test_platform_restart import killed, served

WATCH = "https://www.youtube.com/watch?v=DXB4MApF4Lo"


def media_folder(folder: Path) -> Path:
    """Make a media folder with one video and captions, by its title, and one by its bare id."""
    folder.mkdir()
    (folder / "Federer's shot [DXB4MApF4Lo].mp4").write_bytes(VIDEO)
    (folder / "Federer's shot [DXB4MApF4Lo].en.vtt").write_text("between the legs", encoding="utf-8")
    (folder / "nhY1s6CZziE.webm").write_bytes(VIDEO + b"2")
    return folder


async def refused(client: httpx.AsyncClient, path: str, status: int = 400, **more: Any) -> tuple[str, str]:
    """Post what must be refused; return code and message."""
    answer = await client.post(path, **more)
    assert answer.status_code == status, answer.text
    return answer.json()["code"], answer.json()["message"]


@pytest.mark.asyncio
async def test_a_youtube_address_is_served_from_the_media_folder(tmp_path: Path) -> None:
    """Title and captions come from beside the file, else the title from within; the ledger's key is the address."""
    media, canned = media_folder(tmp_path / "media"), Canned()
    async with old_platform(tmp_path / "state", media=media, analyzer=canned) as (platform, client):
        index = await old_index(client)
        made = await client.post("/tasks/external-provider", json={"index_id": index, "url": WATCH})
        assert (made.status_code, list(made.json())) == (201, ["_id"])
        found = await done(client, made.json()["_id"])
        assert (found["status"], found["metadata"]["filename"]) == ("ready", "Federer's shot")
        said = await client.get(f"/indexes/{index}/videos/{found['video_id']}/transcription")
        assert [entry["value"] for entry in said.json()["data"]] == ["between the legs"]
        short = {"index_id": index, "url": "https://youtu.be/nhY1s6CZziE?si=x"}
        bare = await done(client, (await client.post("/tasks/external-provider", json=short)).json()["_id"])
        assert (bare["status"], bare["metadata"]["filename"]) == ("ready", "nhY1s6CZziE")
        canned.title = "Wembley 2021"
        named = await done(client, (await client.post("/tasks/external-provider", json=short)).json()["_id"])
        assert named["metadata"]["filename"] == "Wembley 2021"
        keys = [entry.client_key for entry in platform.ledger.entries("external_task_created")]
        assert keys == [WATCH, short["url"], short["url"]]


@pytest.mark.asyncio
async def test_a_youtube_address_without_a_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """No folder, no such file, no YouTube address, no index: each says what is wrong, and nothing is accepted."""
    path = "/tasks/external-provider"
    async with old_platform(tmp_path / "one") as (platform, client):
        code, words = await refused(client, path, json={"index_id": await old_index(client), "url": WATCH})
        assert code == "not_supported_by_local_platform"
        assert "--media" in words
        assert platform.ledger.entries("external_task_created") == []
    async with old_platform(tmp_path / "two", media=media_folder(tmp_path / "media")) as (_, client):
        index = await old_index(client)
        other = "https://www.youtube.com/watch?v=aaaaaaaaaaa"
        code, words = await refused(client, path, json={"index_id": index, "url": other})
        assert code == "not_supported_by_local_platform"
        assert "aaaaaaaaaaa.mp4" in words
        for url in (
            "https://vimeo.com/1",
            "https://www.youtube.com/@channel",
            "https://youtube.com/watch?v=short",
            None,
            3,
        ):
            assert (await refused(client, path, json={"index_id": index, "url": url}))[0] == "parameter_invalid"
        assert (await refused(client, path, json={"index_id": "x", "url": WATCH}))[0] == "resource_not_exist"
        assert (await refused(client, path, json={"url": WATCH}))[0] == "parameter_not_provided"
        assert (await client.get("/tasks")).json()["data"] == []


@pytest.mark.asyncio
async def test_bad_uploads_are_refused_and_leave_no_bytes(tmp_path: Path) -> None:
    """Nothing, both, an empty file, another language, an unknown index, too large, an address that is not allowed."""
    async with old_platform(tmp_path, limits=PlatformLimits(task_bytes=100)) as (platform, client):
        index = await old_index(client)
        file = {"video_file": ("a.mp4", VIDEO)}
        for fields, files, code in (
            ({"index_id": index}, {"x": (None, "")}, "parameter_not_provided"),
            ({"index_id": index, "video_url": "https://example.invalid/a.mp4"}, file, "parameter_not_provided"),
            ({"index_id": index}, {"video_file": ("a.mp4", b"")}, "video_file_broken"),
            ({"index_id": index, "language": "fr"}, file, "parameter_invalid"),
            ({"index_id": "0" * 24}, file, "resource_not_exist"),
            ({}, file, "parameter_not_provided"),
            ({"index_id": index, "provide_transcription": "true"}, file, "parameter_not_provided"),
            ({"index_id": index, "transcription_url": "https://x.invalid/a"}, file, "not_supported_by_local_platform"),
            ({"index_id": index, "video_url": "https://x.invalid/a"}, {"x": (None, "")}, "not_supported_by_local_platform"),
            ({"index_id": index, "video_url": WATCH}, {"x": (None, "")}, "parameter_invalid"),
        ):  # fmt: skip
            assert (await refused(client, "/tasks", data=fields, files=files))[0] == code
        large = {"video_file": ("a.mp4", b"x" * 101)}
        assert (await refused(client, "/tasks", 413, data={"index_id": index}, files=large))[
            0
        ] == "video_filesize_too_large"
        assert (await refused(client, "/tasks", json={"index_id": index}))[0] == "parameter_invalid"
        assert platform.ledger.entries("task_created") == []
    assert list((tmp_path / "blobs").iterdir()) == list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.asyncio
async def test_an_address_is_fetched_where_the_policy_allows(tmp_path: Path) -> None:
    """``video_url``, as a field and a part at once as the old SDK sends it, becomes a video named by its path."""
    async with old_platform(tmp_path / "one") as (source, client):
        asset = await done(client, await task(client, await old_index(client)))
        address = source._context.presigned(f"assets/{(await _assets(source))[0]}")
        async with old_platform(tmp_path / "two", url_policy=ANY_URL) as (_, other):
            files = {"video_url": ("upload", address.encode())}
            data = {"index_id": await old_index(other), "video_url": address}
            made = await other.post("/tasks", data=data, files=files)
            found = await done(other, made.json()["_id"])
            assert (found["status"], asset["status"]) == ("ready", "ready")


async def _assets(platform: Any) -> list[str]:
    async with client_of(platform) as client:
        return [entry["_id"] for entry in (await client.get("/assets")).json()["data"]]


@pytest.mark.asyncio
async def test_a_task_goes_its_way_step_by_step(tmp_path: Path) -> None:
    """With indexing slowed down every status is seen in order, with an estimate, progress and time left."""
    clock = ManualClock()
    async with old_platform(tmp_path, clock=clock, limits=PlatformLimits(index_seconds=90)) as (_, client):
        index = await old_index(client)
        key = await task(client, index)
        seen: list[str] = []
        left: list[float] = []
        with anyio.fail_after(20):
            while not seen or seen[-1] != "ready":
                found = (await client.get(f"/tasks/{key}")).json()
                if found["status"] not in seen:
                    seen.append(found["status"])
                if "process" in found and found["status"] != "validating":
                    left.append(found["process"]["remain_seconds"])
                    assert 0 <= found["process"]["percentage"] < 100
                    assert "video_id" not in found
                if len(clock.slept) == len([s for s in seen if s in ("pending", "queued", "indexing")]):
                    clock.move(30)
        assert [s for s in seen if s != "validating"] == ["pending", "queued", "indexing", "ready"]
        assert left == sorted(left, reverse=True)
        assert (await client.get("/tasks/status", params={"index_id": index})).json()["ready"] == 1


@pytest.mark.asyncio
async def test_tasks_are_deleted_only_when_they_are_over(tmp_path: Path) -> None:
    """Running: not; ready: after its video; failed: at once. The bytes go with the video."""
    rules = [
        {"match": "POST /v1.2/tasks$", "do": "stuck", "nth": 1},
        {"match": "POST /v1.2/tasks$", "do": "fail", "nth": 2},
    ]
    async with old_platform(tmp_path, rules=rules) as (platform, client):
        index = await old_index(client)
        stuck, failed, whole = [await task(client, index, f"{n}.mp4") for n in range(3)]
        assert (await done(client, failed))["status"] == "failed"
        video_id = (await done(client, whole))["video_id"]
        assert (await client.get(f"/tasks/{stuck}")).json()["status"] == "validating"
        for key in (stuck, whole):
            answer = await client.delete(f"/tasks/{key}")
            assert (answer.status_code, answer.json()["code"]) == (400, "task_cannot_be_deleted")
        assert (await client.delete(f"/tasks/{failed}")).status_code == 204
        bytes_before = len(list((tmp_path / "blobs").iterdir()))
        assert (await client.delete(f"/indexes/{index}/videos/{video_id}")).status_code == 204
        assert len(list((tmp_path / "blobs").iterdir())) == bytes_before - 1
        assert (await client.get(f"/indexes/{index}/videos/{video_id}")).json()["code"] == "resource_not_exist"
        assert (await client.get(f"/tasks/{whole}")).json()["status"] == "ready"
        assert (await client.delete(f"/tasks/{whole}")).status_code == 204
        assert [entry["_id"] for entry in (await client.get("/tasks")).json()["data"]] == [stuck]
        assert [e.effect for e in platform.ledger.entries()].count("task_created") == 3


@pytest.mark.asyncio
async def test_a_lost_answer_is_found_again_by_the_filename(tmp_path: Path) -> None:
    """After a committed task whose answer was lost the list has it under its name, once."""
    rules = [{"match": "POST /v1.2/tasks$", "do": "reset_after", "times": 1}]
    async with old_platform(tmp_path, rules=rules) as (platform, client):
        index = await old_index(client)
        with pytest.raises(httpx.TransportError):
            await task(client, index, "mine-01.mp4")
        query = {"filename": "mine-01.mp4", "index_id": index}
        (found,) = (await client.get("/tasks", params=query)).json()["data"]
        assert (await done(client, found["_id"]))["status"] == "ready"
        assert (await client.get("/tasks", params={"filename": "mine"})).json()["data"] == []
        assert platform.ledger.twice() == []
        assert [entry.client_key for entry in platform.ledger.entries("task_created")] == ["mine-01.mp4"]


@pytest.mark.asyncio
async def test_lists_are_narrowed_sorted_and_paged(tmp_path: Path) -> None:
    """Bounds, equality, times and own metadata narrow; both orders; what cannot be read is a 400."""
    clock = ManualClock()
    async with old_platform(tmp_path, clock=clock) as (_, client):
        index = await old_index(client)
        keys = []
        for number in range(3):
            keys.append(await video(client, index, f"{number}.mp4"))
            clock.move(60)
        base = f"/indexes/{index}/videos"
        await client.put(f"{base}/{keys[0]}", json={"video_title": "zero", "metadata": {"n": 5, "x": "5", "ok": True}})

        async def ids(**query: Any) -> list[int]:
            return [keys.index(v["_id"]) for v in (await client.get(base, params=query)).json()["data"]]

        assert await ids() == [2, 1, 0]
        assert await ids(sort_option="asc") == [0, 1, 2]
        assert await ids(sort_by="updated_at") == [0, 2, 1]
        assert await ids(page=2, page_limit=2) == [0]
        second = (await client.get(f"{base}/{keys[1]}")).json()["created_at"]
        assert await ids(created_at=second) == [2, 1]
        assert await ids(**{"created_at[gte]": second, "created_at[lte]": second}) == [1]
        assert await ids(**{"duration[gte]": 60, "width[lte]": 1280, "height": 720}) == [2, 1, 0]
        assert await ids(**{"duration[gte]": 61}) == []
        assert await ids(filename="zero") == await ids(n=5) == await ids(x="5") == await ids(ok="true") == [0]
        assert await ids(n=6) == await ids(ok="false") == await ids(filename="0.mp4") == []
        for bad in (
            {"duration": "long"},
            {"created_at": "now"},
            {"sort_by": "size"},
            {"filename[gte]": "a"},
            {"page": 0},
        ):
            assert (await client.get(base, params=bad)).json()["code"] == "parameter_invalid"
        refusal = await client.put(f"{base}/{keys[0]}", json={"metadata": {"duration": 1}})
        assert (refusal.status_code, refusal.json()["code"]) == (400, "parameter_invalid")


@pytest.mark.asyncio
async def test_videos_that_are_not_taken_fail(tmp_path: Path) -> None:
    """Too small, too short, too long, broken: the task ends as failed and no video appears."""
    for number, canned in enumerate((Canned(size=(320, 180)), Canned(seconds=3.9), Canned(seconds=7201))):
        async with old_platform(tmp_path / str(number), analyzer=canned) as (_, client):
            index = await old_index(client)
            found = await done(client, await task(client, index))
            assert (found["status"], "video_id" in found) == ("failed", False)
            assert (await client.get(f"/indexes/{index}/videos")).json()["data"] == []


@pytest.mark.asyncio
async def test_an_index_goes_with_everything_in_it(tmp_path: Path) -> None:
    """Deleting it deletes its videos, tasks, words and bytes; another index keeps its own."""
    async with old_platform(tmp_path) as (_, client):
        one, two = await old_index(client, "one"), await old_index(client, "two")
        await video(client, one, "a.mp4", captions="queen")
        kept = await video(client, two, "b.mp4", captions="queen")
        assert (await client.delete(f"/indexes/{one}")).status_code == 204
        assert len((await client.get("/tasks")).json()["data"]) == 1
        assert len(list((tmp_path / "blobs").iterdir())) == 1
        ask = {"index_id": two, "query": "queen", "search_options": ["conversation"]}
        assert [hit["video_id"] for hit in (await client.post("/search", json=ask)).json()["data"]] == [kept]
        gone = await client.post("/search", json={**ask, "index_id": one})
        assert (gone.status_code, gone.json()["code"]) == (400, "resource_not_exist")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("how", "status", "code"), [("gone404", 404, "not_found"), ("gone410", 410, "api_upgrade_required")]
)
async def test_a_retired_v1_2_answers_nothing_else(tmp_path: Path, how: str, status: int, code: str) -> None:
    """Every call below both old paths is refused, whatever the key; v1.3 goes on; the switch works while it runs."""
    async with old_platform(tmp_path) as (platform, client):
        faults = f"{platform.base_url}/_platform/faults"
        assert (await client.post(faults, json={"v1_2": "maybe"})).status_code == 400
        switched = await client.post(faults, json={"v1_2": how})
        assert switched.json() == {"rules": [], "seed": 0, "v1_2": how}
        for path in ("/v1.2/indexes", "/p/v1.2/indexes/", "/v1.2/tasks/1", "/v1.2", "/v1.2/no/such/thing"):
            for key in (TOKEN, "wrong"):
                answer = await client.get(f"{platform.base_url}{path}", headers={"x-api-key": key})
                assert (answer.status_code, answer.json()["code"]) == (status, code)
        async with client_of(platform) as today:
            assert (await today.get("/indexes")).status_code == 200
        await client.delete(faults)
        assert (await client.get("/indexes")).status_code == 200


@pytest.mark.asyncio
@pytest.mark.slow
async def test_after_sigkill_tasks_go_on(tmp_path: Path) -> None:
    """Tasks of a killed platform that were on their way finish in the next one, once, and can be searched."""
    first, base = await anyio.to_thread.run_sync(served, tmp_path, 3600.0)
    try:
        async with httpx.AsyncClient(base_url=f"{base}/v1.2", headers={"x-api-key": TOKEN}) as client:
            index = await old_index(client)
            key = await task(client, index, "late.mp4", captions="the queen lays eggs")
            assert (await client.get(f"/tasks/{key}")).json()["status"] == "validating"
    finally:
        killed(first)
    for _ in range(2):
        async with old_platform(tmp_path) as (platform, client):
            assert (await done(client, key))["status"] == "ready"
            ask = {"index_id": index, "query": "queen", "search_options": ["conversation"]}
            assert len((await client.post("/search", json=ask)).json()["data"]) == 1
            effects = [entry.effect for entry in platform.ledger.entries(key="late.mp4")]
            assert effects == ["task_created", "indexed"]


@pytest.mark.asyncio
async def test_a_stuck_indexed_asset_stays_and_a_failed_one_fails(tmp_path: Path) -> None:
    """Faults work on v1.3's indexing too; a restart does not set the stuck one going."""
    route = "POST /v1.3/indexes/[0-9a-f]+/indexed-assets$"
    rules = [{"match": route, "do": "stuck", "nth": 1}, {"match": route, "do": "fail", "nth": 2}]
    async with old_platform(tmp_path, rules=rules) as (platform, old):
        index = await old_index(old)
        await video(old, index)
        async with client_of(platform) as client:
            (asset,) = await _assets(platform)
            base = f"/indexes/{index}/indexed-assets"
            stuck, failed = [(await client.post(base, json={"asset_id": asset})).json()["_id"] for _ in range(2)]
            with anyio.fail_after(20):
                while (await client.get(f"{base}/{failed}")).json()["status"] != "failed":
                    pass
            assert (await client.get(f"{base}/{stuck}")).json()["status"] == "validating"
    async with old_platform(tmp_path) as (platform, old):
        await done(old, await task(old, index, "other.mp4"))
        async with client_of(platform) as client:
            assert (await client.get(f"{base}/{stuck}")).json()["status"] == "validating"


@pytest.mark.asyncio
async def test_the_state_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """A folder without the tables of this version gets them, and keeps what it has."""
    import sqlite3
    from contextlib import closing

    async with old_platform(tmp_path) as (_, client):
        index = await old_index(client)
    with closing(sqlite3.connect(tmp_path / "platform.sqlite3")) as db:
        for name in ("videos", "sheets", "clip_words", "clips"):
            db.execute(f"DROP TABLE {name}")
        db.execute("PRAGMA user_version = 1")
        db.commit()
    async with old_platform(tmp_path) as (platform, _), old_client_of(platform) as client:
        assert await video(client, index, captions="queen")
        assert json.loads((await client.get("/indexes")).text)["data"][0]["video_count"] == 1
