"""What is to be asked again, and what it costs."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from pipeline.core.text import stamp
from pipeline.money_views import Again, AgainRow
from pipeline.present.formatting import clean, count, fit, money
from pipeline.present.tables.layout import WIDE, FittedTable


def again_table(value: Again) -> RenderableType:
    """Show each item with its jobs, length and price."""
    cells = [
        [Text(_length(row)), Text(money(row.usd)), Text(fit(_jobs(row), WIDE)), Text(clean(row.item))]
        for row in value.rows
        if not row.left
    ]
    return FittedTable(["length", "price", "jobs", "item"], cells, ("item", "jobs"), (), ("length", "price"))


def again_price(value: Again) -> str:
    """Return the price in a sentence."""
    price = f"about {money(value.usd)}, at most {money(value.usd_most)}"
    return f"asking again costs {price}; the old results stay until the new ones are there"


def again_outcome(value: Again) -> RenderableType:
    """Return what was set, and why some items were left."""
    lines = []
    if value.jobs:
        lines.append(f"{count(value.jobs, 'answer')} set to be asked for again at the next run, once")
    elif any(row.already for row in value.rows):
        lines.append("it was set before: the next run asks once")
    lines += [f"{clean(row.item)}: nothing is asked again; {clean(row.left)}" for row in value.rows if row.left]
    return Text("\n".join(lines))


def _length(row: AgainRow) -> str:
    return stamp(row.seconds, form="clock") if row.seconds else "?"


def _jobs(row: AgainRow) -> str:
    return ", ".join([*row.jobs, *(f"{name} (set before)" for name in row.already)])
