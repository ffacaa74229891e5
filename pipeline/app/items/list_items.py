"""``list``: every item, filtered; streamed, beside any run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from pipeline.app.operator.attention import unlisted_ids
from pipeline.app.operator.display_names import display_source
from pipeline.app.operator.find_item import fold, rare_part
from pipeline.app.wiring.database import open_read_only
from pipeline.config.settings import Settings
from pipeline.core.model import FactPath, ItemFilter, ItemQuery, ItemRow, ListedItem, Standing
from pipeline.core.youtube_address import file_name, is_address
from pipeline.ingest.payloads import ItemData
from pipeline.ports.store import Database
from pipeline.source.identity import path_of_key

#: What an item is called: by the user, in its results, by file or site, else by its place.
_TITLES: Sequence[FactPath] = (
    ("item", "$.line.title"), ("publish", "$.title"), ("item", "$.about.title"), ("item", "$.locator"),
)  # fmt: skip
#: Title, folder and seconds of what was written; seconds of the video.
_WRITTEN: Sequence[FactPath] = (
    ("publish", "$.title"), ("publish", "$.folder"), ("publish", "$.seconds"), ("video", "$.seconds"),
)  # fmt: skip
#: What the flag accepts, and what it means in the database.
_STANDING: dict[str, Standing] = {
    "done": "done", "unfinished": "working", "working": "working", "failed": "failed", "held": "held",
    "cancelled": "cancelled", "skipped": "done",
}  # fmt: skip
_KINDS = ("file", "url", "youtube")  #: of sources, as their keys begin
#: Takes some rows; returns False if it wants no more.
Show = Callable[[Sequence[ItemRow]], bool]


async def list_items(
    settings: Settings,
    which: ItemFilter,
    show: Show,
    *,
    skip: int = 0,
    limit: int = 0,
    begin: Callable[[], None] = lambda: None,
) -> bool:
    """Hand the items to ``show``; return True if there are more.

    ``begin`` is called once it is sure that there is a list. ``skip``: so many are left out first; ``limit``: at most so
    many are shown, 0: all.

    Raises:
        ConfigError: there is no database yet.
    """
    asked = _Asked(which)
    async with open_read_only(settings) as database:
        begin()
        query = asked.query(await unlisted_ids(database))
        left = limit
        async with aclosing(database.items(query)) as pages:
            async for page in pages:
                rows = [row for row in map(_row, page) if asked.fits(row)]
                skip, rows = max(0, skip - len(rows)), rows[skip:]
                shown = rows[:left] if limit else rows
                if shown and not show(shown):
                    return False
                if limit and len(rows) > left:
                    return True
                left -= len(shown)
    return False


async def matching_videos(database: Database, which: ItemFilter) -> dict[str, ItemRow]:
    """Return the videos with an item that fits, by their keys."""
    asked, found = _Asked(which), dict[str, ItemRow]()
    async with aclosing(database.items(asked.query(await unlisted_ids(database)))) as pages:
        async for page in pages:
            for listed in page:
                if listed.item.subject and asked.fits(row := _row(listed)):
                    found.setdefault(listed.item.subject, row)
    return found


class _Asked:
    """What the rows are compared with."""

    def __init__(self, which: ItemFilter) -> None:
        self._which = which
        self._states = {"working" if state == "unfinished" else state for state in which.states}
        self._text = fold(which.text)
        self._tags = {fold(tag) for tag in which.tags}
        place = which.source
        self._folder = "" if is_address(place) or not place else os.path.abspath(os.path.expanduser(place))

    def query(self, ignored: Sequence[int]) -> ItemQuery:
        """Return what the database leaves out by itself: at most what :meth:`fits` refuses, too."""
        source = "" if self._which.source in _KINDS else self._which.source
        texts = [
            self._which.text,
            Path(self._folder).name if source and self._folder else source,
            *(self._which.tags if len(self._tags) == 1 else ()),
        ]
        parts = {part for part in map(rare_part, texts) if part.isascii() and part}
        standing = dict.fromkeys(_STANDING[state] for state in self._which.states)
        order = _TITLES if self._which.by_title else ()
        begins = f"{self._which.source}:" if self._which.source in _KINDS else ""
        return ItemQuery(tuple(standing), tuple(sorted(parts)), begins, ignored, order, _WRITTEN)

    def fits(self, row: ItemRow) -> bool:
        """Return True for a row that was asked for."""
        if self._states and row.state not in self._states:
            return False
        if self._tags and not self._tags & {fold(tag) for tag in row.tags}:
            return False
        said = (row.title, row.source, row.folder, row.id, row.key)
        return (not self._text or any(self._text in fold(each) for each in said)) and self._from(row)

    def _from(self, row: ItemRow) -> bool:
        source = self._which.source
        if not source or source == row.key.partition(":")[0]:
            return True
        if source in _KINDS:
            return False
        listed = row.place.rpartition(":")[0] or row.place
        if source in (row.place, listed, Path(listed).name) or self._folder == listed:
            return True
        if is_address(source):
            return row.source.startswith(source)
        path = path_of_key(row.key)
        return path == self._folder or path.startswith(f"{self._folder.rstrip('/')}/")


def _key(key: str) -> str:
    """Return a key without what may open an address."""
    kind, colon, rest = key.partition(":")
    return f"{kind}{colon}{display_source(rest)}"


def _row(listed: ListedItem) -> ItemRow:
    item = listed.item
    data = ItemData.of(item)
    title, folder, seconds, length = listed.facts
    return ItemRow(
        state="skipped" if listed.standing == "done" and data.skipped is not None else listed.standing,
        title=data.line.title or title or data.title or file_name(data.locator),
        source=display_source(data.source),
        place=data.place,
        id=data.line.id,
        tags=data.line.tags,
        seconds=seconds or length or data.seconds,
        usd=round(listed.usd, 6),
        possibly_twice=listed.doubtful,
        folder=folder or "",
        created=item.created,
        updated=item.updated,
        key=_key(item.key),
    )
