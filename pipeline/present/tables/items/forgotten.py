"""What goes when items are forgotten, and what stays."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.model import ForgetRow, Forgotten
from pipeline.present.formatting import clean, count, fit, money
from pipeline.present.tables.items.recalled import recalled_lines
from pipeline.present.tables.layout import WIDE, pair_table, remedy

_SHOWN = 5  #: names of files


def forgotten_table(value: Forgotten) -> RenderableType:
    """Show for each item what goes and what stays."""
    parts: list[RenderableType] = []
    for row in value.rows:
        parts += [*([Text("")] if parts else []), pair_table(_pairs(row))]
        if row.place:
            parts.append(remedy(_comes_back(row.place)))
    return Group(*parts)


def _comes_back(place: str) -> str:
    """Return what takes an item in again."""
    if place.startswith("argument"):  # of a command line, or an entry of [run] manifests
        return (
            "the next run that is given its file, folder or address takes it in again; `reelmill cancel` prevents that"
        )
    return f"{place} named it: the next run over that list takes it in again, unless you take the line out"


def _pairs(row: ForgetRow) -> list[tuple[str, Text]]:
    pairs = [("item", Text(fit(row.source, WIDE), "bold"))]
    if not row.tasks:
        return [*pairs, ("goes", Text("what an interrupted `forget` has left in index and page"))]
    rows = f"{count(row.tasks, 'row')} and {count(row.results, 'answer')} of the database"
    if row.shared:
        rows = f"this line only: {count(row.shared, 'other line names', 'other lines name')} the same video, whose results stay"
    if row.at_work:
        first = f"{count(row.at_work, 'analysis', 'analyses')} that the platform may be at work on: cancelled there"
        pairs.append(("first", Text(first)))
    pairs.append(("goes", Text(rows)))
    if row.files:
        pairs.append(
            ("", Text(f"{clean(row.folder)}/ with {count(len(row.files), 'file')}, its line in results.jsonl"))
        )
    if row.account:
        named = ", ".join(map(clean, row.account[:_SHOWN]))
        pairs.append(("", Text(f"from the account: {named}{'' if len(row.account) <= _SHOWN else ' …'}")))
    if row.folder and not row.files and not row.kept:
        there = f"{clean(row.folder)}/ is not in the output folder: if it lies in another one, name that with --output"
        pairs.append(("stays", Text(there, "yellow")))
    if row.kept:
        more = f" and {len(row.kept) - _SHOWN} more" if len(row.kept) > _SHOWN else ""
        pairs.append(
            ("stays", Text(f"{', '.join(map(clean, row.kept[:_SHOWN]))}{more}: added or changed by hand", "yellow"))
        )
    if row.left_running:
        left = f"{count(row.left_running, 'analysis goes', 'analyses go')} on at the platform, and may be billed"
        pairs.append(("" if pairs[-1][0] == "stays" else "stays", Text(left, "yellow")))
    if row.usd:
        pairs.append(("" if pairs[-1][0] == "stays" else "stays", Text(f"{money(row.usd)} in the ledger")))
    return pairs


def outcome(value: Forgotten) -> str:
    """Return what was done."""
    if value.refused:
        return "\n".join(["nothing was taken out here; the same command goes on", *map(clean, value.refused)])
    said = f"forgot {count(len(value.rows), 'item')}"
    said = f"{said}; {clean(value.unwritten)} The next run writes index and page." if value.unwritten else said
    return "\n".join([said, *(recalled_lines(value.platform, forgotten=True) if value.platform is not None else ())])
