"""Analysis on the local platform: at once, streamed, as tasks; validation; idempotency."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.limits import PlatformLimits
from tests.contract.platform_double import VIDEO, Canned, finished, platform, question, ready, upload

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
}


@pytest.mark.asyncio
async def test_a_synchronous_answer_is_text_with_usage(tmp_path: Path) -> None:
    """``stream: false`` gives id, data as a string, finish_reason and both token counts; billed once, by minutes."""
    async with platform(tmp_path) as (served, client):
        asset = await ready(client)
        answer = await client.post("/analyze", json=question(asset, stream=False, response_format=SCHEMA))
        body = answer.json()
        assert answer.status_code == 200
        assert json.loads(body["data"]) == {"title": "text"}
        assert body["finish_reason"] == "stop"
        assert set(body["usage"]) == {"input_tokens", "output_tokens"}
        (entry,) = served.ledger.entries(effect="analyze_sync")
        assert (entry.client_key, entry.minutes) == ("film.mp4", 1.0)


@pytest.mark.asyncio
async def test_a_stream_is_ndjson_from_start_to_end(tmp_path: Path) -> None:
    """Without ``stream: false`` the answer comes as NDJSON events whose pieces join to the whole text."""
    text = "a long answer " * 40
    async with platform(tmp_path, analyzer=Canned(text)) as (_, client):
        asset = await ready(client)
        answer = await client.post("/analyze", json=question(asset))
        events = [json.loads(line) for line in answer.text.splitlines() if line]
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert (events[0]["event_type"], events[-1]["event_type"]) == ("stream_start", "stream_end")
        assert "".join(event["text"] for event in events[1:-1]) == text
        assert events[-1]["finish_reason"] == "stop"
        assert events[-1]["metadata"]["generation_id"] == events[0]["metadata"]["generation_id"]


@pytest.mark.asyncio
async def test_an_answer_beyond_max_tokens_is_cut_and_says_so(tmp_path: Path) -> None:
    """finish_reason is ``length``, the text is the beginning, an error message warns: sync and as a task alike."""
    async with platform(tmp_path, analyzer=Canned("x" * 5000)) as (_, client):
        asset = await ready(client)
        now = (await client.post("/analyze", json=question(asset, stream=False, max_tokens=512))).json()
        assert (now["finish_reason"], len(now["data"])) == ("length", 2048)
        assert now["error"]["message"]
        made = (await client.post("/analyze/tasks", json=question(asset, max_tokens=512))).json()
        task = await finished(client, made["task_id"])
        assert (task["status"], task["result"]["finish_reason"]) == ("ready", "length")
        assert task["error"]["message"]
        assert task["result"]["usage"]["output_tokens"] == 512


@pytest.mark.asyncio
async def test_a_task_goes_from_queued_to_ready_with_its_result(tmp_path: Path) -> None:
    """202 queued; the finished task repeats what was asked and carries the result; the ledger has our key once."""
    async with platform(tmp_path) as (served, client):
        asset = await ready(client)
        body = question(asset, custom_id="v1_gist", response_format=SCHEMA, start_time=2, end_time=32)
        made = await client.post("/analyze/tasks", json=body)
        assert (made.status_code, made.json()["status"]) == (202, "queued")
        task = await finished(client, made.json()["task_id"])
        assert (task["status"], task["custom_id"]) == ("ready", "v1_gist")
        assert task["video_source"] == {
            "type": "asset_id", "asset_id": asset, "system_metadata": {"duration": 60.0},
        }  # fmt: skip
        assert task["request_params"]["prompt"] == body["prompt"]
        assert (task["request_params"]["start_time"], task["request_params"]["end_time"]) == (2.0, 32.0)
        assert json.loads(task["result"]["data"]) == {"title": "text"}
        assert task["completed_at"] >= task["created_at"]
        (entry,) = served.ledger.entries(effect="analyze_task_created")
        assert (entry.client_key, entry.object_id, entry.minutes) == ("v1_gist", task["task_id"], 0.5)


@pytest.mark.asyncio
async def test_the_same_idempotency_key_gives_the_same_task(tmp_path: Path) -> None:
    """A repeat with the same body replays; with another body it is a nested 409; custom_id alone repeats nothing."""
    async with platform(tmp_path) as (served, client):
        asset = await ready(client)
        key = {"Idempotency-Key": "once"}
        first = (await client.post("/analyze/tasks", json=question(asset, custom_id="a"), headers=key)).json()
        again = await client.post("/analyze/tasks", json=question(asset, custom_id="a"), headers=key)
        assert (again.status_code, again.json()["task_id"]) == (202, first["task_id"])
        other = await client.post("/analyze/tasks", json=question(asset, custom_id="b"), headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
        assert served.ledger.twice() == []
        await client.post("/analyze/tasks", json=question(asset, custom_id="a"))
        assert served.ledger.twice() == [("analyze_task_created", "a")]


@pytest.mark.asyncio
async def test_tasks_are_listed_short_and_narrowed(tmp_path: Path) -> None:
    """Newest first with custom_id and status, prompts cut to 30 characters, no results; filters narrow; no custom_id filter."""
    async with platform(tmp_path) as (_, client):
        one, two = await ready(client, "1.mp4"), await ready(client, "2.mp4")
        ids = []
        for number, asset in enumerate((one, one, two)):
            body = question(asset, prompt="p" * 50, custom_id=f"c{number}")
            ids.append((await client.post("/analyze/tasks", json=body)).json()["task_id"])
        for key in ids:
            await finished(client, key)
        listed = (await client.get("/analyze/tasks", params={"page_limit": 2})).json()
        assert [task["task_id"] for task in listed["data"]] == [ids[2], ids[1]]
        assert listed["page_info"]["total_results"] == 3
        assert listed["data"][0]["custom_id"] == "c2"
        assert listed["data"][0]["request_params"]["prompt"] == "p" * 30
        assert "result" not in listed["data"][0]

        async def found(**params: Any) -> list[str]:
            return [t["task_id"] for t in (await client.get("/analyze/tasks", params=params)).json()["data"]]

        assert await found(asset_id=two) == [ids[2]]
        assert await found(status=["queued", "failed"]) == []
        assert len(await found(status=["ready", "failed"])) == 3
        assert await found(analysis_mode="time_based_metadata") == []
        assert len(await found(custom_id="c0")) == 3
        assert (await client.get("/analyze/tasks", params={"status": "odd"})).status_code == 400


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"prompt": " "}, 400, "parameter_not_provided"),
        ({"prompt": None}, 400, "parameter_not_provided"),
        ({"video": None}, 400, "parameter_not_provided"),
        ({"video_id": "1"}, 400, "parameter_unknown"),
        ({"model_name": "pegasus1.2"}, 400, "parameter_invalid"),
        ({"max_tokens": 511}, 400, "parameter_invalid"),
        ({"max_tokens": 98_305}, 400, "parameter_invalid"),
        ({"temperature": 1.1}, 400, "parameter_invalid"),
        ({"start_time": 5, "end_time": 5.5}, 400, "parameter_invalid"),
        ({"response_format": {"type": "segment_definitions"}}, 400, "parameter_invalid"),
        ({"video": {"type": "asset_id", "asset_id": "nope"}}, 404, "resource_not_exist"),
        ({"video": {"type": "url", "url": "https://example.invalid/a.mp4"}}, 400, "not_supported_by_local_platform"),
        ({"video": {"type": "base64_string", "base64_string": "%"}}, 400, "parameter_invalid"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"type": "array", "maxItems": 3}}},
            422,
            "parameter_invalid",
        ),
    ],
)
async def test_a_bad_question_is_refused_flat_at_once_and_nested_as_a_task(
    tmp_path: Path, more: dict[str, Any], status: int, code: str
) -> None:
    """Each bad field gives the same status and code on both roads, in the shape of the road; nothing is billed."""
    async with platform(tmp_path) as (served, client):
        asset = await ready(client)
        body = question(asset, **more)
        now = await client.post("/analyze", json={**body, "stream": False})
        assert (now.status_code, now.json()["code"]) == (status, code)
        task = await client.post("/analyze/tasks", json=body)
        assert (task.status_code, task.json()["error"]["code"]) == (status, code)
        assert [entry.effect for entry in served.ledger.entries()] == ["asset_created"]


@pytest.mark.asyncio
async def test_custom_ids_keep_to_their_alphabet(tmp_path: Path) -> None:
    """1 to 64 of letters, digits, underscore and hyphen; the empty string is refused too."""
    async with platform(tmp_path) as (_, client):
        asset = await ready(client)
        for good in ("a", "A-b_9" * 12):
            assert (await client.post("/analyze/tasks", json=question(asset, custom_id=good))).status_code == 202
        for bad in ("", "a b", "ü", "a" * 65, 5):
            assert (await client.post("/analyze/tasks", json=question(asset, custom_id=bad))).status_code == 400


@pytest.mark.asyncio
async def test_what_is_too_long_or_short_fails_by_its_code(tmp_path: Path) -> None:
    """Duration limits: 400 with the code at once, a failed task with the code later; a short window makes four hours fit."""
    for seconds, code in ((0.8, "video_duration_too_short"), (3 * 3600.0, "video_duration_too_long")):
        async with platform(tmp_path / code, analyzer=Canned(seconds=seconds)) as (_, client):
            asset = await ready(client)
            now = await client.post("/analyze", json=question(asset, stream=False))
            assert (now.status_code, now.json()["code"]) == (400, code)
            made = (await client.post("/analyze/tasks", json=question(asset))).json()
            task = await finished(client, made["task_id"])
            assert (task["status"], task["error"]["code"]) == ("failed", code)
            assert "result" not in task
    async with platform(tmp_path / "window", analyzer=Canned(seconds=3 * 3600.0)) as (_, client):
        made = (await client.post("/analyze/tasks", json=question(await ready(client), end_time=60))).json()
        assert (await finished(client, made["task_id"]))["status"] == "ready"


@pytest.mark.asyncio
async def test_a_picture_fault_can_be_found_by_the_analysis(tmp_path: Path) -> None:
    """Where assets are not checked for picture size, the task fails with the code of the fault."""
    limits = PlatformLimits(pictures_checked_at="analysis")
    async with platform(tmp_path, analyzer=Canned(size=(3000, 400)), limits=limits) as (_, client):
        made = (await client.post("/analyze/tasks", json=question(await ready(client)))).json()
        task = await finished(client, made["task_id"])
        assert task["error"]["code"] == "video_resolution_invalid_aspect_ratio"


@pytest.mark.asyncio
async def test_an_unready_asset_is_not_analysed(tmp_path: Path) -> None:
    """A nested 400 ``asset_unavailable`` that names the asset."""
    async with platform(tmp_path, rules=[{"match": "POST /v1.3/assets$", "do": "stuck"}]) as (_, client):
        asset = await upload(client)
        answer = await client.post("/analyze/tasks", json=question(asset))
        assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"asset_id": asset})


@pytest.mark.asyncio
async def test_an_inline_video_is_answered_and_never_listed(tmp_path: Path) -> None:
    """A base64 video is analysed on both roads, and no asset appears in the list."""
    async with platform(tmp_path) as (_, client):
        video = {"type": "base64_string", "base64_string": base64.b64encode(VIDEO).decode()}
        now = await client.post("/analyze", json={"video": video, "prompt": "x", "stream": False})
        assert now.json()["finish_reason"] == "stop"
        made = (await client.post("/analyze/tasks", json={"video": video, "prompt": "x"})).json()
        task = await finished(client, made["task_id"])
        assert (task["status"], task["video_source"]["type"]) == ("ready", "base64_string")
        assert (await client.get("/assets")).json()["data"] == []


@pytest.mark.asyncio
async def test_a_refused_analysis_is_a_400_or_a_failed_task(tmp_path: Path) -> None:
    """What the analysis cannot answer comes back with its own code."""
    async with platform(tmp_path) as (_, client):
        body = question(await ready(client), prompt="refuse this")
        now = await client.post("/analyze", json={**body, "stream": False})
        assert (now.status_code, now.json()["code"]) == (400, "token_limit_exceeded")
        made = (await client.post("/analyze/tasks", json=body)).json()
        assert (await finished(client, made["task_id"]))["error"] == {
            "code": "token_limit_exceeded",
            "message": "too much",
        }


@pytest.mark.asyncio
async def test_tasks_are_canceled_and_deleted_by_the_rules(tmp_path: Path) -> None:
    """Cancel works on a queued task and repeats harmlessly; finished ones are 409; what is deleted is a nested 404."""
    async with platform(tmp_path, rules=[{"match": "POST /v1.3/analyze/tasks$", "do": "stuck", "nth": 1}]) as (
        _,
        client,
    ):
        asset = await ready(client)
        stuck = (await client.post("/analyze/tasks", json=question(asset))).json()["task_id"]
        for _ in range(2):
            answer = await client.post(f"/analyze/tasks/{stuck}/cancel")
            assert (answer.status_code, answer.json()) == (200, {"task_id": stuck, "status": "canceled"})
        assert (await client.get(f"/analyze/tasks/{stuck}")).json()["error"]["code"] == "user_canceled"
        done = (await client.post("/analyze/tasks", json=question(asset))).json()["task_id"]
        await finished(client, done)
        assert (await client.post(f"/analyze/tasks/{done}/cancel")).status_code == 409
        assert (await client.delete(f"/analyze/tasks/{done}")).status_code == 204
        for answer in [await client.get(f"/analyze/tasks/{done}"), await client.delete(f"/analyze/tasks/{done}")]:
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_not_exist")
