"""v1.2: the videos of an index, what is said and shown in them, and their pictures."""

from __future__ import annotations

import dataclasses
import sqlite3

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused
from pipeline.local.api import index_lookup
from pipeline.local.api.context import ApiContext, json_body
from pipeline.local.api.filters import SIZES, TIMES, Column, listed
from pipeline.local.api.responses import OLD, flag, metadata_of, reply, time_text
from pipeline.local.api.v1_3.indexed import facts_of
from pipeline.local.errors import ApiError, invalid, unsupported
from pipeline.local.state.tables import VIDEOS, IndexRow, VideoRow

_COLUMNS = {
    "_id": Column("id"),
    "filename": Column("title"),
    **SIZES,
    **TIMES,
    "indexed_at": Column("indexed", "time"),
}
#: Metadata that is measured or the platform's own; it cannot be overwritten.
_MEASURED = frozenset({"filename", "duration", "fps", "width", "height", "size", "engine_ids"})

_UNREAD = {
    "conversation": ("speech without captions", "Give captions with the upload, or use the Twelve Labs API."),
    "text_in_video": ("on-screen text without the program tesseract", "Install it, or use the Twelve Labs API."),
}

_WORDS = {"transcription": "conversation", "text-in-video": "text_in_video"}


class VideoRoutes:
    """``/indexes/{id}/videos``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        base = f"{OLD}/indexes/{{index_id}}/videos"
        one = f"{base}/{{video_id}}"
        return [
            Route(base, self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.change, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            *(Route(f"{one}/{name}", self.words, methods=["GET"]) for name in _WORDS),
            Route(f"{one}/logo", self.logo, methods=["GET"]),
            Route(f"{one}/thumbnail", self.thumbnail, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """List videos; parameters that are no field of the API look into the videos' own metadata."""
        key = request.path_params["index_id"]
        beside = {"index_id = ?": key, index_lookup.SHOWN: None}
        wanted = listed(request.query_params, _COLUMNS, beside=beside, metadata="videos.user_metadata")

        def work(db: sqlite3.Connection) -> tuple[int, list[dict[str, Json]]]:
            index = index_lookup.index_of(db, key)
            total, found = wanted.fetch(db, VIDEOS)
            return total, [_view(video, index) for video in found]

        total, data = await self._desk.state.read(work)
        return reply({"data": data, "page_info": wanted.page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one video."""
        if flag(request.query_params, "embed", default=False):
            raise unsupported("embeddings", "Ask without embed, or use the Twelve Labs API.")
        video, index = await self._desk.state.read(lambda db: _present(db, request))
        return reply(_view(video, index))

    async def change(self, request: Request) -> Response:
        """Give a video a title and metadata of its own; null removes a field."""
        body = await json_body(request)
        title, given = body.get("video_title"), metadata_of(body.get("metadata") or {})
        if title is not None and (not isinstance(title, str) or not title.strip()):
            raise invalid("The video_title parameter must be a text.")
        if taken := sorted(_MEASURED & set(given)):
            raise invalid(f"The metadata field {taken[0]!r} is the platform's own and cannot be set.")
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            video, _ = _present(db, request)
            merged = {k: v for k, v in {**video.user_metadata, **given}.items() if v is not None}
            changed = dataclasses.replace(video, title=title or video.title, user_metadata=merged, updated=now)
            VIDEOS.put(db, changed)

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Delete a video with its file; its task stays until it is deleted too."""
        orphan = await self._desk.state.write(
            lambda db: index_lookup.remove(db, _present(db, request)[0], keep_task=True)
        )
        await self._desk.discard_blob(orphan)
        return Response(status_code=204)

    async def words(self, request: Request) -> Response:
        """Return captions or on-screen text, whole or between ``start`` and ``end``; ``data`` is null without any."""
        kind = _WORDS[request.url.path.rpartition("/")[2]]
        start, end = _time(request, "start", 0.0), _time(request, "end", float("inf"))
        video, _ = await self._desk.state.read(lambda db: _present(db, request))
        if kind in video.unread:  # nothing would read as "nothing said" or "nothing written"
            raise unsupported(*_UNREAD[kind])
        asset = await self._desk.state.read(lambda db: index_lookup.asset_of(db, video))
        try:
            found = await self._desk.work.words(asset)
        except (AnalysisRefused, AnalysisCrashed) as error:
            raise ApiError(500, "internal_error", str(error)) from None
        inside = [c for c in found.of(kind) if c.end > start and c.start < end]
        data: Json = [{"start": c.start, "end": c.end, "value": c.text} for c in inside] or None
        return reply({"id": video.id, "index_id": video.index_id, "data": data})

    async def logo(self, request: Request) -> Response:
        """Refuse: an empty list would read as "no logo there"."""
        await self._desk.state.read(lambda db: _present(db, request))
        raise unsupported("logos", "That needs a model that knows brands: the Twelve Labs API.")

    async def thumbnail(self, request: Request) -> Response:
        """Return the address of a picture, by default from the middle of the video; it works for an hour."""
        video, index = await self._desk.state.read(lambda db: _present(db, request))
        if "thumbnail" not in index.addons:
            raise invalid("The index was made without the addon 'thumbnail'.")
        at = _time(request, "time", video.duration / 2)
        if at > video.duration:
            raise invalid("The time parameter lies behind the end of the video.")
        return reply({"thumbnail": self._desk.thumbnail(video.id, at)})


def _present(db: sqlite3.Connection, request: Request) -> tuple[VideoRow, IndexRow]:
    index = index_lookup.index_of(db, request.path_params["index_id"])
    return index_lookup.video_of(db, request.path_params["video_id"], index.id), index


def _time(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise invalid(f"The {name} parameter must be a time in seconds.")
    return value


def _view(video: VideoRow, index: IndexRow) -> dict[str, Json]:
    engines: list[Json] = [model["model_name"] for model in index.models]
    return {
        "_id": video.id,
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
        "indexed_at": time_text(video.indexed),
        "metadata": {**video.user_metadata, **facts_of(video), "engine_ids": engines},
    }
