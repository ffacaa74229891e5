"""Middleware before all routes: counts, checks host and key, carries out faults."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.api.http import responses
from pipeline.local.api.http.faults import FaultRule, Faults, FaultScript
from pipeline.local.errors import ApiError

#: Statuses after which an object does not change by itself.
_FINAL = frozenset({"ready", "failed", "canceled", "completed", "expired"})
#: Names that are counted apart from each other, and their characters; the API has about a hundred of fifty.
_MOST_ROUTES, _LONGEST_ROUTE = 500, 200
#: A name or an address, and perhaps a port.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?")


@dataclass(slots=True)
class Counters:
    """Metrics since the start: requests by ``METHOD /route`` with ids left out, responses by status."""

    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def note(self, route: str) -> None:
        """Count a request, in a bounded number of names."""
        known = route in self.routes or (len(self.routes) < _MOST_ROUTES and len(route) <= _LONGEST_ROUTE)
        self.routes[route if known else "other"] += 1

    def as_json(self) -> dict[str, Json]:
        """Return both counters as a JSON object."""
        return {"routes": dict(self.routes), "statuses": dict(self.statuses)}


class Gate:
    """The outermost ASGI application.

    It knows the requests in progress, so that closing never waits for a slow client.
    """

    app: ASGIApp  #: the routes behind; set before the first request

    def __init__(self, *, token: str, faults: Faults, clock: Clock, host: str = "") -> None:
        self.counters = Counters()
        self.script = FaultScript(faults)
        self._token = token.encode()
        self._clock = clock
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._busy: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":  # no lifespan, no websockets here
            return
        exchange = _Exchange({**scope, "path": responses.canonical_path(scope["path"])}, receive, send)
        with anyio.CancelScope() as progress:
            self._busy.add(progress)
            try:
                await self._serve(exchange)
            finally:
                self._busy.discard(progress)
        if progress.cancelled_caught:  # the platform closes
            await exchange.drop(hard=False)

    def close(self) -> None:
        """End every request in progress; their connections are dropped."""
        for progress in list(self._busy):
            progress.cancel()

    async def _serve(self, exchange: _Exchange) -> None:
        method, path = exchange.scope["method"], exchange.scope["path"]
        self.counters.note(f"{method} {_route(path)}")
        headers = Headers(scope=exchange.scope)
        refusal = self._check_host(headers) or self._check_alive(path) or self._check_key(path, headers)
        if refusal is not None:
            await self._answer(exchange, responses.error_response(path, refusal))
            return
        if _HOST.fullmatch(host := headers.get("host", "")):
            responses.REACHED.set(f"{exchange.scope['scheme']}://{host}")
        rules = self.script.decide(method, path)
        for rule in rules:
            if rule.do == "latency":
                await self._clock.sleep(rule.seconds)
        acting = [rule for rule in rules if rule.do != "latency"]
        await self._carry_out(exchange, acting[0] if acting else None)

    def _check_host(self, headers: Headers) -> ApiError | None:
        """Refuse a foreign host name against DNS rebinding."""
        given = headers.get("host", "").lower()
        name = given.partition("]")[0].removeprefix("[") if given.startswith("[") else given.partition(":")[0]
        if name in self._names or _is_address(name):
            return None
        return ApiError(421, "misdirected_request", "The platform does not answer under this name.")

    def _check_alive(self, path: str) -> ApiError | None:
        """Refuse the old dialect where the script retires it."""
        how = self.script.faults.v1_2
        if how == "serve" or not responses.is_under(path, responses.OLD):
            return None
        if how == "gone410":
            return ApiError(410, "api_upgrade_required", "This version of the API is retired. Use v1.3.")
        return ApiError(404, "not_found", "There is nothing at this address.")

    def _check_key(self, path: str, headers: Headers) -> ApiError | None:
        given = headers.get("x-api-key")
        if path.startswith(responses.STORAGE):
            if given is None and "authorization" not in headers:
                return None
            return ApiError(400, "key_sent_to_storage", "A presigned address must not be sent the API key.")
        if given is not None and hmac.compare_digest(given.encode(), self._token):
            return None
        return ApiError(401, "api_key_invalid", "The API key is missing or not valid.")

    async def _carry_out(self, exchange: _Exchange, rule: FaultRule | None) -> None:
        if rule is None:
            await self._pass(exchange)
            return
        match rule.do:
            case "reset_before":
                await exchange.drop(hard=True)
            case "status" | "credit" | "key":
                await self._answer(exchange, self._refusal(exchange.scope["path"], rule))
            case "stuck" | "fail":
                outcome = "stuck" if rule.do == "stuck" else f"fail:{rule.code}:{rule.message}"
                exchange.scope["state"]["forced_outcome"] = outcome
                await self._pass(exchange)
            case _:
                await self._spoil(exchange, rule)

    async def _pass(self, exchange: _Exchange) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counters.statuses[str(message["status"])] += 1
            await exchange.send(message)

        await self.app(exchange.scope, exchange.receive, counted)

    async def _answer(self, exchange: _Exchange, response: Response) -> None:
        self.counters.statuses[str(response.status_code)] += 1
        await response(exchange.scope, exchange.receive, exchange.send)

    async def _spoil(self, exchange: _Exchange, rule: FaultRule) -> None:
        """Let the request act, hold its response back, and send something else."""
        held = _HeldResponse()
        await self.app(exchange.scope, exchange.receive, held.send)
        if rule.do == "reset_after":
            await exchange.drop(hard=True)
            return
        self.counters.statuses[str(held.status)] += 1
        if rule.do == "unknown_status":
            await held.deliver(exchange.send, _reword(bytes(held.body), rule.word))
            return
        half = bytes(held.body[: len(held.body) // 2])
        if rule.do == "malformed":
            await held.deliver(exchange.send, half)
            return
        await held.deliver(exchange.send, half, length=len(held.body) or 1)
        await exchange.drop(hard=False)

    def _refusal(self, path: str, rule: FaultRule) -> Response:
        if rule.do == "credit":
            return responses.error_response(
                path, ApiError(400, "insufficient_funds", rule.message or "There is no credit left.")
            )
        if rule.do == "key":
            return responses.error_response(
                path, ApiError(401, "api_key_invalid", rule.message or "The API key has expired.")
            )
        throttled = rule.status == 429
        code = rule.code or ("too_many_requests" if throttled else "generic_error")
        message = rule.message or ("The request limit was exceeded." if throttled else "Something went wrong.")
        details: dict[str, Json] = {}
        if rule.hint == "message":
            message += f" Try again in {rule.seconds:g} seconds."
        if rule.hint == "details":
            details = {"retryAfter": f"{rule.seconds:g}"}
        body = responses.error_body("nested" if details else rule.body, code, message, details)
        headers = {**self._hint(rule), **rule.headers}
        return Response(body, rule.status, headers, responses.media_type(rule.body))

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


class _Exchange:
    """One request with its connection.

    ``drop`` ends the connection, hard = with a TCP reset.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def drop(self, *, hard: bool) -> None:
        """End the connection and wait until the server has seen it."""
        self.scope["state"]["drop"](hard=hard)
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            while (await self.receive())["type"] != "http.disconnect":
                pass


class _HeldResponse:
    """A response that has not been sent."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a message as the server would."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(k, v) for k, v in message.get("headers", []) if k.lower() != b"content-length"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def deliver(self, send: Send, body: bytes, length: int | None = None) -> None:
        """Send a body in place of the held one; ``length`` promises more."""
        promised = len(body) if length is None else length
        headers = [*self.headers, (b"content-length", str(promised).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": length is not None})


def _reword(body: bytes, word: str) -> bytes:
    """Replace every status that is not final, in lists too."""
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


def read_forced_outcome(request: Request) -> str:
    """Return what a fault rule does to the created object; empty without."""
    outcome = request.scope["state"].get("forced_outcome", "")
    return outcome if isinstance(outcome, str) else ""
