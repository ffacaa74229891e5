"""Somebody who is told: an HTTP server on loopback that remembers what it got, and misbehaves on request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: How a request is answered: a status, "never" (the line stays open), "close" (it is cut), "trickle" (byte by byte,
#: without end), "flood" (a body without end), or the address of a redirect.
Answer = int | str


@dataclass(frozen=True, slots=True)
class Told:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Listener:
    """Answers each request with the next of ``answers``, then with ``then``."""

    answers: list[Answer] = field(default_factory=list)
    then: Answer = 200
    told: list[Told] = field(default_factory=list)

    def __enter__(self) -> Listener:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with listener._lock:
                    listener.told.append(Told(self.command, self.path, headers, body))
                    answer = listener.answers.pop(0) if listener.answers else listener.then
                listener._answer(self, answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on purpose
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, without their queries, in order."""
        return [each.path.partition("?")[0] for each in self.told]

    def _answer(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        request.close_connection = True
        if answer == "close":
            return
        if answer == "never":
            self.closing.wait(60)
        elif answer == "trickle":
            while not self.closing.wait(0.05):
                request.wfile.write(b"H")
        elif answer == "flood":
            request.send_response(200)
            request.end_headers()
            while not self.closing.is_set():
                request.wfile.write(b"x" * 65_536)
        else:
            request.send_response(answer if isinstance(answer, int) else 302)
            if not isinstance(answer, int):
                request.send_header("Location", answer)
            request.send_header("Content-Length", "0")
            request.end_headers()
