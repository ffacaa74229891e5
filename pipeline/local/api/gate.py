"""The door every request passes: counted, keyed, and gone wrong where a fault script says so. Plain ASGI."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, TypeAlias

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.api.faults import FaultRule, Faults, FaultScript
from pipeline.local.api.responses import (
    OLD,
    REACHED,
    STORAGE,
    canonical,
    error_body,
    error_response,
    is_under,
    media_type,
    shape_of,
)
from pipeline.local.errors import ApiError

#: Statuses after which an object does not change by itself.
_FINAL = frozenset({"ready", "failed", "canceled", "completed", "expired"})

#: Names that are counted apart from each other, and their characters; the API has about a hundred of fifty.
_MOST_ROUTES, _LONGEST_ROUTE = 500, 200

#: A name or an address, and perhaps a port.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?")

_Act: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Counters:
    """Requests since the start of this process, by ``METHOD /route`` with ids left out, and by status of the answer."""

    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def note(self, route: str) -> None:
        """Count a request. Whoever comes to the door, key or none, can think of any number of routes."""
        known = route in self.routes or (len(self.routes) < _MOST_ROUTES and len(route) <= _LONGEST_ROUTE)
        self.routes[route if known else "other"] += 1

    def as_json(self) -> dict[str, Json]:
        """Return both counters as a JSON object."""
        return {"routes": dict(self.routes), "statuses": dict(self.statuses)}


class Gate:
    """Wraps the routes. Requests in progress are known here, so that closing never waits for a slow client."""

    def __init__(self, app: ASGIApp, *, token: str, faults: Faults, clock: Clock, host: str = "") -> None:
        self.counters = Counters()
        self.script = FaultScript(faults)
        self._app = app
        self._token = token.encode()
        self._clock = clock
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._busy: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":  # no lifespan, no websockets here
            return
        visit = _Visit({**scope, "path": canonical(scope["path"])}, receive, send)
        with self._present() as presence:
            await self._serve(visit)
        if presence.cancelled_caught:  # the platform closes
            await visit.drop(hard=False)

    @contextmanager
    def _present(self) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as presence:
            self._busy.add(presence)
            try:
                yield presence
            finally:
                self._busy.discard(presence)

    def close(self) -> None:
        """End every request in progress; their connections are dropped."""
        for presence in list(self._busy):
            presence.cancel()

    async def _serve(self, visit: _Visit) -> None:
        method, path = visit.scope["method"], visit.scope["path"]
        self.counters.note(f"{method} {_route(path)}")
        headers = Headers(scope=visit.scope)
        refusal = self._check_host(headers) or self._check_alive(path) or self._check_key(path, headers)
        if refusal is not None:
            await self._answer(visit, error_response(path, refusal))
            return
        if _HOST.fullmatch(host := headers.get("host", "")):
            REACHED.set(f"{visit.scope['scheme']}://{host}")
        rules = self.script.decide(method, path)
        for rule in rules:
            if rule.do == "latency":
                await self._clock.sleep(rule.seconds)
        acting = [rule for rule in rules if rule.do != "latency"]
        await self._go_wrong(visit, acting[0] if acting else None)

    def _check_host(self, headers: Headers) -> ApiError | None:
        """Refuse a foreign name: a page in a browser can have its own name lead here, and would read the answers."""
        given = headers.get("host", "").lower()
        name = given.partition("]")[0].removeprefix("[") if given.startswith("[") else given.partition(":")[0]
        if name in self._names or _is_address(name):
            return None
        return ApiError(421, "misdirected_request", "The platform does not answer under this name.")

    def _check_alive(self, path: str) -> ApiError | None:
        """Refuse the old dialect, whatever the call and the key, where the script says that it is retired."""
        how = self.script.faults.v1_2
        if how == "serve" or not is_under(path, OLD):
            return None
        if how == "gone410":
            return ApiError(410, "api_upgrade_required", "This version of the API is retired. Use v1.3.")
        return ApiError(404, "not_found", "There is nothing at this address.")

    def _check_key(self, path: str, headers: Headers) -> ApiError | None:
        given = headers.get("x-api-key")
        if path.startswith(STORAGE):
            if given is None and "authorization" not in headers:
                return None
            return ApiError(400, "key_sent_to_storage", "A presigned address must not be sent the API key.")
        if given is not None and hmac.compare_digest(given.encode(), self._token):
            return None
        return ApiError(401, "api_key_invalid", "The API key is missing or not valid.")

    async def _go_wrong(self, visit: _Visit, rule: FaultRule | None) -> None:
        scope = visit.scope
        match rule.do if rule else None:
            case None:
                await self._pass(visit)
            case "reset_before":
                await visit.drop(hard=True)
            case "status" | "credit" | "key":
                assert rule is not None
                await self._answer(visit, self._refusal(scope["path"], rule))
            case "stuck" | "fail":
                assert rule is not None
                scope["state"]["forced_outcome"] = "stuck" if rule.do == "stuck" else f"fail:{rule.code}:{rule.message}"
                await self._pass(visit)
            case _:
                assert rule is not None
                await self._spoil(visit, rule)

    async def _pass(self, visit: _Visit) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counters.statuses[str(message["status"])] += 1
            await visit.send(message)

        await self._app(visit.scope, visit.receive, counted)

    async def _answer(self, visit: _Visit, response: Response) -> None:
        self.counters.statuses[str(response.status_code)] += 1
        await response(visit.scope, visit.receive, visit.send)

    async def _spoil(self, visit: _Visit, rule: FaultRule) -> None:
        """Let the request act, keep its answer back, and hand out something else."""
        kept = _Kept()
        await self._app(visit.scope, visit.receive, kept.send)
        if rule.do == "reset_after":
            await visit.drop(hard=True)
            return
        self.counters.statuses[str(kept.status)] += 1
        if rule.do == "unknown_status":
            await kept.deliver(visit.send, _reword(bytes(kept.body), rule.word))
            return
        half = bytes(kept.body[: len(kept.body) // 2])
        if rule.do == "malformed":
            await kept.deliver(visit.send, half)
            return
        await kept.deliver(visit.send, half, length=len(kept.body) or 1)
        await visit.drop(hard=False)

    def _refusal(self, path: str, rule: FaultRule) -> Response:
        if rule.do == "credit":
            return error_response(path, ApiError(400, "insufficient_funds", rule.message or "There is no credit left."))
        if rule.do == "key":
            return error_response(path, ApiError(401, "api_key_invalid", rule.message or "The API key has expired."))
        throttled = rule.status == 429
        code = rule.code or ("too_many_requests" if throttled else "generic_error")
        message = rule.message or ("The request limit was exceeded." if throttled else "Something went wrong.")
        details: dict[str, Json] = {}
        if rule.hint == "message":
            message += f" Try again in {rule.seconds:g} seconds."
        if rule.hint == "details":
            details = {"retryAfter": f"{rule.seconds:g}"}
        body = error_body("nested" if details else rule.body, code, message, details)
        headers = {**self._hint(rule), **rule.headers}
        return Response(body, rule.status, headers, media_type(rule.body))

    def _hint(self, rule: FaultRule) -> dict[str, str]:
        until = self._clock.now() + rule.seconds
        match rule.hint:
            case "retry-after":
                return {"Retry-After": f"{rule.seconds:g}"}
            case "retry-after-date":
                return {"Retry-After": formatdate(until, usegmt=True)}
            case "retry-after-ms":
                return {"retry-after-ms": f"{rule.seconds * 1000:.0f}"}
            case "ratelimit":
                return {
                    "X-Ratelimit-Limit": "10",
                    "X-Ratelimit-Remaining": "0",
                    "X-Ratelimit-Used": "10",
                    "X-Ratelimit-Reset": f"{until:.0f}",
                }
            case _:
                return {}


class _Visit:
    """One request with its connection. ``drop`` ends the connection, hard = with a TCP reset."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def drop(self, *, hard: bool) -> None:
        """End the connection and wait until the server has seen it, so that nothing else is answered."""
        self.scope["state"]["drop"](hard=hard)
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            while (await self.receive())["type"] != "http.disconnect":
                pass


class _Kept:
    """An answer held back."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a part of the answer as the server would."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(k, v) for k, v in message.get("headers", []) if k.lower() != b"content-length"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def deliver(self, send: Send, body: bytes, length: int | None = None) -> None:
        """Send a body in place of the kept one; with ``length`` more is promised than is sent."""
        promised = len(body) if length is None else length
        headers = [*self.headers, (b"content-length", str(promised).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": length is not None})


def _reword(body: bytes, word: str) -> bytes:
    """Replace every status that is not final, at the top and in the entries of a list."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    entries = [answer, *(answer.get("data") or [])] if isinstance(answer, dict) else []
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("status"), str) and entry["status"] not in _FINAL:
            entry["status"] = word
    return json.dumps(answer, ensure_ascii=False).encode()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _route(path: str) -> str:
    """Return the path with ids replaced, so that a counter has few names."""
    return "/".join("{id}" if len(part) >= 24 else part for part in path.split("/"))


__all__ = ["Counters", "Gate", "shape_of"]
