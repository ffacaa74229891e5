"""What ``doctor`` found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.present.formatting import clean
from pipeline.present.tables.layout import coloured, remedy
from pipeline.views import Finding


def doctor_table(findings: Sequence[Finding]) -> RenderableType:
    """Show what was found, what a lack costs and what to do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        text: RenderableType = Text(clean(finding.value))
        if finding.costs and finding.state != "ok":
            text = Group(text, remedy(finding.costs, "dim", indent=0))
        table.add_row(coloured(finding.state), Text(clean(finding.name)), text)
    return table
