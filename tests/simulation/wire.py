"""httpx without sockets: the product's own transport ends here, and here its requests meet their accidents.

The model's promise: a request that arrives is carried out within ``Habits.arrive`` seconds, whether or not anybody still
waits, and listed within ``Habits.lag`` more. The fate ``late`` carries a request out only minutes after its client has
lost the connection.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.simulation.schedule import FREEZE_SENT, WALL, Fault
from tests.simulation.vendor import Asked, Reply, Vendor, refused
from tests.support.clock import Held
from tests.support.fakes import Crash

#: Our own key of the question that is being asked in this task, for the ledger of an API that has no field for it.
KEY: ContextVar[str] = ContextVar("key", default="")

#: Whose task is running; nobody's, outside of all processes.
LIFE: ContextVar[Life | None] = ContextVar("life", default=None)

_REAL: tuple[Any, Any] = httpx.AsyncHTTPTransport, httpx.create_ssl_context
_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: there is no socket
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_DAY = 90_000
_ID = re.compile(rb'"[0-9a-f]{24}"')


class Accidents:
    """What is still to happen, by site and the number of the event there."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._waiting = {(fault.site, fault.at): fault for fault in faults}
        self.counts: Counter[str] = Counter()
        self.fired: list[Fault] = []
        self.calm = False
        self._walls: dict[str, float] = {}  # until when a kind of call is refused, by the platform's clock

    def wall(self, calls: str, until: float) -> None:
        """Refuse all calls of this kind until then."""
        self._walls[calls] = until

    def walled(self, calls: str, now: float) -> bool:
        """Return True if calls of this kind are refused now, whoever makes them."""
        return not self.calm and now < self._walls.get(calls, 0.0)

    def next(self, site: str) -> Fault | None:
        """Count an event; return the accident that is due at it."""
        self.counts[site] += 1
        fault = None if self.calm else self._waiting.get((site, self.counts[site]))
        if fault is not None:
            self.fired.append(fault)
        return fault

    def fate(self, site: str) -> tuple[str, float]:
        """Return what becomes of the next upload or answer."""
        fault = self.next(site)
        return (fault.what, fault.size) if fault is not None else ("", 0.0)

    def clocks(self) -> list[Fault]:
        """Return the jumps of the clock, by time."""
        return sorted(
            (fault for (site, _), fault in self._waiting.items() if site == "clock"), key=lambda fault: fault.at
        )


@dataclass
class Machine:
    """Where processes live, one at a time."""

    name: str = ""  #: of the host; empty: there is no other
    skew: float = 0.0  #: seconds by which its wall clock is ahead of true time
    stood: float = 0.0  #: seconds for which all its clocks have stood still


@dataclass
class Life:
    """One process: once dead, nothing that it does reaches the world."""

    dead: bool = False
    state: int = 0  #: the number of its state folder: one more for each that was lost before
    number: int = 0  #: its own
    wall: Callable[[], float] = float  #: epoch seconds by its machine's clock
    task: asyncio.Task[Any] | None = None
    session: Any = None
    machine: Machine = field(default_factory=Machine)
    turns: int = 0
    requests: int = 0
    held: Held | None = None  #: while it is frozen
    freezes_for: float = 0.0  #: seconds, from its next turn on
    away_until: float = 0.0  #: by the world's time: no answer of the database comes through
    answer_lost: bool = False  #: its next call is carried out, but the answer does not come through
    context: Context | None = None  #: of its first task
    heard: asyncio.Event | None = None  #: of others that have written

    def die(self) -> None:
        """End everything, wherever it is."""
        self.dead = True
        if self.task is not None:
            self.task.cancel()
        if self.held is not None:
            self.held.let_go()

    def check(self) -> None:
        """Raise Crash after death."""
        if self.dead:
            raise Crash("after death")


class _Body(httpx.AsyncByteStream):
    def __init__(self, content: bytes, torn: bool) -> None:
        self._content, self._torn = content, torn

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        if self._torn:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to the model and answers back."""

    def __init__(
        self, vendor: Vendor, accidents: Accidents, life: Life, rng: Random, note: Callable[[str], None]
    ) -> None:
        self._vendor, self._accidents, self._life, self._rng, self._note = vendor, accidents, life, rng, note

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raise what httpx raises."""
        self._life.check()
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        life = self._life
        origin = {"key": KEY.get(), "state": life.state, "life": life.number, "sent": life.wall()}
        asked = Asked.of(request.method, str(request.url), dict(request.headers), body, **origin)
        life.requests += 1
        fault = self._accidents.next("account") or self._accidents.next(_site(asked))
        what = fault.what if fault is not None else ""
        if fault is not None and what == WALL:
            self._accidents.wall(_calls(asked), self._vendor.now() + fault.size)
        if _site(asked) == "pay" and self._accidents.walled(_calls(asked), self._vendor.now()):
            what = WALL  # whatever else was to befall this call does not get so far
        if what == "alien" and asked.key:
            what = "html"  # words of its own are an answer, if a bad one: that is the fate ``garbage``
        self._note(f"{asked.method} {asked.path} {what}".rstrip())
        if what == "die before":
            self._life.die()
        self._life.check()
        patience = float(request.extensions["timeout"]["read"])
        reply = await self._exchange(asked, what, fault.size if fault is not None else 0.0, patience)
        self._life.check()
        headers = {"Date": self._vendor.date(), **reply.headers}
        return httpx.Response(reply.status, headers=headers, stream=_Body(_spoilt(reply, what), what == "torn"))

    async def _exchange(self, asked: Asked, what: str, size: float, patience: float) -> Reply:
        habits = self._vendor.habits
        if what == "refused":
            raise httpx.ConnectError("connection refused")
        early = _early(what, self._vendor)
        if what in ("dropped", "unheard") or early is not None:
            await asyncio.sleep(patience if what == "unheard" else self._rng.random() * habits.arrive)
            if early is not None:
                return early
            raise httpx.ReadError("reset") if what == "dropped" else httpx.ReadTimeout("silence")
        if what == "late":
            self._vendor.post(asked, size)
            raise httpx.ReadError("reset")
        arrives = self._rng.random() * habits.arrive
        ticket = self._vendor.post(asked, arrives)
        if what == "die sent":
            self._life.die()
            self._life.check()
        if what == FREEZE_SENT:
            self._life.freezes_for = size
        await asyncio.sleep(arrives)
        reply = self._vendor.reply(ticket)
        wait = self._rng.random() * habits.answer + (size if what == "slow" else 0.0)
        wait = patience if what == "silent" else wait
        await asyncio.sleep(min(wait, patience))
        if wait >= patience:
            raise httpx.ReadTimeout("silence")
        if what == "lost":
            raise httpx.ReadError("reset")
        if what == "die answered":
            self._life.die()
        return _hidden(what) or reply


def _site(asked: Asked) -> str:
    if asked.method == "GET":
        return "read"
    return "chunk" if asked.method == "PUT" or "/multipart-uploads/" in asked.path else "pay"


def _calls(asked: Asked) -> str:
    """Return what kind of call this is to the platform's limits: the first word of its path behind the version."""
    return asked.path.split("/")[2]


def _early(what: str, vendor: Vendor) -> Reply | None:
    """Return the answer of a platform, or of something before it, that has not taken the request."""
    flat = {
        "code": "too_many_requests",
        "message": "You exceeded 10 requests per minute. Try again in 25 seconds.",
    }
    nested = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Slow down.", "details": {"retryAfter": "40"}}}
    replies = {
        "429 empty": Reply(429),
        "429 words": Reply(429, flat),
        "429 nested": Reply(429, nested),
        "429 after": Reply(429, None, {"Retry-After": "17"}),
        "429 date": Reply(429, flat, {"Retry-After": vendor.date()}),
        "429 ms": Reply(429, nested, {"retry-after-ms": "800"}),
        "429 reset": Reply(429, None, {"X-Ratelimit-Reset": str(int(vendor.now()) + 90)}),
        WALL: Reply(429, {**flat, "message": "Too many requests."}),
        "429 day": Reply(429, {**flat, "message": "Daily limit reached."}, {"Retry-After": str(_DAY)}),
        "500 before": refused(500, "internal_error"),
        "503 before": Reply(503, None, {"Retry-After": "4"}),
        "408": refused(408, "request_canceled_or_timed_out"),
        "425": Reply(425),
        "proxy404": Reply(404, b"<html>Not here</html>"),
        "401": refused(401, "api_key_invalid"),
        "credit": refused(400, "insufficient_funds"),
        "302": Reply(302, None, {"Location": "https://elsewhere.test/login"}),
        "451": refused(451, "x"),
    }
    return replies.get(what) or (_canned(what) if what.endswith(" instead") else None)


def _spoilt(reply: Reply, what: str) -> bytes:
    content = reply.content()
    spoilt = {
        "cut": content[: len(content) // 2], "torn": content[: len(content) // 2], "html": _HTML, "list": b"[]",
        "blank": b"", "alien": b'{"hello": {"world": null}}', "odd ids": _ID.sub(b'"../../indexes"', content),
        "another id": _ID.sub(b'"0123456789abcdef01234567"', content),
    }  # fmt: skip
    return spoilt.get(what, content)


def _hidden(what: str) -> Reply | None:
    """Return the answer that hides that a request was carried out."""
    if not what.endswith(" after") or what == "429 after":
        return None
    return _canned(what)


def _canned(what: str) -> Reply:
    """Return an answer by its words: a status, then perhaps what it says (``empty``, ``page``), else an error body."""
    status, *words = what.split()
    body: Any = {"error": {"code": "x", "message": "y"}}
    if "page" in words or (status in ("404", "502") and len(words) == 1):
        body = _HTML
    return Reply(int(status), None if "empty" in words else body)


def unwire() -> None:
    """Let httpx open sockets again, whatever a life that never ended has left."""
    library: Any = httpx
    library.AsyncHTTPTransport, library.create_ssl_context = _REAL


@contextmanager
def wired(make: Callable[[], Wire]) -> Iterator[None]:
    """Let httpx open wires to the model instead of sockets."""
    library: Any = httpx
    library.AsyncHTTPTransport, library.create_ssl_context = _Opener(make), _context
    try:
        yield
    finally:
        unwire()


class _Opener:
    def __init__(self, make: Callable[[], Wire]) -> None:
        self._make = make

    def __call__(self, **_options: Any) -> Wire:
        return self._make()


def _context() -> ssl.SSLContext:
    return _CONTEXT
