"""What every endpoint works with: state, work, clock, limits, signed addresses."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import TypeAlias, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.clock import Clock
from pipeline.local.api.http.gate import Gate
from pipeline.local.api.http.responses import REACHED, STORAGE
from pipeline.local.errors import ApiError
from pipeline.local.jobs.meaning import MeaningIndex
from pipeline.local.jobs.media_library import MediaLibrary
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.jobs.worker import BackgroundWork
from pipeline.local.limits import PlatformLimits
from pipeline.local.state import ledger
from pipeline.local.state.database import PlatformDatabase, move_into_place
from pipeline.local.state.ledger import LedgerEntry

T = TypeVar("T")


@dataclass(slots=True)
class ApiContext:
    """The parts, put together once by the platform.

    Database work runs in the thread of the database with the context variables of the request, so that addresses in
    the answer start as the request's did.
    """

    state: PlatformDatabase
    work: BackgroundWork
    clock: Clock
    limits: PlatformLimits
    policy: UrlPolicy
    gate: Gate
    library: MediaLibrary | None = None  #: files that stand for YouTube's
    fetches: bool = False  #: what the library lacks is fetched from YouTube
    sees: bool = False  #: the user's own model looks at pictures
    meaning: MeaningIndex | None = None  #: where a search can find by meaning
    base_url: str = ""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Carry out reading work on the database."""
        variables = copy_context()
        return await self.state.read(lambda db: variables.run(work, db))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Carry out work in a transaction: committed on return, undone on an exception."""
        variables = copy_context()
        return await self.state.write(lambda db: variables.run(work, db))

    def record(
        self, db: Connection, request: Request, effect: str, object_id: str, key: str, minutes: float = 0.0
    ) -> None:
        """Write a ledger entry about this request inside the caller's transaction."""
        now = self.clock.now()
        ledger.enter(db, LedgerEntry(now, request.method, request.url.path, effect, object_id, key, minutes))

    # ---------------------------------------------------------------------------------------------- presigned addresses

    def sign(self, subject: str, expires: int) -> str:
        """Return the signature that makes an address presigned."""
        return hmac.new(self.state.secret, f"{subject}|{expires}".encode(), hashlib.sha256).hexdigest()

    def presigned(self, subject: str, until: int = 0) -> str:
        """Return an address below ``/_storage`` that needs no key for a while."""
        until = until or int(self.clock.now() + self.limits.url_seconds)
        query = urlencode({"expires": until, "signature": self.sign(subject, until)})
        return f"{REACHED.get() or self.base_url}{STORAGE}/{subject}?{query}"

    def thumbnail(self, video_id: str, at: float) -> str:
        """Return the address of the picture at a time, seconds, of a video."""
        return self.presigned(f"thumbnails/{video_id}/{max(0, round(at * 1000))}")

    def check_signature(self, request: Request, subject: str) -> None:
        """Raise ApiError (403) unless the address is signed and still valid."""
        given, until = request.query_params.get("signature", ""), request.query_params.get("expires", "")
        expires = int(until) if re.fullmatch(r"[0-9]{1,12}", until) else 0
        if not hmac.compare_digest(given.encode(), self.sign(subject, expires).encode()):
            raise ApiError(403, "signature_invalid", "The address is not signed by this platform.")
        if self.clock.now() > expires:
            raise ApiError(403, "signature_expired", "The address has expired; ask for a new one.")

    # -------------------------------------------------------------------------------------------------------- files

    async def keep_blob(self, source: Path, asset_id: str) -> None:
        """Move a received file to the asset it belongs to."""
        await self.state.run_file_work(lambda: move_into_place(source, self.state.blob(asset_id)))

    async def discard_blob(self, asset_id: str) -> None:
        """Remove an asset's bytes, if there are any; an empty id is none."""
        if asset_id:
            await self.discard(self.state.blob(asset_id))

    async def discard(self, *paths: Path) -> None:
        """Remove files, where they exist."""
        for path in paths:
            await self.state.run_file_work(lambda path=path: path.unlink(missing_ok=True))  # type: ignore[misc]


#: Answers one call. Its parameters are what it needs:
#:
#: - ``context``, ``request`` and the parameters of the path;
#: - ``body``: the JSON body, checked by the model that the parameter is annotated with;
#: - ``db``: a transaction, of which the whole (then synchronous) handler is made; it only reads where the method is GET.
#:
#: None is 204 without a body.
Handler: TypeAlias = Callable[..., Response | None] | Callable[..., Awaitable[Response | None]]
#: Method, path below the dialect's prefix, handler.
Endpoint: TypeAlias = tuple[str, str, Handler]
