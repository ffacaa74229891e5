"""Batches: up to a thousand analyses in one call."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext, json_body, read_forced_outcome
from pipeline.local.api.responses import API, PageRequest, dump, new_id, reply, time_text
from pipeline.local.api.v1_3.analyze import canceled, job_of
from pipeline.local.api.v1_3.requests import DEFAULTS, AnalyzeRequest, mode_of, read_item
from pipeline.local.errors import ApiError, invalid, missing
from pipeline.local.state import ledger
from pipeline.local.state.tables import ASSETS, BATCHES, JOBS, AssetRow, BatchRow, JobRow

_FINAL = ("completed", "canceled", "expired")

_FIELDS = frozenset({"model_name", "analysis_mode", "defaults", "requests"})


class BatchRoutes:
    """``/analyze/batches``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = f"{API}/analyze/batches/{{batch_id}}"
        return [
            Route(f"{API}/analyze/batches", self.create, methods=["POST"]),
            Route(f"{API}/analyze/batches", self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/results", self.results, methods=["GET"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Accept all items or none."""
        wishes = self._read(await json_body(request))
        now, limits = self._desk.clock.now(), self._desk.limits
        forced_outcome = read_forced_outcome(request)

        def accept(db: sqlite3.Connection) -> tuple[BatchRow, list[JobRow]]:
            active = [b for b in BATCHES.select(db, "ended = 0") if _refresh(db, b, now).status not in _FINAL]
            if len(active) >= limits.active_batches:
                raise ApiError(429, "too_many_requests", f"{len(active)} batches are active; wait for one to end.")
            assets = [_ready(db, wish) for wish in wishes]
            hours = sum(asset.duration for asset in assets) / 3600
            if hours > limits.batch_hours:
                raise invalid(f"The batch has {hours:.0f} hours of video, more than {limits.batch_hours:g}.")
            batch = BatchRow(
                new_id(now), "pending", now, now + limits.batch_seconds, "pegasus1.5", "general", len(wishes)
            )
            BATCHES.add(db, batch)
            pairs = zip(wishes, assets, strict=True)
            jobs = [job_of(wish, asset, now, batch_id=batch.id, forced_outcome=forced_outcome) for wish, asset in pairs]
            for job in jobs:
                JOBS.add(db, job)
                entry = self._desk.entry(request, "batch_item_created", job.id, job.custom_id, job.minutes)
                ledger.enter(db, entry)
            return batch, jobs

        batch, jobs = await self._desk.state.write(accept)
        for job in jobs:
            if job.forced_outcome != "stuck":
                self._desk.work.push_job(job.id)
        return reply(
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

    def _read(self, body: dict[str, Json]) -> list[AnalyzeRequest]:
        strange = sorted(set(body) - _FIELDS)
        if strange:
            raise ApiError(400, "parameter_unknown", f"The parameter {strange[0][:64]!r} is not known here.")
        if body.get("model_name") != "pegasus1.5":
            raise invalid("The model_name parameter must be pegasus1.5.")
        mode_of(body)
        defaults, requests = body.get("defaults") or {}, body.get("requests")
        most = self._desk.limits.batch_items
        if not isinstance(requests, list) or not 1 <= len(requests) <= most:
            raise invalid(f"The requests parameter must have 1 to {most} entries.")
        if not isinstance(defaults, dict) or set(defaults) - DEFAULTS:
            raise invalid("The defaults parameter has a field that has no default.")
        wishes = [read_item(item, defaults, body["model_name"]) for item in requests]
        names = Counter(wish.custom_id for wish in wishes if wish.custom_id)
        if twice := [name for name, number in names.items() if number > 1]:
            raise invalid(f"The custom_id {twice[0]!r} occurs more than once.")
        return wishes

    async def page(self, request: Request) -> Response:
        """List batches, newest first."""
        query = request.query_params
        page = PageRequest.of(query)
        statuses = {part for entry in query.getlist("status") for part in entry.split(",")}
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> list[BatchRow]:
            return [_refresh(db, batch, now) for batch in BATCHES.select(db, newest_first=True)]

        found = [b for b in await self._desk.state.write(work) if not statuses or b.status in statuses]
        shown = found[page.offset : page.offset + page.limit]
        return reply({"data": [_summary(batch) for batch in shown], "page_info": page.info(len(found))})

    async def show(self, request: Request) -> Response:
        """Show a batch with its counts."""
        batch, jobs = await self._get(request)
        return reply(_view(batch, jobs))

    async def results(self, request: Request) -> Response:
        """Return JSON Lines, one per item, also while the batch runs."""
        _, jobs = await self._get(request)
        lines = b"".join(dump(_result(job)) + b"\n" for job in jobs)
        return Response(lines, media_type="application/jsonl")

    async def cancel(self, request: Request) -> Response:
        """Cancel what is queued; what is being carried out finishes."""
        key, now = request.path_params["batch_id"], self._desk.clock.now()

        def work(db: sqlite3.Connection) -> tuple[BatchRow, list[JobRow]]:
            batch = _refresh(db, _present(db, key), now)
            if batch.status in _FINAL:
                raise ApiError(409, f"batch_{batch.status}", f"The batch is {batch.status}.")
            for job in JOBS.select(db, "batch_id = ? AND status = 'queued'", [key]):
                JOBS.put(db, canceled(job, "batch_canceled", "The batch was canceled.", now))
            BATCHES.put(db, dataclasses.replace(batch, status="canceling"))
            batch = _refresh(db, _present(db, key), now)
            return batch, JOBS.select(db, "batch_id = ?", [key])

        batch, jobs = await self._desk.state.write(work)
        return reply(_view(batch, jobs), 202)

    async def delete(self, request: Request) -> Response:
        """Delete a final batch and its items."""
        key, now = request.path_params["batch_id"], self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            batch = _refresh(db, _present(db, key), now)
            if batch.status not in _FINAL:
                raise ApiError(409, "batch_not_terminal", f"The batch is {batch.status}.")
            JOBS.drop(db, "batch_id = ?", [key])
            BATCHES.drop(db, "id = ?", [key])

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def _get(self, request: Request) -> tuple[BatchRow, list[JobRow]]:
        key, now = request.path_params["batch_id"], self._desk.clock.now()

        def work(db: sqlite3.Connection) -> tuple[BatchRow, list[JobRow]]:
            batch = _refresh(db, _present(db, key), now)
            return batch, JOBS.select(db, "batch_id = ?", [key])

        return await self._desk.state.write(work)


def _present(db: sqlite3.Connection, key: str) -> BatchRow:
    batch = BATCHES.get(db, key)
    if batch is None:
        raise missing("batch", key)
    return batch


def _ready(db: sqlite3.Connection, wish: AnalyzeRequest) -> AssetRow:
    asset = ASSETS.get(db, wish.source.value)
    if asset is None or asset.hidden:
        raise missing("asset", wish.source.value)
    if asset.status != "ready":
        raise ApiError(409, "asset_not_ready", "An asset is not ready.", details={"asset_id": asset.id})
    return asset


def _refresh(db: sqlite3.Connection, batch: BatchRow, now: float) -> BatchRow:
    """Return the batch as its items and the clock make it, and store what has become final."""
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
