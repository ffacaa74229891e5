"""What was paid, by job, day, month, source, run or kind."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.model import CostGroup
from pipeline.money_views import CostsView
from pipeline.present.formatting import clean, minutes, money
from pipeline.present.tables.layout import FittedTable

_SHOWN = 50  #: groups of a table; --json and --csv have all
_NOBODY: Final = {"run": "before this release", "source": "no video"}  #: what groups without a name are called
_COLUMNS = ("calls", "settled", "expected", "paid", "twice?", "length")


def costs_table(value: CostsView, base: str = "") -> RenderableType:
    """Show sums of the ledger, with paths from ``base``."""
    if not value.groups:
        return Text("nothing was paid" + (" since then" if value.since else ""))
    shown = value.groups[-_SHOWN:] if value.by in ("day", "month", "run") else value.groups[:_SHOWN]
    rows = [[_name(value.by, group.name, base), *_cells(group)] for group in shown]
    rows.append([Text("in all", "bold"), *_cells(value.total)])
    parts: list[RenderableType] = [
        FittedTable([value.by, *_COLUMNS], rows, (value.by,), ("length", "settled"), _COLUMNS)
    ]
    more = len(value.groups) - len(shown)
    if more > 0:
        parts.append(Text(f"{more:,} more: --json or --csv lists all", "dim"))
    if value.total.settled < value.total.calls - value.total.unpriced:
        parts.append(Text("what no answer has settled counts as the most that it can cost", "dim"))
    if value.total.unpriced:
        what = "an answer" if value.total.unpriced == 1 else f"{value.total.unpriced:,} answers"
        parts.append(Text(f"unknown: {what} of `ask`, for which [prices] has no price of tokens", "dim"))
    return Group(*parts)


def costs_csv(value: CostsView) -> str:
    """Return all groups as CSV, with a head."""
    text = io.StringIO()
    names = [each.name for each in fields(CostGroup)]
    rows = csv.DictWriter(text, names, lineterminator="\n")
    rows.writer.writerow([value.by, *names[1:]])
    rows.writerows(asdict(group) | {"name": clean(group.name)} for group in value.groups)
    return text.getvalue().rstrip("\n")


def _cells(group: CostGroup) -> Sequence[Text]:
    doubt = Text(f"{money(group.doubtful_usd)} ({group.doubtful:,})", "yellow") if group.doubtful else Text("-")
    calls, settled = Text(f"{group.calls:,}"), Text(f"{group.settled:,}")
    expected, paid = (_amount(usd, group) for usd in (group.estimate, group.usd))
    return [calls, settled, expected, paid, doubt, Text(minutes(group.minutes))]


def _amount(usd: float, group: CostGroup) -> Text:
    """Show an amount; of answers that have no price, that it is unknown."""
    if not group.unpriced:
        return Text(money(usd))
    return Text("unknown" if group.unpriced == group.calls else f"{money(usd)} + ?", "yellow")


def _name(by: str, name: str, base: str) -> Text:
    if not name:
        return Text(_NOBODY.get(by, "-"), "dim")
    path = name.removeprefix("file:")
    return Text(clean(path.removeprefix(base.rstrip("/") + "/") if base else path))
