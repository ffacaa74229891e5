"""One POST to an address of the operator's own.

Only this file of the room knows httpx.
No redirect is followed, so that what is sent reaches no other host. The answer's body is never read: what counts is the
status. Private hosts are allowed, because the address comes from the operator's own configuration and from nowhere else.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from socket import gaierror, getaddrinfo
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from pipeline.core.clock import Clock
from pipeline.watch.beside import run_beside

TRIES = 2
PAUSE = 1.0  #: seconds between two tries
_AGENT = "reelmill"
#: Statuses after which the same may work a moment later.
_PASSING = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent, and where."""

    address: str
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] | None = None


async def deliver(post: Post, timeout: float, clock: Clock) -> str:
    """Send it; return why it was not taken, empty if it was.

    Two tries of ``timeout`` seconds; never raises.
    """
    why = ""
    for attempt in range(TRIES):
        if attempt:
            await clock.sleep(PAUSE)
        why, passing = await _try(post, timeout)
        if not why or not passing:
            break
    return why


async def _try(post: Post, timeout: float) -> tuple[str, bool]:
    """Return why it was not taken, and whether another try may help."""
    try:
        with anyio.fail_after(timeout):
            await _look_up(post.address)
            status, to = await _send(post)
    except TimeoutError:
        return f"no answer within {timeout:g} s", True
    except httpx.HTTPError as error:
        return _words(error), True
    except gaierror:
        return "its host cannot be found", True
    except (OSError, ValueError, httpx.InvalidURL) as error:
        return f"it cannot be reached: {type(error).__name__}", True
    if 200 <= status < 300:
        return "", False
    if 300 <= status < 400:
        return f"it answered {status}, a redirect{to}, which is not followed: set the new address", False
    return f"it answered {status}", status in _PASSING


async def _send(post: Post) -> tuple[int, str]:
    """Return the status, and the host that a redirect names."""
    headers = {"user-agent": _AGENT, "content-type": post.content_type, **(post.headers or {})}
    async with (
        httpx.AsyncClient(timeout=None, follow_redirects=False) as client,  # noqa: S113 - the caller bounds the whole
        client.stream("POST", post.address, content=post.body, headers=headers) as answer,
    ):
        named = shown(answer.headers.get("location", ""))[:100]
        return answer.status_code, f" to {named}" if named else ""


async def _look_up(address: str) -> None:
    """Resolve the host where a resolver that hangs does no harm.

    httpx asks again, of a resolver that has just answered.

    Raises:
        OSError: there is no such host.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if getproxies().get(parts.scheme) and not proxy_bypass(host):
        return  # the proxy does it
    await run_beside(getaddrinfo, host, parts.port or (443 if parts.scheme == "https" else 80))


def _words(error: httpx.HTTPError) -> str:
    """Return what went wrong; a library's words might quote the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return (
                "its certificate is not valid here" if "CERTIFICATE" in str(cause.reason) else "no encryption with it"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return "it cannot be reached"
    return "it closed the connection without an answer"


def shown(address: str) -> str:
    """Return what of an address may be shown: scheme, host and port.

    >>> shown("https://user:secret@hc.example.org:8443/ping/5a3c?create=1")
    'https://hc.example.org:8443'
    """
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}" if parts.scheme and host else ""
