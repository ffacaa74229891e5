"""Multipart uploads: sessions, their presigned addresses, chunks, and the reports that complete them."""

from __future__ import annotations

import dataclasses
import mimetypes
import os
import secrets
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body, read_chunks
from pipeline.local.api.http.fields import OR_DEFAULT, Flag, Metadata, must_be, refuse, require
from pipeline.local.api.http.forms import IncomingFile
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.pagination import PageRequest
from pipeline.local.api.http.query import ListQuery
from pipeline.local.api.http.responses import json_response, new_id, pick, time_text
from pipeline.local.api.index_lookup import find
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.database import move_into_place
from pipeline.local.state.tables import ASSETS, CHUNKS, SESSIONS, AssetRow, ChunkRow, SessionRow

_MOST_URLS = 50
_Count = Annotated[int, Field(ge=1), must_be("a whole number, at least 1")]


class SessionRequest(Body):
    """The body that opens a session."""

    filename: Annotated[str, Field(min_length=1, max_length=255), must_be("a text of 1 to 255 characters")]
    type: Annotated[
        Literal["video"], refuse("The type parameter must be 'video' here: the local platform takes no other media.")
    ]
    total_size: _Count
    enable_hls: Flag = False
    enable_thumbnail: Flag = False
    user_metadata: Annotated[Metadata, OR_DEFAULT] = Field(default_factory=dict)


class UrlsRequest(Body):
    """The body that asks for further addresses."""

    start: _Count
    count: _Count


class ChunkProof(Body):
    """The proof that a chunk was stored."""

    chunk_index: _Count
    proof_type: Annotated[Literal["etag"], refuse("A completed chunk needs proof_type 'etag' and its proof.")]
    proof: Annotated[str, refuse("A completed chunk needs proof_type 'etag' and its proof.")]


class ChunkReport(Body):
    """The body that reports stored chunks."""

    completed_chunks: Annotated[
        list[Annotated[ChunkProof, refuse("A completed chunk must be an object.")]],
        Field(min_length=1),
        require("The {name} parameter is required."),
    ]


def open_session(context: ApiContext, request: Request, db: Connection, body: SessionRequest) -> Response:
    """Open a session and reserve its asset."""
    session = _new_session(context, body, read_forced_outcome(request))
    asset = AssetRow(
        id=session.asset_id,
        method="multipart",
        status="processing",
        filename=session.filename,
        file_type=mimetypes.guess_type(session.filename)[0] or "",
        created=session.created,
        hls=session.hls,
        thumbnail=session.thumbnail,
        forced_outcome=session.forced_outcome,
        user_metadata=session.user_metadata,
    )
    SESSIONS.add(db, session)
    ASSETS.add(db, asset)
    context.record(db, request, "session_opened", session.id, session.filename)
    return json_response(
        {
            "upload_id": session.id,
            **pick(session, "asset_id", "chunk_size", "total_chunks"),
            "expires_at": time_text(session.expires),
            "upload_headers": {},
            "upload_urls": _urls(context, session, 1, context.limits.first_urls),
        },
        201,
    )


def _new_session(context: ApiContext, body: SessionRequest, forced_outcome: str) -> SessionRow:
    if body.total_size > context.limits.multipart_bytes:
        raise invalid(f"The total_size parameter must be a whole number from 1 to {context.limits.multipart_bytes}.")
    now, chunk = context.clock.now(), context.limits.chunk_size
    return SessionRow(
        id=f"u_{secrets.token_hex(12)}",
        asset_id=new_id(now),
        filename=body.filename,
        kind=body.type,
        total_size=body.total_size,
        chunk_size=chunk,
        total_chunks=-(-body.total_size // chunk),
        created=now,
        updated=now,
        expires=now + context.limits.session_seconds,
        hls=body.enable_hls,
        thumbnail=body.enable_thumbnail,
        forced_outcome=forced_outcome,
        user_metadata=body.user_metadata,
    )


def _urls(context: ApiContext, session: SessionRow, start: int, count: int) -> list[dict[str, Json]]:
    until = _urls_until(context, session)
    return [
        {
            "chunk_index": number,
            "url": context.presigned(f"uploads/{session.id}/{number}", int(until)),
            "expires_at": time_text(until),
        }
        for number in range(start, min(start + count, session.total_chunks + 1))
    ]


def _urls_until(context: ApiContext, session: SessionRow) -> float:
    return min(session.expires, context.clock.now() + context.limits.url_seconds)


def list_sessions(context: ApiContext, request: Request, db: Connection) -> Response:
    """List sessions that are not complete, newest first."""
    conditions = {"status = 'active'": None, "expires > ?": context.clock.now()}
    return ListQuery.build(conditions, request.query_params).respond(db, SESSIONS, _session_view)


def _session_view(session: SessionRow) -> dict[str, Json]:
    return {
        "upload_id": session.id,
        **pick(session, "status", "total_size", "chunk_size", "total_chunks"),
        "created_at": time_text(session.created),
        "expires_at": time_text(session.expires),
    }


async def show_session(context: ApiContext, request: Request, upload_id: str) -> Response:
    """Show how far a session is; chunks are paged by ``index``."""
    page = PageRequest.parse(request.query_params)
    session = await _find_session(context, upload_id)
    chunks = await context.read(lambda db: _chunks(db, session.id))
    numbers = range(page.offset + 1, min(page.offset + page.limit, session.total_chunks) + 1)
    reported = [chunk for chunk in chunks.values() if chunk.reported]
    return json_response(
        {
            "upload_id": session.id,
            **pick(session, "status", "total_size"),
            "uploaded_chunks": [_chunk_view(number, chunks.get(number)) for number in numbers],
            "chunks_completed": len(reported),
            "chunks_failed": 0,
            "chunks_pending": session.total_chunks - len(reported),
            "uploaded_size": sum(chunk.size for chunk in reported),
            "page_info": page.info(session.total_chunks),
            "created_at": time_text(session.created),
            "updated_at": time_text(session.updated),
        }
    )


async def create_urls(context: ApiContext, upload_id: str, body: UrlsRequest) -> Response:
    """Hand out further presigned addresses."""
    session = await _active_session(context, upload_id)
    if body.start > session.total_chunks or body.count > _MOST_URLS:
        raise invalid(f"start must be from 1 to {session.total_chunks} and count from 1 to {_MOST_URLS}.")
    urls = _urls(context, session, body.start, body.count)
    return json_response(
        {
            "upload_id": session.id,
            "start_index": body.start,
            "count": len(urls),
            "upload_urls": urls,
            "generated_at": time_text(context.clock.now()),
            "expires_at": time_text(_urls_until(context, session)),
        }
    )


async def store_chunk(context: ApiContext, request: Request, upload_id: str, number: int) -> Response:
    """Be the object storage: write one chunk and answer with its ETag."""
    context.check_signature(request, f"uploads/{upload_id}/{number}")
    session = await _active_session(context, upload_id)
    present = await context.read(lambda db: CHUNKS.get(db, f"{upload_id}:{number}"))
    if present is not None and present.reported:
        raise ApiError(403, "chunk_already_reported", "The address has served its upload.")
    wanted = min(session.chunk_size, session.total_size - (number - 1) * session.chunk_size)
    descriptor = os.open(context.state.session_file(upload_id), os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        file.seek((number - 1) * session.chunk_size)
        incoming = IncomingFile(file, wanted)
        async for piece in read_chunks(request):
            incoming.write(piece)
        if incoming.size != wanted:
            raise invalid(f"Chunk {number} has {incoming.size} bytes instead of {wanted}.")
        await context.state.run_file_work(lambda: os.fsync(file.fileno()))
    now, etag = context.clock.now(), incoming.md5.hexdigest()
    chunk = ChunkRow(f"{upload_id}:{number}", upload_id, number, etag, wanted, now, now)

    def work(db: Connection) -> None:
        (CHUNKS.add if CHUNKS.get(db, chunk.id) is None else CHUNKS.put)(db, chunk)

    await context.write(work)
    return Response(status_code=200, headers={"ETag": f'"{etag}"'})


async def report_chunks(context: ApiContext, request: Request, upload_id: str, body: ChunkReport) -> Response:
    """Take the proofs of stored chunks; the last one completes the session.

    Repeating changes nothing.
    """
    session, proofs = await _find_session(context, upload_id), body.completed_chunks
    if session.status not in ("active", "completed"):
        raise ApiError(400, f"upload_session_{session.status}", f"The session has {session.status}; open a new one.")
    now = context.clock.now()

    def take(db: Connection) -> tuple[int, int]:
        stored = _chunks(db, session.id)
        duplicates = 0
        for each in proofs:
            chunk = stored.get(each.chunk_index)
            if chunk is None or chunk.etag != each.proof.strip('"'):
                raise invalid(f"The proof of chunk {each.chunk_index} does not fit what was stored.")
            duplicates += chunk.reported
            CHUNKS.put(db, dataclasses.replace(chunk, reported=True, updated=now))
        SESSIONS.put(db, dataclasses.replace(_session(db, session.id), updated=now))
        return duplicates, CHUNKS.count(db, "session_id = ? AND reported = 1", [session.id])

    duplicates, complete = await context.write(take)
    answer: dict[str, Json] = {
        "asset_id": session.asset_id,
        "processed_chunks": len(proofs) - duplicates,
        "duplicate_chunks": duplicates,
        "total_completed": complete,
    }
    if complete == session.total_chunks:
        await _complete(context, request, session)
        until = int(now + context.limits.url_seconds)
        answer["url"] = context.presigned(f"assets/{session.asset_id}", until)
    return json_response(answer)


async def _complete(context: ApiContext, request: Request, session: SessionRow) -> None:
    """Move the bytes to the asset, then say so; either may be done."""
    source, target = context.state.session_file(session.id), context.state.blob(session.asset_id)

    def move() -> None:
        if source.exists():
            move_into_place(source, target)

    def work(db: Connection) -> bool:
        present = _session(db, session.id)
        if present.status != "active":
            return False
        SESSIONS.put(db, dataclasses.replace(present, status="completed", updated=context.clock.now()))
        context.record(db, request, "session_completed", session.asset_id, session.filename)
        return True

    await context.state.run_file_work(move)
    if await context.write(work) and session.forced_outcome != "stuck":
        context.work.push_asset(session.asset_id)


async def _active_session(context: ApiContext, key: str) -> SessionRow:
    """Return a session that takes chunks; raises ApiError (404, 400)."""
    session = await _find_session(context, key)
    if session.status != "active":
        raise ApiError(400, f"upload_session_{session.status}", f"The session is {session.status}.")
    return session


async def _find_session(context: ApiContext, key: str) -> SessionRow:
    """Return the session or raise ApiError (404); a late one expires here."""
    now = context.clock.now()

    def work(db: Connection) -> SessionRow:
        session = _session(db, key)
        if session.status == "active" and now >= session.expires:
            session = dataclasses.replace(session, status="expired", updated=session.expires)
            SESSIONS.put(db, session)
            asset = ASSETS.get(db, session.asset_id)
            if asset is not None:
                ASSETS.put(db, dataclasses.replace(asset, status="failed", error="the upload session expired"))
        return session

    session = await context.read(lambda db: _session(db, key))
    if session.status == "active" and now >= session.expires:
        session = await context.write(work)
        await context.discard(context.state.session_file(key))
    return session


def _session(db: Connection, key: str) -> SessionRow:
    return find(db, SESSIONS, key, "upload session")


def _chunks(db: Connection, session_id: str) -> dict[int, ChunkRow]:
    return {chunk.number: chunk for chunk in CHUNKS.select(db, "session_id = ?", [session_id])}


def _chunk_view(number: int, chunk: ChunkRow | None) -> dict[str, Json]:
    """A chunk that is stored but not reported is still pending."""
    if chunk is None or not chunk.reported:
        return {"index": number, "status": "pending"}
    return {
        "index": number,
        "status": "completed",
        "uploaded_at": time_text(chunk.uploaded),
        "updated_at": time_text(chunk.updated),
    }
