"""What ``prune`` takes away, and what stays."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.present.formatting import clean, count, size
from pipeline.present.tables.layout import pair_table, remedy
from pipeline.views import Pruned, PruneLine

#: What a sort is called: one, many, and why some of it stays.
_SORTS = {
    "answers": ("answer as received", "answers as received", "needed, or not in the results folder"),
    "runs": ("run of the history", "runs of the history", ""),
    "downloads": ("download that nobody waits for", "downloads that nobody waits for", ""),
    "page files": ("file that the page does not name", "files that the page does not name", ""),
}


def prune_table(value: Pruned) -> RenderableType:
    """Show the plan, or what was done."""
    rows = [(line.what, _line(line)) for line in value.lines]
    rows.append(("database", Text(_database(value))))
    parts: list[RenderableType] = [pair_table(rows)]
    if not value.done and any(line.count for line in value.lines):
        parts.append(remedy("nothing was taken away yet: --yes does it"))
    return Group(*parts)


def _line(line: PruneLine) -> Text:
    one, many, why = _SORTS[line.what]
    text = Text(f"{count(line.count, one, many)}, {size(line.size)}" if line.count else "none")
    return text.append(f" · {line.kept:,} older stay: {why}", "dim") if line.kept else text


def _database(value: Pruned) -> str:
    text = size(value.database_size)
    if value.done and value.given_back:
        return f"{text}, {size(value.given_back)} given back to the disk"
    if value.done and value.note:
        return f"{text}, nothing given back: {clean(value.note)}"
    return f"{text}, {size(value.database_unused)} of it unused" if value.database_unused else text
