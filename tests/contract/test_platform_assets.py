"""Assets on the local platform: the promises of the API that a client builds on."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import httpx
import pytest

from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import ANY_URL, VIDEO, Canned, client_of, platform, ready, settled, upload


@pytest.mark.asyncio
async def test_without_the_key_nothing_is_answered_but_401(tmp_path: Path) -> None:
    """A missing or wrong key gives the flat 401 on every route, the platform's own included; nothing is created."""
    async with platform(tmp_path) as (served, _):
        async with client_of(served, token="wrong") as stranger, httpx.AsyncClient(base_url=served.base_url) as nobody:
            for answer in [
                await stranger.get("/assets"),
                await stranger.post("/analyze/tasks", json={}),
                await nobody.get("/v1.3/assets"),
                await nobody.get("/_platform/ledger"),
                await nobody.get("/nowhere"),
            ]:
                assert answer.status_code == 401
                assert answer.json()["code"] == "api_key_invalid"
                assert answer.headers["X-Api-Version"] == "1.3"
        assert served.ledger.entries() == []


@pytest.mark.asyncio
async def test_an_upload_is_processing_first_and_ready_later(tmp_path: Path) -> None:
    """201 with an asset in processing; a later look shows ready, with size, duration and technical metadata."""
    async with platform(tmp_path) as (served, client):
        answer = await client.post(
            "/assets",
            data={"method": "direct", "filename": "job-1.mp4", "user_metadata": json.dumps({"source_id": "v1"})},
            files={"file": ("other.mp4", VIDEO)},
        )
        assert answer.status_code == 201
        made = answer.json()
        assert made["status"] == "processing"
        assert (made["filename"], made["method"], made["file_type"]) == ("job-1.mp4", "direct", "video/mp4")
        assert len(made["_id"]) == 24
        asset = await settled(client, made["_id"])
        assert asset["status"] == "ready"
        assert (asset["size"], asset["duration"]) == (len(VIDEO), 60.0)
        assert asset["technical_metadata"]["video_width"] == 1280
        assert asset["user_metadata"] == {"source_id": "v1"}
        entry = served.ledger.entries(effect="asset_created", key="job-1.mp4")
        assert [e.object_id for e in entry] == [made["_id"]]


@pytest.mark.asyncio
async def test_half_a_character_in_the_metadata_breaks_no_list(tmp_path: Path) -> None:
    """What was taken is answered, at once and in every later list."""
    async with platform(tmp_path) as (_, client):
        answer = await client.post(
            "/assets",
            data={"method": "direct", "user_metadata": '{"title": "cut \\ud83d"}'},
            files={"file": ("a.mp4", VIDEO)},
        )
        assert (answer.status_code, answer.json()["user_metadata"]) == (201, {"title": "cut \ud83d"})
        listed = await client.get("/assets")
        assert [asset["user_metadata"] for asset in listed.json()["data"]] == [{"title": "cut \ud83d"}]


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_read_fails_with_a_message_and_no_code(tmp_path: Path) -> None:
    """A broken file becomes a failed asset with error.message; so does a picture size outside the limits."""
    async with platform(tmp_path) as (_, client):
        asset = await settled(client, await upload(client, content=b"broken bytes"))
        assert asset["error"] == {"message": "file could not be read"}
    async with platform(tmp_path / "small", analyzer=Canned(size=(320, 200))) as (_, client):
        asset = await settled(client, await upload(client))
        assert asset["status"] == "failed"
        assert "video_resolution_too_low" in asset["error"]["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "content", "status", "code"),
    [
        ({"method": "direct"}, None, 400, "parameter_not_provided"),
        ({"method": "direct"}, b"", 400, "video_file_broken"),
        ({"method": "teleport"}, VIDEO, 400, "parameter_invalid"),
        ({"method": "direct", "user_metadata": "{"}, VIDEO, 400, "parameter_invalid"),
        ({"method": "direct", "user_metadata": '{"a": {"b": 1}}'}, VIDEO, 400, "parameter_invalid"),
        ({"method": "direct", "enable_hls": "maybe"}, VIDEO, 400, "parameter_invalid"),
        ({"method": "direct", "filename": "x" * 256}, VIDEO, 400, "parameter_invalid"),
        ({"method": "direct"}, b"x" * 2001, 413, "video_filesize_too_large"),
        ({"method": "url", "url": "https://example.invalid/a.mp4"}, None, 400, "not_supported_by_local_platform"),
    ],
)
async def test_a_bad_upload_is_refused_and_leaves_nothing(
    tmp_path: Path, fields: dict[str, str], content: bytes | None, status: int, code: str
) -> None:
    """Each bad form gives its status and flat code; no asset, no ledger entry, no half file remains."""
    async with platform(tmp_path, limits=PlatformLimits(direct_bytes=2000)) as (served, client):
        files = {"file": ("a.mp4", content)} if content is not None else {"ignored": ("x", b"")}
        answer = await client.post("/assets", data=fields, files=files)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await client.get("/assets")).json()["page_info"]["total_results"] == 0
        assert served.ledger.entries() == []
        assert list((tmp_path / "incoming").iterdir()) == []
        assert list((tmp_path / "blobs").iterdir()) == []


@pytest.mark.asyncio
async def test_a_list_is_paged_newest_first_and_narrowed(tmp_path: Path) -> None:
    """Pages hold what they say, the newest first; names match as substrings without case; ids and types narrow."""
    async with platform(tmp_path) as (_, client):
        ids = [await ready(client, f"Clip-{n}.mp4") for n in range(5)]
        page = (await client.get("/assets", params={"page": 2, "page_limit": 2})).json()
        assert [entry["_id"] for entry in page["data"]] == [ids[2], ids[1]]
        assert page["page_info"] == {"limit_per_page": 2, "page": 2, "total_page": 3, "total_results": 5}
        named = (await client.get("/assets", params={"filename": "cLIP-3"})).json()["data"]
        assert [entry["_id"] for entry in named] == [ids[3]]
        chosen = (await client.get("/assets", params={"asset_ids": ids[:2]})).json()["data"]
        assert {entry["_id"] for entry in chosen} == set(ids[:2])
        assert (await client.get("/assets", params={"asset_types": "audio"})).json()["data"] == []
        for bad in ({"page_limit": 51}, {"page": 0}, {"page": "x"}, {"asset_types": "smell"}):
            assert (await client.get("/assets", params=bad)).status_code == 400


@pytest.mark.asyncio
async def test_metadata_is_merged_replaced_and_removed(tmp_path: Path) -> None:
    """PATCH merges and null deletes, PUT replaces, DELETE empties; unknown assets are 404."""
    async with platform(tmp_path) as (_, client):
        asset = await ready(client, user_metadata=json.dumps({"a": 1, "b": "x"}))
        path = f"/assets/{asset}/user-metadata"

        async def now() -> object:
            return (await client.get(f"/assets/{asset}")).json().get("user_metadata")

        assert (await client.patch(path, json={"user_metadata": {"a": None, "c": ["y"]}})).status_code == 204
        assert await now() == {"b": "x", "c": ["y"]}
        assert (await client.put(path, json={"user_metadata": {"d": True}})).status_code == 204
        assert await now() == {"d": True}
        assert (await client.delete(path)).status_code == 204
        assert await now() is None
        assert (await client.patch(path, json={})).status_code == 400
        assert (await client.patch("/assets/none/user-metadata", json={"user_metadata": {}})).status_code == 404


@pytest.mark.asyncio
async def test_deleting_is_final_and_unknown_ids_are_404(tmp_path: Path) -> None:
    """DELETE removes record and bytes; a repeat and every read of an unknown id is a flat 404."""
    async with platform(tmp_path) as (_, client):
        asset = await ready(client)
        assert (await client.get(f"/assets/{asset}/indexed-assets")).json()["data"] == []
        assert (await client.delete(f"/assets/{asset}")).status_code == 204
        assert list((tmp_path / "blobs").iterdir()) == []
        for answer in [
            await client.delete(f"/assets/{asset}"),
            await client.get(f"/assets/{asset}"),
            await client.get(f"/assets/{asset}/transcription"),
        ]:
            assert (answer.status_code, answer.json()["code"]) == (404, "resource_not_exist")


@pytest.mark.asyncio
async def test_an_asset_that_analyses_wait_for_is_not_deleted_without_force(tmp_path: Path) -> None:
    """409 while a queued analysis refers to the asset; ``force`` deletes it, and the analysis fails."""
    rules = [{"match": "POST /v1.3/analyze/tasks$", "do": "stuck"}]
    async with platform(tmp_path, rules=rules) as (_, client):
        asset = await ready(client)
        body = {"video": {"type": "asset_id", "asset_id": asset}, "prompt": "x"}
        assert (await client.post("/analyze/tasks", json=body)).status_code == 202
        assert (await client.delete(f"/assets/{asset}")).status_code == 409
        assert (await client.delete(f"/assets/{asset}", params={"force": "true"})).status_code == 204


@pytest.mark.asyncio
async def test_captions_given_with_the_upload_become_the_transcription(tmp_path: Path) -> None:
    """Sentences carry the captions' times, words lie inside them in order; without captions there is a 404."""
    async with platform(tmp_path) as (_, client):
        asset = await ready(client, user_metadata=json.dumps({"captions": "welcome back\nto the show"}))
        answer = await client.get(f"/assets/{asset}/transcription", params={"include": "words,sentences"})
        found = answer.json()
        assert found["status"] == "ready"
        assert found["sentences"][0] == {"start": 0.0, "end": 2.0, "value": "welcome back"}
        words = found["words"]
        assert [word["value"] for word in words] == ["welcome", "back", "to", "the", "show"]
        assert all(a["end"] <= b["start"] + 1e-9 for a, b in itertools.pairwise(words))
        assert "utterances" not in found
        silent = await ready(client, "silent.mp4")
        assert (await client.get(f"/assets/{silent}/transcription")).status_code == 404


@pytest.mark.asyncio
async def test_an_address_is_fetched_only_where_the_policy_allows(tmp_path: Path) -> None:
    """``any`` fetches from loopback; ``public`` refuses the same address as private, as a failed asset."""
    async with platform(tmp_path / "a", limits=PlatformLimits(chunk_size=1000)) as (source, client):
        session = (
            await client.post(
                "/assets/multipart-uploads", json={"filename": "x.mp4", "type": "video", "total_size": len(VIDEO)}
            )
        ).json()
        async with httpx.AsyncClient() as plain:
            etag = (await plain.put(session["upload_urls"][0]["url"], content=VIDEO)).headers["ETag"]
        proofs = [{"chunk_index": 1, "proof": etag.strip('"'), "proof_type": "etag", "chunk_size": len(VIDEO)}]
        report = f"/assets/multipart-uploads/{session['upload_id']}"
        url = (await client.post(report, json={"completed_chunks": proofs})).json()["url"]
        form = {"method": "url", "url": url, "filename": "far.mp4"}
        async with platform(tmp_path / "b", url_policy=ANY_URL) as (_, other):
            made = await other.post("/assets", data=form, files={"none": ("", b"")})
            asset = await settled(other, made.json()["_id"])
            assert (asset["status"], asset["size"]) == ("ready", len(VIDEO))
            gone = await other.post("/assets", data={**form, "url": url[:-1]}, files={"none": ("", b"")})
            assert "403" in (await settled(other, gone.json()["_id"]))["error"]["message"]
        async with platform(tmp_path / "c", url_policy=UrlPolicy(allow="public")) as (_, other):
            made = await other.post("/assets", data=form, files={"none": ("", b"")})
            assert "private" in (await settled(other, made.json()["_id"]))["error"]["message"]
        assert source.ledger.twice() == []
