"""A platform for uploads in parts and the storage behind it, on real sockets and two ports, that only counts.

What arrives is discarded by the kernel (``MSG_TRUNC``), so that ten gigabytes cost the test little more than they cost the
client. Every header that either of them sees is kept.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PIECE = 1024 * 1024

_TRUNC = getattr(socket, "MSG_TRUNC", 0)


@dataclass
class Opened:
    """One session."""

    number: int
    name: str
    size: int
    chunk: int
    status: str = "active"
    received: Counter[int] = field(default_factory=Counter)  #: bytes per chunk, whole or not
    stored: set[int] = field(default_factory=set)
    reported: set[int] = field(default_factory=set)
    generation: int = 0  #: of addresses
    good_from: int = 0  #: older generations have expired

    @property
    def total(self) -> int:
        """Chunks in all."""
        return -(-self.size // self.chunk)

    def length(self, index: int) -> int:
        """Return the bytes of a chunk, counted from 1."""
        return min(self.chunk, self.size - (index - 1) * self.chunk)

    @property
    def again(self) -> int:
        """Bytes beyond the first time of each."""
        return sum(max(0, size - self.length(index)) for index, size in self.received.items())


@dataclass
class Cloud:
    """Both servers' memory. ``watch`` is called with the bytes received so far, in the middle of whatever arrives."""

    chunk: int
    key: str
    sessions: list[Opened] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  #: (server, request line, headers)
    watch: Callable[[int], None] = lambda _: None
    total: int = 0
    api: str = ""
    storage: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    have: Callable[[int], bool] = lambda _: False  #: chunks that are there from the beginning of a session

    @property
    def last(self) -> Opened:
        """The newest session."""
        return self.sessions[-1]

    def came(self, session: Opened, index: int, size: int) -> None:
        """Count bytes as they arrive."""
        with self.lock:
            session.received[index] += size
            self.total += size
            total = self.total
        self.watch(total)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rbufsize = 0  # what follows the headers is left in the socket
    disable_nagle_algorithm = True
    cloud: Cloud
    server_name = ""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def note(self) -> None:
        """Remember the request as it came."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.cloud.lock:
            self.cloud.seen.append((self.server_name, self.requestline, headers))

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        """Send JSON, or nothing."""
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Api(_Handler):
    server_name = "api"

    def do_GET(self) -> None:
        """Say how far a session is."""
        self.note()
        session = self._session()
        query = parse_qs(urlsplit(self.path).query)
        page, limit = int(query["page"][0]), 50
        numbers = range((page - 1) * limit + 1, min(page * limit, session.total) + 1)
        chunks = [{"index": n, "status": "completed" if n in session.reported else "pending"} for n in numbers]
        pages = -(-session.total // limit)
        info = {"page": page, "total_page": pages}
        self.answer(200, {"status": session.status, "uploaded_chunks": chunks, "page_info": info})

    def do_POST(self) -> None:
        """Open a session, hand out addresses, or take a report."""
        self.note()
        body = json.loads(self._body())
        if self.path.endswith("/multipart-uploads"):
            self._open(body)
        elif self.path.endswith("/presigned-urls"):
            session = self._session()
            with self.cloud.lock:
                session.generation += 1
            last = min(body["start"] + body["count"], session.total + 1)
            place = f"{self.cloud.storage}/put/{session.number}"
            urls = [
                {"chunk_index": n, "url": f"{place}/{n}?signature=secret-{session.generation}", "expires_at": None}
                for n in range(body["start"], last)
            ]
            self.answer(200, {"upload_urls": urls})
        else:
            session = self._session()
            if session.status != "active":
                self.answer(404, {"code": "resource_not_exist", "message": "There is no such session."})
                return
            session.reported |= {chunk["chunk_index"] for chunk in body["completed_chunks"]} & session.stored
            if len(session.reported) == session.total:
                session.status = "completed"
            self.answer(200, {"total_completed": len(session.reported)})

    def _open(self, body: Any) -> None:
        number = len(self.cloud.sessions)
        session = Opened(number, body["filename"], body["total_size"], self.cloud.chunk)
        session.stored = {index for index in range(1, session.total + 1) if self.cloud.have(index)}
        session.reported = set(session.stored)
        self.cloud.sessions.append(session)
        self.answer(
            201,
            {
                "upload_id": f"u-{number}", "asset_id": f"a-{number}", "chunk_size": session.chunk,
                "total_chunks": session.total, "expires_at": "2099-01-01T00:00:00Z", "upload_urls": [],
            },
        )  # fmt: skip

    def _session(self) -> Opened:
        return self.cloud.sessions[int(urlsplit(self.path).path.split("/u-")[1].split("/")[0])]

    def _body(self) -> bytes:
        left, parts = int(self.headers["content-length"]), []
        while left > 0 and (part := self.rfile.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


class _Storage(_Handler):
    server_name = "storage"

    def do_PUT(self) -> None:
        """Count a chunk."""
        self.note()
        _, _, number, index = urlsplit(self.path).path.split("/")
        session, chunk = self.cloud.sessions[int(number)], int(index)
        left = int(self.headers["content-length"])
        scratch = bytearray(_PIECE)
        while left > 0:
            size = self.connection.recv_into(scratch, min(left, _PIECE), _TRUNC)
            if not size:
                return
            left -= size
            self.cloud.came(session, chunk, size)
        if int(self.path.rpartition("-")[2]) < session.good_from:
            self.answer(403, {"Error": "expired"})
            return
        with self.cloud.lock:
            session.stored.add(chunk)
        self.answer(200, ETag=f'"etag-{chunk}"')


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed in the middle is what this is for."""


@contextmanager
def cloud(chunk: int, key: str) -> Iterator[Cloud]:
    """Serve a cloud on loopback: the platform as 127.0.0.1, the storage as localhost."""
    made = Cloud(chunk, key)
    servers = [_Server(("127.0.0.1", 0), type("Bound", (kind,), {"cloud": made})) for kind in (_Api, _Storage)]
    made.api = f"http://127.0.0.1:{servers[0].server_port}"
    made.storage = f"http://127.0.0.1:{servers[1].server_port}"
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
