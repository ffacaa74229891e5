"""v1.2: indexing tasks, from a file, an address or a YouTube address."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from sqlite3 import Connection
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body, parse
from pipeline.local.api.http.fields import FormFlag, Id, must_be
from pipeline.local.api.http.forms import ParsedForm, read_form
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import SIZES, TIMES, Column, parse_list
from pipeline.local.api.http.responses import json_response, new_id, pick, time_text
from pipeline.local.api.index_lookup import find_index, remove_video
from pipeline.local.errors import ApiError, invalid, missing, not_provided, unsupported
from pipeline.local.jobs.indexing import FINAL, STATUSES, estimate
from pipeline.local.jobs.media_library import LibraryVideo, youtube_id
from pipeline.local.jobs.youtube_fetch import PENDING
from pipeline.local.state.tables import ASSETS, VIDEOS, AssetRow, VideoRow

_COLUMNS = {
    "_id": Column("task_id"),
    "index_id": Column("index_id"),
    "filename": Column("filename"),
    "status": Column("status"),
    "duration": SIZES["duration"],
    "width": SIZES["width"],
    "height": SIZES["height"],
    "estimated_time": Column("estimated", "time"),
    **TIMES,
}


def _youtube_address(url: str) -> str:
    if youtube_id(url) is None:
        raise ValueError
    return url


class TaskForm(Body):
    """The form of ``POST /tasks``."""

    video_url: str = ""
    language: Annotated[Literal["en"], must_be("'en'")] = "en"
    transcription_url: str = ""
    transcription_file: str = ""
    provide_transcription: FormFlag = False
    disable_video_stream: FormFlag = False
    index_id: str = ""


class ExternalTaskBody(Body):
    """The body of ``POST /tasks/external-provider``."""

    url: Annotated[str, AfterValidator(_youtube_address), must_be("the address of a YouTube video")]
    index_id: Id


async def create_task(context: ApiContext, request: Request) -> Response:
    """Take a file or an address; bytes and task are on disk first."""
    received = context.state.incoming()
    try:
        upload = await read_form(request, received, context.limits.task_bytes, "video_file")
        form = parse(TaskForm, upload.fields())
        asset = _build_asset(context, form, upload, read_forced_outcome(request))
        if asset.method == "direct":
            await context.keep_blob(received, asset.id)
    finally:
        received.unlink(missing_ok=True)
    try:
        video = await _accept(context, request, form.index_id, asset, "task_created", asset.filename)
    except ApiError:
        await context.discard_blob(asset.id)
        raise
    return json_response({"_id": video.task_id})


def _build_asset(context: ApiContext, form: TaskForm, upload: ParsedForm, forced_outcome: str) -> AssetRow:
    """Return the asset of an upload form; raises ApiError (400)."""
    if bool(form.video_url) == (upload.file_size >= 0):
        raise not_provided("Exactly one of video_file and video_url is required.")
    if upload.file_size == 0:
        raise ApiError(400, "video_file_broken", "The file is empty.")
    if form.transcription_url:
        raise unsupported("transcriptions by address", "Send the text as transcription_file.")
    if youtube_id(form.video_url):
        raise invalid("The video_url is a page of YouTube, not a media file; see /tasks/external-provider.")
    url = context.policy.check(form.video_url) if form.video_url else ""
    if form.provide_transcription and not form.transcription_file:
        raise not_provided("The transcription_file parameter is required.")
    now = context.clock.now()
    name = (unquote(PurePosixPath(urlsplit(url).path).name) if url else upload.file_name) or "upload"
    return AssetRow(
        id=new_id(now),
        method="url" if url else "direct",
        status="processing",
        filename=name,
        file_type=mimetypes.guess_type(name)[0] or upload.file_type or "",
        created=now,
        url=url,
        forced_outcome=_asset_outcome(forced_outcome),
        user_metadata={"captions": form.transcription_file} if form.provide_transcription else {},
    )


async def create_external_task(context: ApiContext, request: Request, body: ExternalTaskBody) -> Response:
    """Take a YouTube address: from the media folder, else fetched.

    What must be fetched is accepted at once and stays in validating until its file is there.
    """
    key = youtube_id(body.url) or ""
    held = await _find_in_library(context, key)
    now = context.clock.now()
    beside = {"title": held.title, "captions": held.captions} if held is not None else {}
    title = beside.get("title", "")
    asset = AssetRow(
        id=new_id(now),
        method="url",
        status="processing",
        filename=title or key,
        file_type=(mimetypes.guess_type(held.path.name)[0] or "") if held is not None else "",
        created=now,
        url=body.url,
        forced_outcome=_asset_outcome(read_forced_outcome(request)),
        user_metadata={name: text for name, text in beside.items() if text},
        technical=PENDING if held is None else {},
    )
    # Without a title beside the file it is not known before the file was fetched or looked at.
    video = await _accept(context, request, body.index_id, asset, "external_task_created", body.url, title)
    return json_response({"_id": video.task_id}, 201)


async def _find_in_library(context: ApiContext, key: str) -> LibraryVideo | None:
    """Return the media folder's file, or None; raises ApiError (400)."""
    library = context.library
    held = await context.state.run_file_work(lambda: library.find(key)) if library is not None else None
    if held is not None or context.fetches:
        return held
    if library is None:
        way_out = "Serve it with --media DIR, a folder of files named by video id, or upload."
    else:
        way_out = f"The media folder has no file named {key}.mp4 (or .mkv, .webm ...): put it there, or upload it."
    raise unsupported("downloads from YouTube", way_out)


async def _accept(
    context: ApiContext,
    request: Request,
    index_id: str,
    asset: AssetRow,
    effect: str,
    key: str,
    name: str | None = None,
) -> VideoRow:
    """Commit asset, task and ledger entry together, and queue the asset."""
    if not index_id:
        raise not_provided("The index_id parameter is required.")
    now, forced_outcome = context.clock.now(), read_forced_outcome(request)
    video = VideoRow(
        id=new_id(now),
        index_id=index_id,
        asset_id=asset.id,
        status="validating",
        filename=asset.filename if name is None else name,
        created=now,
        updated=now,
        title=asset.filename,
        task_id=new_id(now),
        estimated=now + estimate(context.limits, 60.0),  # of a usual video, until its length is known
        forced_outcome=forced_outcome,
    )

    def work(db: Connection) -> None:
        find_index(db, index_id)
        ASSETS.add(db, asset)
        VIDEOS.add(db, video)
        context.record(db, request, effect, video.task_id, key)

    await context.write(work)
    if forced_outcome != "stuck":
        context.work.push_asset(asset.id)
    return video


def list_tasks(context: ApiContext, request: Request, db: Connection) -> Response:
    """List tasks, newest first unless said otherwise."""
    wanted, now = parse_list(request.query_params, _COLUMNS, conditions={"task_id <> ''": None}), context.clock.now()
    return wanted.respond(db, VIDEOS, lambda video: _view(db, video, now))


def show_task(context: ApiContext, db: Connection, task_id: str) -> Response:
    """Show one task."""
    return json_response(_view(db, _task(db, task_id), context.clock.now()))


def count_tasks(request: Request, db: Connection) -> Response:
    """Count the tasks of an index by status."""
    key = request.query_params.get("index_id", "")
    find_index(db, key)
    rows = db.execute("SELECT status, count(*) FROM videos WHERE index_id = ? AND task_id <> '' GROUP BY status", [key])
    found = dict(rows.fetchall())
    numbers = {status: found.get(status, 0) for status in STATUSES}
    return json_response({"index_id": key, **numbers, "total_result": sum(found.values())})


async def delete_task(context: ApiContext, task_id: str) -> None:
    """Delete a task that has failed, or whose video was deleted."""

    def work(db: Connection) -> str:
        video = _task(db, task_id)
        if video.status not in FINAL:
            raise ApiError(400, "task_cannot_be_deleted", f"The task is {video.status}.")
        if video.status == "ready" and not video.gone:
            raise ApiError(400, "task_cannot_be_deleted", "The task has a video, which must be deleted before.")
        return remove_video(db, video)

    await context.discard_blob(await context.write(work))


def _view(db: Connection, video: VideoRow, now: float) -> dict[str, Json]:
    """Return a task as v1.2 shows it, with the reason of a failed fetch."""
    view: dict[str, Json] = {
        "_id": video.task_id,
        **pick(video, "index_id", "status"),
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
        "estimated_time": time_text(video.estimated),
        "metadata": pick(video, "duration", "filename", "height", "width"),
        "type": "index_task_info",
    }
    if video.status == "ready":
        view["video_id"] = video.id
    if refusal := _refusal(db, video):
        again = {"again_at": time_text(float(refusal["again_at"]))} if "again_at" in refusal else {}
        view["error"] = {**refusal, **again}
    if video.status not in FINAL:
        view["process"] = _progress(video, now)
    return view


def _refusal(db: Connection, video: VideoRow) -> Mapping[str, Json]:
    """Return why a failed task's file could not be fetched, or empty."""
    asset = ASSETS.get(db, video.asset_id) if video.status == "failed" else None
    refusal = asset.technical.get("refusal") if asset is not None else None
    return refusal if isinstance(refusal, dict) else {}


def _progress(video: VideoRow, now: float) -> dict[str, Json]:
    """Return the estimated progress; what is not done is never shown as done."""
    whole = max(video.estimated - video.created, 0.001)
    left = max(0.0, video.estimated - now)
    return {"percentage": round(min(99.0, 100 * (1 - left / whole)), 1), "remain_seconds": round(left, 1)}


def _asset_outcome(forced_outcome: str) -> str:
    """What a fault rule makes fail is the task; a stuck one never arrives."""
    return forced_outcome if forced_outcome == "stuck" else ""


def _task(db: Connection, key: str) -> VideoRow:
    found = VIDEOS.select(db, "task_id = ?", [key], limit=1) if key else []
    if not found:
        raise missing("task", key)
    return found[0]
