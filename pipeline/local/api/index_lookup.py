"""What endpoints look up of assets, indexes and videos, inside a transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from sqlite3 import Connection

from pipeline.core.model import Json
from pipeline.local.api.http.responses import pick
from pipeline.local.errors import ApiError, missing
from pipeline.local.state import fulltext
from pipeline.local.state.tables import ASSETS, INDEXES, VIDEOS, AssetRow, IndexRow, R, Table, VideoRow

#: A clause for what lists of videos show.
SHOWN = "status = 'ready' AND gone = 0"


def find(db: Connection, table: Table[R], key: str, what: str) -> R:
    """Return a record; raises ApiError (``resource_not_exist``), which says what it is."""
    record = table.get(db, key)
    if record is None:
        raise missing(what, key)
    return record


def find_index(db: Connection, key: str) -> IndexRow:
    """Return an index; raises ApiError (``resource_not_exist``)."""
    return find(db, INDEXES, key, "index")


def find_video(db: Connection, key: str, index_id: str = "") -> VideoRow:
    """Return a ready video, in this index where one is named; raises ApiError (``resource_not_exist``)."""
    video = VIDEOS.get(db, key)
    if video is None or video.gone or video.status != "ready" or index_id not in ("", video.index_id):
        raise missing("video", key)
    return video


def find_asset(db: Connection, key: str) -> AssetRow:
    """Return an asset that clients may know; raises ApiError (``resource_not_exist``)."""
    asset = ASSETS.get(db, key)
    if asset is None or asset.hidden:
        raise missing("asset", key)
    return asset


def find_ready_asset(db: Connection, key: str, status: int = 400, code: str = "asset_unavailable") -> AssetRow:
    """Return a usable asset; raises ApiError where it is not ready."""
    asset = find_asset(db, key)
    if asset.status != "ready":
        raise ApiError(status, code, "The asset is not ready.", details={"asset_id": asset.id})
    return asset


def find_source_asset(db: Connection, video: VideoRow) -> AssetRow:
    """Return the file behind a video; raises ApiError where it was deleted by force."""
    return find(db, ASSETS, video.asset_id, "asset")


def remove_video(db: Connection, video: VideoRow, *, keep_task: bool = False) -> str:
    """Take a video and its words out of its index.

    Return the id of the asset whose bytes nobody needs any more.
    A v1.2 upload lives and dies with its video, but for its task where that is kept; an asset that was indexed is the
    client's own.
    """
    fulltext.drop(db, video.id)
    if keep_task and video.task_id:
        VIDEOS.put(db, dataclasses.replace(video, gone=True))
    else:
        VIDEOS.drop(db, "id = ?", [video.id])
    if not video.task_id or VIDEOS.count(db, "asset_id = ? AND id <> ? AND gone = 0", [video.asset_id, video.id]):
        return ""
    ASSETS.drop(db, "id = ?", [video.asset_id])
    return video.asset_id


def measure_index(db: Connection, index_id: str) -> tuple[int, float]:
    """Return how many ready videos an index has, and their seconds."""
    row = db.execute(
        f"SELECT count(*), coalesce(sum(duration), 0.0) FROM videos WHERE index_id = ? AND {SHOWN}", [index_id]
    ).fetchone()
    return int(row[0]), round(float(row[1]), 3)


def with_title(asset: AssetRow, video: VideoRow) -> AssetRow:
    """Return the asset with the title that somebody has given the video since."""
    if video.title == video.filename:
        return asset
    return dataclasses.replace(asset, user_metadata={**asset.user_metadata, "title": video.title})


def without_nulls(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return metadata after a change: null removes a field."""
    return {name: value for name, value in metadata.items() if value is not None}


def video_facts(video: VideoRow) -> dict[str, Json]:
    """Return what was measured of a video, as both dialects name it."""
    return {"filename": video.title, **pick(video, "duration", "fps", "width", "height", "size")}
