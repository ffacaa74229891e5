"""The HTTP border: what is sent where. It and ``connections``, which sends it, are the only files that know httpx.

* The key goes to the configured origin and nowhere else: never to a presigned address, never along a redirect (none is
  followed), never over plain HTTP except to this machine.
* What httpx raises becomes one of our errors here, by one rule: nothing was sent -> Transient and untouched; anything
  else -> Transient for a safe request, Ambiguous for any other.
"""

from __future__ import annotations

import ipaddress
import json
import zlib
from collections.abc import AsyncGenerator, Mapping
from random import Random
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from pipeline.errors import Ambiguous, ConfigError, Permanent, ReelmillError, Transient
from pipeline.ports import Clock
from pipeline.provider import body as bodies
from pipeline.provider import wire
from pipeline.provider.connections import Lines, Outgoing, Pools, TooMuch
from pipeline.provider.dialect import Request, Response

MOST = 64 * 1024 * 1024  #: bytes of an answer, unpacked
AGENT = b"reelmill"

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class Transport:
    """Sends requests of a dialect to one origin, and chunks to presigned addresses."""

    def __init__(
        self, base_url: str, key: str, *, connections: int, timeout: float, clock: Clock, rng: Random, most: int = MOST
    ) -> None:
        self._base = _checked(base_url)
        self._clock, self._rng, self._most, self._timeout = clock, rng, most, timeout
        self._key = _checked_key(key)
        self._prefix = self._base.raw_path.rstrip(b"/")
        self._loopback = is_loopback(self._base.host)
        self._own = [
            (b"host", self._base.netloc), (b"accept", b"application/json"), (b"accept-encoding", b"identity"),
            (b"user-agent", AGENT), *([(b"x-api-key", self._key)] if self._key else []),
        ]  # fmt: skip
        context = httpx.create_ssl_context()
        proxy = _proxy(self._base)
        self._api = Lines(self._base, context) if proxy is None else Pools(context, connections, proxy)
        # Chunks have connections of their own: an upload must not keep a status request waiting.
        self._storage = Pools(context, connections, None if self._loopback else proxy)
        # Waiting here costs nothing; waiting in a pool costs CPU.
        self._api_room, self._storage_room = anyio.Semaphore(connections), anyio.Semaphore(connections)
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
        wires, room = (self._storage, self._storage_room) if foreign else (self._api, self._api_room)
        # Each read and write has its own limit; this one ends an answer that trickles for ever.
        total = None if request.files or request.range else 3 * (request.timeout or self._timeout)
        try:
            async with room:
                with anyio.fail_after(total):
                    status, raw, body = await wires.send(built, self._most)
        except _UNSENT as error:
            raise self._unreachable(error) from None
        except (httpx.TransportError, httpx.InvalidURL, TimeoutError, OSError, zlib.error, TooMuch) as error:
            raise self._lost(request, error) from None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
        if self._key and self._key in body:  # an echo must reach neither an error nor a stored answer
            body = body.replace(self._key, b"***")
        return Response(status, headers, body, self._clock.now())

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._api.aclose()
        await self._storage.aclose()

    def _to_origin(self, request: Request) -> Outgoing:
        if not request.path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {request.path!r}")
        path = self._prefix + request.path.encode("ascii")
        if request.params:
            path += b"?" + urlencode(request.params, quote_via=quote).encode("ascii")
        headers = [*self._own, *_encoded(request.headers)]
        return self._built(request, self._base, path, headers)

    def _presigned(self, request: Request) -> Outgoing:
        try:
            url = httpx.URL(request.url)
        except httpx.InvalidURL:
            raise Permanent("the platform named an address that is none", code="bad_address") from None
        plain = url.scheme == "http" and is_loopback(url.host) and self._loopback
        if not (url.scheme == "https" or plain) or not url.host:
            raise Permanent("the platform named an address without encryption", code="bad_address")
        given = [(name, value) for name, value in _encoded(request.headers) if name not in (b"x-api-key", b"host")]
        return self._built(request, url, url.raw_path, [(b"host", url.netloc), (b"user-agent", AGENT), *given])

    def _built(
        self, request: Request, origin: httpx.URL, target: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Outgoing:
        content: AsyncGenerator[bytes, None] | bytes = b""
        if request.json is not None:
            content = json.dumps(request.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        elif request.form is not None:
            form = bodies.form(request.form, request.files, f"reelmill{self._rng.getrandbits(128):032x}")
            content = form.stream()
            headers += [(b"content-type", form.content_type.encode()), (b"content-length", b"%d" % form.length)]
        elif request.range is not None:
            stamp = bodies.Stamp.of(request.range.path)
            content = bodies.blocks(request.range, stamp)
            headers.append((b"content-length", b"%d" % request.range.length))
        elif request.method not in ("GET", "HEAD"):
            headers.append((b"content-length", b"0"))
        limits = self._limits
        if request.timeout is not None:
            limits = {**limits, "read": request.timeout, "write": request.timeout}
        return Outgoing(request.method, origin, target, headers, content, limits)

    def _unreachable(self, error: Exception) -> ReelmillError:
        return Transient(
            f"{self._base.host} cannot be reached", code="unreachable", untouched=True, detail=self._words(error),
            remedy="check the network, the proxy and [provider] base_url",
        )  # fmt: skip

    def _lost(self, request: Request, error: Exception) -> ReelmillError:
        if isinstance(error, TooMuch):
            message = f"the platform's answer is larger than {self._most // 1_000_000} MB"
            return Permanent(message, code="answer_too_large") if request.safe else Ambiguous(message)
        return wire.lost(request, "the connection ended without an answer", code="no_answer", detail=self._words(error))

    def _words(self, error: Exception) -> str:
        text = wire.clip(f"{type(error).__name__}: {error}")
        return text.replace(self._key.decode(), "***") if self._key else text


def is_loopback(host: str) -> bool:
    """Return True for names and addresses that never leave this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _checked(base_url: str) -> httpx.URL:
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


def _checked_key(key: str) -> bytes:
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
