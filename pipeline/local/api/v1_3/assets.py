"""Assets: upload, look up, describe, delete."""

from __future__ import annotations

import dataclasses
import json
import mimetypes
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Clip
from pipeline.local.api.context import ApiContext, discard, json_body, read_forced_outcome
from pipeline.local.api.forms import read_form
from pipeline.local.api.responses import API, PageRequest, ParsedForm, flag, metadata_of, new_id, reply, time_text
from pipeline.local.errors import ApiError, invalid, missing
from pipeline.local.state import ledger
from pipeline.local.state.database import move_into_place
from pipeline.local.state.tables import ASSETS, JOBS, SESSIONS, VIDEOS, AssetRow

_TYPES = ("image", "video", "audio", "document")


def asset_view(asset: AssetRow, *, brief: bool = False) -> dict[str, Json]:
    """Return an asset as the API shows it; ``brief`` is the form that creation answers with."""
    view: dict[str, Json] = {
        "_id": asset.id,
        "method": asset.method,
        "status": asset.status,
        "filename": asset.filename,
        "file_type": asset.file_type,
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


class AssetRoutes:
    """``/assets`` and what hangs on one asset."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes; fixed names come before ids."""
        one = f"{API}/assets/{{asset_id}}"
        return [
            Route(f"{API}/assets", self.create, methods=["POST"]),
            Route(f"{API}/assets", self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/user-metadata", self.change_metadata, methods=["PATCH", "PUT", "DELETE"]),
            Route(f"{one}/transcription", self.transcription, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Take a file or an address; the bytes are on disk and the asset committed before the answer leaves."""
        half = self._desk.state.incoming()
        try:
            form = await read_form(request, half, self._desk.limits.direct_bytes)
            asset = self._asset_of(form, read_forced_outcome(request))
            if asset.method == "direct":
                await self._desk.state.run_file_work(lambda: move_into_place(half, self._desk.state.blob(asset.id)))
        finally:
            discard(half)

        def work(db: sqlite3.Connection) -> None:
            ASSETS.add(db, asset)
            ledger.enter(db, self._desk.entry(request, "asset_created", asset.id, asset.filename))

        await self._desk.state.write(work)
        if asset.forced_outcome != "stuck":
            self._desk.work.push_asset(asset.id)
        return reply(asset_view(asset, brief=True), 201)

    def _asset_of(self, form: ParsedForm, forced_outcome: str) -> AssetRow:
        method = form.fields.get("method", "")
        if method not in ("direct", "url"):
            raise invalid("The method parameter must be 'direct' or 'url'.")
        url = ""
        if method == "url":
            url = self._desk.policy.check(form.fields.get("url"))
            derived = unquote(PurePosixPath(urlsplit(url).path).name)
        else:
            if form.file_size < 0:
                raise ApiError(400, "parameter_not_provided", "The file parameter is required when method is 'direct'.")
            if form.file_size == 0:
                raise ApiError(400, "video_file_broken", "The file is empty.")
            derived = form.file_name
        name = form.fields.get("filename") or derived or "upload"
        if len(name) > 255:
            raise invalid("The filename parameter has more than 255 characters.")
        try:
            metadata = json.loads(form.fields.get("user_metadata") or "{}")
        except (ValueError, RecursionError):
            raise invalid("The user_metadata parameter must be JSON text.") from None
        now = self._desk.clock.now()
        return AssetRow(
            id=new_id(now),
            method=method,
            status="processing",
            filename=name,
            file_type=mimetypes.guess_type(name)[0] or form.file_type or "",
            created=now,
            url=url,
            hls=flag(form.fields, "enable_hls", default=False),
            thumbnail=flag(form.fields, "enable_thumbnail", default=False),
            forced_outcome=forced_outcome,
            user_metadata=metadata_of(metadata),
        )

    async def page(self, request: Request) -> Response:
        """List assets, newest first."""
        query = request.query_params
        page = PageRequest.of(query)
        kinds = query.getlist("asset_types")
        if any(kind not in _TYPES for kind in kinds):
            raise invalid(f"The asset_types parameter must be one of {', '.join(_TYPES)}.")
        where, values = ["hidden = 0"], list[Json]()
        ids = query.getlist("asset_ids")
        if ids:
            where.append(f"id IN ({', '.join('?' * len(ids))})")
            values += ids
        if name := query.get("filename"):
            where.append("instr(lower(filename), lower(?)) > 0")
            values.append(name)
        if kinds and "video" not in kinds:
            where.append("0")
        clause = " AND ".join(where)

        def work(db: sqlite3.Connection) -> tuple[int, list[AssetRow]]:
            found = ASSETS.select(db, clause, values, newest_first=True, limit=page.limit, offset=page.offset)
            return ASSETS.count(db, clause, values), found

        total, found = await self._desk.state.read(work)
        return reply({"data": [asset_view(asset) for asset in found], "page_info": page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one asset."""
        return reply(asset_view(await self._get(request)))

    async def delete(self, request: Request) -> Response:
        """Delete an asset; 409 while it is indexed, or analyses that wait for it would be left without their video.

        With one that is still being uploaded goes its session: there is nothing left that could be completed.
        """
        asset = await self._get(request)
        force = flag(request.query_params, "force", default=False)

        def work(db: sqlite3.Connection) -> list[str]:
            waiting = JOBS.count(db, "asset_id = ? AND status IN ('queued', 'processing')", [asset.id])
            indexed = VIDEOS.count(db, "asset_id = ? AND gone = 0 AND status <> 'failed'", [asset.id])
            if waiting + indexed and not force:
                users = f"{waiting} analyses and {indexed} indexed assets"
                raise ApiError(409, "resource_in_use", f"{users} refer to the asset; use force to ignore them.")
            ASSETS.drop(db, "id = ?", [asset.id])
            sessions = SESSIONS.select(db, "status = 'active' AND asset_id = ?", [asset.id])
            for session in sessions:
                SESSIONS.put(db, dataclasses.replace(session, status="failed", updated=self._desk.clock.now()))
            return [session.id for session in sessions]

        state = self._desk.state
        halves = [state.session_file(session_id) for session_id in await state.write(work)]
        for path in [state.blob(asset.id), *halves]:
            await state.run_file_work(partial(discard, path))
        return Response(status_code=204)

    async def change_metadata(self, request: Request) -> Response:
        """Merge (PATCH; null removes a field), replace (PUT) or remove (DELETE) user metadata."""
        asset = await self._get(request)
        given: dict[str, Json] = {}
        if request.method != "DELETE":
            body = await json_body(request)
            if "user_metadata" not in body:
                raise ApiError(400, "parameter_not_provided", "The user_metadata parameter is required.")
            given = metadata_of(body["user_metadata"])

        def work(db: sqlite3.Connection) -> None:
            present = ASSETS.get(db, asset.id)
            if present is None:
                raise missing("asset", asset.id)
            merged = {**present.user_metadata, **given} if request.method == "PATCH" else given
            kept = {name: value for name, value in merged.items() if value is not None}
            ASSETS.put(db, dataclasses.replace(present, user_metadata=kept))

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def transcription(self, request: Request) -> Response:
        """Return what is said, as far as captions tell; 404 where there are none."""
        asset = await self._get(request)
        wanted = {part for entry in request.query_params.getlist("include") for part in entry.split(",")} or {"words"}
        if not wanted <= {"words", "sentences", "utterances"}:
            raise invalid("The include parameter must be words, sentences or utterances.")
        if asset.status == "processing":
            return reply({"status": "pending"})
        if asset.status == "failed":
            return reply({"status": "failed", "error": {"message": asset.error}})
        try:
            spoken = (await self._desk.work.words(asset)).of("conversation")
        except AnalysisRefused as refusal:
            return reply({"status": "failed", "error": {"message": refusal.message}})
        except AnalysisCrashed as error:
            return reply({"status": "failed", "error": {"message": str(error)}})
        if not spoken:
            raise ApiError(404, "resource_not_exist", "The video has no captions, so there is no transcription.")
        return reply({"status": "ready", **_transcription(spoken, wanted)})

    async def _get(self, request: Request) -> AssetRow:
        key = request.path_params["asset_id"]
        found = await self._desk.state.read(lambda db: ASSETS.get(db, key))
        if found is None or found.hidden:
            raise missing("asset", key)
        return found


def _transcription(spoken: Sequence[Clip], wanted: set[str]) -> Mapping[str, Json]:
    """Captions are the sentences and the utterances; the words share a caption's time by their length."""
    lines = [{"start": s.start, "end": s.end, "value": s.text} for s in spoken]
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
