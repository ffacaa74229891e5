"""Our answers against the vendor's schema, restated here as field tables: names, types, which may be absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from tests.contract.platform_double import SMALL, Canned, finished, platform, question, ready
from tests.contract.test_platform_batches import batch, ended
from tests.contract.test_platform_multipart import opened, sent

#: Field name → what it holds. A trailing ``?`` marks a field that may be absent.
Shape: TypeAlias = Mapping[str, Any]

ID = re.compile(r"[0-9a-f]{24}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TEXT, WHOLE, NUMBER, FLAG, ANY = str, int, (int, float), bool, object

PAGE_INFO: Shape = {"limit_per_page": WHOLE, "page": WHOLE, "total_page": WHOLE, "total_results": WHOLE}
ASSET: Shape = {
    "_id": ID,
    "method": {"direct", "url", "multipart", "connector"},
    "status": {"processing", "ready", "failed"},
    "filename": TEXT,
    "file_type": TEXT,
    "created_at": TIME,
    "user_metadata?": dict,
}
DETAIL: Shape = {
    **ASSET,
    "size?": WHOLE,
    "duration?": NUMBER,
    "hls?": {"status": {"pending", "processing", "ready", "error"}, "manifest_url?": TEXT},
    "thumbnail?": {"status": {"pending", "processing", "ready", "error"}, "representative_url?": TEXT},
    "technical_metadata?": dict,
    "error?": {"message": TEXT},
}
URL: Shape = {"chunk_index": WHOLE, "url": TEXT, "expires_at": TIME}
SESSION: Shape = {
    "upload_id": TEXT,
    "asset_id": ID,
    "upload_urls": [URL],
    "upload_headers": dict,
    "chunk_size": WHOLE,
    "total_chunks": WHOLE,
    "expires_at": TIME,
}
SESSION_STATUS: Shape = {
    "upload_id": TEXT,
    "status": {"active", "completed", "failed", "expired"},
    "uploaded_chunks": [
        {
            "index": WHOLE,
            "status": {"completed", "pending", "failed"},
            "uploaded_at?": TIME,
            "updated_at?": TIME,
            "error?": TEXT,
        }
    ],
    "chunks_completed": WHOLE,
    "chunks_failed": WHOLE,
    "chunks_pending": WHOLE,
    "total_size": WHOLE,
    "uploaded_size": WHOLE,
    "page_info": PAGE_INFO,
    "created_at": TIME,
    "updated_at": TIME,
}
MORE_URLS: Shape = {
    "upload_id": TEXT,
    "start_index": WHOLE,
    "count": WHOLE,
    "upload_urls": [URL],
    "generated_at": TIME,
    "expires_at": TIME,
}
REPORT: Shape = {
    "asset_id": ID,
    "processed_chunks": WHOLE,
    "duplicate_chunks": WHOLE,
    "total_completed": WHOLE,
    "url?": TEXT,
}
OPEN_SESSIONS: Shape = {
    "data": [
        {
            "upload_id": TEXT,
            "status": {"active"},
            "total_size": WHOLE,
            "chunk_size": WHOLE,
            "total_chunks": WHOLE,
            "created_at?": TIME,
            "expires_at?": TIME,
        }
    ],
    "page_info": PAGE_INFO,
}
USAGE: Shape = {"output_tokens": WHOLE, "input_tokens?": WHOLE}
RESULT: Shape = {"generation_id": TEXT, "data": TEXT, "finish_reason": {"stop", "length"}, "usage": USAGE}
SYNC: Shape = {
    "id": TEXT,
    "data": TEXT,
    "finish_reason": {"stop", "length"},
    "usage": USAGE,
    "error?": {"message": TEXT},
}
TASK: Shape = {
    "task_id": ID,
    "custom_id": (str, type(None)),
    "status": {"queued", "pending", "processing", "ready", "failed", "canceled"},
    "created_at": TIME,
    "completed_at?": TIME,
    "video_source?": {
        "type": {"asset_id", "url", "base64_string"},
        "asset_id?": ID,
        "url?": TEXT,
        "system_metadata?": {"duration": NUMBER},
    },
    "request_params?": {
        "analysis_mode?": {"general", "time_based_metadata"},
        "prompt?": TEXT,
        "temperature?": NUMBER,
        "max_tokens?": WHOLE,
        "start_time?": NUMBER,
        "end_time?": NUMBER,
        "response_format?": {"type": {"json_schema"}, "json_schema": dict},
    },
    "result?": RESULT,
    "error?": {"message": TEXT, "code?": TEXT},
    "batch_id?": ID,
}
BATCH: Shape = {
    "batch_id": ID,
    "status": {"pending", "processing"},
    "total_items": WHOLE,
    "created_at": TIME,
    "expires_at": TIME,
    "items": [{"task_id": ID, "custom_id": TEXT}],
}
BATCH_STATUS: Shape = {
    "batch_id": ID,
    "analysis_mode": {"general"},
    "model_name": {"pegasus1.5"},
    "status": {"pending", "processing", "canceling", "canceled", "completed", "expired"},
    "total_items": WHOLE,
    "created_at": TIME,
    "expires_at": TIME,
    "completed_at?": TIME,
    "queued_items": WHOLE,
    "processing_items": WHOLE,
    "ready_items": WHOLE,
    "failed_items": WHOLE,
    "canceled_items": WHOLE,
}
INDEX: Shape = {
    "_id": ID,
    "index_name": TEXT,
    "models": [{"model_name": TEXT, "model_options": list}],
    "addons": list,
    "video_count": NUMBER,
    "total_duration": NUMBER,
    "created_at": TIME,
    "updated_at": TIME,
    "expires_at": (str, type(None)),
}


def misfits(value: Any, shape: Any, where: str = "answer") -> list[str]:
    """Return every place where a value does not fit a shape: missing, unknown and wrong fields."""
    match shape:
        case re.Pattern():
            return [] if isinstance(value, str) and shape.fullmatch(value) else [f"{where}: {value!r}"]
        case set():
            return [] if value in shape else [f"{where}: {value!r} is not one of {sorted(shape)}"]
        case [inner]:
            entries = value if isinstance(value, list) else [value]
            return [
                text for number, entry in enumerate(entries) for text in misfits(entry, inner, f"{where}[{number}]")
            ]
        case dict() if isinstance(value, dict):
            fields = {name.rstrip("?"): part for name, part in shape.items()}
            needed = {name for name in shape if not name.endswith("?")}
            found = [f"{where}.{name}: missing" for name in needed - set(value)]
            found += [f"{where}.{name}: not in the schema" for name in set(value) - set(fields)]
            common = set(value) & set(fields)
            return found + [text for name in common for text in misfits(value[name], fields[name], f"{where}.{name}")]
        case dict():
            return [f"{where}: not an object"]
        case _:
            wrong = not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool)
            return [f"{where}: {value!r}"] if wrong else []


def fits(answer: httpx.Response, shape: Shape, status: int = 200) -> Any:
    """Check an answer and return its body."""
    assert answer.status_code == status, answer.text
    assert misfits(answer.json(), shape) == []
    return answer.json()


def test_the_check_itself_can_fail() -> None:
    """Missing, unknown, wrong and nested misfits are all found."""
    shape = {"a": WHOLE, "b?": {"c": TIME}, "d?": [{"e": {"x"}}]}
    assert misfits({"a": 1, "b": {"c": "2026-11-22T10:00:00Z"}, "d": [{"e": "x"}]}, shape) == []
    for wrong in (
        {},
        {"a": "1"},
        {"a": True},
        {"a": 1, "z": 1},
        {"a": 1, "b": {"c": "now"}},
        {"a": 1, "d": [{"e": "y"}]},
        {"a": 1, "b": 2},
    ):
        assert misfits(wrong, shape)


@pytest.mark.asyncio
async def test_assets_have_the_vendors_shape(tmp_path: Path) -> None:
    """Creation, detail (ready with all extras, and failed), list."""
    async with platform(tmp_path) as (_, client):
        form = {"method": "direct", "enable_hls": "true", "enable_thumbnail": "true", "user_metadata": '{"a": ["b"]}'}
        made = fits(await client.post("/assets", data=form, files={"file": ("a.mp4", b"x")}), ASSET, 201)
        while fits(await client.get(f"/assets/{made['_id']}"), DETAIL)["status"] != "ready":
            pass
        bad = fits(await client.post("/assets", data=form, files={"file": ("a.mp4", b"broken")}), ASSET, 201)
        while fits(await client.get(f"/assets/{bad['_id']}"), DETAIL)["status"] != "failed":
            pass
        listed = fits(await client.get("/assets"), {"data": [DETAIL], "page_info": PAGE_INFO})
        assert len(listed["data"]) == 2


@pytest.mark.asyncio
async def test_multipart_sessions_have_the_vendors_shape(tmp_path: Path) -> None:
    """Creation, addresses, status, list of open ones, report with and without url."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session = await opened(client)
        assert misfits(session, SESSION) == []
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        more = fits(await client.post(f"{path}/presigned-urls", json={"start": 3, "count": 2}), MORE_URLS)
        proofs = [await sent(session, url) for url in [*session["upload_urls"], *more["upload_urls"]]]
        assert "url" not in fits(await client.post(path, json={"completed_chunks": proofs[:2]}), REPORT)
        fits(await client.get(path), SESSION_STATUS)
        assert fits(await client.get("/assets/multipart-uploads"), OPEN_SESSIONS)["data"]
        assert fits(await client.post(path, json={"completed_chunks": proofs}), REPORT)["url"]


@pytest.mark.asyncio
async def test_analysis_has_the_vendors_shape(tmp_path: Path) -> None:
    """Sync (whole and cut), task (created, ready, cut, failed), list; batch (created, status, items)."""
    form = {"type": "json_schema", "json_schema": {"type": "object", "properties": {}}}
    async with platform(tmp_path, analyzer=Canned("z" * 3000)) as (_, client):
        asset = await ready(client)
        for tokens in (4096, 512):
            body = question(asset, max_tokens=tokens, response_format=form, start_time=1, end_time=9)
            fits(await client.post("/analyze", json={**body, "stream": False}), SYNC)
            made = fits(await client.post("/analyze/tasks", json=body), {"task_id": ID, "status": {"queued"}}, 202)
            assert misfits(await finished(client, made["task_id"]), TASK) == []
        failing = (await client.post("/analyze/tasks", json=question(asset, prompt="refuse"))).json()["task_id"]
        assert misfits(await finished(client, failing), TASK) == []
        fits(await client.get("/analyze/tasks"), {"data": [TASK], "page_info": PAGE_INFO})
        made = fits(await client.post("/analyze/batches", json=batch([asset])), BATCH, 201)
        assert misfits(await ended(client, made["batch_id"]), BATCH_STATUS) == []


@pytest.mark.asyncio
async def test_indexes_have_the_vendors_shape(tmp_path: Path) -> None:
    """Creation, list, one."""
    models = [{"model_name": "marengo3.0", "model_options": ["visual"]}]
    async with platform(tmp_path) as (_, client):
        made = fits(await client.post("/indexes", json={"index_name": "n", "models": models}), {"_id": ID}, 201)
        fits(await client.get("/indexes"), {"data": [INDEX], "page_info": PAGE_INFO})
        assert fits(await client.get(f"/indexes/{made['_id']}"), INDEX)["_id"] == made["_id"]
