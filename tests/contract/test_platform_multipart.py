"""Multipart uploads: sessions, presigned addresses, proofs, expiry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import (
    SMALL,
    TOKEN,
    ManualClock,
    old_index,
    old_platform,
    platform,
    settled,
    video,
)

CONTENT = bytes(range(256)) * 13  # 3328 bytes: four chunks of 1000, the last shorter


async def opened(client: httpx.AsyncClient, size: int = len(CONTENT), **more: Any) -> dict[str, Any]:
    """Open a session."""
    body = {"filename": "long.mp4", "type": "video", "total_size": size, **more}
    answer = await client.post("/assets/multipart-uploads", json=body)
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def sent(session: dict[str, Any], url: dict[str, Any]) -> dict[str, Any]:
    """Put one chunk and return its report entry."""
    at = (url["chunk_index"] - 1) * session["chunk_size"]
    piece = CONTENT[at : at + session["chunk_size"]]
    async with httpx.AsyncClient() as plain:
        answer = await plain.put(url["url"], content=piece)
    assert answer.status_code == 200, answer.text
    proof = answer.headers["ETag"].strip('"')
    return {"chunk_index": url["chunk_index"], "proof": proof, "proof_type": "etag", "chunk_size": len(piece)}


async def all_urls(client: httpx.AsyncClient, session: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the addresses of all chunks, the later ones asked for."""
    path = f"/assets/multipart-uploads/{session['upload_id']}/presigned-urls"
    first = len(session["upload_urls"])
    more = await client.post(path, json={"start": first + 1, "count": 50})
    return [*session["upload_urls"], *more.json()["upload_urls"]]


@pytest.mark.asyncio
async def test_chunks_in_any_order_become_the_whole_file(tmp_path: Path) -> None:
    """Chunks sent backwards and reported in parts give exactly the bytes; the last report carries ``url``."""
    async with platform(tmp_path, limits=SMALL) as (served, client):
        session = await opened(client, user_metadata={"source_id": "v9"})
        assert (session["total_chunks"], len(session["upload_urls"])) == (4, 2)
        urls = await all_urls(client, session)
        assert [url["chunk_index"] for url in urls] == [1, 2, 3, 4]
        proofs = [await sent(session, url) for url in reversed(urls)]
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        part = (await client.post(path, json={"completed_chunks": proofs[:3]})).json()
        assert (part["processed_chunks"], part["duplicate_chunks"], part["total_completed"]) == (3, 0, 3)
        assert "url" not in part
        whole = (await client.post(path, json={"completed_chunks": proofs})).json()
        assert (whole["processed_chunks"], whole["duplicate_chunks"], whole["total_completed"]) == (1, 3, 4)
        async with httpx.AsyncClient() as plain:
            assert (await plain.get(whole["url"])).content == CONTENT
        asset = await settled(client, session["asset_id"])
        assert (asset["status"], asset["size"], asset["method"]) == ("ready", len(CONTENT), "multipart")
        assert asset["user_metadata"] == {"source_id": "v9"}
        effects = [entry.effect for entry in served.ledger.entries()]
        assert effects == ["session_opened", "session_completed"]
        again = (await client.post(path, json={"completed_chunks": proofs})).json()
        assert (again["processed_chunks"], again["duplicate_chunks"]) == (0, 4)
        assert len(served.ledger.entries(effect="session_completed")) == 1


@pytest.mark.asyncio
async def test_status_tells_what_is_missing_and_counts_by_index(tmp_path: Path) -> None:
    """Only reported chunks are completed; the list is paged; unfinished sessions are listed, finished ones are not."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session = await opened(client)
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        urls = await all_urls(client, session)
        proofs = [await sent(session, url) for url in urls]
        await client.post(path, json={"completed_chunks": [proofs[1]]})
        status = (await client.get(path, params={"page": 1, "page_limit": 3})).json()
        assert [(c["index"], c["status"]) for c in status["uploaded_chunks"]] == [
            (1, "pending"), (2, "completed"), (3, "pending"),
        ]  # fmt: skip
        assert (status["chunks_completed"], status["chunks_pending"], status["uploaded_size"]) == (1, 3, 1000)
        assert (status["status"], status["page_info"]["total_results"]) == ("active", 4)
        listed = (await client.get("/assets/multipart-uploads")).json()
        assert [entry["upload_id"] for entry in listed["data"]] == [session["upload_id"]]
        await client.post(path, json={"completed_chunks": proofs})
        assert (await client.get(path)).json()["status"] == "completed"
        assert (await client.get("/assets/multipart-uploads")).json()["data"] == []


@pytest.mark.asyncio
async def test_a_presigned_address_catches_a_leaked_key(tmp_path: Path) -> None:
    """A PUT that carries x-api-key or Authorization is refused with 400, so a leaking client is noticed."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        url = (await opened(client))["upload_urls"][0]["url"]
        async with httpx.AsyncClient() as plain:
            for headers in ({"x-api-key": TOKEN}, {"Authorization": "Bearer x"}):
                answer = await plain.put(url, content=CONTENT[:1000], headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (400, "key_sent_to_storage")


@pytest.mark.asyncio
async def test_a_presigned_address_is_bound_to_its_chunk_and_time(tmp_path: Path) -> None:
    """A forged, borrowed or expired address is a 403; a chunk of another size a 400; a reported chunk is closed."""
    clock = ManualClock()
    async with platform(tmp_path, limits=SMALL, clock=clock) as (_, client):
        session = await opened(client)
        first, second = session["upload_urls"]
        async with httpx.AsyncClient() as plain:
            borrowed = second["url"].replace("/2?", "/1?")
            assert (await plain.put(borrowed, content=CONTENT[:1000])).json()["code"] == "signature_invalid"
            for wrong in (CONTENT[:999], CONTENT[:1001]):
                assert (await plain.put(first["url"], content=wrong)).status_code in (400, 413)
            proof = await sent(session, first)
            path = f"/assets/multipart-uploads/{session['upload_id']}"
            assert (await client.post(path, json={"completed_chunks": [proof]})).status_code == 200
            assert (await plain.put(first["url"], content=CONTENT[:1000])).status_code == 403
            clock.move(3601)
            late = await plain.put(second["url"], content=CONTENT[1000:2000])
            assert (late.status_code, late.json()["code"]) == (403, "signature_expired")
        fresh = (await client.post(f"{path}/presigned-urls", json={"start": 2, "count": 1})).json()["upload_urls"]
        assert (await sent(session, fresh[0]))["chunk_index"] == 2


@pytest.mark.asyncio
async def test_a_wrong_proof_changes_nothing(tmp_path: Path) -> None:
    """A report with one proof that does not fit is refused whole, also where other entries are right."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session = await opened(client)
        proof = await sent(session, session["upload_urls"][0])
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        for wrong in ({**proof, "proof": "0" * 32}, {**proof, "chunk_index": 2}, {**proof, "chunk_index": 9}):
            answer = await client.post(path, json={"completed_chunks": [proof, wrong]})
            assert answer.status_code == 400
        assert (await client.get(path)).json()["chunks_completed"] == 0


@pytest.mark.asyncio
async def test_a_session_ends_after_a_day(tmp_path: Path) -> None:
    """After 24 hours the session is expired, its asset failed, its bytes gone; nothing can be reported any more."""
    clock = ManualClock()
    async with platform(tmp_path, limits=SMALL, clock=clock) as (_, client):
        session = await opened(client)
        proof = await sent(session, session["upload_urls"][0])
        clock.move(24 * 3600)
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        assert (await client.get("/assets/multipart-uploads")).json()["data"] == []
        assert (await client.get(path)).json()["status"] == "expired"
        assert (await client.post(path, json={"completed_chunks": [proof]})).status_code == 400
        assert (await client.post(f"{path}/presigned-urls", json={"start": 1, "count": 1})).status_code == 400
        assert (await client.get(f"/assets/{session['asset_id']}")).json()["status"] == "failed"
        assert list((tmp_path / "sessions").iterdir()) == []


@pytest.mark.asyncio
async def test_sessions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """Sizes outside the limit, missing names, other media and unknown sessions give flat errors."""
    async with platform(tmp_path, limits=PlatformLimits(multipart_bytes=5000)) as (_, client):
        for body in (
            {"filename": "a.mp4", "type": "video", "total_size": 5001},
            {"filename": "a.mp4", "type": "video", "total_size": 0},
            {"filename": "", "type": "video", "total_size": 10},
            {"filename": "a.jpg", "type": "image", "total_size": 10},
        ):
            answer = await client.post("/assets/multipart-uploads", json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")
        assert (await client.get("/assets/multipart-uploads/u_none")).status_code == 404
        session = await opened(client, 10)
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        for start, count in ((0, 1), (1, 51), (2, 1)):
            answer = await client.post(f"{path}/presigned-urls", json={"start": start, "count": count})
            assert answer.status_code == 400
        assert (await client.post(path, json={})).json()["code"] == "parameter_not_provided"


def bytes_of(folder: Path, session: dict[str, Any]) -> list[Path]:
    """Return what lies on the platform's disk for an open session."""
    return [path for path in folder.rglob("*") if session["upload_id"] in path.name]


@pytest.mark.asyncio
async def test_a_session_ends_with_its_asset(tmp_path: Path) -> None:
    """A reserved asset can be deleted: its session is listed no more, takes no chunk and no report, and leaves no bytes."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session, other = await opened(client), await opened(client)
        urls = await all_urls(client, session)
        proof = await sent(session, urls[0])
        assert bytes_of(tmp_path, session) != []
        assert (await client.delete(f"/assets/{session['asset_id']}")).status_code == 204
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        assert (await client.get(path)).json()["status"] == "failed"
        listed = (await client.get("/assets/multipart-uploads")).json()["data"]
        assert [each["upload_id"] for each in listed] == [other["upload_id"]]
        assert (await client.post(path, json={"completed_chunks": [proof]})).status_code == 400
        async with httpx.AsyncClient() as plain:
            assert (await plain.put(urls[1]["url"], content=b"x")).status_code == 400
        assert bytes_of(tmp_path, session) == []


@pytest.mark.asyncio
async def test_a_presigned_address_leads_there_where_the_request_came_to(tmp_path: Path) -> None:
    """From another machine the platform has another name than its own; what is no name at all is not repeated."""
    async with platform(tmp_path) as (served, client):
        port = served.base_url.rpartition(":")[2]
        for host, base in ((f"10.0.0.7:{port}", f"http://10.0.0.7:{port}"), ("10.0.0.7:1@elsewhere", served.base_url)):
            body = {"filename": "film.mp4", "type": "video", "total_size": len(CONTENT)}
            made = await client.post("/assets/multipart-uploads", json=body, headers={"host": host})
            assert made.status_code == 201, made.text
            assert {each["url"].partition("/_storage")[0] for each in made.json()["upload_urls"]} == {base}


@pytest.mark.asyncio
async def test_a_picture_in_search_results_leads_there_too(tmp_path: Path) -> None:
    """The address is made inside a transaction, in another thread, and still starts as the request's did."""
    async with old_platform(tmp_path) as (served, client):
        host = f"10.0.0.7:{served.base_url.rpartition(':')[2]}"
        index = await old_index(client, addons=["thumbnail"])
        await video(client, index, captions="the queen lays eggs")
        wanted = {"index_id": index, "query": "queen", "search_options": ["conversation"]}
        found = await client.post("/search", json=wanted, headers={"host": host})
        assert [each["thumbnail_url"].partition("/_storage")[0] for each in found.json()["data"]] == [f"http://{host}"]
