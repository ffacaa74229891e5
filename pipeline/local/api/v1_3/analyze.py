"""Analysis: at once, streamed, or as tasks."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
import uuid
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Reply
from pipeline.local.api.context import ApiContext, json_body, read_forced_outcome
from pipeline.local.api.responses import API, PageRequest, dump, new_id, reply, time_text
from pipeline.local.api.v1_3.requests import AnalyzeRequest, VideoInput, read_sync, read_task
from pipeline.local.errors import ApiError, invalid, missing
from pipeline.local.jobs.worker import CUT_WARNING
from pipeline.local.state import ledger
from pipeline.local.state.database import move_into_place
from pipeline.local.state.tables import ASSETS, JOBS, REPLAYS, AssetRow, JobRow, ReplayRow

STATUSES = ("queued", "pending", "processing", "ready", "failed", "canceled")
#: Characters of one piece of a streamed answer: small and prime, so that pieces break anywhere.
_PIECE = 13


def job_view(job: JobRow, duration: float, *, brief: bool) -> dict[str, Json]:
    """Return a task as the API shows it; in lists (``brief``) prompts are short and results left out."""
    request = job.request
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
        "video_source": {**job.source, **({"system_metadata": {"duration": duration}} if duration else {})},
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


class AnalyzeRoutes:
    """``/analyze`` and ``/analyze/tasks``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = f"{API}/analyze/tasks/{{task_id}}"
        return [
            Route(f"{API}/analyze", self.now, methods=["POST"]),
            Route(f"{API}/analyze/tasks", self.create, methods=["POST"]),
            Route(f"{API}/analyze/tasks", self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
        ]

    # ---------------------------------------------------------------------------------------------------- at once

    async def now(self, request: Request) -> Response:
        """Answer in this very request. Billed when accepted, whether or not the answer is heard."""
        wish = read_sync(await json_body(request))
        inline = await self._inline(wish.source)
        generation = str(uuid.uuid4())

        def accept(db: sqlite3.Connection) -> AssetRow:
            asset = _asset_of(db, wish.source, inline)
            minutes = minutes_of(asset, wish)
            ledger.enter(db, self._desk.entry(request, "analyze_sync", generation, asset.filename, minutes))
            return asset

        asset = await self._desk.state.write(accept)
        try:
            found = await self._desk.work.answer(asset, wish.request, sync=True)
        except AnalysisRefused as refusal:
            raise ApiError(400, refusal.code, refusal.message) from None
        except AnalysisCrashed as error:
            raise ApiError(500, "internal_error", str(error)) from None
        if wish.stream:
            return StreamingResponse(streamed(found, generation), media_type="application/x-ndjson")
        return reply(
            {
                "id": generation,
                "data": found.text,
                "finish_reason": found.finish_reason,
                "usage": {"output_tokens": found.output_tokens, "input_tokens": found.input_tokens},
                **({"error": {"message": CUT_WARNING}} if found.finish_reason == "length" else {}),
            }
        )

    # ------------------------------------------------------------------------------------------------------- tasks

    async def create(self, request: Request) -> Response:
        """Accept a task. The same ``Idempotency-Key`` with the same body gives the same task again."""
        body = await json_body(request)
        wish = read_task(body)
        key = request.headers.get("idempotency-key", "")
        if len(key) > 255:
            raise invalid("The Idempotency-Key header has more than 255 characters.")
        print_ = hashlib.sha256(dump(body)).hexdigest()
        inline = await self._inline(wish.source)
        now = self._desk.clock.now()

        def accept(db: sqlite3.Connection) -> tuple[JobRow, bool]:
            replay = REPLAYS.get(db, key) if key else None
            if replay is not None:
                return self._replayed(db, replay, print_), False
            asset = _asset_of(db, wish.source, inline)
            if asset.status != "ready" and not asset.hidden:
                raise ApiError(400, "asset_unavailable", "The asset is not ready.", details={"asset_id": asset.id})
            job = job_of(wish, asset, now, forced_outcome=read_forced_outcome(request))
            JOBS.add(db, job)
            if key:
                REPLAYS.add(db, ReplayRow(key, print_, job.id, now))
            entry = self._desk.entry(request, "analyze_task_created", job.id, job.custom_id or key, job.minutes)
            ledger.enter(db, entry)
            return job, True

        job, new = await self._desk.state.write(accept)
        if new and job.forced_outcome != "stuck":
            self._desk.work.push_job(job.id)
        return reply({"task_id": job.id, "status": "queued" if new else job.status}, 202)

    def _replayed(self, db: sqlite3.Connection, replay: ReplayRow, print_: str) -> JobRow:
        if replay.body != print_:
            raise ApiError(
                self._desk.limits.key_conflict_status,
                "idempotency_key_reused",
                "The Idempotency-Key stands for another request.",
            )
        job = JOBS.get(db, replay.job_id)
        if job is None:
            raise missing("task", replay.job_id)
        return job

    async def page(self, request: Request) -> Response:
        """List tasks, newest first. There is no filter on ``custom_id``."""
        query = request.query_params
        page = PageRequest.of(query)
        where, values = ["1"], list[Json]()
        statuses = query.getlist("status")
        if any(status not in STATUSES for status in statuses):
            raise invalid(f"The status parameter must be one of {', '.join(STATUSES)}.")
        if statuses:
            where.append(f"status IN ({', '.join('?' * len(statuses))})")
            values += statuses
        for name, column in (("asset_id", "asset_id"), ("video_url", "video_url"), ("analysis_mode", "mode")):
            if value := query.get(name):
                where.append(f'"{column}" = ?')
                values.append(value)
        clause = " AND ".join(where)

        def work(db: sqlite3.Connection) -> tuple[int, list[JobRow], dict[str, float]]:
            found = JOBS.select(db, clause, values, newest_first=True, limit=page.limit, offset=page.offset)
            return JOBS.count(db, clause, values), found, _durations(db, found)

        total, found, lengths = await self._desk.state.read(work)
        data = [job_view(job, lengths.get(job.asset_id, 0.0), brief=True) for job in found]
        return reply({"data": data, "page_info": page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one task, with its result once it is ready."""
        key = request.path_params["task_id"]

        def work(db: sqlite3.Connection) -> tuple[JobRow, float]:
            job = _job(db, key)
            return job, _durations(db, [job]).get(job.asset_id, 0.0)

        job, duration = await self._desk.state.read(work)
        return reply(job_view(job, duration, brief=False))

    async def delete(self, request: Request) -> Response:
        """Delete a task that is not being carried out."""
        key = request.path_params["task_id"]

        def work(db: sqlite3.Connection) -> None:
            if _job(db, key).status == "processing":
                raise ApiError(409, "task_cannot_be_deleted", "The task is being processed.")
            JOBS.drop(db, "id = ?", [key])

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        """Cancel a task; once more changes nothing, a finished one is a conflict."""
        key = request.path_params["task_id"]
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            job = _job(db, key)
            if job.status in ("ready", "failed"):
                raise ApiError(409, "task_not_cancelable", f"The task is {job.status}.")
            if job.status != "canceled":
                JOBS.put(db, canceled(job, "user_canceled", "The task was canceled on request.", now))

        await self._desk.state.write(work)
        return reply({"task_id": key, "status": "canceled"})

    async def _inline(self, source: VideoInput) -> AssetRow | None:
        """Keep media that came inside the request, as a hidden asset; None where the source is an asset id."""
        if source.kind == "asset_id":
            return None
        now = self._desk.clock.now()
        url = self._desk.policy.check(source.value) if source.kind == "url" else ""
        asset = AssetRow(new_id(now), "inline", "processing", "inline", "", now, hidden=True, url=url)
        if source.kind == "base64_string":
            half = self._desk.state.incoming()

            def keep() -> None:
                half.write_bytes(source.content)
                move_into_place(half, self._desk.state.blob(asset.id))

            await self._desk.state.run_file_work(keep)
        return asset


def job_of(
    wish: AnalyzeRequest, asset: AssetRow, now: float, *, batch_id: str = "", forced_outcome: str = ""
) -> JobRow:
    """Return the queued job that a wish about an asset becomes."""
    return JobRow(
        id=new_id(now),
        asset_id=asset.id,
        status="queued",
        created=now,
        updated=now,
        custom_id=wish.custom_id,
        batch_id=batch_id,
        mode=wish.mode,
        video_url=wish.source.value if wish.source.kind == "url" else "",
        minutes=minutes_of(asset, wish),
        forced_outcome=forced_outcome,
        source=wish.source.as_json(),
        request=wish.request,
    )


def minutes_of(asset: AssetRow, wish: AnalyzeRequest) -> float:
    """Return the billed minutes: the window, or the whole video."""
    start = wish.request["start_time"] or 0.0
    end = wish.request["end_time"]
    until = asset.duration if end is None else min(end, asset.duration)
    return round(max(0.0, until - start) / 60, 4)


def canceled(job: JobRow, code: str, message: str, now: float) -> JobRow:
    """Return the job as canceled."""
    error: dict[str, Json] = {"code": code, "message": message}
    return dataclasses.replace(job, status="canceled", error=error, completed=now, updated=now)


def _asset_of(db: sqlite3.Connection, source: VideoInput, inline: AssetRow | None) -> AssetRow:
    if inline is not None:
        ASSETS.add(db, inline)
        return inline
    asset = ASSETS.get(db, source.value)
    if asset is None or asset.hidden:
        raise missing("asset", source.value)
    return asset


def _job(db: sqlite3.Connection, key: str) -> JobRow:
    job = JOBS.get(db, key)
    if job is None:
        raise missing("task", key)
    return job


def _durations(db: sqlite3.Connection, jobs: list[JobRow]) -> dict[str, float]:
    ids = sorted({job.asset_id for job in jobs})
    found = ASSETS.select(db, f"id IN ({', '.join('?' * len(ids))})", ids)
    return {asset.id: asset.duration for asset in found}


async def streamed(found: Reply, generation: str) -> AsyncIterator[bytes]:
    """Yield an answer as events, one JSON object a line."""
    yield dump({"event_type": "stream_start", "metadata": {"generation_id": generation}}) + b"\n"
    for at in range(0, len(found.text), _PIECE):
        yield dump({"event_type": "text_generation", "text": found.text[at : at + _PIECE]}) + b"\n"
    usage = {"output_tokens": found.output_tokens, "input_tokens": found.input_tokens}
    end = {"finish_reason": found.finish_reason, "metadata": {"generation_id": generation, "usage": usage}}
    yield dump({"event_type": "stream_end", **end}) + b"\n"
