"""Items one a line: as a table, as CSV, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.clock import iso
from pipeline.core.model import ItemRow
from pipeline.core.text import csv_lines as csv_of
from pipeline.core.text import stamp
from pipeline.present.formatting import clean, money
from pipeline.present.tables.layout import FittedTable, coloured
from pipeline.view_json import TIMES, dumps

_COLUMNS: Final = [each.name for each in fields(ItemRow)]
CSV_HEAD: Final = ",".join(_COLUMNS)


def items_table(
    rows: Sequence[ItemRow], base: str, *, first: int = 1, more: bool = False, page: int = 1, narrowed: bool = False
) -> RenderableType:
    """Show a page of items, with paths from ``base``.

    Name, state, length and cost stay at any width.
    """
    if not rows:
        if page > 1:
            return Text("there are no more items")
        return Text("no item fits; `reelmill list` alone shows all" if narrowed else "there are no items yet")
    cells = [_cells(row, base) for row in rows]
    columns = ("state", "length", "cost", "title", "tags", "source")
    tags = any(row.tags for row in rows)
    kept = [at for at, name in enumerate(columns) if tags or name != "tags"]
    table = FittedTable(
        [columns[at] for at in kept], [[line[at] for at in kept] for line in cells], ("source", "title"),
        (*(["tags"] if tags else []), "source"), ("length", "cost"),
    )  # fmt: skip
    if not more and page == 1:
        return table
    last = first + len(rows) - 1
    shown = f"{first:,} to {last:,}" + (f"; there are more: --page {page + 1}, or --csv" if more else ", the last")
    return Group(table, Text(shown, "dim"))


def _cells(row: ItemRow, base: str) -> Sequence[Text]:
    length = stamp(row.seconds, form="clock") if row.seconds is not None else "?"
    cost = Text(money(row.usd), "yellow" if row.possibly_twice else "")
    source = clean(row.source)
    shown = source.removeprefix(base.rstrip("/") + "/") if base else source
    state = "unfinished" if row.state == "working" else row.state
    title = Text(clean(row.title))
    return [coloured(state), Text(length), cost, title, Text(clean(", ".join(row.tags)) or "-"), Text(shown)]


def csv_lines(rows: Sequence[ItemRow]) -> str:
    """Return rows as CSV without the head; no cell is a formula."""
    return csv_of([[_plain(name, getattr(row, name)) for name in _COLUMNS] for row in rows], "\n").rstrip("\n")


def _plain(name: str, value: object) -> str | int | float:
    if value is None:
        return ""
    if name in TIMES and isinstance(value, float):
        return iso(value) if value > 0 else ""
    if isinstance(value, str):
        return clean(value)
    return (
        value if isinstance(value, int | float) else ", ".join(map(clean, value)) if isinstance(value, Sequence) else ""
    )


def json_lines(rows: Sequence[ItemRow], *, ascii_only: bool) -> str:
    """Return rows as JSON objects, one a line, with commas between."""
    return ",\n".join(dumps(row, ascii_only=ascii_only, indent=None) for row in rows)
