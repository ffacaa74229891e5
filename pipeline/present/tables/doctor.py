"""What ``doctor`` found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.present.formatting import clean
from pipeline.present.tables.layout import coloured
from pipeline.views import Finding


def doctor_table(findings: Sequence[Finding]) -> RenderableType:
    """Show what was found, what a lack costs and what to do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        text = Text(clean(finding.value))
        if finding.costs and finding.state != "ok":
            text.append(f"\n→ {clean(finding.costs)}", "dim")
        table.add_row(coloured(finding.state), Text(clean(finding.name)), text)
    return table
