"""Pagination: numbered pages, and pages turned by a token that expires."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from pipeline.core.model import Json
from pipeline.local.api.http.fields import MOST_PAGE
from pipeline.local.api.http.responses import OLD, is_under, time_text
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.tables import RESULT_PAGES, ResultPagesRow

_TOKEN = re.compile(r"([0-9a-f-]{36})-([0-9]{1,6})")


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
    def parse(cls, query: QueryParams) -> PageRequest:
        """Read ``page`` and ``page_limit``; raise ApiError where they are not usable."""
        return cls(_whole(query, "page", 1, 1_000_000), _whole(query, "page_limit", 10, MOST_PAGE))

    def view(self, data: Sequence[Json], total: int) -> dict[str, Json]:
        """Return the page as the API shows it, of a list of ``total`` entries."""
        return {"data": list(data), "page_info": self.info(total)}

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


def store_pages(
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
    """Return an answer in pages; stored for ``seconds`` where it has more than one."""
    pages = ResultPagesRow(str(uuid.uuid4()), kind, now, now + seconds, limit, dict(head), dict(info), list(data))
    RESULT_PAGES.drop(db, "expires <= ?", [now])
    if len(data) > limit:
        RESULT_PAGES.add(db, pages)
    return pages


def page_at(db: sqlite3.Connection, kind: str, token: str, now: float) -> tuple[ResultPagesRow, int]:
    """Return the answer that a token belongs to, and the number of its page.

    Raises:
        ApiError: 400 for a token that has expired or never was; nobody can tell the two apart for ever.
    """
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise invalid("This is not a page token.")
    pages, number = RESULT_PAGES.get(db, found[1]), int(found[2])
    if pages is None or pages.kind != kind or now >= pages.expires:
        raise ApiError(400, "search_page_token_expired", "The page token has expired; ask again.")
    if number * pages.limit >= len(pages.data):
        raise invalid("This is not a page token.")
    return pages, number


def page_view(pages: ResultPagesRow, number: int, path: str) -> dict[str, Json]:
    """Return a page, counted from 0, as the dialect of the path words it."""
    first, last = number * pages.limit, (number + 1) * pages.limit
    info: dict[str, Json] = {
        "limit_per_page": pages.limit,
        "total_results": len(pages.data),
        "page_expired_at" if is_under(path, OLD) else "page_expires_at": time_text(pages.expires),
        "next_page_token": f"{pages.id}-{number + 1}" if last < len(pages.data) else "",
        "prev_page_token": f"{pages.id}-{number - 1}" if number else "",
        **pages.info,
    }
    if not is_under(path, OLD):  # the vendor's own client turns pages until there is no token
        info = {name: value for name, value in info.items() if value != ""}
    return {**pages.head, "data": pages.data[first:last], "page_info": info}
