"""What became of a test of the night watch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from pipeline.present.formatting import clean
from pipeline.present.tables.layout import coloured, new_table
from pipeline.views import Delivery


def notify_table(told: Sequence[Delivery]) -> RenderableType:
    """Show each way with whom it tells, and why it did not work."""
    table = new_table(("", "way", "to", "took", "what happened"), right=("took",), fold=("what happened",))
    for each in told:
        state = coloured("ok" if each.sent else "failed")
        what = Text(clean(each.why) if each.why else "told")
        table.add_row(state, Text(each.way), Text(clean(each.to)), Text(f"{each.seconds:.1f} s"), what)
    return table
