"""The ping of a dead man's switch, as healthchecks.io understands it."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from pipeline.core.text import sanitize
from pipeline.watch.http import Post

MOST = 10_000  #: bytes of a body; the service keeps no more
EVERY = 3600.0  #: seconds between two signs of life of a long run


def start(address: str, rid: UUID) -> Post:
    """Return the ping that a run has begun."""
    return _ping(address, "start", rid, "")


def sign_of_life(address: str, rid: UUID, text: str) -> Post:
    """Return the ping that changes nothing and is kept in the log there."""
    return _ping(address, "log", rid, text)


def end(address: str, rid: UUID, code: int, ok: tuple[int, ...], text: str) -> Post:
    """Return the ping that a run has ended; codes in ``ok`` are a success."""
    return _ping(address, "0" if code in ok else str(code), rid, text)


def _ping(address: str, what: str, rid: UUID, text: str) -> Post:
    parts = urlsplit(address)
    query = "&".join(part for part in (parts.query, urlencode({"rid": str(rid)})) if part)
    place = urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{what}", query, ""))
    return Post(place, _cut(sanitize(text).encode("utf-8", "replace")))


def _cut(body: bytes) -> bytes:
    """Return at most :data:`MOST` bytes that end with a whole character."""
    return body if len(body) <= MOST else body[: MOST - 4].decode("utf-8", "ignore").encode() + "…".encode()
