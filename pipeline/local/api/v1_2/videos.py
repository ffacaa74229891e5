"""v1.2: the videos of an index, their words and their pictures."""

from __future__ import annotations

import dataclasses
import math
from sqlite3 import Connection
from typing import Annotated

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.analysis_replies import read_words, words_view
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import NOT_BLANK, OR_DEFAULT, Metadata, must_be
from pipeline.local.api.http.query import SIZES, TIMES, Column, parse_flag, parse_list, parse_number
from pipeline.local.api.http.responses import json_response, time_text
from pipeline.local.api.index_lookup import SHOWN, find_index, find_video, remove_video, video_facts, without_nulls
from pipeline.local.errors import invalid, unsupported
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


def _own(metadata: dict[str, Json]) -> dict[str, Json]:
    if taken := sorted(_MEASURED & set(metadata)):
        raise invalid(f"The metadata field {taken[0]!r} is the platform's own and cannot be set.")
    return metadata


class VideoBody(Body):
    """What can be changed of a video."""

    video_title: Annotated[Annotated[str, NOT_BLANK] | None, must_be("a text")] = None
    metadata: Annotated[Metadata, AfterValidator(_own), OR_DEFAULT] = Field(default_factory=dict)


def list_videos(request: Request, db: Connection, index_id: str) -> Response:
    """List videos; unknown parameters look into the videos' own metadata."""
    index = find_index(db, index_id)
    conditions = {"index_id = ?": index_id, SHOWN: None}
    wanted = parse_list(request.query_params, _COLUMNS, conditions=conditions, metadata="videos.user_metadata")
    return wanted.respond(db, VIDEOS, lambda video: _view(video, index))


def show_video(request: Request, db: Connection, index_id: str, video_id: str) -> Response:
    """Show one video."""
    if parse_flag(request.query_params, "embed"):
        raise unsupported("embeddings", "Ask without embed, or use the Twelve Labs API.")
    return json_response(_view(*_present(db, index_id, video_id)))


def change_video(context: ApiContext, db: Connection, index_id: str, video_id: str, body: VideoBody) -> None:
    """Give a video a title and metadata of its own; null removes a field."""
    video, _ = _present(db, index_id, video_id)
    title, merged = body.video_title or video.title, without_nulls({**video.user_metadata, **body.metadata})
    VIDEOS.put(db, dataclasses.replace(video, title=title, user_metadata=merged, updated=context.clock.now()))


async def delete_video(context: ApiContext, index_id: str, video_id: str) -> None:
    """Delete a video with its file; its task stays until it is deleted too."""
    orphan = await context.write(lambda db: remove_video(db, _present(db, index_id, video_id)[0], keep_task=True))
    await context.discard_blob(orphan)


async def show_transcription(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Return captions, whole or between ``start`` and ``end``."""
    return await _show_words(context, request, index_id, video_id, "conversation")


async def show_text_in_video(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Return on-screen text, whole or between ``start`` and ``end``."""
    return await _show_words(context, request, index_id, video_id, "text_in_video")


async def _show_words(context: ApiContext, request: Request, index_id: str, video_id: str, kind: str) -> Response:
    """Return words of a kind; ``data`` is null without any."""
    start, end = _time(request, "start", 0.0), _time(request, "end", math.inf)
    video, _ = await context.read(lambda db: _present(db, index_id, video_id))
    if kind in video.unread:  # nothing would read as "nothing said" or "nothing written"
        raise unsupported(*_UNREAD[kind])
    found = await read_words(context, video, kind)
    inside = [clip for clip in found if clip.end > start and clip.start < end]
    return json_response({"id": video.id, "index_id": index_id, "data": words_view(inside) or None})


def refuse_logos(db: Connection, index_id: str, video_id: str) -> Response:
    """Refuse: an empty list would read as "no logo there"."""
    _present(db, index_id, video_id)
    raise unsupported("logos", "That needs a model that knows brands: the Twelve Labs API.")


def show_thumbnail(context: ApiContext, request: Request, db: Connection, index_id: str, video_id: str) -> Response:
    """Return a picture's address that works for an hour, by default the middle."""
    video, index = _present(db, index_id, video_id)
    if "thumbnail" not in index.addons:
        raise invalid("The index was made without the addon 'thumbnail'.")
    at = _time(request, "time", video.duration / 2)
    if at > video.duration:
        raise invalid("The time parameter lies behind the end of the video.")
    return json_response({"thumbnail": context.thumbnail(video.id, at)})


def _present(db: Connection, index_id: str, video_id: str) -> tuple[VideoRow, IndexRow]:
    index = find_index(db, index_id)
    return find_video(db, video_id, index.id), index


def _time(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name, "")
    if not text:
        return default
    value = parse_number(text)
    if value is None or value < 0:
        raise invalid(f"The {name} parameter must be a time in seconds.")
    return value


def _view(video: VideoRow, index: IndexRow) -> dict[str, Json]:
    engines: list[Json] = [model["model_name"] for model in index.models]
    return {
        "_id": video.id,
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
        "indexed_at": time_text(video.indexed),
        "metadata": {**video.user_metadata, **video_facts(video), "engine_ids": engines},
    }
