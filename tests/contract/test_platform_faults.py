"""Faults on demand: each kind as a client meets it, and what the ledger says about it."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.contract.platform_double import (
    EPOCH,
    VIDEO,
    ManualClock,
    finished,
    platform,
    question,
    ready,
    settled,
    upload,
)

CREATE: dict[str, Any] = {"data": {"method": "direct", "filename": "once.mp4"}, "files": {"file": ("a.mp4", VIDEO)}}


@pytest.mark.asyncio
async def test_reset_before_drops_the_connection_and_nothing_happened(tmp_path: Path) -> None:
    """The client sees a transport error, the platform has accepted nothing, the next request is served."""
    async with platform(tmp_path, rules=[{"match": "POST /v1.3/assets$", "do": "reset_before", "nth": 1}]) as (
        served,
        client,
    ):
        with pytest.raises(httpx.TransportError):
            await client.post("/assets", **CREATE)
        assert served.ledger.entries() == []
        assert (await client.post("/assets", **CREATE)).status_code == 201
        assert served.ledger.twice() == []


@pytest.mark.asyncio
async def test_reset_after_has_acted_without_a_word(tmp_path: Path) -> None:
    """The client sees a transport error although the task was accepted: it is found by asking, and the ledger has it."""
    rules = [{"match": "POST /v1.3/analyze/tasks$", "do": "reset_after", "times": 1}]
    async with platform(tmp_path, rules=rules) as (served, client):
        asset = await ready(client)
        with pytest.raises(httpx.TransportError):
            await client.post("/analyze/tasks", json=question(asset, custom_id="mine"))
        listed = (await client.get("/analyze/tasks", params={"asset_id": asset})).json()["data"]
        assert [task["custom_id"] for task in listed] == ["mine"]
        assert [e.client_key for e in served.ledger.entries(effect="analyze_task_created")] == ["mine"]
        assert (await finished(client, listed[0]["task_id"]))["status"] == "ready"


@pytest.mark.asyncio
async def test_a_truncated_answer_promises_more_than_it_sends(tmp_path: Path) -> None:
    """The body ends before Content-Length: a protocol error for the client, an accepted asset for the platform."""
    async with platform(tmp_path, rules=[{"match": "POST /v1.3/assets$", "do": "truncate"}]) as (served, client):
        with pytest.raises(httpx.RemoteProtocolError, match=r"without sending complete"):
            await client.post("/assets", **CREATE)
        assert len(served.ledger.entries(effect="asset_created")) == 1


@pytest.mark.asyncio
async def test_a_malformed_answer_is_not_json(tmp_path: Path) -> None:
    """The body is whole by its length and broken as JSON."""
    async with platform(tmp_path, rules=[{"match": "GET /v1.3/assets$", "do": "malformed"}]) as (_, client):
        answer = await client.get("/assets")
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("flat", {"code": "too_many_requests"}),
        ("nested", {"error": {"code": "too_many_requests"}}),
        ("integer", {"error_code": 1234}),
        ("empty", None),
        ("html", None),
    ],
)
async def test_refusals_come_in_every_shape(tmp_path: Path, shape: str, expected: Any) -> None:
    """A 429 with each body: flat, nested, integer code, empty, HTML; nothing is accepted."""
    rules = [{"match": "POST", "do": "status", "status": 429, "body": shape}]
    async with platform(tmp_path, rules=rules) as (served, client):
        answer = await client.post("/assets", **CREATE)
        assert answer.status_code == 429
        if expected is None:
            assert answer.content == b"" if shape == "empty" else answer.text.startswith("<html>")
        else:
            body = answer.json()
            body.get("error", body).pop("message")
            body.pop("message", None)
            assert body == expected
        assert served.ledger.entries() == []


@pytest.mark.asyncio
async def test_a_wait_can_be_hinted_in_six_ways(tmp_path: Path) -> None:
    """Each hint names the same 90 seconds: two forms of Retry-After, milliseconds, rate-limit headers, details, words."""

    async def hinted(client: httpx.AsyncClient, hint: str) -> httpx.Response:
        rule = {"match": "GET /v1.3", "do": "status", "status": 429, "hint": hint, "seconds": 90}
        await client.post(str(client.base_url.copy_with(path="/_platform/faults")), json={"rules": [rule]})
        return await client.get("/assets")

    async with platform(tmp_path) as (_, client):
        assert (await hinted(client, "retry-after")).headers["Retry-After"] == "90"
        date = (await hinted(client, "retry-after-date")).headers["Retry-After"]
        assert parsedate_to_datetime(date).timestamp() == EPOCH + 90
        assert (await hinted(client, "retry-after-ms")).headers["retry-after-ms"] == "90000"
        assert (await hinted(client, "ratelimit")).headers["X-Ratelimit-Reset"] == str(int(EPOCH + 90))
        assert (await hinted(client, "details")).json()["error"]["details"] == {"retryAfter": "90"}
        assert "90 seconds" in (await hinted(client, "message")).json()["message"]
        bare = await hinted(client, "none")
        assert not [name for name in bare.headers if "retry" in name or "ratelimit" in name]


@pytest.mark.asyncio
async def test_credit_and_key_are_refused_as_the_vendor_does(tmp_path: Path) -> None:
    """No credit is a 400 ``insufficient_funds``, a bad key a flat 401, whatever the route."""
    rules = [{"match": "tasks$", "do": "credit", "times": 1}, {"match": "tasks$", "do": "key"}]
    async with platform(tmp_path, rules=rules) as (served, client):
        poor = await client.post("/analyze/tasks", json={})
        assert (poor.status_code, poor.json()["error"]["code"]) == (400, "insufficient_funds")
        locked = await client.post("/analyze/tasks", json={})
        assert (locked.status_code, locked.json()["code"]) == (401, "api_key_invalid")
        assert served.counters.statuses["401"] == 1


@pytest.mark.asyncio
async def test_objects_stick_or_fail_on_demand(tmp_path: Path) -> None:
    """A stuck asset stays in processing, a failing one and a failing task end with the given words and code."""
    rules = [
        {"match": "POST /v1.3/assets$", "do": "stuck", "nth": 1},
        {"match": "POST /v1.3/assets$", "do": "fail", "nth": 2, "message": "bad luck"},
        {"match": "POST /v1.3/analyze/tasks$", "do": "fail", "code": "some_code", "message": "no luck"},
    ]
    async with platform(tmp_path, rules=rules) as (_, client):
        stuck = await upload(client, "1.mp4")
        failed = await settled(client, await upload(client, "2.mp4"))
        assert failed["error"] == {"message": "bad luck"}
        good = await ready(client, "3.mp4")
        assert (await client.get(f"/assets/{stuck}")).json()["status"] == "processing"
        made = (await client.post("/analyze/tasks", json=question(good))).json()
        task = await finished(client, made["task_id"])
        assert (task["status"], task["error"]) == ("failed", {"code": "some_code", "message": "no luck"})


@pytest.mark.asyncio
async def test_unknown_statuses_are_shown_for_a_while(tmp_path: Path) -> None:
    """A status that is not final reads as a word nobody knows; final ones stay readable."""
    rules = [
        {"match": "POST /v1.3/assets$", "do": "stuck", "nth": 2},
        {"match": "GET /v1.3/assets", "do": "unknown_status", "word": "pondering"},
    ]
    async with platform(tmp_path, rules=rules) as (_, client):
        with anyio.fail_after(10):
            first = await upload(client, "1.mp4")
            while (await client.get(f"/assets/{first}")).json()["status"] == "pondering":
                pass
        await upload(client, "2.mp4")
        listed = (await client.get("/assets")).json()["data"]
        assert [entry["status"] for entry in listed] == ["pondering", "ready"]


@pytest.mark.asyncio
async def test_latency_waits_on_the_platforms_clock(tmp_path: Path) -> None:
    """The answer comes only after the clock has moved, and closing does not wait for it."""
    clock = ManualClock()
    rules = [{"match": "GET /v1.3/assets$", "do": "latency", "seconds": 3600}]
    async with platform(tmp_path, rules=rules, clock=clock) as (_, client), anyio.create_task_group() as group:
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await client.get("/assets")).status_code)

        group.start_soon(ask)
        with anyio.fail_after(10):
            while clock.slept != [3600]:
                await anyio.lowlevel.checkpoint()
        assert answers == []
        clock.move(3600)
    assert answers == [200]


@pytest.mark.asyncio
async def test_closing_drops_what_is_in_progress(tmp_path: Path) -> None:
    """A request that hangs at the end of the platform gets a transport error at once."""
    rules = [{"match": "GET /v1.3/assets$", "do": "latency", "seconds": 3600}]
    clock = ManualClock()
    broken: list[str] = []
    async with anyio.create_task_group() as group:
        async with platform(tmp_path, rules=rules, clock=clock) as (served, _):
            base = served.base_url

            async def ask() -> None:
                async with httpx.AsyncClient(headers={"x-api-key": "secret-of-the-test"}) as other:
                    try:
                        await other.get(f"{base}/v1.3/assets")
                    except httpx.TransportError as error:
                        broken.append(type(error).__name__)

            group.start_soon(ask)
            with anyio.fail_after(10):
                while not clock.slept:
                    await anyio.lowlevel.checkpoint()
        with anyio.fail_after(5):
            while not broken:
                await anyio.lowlevel.checkpoint()


@pytest.mark.asyncio
async def test_the_script_is_changed_and_read_over_http(tmp_path: Path) -> None:
    """POST replaces the rules, GET counts their hits, DELETE ends them; a rule that is none is a 400 that says why."""
    async with platform(tmp_path) as (served, client):
        faults = f"{served.base_url}/_platform/faults"
        rule = {"match": "GET /v1.3/assets$", "do": "status", "status": 500, "every": 2}
        assert (await client.post(faults, json={"rules": [rule]})).status_code == 200
        statuses = [(await client.get("/assets")).status_code for _ in range(4)]
        assert statuses == [200, 500, 200, 500]
        (shown,) = (await client.get(faults)).json()["rules"]
        assert (shown["seen"], shown["hits"]) == (4, 2)
        for bad in (
            {"match": "(", "do": "key"},
            {"match": "x", "do": "explode"},
            {"match": "x", "do": "key", "nth": -1},
        ):
            assert (await client.post(faults, json={"rules": [bad]})).status_code == 400
        assert (await client.delete(faults)).status_code == 204
        assert (await client.get("/assets")).status_code == 200
        requests = (await client.get(f"{served.base_url}/_platform/requests")).json()
        assert requests["routes"]["GET /v1.3/assets"] == 5
