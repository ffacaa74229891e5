"""The API as one application: endpoint tables become routes, errors become responses."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast, get_type_hints

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core import log
from pipeline.core.errors import StoreError
from pipeline.local.api import admin, storage
from pipeline.local.api.context import ApiContext, Endpoint, Handler
from pipeline.local.api.http.bodies import read_body
from pipeline.local.api.http.responses import API, EXTENSION, OLD, STORAGE, error_response
from pipeline.local.api.v1_2 import routes as v1_2
from pipeline.local.api.v1_3 import multipart
from pipeline.local.api.v1_3 import routes as v1_3
from pipeline.local.errors import ApiError

_log = log.get("platform")
#: What presigned addresses lead to.
STORED: tuple[Endpoint, ...] = (
    ("PUT", "/uploads/{upload_id}/{number:int}", multipart.store_chunk),
    ("GET", "/assets/{asset_id}", storage.download_asset),
    ("GET", "/thumbnails/{video_id}/{at:int}", storage.show_thumbnail),
)

#: What only this platform has; wants the same key as everything else.
EXTENSIONS: tuple[Endpoint, ...] = (
    ("GET", "/ledger", admin.list_ledger),
    ("GET", "/requests", admin.count_requests),
    ("GET", "/faults", admin.show_faults),
    ("POST", "/faults", admin.set_faults),
    ("DELETE", "/faults", admin.clear_faults),
)
#: Every endpoint, by the prefix of its path.
ENDPOINTS = {STORAGE: STORED, API: v1_3.ENDPOINTS, OLD: v1_2.ENDPOINTS, EXTENSION: EXTENSIONS}


def build_application(context: ApiContext) -> Starlette:
    """Return the application behind the gate: all endpoints, and a response for every error."""
    routes = [
        Route(prefix + path, _bind(context, handler, method), methods=[method])
        for prefix, table in ENDPOINTS.items()
        for method, path, handler in table
    ]
    handlers = {
        ApiError: _api_error, HTTPException: _http_error, StoreError: _disk, OSError: _disk, Exception: _crash,
    }  # fmt: skip
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


def _bind(context: ApiContext, handler: Handler, method: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that gives a handler what it asks for, see :data:`Handler`."""
    wanted = frozenset(inspect.signature(handler).parameters)
    body = get_type_hints(handler).get("body")
    transaction: Any = context.read if method == "GET" else context.write

    async def endpoint(request: Request) -> Response:
        given = {"context": context, "request": request, **request.path_params}
        given = {name: value for name, value in given.items() if name in wanted}
        if body is not None:
            given["body"] = await read_body(request, body)
        if "db" in wanted:
            response = await transaction(lambda db: handler(db=db, **given))
        else:
            response = await cast("Awaitable[Response | None]", handler(**given))
        return Response(status_code=204) if response is None else response

    return endpoint


async def _api_error(request: Request, error: ApiError) -> Response:
    return error_response(request.url.path, error)


async def _http_error(request: Request, error: HTTPException) -> Response:
    code = {404: "not_found", 405: "api_not_allowed"}.get(error.status_code, "generic_error")
    message = f"{request.method} {request.url.path} is not a call of this platform."
    return error_response(request.url.path, ApiError(error.status_code, code, message))


async def _disk(request: Request, error: Exception) -> Response:
    _log.error("platform.disk", method=request.method, path=request.url.path, why=str(error))
    message = "The platform's disk does not take it now."
    return error_response(request.url.path, ApiError(503, "service_unavailable", message))


async def _crash(request: Request, error: Exception) -> Response:
    return error_response(request.url.path, ApiError(500, "internal_server_error", "The platform made a mistake."))
