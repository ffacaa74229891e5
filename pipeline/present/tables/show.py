"""Everything known about one item, and why it stands where it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.model import Json, State, Task
from pipeline.core.text import stamp
from pipeline.present.formatting import clean, fit, minutes, money, when
from pipeline.present.tables.layout import WIDE, coloured, new_table, pair_table, remedy

if TYPE_CHECKING:
    from pipeline.views import ItemView


def show_table(value: ItemView, now: float) -> RenderableType:
    """Show everything known about one item."""
    rows = [
        ("item", Text(fit(value.title or value.source, WIDE), "bold")),
        ("source", Text(fit(value.source, WIDE))),
        ("key", Text(fit(value.item.key, WIDE))),
        ("state", coloured(value.state)),
        ("folder", Text(clean(value.folder) if value.folder is not None else "none yet")),
    ]
    parts: list[RenderableType] = [pair_table(rows), Text(""), Text(clean(value.explanation))]
    if value.next_step:
        parts.append(remedy(value.next_step))
    if value.tasks:
        parts += [Text(""), _item_tasks(value.tasks, value.parts, now)]
    if value.results:
        table = new_table(("results", "fingerprint", "written"))
        there = {(result.job, result.fingerprint) for result in value.results}
        for result in value.results:
            if (result.job, result.meta.get("whole")) in there:  # a part of what is there as a whole
                continue
            named = Text(clean(result.job)).append(_part(result.meta.get("window")), "dim")
            table.add_row(named, clean(result.fingerprint)[:16], when(result.created, now))
        parts += [Text(""), table]
    if value.spends:
        table = new_table(("paid", "price", "length", "when"), right=("price", "length"))
        for spend in value.spends:
            doubt = Text(" possibly twice", "yellow") if spend.doubtful else Text("")
            table.add_row(
                Text(clean(spend.what)) + doubt, money(spend.usd), minutes(spend.minutes), when(spend.at, now)
            )
        parts += [Text(""), table]
    return Group(*parts)


def _item_tasks(tasks: Sequence[Task], parts: Mapping[int, str], now: float) -> Table:
    table = new_table(("tasks", "stage", "state", "attempt", "next look"), right=("attempt",))
    for task in tasks:
        due = "-"
        if task.state is State.PENDING and task.wake_at is not None:
            due = when(task.wake_at, now) if task.wake_at > now else "now"
        kind = Text(clean(task.kind)).append(f" {parts[task.id]}" if task.id in parts else "", "dim")
        table.add_row(kind, Text(clean(task.stage)), coloured(task.state), str(task.attempt), due)
    return table


def _part(window: Json) -> str:
    """Return the part of a video behind its name; empty for all of it."""
    if not isinstance(window, list | tuple) or not any(window):
        return ""
    start, end = (stamp(float(side or 0.0), form="clock") for side in window)
    return f" {start}-{end}"


def why_table(value: ItemView) -> RenderableType:
    """Show one plain sentence, the next step, and the foreign words last."""
    parts: list[RenderableType] = [Text(clean(value.explanation))]
    if value.next_step:
        parts.append(remedy(value.next_step))
    raw = raw_line(value)
    return Group(*parts, Text(f"raw: {raw}", "dim")) if raw else Group(*parts)


def raw_line(value: ItemView) -> str:
    """Return code and raw message of the trouble that explains the item."""
    troubled = [task for task in (*value.tasks, value.item) if task.trouble is not None]
    troubled.sort(key=lambda task: task.state not in (State.FAILED, State.HELD))
    if not troubled or troubled[0].trouble is None:
        return ""
    first = troubled[0].trouble
    return clean(f"{first.code}: {first.detail}" if first.detail else first.code)
