"""Batches on the local platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import ManualClock, platform, ready, upload

STUCK = [{"match": "POST /v1.3/analyze/batches$", "do": "stuck"}]


def batch(assets: list[str], **more: Any) -> dict[str, Any]:
    """Return a batch body, one item per asset."""
    items = [
        {"custom_id": f"v{number}", "video": {"type": "asset_id", "asset_id": asset}}
        for number, asset in enumerate(assets)
    ]
    defaults = {"prompt": {"input_text": "Describe it."}, "max_tokens": 2048}
    return {"model_name": "pegasus1.5", "analysis_mode": "general", "defaults": defaults, "requests": items, **more}


async def ended(client: httpx.AsyncClient, key: str) -> dict[str, Any]:
    """Ask until the batch is final."""
    with anyio.fail_after(20):
        while True:
            found: dict[str, Any] = (await client.get(f"/analyze/batches/{key}")).json()
            if found["status"] in ("completed", "canceled", "expired"):
                return found


@pytest.mark.asyncio
async def test_a_batch_completes_with_a_line_per_item(tmp_path: Path) -> None:
    """201 with task ids; completed with counts; results as JSON Lines, failures beside successes; each item billed once."""
    async with platform(tmp_path) as (served, client):
        assets = [await ready(client, f"{number}.mp4") for number in range(3)]
        body = batch(assets)
        body["requests"][1]["prompt"] = {"input_text": "refuse this"}
        made = await client.post("/analyze/batches", json=body)
        assert made.status_code == 201
        key = made.json()["batch_id"]
        assert [item["custom_id"] for item in made.json()["items"]] == ["v0", "v1", "v2"]
        found = await ended(client, key)
        assert (found["status"], found["ready_items"], found["failed_items"]) == ("completed", 2, 1)
        assert found["completed_at"]
        lines = [json.loads(line) for line in (await client.get(f"/analyze/batches/{key}/results")).text.splitlines()]
        assert [line["status"] for line in lines] == ["ready", "failed", "ready"]
        assert lines[1]["error"]["code"] == "token_limit_exceeded"
        assert lines[0]["data"]["finish_reason"] == "stop"
        assert len(served.ledger.entries(effect="batch_item_created")) == 3
        listed = (await client.get("/analyze/batches", params={"status": "completed"})).json()
        assert [entry["batch_id"] for entry in listed["data"]] == [key]
        assert (await client.post(f"/analyze/batches/{key}/cancel")).json()["error"]["code"] == "batch_completed"
        assert (await client.delete(f"/analyze/batches/{key}")).status_code == 204
        assert (await client.get(f"/analyze/batches/{key}")).status_code == 404


@pytest.mark.asyncio
async def test_a_batch_is_accepted_whole_or_not_at_all(tmp_path: Path) -> None:
    """Repeated custom_ids, unknown and unready assets, too many items, wrong model: the right status, nothing created."""
    rules = [{"match": "POST /v1.3/assets$", "do": "stuck", "nth": 2}]
    async with platform(tmp_path, rules=rules, limits=PlatformLimits(batch_items=3)) as (served, client):
        good, waiting = await ready(client, "1.mp4"), await upload(client, "2.mp4")
        twice = batch([good, good])
        twice["requests"][1]["custom_id"] = "v0"
        for body, status in (
            (twice, 400),
            (batch([good] * 4), 400),
            (batch([good], model_name="pegasus1.6"), 400),
            (batch([good], defaults={"prompt": "words"}), 400),
            (batch([good], defaults={"video": {}}), 400),
            (batch([good, "none"]), 404),
            (batch([good, waiting]), 409),
        ):
            answer = await client.post("/analyze/batches", json=body)
            assert (answer.status_code, "error" in answer.json()) == (status, True)
        assert served.ledger.entries(effect="batch_item_created") == []
        assert (await client.get("/analyze/batches")).json()["data"] == []


@pytest.mark.asyncio
async def test_five_batches_are_active_at_most(tmp_path: Path) -> None:
    """The sixth is a 429; a running batch is not deleted; after a cancel there is room again."""
    async with platform(tmp_path, rules=STUCK) as (_, client):
        asset = await ready(client)
        keys = [(await client.post("/analyze/batches", json=batch([asset]))).json()["batch_id"] for _ in range(5)]
        sixth = await client.post("/analyze/batches", json=batch([asset]))
        assert (sixth.status_code, sixth.json()["error"]["code"]) == (429, "too_many_requests")
        running = await client.delete(f"/analyze/batches/{keys[0]}")
        assert (running.status_code, running.json()["error"]["code"]) == (409, "batch_not_terminal")
        canceled = await client.post(f"/analyze/batches/{keys[0]}/cancel")
        assert (canceled.status_code, canceled.json()["status"], canceled.json()["canceled_items"]) == (
            202,
            "canceled",
            1,
        )
        assert (await client.post("/analyze/batches", json=batch([asset]))).status_code == 201


@pytest.mark.asyncio
async def test_a_batch_expires_after_a_day(tmp_path: Path) -> None:
    """Unfinished items are canceled with ``batch_expired`` and the batch is expired."""
    clock = ManualClock()
    async with platform(tmp_path, rules=STUCK, clock=clock) as (_, client):
        asset = await ready(client)
        key = (await client.post("/analyze/batches", json=batch([asset]))).json()["batch_id"]
        clock.move(24 * 3600)
        found = await ended(client, key)
        assert (found["status"], found["canceled_items"]) == ("expired", 1)
        line = json.loads((await client.get(f"/analyze/batches/{key}/results")).text)
        assert (line["status"], line["error"]["code"]) == ("canceled", "batch_expired")
