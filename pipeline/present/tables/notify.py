"""What became of a test of the night watch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.present.formatting import clean
from pipeline.present.tables.layout import coloured
from pipeline.views import Delivery


def notify_table(told: Sequence[Delivery]) -> RenderableType:
    """Show each way with whom it tells, and why that did not work."""
    table = Table.grid(padding=(0, 2))
    for folds in (False, False, True):
        table.add_column(no_wrap=not folds, overflow="fold")
    for each in told:
        text = Text(f"{clean(each.to)} · {each.seconds:.1f} s")
        if not each.sent:
            text.append(f"\n→ {clean(each.why)}")
        table.add_row(coloured("ok" if each.sent else "failed"), Text(each.way), text)
    return table
