"""What lists are narrowed and ordered by: query parameters, read into a clause and its values."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from starlette.datastructures import QueryParams

from pipeline.core.model import Json
from pipeline.local.api.responses import PageRequest
from pipeline.local.errors import invalid
from pipeline.local.state.tables import R, Table

PAGING = frozenset({"page", "page_limit", "sort_by", "sort_option"})

_SIGNS = {"": "=", "gte": ">=", "lte": "<="}


@dataclass(frozen=True, slots=True)
class Column:
    """Where a parameter looks: a column, and what it holds. A bare time means "at or after"."""

    name: str
    kind: Literal["text", "number", "time"] = "text"


@dataclass(frozen=True, slots=True)
class Listed:
    """A wanted list: clause, its values, order and page."""

    where: str
    values: list[Json]
    by: str
    newest_first: bool
    page: PageRequest

    def fetch(self, db: sqlite3.Connection, table: Table[R]) -> tuple[int, list[R]]:
        """Return how many records there are, and those of the page."""
        total = table.count(db, self.where, self.values)
        size = {"limit": self.page.limit, "offset": self.page.offset}
        return total, table.select(db, self.where, self.values, by=self.by, newest_first=self.newest_first, **size)


SIZES = {name: Column(name, "number") for name in ("duration", "fps", "width", "height", "size")}

TIMES = {"created_at": Column("created", "time"), "updated_at": Column("updated", "time")}


def listed(
    query: QueryParams,
    columns: Mapping[str, Column],
    *,
    beside: Mapping[str, Json],
    metadata: str = "",
    known: Set[str] = frozenset(),
) -> Listed:
    """Read the parameters of a list; empty values do not narrow.

    Args:
        query: the request's.
        columns: what can be narrowed; ``name[gte]`` and ``name[lte]`` are bounds.
        beside: further clauses that always hold, with their value; None for a clause without one.
        metadata: the column of user metadata; parameters of other names then look there, plain or as ``user_metadata[name]``.
        known: parameters that are read elsewhere.

    Raises:
        ApiError: 400 for what cannot be read.
    """
    where = list(beside)
    values = [value for value in beside.values() if value is not None]
    for name, text in query.multi_items():
        base, _, bound = name.removesuffix("]").partition("[")
        if name in PAGING or name in known or text == "":
            continue
        if base in columns and bound in _SIGNS:
            clause, value = _bounded(base, columns[base], bound, text)
            where.append(clause)
            values.append(value)
        elif metadata:
            where.append(_owned(metadata))
            values += _own(bound if base == "user_metadata" and bound else name, text)
    return Listed(" AND ".join(where) or "1", values, *_order(query), PageRequest.of(query))


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
        return f'CAST("{column.name}" AS INTEGER) {_SIGNS[bound or "gte"]} ?', epoch(name, text)
    value = _number(text)
    if value is None:
        raise invalid(f"The {name} parameter must be a number.")
    return f'"{column.name}" {_SIGNS[bound]} ?', value


def _owned(column: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM json_each({column}) own WHERE own.key = ? AND (own.type = ?"
        " OR (own.type = 'text' AND own.value = ?) OR (own.type IN ('integer', 'real') AND own.value = ?)))"
    )


def _own(name: str, text: str) -> list[Json]:
    """Return the values of :func:`_owned`: a text in an address may stand for a truth value, a string or a number."""
    return [name, text.lower() if text.lower() in ("true", "false") else "", text, _number(text)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def epoch(name: str, text: str) -> float:
    """Return an RFC 3339 time as epoch seconds; raises ApiError (400)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"The {name} parameter must be a time such as 2026-11-22T10:00:00Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
