"""Indexes, and the videos in one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.text import stamp
from pipeline.ports.index_api import IndexInfo
from pipeline.present.formatting import clean, count, fit, minutes, size
from pipeline.present.tables.index.search import TITLE, result_links
from pipeline.present.tables.layout import FittedTable
from pipeline.views import IndexView


def indexes_table(value: Sequence[IndexInfo]) -> RenderableType:
    """Show indexes, one a line."""
    if not value:
        return Text("no index yet: `reelmill indexes create NAME`, or a run with [index] name, makes one")
    rows = []
    for index in value:
        models = ", ".join(f"{name} ({'+'.join(options)})" for name, options in index.models)
        rows.append([
            fit(index.name, TITLE), f"{index.videos:,}", minutes(index.seconds / 60), fit(models, 80),
            clean(", ".join(index.addons)) or "-", clean(index.created)[:10] or "-", clean(index.expires)[:10] or "never",
            clean(index.id),
        ])  # fmt: skip
    columns = ("index", "videos", "length", "models", "extras", "created", "expires", "id")
    cells = [[Text(cell) for cell in row] for row in rows]
    return FittedTable(columns, cells, ("index",), ("extras", "models", "expires", "created"), ("videos", "length"))


def videos_table(value: IndexView) -> RenderableType:
    """Show the videos of an index, by our titles where they are ours."""
    index = value.index
    head = Text(f"{fit(index.name, TITLE)}: {count(index.videos, 'video')}, {minutes(index.seconds / 60)}", "dim")
    if not value.videos:
        return head
    rows = []
    for row in value.videos:
        video, title = row.video, row.ours.title if row.ours.key else row.video.filename
        length = stamp(max(0.0, video.seconds), form="clock")
        picture = f"{video.width}×{video.height}" if video.width and video.height else "-"
        rows.append([
            fit(title or video.id, TITLE), length, picture, size(video.size) if video.size else "-",
            clean(video.status), clean(video.created)[:10] or "-", clean(video.id),
        ])  # fmt: skip
    columns, right = ("video", "length", "picture", "size", "state", "created", "id"), ("length", "picture", "size")
    cells = [[Text(cell) for cell in row] for row in rows]
    table = FittedTable(columns, cells, ("video",), ("picture", "size", "created", "state"), right)
    return Group(head, Text(""), table, *result_links(row.ours for row in value.videos))
