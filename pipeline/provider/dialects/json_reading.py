"""What the dialects share: reading JSON, pages, times, error bodies in all their forms, and waits. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, TypeVar
from urllib.parse import quote

from pipeline.core.errors import Permanent
from pipeline.core.model import Json
from pipeline.provider.dialects.protocol import FoundObject, Page, Response, UnreadableAnswer

T = TypeVar("T")

_DETAIL = 500  #: characters of foreign text kept in an error

_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]+")


def parse(response: Response) -> dict[str, Any]:
    """Return the body as a JSON object; raise Unreadable for anything else. NaN and what is endless become null."""
    try:
        body = json.loads(response.body, parse_constant=_nowhere, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(f"not JSON ({type(error).__name__}): {clip(text_of(response), 120)}") from None
    if not isinstance(body, dict):
        raise UnreadableAnswer(f"a JSON {type(body).__name__} where an object was expected")
    return body


def _nowhere(_constant: str) -> None:
    """NaN and Infinity are no JSON, whatever Python says; an answer that is paid for must be storable."""


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


def ident(body: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that holds an id; raise Unreadable if none does."""
    for name in names:
        value = body.get(name)
        if isinstance(value, str) and value:
            return value
    raise UnreadableAnswer(f"no {' or '.join(names)} in the answer")


def whole(body: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    """Return a whole number; raise Unreadable if it is missing, not whole, or below ``least``."""
    value = body.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UnreadableAnswer(f"{name} is {value!r}, not a number of at least {least}")
    return value


def sub(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested object, empty where it is missing or something else."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def said(body: Mapping[str, Any], name: str) -> str:
    """Return a text field, empty where it is missing or something else."""
    value = body.get(name)
    return value if isinstance(value, str) else ""


def number(body: Mapping[str, Any], name: str) -> float:
    """Return a number, 0 where it is missing or something else."""
    value = body.get(name)
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    except OverflowError:  # a JSON integer can be larger than any float
        return 0.0
    return found if isfinite(found) else 0.0


def measure(body: Mapping[str, Any], name: str) -> float | None:
    """Return a length or a size, None where it is missing or cannot be one."""
    found = number(body, name)
    return found if found > 0 else None


def texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts, empty where it is missing or something else."""
    value = body.get(name)
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def objects(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of objects; raise Unreadable if it holds anything else, empty where it is missing."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UnreadableAnswer(f"no list of objects under {name}")
    return value


def nothing(_response: Response) -> None:
    """Read an answer of which only the status matters."""


def page_of(body: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> Page[T]:
    """Read a page-number list. Without ``page_info`` it is taken to be the last page; entries must be objects."""
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise UnreadableAnswer("no list of objects under data")
    info = sub(body, "page_info")
    page, pages, total = info.get("page", 1), info.get("total_page", 0), info.get("total_results")
    if not isinstance(page, int) or not isinstance(pages, int):
        raise UnreadableAnswer("page_info without numbers")
    return Page([read(entry) for entry in data], page >= pages or not data, total if isinstance(total, int) else None)


def paging(page: int, limit: int) -> list[tuple[str, str]]:
    """Return the query fields for a page counted from 1."""
    return [("page", str(page)), ("page_limit", str(limit))]


_EXACT = 2**53 - 1  #: larger integers must be sent as text


def metadata(given: Mapping[str, str | int | float | bool]) -> dict[str, Json]:
    """Return user metadata as the platform takes it."""
    return {
        name: str(value) if isinstance(value, int) and abs(value) > _EXACT else value for name, value in given.items()
    }


def segment(value: str) -> str:
    """Quote an id so that it stays one path segment, whatever it holds."""
    if value in (".", ".."):
        raise Permanent("an id that is no id", code="parameter_invalid")
    return quote(value, safe="")


def epoch(value: object) -> float | None:
    """Return epoch seconds of an RFC 3339 text, with or without fractions; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def http_date(value: str) -> float | None:
    """Return epoch seconds of an HTTP date; None if it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clip(text: str, most: int = _DETAIL) -> str:
    """Return foreign text fit for an error: one line, without the queries of addresses, cut."""
    return _QUERY.sub(r"\1?***", " ".join(text[: 4 * most].split()))[:most]


def text_of(response: Response) -> str:
    """Return the beginning of the body as text, whatever it is."""
    return response.body[: 4 * _DETAIL].decode("utf-8", "replace")


#: How far two clocks may disagree after the other side's Date header was taken into account, seconds.
SKEW = 120.0


def choose(entries: Iterable[FoundObject], label: str, since: float) -> str | None:
    """Return the id of what carries exactly this label, which is nobody's but ours; best what is younger than the intent.

    ``since`` is by the other side's clock, but no bound for what lives: our clock may have been put back after the intent
    was stored, and then even what it has just left behind looks older. One that failed counts only if it is certainly
    younger; otherwise a retry of a failed upload would find the old failure again.
    """
    older: str | None = None
    fallen: str | None = None
    for entry in entries:
        if entry.label != label:
            continue
        if not entry.failed:
            if entry.created is None or entry.created >= since - SKEW:
                return entry.id
            older = older or entry.id
        elif fallen is None and entry.created is not None and entry.created >= int(since):
            fallen = entry.id
    return older or fallen


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says, whatever its form. ``foreign``: it is not the API that speaks (HTML, cut JSON)."""

    code: str = ""
    message: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)
    foreign: bool = False


def error_body(response: Response) -> ErrorBody:
    """Read flat, nested, integer-code, empty and foreign error bodies. Never raises."""
    if not response.body.strip():
        return ErrorBody()
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return ErrorBody(message=text_of(response), foreign=True)
    if not isinstance(body, dict):
        return ErrorBody(message=text_of(response), foreign=True)
    nested = body.get("error")
    if isinstance(nested, str):
        return ErrorBody(said(body, "code"), said(body, "message") or nested, sub(body, "details"))
    inner = nested if isinstance(nested, dict) else body
    number = inner.get("error_code", inner.get("code"))
    code = said(inner, "code") or (str(number) if isinstance(number, int) else "")
    return ErrorBody(code, said(inner, "message"), sub(inner, "details"))
