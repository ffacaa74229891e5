"""The storage that presigned addresses point to. The signature is the key; an API key sent here is a leak."""

from __future__ import annotations

import os
import sqlite3

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused
from pipeline.local.api.context import ApiContext, Inlet, bytes_of
from pipeline.local.api.index_lookup import asset_of, video_of
from pipeline.local.api.responses import STORAGE
from pipeline.local.api.v1_3.multipart import active_session
from pipeline.local.errors import ApiError, invalid, missing
from pipeline.local.state.tables import CHUNKS, ChunkRow


class StorageRoutes:
    """``/_storage``: chunks come in, whole assets and single pictures go out."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{STORAGE}/uploads/{{upload_id}}/{{number:int}}", self.store, methods=["PUT"]),
            Route(f"{STORAGE}/assets/{{asset_id}}", self.fetch, methods=["GET"]),
            Route(f"{STORAGE}/thumbnails/{{video_id}}/{{at:int}}", self.thumbnail, methods=["GET"]),
        ]

    async def store(self, request: Request) -> Response:
        """Be the object storage: write one chunk to its place in the session's file and answer with its ETag."""
        key, number = request.path_params["upload_id"], request.path_params["number"]
        self._desk.check_signature(request, f"uploads/{key}/{number}")
        session = await active_session(self._desk, key)
        present = await self._desk.state.read(lambda db: CHUNKS.get(db, f"{key}:{number}"))
        if present is not None and present.reported:
            raise ApiError(403, "chunk_already_reported", "The address has served its upload.")
        wanted = min(session.chunk_size, session.total_size - (number - 1) * session.chunk_size)
        path = self._desk.state.session_file(key)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            file.seek((number - 1) * session.chunk_size)
            inlet = Inlet(file, wanted)
            async for piece in bytes_of(request):
                inlet.take(piece)
            if inlet.size != wanted:
                raise invalid(f"Chunk {number} has {inlet.size} bytes instead of {wanted}.")
            await self._desk.state.run_file_work(lambda: os.fsync(file.fileno()))
        now = self._desk.clock.now()
        chunk = ChunkRow(f"{key}:{number}", key, number, inlet.md5.hexdigest(), wanted, now, now)
        await self._desk.state.write(lambda db: _put_chunk(db, chunk))
        return Response(status_code=200, headers={"ETag": f'"{chunk.etag}"'})

    async def fetch(self, request: Request) -> Response:
        """Hand out a completed asset's bytes to the holder of a signed address."""
        key = request.path_params["asset_id"]
        self._desk.check_signature(request, f"assets/{key}")
        path = self._desk.state.blob(key)
        if not path.exists():
            raise missing("asset", key)
        return FileResponse(path, media_type="application/octet-stream")

    async def thumbnail(self, request: Request) -> Response:
        """Decode the picture at a time (thousandths of a second) of a video, for the holder of a signed address."""
        key, at = request.path_params["video_id"], request.path_params["at"]
        self._desk.check_signature(request, f"thumbnails/{key}/{at}")
        asset = await self._desk.state.read(lambda db: asset_of(db, video_of(db, key)))
        try:
            picture = await self._desk.work.picture(asset, at / 1000)
        except (AnalysisRefused, AnalysisCrashed):
            raise missing("picture", key) from None
        return Response(picture, media_type="image/jpeg")


def _put_chunk(db: sqlite3.Connection, chunk: ChunkRow) -> None:
    if CHUNKS.get(db, chunk.id) is None:
        CHUNKS.add(db, chunk)
    else:
        CHUNKS.put(db, chunk)
