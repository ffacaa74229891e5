"""Batches: up to a thousand analyses in one call."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from sqlite3 import Connection

from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import parse
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.pagination import PageRequest
from pipeline.local.api.http.query import split_list
from pipeline.local.api.http.responses import dump, json_response, new_id, time_text
from pipeline.local.api.index_lookup import find, find_ready_asset
from pipeline.local.api.v1_3.analyze import build_job, canceled, start_job
from pipeline.local.api.v1_3.requests import BatchItem, BatchRequest
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.tables import BATCHES, JOBS, BatchRow, JobRow

_FINAL = ("completed", "canceled", "expired")


async def create_batch(context: ApiContext, request: Request, body: BatchRequest) -> Response:
    """Accept all items or none."""
    items = _items(body, context.limits.batch_items)
    now, limits = context.clock.now(), context.limits
    outcome = read_forced_outcome(request)

    def accept(db: Connection) -> tuple[BatchRow, list[JobRow]]:
        active = [b for b in BATCHES.select(db, "ended = 0") if _refresh(db, b, now).status not in _FINAL]
        if len(active) >= limits.active_batches:
            raise ApiError(429, "too_many_requests", f"{len(active)} batches are active; wait for one to end.")
        assets = [find_ready_asset(db, item.video.value, 409, "asset_not_ready") for item in items]
        hours = sum(asset.duration for asset in assets) / 3600
        if hours > limits.batch_hours:
            raise invalid(f"The batch has {hours:.0f} hours of video, more than {limits.batch_hours:g}.")
        expires = now + limits.batch_seconds
        batch = BatchRow(new_id(now), "pending", now, expires, "pegasus1.5", "general", len(items))
        BATCHES.add(db, batch)
        pairs = zip(items, assets, strict=True)
        jobs = [build_job(item, asset, now, batch_id=batch.id, forced_outcome=outcome) for item, asset in pairs]
        for job in jobs:
            JOBS.add(db, job)
            context.record(db, request, "batch_item_created", job.id, job.custom_id, job.minutes)
        return batch, jobs

    batch, jobs = await context.write(accept)
    for job in jobs:
        start_job(context, job)
    return json_response(
        {
            "batch_id": batch.id,
            "status": batch.status,
            "total_items": batch.total,
            "created_at": time_text(batch.created),
            "expires_at": time_text(batch.expires),
            "items": [{"task_id": job.id, "custom_id": job.custom_id or job.id} for job in jobs],
        },
        201,
    )


def _items(body: BatchRequest, most: int) -> list[BatchItem]:
    if not 1 <= len(body.requests) <= most:
        raise invalid(f"The requests parameter must have 1 to {most} entries.")
    defaults = body.defaults or {}
    items = [parse(BatchItem, {**defaults, **item}) for item in body.requests]
    names = Counter(item.custom_id for item in items if item.custom_id)
    if twice := [name for name, number in names.items() if number > 1]:
        raise invalid(f"The custom_id {twice[0]!r} occurs more than once.")
    return items


async def list_batches(context: ApiContext, request: Request) -> Response:
    """List batches, newest first."""
    page, statuses = PageRequest.parse(request.query_params), split_list(request.query_params, "status")
    now = context.clock.now()

    def work(db: Connection) -> tuple[list[Json], int]:
        all_of_them = [_refresh(db, batch, now) for batch in BATCHES.select(db, by="created", newest_first=True)]
        found = [batch for batch in all_of_them if not statuses or batch.status in statuses]
        shown = found[page.offset : page.offset + page.limit]
        return [_view(*_with_items(context, db, batch.id)) for batch in shown], len(found)

    return json_response(page.view(*await context.write(work)))


async def show_batch(context: ApiContext, batch_id: str) -> Response:
    """Show a batch with its counts."""
    return json_response(_view(*await context.write(lambda db: _with_items(context, db, batch_id))))


async def list_results(context: ApiContext, batch_id: str) -> Response:
    """Return JSON Lines, one per item, also while the batch runs."""
    _, jobs = await context.write(lambda db: _with_items(context, db, batch_id))
    lines = b"".join(dump(_result(job)) + b"\n" for job in jobs)
    return Response(lines, media_type="application/jsonl")


def cancel_batch(context: ApiContext, db: Connection, batch_id: str) -> Response:
    """Cancel what is queued; what is being carried out finishes."""
    batch = _batch(context, db, batch_id)
    if batch.status in _FINAL:
        raise ApiError(409, f"batch_{batch.status}", f"The batch is {batch.status}.")
    for job in JOBS.select(db, "batch_id = ? AND status = 'queued'", [batch_id]):
        JOBS.put(db, canceled(job, "batch_canceled", "The batch was canceled.", context.clock.now()))
    BATCHES.put(db, dataclasses.replace(batch, status="canceling"))
    return json_response(_view(*_with_items(context, db, batch_id)), 202)


def delete_batch(context: ApiContext, db: Connection, batch_id: str) -> None:
    """Delete a final batch and its items."""
    batch = _batch(context, db, batch_id)
    if batch.status not in _FINAL:
        raise ApiError(409, "batch_not_terminal", f"The batch is {batch.status}.")
    JOBS.drop(db, "batch_id = ?", [batch_id])
    BATCHES.drop(db, "id = ?", [batch_id])


def _batch(context: ApiContext, db: Connection, key: str) -> BatchRow:
    return _refresh(db, find(db, BATCHES, key, "batch"), context.clock.now())


def _with_items(context: ApiContext, db: Connection, key: str) -> tuple[BatchRow, list[JobRow]]:
    return _batch(context, db, key), JOBS.select(db, "batch_id = ?", [key])


def _refresh(db: Connection, batch: BatchRow, now: float) -> BatchRow:
    """Return the batch as its items make it; store what became final."""
    if batch.status in _FINAL:
        return batch
    expired = now >= batch.expires
    if expired:
        for job in JOBS.select(db, "batch_id = ? AND status IN ('queued', 'processing')", [batch.id]):
            JOBS.put(db, canceled(job, "batch_expired", "The batch expired before this item was done.", now))
    left = JOBS.count(db, "batch_id = ? AND status IN ('queued', 'processing')", [batch.id])
    begun = JOBS.count(db, "batch_id = ? AND status <> 'queued'", [batch.id])
    if left == 0:
        status = "expired" if expired else ("canceled" if batch.status == "canceling" else "completed")
        batch = dataclasses.replace(batch, status=status, ended=now)
        BATCHES.put(db, batch)
    elif batch.status == "pending" and begun:
        batch = dataclasses.replace(batch, status="processing")
        BATCHES.put(db, batch)
    return batch


def _summary(batch: BatchRow) -> dict[str, Json]:
    view: dict[str, Json] = {
        "batch_id": batch.id,
        "analysis_mode": batch.mode,
        "model_name": batch.model,
        "status": batch.status,
        "total_items": batch.total,
        "created_at": time_text(batch.created),
        "expires_at": time_text(batch.expires),
    }
    return {**view, f"{batch.status}_at": time_text(batch.ended)} if batch.ended else view


def _view(batch: BatchRow, jobs: Sequence[JobRow]) -> dict[str, Json]:
    numbers = Counter(job.status for job in jobs)
    words = ("queued", "processing", "ready", "failed", "canceled")
    return {**_summary(batch), **{f"{word}_items": numbers[word] for word in words}}


def _result(job: JobRow) -> dict[str, Json]:
    return {
        "task_id": job.id,
        "custom_id": job.custom_id or job.id,
        "status": job.status,
        **({"data": job.result} if job.result else {}),
        **({"error": job.error} if job.error else {}),
    }
