"""The HTTP transport: the only file that knows httpx.

* The key goes to the configured origin and nowhere else: never to a presigned address, never along a redirect (none is
  followed), never over plain HTTP except to this machine.
* Each connection has a connection pool of its own. One pool of 50 costs five times the CPU per request, because a pool
  checks all its connections, with a system call for each idle one, at the start and at the end of every request.
* Error translation follows one rule: nothing was sent -> Transient and untouched; anything else -> Transient for a safe
  request, Ambiguous for any other.
"""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from random import Random
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, ConfigError, NeedsOperator, Permanent, ReelmillError, Transient
from pipeline.core.log import build_spellings
from pipeline.provider.dialects import errors
from pipeline.provider.dialects.json_reading import clip
from pipeline.provider.dialects.protocol import Request, Response
from pipeline.provider.http import body as bodies

POOL = 1  #: connections per pool
KEEP = 4.0  #: seconds an idle connection is kept: shorter than servers do, or a POST may meet a closing one
MOST = 4 * 1024 * 1024  #: bytes of an answer, unpacked; one may come on each connection at once
_LARGE = (30.0, 300.0)  #: seconds before each next try of a read whose answer was too large

UNGUESSED = 16  #: characters from which a key stands in an answer only because the answer repeats it
AGENT = b"reelmill"
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class _Sent(httpx.AsyncByteStream):
    """Bytes from our own generator for httpx; closing it closes its file."""

    source: AsyncGenerator[bytes, None]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self.source:
            yield block

    async def aclose(self) -> None:
        """End the generator wherever it stands."""
        await self.source.aclose()


class _Pool:
    """Up to POOL connections, and how many requests are on them."""

    __slots__ = ("busy", "http")

    def __init__(self, context: ssl.SSLContext, size: int, proxy: str | None) -> None:
        limits = httpx.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=KEEP)
        self.http = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False, proxy=proxy)
        self.busy = 0


_busy = attrgetter("busy")


class _Pools:
    """Small connection pools, ``connections`` in all; a request takes the least busy one."""

    def __init__(self, context: ssl.SSLContext, connections: int, proxy: str | None) -> None:
        sizes = [min(POOL, connections - first) for first in range(0, connections, POOL)]
        self._pools = [_Pool(context, size, proxy) for size in sizes]
        self.room = anyio.Semaphore(connections, fast_acquire=True)  # waiting here is free; in a pool it costs CPU

    async def send(self, request: httpx.Request, most: int) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        pool = min(self._pools, key=_busy)
        pool.busy += 1
        try:
            response = await pool.http.handle_async_request(request)
            try:
                return response.status_code, response.headers.raw, await _read(response, most)
            finally:
                await response.aclose()
        finally:
            pool.busy -= 1
            if isinstance(request.stream, _Sent):
                await request.stream.aclose()

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.http.aclose()


class _TooLarge(Exception):
    """An answer grew over its limit; never leaves this module."""


async def _read(response: httpx.Response, most: int) -> bytes:
    if not isinstance(response.stream, httpx.AsyncByteStream):  # pragma: no cover - httpx promises it; for mypy
        raise TypeError("not an async response")
    unpack = _unpacker(response.headers.get("content-encoding", "identity"))
    body = bytearray()  # not a list of parts: one that sends byte by byte would make each cost fifty
    try:
        async for part in response.stream:
            if unpack is not None:
                part = unpack.decompress(part, most - len(body) + 1)
            body += part
            if len(body) > most or (unpack is not None and unpack.unconsumed_tail):
                raise _TooLarge
        return bytes(body)
    finally:
        part = b""
        body.clear()  # an error that is kept would keep it, too


def _unpacker(encoding: str) -> zlib._Decompress | None:
    """Return a bounded decompressor where the answer is compressed unasked, or None."""
    return zlib.decompressobj(47) if encoding.lower() in ("gzip", "x-gzip", "deflate") else None


class Transport:
    """Sends requests of a dialect to one origin, and chunks to presigned addresses."""

    def __init__(
        self, base_url: str, key: str, *, connections: int, timeout: float, clock: Clock, rng: Random, most: int = MOST
    ) -> None:
        self._base = check_address(base_url)
        self._clock, self._rng, self._most, self._timeout = clock, rng, most, timeout
        self._key = check_key(key)
        self._hides = len(self._key) >= UNGUESSED
        self._spellings = re.compile(build_spellings(key).encode())
        self._prefix = self._base.raw_path.rstrip(b"/")
        self._loopback = is_loopback(self._base.host)
        self._own = [
            (b"host", self._base.netloc), (b"accept", b"application/json"), (b"accept-encoding", b"identity"),
            (b"user-agent", AGENT), *([(b"x-api-key", self._key)] if self._key else []),
        ]  # fmt: skip
        # httpx parses an address in 0.1 ms; what is posted goes to the same few again and again.
        self._address = lru_cache(maxsize=64)(lambda path: self._base.copy_with(raw_path=path))
        context = httpx.create_ssl_context()
        self._api = _Pools(context, connections, _proxy(self._base))
        # Chunks have pools of their own: an upload must not keep a status request waiting.
        self._storage = _Pools(context, connections, None if self._loopback else _proxy(self._base))
        self._limits = {"connect": min(timeout, 15.0), "read": timeout, "write": timeout, "pool": timeout}

    async def send(self, request: Request) -> Response:
        """Send once and return the whole answer, whatever its status.

        Raises:
            Transient: nothing was sent (``untouched``), or a safe request ended without an answer.
            Ambiguous: any other request ended without an answer.
            InputError: the file to be sent changed or cannot be read.
            Permanent: an address that must not be used.
        """
        foreign = bool(request.url)
        built = self._presigned(request) if foreign else self._to_origin(request)
        pools = self._storage if foreign else self._api
        try:
            async with pools.room:
                with anyio.CancelScope() as scope:
                    _limit(scope, built, 3 * (request.timeout or self._timeout))
                    status, raw, body = await pools.send(built, request.most or self._most)
            if scope.cancelled_caught:
                raise TimeoutError
        except _UNSENT as error:
            if _untrusted(error):
                raise self._impostor(built.url.host, error) from None
            raise self._unreachable(error) from None
        except (httpx.TransportError, httpx.InvalidURL, TimeoutError, OSError, zlib.error, _TooLarge) as error:
            raise self._lost(request, error) from None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
        # An echoed key must reach neither an error nor a stored answer; but a short key can be part of ordinary names.
        if self._hides or (self._key and status >= 400):
            body = self._without_key(body)
        return Response(status, headers, body, self._clock.now())

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._api.aclose()
        await self._storage.aclose()

    def without_key(self, text: str) -> str:
        """Hide the key in a text made of several parts."""
        return self._without_key(text.encode("utf-8", "replace")).decode() if self._hides else text

    def _without_key(self, body: bytes) -> bytes:
        """Hide the key in every spelling that a reader would turn back."""
        if b"\0" in body[:4]:  # JSON may come as UTF-16 or UTF-32
            body = body.decode(json.detect_encoding(body), "replace").encode("utf-8", "replace")
        if self._key in body:
            body = body.replace(self._key, b"***")
        return self._spellings.sub(b"***", body) if any(mark in body for mark in (b"\\", b"%", b"&#")) else body

    def _to_origin(self, request: Request) -> httpx.Request:
        if not request.path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {request.path!r}")
        path = self._prefix + request.path.encode("ascii")
        if request.params:
            path += b"?" + urlencode(request.params, quote_via=quote).encode("ascii")
        headers = [*self._own, *_encoded(request.headers)]
        return self._built(request, self._address(path), headers)

    def _presigned(self, request: Request) -> httpx.Request:
        try:
            url = httpx.URL(request.url)
        except httpx.InvalidURL:
            raise Permanent("the platform named an address that is none", code="bad_address") from None
        plain = url.scheme == "http" and is_loopback(url.host) and self._loopback
        if not (url.scheme == "https" or plain) or not url.host:
            raise Permanent("the platform named an address without encryption", code="bad_address")
        given = [(name, value) for name, value in _encoded(request.headers) if name not in (b"x-api-key", b"host")]
        return self._built(request, url, [(b"host", url.netloc), (b"user-agent", AGENT), *given])

    def _built(self, request: Request, url: httpx.URL, headers: list[tuple[bytes, bytes]]) -> httpx.Request:
        content: httpx.AsyncByteStream | bytes = b""
        if request.json is not None:
            content = _compact(request.json).encode()
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        elif request.form is not None:
            form = bodies.form(request.form, request.files, f"reelmill{self._rng.getrandbits(128):032x}")
            content = _Sent(form.stream())
            headers += [(b"content-type", form.content_type.encode()), (b"content-length", b"%d" % form.length)]
        elif request.range is not None:
            stamp = bodies.Stamp.of(request.range.path)
            content = _Sent(bodies.blocks(request.range, stamp))
            headers.append((b"content-length", b"%d" % request.range.length))
        elif request.method not in ("GET", "HEAD"):
            headers.append((b"content-length", b"0"))
        limits = self._limits
        if request.timeout is not None:
            limits = {**limits, "read": request.timeout, "write": request.timeout}
        stream = httpx.ByteStream(content) if isinstance(content, bytes) else content
        return httpx.Request(request.method, url, headers=headers, stream=stream, extensions={"timeout": limits})

    def _unreachable(self, error: Exception) -> ReelmillError:
        return Transient(
            f"{self._base.host} cannot be reached", code="unreachable", untouched=True, detail=self._words(error),
            remedy="check the network, the proxy and [provider] base_url",
        )  # fmt: skip

    def _impostor(self, host: str, error: Exception) -> ReelmillError:
        """Return the error for an untrusted certificate, which no retry helps."""
        return NeedsOperator(
            f"{host} cannot prove who it is: its certificate is not valid here", code="certificate",
            detail=self._words(error),
            remedy="check this machine's clock and who answers there; a company's own authority goes into SSL_CERT_FILE",
        )  # fmt: skip

    def _lost(self, request: Request, error: Exception) -> ReelmillError:
        if isinstance(error, _TooLarge):
            message = f"the platform's answer is larger than {(request.most or self._most) // 1_000_000} MB"
            too_large = Transient(message, code="answer_too_large", waits=_LARGE, remedy="`reelmill retry` asks again")
            return too_large if request.safe else Ambiguous(message)
        return errors.lost(
            request, "the connection ended without an answer", code="no_answer", detail=self._words(error)
        )

    def _words(self, error: Exception) -> str:
        text = clip(f"{type(error).__name__}: {error}")
        return self._without_key(text.encode("utf-8", "replace")).decode() if self._key else text


def _limit(scope: anyio.CancelScope, request: httpx.Request, seconds: float) -> None:
    """Bound the time of the whole answer, against a slow trickle.

    A file may take as long as its bytes move: there the time counts from the first moment of the answer.
    """
    if not isinstance(request.stream, _Sent):
        scope.deadline = anyio.current_time() + seconds
        return

    async def trace(event: str, _info: object) -> None:
        if event == "http11.receive_response_headers.started":
            scope.deadline = anyio.current_time() + seconds

    request.extensions["trace"] = trace


def _untrusted(error: BaseException) -> bool:
    """True where the connection failed at the other side's certificate."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def is_loopback(host: str) -> bool:
    """Return True for names and addresses that never leave this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_address(base_url: str) -> httpx.URL:
    """Return the platform's address.

    Raises:
        ConfigError: it is none, or the key would go over plain HTTP to another machine.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ConfigError("[provider] base_url is not an address", remedy="write https://host/v1.3") from None
    if url.scheme not in ("https", "http") or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigError(
            "[provider] base_url must be https://host/path and nothing more", remedy="write https://host/v1.3"
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise ConfigError(
            f"[provider] base_url: {url.host} would get the key over plain HTTP",
            remedy="use https://; plain http:// is for this machine only",
        )
    return url


def check_key(key: str) -> bytes:
    """Return the key as a header holds it.

    Raises:
        ConfigError: it holds characters that no key has.
    """
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ConfigError(
            "the API key holds characters that no key has", remedy="check TWELVELABS_API_KEY for a line break"
        )
    return key.encode()


def _proxy(url: httpx.URL) -> str | None:
    """Return the environment's proxy for an encrypted origin. Plain HTTP stays on this machine."""
    if url.scheme != "https" or proxy_bypass(url.host):
        return None
    return getproxies().get("https")


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
