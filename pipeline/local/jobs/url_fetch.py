"""Media by URL: only where allowed, and guarded against SSRF into private networks."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio

from pipeline.core.net import is_public
from pipeline.local.analysis.protocol import AnalysisRefused
from pipeline.local.errors import ApiError, unsupported

_HOPS = 5
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """Which addresses are fetched: ``none``, ``public`` ones, or ``any`` host's."""

    allow: Literal["none", "public", "any"] = "none"
    timeout: float = 30.0  #: seconds without a byte; four times as long for all headers together
    total: float = 6 * 3600.0  #: seconds for the whole body: a byte now and then is no download

    def check(self, url: object) -> str:
        """Return a usable address; raises ApiError (400)."""
        if self.allow == "none":
            raise unsupported("media by URL", "Download the file and name that instead.")
        if not isinstance(url, str) or len(url) > 4096:
            raise ApiError(400, "parameter_invalid", "The url parameter must be a string.")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ApiError(400, "parameter_invalid", "The url parameter must be an http or https address.")
        return url


async def download(url: str, target: Path, policy: UrlPolicy, most: int) -> None:
    """Fetch media into a file; raises AnalysisRefused with the reason.

    Redirects are followed and checked one by one.
    """
    stop = threading.Event()
    try:
        await anyio.to_thread.run_sync(_download, url, target, policy, most, stop, abandon_on_cancel=True)
    finally:
        stop.set()


def _download(url: str, target: Path, policy: UrlPolicy, most: int, stop: threading.Event) -> None:
    try:
        for _ in range(_HOPS):
            further = _fetch(url, target, policy, most, stop)
            if further is None:
                return
            url = further
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AnalysisRefused(
            "video_url_unreachable", f"The address could not be read: {type(error).__name__}."
        ) from None
    raise AnalysisRefused("video_url_unreachable", "The address redirects too often.")


def _fetch(url: str, target: Path, policy: UrlPolicy, most: int, stop: threading.Event) -> str | None:
    """Make one request; return its redirect, or None with the bytes written."""
    parts = urlsplit(policy.check(url))
    connection = _connect(parts, policy)
    line = connection.sock  # where a body has no length, the connection hands it over to the answer
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _within(line, 4 * policy.timeout):
            connection.request("GET", path, headers={"Host": parts.netloc.rpartition("@")[2], "Accept": "*/*"})
            response = connection.getresponse()
        with response:
            if response.status in (301, 302, 303, 307, 308):
                return urljoin(url, response.headers.get("Location", ""))
            if response.status != 200:
                raise AnalysisRefused("video_url_unreachable", f"The address answered {response.status}.")
            if response.headers.get_content_maintype() == "text":
                raise AnalysisRefused("video_url_unreachable", "The address is a page, not a media file.")
            with target.open("wb") as file, _within(line, policy.total):
                _copy(response, file, most, stop)
        return None
    finally:
        connection.close()


@contextmanager
def _within(line: socket.socket, seconds: float) -> Iterator[None]:
    """Break the connection after so many seconds, against a slow trickle."""

    def cut() -> None:
        with suppress(OSError):  # closed by itself meanwhile
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _connect(parts: SplitResult, policy: UrlPolicy) -> http.client.HTTPConnection:
    """Connect to the address that was checked: DNS cannot change it (SSRF)."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if policy.allow != "any" and not all(is_public(str(info[4][0])) for info in found):
        raise AnalysisRefused(
            "video_url_unreachable", "The address is in a private network, which is not allowed here."
        )
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        host, port, timeout=policy.timeout
    )
    plain = socket.create_connection((str(found[0][4][0]), port), timeout=policy.timeout)
    if isinstance(connection, http.client.HTTPSConnection):
        import ssl

        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    else:
        connection.sock = plain
    return connection


def _copy(response: http.client.HTTPResponse, file: BinaryIO, most: int, stop: threading.Event) -> None:
    size = 0
    while piece := response.read1(_PIECE):
        size += len(piece)
        if size > most:
            raise AnalysisRefused("video_filesize_too_large", f"The file is larger than {most} bytes.")
        if stop.is_set():
            raise OSError("the platform is closing")
        file.write(piece)
    if response.length:
        raise OSError("the body ended early")
