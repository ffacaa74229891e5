"""What every route needs: the state, the work behind it, the clock, the limits, and how a request is read."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.api.responses import MOST_JSON, REACHED, STORAGE
from pipeline.local.errors import ApiError, invalid
from pipeline.local.jobs.media_library import MediaLibrary
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.jobs.worker import BackgroundWork
from pipeline.local.limits import PlatformLimits
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.ledger import LedgerEntry


@dataclass(slots=True)
class ApiContext:
    """The parts, put together once by the platform."""

    state: PlatformDatabase
    work: BackgroundWork
    clock: Clock
    limits: PlatformLimits
    policy: UrlPolicy
    library: MediaLibrary | None = None  #: files that stand for YouTube's
    fetches: bool = False  #: what the shelf lacks is fetched from YouTube
    base_url: str = ""

    def entry(self, request: Request, effect: str, object_id: str, key: str, minutes: float = 0.0) -> LedgerEntry:
        """Return a ledger entry about this request."""
        return LedgerEntry(self.clock.now(), request.method, request.url.path, effect, object_id, key, minutes)

    def sign(self, subject: str, expires: int) -> str:
        """Return the signature that makes an address presigned."""
        return hmac.new(self.state.secret, f"{subject}|{expires}".encode(), hashlib.sha256).hexdigest()

    def presigned(self, subject: str, until: int = 0) -> str:
        """Return an address below ``/_storage`` that needs no key, until a second (epoch; by default the usual time)."""
        until = until or int(self.clock.now() + self.limits.url_seconds)
        query = urlencode({"expires": until, "signature": self.sign(subject, until)})
        return f"{REACHED.get() or self.base_url}{STORAGE}/{subject}?{query}"

    def thumbnail(self, video_id: str, at: float) -> str:
        """Return the address of the picture at a time, seconds, of a video."""
        return self.presigned(f"thumbnails/{video_id}/{max(0, round(at * 1000))}")

    async def discard_blob(self, asset_id: str) -> None:
        """Remove an asset's bytes, if there are any; an empty id is none."""
        if asset_id:
            await self.state.run_file_work(lambda: discard(self.state.blob(asset_id)))

    def check_signature(self, request: Request, subject: str) -> None:
        """Raise ApiError (403) unless the address is signed and still valid."""
        given, until = request.query_params.get("signature", ""), request.query_params.get("expires", "")
        expires = int(until) if re.fullmatch(r"[0-9]{1,12}", until) else 0
        if not hmac.compare_digest(given.encode(), self.sign(subject, expires).encode()):
            raise ApiError(403, "signature_invalid", "The address is not signed by this platform.")
        if self.clock.now() > expires:
            raise ApiError(403, "signature_expired", "The address has expired; ask for a new one.")


async def json_body(request: Request) -> dict[str, Json]:
    """Read a JSON object; raises ApiError (400, 413)."""
    body = bytearray()
    async for piece in bytes_of(request):
        body += piece
        if len(body) > MOST_JSON:
            raise ApiError(413, "parameter_invalid", f"The body is larger than {MOST_JSON} bytes.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise invalid("The body must be a JSON object.")
    return found


async def bytes_of(request: Request) -> AsyncIterator[bytes]:
    """Yield the body's pieces; a client that leaves in the middle is an ApiError, not a crash."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise ApiError(400, "request_canceled_or_timed_out", "The body did not arrive whole.") from None


class Inlet:
    """Bytes that arrive: written to a file as they come, counted, hashed, never held in memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)  # what an ETag of object storage is
        self._file = file
        self._most = most

    def take(self, piece: bytes | memoryview) -> None:
        """Write a piece; raises ApiError (413) where it becomes too much."""
        self.size += len(piece)
        if self.size > self._most:
            raise ApiError(413, "video_filesize_too_large", f"The file is larger than {self._most} bytes.")
        self.md5.update(piece)
        self._file.write(piece)


def read_forced_outcome(request: Request) -> str:
    """Return what a fault rule wants to become of the object that this request creates."""
    forced_outcome = request.scope["state"].get("forced_outcome", "")
    return forced_outcome if isinstance(forced_outcome, str) else ""


def discard(path: Path) -> None:
    """Remove a half file, if it is there."""
    path.unlink(missing_ok=True)
