"""Analysis: at once, streamed, or as tasks."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from sqlite3 import Connection

from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.analysis_replies import answer_now, stream_answer, usage_view
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import parse, read_json
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import ListQuery, is_in, parse_choices
from pipeline.local.api.http.responses import dump, json_response, new_id, time_text
from pipeline.local.api.index_lookup import find, find_asset
from pipeline.local.api.v1_3.requests import QueuedRequest, SyncRequest, TaskRequest, VideoInput
from pipeline.local.errors import ApiError, invalid
from pipeline.local.jobs.worker import CUT_WARNING
from pipeline.local.state.tables import ASSETS, JOBS, REPLAYS, AssetRow, JobRow, ReplayRow

STATUSES = ("queued", "pending", "processing", "ready", "failed", "canceled")
#: Parameters that narrow the list of tasks, with their columns.
_FILTERS = {"asset_id": "asset_id", "video_url": "video_url", "analysis_mode": "mode"}


async def analyze(context: ApiContext, request: Request, body: SyncRequest) -> Response:
    """Answer in this very request; billed when accepted, heard or not."""
    inline = await _keep_inline(context, body.video)
    generation = str(uuid.uuid4())

    def accept(db: Connection) -> AssetRow:
        asset = _asset(db, body.video, inline)
        context.record(db, request, "analyze_sync", generation, asset.filename, body.minutes(asset))
        return asset

    asset = await context.write(accept)
    found = await answer_now(context, asset, body.stored(), sync=True)
    if body.stream:
        return stream_answer(found, generation)
    return json_response(
        {
            "id": generation,
            "data": found.text,
            "finish_reason": found.finish_reason,
            "usage": usage_view(found),
            **({"error": {"message": CUT_WARNING}} if found.finish_reason == "length" else {}),
        }
    )


async def create_task(context: ApiContext, request: Request) -> Response:
    """Accept a task; a repeated ``Idempotency-Key`` and body give the same one."""
    body = await read_json(request)
    wanted = parse(TaskRequest, body)
    key = request.headers.get("idempotency-key", "")
    if len(key) > 255:
        raise invalid("The Idempotency-Key header has more than 255 characters.")
    fingerprint = hashlib.sha256(dump(body)).hexdigest()
    inline = await _keep_inline(context, wanted.video)
    now = context.clock.now()

    def accept(db: Connection) -> tuple[JobRow, bool]:
        replay = REPLAYS.get(db, key) if key else None
        if replay is not None:
            return _replayed(context, db, replay, fingerprint), False
        asset = _asset(db, wanted.video, inline)
        if asset.status != "ready" and not asset.hidden:
            raise ApiError(400, "asset_unavailable", "The asset is not ready.", details={"asset_id": asset.id})
        job = build_job(wanted, asset, now, forced_outcome=read_forced_outcome(request))
        JOBS.add(db, job)
        if key:
            REPLAYS.add(db, ReplayRow(key, fingerprint, job.id, now))
        context.record(db, request, "analyze_task_created", job.id, job.custom_id or key, job.minutes)
        return job, True

    job, new = await context.write(accept)
    if new:
        start_job(context, job)
    return json_response({"task_id": job.id, "status": "queued" if new else job.status}, 202)


def _replayed(context: ApiContext, db: Connection, replay: ReplayRow, fingerprint: str) -> JobRow:
    if replay.body != fingerprint:
        message = "The Idempotency-Key stands for another request."
        raise ApiError(context.limits.key_conflict_status, "idempotency_key_reused", message)
    return find(db, JOBS, replay.job_id, "task")


def list_tasks(request: Request, db: Connection) -> Response:
    """List tasks, newest first. There is no filter on ``custom_id``."""
    query = request.query_params
    statuses = parse_choices(query, "status", STATUSES)
    conditions = {f'"{column}" = ?': query[name] for name, column in _FILTERS.items() if query.get(name)}
    wanted = ListQuery.build({**(is_in("status", statuses) if statuses else {}), **conditions}, query)
    return wanted.respond(db, JOBS, lambda job: job_view(db, job, brief=True))


def show_task(db: Connection, task_id: str) -> Response:
    """Show one task, with its result once it is ready."""
    return json_response(job_view(db, find(db, JOBS, task_id, "task"), brief=False))


def delete_task(db: Connection, task_id: str) -> None:
    """Delete a task that is not being carried out."""
    if find(db, JOBS, task_id, "task").status == "processing":
        raise ApiError(409, "task_cannot_be_deleted", "The task is being processed.")
    JOBS.drop(db, "id = ?", [task_id])


def cancel_task(context: ApiContext, db: Connection, task_id: str) -> Response:
    """Cancel a task; once more changes nothing, a finished one is a conflict."""
    job = find(db, JOBS, task_id, "task")
    if job.status in ("ready", "failed"):
        raise ApiError(409, "task_not_cancelable", f"The task is {job.status}.")
    if job.status != "canceled":
        JOBS.put(db, canceled(job, "user_canceled", "The task was canceled on request.", context.clock.now()))
    return json_response({"task_id": task_id, "status": "canceled"})


async def _keep_inline(context: ApiContext, source: VideoInput) -> AssetRow | None:
    """Keep media that came inside the request; None for an asset id."""
    if source.type == "asset_id":
        return None
    now = context.clock.now()
    url = context.policy.check(source.value) if source.type == "url" else ""
    asset = AssetRow(new_id(now), "inline", "processing", "inline", "", now, hidden=True, url=url)
    if source.type == "base64_string":
        received = context.state.incoming()
        await context.state.run_file_work(lambda: received.write_bytes(source.content))
        await context.keep_blob(received, asset.id)
    return asset


def build_job(
    wanted: QueuedRequest, asset: AssetRow, now: float, *, batch_id: str = "", forced_outcome: str = ""
) -> JobRow:
    """Return the queued job that a request about an asset becomes."""
    return JobRow(
        id=new_id(now),
        asset_id=asset.id,
        status="queued",
        created=now,
        updated=now,
        custom_id=wanted.custom_id or "",
        batch_id=batch_id,
        video_url=wanted.video.value if wanted.video.type == "url" else "",
        minutes=wanted.minutes(asset),
        forced_outcome=forced_outcome,
        source=wanted.video.view(),
        request=wanted.stored(),
    )


def start_job(context: ApiContext, job: JobRow) -> None:
    """Queue an accepted job, unless a fault rule wants it stuck."""
    if job.forced_outcome != "stuck":
        context.work.push_job(job.id)


def canceled(job: JobRow, code: str, message: str, now: float) -> JobRow:
    """Return the job as canceled."""
    error: dict[str, Json] = {"code": code, "message": message}
    return dataclasses.replace(job, status="canceled", error=error, completed=now, updated=now)


def job_view(db: Connection, job: JobRow, *, brief: bool) -> dict[str, Json]:
    """Return a task as the API shows it; ``brief`` is for lists.

    In lists prompts are short and results left out.
    """
    asset, request = ASSETS.get(db, job.asset_id), job.request
    measured = {"system_metadata": {"duration": asset.duration}} if asset is not None and asset.duration else {}
    prompt = request["prompt"]
    params: dict[str, Json] = {
        "analysis_mode": job.mode,
        "prompt": prompt[:30] if brief else prompt,
        "temperature": request["temperature"],
        "max_tokens": request["max_tokens"],
    }
    params |= {name: request[name] for name in ("start_time", "end_time") if request[name] is not None}
    if request["schema"] is not None and not brief:
        params["response_format"] = {"type": "json_schema", "json_schema": request["schema"]}
    view: dict[str, Json] = {
        "task_id": job.id,
        "custom_id": job.custom_id or None,
        "status": job.status,
        "created_at": time_text(job.created),
        "video_source": {**job.source, **measured},
        "request_params": params,
    }
    if job.batch_id:
        view["batch_id"] = job.batch_id
    if job.completed:
        view["completed_at"] = time_text(job.completed)
    if job.result and not brief:
        view["result"] = job.result
    if job.error:
        view["error"] = job.error
    return view


def _asset(db: Connection, source: VideoInput, inline: AssetRow | None) -> AssetRow:
    if inline is None:
        return find_asset(db, source.value)
    ASSETS.add(db, inline)
    return inline
