"""Assets: upload, look up, describe, delete."""

from __future__ import annotations

import dataclasses
import json
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from sqlite3 import Connection
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Clip
from pipeline.local.api.analysis_replies import words_view
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body, parse
from pipeline.local.api.http.fields import GIVEN, OR_DEFAULT, FormFlag, Metadata, refuse
from pipeline.local.api.http.forms import ParsedForm, read_form
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import ListQuery, is_in, parse_choices, parse_flag, split_list
from pipeline.local.api.http.responses import json_response, new_id, pick, time_text
from pipeline.local.api.index_lookup import find_asset, without_nulls
from pipeline.local.errors import ApiError, invalid, not_provided
from pipeline.local.state.tables import ASSETS, JOBS, SESSIONS, VIDEOS, AssetRow

_TYPES = ("image", "video", "audio", "document")


def _json_text(text: Json) -> Json:
    try:
        return json.loads(text) if isinstance(text, str) and text else text
    except (ValueError, RecursionError):
        raise invalid("The user_metadata parameter must be JSON text.") from None


class AssetForm(Body):
    """The form of ``POST /assets``."""

    method: Annotated[Literal["direct", "url"], refuse("The method parameter must be 'direct' or 'url'.")]
    url: Json = None
    filename: str = ""
    user_metadata: Annotated[Metadata, BeforeValidator(_json_text), OR_DEFAULT] = Field(default_factory=dict)
    enable_hls: FormFlag = False
    enable_thumbnail: FormFlag = False


class MetadataBody(Body):
    """New user metadata."""

    user_metadata: Annotated[Metadata, GIVEN]


async def create_asset(context: ApiContext, request: Request) -> Response:
    """Take a file or an address; bytes and asset are on disk first."""
    received = context.state.incoming()
    try:
        form = await read_form(request, received, context.limits.direct_bytes)
        asset = _build_asset(context, form, read_forced_outcome(request))
        if asset.method == "direct":
            await context.keep_blob(received, asset.id)
    finally:
        received.unlink(missing_ok=True)

    def work(db: Connection) -> None:
        ASSETS.add(db, asset)
        context.record(db, request, "asset_created", asset.id, asset.filename)

    await context.write(work)
    if asset.forced_outcome != "stuck":
        context.work.push_asset(asset.id)
    return json_response(asset_view(asset, brief=True), 201)


def _build_asset(context: ApiContext, upload: ParsedForm, forced_outcome: str) -> AssetRow:
    form = parse(AssetForm, upload.fields())
    if form.method == "url":
        url = context.policy.check(form.url)
        derived = unquote(PurePosixPath(urlsplit(url).path).name)
    else:
        url, derived = "", upload.file_name
        if upload.file_size < 0:
            raise not_provided("The file parameter is required when method is 'direct'.")
        if upload.file_size == 0:
            raise ApiError(400, "video_file_broken", "The file is empty.")
    name = form.filename or derived or "upload"
    if len(name) > 255:
        raise invalid("The filename parameter has more than 255 characters.")
    now = context.clock.now()
    return AssetRow(
        id=new_id(now),
        method=form.method,
        status="processing",
        filename=name,
        file_type=mimetypes.guess_type(name)[0] or upload.file_type or "",
        created=now,
        url=url,
        hls=form.enable_hls,
        thumbnail=form.enable_thumbnail,
        forced_outcome=forced_outcome,
        user_metadata=form.user_metadata,
    )


def list_assets(request: Request, db: Connection) -> Response:
    """List assets, newest first."""
    query = request.query_params
    kinds, ids, name = parse_choices(query, "asset_types", _TYPES), query.getlist("asset_ids"), query.get("filename")
    conditions: dict[str, Json] = {
        "hidden = 0": None,
        **(is_in("id", ids) if ids else {}),
        **({"instr(lower(filename), lower(?)) > 0": name} if name else {}),
        **({"0": None} if kinds and "video" not in kinds else {}),
    }
    return ListQuery.build(conditions, query).respond(db, ASSETS, asset_view)


def show_asset(db: Connection, asset_id: str) -> Response:
    """Show one asset."""
    return json_response(asset_view(find_asset(db, asset_id)))


async def delete_asset(context: ApiContext, request: Request, asset_id: str) -> None:
    """Delete an asset; 409 while it is indexed, or analyses wait for it.

    With one that is still being uploaded goes its session: there is nothing left that could be completed.
    """
    force = parse_flag(request.query_params, "force")

    def work(db: Connection) -> list[str]:
        find_asset(db, asset_id)
        waiting = JOBS.count(db, "asset_id = ? AND status IN ('queued', 'processing')", [asset_id])
        indexed = VIDEOS.count(db, "asset_id = ? AND gone = 0 AND status <> 'failed'", [asset_id])
        if waiting + indexed and not force:
            users = f"{waiting} analyses and {indexed} indexed assets"
            raise ApiError(409, "resource_in_use", f"{users} refer to the asset; use force to ignore them.")
        ASSETS.drop(db, "id = ?", [asset_id])
        sessions = SESSIONS.select(db, "status = 'active' AND asset_id = ?", [asset_id])
        for session in sessions:
            SESSIONS.put(db, dataclasses.replace(session, status="failed", updated=context.clock.now()))
        return [session.id for session in sessions]

    sessions = await context.write(work)
    await context.discard(context.state.blob(asset_id), *map(context.state.session_file, sessions))


def merge_metadata(db: Connection, asset_id: str, body: MetadataBody) -> None:
    """Merge user metadata; null removes a field."""
    _set_metadata(db, asset_id, {**find_asset(db, asset_id).user_metadata, **body.user_metadata})


def replace_metadata(db: Connection, asset_id: str, body: MetadataBody) -> None:
    """Replace user metadata."""
    _set_metadata(db, asset_id, body.user_metadata)


def remove_metadata(db: Connection, asset_id: str) -> None:
    """Remove all user metadata."""
    _set_metadata(db, asset_id, {})


def _set_metadata(db: Connection, asset_id: str, metadata: Mapping[str, Json]) -> None:
    ASSETS.put(db, dataclasses.replace(find_asset(db, asset_id), user_metadata=without_nulls(metadata)))


async def show_transcription(context: ApiContext, request: Request, asset_id: str) -> Response:
    """Return what is said, as far as captions tell; 404 where there are none."""
    asset = await context.read(lambda db: find_asset(db, asset_id))
    wanted = split_list(request.query_params, "include") or {"words"}
    if not wanted <= {"words", "sentences", "utterances"}:
        raise invalid("The include parameter must be words, sentences or utterances.")
    if asset.status == "processing":
        return json_response({"status": "pending"})
    if asset.status == "failed":
        return json_response({"status": "failed", "error": {"message": asset.error}})
    try:
        spoken = (await context.work.words(asset)).of("conversation")
    except (AnalysisRefused, AnalysisCrashed) as error:
        return json_response({"status": "failed", "error": {"message": str(error)}})
    if not spoken:
        raise ApiError(404, "resource_not_exist", "The video has no captions, so there is no transcription.")
    return json_response({"status": "ready", **_transcription(spoken, wanted)})


def asset_view(asset: AssetRow, *, brief: bool = False) -> dict[str, Json]:
    """Return an asset as the API shows it; ``brief``: as creation answers."""
    view: dict[str, Json] = {
        "_id": asset.id,
        **pick(asset, "method", "status", "filename", "file_type"),
        "created_at": time_text(asset.created),
    }
    if asset.user_metadata:
        view["user_metadata"] = asset.user_metadata
    if brief:
        return view
    if asset.status == "ready":
        view |= {"size": asset.size, "duration": asset.duration, "technical_metadata": asset.technical}
    if asset.status == "failed":
        view["error"] = {"message": asset.error}
    # Copies for streaming and thumbnails are not made here: asked for, they end in error and harm nothing else.
    side = "pending" if asset.status == "processing" else "error"
    return (
        view
        | ({"hls": {"status": side}} if asset.hls else {})
        | ({"thumbnail": {"status": side}} if asset.thumbnail else {})
    )


def _transcription(spoken: Sequence[Clip], wanted: set[str]) -> Mapping[str, Json]:
    """Captions are sentences and utterances; words share a caption's time by length."""
    lines = words_view(spoken)
    found: dict[str, Json] = {name: lines for name in ("sentences", "utterances") if name in wanted}
    if "words" in wanted:
        found["words"] = [word for s in spoken for word in _words(s)]
    return found


def _words(spoken: Clip) -> list[dict[str, Json]]:
    words = spoken.text.split()
    letters = sum(len(word) for word in words) or 1
    per_letter = (spoken.end - spoken.start) / letters
    found, at = [], spoken.start
    for word in words:
        until = at + len(word) * per_letter
        found.append({"start": round(at, 3), "end": round(until, 3), "value": word})
        at = until
    return found
