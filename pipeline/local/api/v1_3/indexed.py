"""v1.3: assets put into an index, and their older view, ``videos``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.analysis_replies import read_words, words_view
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import OR_DEFAULT, FormFlag, Id, Metadata
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import SIZES, TIMES, Column, is_in, parse_choices, parse_flag, parse_list
from pipeline.local.api.http.responses import API, json_response, new_id, time_text
from pipeline.local.api.index_lookup import SHOWN, find_asset, find_index, find_ready_asset, remove_video, video_facts
from pipeline.local.errors import missing, unsupported
from pipeline.local.jobs.indexing import STATUSES, estimate
from pipeline.local.state.tables import VIDEOS, AssetRow, VideoRow

_COLUMNS = {"filename": Column("title"), **SIZES, **TIMES}
_LEGACY = "Upload to /assets, then index the asset; or speak v1.2, whose way this was."


class IndexAssetBody(Body):
    """The body that puts an asset into an index."""

    asset_id: Id
    user_metadata: Annotated[Metadata, OR_DEFAULT] = Field(default_factory=dict)
    enable_video_stream: FormFlag = False


class IndexedMetadataBody(Body):
    """User metadata to merge."""

    user_metadata: Metadata


async def index_asset(context: ApiContext, request: Request, index_id: str, body: IndexAssetBody) -> Response:
    """Put an asset into an index, once more each time it is asked."""
    now, forced_outcome = context.clock.now(), read_forced_outcome(request)

    def work(db: Connection) -> VideoRow:
        find_index(db, index_id)
        asset = find_ready_asset(db, body.asset_id)
        ready_at = now + estimate(context.limits, asset.duration)
        video = _new_video(index_id, asset, now, ready_at, forced_outcome, body.user_metadata)
        VIDEOS.add(db, video)
        context.record(db, request, "indexed", video.id, asset.filename, round(asset.duration / 60, 4))
        return video

    video = await context.write(work)
    if forced_outcome != "stuck":
        context.work.push_video(video.id)
    place = {"Location": f"{API}/indexes/{index_id}/indexed-assets/{video.id}"}
    return json_response({"_id": video.id, "asset_id": video.asset_id}, 202, place)


def list_indexed(request: Request, db: Connection, index_id: str) -> Response:
    """List an index's assets; other parameters look into their metadata."""
    statuses = parse_choices(request.query_params, "status", STATUSES)
    conditions = {"gone = 0": None, **(is_in("status", statuses) if statuses else {})}
    return _list(request, db, index_id, conditions, state=True)


def list_videos(request: Request, db: Connection, index_id: str) -> Response:
    """List the videos of an index: what is ready."""
    return _list(request, db, index_id, {SHOWN: None}, state=False)


def _list(request: Request, db: Connection, index_id: str, conditions: Mapping[str, Json], *, state: bool) -> Response:
    find_index(db, index_id)
    wanted = parse_list(
        request.query_params, _COLUMNS, conditions={"index_id = ?": index_id, **conditions},
        metadata="videos.user_metadata", known={"status"},
    )  # fmt: skip
    return wanted.respond(db, VIDEOS, lambda video: _view(video, state=state))


async def show_indexed(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Show an indexed asset, and if asked for, what is said in it."""
    return await _show(context, request, index_id, video_id, as_asset=True)


async def show_video(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Show a ready video as :func:`show_indexed` does."""
    return await _show(context, request, index_id, video_id, as_asset=False)


async def _show(context: ApiContext, request: Request, index_id: str, video_id: str, *, as_asset: bool) -> Response:
    if request.query_params.getlist("embedding_option"):
        raise unsupported("embeddings", "Ask without embedding_option, or use the Twelve Labs API.")
    video = await context.read(lambda db: _present(db, index_id, video_id, ready=not as_asset))
    view = _view(video, state=as_asset)
    if video.user_metadata:
        view["user_metadata"] = video.user_metadata
    wanted = parse_flag(request.query_params, "transcription")
    if wanted and video.status == "ready" and "conversation" not in video.unread:
        view["transcription"] = words_view(await read_words(context, video, "conversation"))
    return json_response(view)


def change_indexed(
    context: ApiContext, db: Connection, index_id: str, video_id: str, body: IndexedMetadataBody
) -> None:
    """Merge user metadata; null removes a field."""
    video = _present(db, index_id, video_id)
    merged = _without_empty({**video.user_metadata, **body.user_metadata})
    VIDEOS.put(db, dataclasses.replace(video, user_metadata=merged, updated=context.clock.now()))


async def delete_indexed(context: ApiContext, index_id: str, video_id: str) -> None:
    """Take a video out of its index; an indexed asset stays."""
    orphan = await context.write(lambda db: remove_video(db, _present(db, index_id, video_id), keep_task=True))
    await context.discard_blob(orphan)


def list_asset_indexes(request: Request, db: Connection, asset_id: str) -> Response:
    """List where an asset is indexed."""
    find_asset(db, asset_id)
    wanted = parse_list(request.query_params, {}, conditions={"asset_id = ?": asset_id, "gone = 0": None})
    return wanted.respond(db, VIDEOS, lambda video: {"_id": video.id, "index": _index_view(db, video)})


async def refuse_tasks() -> Response:
    """Refuse the vendor's older upload into an index; name the ways there are."""
    raise unsupported("indexing tasks on v1.3", _LEGACY)


def _new_video(
    index_id: str, asset: AssetRow, now: float, ready_at: float, forced_outcome: str, metadata: Mapping[str, Json]
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
        estimated=ready_at,
        forced_outcome=forced_outcome,
        user_metadata=_without_empty(metadata),
    )


def _without_empty(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields that say something: no empty texts, lists and nulls."""
    return {name: value for name, value in metadata.items() if value is not None and value not in ("", [])}


def _present(db: Connection, index_id: str, key: str, *, ready: bool = False) -> VideoRow:
    find_index(db, index_id)
    video = VIDEOS.get(db, key)
    if video is None or video.gone or video.index_id != index_id or (ready and video.status != "ready"):
        raise missing("indexed asset", key)
    return video


def _index_view(db: Connection, video: VideoRow) -> dict[str, Json]:
    index = find_index(db, video.index_id)
    return {"_id": index.id, "name": index.name}


def _view(video: VideoRow, *, state: bool) -> dict[str, Json]:
    return {
        "_id": video.id,
        "asset_id": video.asset_id,
        "created_at": time_text(video.created),
        "updated_at": time_text(video.updated),
        **({"status": video.status} if state else {}),
        **({"indexed_at": time_text(video.indexed)} if video.indexed else {}),
        "system_metadata": video_facts(video),
    }
