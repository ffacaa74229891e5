"""v1.3: assets put into an index, and the older view of the same records, ``videos``."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused
from pipeline.local.api import index_lookup
from pipeline.local.api.context import ApiContext, json_body, read_forced_outcome
from pipeline.local.api.filters import SIZES, TIMES, Column, listed
from pipeline.local.api.responses import API, flag, metadata_of, new_id, reply, time_text
from pipeline.local.errors import ApiError, invalid, missing, unsupported
from pipeline.local.jobs.indexing import STATUSES, estimate
from pipeline.local.state import ledger
from pipeline.local.state.tables import ASSETS, VIDEOS, AssetRow, VideoRow

_COLUMNS = {"filename": Column("title"), **SIZES, **TIMES}

_LEGACY = "Upload to /assets, then index the asset; or speak v1.2, whose way this was."


class IndexedRoutes:
    """``/indexes/{id}/indexed-assets``, ``/indexes/{id}/videos`` and ``/assets/{id}/indexed-assets``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        assets, videos = f"{API}/indexes/{{index_id}}/indexed-assets", f"{API}/indexes/{{index_id}}/videos"
        return [
            Route(assets, self.create, methods=["POST"]),
            Route(assets, self.page, methods=["GET"]),
            Route(videos, self.page_videos, methods=["GET"]),
            *(
                route
                for one in (f"{assets}/{{video_id}}", f"{videos}/{{video_id}}")
                for route in (
                    Route(one, self.show, methods=["GET"]),
                    Route(one, self.change, methods=["PATCH"]),
                    Route(one, self.delete, methods=["DELETE"]),
                )
            ),
            Route(f"{API}/assets/{{asset_id}}/indexed-assets", self.of_asset, methods=["GET"]),
            Route(f"{API}/tasks", self.legacy, methods=["GET", "POST"]),
            Route(f"{API}/tasks/{{rest:path}}", self.legacy, methods=["GET", "POST", "DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Put an asset into an index: once more each time it is asked, so clients must look first."""
        key, body = request.path_params["index_id"], await json_body(request)
        asset_id, metadata = body.get("asset_id"), metadata_of(body.get("user_metadata") or {})
        if not isinstance(asset_id, str) or not asset_id:
            raise ApiError(400, "parameter_not_provided", "The asset_id parameter is required.")
        flag({"enable_video_stream": str(body.get("enable_video_stream", "")).lower()}, "enable_video_stream", False)
        now, forced_outcome = self._desk.clock.now(), read_forced_outcome(request)

        def work(db: sqlite3.Connection) -> VideoRow:
            index, asset = index_lookup.index_of(db, key), ASSETS.get(db, asset_id)
            if asset is None or asset.hidden:
                raise missing("asset", asset_id)
            if asset.status != "ready":
                raise ApiError(400, "asset_unavailable", "The asset is not ready.", details={"asset_id": asset.id})
            video = _new(index.id, asset, now, estimate(self._desk.limits, asset.duration), forced_outcome, metadata)
            VIDEOS.add(db, video)
            minutes = round(asset.duration / 60, 4)
            ledger.enter(db, self._desk.entry(request, "indexed", video.id, asset.filename, minutes))
            return video

        video = await self._desk.state.write(work)
        if forced_outcome != "stuck":
            self._desk.work.push_video(video.id)
        place = {"Location": f"{API}/indexes/{key}/indexed-assets/{video.id}"}
        return reply({"_id": video.id, "asset_id": asset_id}, 202, place)

    async def page(self, request: Request) -> Response:
        """List the indexed assets of an index, whatever their status; other parameters look into their metadata."""
        statuses = request.query_params.getlist("status")
        if any(status not in STATUSES for status in statuses):
            raise invalid(f"The status parameter must be one of {', '.join(STATUSES)}.")
        marks = ", ".join(f"'{status}'" for status in statuses)
        return await self._list(request, {"gone = 0": None, **({f"status IN ({marks})": None} if marks else {})})

    async def page_videos(self, request: Request) -> Response:
        """List the videos of an index: what is ready."""
        return await self._list(request, {index_lookup.SHOWN: None}, state=False)

    async def _list(self, request: Request, beside: Mapping[str, Json], *, state: bool = True) -> Response:
        key = request.path_params["index_id"]
        beside = {"index_id = ?": key, **beside}
        wanted = listed(
            request.query_params, _COLUMNS, beside=beside, metadata="videos.user_metadata", known={"status"}
        )

        def work(db: sqlite3.Connection) -> tuple[int, list[VideoRow]]:
            index_lookup.index_of(db, key)
            return wanted.fetch(db, VIDEOS)

        total, found = await self._desk.state.read(work)
        data = [_view(video, state=state) for video in found]
        return reply({"data": data, "page_info": wanted.page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one record, with its metadata and, if asked for, what is said in it."""
        if request.query_params.getlist("embedding_option"):
            raise unsupported("embeddings", "Ask without embedding_option, or use the Twelve Labs API.")
        asset_view = "/indexed-assets/" in request.url.path
        video = await self._desk.state.read(lambda db: _present(db, request, ready=not asset_view))
        view = _view(video, state=asset_view)
        if video.user_metadata:
            view["user_metadata"] = video.user_metadata
        wanted = flag(request.query_params, "transcription", default=False)
        if wanted and video.status == "ready" and "conversation" not in video.unread:
            view["transcription"] = await self._said(video)
        return reply(view)

    async def _said(self, video: VideoRow) -> list[Json]:
        asset = await self._desk.state.read(lambda db: index_lookup.asset_of(db, video))
        try:
            words = await self._desk.work.words(asset)
        except (AnalysisRefused, AnalysisCrashed) as error:
            raise ApiError(500, "internal_error", str(error)) from None
        return [{"start": c.start, "end": c.end, "value": c.text} for c in words.of("conversation")]

    async def change(self, request: Request) -> Response:
        """Merge user metadata; null removes a field."""
        body = await json_body(request)
        given = metadata_of(body.get("user_metadata"))
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            video = _present(db, request)
            merged = {**video.user_metadata, **given}
            VIDEOS.put(db, dataclasses.replace(video, user_metadata=_kept(merged), updated=now))

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Take a video out of its index, at any time; an asset that was indexed stays."""
        orphan = await self._desk.state.write(lambda db: index_lookup.remove(db, _present(db, request), keep_task=True))
        await self._desk.discard_blob(orphan)
        return Response(status_code=204)

    async def of_asset(self, request: Request) -> Response:
        """List where an asset is indexed."""
        key = request.path_params["asset_id"]
        wanted = listed(request.query_params, {}, beside={"asset_id = ?": key, "gone = 0": None})

        def work(db: sqlite3.Connection) -> tuple[int, list[Json]]:
            asset = ASSETS.get(db, key)
            if asset is None or asset.hidden:
                raise missing("asset", key)
            total, found = wanted.fetch(db, VIDEOS)
            return total, [{"_id": v.id, "index": _index_view(db, v)} for v in found]

        total, data = await self._desk.state.read(work)
        return reply({"data": data, "page_info": wanted.page.info(total)})

    async def legacy(self, request: Request) -> Response:
        """Refuse the vendor's older way of uploading into an index, and say which ways there are."""
        raise unsupported("indexing tasks on v1.3", _LEGACY)


def _new(
    index_id: str, asset: AssetRow, now: float, seconds: float, forced_outcome: str, metadata: Mapping[str, Json]
) -> VideoRow:
    return VideoRow(
        id=new_id(now),
        index_id=index_id,
        asset_id=asset.id,
        status="validating",
        filename=asset.filename,
        created=now,
        updated=now,
        title=asset.filename,
        estimated=now + seconds,
        forced_outcome=forced_outcome,
        user_metadata=_kept(metadata),
    )


def _kept(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields that say something: empty texts and lists and nulls are not stored."""
    return {name: value for name, value in metadata.items() if value is not None and value not in ("", [])}


def _present(db: sqlite3.Connection, request: Request, *, ready: bool = False) -> VideoRow:
    index_id, key = request.path_params["index_id"], request.path_params["video_id"]
    index_lookup.index_of(db, index_id)
    video = VIDEOS.get(db, key)
    if video is None or video.gone or video.index_id != index_id or (ready and video.status != "ready"):
        raise missing("indexed asset", key)
    return video


def _index_view(db: sqlite3.Connection, video: VideoRow) -> dict[str, Json]:
    index = index_lookup.index_of(db, video.index_id)
    return {"_id": index.id, "name": index.name}


def _view(video: VideoRow, *, state: bool) -> dict[str, Json]:
    view: dict[str, Json] = {
        "_id": video.id,
        "asset_id": video.asset_id,
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
    }
    if state:
        view["status"] = video.status
    if video.indexed:
        view["indexed_at"] = time_text(video.indexed)
    return {**view, "system_metadata": facts_of(video)}


def facts_of(video: VideoRow) -> dict[str, Json]:
    """Return what was measured of a video, as both dialects name it."""
    return {
        "filename": video.title,
        "duration": video.duration,
        "fps": video.fps,
        "width": video.width,
        "height": video.height,
        "size": video.size,
    }
