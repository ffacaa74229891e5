"""Multipart uploads: sessions, their presigned addresses, the reports that complete them."""

from __future__ import annotations

import dataclasses
import mimetypes
import secrets
import sqlite3
from typing import TypeGuard

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext, discard, json_body, read_forced_outcome
from pipeline.local.api.responses import API, PageRequest, metadata_of, new_id, reply, time_text
from pipeline.local.errors import ApiError, invalid, missing
from pipeline.local.state import ledger
from pipeline.local.state.database import move_into_place
from pipeline.local.state.tables import ASSETS, CHUNKS, SESSIONS, AssetRow, ChunkRow, SessionRow

_MOST_URLS = 50


class MultipartRoutes:
    """``/assets/multipart-uploads``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        base = f"{API}/assets/multipart-uploads"
        return [
            Route(base, self.create, methods=["POST"]),
            Route(base, self.page, methods=["GET"]),
            Route(f"{base}/{{upload_id}}", self.status, methods=["GET"]),
            Route(f"{base}/{{upload_id}}", self.report, methods=["POST"]),
            Route(f"{base}/{{upload_id}}/presigned-urls", self.more_urls, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Open a session and reserve its asset."""
        session = self._session_of(await json_body(request), read_forced_outcome(request))
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

        def work(db: sqlite3.Connection) -> None:
            SESSIONS.add(db, session)
            ASSETS.add(db, asset)
            ledger.enter(db, self._desk.entry(request, "session_opened", session.id, session.filename))

        await self._desk.state.write(work)
        first = min(session.total_chunks, self._desk.limits.first_urls)
        return reply(
            {
                "upload_id": session.id,
                "asset_id": session.asset_id,
                "chunk_size": session.chunk_size,
                "total_chunks": session.total_chunks,
                "expires_at": time_text(session.expires),
                "upload_headers": {},
                "upload_urls": self._urls(session, 1, first),
            },
            201,
        )

    def _session_of(self, body: dict[str, Json], forced_outcome: str) -> SessionRow:
        name, kind, size = body.get("filename"), body.get("type"), body.get("total_size")
        if not isinstance(name, str) or not 1 <= len(name) <= 255:
            raise invalid("The filename parameter must have 1 to 255 characters.")
        if kind != "video":
            raise invalid("The type parameter must be 'video' here: the local platform takes no other media.")
        most = self._desk.limits.multipart_bytes
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= most:
            raise invalid(f"The total_size parameter must be a whole number from 1 to {most}.")
        hls, thumbnail = body.get("enable_hls", False), body.get("enable_thumbnail", False)
        if not isinstance(hls, bool) or not isinstance(thumbnail, bool):
            raise invalid("The enable_hls and enable_thumbnail parameters must be true or false.")
        now, piece = self._desk.clock.now(), self._desk.limits.chunk_size
        return SessionRow(
            id=f"u_{secrets.token_hex(12)}",
            asset_id=new_id(now),
            filename=name,
            kind=kind,
            total_size=size,
            chunk_size=piece,
            total_chunks=-(-size // piece),
            created=now,
            updated=now,
            expires=now + self._desk.limits.session_seconds,
            hls=hls,
            thumbnail=thumbnail,
            forced_outcome=forced_outcome,
            user_metadata=metadata_of(body.get("user_metadata") or {}),
        )

    def _urls(self, session: SessionRow, start: int, count: int) -> list[dict[str, Json]]:
        until = min(session.expires, self._desk.clock.now() + self._desk.limits.url_seconds)
        numbers = range(start, min(start + count, session.total_chunks + 1))
        return [
            {
                "chunk_index": number,
                "url": self._desk.presigned(f"uploads/{session.id}/{number}", int(until)),
                "expires_at": time_text(until),
            }
            for number in numbers
        ]

    async def page(self, request: Request) -> Response:
        """List sessions that are not complete, newest first."""
        page = PageRequest.of(request.query_params)
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> tuple[int, list[SessionRow]]:
            where = "status = 'active' AND expires > ?"
            found = SESSIONS.select(db, where, [now], newest_first=True, limit=page.limit, offset=page.offset)
            return SESSIONS.count(db, where, [now]), found

        total, found = await self._desk.state.read(work)
        data = [
            {
                "upload_id": s.id,
                "status": s.status,
                "total_size": s.total_size,
                "chunk_size": s.chunk_size,
                "total_chunks": s.total_chunks,
                "created_at": time_text(s.created),
                "expires_at": time_text(s.expires),
            }
            for s in found
        ]
        return reply({"data": data, "page_info": page.info(total)})

    async def status(self, request: Request) -> Response:
        """Show how far a session is; the list of chunks is paged and counts by ``index``."""
        page = PageRequest.of(request.query_params)
        session = await find_session(self._desk, request.path_params["upload_id"])
        chunks = await self._desk.state.read(lambda db: _chunks(db, session.id))
        numbers = range(page.offset + 1, min(page.offset + page.limit, session.total_chunks) + 1)
        reported = [chunk for chunk in chunks.values() if chunk.reported]
        return reply(
            {
                "upload_id": session.id,
                "status": session.status,
                "uploaded_chunks": [_chunk_view(number, chunks.get(number)) for number in numbers],
                "chunks_completed": len(reported),
                "chunks_failed": 0,
                "chunks_pending": session.total_chunks - len(reported),
                "total_size": session.total_size,
                "uploaded_size": sum(chunk.size for chunk in reported),
                "page_info": page.info(session.total_chunks),
                "created_at": time_text(session.created),
                "updated_at": time_text(session.updated),
            }
        )

    async def more_urls(self, request: Request) -> Response:
        """Hand out further presigned addresses."""
        session = await active_session(self._desk, request.path_params["upload_id"])
        body = await json_body(request)
        start, count = body.get("start"), body.get("count")
        if not _whole(start, session.total_chunks) or not _whole(count, _MOST_URLS):
            raise invalid(f"start must be from 1 to {session.total_chunks} and count from 1 to {_MOST_URLS}.")
        urls = self._urls(session, start, count)
        now = self._desk.clock.now()
        return reply(
            {
                "upload_id": session.id,
                "start_index": start,
                "count": len(urls),
                "upload_urls": urls,
                "generated_at": time_text(now),
                "expires_at": time_text(min(session.expires, now + self._desk.limits.url_seconds)),
            }
        )

    async def report(self, request: Request) -> Response:
        """Take the proofs of stored chunks; the last one completes the session. Repeating changes nothing."""
        body = await json_body(request)
        session = await find_session(self._desk, request.path_params["upload_id"])
        if session.status not in ("active", "completed"):
            raise ApiError(
                400, f"upload_session_{session.status}", f"The session has {session.status}; open a new one."
            )
        proofs = _proofs(body, session)
        now = self._desk.clock.now()

        def take(db: sqlite3.Connection) -> tuple[int, int]:
            stored = _chunks(db, session.id)
            duplicates = 0
            for number, proof in proofs:
                chunk = stored.get(number)
                if chunk is None or chunk.etag != proof:
                    raise invalid(f"The proof of chunk {number} does not fit what was stored.")
                duplicates += chunk.reported
                CHUNKS.put(db, dataclasses.replace(chunk, reported=True, updated=now))
            SESSIONS.put(db, dataclasses.replace(_present(db, session.id), updated=now))
            return duplicates, CHUNKS.count(db, "session_id = ? AND reported = 1", [session.id])

        duplicates, complete = await self._desk.state.write(take)
        answer: dict[str, Json] = {
            "asset_id": session.asset_id,
            "processed_chunks": len(proofs) - duplicates,
            "duplicate_chunks": duplicates,
            "total_completed": complete,
        }
        if complete == session.total_chunks:
            await self._complete(request, session)
            until = int(now + self._desk.limits.url_seconds)
            answer["url"] = self._desk.presigned(f"assets/{session.asset_id}", until)
        return reply(answer)

    async def _complete(self, request: Request, session: SessionRow) -> None:
        """Move the bytes to the asset, then say so; both steps may find themselves done by an earlier try."""
        source, target = self._desk.state.session_file(session.id), self._desk.state.blob(session.asset_id)

        def move() -> None:
            if source.exists():
                move_into_place(source, target)

        def work(db: sqlite3.Connection) -> bool:
            present = _present(db, session.id)
            if present.status != "active":
                return False
            SESSIONS.put(db, dataclasses.replace(present, status="completed", updated=self._desk.clock.now()))
            entry = self._desk.entry(request, "session_completed", session.asset_id, session.filename)
            ledger.enter(db, entry)
            return True

        await self._desk.state.run_file_work(move)
        if await self._desk.state.write(work) and session.forced_outcome != "stuck":
            self._desk.work.push_asset(session.asset_id)


async def active_session(desk: ApiContext, key: str) -> SessionRow:
    """Return a session that takes chunks; raises ApiError (404, 400)."""
    session = await find_session(desk, key)
    if session.status != "active":
        raise ApiError(400, f"upload_session_{session.status}", f"The session is {session.status}.")
    return session


async def find_session(desk: ApiContext, key: str) -> SessionRow:
    """Return the session or raise ApiError (404); one that is past its time becomes expired here, its asset failed."""
    now = desk.clock.now()

    def work(db: sqlite3.Connection) -> SessionRow:
        session = _present(db, key)
        if session.status == "active" and now >= session.expires:
            session = dataclasses.replace(session, status="expired", updated=session.expires)
            SESSIONS.put(db, session)
            asset = ASSETS.get(db, session.asset_id)
            if asset is not None:
                ASSETS.put(db, dataclasses.replace(asset, status="failed", error="the upload session expired"))
        return session

    session = await desk.state.read(lambda db: _present(db, key))
    if session.status == "active" and now >= session.expires:
        session = await desk.state.write(work)
        await desk.state.run_file_work(lambda: discard(desk.state.session_file(key)))
    return session


def _proofs(body: dict[str, Json], session: SessionRow) -> list[tuple[int, str]]:
    given = body.get("completed_chunks")
    if not isinstance(given, list) or not given:
        raise ApiError(400, "parameter_not_provided", "The completed_chunks parameter is required.")
    proofs = []
    for entry in given:
        if not isinstance(entry, dict) or not _whole(entry.get("chunk_index"), session.total_chunks):
            raise invalid(f"A chunk_index must be from 1 to {session.total_chunks}.")
        if entry.get("proof_type") != "etag" or not isinstance(entry.get("proof"), str):
            raise invalid("A completed chunk needs proof_type 'etag' and its proof.")
        proofs.append((entry["chunk_index"], entry["proof"].strip('"')))
    return proofs


def _whole(value: Json, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _present(db: sqlite3.Connection, key: str) -> SessionRow:
    session = SESSIONS.get(db, key)
    if session is None:
        raise missing("upload session", key)
    return session


def _chunks(db: sqlite3.Connection, session_id: str) -> dict[int, ChunkRow]:
    return {chunk.number: chunk for chunk in CHUNKS.select(db, "session_id = ?", [session_id])}


def _chunk_view(number: int, chunk: ChunkRow | None) -> dict[str, Json]:
    """A chunk that is stored but not yet reported is still pending: the platform has not heard of it."""
    if chunk is None or not chunk.reported:
        return {"index": number, "status": "pending"}
    return {
        "index": number,
        "status": "completed",
        "uploaded_at": time_text(chunk.uploaded),
        "updated_at": time_text(chunk.updated),
    }
