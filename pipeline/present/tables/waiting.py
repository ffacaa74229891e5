"""What waits and until when, and what no list names any more: parts of ``status``."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from pipeline.present.formatting import count
from pipeline.present.tables.layout import remedy, section, trouble_line
from pipeline.views import StatusView

_UNLISTED = 5  #: lines of what is of no consequence


def unlisted_section(value: StatusView) -> list[RenderableType]:
    """Return what failed or is held and is in no list any more; empty if there is nothing."""
    if not value.unlisted_tasks:
        return []
    lines = [trouble_line(item, why, state) for state, item, why in value.unlisted]
    lines = [Text(line.plain.partition("\n")[0], "dim") for line in lines[:_UNLISTED]]
    title = f"no longer listed: {count(value.unlisted_tasks, 'task')}, of no consequence for a run"
    return [*section(title, lines), remedy("reelmill cancel ITEM puts one away; a line in a list brings it back")]
