"""``list``: every item."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.options import Csv
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.core.model import ItemFilter, ItemRow

_PAGE = 50  #: rows of a table
_MOST = 10_000  #: it is kept in memory: its columns must be as wide as what they hold


class ItemState(StrEnum):
    """How an item stands, as ``status`` counts it."""

    DONE = "done"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    HELD = "held"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class ItemOrder(StrEnum):
    """In which order items are listed."""

    NEWEST = "newest"
    TITLE = "title"


@command("state")
def list_items(
    given: Invocation,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="Only items whose title, source, folder or id has this in it.", show_default=False
        ),
    ] = "",
    states: Annotated[
        list[ItemState] | None,
        typer.Option("--is", help="Only items in this state. Repeat it for several.", show_default=False),
    ] = None,
    tags: options.Tags = None,
    source: options.Source = "",
    order: Annotated[
        ItemOrder, typer.Option("--order", help="What comes first: the newest items, or titles by the alphabet.")
    ] = ItemOrder.NEWEST,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            metavar="N",
            min=1,
            help="Items of a page. Default: 50; with --json or --csv, all.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[int, typer.Option("--page", metavar="N", min=1, help="The page to show.")] = 1,
    csv: Csv = False,
) -> int:
    """List the items, the newest first.

    An item is one video of a list; its state is that of its worst part. It never disturbs a run. --json and --csv
    hold all items unless --limit says otherwise, and need no more memory for a million of them.

    \b
    Examples:
      reelmill list --is failed --is held
      reelmill list bees --source films/ --order title
      reelmill list --csv > library.csv
    """  # fmt: skip
    from pipeline.core.model import ItemFilter

    which = ItemFilter(text, [each.value for each in states or ()], tags or [], source, order is ItemOrder.TITLE)
    if csv or given.json:
        return _data(given, which, page, limit, csv=csv)
    return _table(given, which, page, limit or _PAGE)


def _data(given: Invocation, which: ItemFilter, page: int, limit: int | None, *, csv: bool) -> int:
    """Write rows as they come."""
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.tables.items.listing import CSV_HEAD, csv_lines, json_lines

    if csv and given.json:
        raise ConfigError("list: --csv and --json exclude each other", remedy="give one of them")
    if page > 1 and limit is None:
        raise ConfigError("list: --page needs --limit here", remedy="without --limit, data holds all items")
    limit = limit or 0
    started = False

    def show(rows: Sequence[ItemRow]) -> bool:
        nonlocal started
        lines = json_lines(rows, ascii_only=not terminal.takes_everything()) if given.json else csv_lines(rows)
        before, started = ",\n" if started and given.json else "", True
        return terminal.say(before + lines, end="" if given.json else "\n")

    def begin() -> None:
        terminal.say('{"items": [' if given.json else CSV_HEAD)

    skip = (page - 1) * limit
    more = given.call(lambda settings: app.list_items(settings, which, show, skip=skip, limit=limit, begin=begin))
    if given.json:
        end = "\n" if started else ""
        terminal.say(f'{end}], "more": {str(more).lower()}}}')
    return ExitCode.DONE


def _table(given: Invocation, which: ItemFilter, page: int, limit: int) -> int:
    """Show a page as a table."""
    from pathlib import Path

    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.tables.items.listing import items_table

    if limit > _MOST:
        raise ConfigError(f"list: a table has at most {_MOST:,} rows", remedy="--csv or --json hold any number")
    rows: list[ItemRow] = []

    def show(some: Sequence[ItemRow]) -> bool:
        rows.extend(some)
        return True

    skip = (page - 1) * limit
    more = given.call(lambda settings: app.list_items(settings, which, show, skip=skip, limit=limit))
    terminal.show(
        items_table(rows, str(Path.cwd()), first=skip + 1, more=more, page=page, narrowed=which != type(which)())
    )
    return ExitCode.DONE
