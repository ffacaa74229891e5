"""Serves the page and what it links to, on this machine, read-only.

A browser lets every site ask every port of its machine. So requests under a foreign name are refused, and those that
another site makes; no other site can read an answer or run it as a script.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline.gallery.data_files import FOLDER
from pipeline.sink import atomic, layout

PAGE = "index.html"
#: As in the page itself, and nobody may put it into a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "frame-src https://www.youtube-nocookie.com; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),  # YouTube's player wants to know who shows it
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),  # the next run writes new ones; unchanged ones are told as that
)
_TOP = frozenset({PAGE, "index.txt", "results.jsonl"})
_TYPES = {
    ".webp": "image/webp", ".jpg": "image/jpeg", ".png": "image/png", ".vtt": "text/vtt; charset=utf-8",
    ".json": "application/json", ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm",
    ".mkv": "video/x-matroska", ".ogv": "video/ogg", ".avi": "video/x-msvideo", ".ts": "video/mp2t", ".mpg": "video/mpeg",
}  # fmt: skip
#: What a browser would run: for the page's own files only. Everything else is shown as text.
_PAGE_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A media file that the page links to, as it was ingested."""

    path: str
    size: int | None
    mtime_ns: int | None

    def open(self) -> int | None:
        """Return a descriptor of the file; None if it is another one now."""
        found = _open(self.path)
        if found is None:
            return None
        seen = os.fstat(found)
        if self.size in (None, seen.st_size) and self.mtime_ns in (None, seen.st_mtime_ns):
            return found
        os.close(found)
        return None


#: Returns the media file at a path beside the output folder, decoded (``films/a.mp4``), if the page links to it.
FindMedia: TypeAlias = Callable[[str], Awaitable[LinkedFile | None]]


class FileServer:
    """The ASGI application. ``port`` is set once it is known.

    Addresses are paths below the folder that holds the output folder, so that the page finds the films beside it.
    """

    port = 0

    def __init__(self, output: Path, find_media: FindMedia) -> None:
        self._output = output.resolve()
        self._find_media = find_media
        self.home = f"/{quote(self._output.name)}/"  #: where the page is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            response = await self._answer(scope["method"], scope["raw_path"], Headers(scope=scope))
            await response(scope, receive, send)

    async def _answer(self, method: str, raw_path: bytes, headers: Headers) -> Response:
        if headers.get("host", "").lower() not in self._names():
            return PlainTextResponse("This server does not answer under this name.", 421)
        if not _is_own(headers):
            return PlainTextResponse("Another site may not ask for this.", 403)
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("Only reading is possible.", 405, {"Allow": "GET, HEAD"})
        parts = _parts(raw_path)
        if parts in ([], [self._output.name]):
            return RedirectResponse(self.home, 302) if raw_path != self.home.encode() else await self._page(headers)
        found = await self._find(parts) if parts else None
        if found is None:
            return PlainTextResponse("There is nothing here.", 404)
        return await to_thread.run_sync(_file_response, found, _type_of(parts or []), headers)

    async def _page(self, headers: Headers) -> Response:
        found = await to_thread.run_sync(open_below, str(self._output), [PAGE])
        if found is None:
            return PlainTextResponse("There is no page yet: `reelmill gallery` makes it.", 404)
        return await to_thread.run_sync(_file_response, found, "text/html; charset=utf-8", headers)

    def _names(self) -> frozenset[str]:
        port = f":{self.port}" if self.port != 80 else ""
        return frozenset(f"{name}{port}" for name in ("127.0.0.1", "localhost"))

    async def _find(self, parts: Sequence[str]) -> int | None:
        """Return a descriptor of the file at an address, or None."""
        if parts[0] == self._output.name and _is_ours(parts[1:]):
            return await to_thread.run_sync(open_below, str(self._output), parts[1:])
        linked = await self._find_media("/".join(parts))
        return await to_thread.run_sync(linked.open) if linked is not None else None


def _is_own(headers: Headers) -> bool:
    """False for what another site asks for; a link may be followed."""
    site = headers.get("sec-fetch-site", "none")
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return site in ("none", "same-origin") or followed


def _parts(raw_path: bytes) -> list[str] | None:
    """Return an address as names; None where one of them is not plain."""
    try:
        parts = [unquote_to_bytes(part).decode() for part in raw_path.partition(b"?")[0].split(b"/")]
    except UnicodeDecodeError:
        return None
    if parts[0] or len(parts) < 2:
        return None
    names = parts[1:-1] if not parts[-1] and len(parts) < 4 else parts[1:]
    plain = all(name and not name.startswith(".") and not {"/", "\\", "\0"} & set(name) for name in names)
    return names if plain else None


def _is_ours(parts: Sequence[str]) -> bool:
    """True for what Reelmill writes; other files there are not served."""
    if len(parts) == 1:
        return parts[0] in _TOP
    known = parts[0] == FOLDER or layout.is_video_folder(parts[0])
    return known and layout.is_file("/".join(parts[1:]))


def _type_of(parts: Sequence[str]) -> str:
    suffix = os.path.splitext(parts[-1])[1].lower()
    if len(parts) == 2 and parts[1] == PAGE:
        return "text/html; charset=utf-8"
    if len(parts) > 2 and parts[1] == FOLDER and suffix in _PAGE_TYPES:
        return _PAGE_TYPES[suffix]
    return _TYPES.get(suffix, "text/plain; charset=utf-8")


def open_below(root: str, parts: Sequence[str]) -> int | None:
    """Return a descriptor of a regular file, or None; follow no link."""
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(atomic.opened(root))
            for part in parts[:-1]:
                folder = stack.enter_context(atomic.opened(part, folder))
            return _open(parts[-1], folder)
    except OSError:
        return None


def _open(name: str, folder: int | None = None) -> int | None:
    try:
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(found).st_mode):
        return found
    os.close(found)
    return None


# ---------------------------------------------------------------------------------------------------------- answers


def _file_response(found: int, media_type: str, headers: Headers) -> Response:
    """Return the answer with an open file, or close it."""
    seen = os.fstat(found)
    tag = f'"{seen.st_mtime_ns:x}-{seen.st_size:x}"'
    about = {"ETag": tag, "Last-Modified": formatdate(seen.st_mtime, usegmt=True), "Accept-Ranges": "bytes"}
    if headers.get("if-none-match") == tag:
        os.close(found)
        return Response(status_code=304, headers=about)
    wanted = headers.get("range", "") if headers.get("if-range", tag) == tag else ""
    part = _range(wanted, seen.st_size)
    start, end = part or (0, seen.st_size)
    if part is not None:
        if start >= end:
            os.close(found)
            return Response(status_code=416, headers={"Content-Range": f"bytes */{seen.st_size}"})
        about["Content-Range"] = f"bytes {start}-{end - 1}/{seen.st_size}"
    about["Content-Length"] = str(end - start)
    return _Opened(found, start, end, 200 if part is None else 206, about, media_type)


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return a range as (first, after the last) byte; None for all."""
    asked = _RANGE.fullmatch(wanted.replace(" ", ""))
    if asked is None or asked.group(0) == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


class _Opened(StreamingResponse):
    """A range of an open file, which it closes."""

    def __init__(self, found: int, start: int, end: int, status: int, about: dict[str, str], media_type: str) -> None:
        self._found = found
        super().__init__(self._chunks(start, end), status, about, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a client that has gone ends it."""
        try:
            if scope["method"] == "HEAD":
                await Response(None, self.status_code, self.headers)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            os.close(self._found)

    async def _chunks(self, at: int, end: int) -> AsyncIterator[bytes]:
        while at < end:
            chunk = await to_thread.run_sync(os.pread, self._found, min(_CHUNK, end - at), at)
            if not chunk:
                return  # it was cut meanwhile: the connection is dropped, since less came than was promised
            yield chunk
            at += len(chunk)
