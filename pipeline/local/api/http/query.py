"""Query parameters: flags, times, filters and order, read into an SQL clause."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Literal

from starlette.datastructures import QueryParams
from starlette.responses import Response

from pipeline.core.clock import parse_iso
from pipeline.core.model import Json
from pipeline.local.api.http.pagination import PageRequest
from pipeline.local.api.http.responses import json_response
from pipeline.local.errors import invalid
from pipeline.local.state.tables import R, Table

_PAGING = frozenset({"page", "page_limit", "sort_by", "sort_option"})
_SIGNS = {"": "=", "gte": ">=", "lte": "<="}


def parse_flag(query: QueryParams, name: str) -> bool:
    """Read a truth value; false where it is not given."""
    text = query.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise invalid(f"The {name} parameter must be true or false.")
    return text == "true"


def parse_choices(query: QueryParams, name: str, allowed: Collection[str]) -> list[str]:
    """Read a parameter that may be repeated; raises ApiError (400)."""
    found = query.getlist(name)
    if any(each not in allowed for each in found):
        raise invalid(f"The {name} parameter must be one of {', '.join(allowed)}.")
    return found


def split_list(query: QueryParams, name: str) -> set[str]:
    """Return the values of a parameter that is repeated, or comma separated, or both."""
    return {part for text in query.getlist(name) for part in text.split(",") if part}


@dataclass(frozen=True, slots=True)
class Column:
    """Where a parameter looks: a column, and what it holds."""

    name: str
    kind: Literal["text", "number", "time"] = "text"


SIZES = {name: Column(name, "number") for name in ("duration", "fps", "width", "height", "size")}
TIMES = {"created_at": Column("created", "time"), "updated_at": Column("updated", "time")}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A wanted list: clause, its values, page and order."""

    where: str
    values: list[Json]
    page: PageRequest
    by: str = "created"  #: the time that is shown: of two requests at once, the one that began later may arrive first
    newest_first: bool = True

    @classmethod
    def build(cls, conditions: Mapping[str, Json], query: QueryParams) -> ListQuery:
        """Return the list of what meets all conditions, newest first.

        Args:
            conditions: clauses with their value, a list of values, or None for a clause without one.
            query: the request's, which says the page.
        """
        values: list[Json] = []
        for value in conditions.values():
            values += value if isinstance(value, list) else [] if value is None else [value]
        return cls(" AND ".join(conditions) or "1", values, PageRequest.parse(query))

    def fetch(self, db: Connection, table: Table[R]) -> tuple[int, list[R]]:
        """Return how many records there are, and those of the page."""
        size = {"limit": self.page.limit, "offset": self.page.offset}
        found = table.select(db, self.where, self.values, by=self.by, newest_first=self.newest_first, **size)
        return table.count(db, self.where, self.values), found

    def respond(self, db: Connection, table: Table[R], view: Callable[[R], Json]) -> Response:
        """Return the page as a response, each record as ``view`` shows it."""
        total, found = self.fetch(db, table)
        return json_response(self.page.view([view(record) for record in found], total))


def is_in(column: str, values: Collection[str]) -> dict[str, Json]:
    """Return the condition that a column has one of the values."""
    return {f'"{column}" IN ({", ".join("?" * len(values))})': list(values)}


def parse_list(
    query: QueryParams,
    columns: Mapping[str, Column],
    *,
    conditions: Mapping[str, Json],
    metadata: str = "",
    known: Collection[str] = (),
) -> ListQuery:
    """Read the parameters of a list; empty values do not narrow.

    Args:
        query: the request's.
        columns: what can be narrowed; ``name[gte]`` and ``name[lte]`` are bounds.
        conditions: what always holds, see :meth:`ListQuery.build`.
        metadata: the column of user metadata; parameters of other names then look there, plain or as ``user_metadata[name]``.
        known: parameters that are read elsewhere.

    Raises:
        ApiError: 400 for what cannot be read.
    """
    always = ListQuery.build(conditions, query)
    where, values = [always.where], always.values
    for name, text in query.multi_items():
        base, _, bound = name.removesuffix("]").partition("[")
        if name in _PAGING or name in known or text == "":
            continue
        if base in columns and bound in _SIGNS:
            clause, value = _bounded(base, columns[base], bound, text)
            where.append(clause)
            values.append(value)
        elif metadata:
            where.append(_owned(metadata))
            values += _own(bound if base == "user_metadata" and bound else name, text)
    return ListQuery(" AND ".join(where), values, always.page, *_order(query))


def _order(query: QueryParams) -> tuple[str, bool]:
    by, option = query.get("sort_by") or "created_at", query.get("sort_option") or "desc"
    if by not in TIMES or option not in ("asc", "desc"):
        raise invalid("Lists are sorted by created_at or updated_at, asc or desc.")
    return TIMES[by].name, option == "desc"


def _bounded(name: str, column: Column, bound: str, text: str) -> tuple[str, Json]:
    if column.kind == "text":
        if bound:
            raise invalid(f"The {name} parameter takes no range.")
        return f'"{column.name}" = ?', text
    if column.kind == "time":
        # Times are shown to the second, so they are compared as shown.
        return f'CAST("{column.name}" AS INTEGER) {_SIGNS[bound or "gte"]} ?', parse_time(name, text)
    value = parse_number(text)
    if value is None:
        raise invalid(f"The {name} parameter must be a number.")
    return f'"{column.name}" {_SIGNS[bound]} ?', value


def _owned(column: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM json_each({column}) own WHERE own.key = ? AND (own.type = ?"
        " OR (own.type = 'text' AND own.value = ?) OR (own.type IN ('integer', 'real') AND own.value = ?)))"
    )


def _own(name: str, text: str) -> list[Json]:
    """Return the values of :func:`_owned` that a text may stand for."""
    return [name, text.lower() if text.lower() in ("true", "false") else "", text, parse_number(text)]


def parse_number(text: str) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_time(name: str, text: str) -> float:
    """Return an RFC 3339 time as epoch seconds; raises ApiError (400)."""
    at = parse_iso(text)
    if at is None:
        raise invalid(f"The {name} parameter must be a time such as 2026-11-22T10:00:00Z.")
    return at
