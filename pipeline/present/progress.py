"""A run's snapshot as the picture that the live display shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.core.clock import iso
from pipeline.core.model import Parked
from pipeline.present.formatting import clean, count, minutes, money, span
from pipeline.present.tables.layout import new_table
from pipeline.views import LaneView, Snapshot

_BAR_WIDTH = 30


def board(snapshot: Snapshot) -> RenderableType:
    """Return the whole picture: progress, lanes, money, parked lanes, stopping."""
    lanes = [_lanes(snapshot.lanes)] if snapshot.lanes else []
    parts: list[RenderableType] = [_head(snapshot), _bar(snapshot), *lanes, _sums(snapshot)]
    parts += [_parked(entry) for entry in snapshot.parked]
    if snapshot.stopping:
        parts.append(Text("stopping… short work is finished, the rest is kept; Ctrl-C again stops now", "bold yellow"))
    return Group(*parts)


def _head(snapshot: Snapshot) -> Text:
    ended = snapshot.items_done + snapshot.items_failed
    text = Text(f"{ended:,} of {count(snapshot.items_total, 'item')}", style="bold")
    if snapshot.reading:
        text.append(" so far, still reading the list", "default not bold")
    if snapshot.items_failed:
        text.append(f" · {snapshot.items_failed:,} failed", "red")
    return text


def _bar(snapshot: Snapshot) -> RenderableType:
    ended = snapshot.items_done + snapshot.items_failed
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    left = f"about {span(snapshot.eta)} left" if snapshot.eta is not None else "time left not known"
    times = Text(f"{span(snapshot.elapsed)} · {left}")
    grid.add_row(
        ProgressBar(total=max(1, snapshot.items_total), completed=ended, width=_BAR_WIDTH, complete_style="cyan"), times
    )
    return grid


def _lanes(lanes: Sequence[LaneView]) -> Table:
    numbers_of = ("running", "waiting", "finished", "per minute")
    table = new_table(("lane", *numbers_of), right=numbers_of)
    for lane in lanes:
        style = "" if lane.running else "dim"
        numbers = (f"{lane.running}/{lane.width}", f"{lane.waiting:,}", f"{lane.finished:,}", f"{lane.rate:,.1f}")
        table.add_row(clean(lane.lane), *numbers, style=style)
    return table


def _sums(snapshot: Snapshot) -> Text:
    return Text(f"{money(snapshot.spent_usd)} spent · {minutes(snapshot.minutes)} of video analysed")


def _parked(parked: Parked) -> Text:
    return Text(f"parked until {iso(parked.until)}: {clean(parked.scope)}: {clean(parked.trouble.message)}", "yellow")
