"""Responses: JSON bodies, error shapes, identifiers, times, path names. No I/O."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal, TypeAlias

from starlette.responses import Response

from pipeline.core.clock import iso
from pipeline.core.model import Json
from pipeline.local.errors import ApiError

API = "/v1.3"
VERSION = "1.3"
#: The dialect of 2023, which the vendor has retired; the notebook also called it under another host path.
OLD = "/v1.2"
_OLD_NAMES = ("/p/v1.2",)
#: Routes that a test double needs and the vendor does not have.
EXTENSION = "/_platform"
#: Where presigned addresses point: no key is wanted there, the signature is the key.
STORAGE = "/_storage"
#: Base URL that the current request was sent to, e.g. ``http://10.0.0.7:8765``: addresses in its answer start with it.
REACHED: ContextVar[str] = ContextVar("reached", default="")
Shape: TypeAlias = Literal["flat", "nested", "integer", "empty", "html"]


def canonical_path(path: str) -> str:
    """Return the one name of a path.

    The old dialect answers under two, and with a slash at the end too.

    >>> canonical_path("/p/v1.2/search/")
    '/v1.2/search'
    """
    for name in _OLD_NAMES:
        if is_under(path, name):
            path = OLD + path.removeprefix(name)
    return path.rstrip("/") if is_under(path, OLD) else path


def is_under(path: str, prefix: str) -> bool:
    """True if a path is the prefix or lies below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def error_shape(path: str) -> Shape:
    """Return the error shape that the API uses on a path."""
    nested = path.startswith((f"{API}/analyze/tasks", f"{API}/analyze/batches"))
    return "nested" if nested else "flat"


def error_body(shape: Shape, code: str, message: str, details: Mapping[str, Json] | None = None) -> bytes:
    """Return an error body in one of the five forms that clients meet."""
    error: dict[str, Json] = {"code": code, "message": message, **({"details": dict(details)} if details else {})}
    match shape:
        case "empty":
            return b""
        case "html":
            return f"<html><head><title>{code}</title></head><body><h1>{message}</h1></body></html>".encode()
        case "integer":
            return dump({"error_code": 1234, "message": message})
        case "nested":
            return dump({"error": error})
        case "flat":
            return dump(error)


def media_type(shape: Shape) -> str:
    """Return the content type that goes with a body shape."""
    return "text/html; charset=utf-8" if shape == "html" else "application/json"


def error_response(path: str, error: ApiError) -> Response:
    """Return an error as the API words it on this path."""
    shape = "flat" if error.status == 401 else error_shape(path)  # a key is refused before the route is known
    body = error_body(shape, error.code, error.message, error.details)
    # The old dialect knows 404 for no route only: an unknown id is a bad parameter there.
    unknown_id = error.code == "resource_not_exist" and is_under(path, OLD)
    return Response(body, 400 if unknown_id else error.status, media_type=media_type(shape))


def dump(value: Json) -> bytes:
    """Return JSON text as bytes; half a surrogate pair stays escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def json_response(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(dump(value), status, dict(headers or {}), "application/json")


def pick(record: object, *names: str) -> dict[str, Json]:
    """Return the fields of a record that the API shows under their own names."""
    return {name: getattr(record, name) for name in names}


def new_id(now: float) -> str:
    """Return 24 hex characters: the second, then chance; they sort by time."""
    return f"{int(now) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"


def time_text(epoch: float | None) -> str | None:
    """Return an RFC 3339 time, or None."""
    return None if epoch is None else iso(epoch)
