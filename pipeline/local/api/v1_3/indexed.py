"""v1.3: assets put into an index, and the older view of the same records, ``videos``."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.analysis_replies import read_words, words_view
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import OR_DEFAULT, Body, FormFlag, Id, Metadata, read_body
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import SIZES, TIMES, Column, is_in, parse_choices, parse_flag, parse_list
from pipeline.local.api.http.responses import API, json_response, new_id, time_text
from pipeline.local.api.index_lookup import (
    SHOWN,
    find_asset,
    find_index,
    find_ready_asset,
    remove_video,
    video_facts,
)  # fmt: skip
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


async def index_asset(context: ApiContext, request: Request, index_id: str) -> Response:
    """Put an asset into an index: once more each time it is asked, so clients must look first."""
    body = await read_body(request, IndexAssetBody)
    now, forced_outcome = context.clock.now(), read_forced_outcome(request)

    def work(db: sqlite3.Connection) -> VideoRow:
        find_index(db, index_id)
        asset = find_ready_asset(db, body.asset_id)
        ready_at = now + estimate(context.limits, asset.duration)
        video = _new_video(index_id, asset, now, ready_at, forced_outcome, body.user_metadata)
        VIDEOS.add(db, video)
        context.record(db, request, "indexed", video.id, asset.filename, round(asset.duration / 60, 4))
        return video

    video = await context.state.write(work)
    if forced_outcome != "stuck":
        context.work.push_video(video.id)
    place = {"Location": f"{API}/indexes/{index_id}/indexed-assets/{video.id}"}
    return json_response({"_id": video.id, "asset_id": video.asset_id}, 202, place)


async def list_indexed(context: ApiContext, request: Request, index_id: str) -> Response:
    """List the indexed assets of an index, whatever their status; other parameters look into their metadata."""
    statuses = parse_choices(request.query_params, "status", STATUSES)
    conditions = {"gone = 0": None, **(is_in("status", statuses) if statuses else {})}
    return await _list(context, request, index_id, conditions, state=True)


async def list_videos(context: ApiContext, request: Request, index_id: str) -> Response:
    """List the videos of an index: what is ready."""
    return await _list(context, request, index_id, {SHOWN: None}, state=False)


async def _list(
    context: ApiContext, request: Request, index_id: str, conditions: Mapping[str, Json], *, state: bool
) -> Response:
    conditions = {"index_id = ?": index_id, **conditions}
    metadata = "videos.user_metadata"
    wanted = parse_list(request.query_params, _COLUMNS, conditions=conditions, metadata=metadata, known={"status"})

    def work(db: sqlite3.Connection) -> tuple[int, list[VideoRow]]:
        find_index(db, index_id)
        return wanted.fetch(db, VIDEOS)

    total, found = await context.state.read(work)
    return json_response(wanted.page.view([_view(video, state=state) for video in found], total))


async def show_indexed(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Show an indexed asset, with its metadata and, if asked for, what is said in it."""
    return await _show(context, request, index_id, video_id, as_asset=True)


async def show_video(context: ApiContext, request: Request, index_id: str, video_id: str) -> Response:
    """Show a ready video as :func:`show_indexed` does."""
    return await _show(context, request, index_id, video_id, as_asset=False)


async def _show(context: ApiContext, request: Request, index_id: str, video_id: str, *, as_asset: bool) -> Response:
    if request.query_params.getlist("embedding_option"):
        raise unsupported("embeddings", "Ask without embedding_option, or use the Twelve Labs API.")
    video = await context.state.read(lambda db: _present(db, index_id, video_id, ready=not as_asset))
    view = _view(video, state=as_asset)
    if video.user_metadata:
        view["user_metadata"] = video.user_metadata
    wanted = parse_flag(request.query_params, "transcription")
    if wanted and video.status == "ready" and "conversation" not in video.unread:
        view["transcription"] = words_view(await read_words(context, video, "conversation"))
    return json_response(view)


async def change_indexed(context: ApiContext, request: Request, index_id: str, video_id: str) -> None:
    """Merge user metadata; null removes a field."""
    given = (await read_body(request, IndexedMetadataBody)).user_metadata

    def work(db: sqlite3.Connection) -> None:
        video = _present(db, index_id, video_id)
        merged = _told_metadata({**video.user_metadata, **given})
        VIDEOS.put(db, dataclasses.replace(video, user_metadata=merged, updated=context.clock.now()))

    await context.state.write(work)


async def delete_indexed(context: ApiContext, request: Request, index_id: str, video_id: str) -> None:
    """Take a video out of its index, at any time; an asset that was indexed stays."""
    orphan = await context.state.write(lambda db: remove_video(db, _present(db, index_id, video_id), keep_task=True))
    await context.discard_blob(orphan)


async def list_indexes_of(context: ApiContext, request: Request, asset_id: str) -> Response:
    """List where an asset is indexed."""
    wanted = parse_list(request.query_params, {}, conditions={"asset_id = ?": asset_id, "gone = 0": None})

    def work(db: sqlite3.Connection) -> tuple[int, list[Json]]:
        find_asset(db, asset_id)
        total, found = wanted.fetch(db, VIDEOS)
        return total, [{"_id": video.id, "index": _index_view(db, video)} for video in found]

    total, data = await context.state.read(work)
    return json_response(wanted.page.view(data, total))


async def refuse_tasks(context: ApiContext, request: Request, rest: str = "") -> Response:
    """Refuse the vendor's older way of uploading into an index, and say which ways there are."""
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
        user_metadata=_told_metadata(metadata),
    )


def _told_metadata(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields that say something: empty texts and lists and nulls are not stored."""
    return {name: value for name, value in metadata.items() if value is not None and value not in ("", [])}


def _present(db: sqlite3.Connection, index_id: str, key: str, *, ready: bool = False) -> VideoRow:
    find_index(db, index_id)
    video = VIDEOS.get(db, key)
    if video is None or video.gone or video.index_id != index_id or (ready and video.status != "ready"):
        raise missing("indexed asset", key)
    return video


def _index_view(db: sqlite3.Connection, video: VideoRow) -> dict[str, Json]:
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
