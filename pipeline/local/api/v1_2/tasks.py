"""v1.2: indexing tasks. A file, an address or a YouTube address goes into an index and becomes a video there."""

from __future__ import annotations

import mimetypes
import sqlite3
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.api import index_lookup
from pipeline.local.api.context import ApiContext, discard, json_body, read_forced_outcome
from pipeline.local.api.filters import SIZES, TIMES, Column, listed
from pipeline.local.api.forms import read_form
from pipeline.local.api.responses import OLD, ParsedForm, flag, new_id, reply, time_text
from pipeline.local.errors import ApiError, invalid, missing, unsupported
from pipeline.local.jobs.indexing import FINAL, STATUSES, estimate
from pipeline.local.jobs.media_library import LibraryVideo, youtube_id
from pipeline.local.jobs.youtube_fetch import PENDING
from pipeline.local.state import ledger
from pipeline.local.state.database import move_into_place
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


class TaskRoutes:
    """``/tasks``, ``/tasks/external-provider`` and ``/tasks/status``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes; fixed names come before ids."""
        base = f"{OLD}/tasks"
        return [
            Route(base, self.create, methods=["POST"]),
            Route(base, self.page, methods=["GET"]),
            Route(f"{base}/external-provider", self.external, methods=["POST"]),
            Route(f"{base}/status", self.counts, methods=["GET"]),
            Route(f"{base}/{{task_id}}", self.show, methods=["GET"]),
            Route(f"{base}/{{task_id}}", self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Take a file or an address; bytes and task are on disk before the answer leaves."""
        half = self._desk.state.incoming()
        try:
            form = await read_form(request, half, self._desk.limits.task_bytes, "video_file")
            asset = self._uploaded(form, read_forced_outcome(request))
            if asset.method == "direct":
                await self._desk.state.run_file_work(lambda: move_into_place(half, self._desk.state.blob(asset.id)))
        finally:
            discard(half)
        try:
            video = await self._accept(request, form.fields.get("index_id"), asset, "task_created", asset.filename)
        except ApiError:
            await self._desk.discard_blob(asset.id)
            raise
        return reply({"_id": video.task_id})

    async def external(self, request: Request) -> Response:
        """Take a YouTube address: its video lies in the media folder, else it is fetched, where the platform can do that.

        What must be fetched is accepted at once and stays in validating until its file is there.
        """
        body = await json_body(request)
        url = body.get("url")
        key = youtube_id(url)
        if key is None or not isinstance(url, str):
            raise invalid("The url parameter must be the address of a YouTube video.")
        held = await self._held(key)
        now = self._desk.clock.now()
        beside = (("title", held.title), ("captions", held.captions)) if held is not None else ()
        title = held.title if held is not None else ""
        asset = AssetRow(
            id=new_id(now),
            method="url",
            status="processing",
            filename=title or key,
            file_type=(mimetypes.guess_type(held.path.name)[0] or "") if held is not None else "",
            created=now,
            url=url,
            forced_outcome=_asset_outcome(read_forced_outcome(request)),
            user_metadata={name: text for name, text in beside if text},
            technical=PENDING if held is None else {},
        )
        # Without a title beside the file it is not known before the file was fetched or looked at.
        video = await self._accept(request, body.get("index_id"), asset, "external_task_created", url, title)
        return reply({"_id": video.task_id}, 201)

    async def _held(self, key: str) -> LibraryVideo | None:
        """Return what the media folder has, or None where it is to be fetched; raises ApiError (400)."""
        library = self._desk.library
        held = await self._desk.state.run_file_work(lambda: library.find(key)) if library is not None else None
        if held is not None or self._desk.fetches:
            return held
        if library is None:
            raise unsupported(
                "downloads from YouTube", "Serve it with --media DIR, a folder of files named by video id, or upload."
            )
        raise unsupported(
            "downloads from YouTube",
            f"The media folder has no file named {key}.mp4 (or .mkv, .webm ...): put it there, or upload it.",
        )

    def _uploaded(self, form: ParsedForm, forced_outcome: str) -> AssetRow:
        """Read an upload form; raises ApiError (400)."""
        address, has_file = form.fields.get("video_url", ""), form.file_size >= 0
        if bool(address) == has_file:
            raise ApiError(400, "parameter_not_provided", "Exactly one of video_file and video_url is required.")
        if form.file_size == 0:
            raise ApiError(400, "video_file_broken", "The file is empty.")
        if form.fields.get("language", "en") != "en":
            raise invalid("The language parameter must be 'en'.")
        if form.fields.get("transcription_url"):
            raise unsupported("transcriptions by address", "Send the text as transcription_file.")
        flag(form.fields, "disable_video_stream", default=False)
        if address and youtube_id(address):
            raise invalid("The video_url is a page of YouTube, not a media file; see /tasks/external-provider.")
        url = self._desk.policy.check(address) if address else ""
        captions = form.fields.get("transcription_file", "")
        given = flag(form.fields, "provide_transcription", default=False)
        if given and not captions:
            raise ApiError(400, "parameter_not_provided", "The transcription_file parameter is required.")
        now = self._desk.clock.now()
        name = (unquote(PurePosixPath(urlsplit(url).path).name) if url else form.file_name) or "upload"
        return AssetRow(
            id=new_id(now),
            method="url" if url else "direct",
            status="processing",
            filename=name,
            file_type=mimetypes.guess_type(name)[0] or form.file_type or "",
            created=now,
            url=url,
            forced_outcome=_asset_outcome(forced_outcome),
            user_metadata={"captions": captions} if given else {},
        )

    async def _accept(
        self, request: Request, index_id: object, asset: AssetRow, effect: str, key: str, name: str | None = None
    ) -> VideoRow:
        """Commit asset, task and ledger entry together and set the asset going."""
        if not isinstance(index_id, str) or not index_id:
            raise ApiError(400, "parameter_not_provided", "The index_id parameter is required.")
        now, forced_outcome = self._desk.clock.now(), read_forced_outcome(request)
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
            estimated=now + estimate(self._desk.limits, 60.0),  # of a usual video, until its length is known
            forced_outcome=forced_outcome,
        )

        def work(db: sqlite3.Connection) -> None:
            index_lookup.index_of(db, index_id)
            ASSETS.add(db, asset)
            VIDEOS.add(db, video)
            ledger.enter(db, self._desk.entry(request, effect, video.task_id, key))

        await self._desk.state.write(work)
        if forced_outcome != "stuck":
            self._desk.work.push_asset(asset.id)
        return video

    async def page(self, request: Request) -> Response:
        """List tasks, newest first unless said otherwise."""
        wanted = listed(request.query_params, _COLUMNS, beside={"task_id <> ''": None})

        def look(db: sqlite3.Connection) -> tuple[int, list[tuple[VideoRow, Mapping[str, Json]]]]:
            total, found = wanted.fetch(db, VIDEOS)
            return total, [(video, _refusal(db, video)) for video in found]

        total, found = await self._desk.state.read(look)
        now = self._desk.clock.now()
        views = [task_view(video, now, refusal) for video, refusal in found]
        return reply({"data": views, "page_info": wanted.page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one task."""
        key = request.path_params["task_id"]

        def look(db: sqlite3.Connection) -> tuple[VideoRow, Mapping[str, Json]]:
            video = _task(db, key)
            return video, _refusal(db, video)

        video, refusal = await self._desk.state.read(look)
        return reply(task_view(video, self._desk.clock.now(), refusal))

    async def counts(self, request: Request) -> Response:
        """Count the tasks of an index by status."""
        key = request.query_params.get("index_id", "")

        def work(db: sqlite3.Connection) -> Mapping[str, int]:
            index_lookup.index_of(db, key)
            rows = db.execute(
                "SELECT status, count(*) FROM videos WHERE index_id = ? AND task_id <> '' GROUP BY status", [key]
            )
            return dict(rows.fetchall())

        found = await self._desk.state.read(work)
        numbers = {status: found.get(status, 0) for status in STATUSES}
        return reply({"index_id": key, **numbers, "total_result": sum(found.values())})

    async def delete(self, request: Request) -> Response:
        """Delete a task that has failed, or whose video was deleted."""
        key = request.path_params["task_id"]

        def work(db: sqlite3.Connection) -> str:
            video = _task(db, key)
            if video.status not in FINAL:
                raise ApiError(400, "task_cannot_be_deleted", f"The task is {video.status}.")
            if video.status == "ready" and not video.gone:
                raise ApiError(400, "task_cannot_be_deleted", "The task has a video, which must be deleted before.")
            return index_lookup.remove(db, video)

        await self._desk.discard_blob(await self._desk.state.write(work))
        return Response(status_code=204)


def task_view(video: VideoRow, now: float, refusal: Mapping[str, Json] = MappingProxyType({})) -> dict[str, Json]:
    """Return a task as v1.2 shows it; a refusal of the site behind an address goes beyond what the vendor told."""
    view: dict[str, Json] = {
        "_id": video.task_id,
        "index_id": video.index_id,
        "status": video.status,
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
        "estimated_time": time_text(video.estimated),
        "metadata": {
            "duration": video.duration,
            "filename": video.filename,
            "height": video.height,
            "width": video.width,
        },
        "type": "index_task_info",
    }
    if video.status == "ready":
        view["video_id"] = video.id
    if refusal:
        again = {"again_at": time_text(float(refusal["again_at"]))} if "again_at" in refusal else {}
        view["error"] = {**refusal, **again}
    if video.status not in FINAL:
        view["process"] = _progress(video, now)
    return view


def _refusal(db: sqlite3.Connection, video: VideoRow) -> Mapping[str, Json]:
    """Return why the file of a failed task could not be fetched; empty where it failed otherwise."""
    asset = ASSETS.get(db, video.asset_id) if video.status == "failed" else None
    refusal = asset.technical.get("refusal") if asset is not None else None
    return refusal if isinstance(refusal, dict) else {}


def _progress(video: VideoRow, now: float) -> dict[str, Json]:
    """Return how far it should be by the estimate; what is not done is never shown as done."""
    whole = max(video.estimated - video.created, 0.001)
    left = max(0.0, video.estimated - now)
    return {"percentage": round(min(99.0, 100 * (1 - left / whole)), 1), "remain_seconds": round(left, 1)}


def _asset_outcome(forced_outcome: str) -> str:
    """What a fault rule makes fail is the task; what it makes stick must not even arrive."""
    return forced_outcome if forced_outcome == "stuck" else ""


def _task(db: sqlite3.Connection, key: str) -> VideoRow:
    found = VIDEOS.select(db, "task_id = ?", [key], limit=1) if key else []
    if not found:
        raise missing("task", key)
    return found[0]
