"""What the calls of all dialects are built from. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

from pipeline.core.errors import Permanent
from pipeline.core.model import Json
from pipeline.provider.dialects.error_codes import GONE
from pipeline.provider.dialects.json_reading import JsonObject, clip, ignore_body, is_id, read_object
from pipeline.provider.dialects.protocol import Call, Request

T = TypeVar("T")
PAGE = 50  #: entries per page, at most
_LONGEST_TOKEN = 4_096
_EXACT = 2**53 - 1  #: larger integers must be sent as text


def get(path: str, build: Callable[[JsonObject], T]) -> Call[T]:
    """Ask about one object."""
    return Call(Request("GET", path, safe=True), read_object(build))


def delete(path: str) -> Call[None]:
    """Delete one object; a repeat changes nothing."""
    return Call(Request("DELETE", path, safe=True), ignore_body)


def list_request(path: str, page: int, *filters: tuple[str, str], limit: int = PAGE) -> Request:
    """List a page, counted from 1, of what passes the filters."""
    return Request("GET", path, params=[*filters, ("page", str(page)), ("page_limit", str(limit))], safe=True)


def path_segment(value: str) -> str:
    """Return an id as a path segment.

    Raises:
        Permanent: as for an id that the platform does not know, because what has another form is nobody's id.
    """
    if not is_id(value):
        raise Permanent("no id of the platform has this form", code=GONE.code, detail=clip(value, 80))
    return value


def token_segment(token: str) -> str:
    """Quote a page's token so that it stays one path segment."""
    if token in (".", "..") or len(token) > _LONGEST_TOKEN:
        raise Permanent("a token that is no token", code="parameter_invalid")
    return quote(token, safe="")


def user_metadata(given: Mapping[str, str | int | float | bool]) -> dict[str, Json]:
    """Return user metadata as the platform takes it."""
    return {name: _sendable(value) for name, value in given.items()}


def _sendable(value: str | int | float | bool) -> str | int | float | bool:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be sent
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value
