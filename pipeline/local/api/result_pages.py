"""Answers in pages that are turned by token: search and classification. Later pages are free and end after a while."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Mapping, Sequence

from pipeline.core.model import Json
from pipeline.local.api.responses import MOST_PAGE, OLD, is_under, time_text
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.tables import RESULT_PAGES, ResultPagesRow

_TOKEN = re.compile(r"([0-9a-f-]{36})-([0-9]{1,6})")


def kept(
    db: sqlite3.Connection,
    kind: str,
    data: Sequence[Json],
    *,
    limit: int,
    head: Mapping[str, Json],
    info: Mapping[str, Json],
    now: float,
    seconds: float,
) -> ResultPagesRow:
    """Return an answer as sheets; stored for ``seconds`` where it has more than one page."""
    sheets = ResultPagesRow(str(uuid.uuid4()), kind, now, now + seconds, limit, dict(head), dict(info), list(data))
    RESULT_PAGES.drop(db, "expires <= ?", [now])
    if len(data) > limit:
        RESULT_PAGES.add(db, sheets)
    return sheets


def turned(db: sqlite3.Connection, kind: str, token: str, now: float) -> tuple[ResultPagesRow, int]:
    """Return the sheets a token belongs to and the number of its page.

    Raises:
        ApiError: 400 for a token that has expired or never was; the two cannot be told apart for ever.
    """
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise invalid("This is not a page token.")
    sheets, number = RESULT_PAGES.get(db, found[1]), int(found[2])
    if sheets is None or sheets.kind != kind or now >= sheets.expires:
        raise ApiError(400, "search_page_token_expired", "The page token has expired; ask again.")
    if number * sheets.limit >= len(sheets.data):
        raise invalid("This is not a page token.")
    return sheets, number


def page(sheets: ResultPagesRow, number: int, path: str) -> dict[str, Json]:
    """Return a page, counted from 0, as the dialect of the path words it."""
    first, last = number * sheets.limit, (number + 1) * sheets.limit
    info: dict[str, Json] = {
        "limit_per_page": sheets.limit,
        "total_results": len(sheets.data),
        "page_expired_at" if is_under(path, OLD) else "page_expires_at": time_text(sheets.expires),
        "next_page_token": f"{sheets.id}-{number + 1}" if last < len(sheets.data) else "",
        "prev_page_token": f"{sheets.id}-{number - 1}" if number else "",
        **sheets.info,
    }
    return {**sheets.head, "data": sheets.data[first:last], "page_info": info}


def limit_of(given: Json) -> int:
    """Read ``page_limit`` of a body or a form; raises ApiError (400)."""
    if given is None or given == "":
        return 10
    value = int(given) if isinstance(given, str) and given.isascii() and given.isdigit() else given
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_PAGE:
        raise invalid(f"The page_limit parameter must be a whole number from 1 to {MOST_PAGE}.")
    return value
