"""Reading JSON answers: typed fields, pages, error bodies, texts. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import isfinite
from typing import Any, TypeVar

from pipeline.core.clock import parse_iso
from pipeline.core.model import Json
from pipeline.provider.dialects.protocol import MalformedId, Page, Response, UnreadableAnswer

T = TypeVar("T")
_DETAIL = 500  #: characters of foreign text kept in an error
#: The one form of an id, whoever made it. Ids go into paths, queries, file names and the database.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_COUNTS, _SHOWN = 8, 40  #: entries of a usage, characters of each
_WORD = 64  #: characters of a status word
#: Values that an answer may hold, as its brackets and commas bound them: `{},` is 3 bytes as JSON, and 70 in memory.
_MOST_VALUES = 200_000
_MOST_IN_LINES = 5 * _MOST_VALUES  #: the same of an answer in lines
_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]+")


class JsonObject:
    """A foreign JSON object; an optional field of a wrong type is missing."""

    __slots__ = ("raw",)

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def id(self, *names: str) -> str:
        """Return the first of these fields; raise MalformedId without an id."""
        if found := self.optional_id(*names):
            return found
        raise MalformedId(f"no {' or '.join(names)} in the answer")

    def optional_id(self, *names: str) -> str:
        """Return the first of these ids, or empty; raise MalformedId for others."""
        for name in names:
            if found := self.text(name):
                if not is_id(found):
                    raise MalformedId(f"{name} holds no id: {clip(repr(found[:40]), 80)}")
                return found
        return ""

    def required(self, name: str) -> str:
        """Return a text; raise UnreadableAnswer if it is missing."""
        if found := self.text(name):
            return found
        raise UnreadableAnswer(f"no {name} in the answer")

    def word(self, name: str) -> str:
        """Return a status word, cut; raise UnreadableAnswer if it is missing."""
        return self.required(name)[:_WORD]

    def integer(self, name: str, *, least: int = 0) -> int:
        """Return an integer; raise UnreadableAnswer if it is missing, something else, or below ``least``."""
        value = self.raw.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UnreadableAnswer(f"{name} is {value!r}, not a number of at least {least}")
        return value

    def text(self, name: str) -> str:
        """Return a text, empty where it is missing."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, empty where it is missing."""
        value = self.raw.get(name)
        return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()

    def number(self, name: str) -> float:
        """Return a number, 0 where it is missing."""
        value = self.raw.get(name)
        try:
            found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
        except OverflowError:  # a JSON integer can be larger than any float
            return 0.0
        return found if isfinite(found) else 0.0

    def count(self, name: str) -> int:
        """Return a number without its fraction, 0 where it is missing."""
        return int(self.number(name))

    def positive(self, name: str) -> float | None:
        """Return a length or a size, None where there is none."""
        found = self.number(name)
        return found if found > 0 else None

    def timestamp(self, name: str) -> float | None:
        """Return an RFC 3339 time as epoch seconds, None where it is missing."""
        return parse_iso(self.text(name))

    def child(self, name: str) -> JsonObject:
        """Return a nested object, empty where it is missing."""
        value = self.raw.get(name)
        return JsonObject(value if isinstance(value, dict) else {})

    def children(self, name: str) -> list[JsonObject]:
        """Return a list of objects, or empty; raise UnreadableAnswer for others."""
        value = self.raw.get(name) or []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise UnreadableAnswer(f"no list of objects under {name}")
        return [JsonObject(entry) for entry in value]


def read_usage(value: Json) -> dict[str, Json]:
    """Return what an answer used: numbers as they are, the rest as short text."""
    if not isinstance(value, dict):
        return {} if value is None else {"usage": clip(str(value), _SHOWN)}
    first = list(value.items())[:_COUNTS]
    return {
        clip(name, _SHOWN): each if isinstance(each, int | float) else clip(str(each), _SHOWN) for name, each in first
    }


def is_id(value: str) -> bool:
    """Return True for what can be the id of something on the platform."""
    return _ID.fullmatch(value) is not None


def parse(response: Response) -> JsonObject:
    """Return the body as an object, or raise UnreadableAnswer.

    NaN and infinite numbers become null.
    """
    return _parse(response.body, body_text(response))


def parse_text(text: str) -> JsonObject:
    """Return a part of an answer as an object, as :func:`parse` does."""
    return _parse(text.encode("utf-8", "replace"), text)


def _parse(body: bytes, shown: str) -> JsonObject:
    try:
        found = _load(body)
    except (ValueError, RecursionError) as error:
        why = "too many values" if isinstance(error, _TooManyValues) else type(error).__name__
        raise UnreadableAnswer(f"not JSON ({why}): {clip(shown, 120)}") from None
    if not isinstance(found, dict):
        raise UnreadableAnswer(f"a JSON {type(found).__name__} where an object was expected")
    return JsonObject(found)


def parse_lines(body: bytes) -> tuple[list[JsonObject], int]:
    """Return the objects of JSON Lines, and how many lines are none.

    Raises:
        UnreadableAnswer: they would fill the memory.
    """
    if _values(body) > _MOST_IN_LINES:
        raise UnreadableAnswer("JSON Lines of too many values")
    found: list[JsonObject] = []
    broken = 0
    for line in body.splitlines():
        try:
            value = _load(line) if line.strip() else None
        except (ValueError, RecursionError):
            value = False
        if isinstance(value, dict):
            found.append(JsonObject(value))
        else:
            broken += value is not None
    return found, broken


class _TooManyValues(ValueError):
    """An answer would fill the memory; never leaves this module."""


def _load(body: bytes) -> Any:
    """Return the value of a JSON text; raise ValueError for none, or too many."""
    if _values(body) > _MOST_VALUES:
        raise _TooManyValues
    return json.loads(body, parse_constant=_null, parse_float=_finite)


def _values(body: bytes) -> int:
    """Return how many values a JSON text has at most."""
    return sum(map(body.count, (b",", b"[", b"{")))


def _null(_constant: str) -> None:
    """Return null: NaN and Infinity are no JSON, and answers must be storable."""


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


# ------------------------------------------------------------------------------------------------- readers for a Call


def read_object(build: Callable[[JsonObject], T]) -> Callable[[Response], T]:
    """Return a reader that builds a value from the body."""
    return lambda response: build(parse(response))


def read_page(build: Callable[[JsonObject], T]) -> Callable[[Response], Page[T]]:
    """Return a reader of a list's page by number."""
    return lambda response: build_page(parse(response), build)


def read_id(*names: str) -> Callable[[Response], str]:
    """Return a reader of the id of what was made."""
    return read_object(lambda body: body.id(*names))


def ignore_body(_response: Response) -> None:
    """Read an answer of which only the status matters."""


def build_page(body: JsonObject, build: Callable[[JsonObject], T], name: str = "data") -> Page[T]:
    """Build a page from the list of objects under ``name``.

    Without ``page_info`` it is the last one. One object with a malformed id is left out, because it would hide all others of
    the account for ever; a page of nothing else is unreadable.
    """
    if not isinstance(body.raw.get(name), list):
        raise UnreadableAnswer(f"no list of objects under {name}")
    entries, info = body.children(name), body.child("page_info").raw
    page, pages, total = info.get("page", 1), info.get("total_page", 0), info.get("total_results")
    if not isinstance(page, int) or not isinstance(pages, int):
        raise UnreadableAnswer("page_info without numbers")
    last = page >= pages or not entries
    built: list[T] = []
    for entry in entries:
        try:
            built.append(build(entry))
        except MalformedId:
            if not built and entry is entries[-1]:
                raise
    return Page(built, last, total if isinstance(total, int) else None)


# ---------------------------------------------------------------------------------------------------- times and texts


@lru_cache(maxsize=16)  # all answers of a second bear the same date
def parse_http_date(value: str) -> float | None:
    """Return epoch seconds of an HTTP date; None if it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def server_time(response: Response) -> float:
    """Return when the answer was made, epoch seconds, best by their clock."""
    return parse_http_date(response.headers.get("date", "")) or response.at


def clip(text: str, most: int = _DETAIL) -> str:
    """Return foreign text fit for an error: one line, no queries, cut."""
    return _QUERY.sub(r"\1?***", " ".join(text[: 4 * most].split()))[:most]


def body_text(response: Response) -> str:
    """Return the beginning of the body as text, whatever it is."""
    return response.body[: 4 * _DETAIL].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says, whatever its form.

    ``foreign``: not the API but something else answered (HTML, cut JSON).
    """

    code: str = ""
    message: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)
    foreign: bool = False


def read_error_body(response: Response) -> ErrorBody:
    """Read flat, nested, integer-code, empty and foreign error bodies. Never raises."""
    if not response.body.strip():
        return ErrorBody()
    try:
        body = _load(response.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return ErrorBody(message=body_text(response), foreign=True)
    flat = JsonObject(body)
    nested = body.get("error")
    if isinstance(nested, str):
        return ErrorBody(flat.text("code"), flat.text("message") or nested, flat.child("details").raw)
    inner = JsonObject(nested) if isinstance(nested, dict) else flat
    number = inner.raw.get("error_code", inner.raw.get("code"))
    code = inner.text("code") or (str(number) if isinstance(number, int) else "")
    return ErrorBody(code, inner.text("message"), inner.child("details").raw)
