"""What goes over the wire: error values and their body shapes, paging, identifiers, times. No I/O."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from starlette.datastructures import QueryParams
from starlette.responses import Response

from pipeline.core.clock import iso
from pipeline.core.model import Json
from pipeline.local.errors import ApiError, invalid

API = "/v1.3"

VERSION = "1.3"
#: The dialect of 2023, which the vendor has retired; the notebook also called it under another host path.
OLD = "/v1.2"

_OLD_NAMES = ("/p/v1.2",)
#: Routes that a test double needs and the vendor does not have.
EXTENSION = "/_platform"
#: Where presigned addresses point: no key is wanted there, the signature is the key.
STORAGE = "/_storage"

#: Where the request at hand came to, e.g. ``http://10.0.0.7:8765``: what it is answered must lead there from where it came.
REACHED: ContextVar[str] = ContextVar("reached", default="")

Shape: TypeAlias = Literal["flat", "nested", "integer", "empty", "html"]

MOST_JSON = 64 * 1024 * 1024  #: bytes of a JSON body; room for a base64 video of 36 MB

MOST_PAGE = 50


def canonical(path: str) -> str:
    """Return the one name of a path: the old dialect answers under two, and with a slash at the end too.

    >>> canonical("/p/v1.2/search/")
    '/v1.2/search'
    """
    for name in _OLD_NAMES:
        if is_under(path, name):
            path = OLD + path.removeprefix(name)
    return path.rstrip("/") if is_under(path, OLD) else path


def is_under(path: str, prefix: str) -> bool:
    """True if a path is the prefix or lies below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def shape_of(path: str) -> Shape:
    """Return the error shape that the API uses on a path."""
    nested = path.startswith((f"{API}/analyze/tasks", f"{API}/analyze/batches"))
    return "nested" if nested else "flat"


def error_body(shape: Shape, code: str, message: str, details: Mapping[str, Json] | None = None) -> bytes:
    """Return an error body in one of the five forms that clients meet."""
    if shape == "empty":
        return b""
    if shape == "html":
        return f"<html><head><title>{code}</title></head><body><h1>{message}</h1></body></html>".encode()
    if shape == "integer":
        return dump({"error_code": 1234, "message": message})
    if shape == "nested":
        extra = {"details": dict(details)} if details else {}
        return dump({"error": {"code": code, "message": message, **extra}})
    return dump({"code": code, "message": message, **({"details": dict(details)} if details else {})})


def media_type(shape: Shape) -> str:
    """Return the content type that goes with a body shape."""
    return "text/html; charset=utf-8" if shape == "html" else "application/json"


def error_response(path: str, error: ApiError) -> Response:
    """Return an error as the API words it on this path."""
    shape = "flat" if error.status == 401 else shape_of(path)  # a key is refused before the route is known
    body = error_body(shape, error.code, error.message, error.details)
    # The old dialect knows 404 for no route only: an unknown id is a bad parameter there.
    unknown_id = error.code == "resource_not_exist" and is_under(path, OLD)
    return Response(body, 400 if unknown_id else error.status, media_type=media_type(shape))


def dump(value: Json) -> bytes:
    """Return JSON text as bytes; half a surrogate pair, which JSON may hold and UTF-8 may not, stays escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def reply(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(dump(value), status, dict(headers or {}), "application/json")


def new_id(now: float) -> str:
    """Return 24 hex characters: the second, then chance. Sorts by time as the vendor's do."""
    return f"{int(now) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A wanted page: counted from 1, at most 50 entries."""

    number: int = 1
    limit: int = 10

    @property
    def offset(self) -> int:
        """Entries before this page."""
        return (self.number - 1) * self.limit

    @classmethod
    def of(cls, query: QueryParams) -> PageRequest:
        """Read ``page`` and ``page_limit``; raise ApiError where they are not usable."""
        return cls(_whole(query, "page", 1, 1_000_000), _whole(query, "page_limit", 10, MOST_PAGE))

    def info(self, total: int) -> dict[str, int]:
        """Return ``page_info`` for a list of ``total`` entries."""
        return {
            "limit_per_page": self.limit,
            "page": self.number,
            "total_page": -(-total // self.limit),
            "total_results": total,
        }


def _whole(query: QueryParams, name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= most:
        raise invalid(f"The {name} parameter must be a whole number from 1 to {most}.")
    return int(text)


def time_text(epoch: float | None) -> str | None:
    """Return an RFC 3339 time, or None."""
    return None if epoch is None else iso(epoch)


@dataclass(frozen=True, slots=True)
class ParsedForm:
    """A read form: text fields (the first of a name counts, all are in ``lists``), and where the file part was put."""

    fields: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    file_name: str = ""
    file_type: str = ""
    file_size: int = -1  #: bytes; -1 without a file part


def flag(fields: Mapping[str, str], name: str, default: bool) -> bool:
    """Read a form's truth value, which travels as the text ``true`` or ``false``."""
    text = fields.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise invalid(f"The {name} parameter must be true or false.")
    return default if text == "" else text == "true"


def metadata_of(value: Json) -> dict[str, Json]:
    """Check user metadata: a flat object of strings, numbers, truth values and lists of strings."""
    if not isinstance(value, dict):
        raise invalid("The user_metadata parameter must be a JSON object.")
    for name, entry in value.items():
        plain = entry is None or isinstance(entry, str | int | float | bool)
        texts = isinstance(entry, list) and all(isinstance(part, str) for part in entry)
        if not (plain or texts):
            raise invalid(
                f"The user_metadata field {name[:64]!r} must be a string, number, boolean or list of strings."
            )
    return value
